"""The volatility surface of a product, out of the latest chains of its expiries."""

from __future__ import annotations

import math
from collections.abc import Iterable

from deltastream.messages import EnrichedChain, SurfaceSlice, VolatilitySurface

__all__ = ["surface", "surface_slice"]


def surface_slice(chain: EnrichedChain) -> SurfaceSlice | None:
    """One expiry's smile: mid volatilities of out-of-the-money quotes, by strike.

    Puts below the forward, calls at and above it: one quote per strike, never an average of call
    and put. None where the chain has no time to expiry or no forward, and for adjusted contracts,
    which deliver something else than the product.
    """
    if chain.t is None or chain.forward is None or "adjusted_contract" in chain.flags:
        return None
    strikes = chain.strikes.tolist()
    calls, puts = chain["call_iv"].tolist(), chain["put_iv"].tolist()
    ivs = [put if k < chain.forward else call for k, call, put in zip(strikes, calls, puts, strict=True)]
    return SurfaceSlice(
        root=chain.root,
        expiry=chain.expiry,
        t=chain.t,
        forward=chain.forward,
        atm_iv=chain.atm_iv,
        avg_iv=chain.avg_iv,
        ts_event=chain.ts_event,
        strikes=tuple(strikes),
        ivs=tuple(None if math.isnan(iv) else iv for iv in ivs),
    )


def surface(product: str, chains: Iterable[EnrichedChain], *, ts_recv: int) -> VolatilitySurface | None:
    """The surface of one product as of its newest chain.

    Args:
        product: whose it is.
        chains: the latest chain of each (root, expiry), in any order. Those that had expired by
            the newest chain's time, or have no time or forward, give no slice.
        ts_recv: when this is made, nanoseconds UTC.

    Returns:
        Slices by expiry instant, then root; None where no chain gives one.
    """
    by_expiry = sorted(chains, key=lambda chain: (chain.expiry_ts, chain.root))
    if not by_expiry:
        return None
    now = max(chain.ts_event for chain in by_expiry)
    slices = tuple(
        smile for chain in by_expiry if chain.expiry_ts > now and (smile := surface_slice(chain)) is not None
    )
    if not slices:
        return None
    return VolatilitySurface(product=product, ts_event=now, ts_recv=ts_recv, slices=slices)
