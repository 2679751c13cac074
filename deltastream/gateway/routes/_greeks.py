"""Greeks over all open contracts, and dealer exposure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import trio

from deltastream.analytics.exposure import (
    EXPOSURES,
    SIDES,
    SUMS,
    WALLS,
    Aggregates,
    Gamma,
    aggregates,
    gamma_by_strike,
    together,
    units_of_interest,
)
from deltastream.gateway.meta import Meta
from deltastream.gateway.routes._analytics import ChainsParameters, chosen, common, each, instant, known, sent
from deltastream.gateway.routing import ARROW, CSV, JSON, Answer, Call, route
from deltastream.messages import EnrichedChain
from deltastream.pricing import Convention

__all__ = ["greeks"]

_FIELDS: Final = (
    *("spot_price", "total_call_oi", "total_put_oi", "coverage", *WALLS),
    *(f"{side}_{name}" for side in SIDES for name in (*SUMS, *EXPOSURES)),
)


class GreeksParameters(ChainsParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which chains, and who is taken to hold what.

    Attributes:
        convention: what dealers are taken to hold: `naive` long calls and short puts, `inverse` the other way
            round, `short_all` short of both. None of them is derived from trades.
        profile: with gamma exposure by strike.
    """

    convention: Convention = "naive"
    profile: bool = False


class GreeksOfExpiry(Aggregates, frozen=True, kw_only=True):
    """What the open contracts of one expiry, or of all together, add up to.

    Attributes:
        root, expiry: of the series; null where it is all of them.
        timestamp: of the newest chain in it.
        spot_price: at that time.
        currency, oi_unit: of the series; null where they differ.
        reasons: why fields are null, by name.
    """

    root: str | None
    expiry: str | None
    timestamp: str
    spot_price: float | None
    currency: str | None
    oi_unit: str | None
    reasons: dict[str, str]


class GammaOfStrike(msgspec.Struct, frozen=True, kw_only=True):
    """Gamma exposure at one strike, of all the expiries in the answer together.

    Attributes:
        strike: in price points.
        call_gex, put_gex: of a side, every contract with sign +1.
    """

    strike: float
    call_gex: float
    put_gex: float


class GreeksAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Greeks over open interest.

    Attributes:
        product: underlying symbol.
        convention: under which `gex`, `dex`, `vex` and `chex` are net.
        all: every expiry together, as far as each enters: see `coverage`.
        expiries: each of them, nearest first.
        profile: where it is asked for.
        meta: what the answer says of itself.
    """

    product: str
    convention: Convention
    all: GreeksOfExpiry
    expiries: list[GreeksOfExpiry]
    profile: list[GammaOfStrike] | None
    meta: Meta


@route(
    "GET",
    "/api/analytics/greeks/{product}",
    scope="read:market",
    tag="analytics",
    parameters=GreeksParameters,
    answers=GreeksAnswer,
    media=(JSON, CSV, ARROW),
    problems=("not_found", "store_unavailable"),
    cost=5,
)
async def greeks(call: Call[GreeksParameters, None]) -> Answer:
    """Greeks over open interest, dealer exposure and walls, by expiry and of all expiries together.

    As a table: the expiries.
    """
    asked = call.parameters
    now = await chosen(call, asked)
    if (answer := known(call, now.identity)) is not None:
        return answer
    parts = await each(now.chains, lambda chain: aggregates(chain, asked.convention))
    gamma = gamma_by_strike(now.chains)
    await trio.lowlevel.checkpoint()
    body = GreeksAnswer(
        product=now.product,
        convention=asked.convention,
        all=_shown(now.chains, together(now.chains, parts, gamma, asked.convention), None, None),
        expiries=[
            _shown([chain], part, chain.root, chain.expiry)
            for chain, part in zip(now.chains, parts, strict=True)
        ],
        profile=_profile(gamma) if asked.profile else None,
        meta=now.meta(*_FIELDS, *(f"{asked.convention}.{name}" for name in EXPOSURES)),
    )
    return await sent(call, body, body.expiries, GreeksOfExpiry, identity=now.identity)


def _shown(
    chains: Sequence[EnrichedChain], part: Aggregates, root: str | None, expiry: str | None
) -> GreeksOfExpiry:
    newest = max(chains, key=lambda chain: chain.ts_event)
    currency = common(chain.currency for chain in chains)
    oi_unit = common(chain.oi_unit for chain in chains)
    values = msgspec.structs.asdict(part)
    reasons = {
        name: _why(name, chains, currency is not None, oi_unit is not None)
        for name, value in values.items()
        if value is None
    }
    if newest.spot is None:
        reasons["spot_price"] = newest.reasons.get("spot", "not_given")
    return GreeksOfExpiry(
        root=root,
        expiry=expiry,
        timestamp=instant(newest.ts_event, newest.product),
        spot_price=newest.spot,
        currency=currency,
        oi_unit=oi_unit,
        reasons=reasons,
        **values,
    )


def _why(name: str, chains: Sequence[EnrichedChain], one_currency: bool, one_unit: bool) -> str:
    """Why a number is null: what is lacking in all chains, told by the first."""
    first = chains[0]
    side = "call" if "call" in name else "put" if "put" in name else None
    if name in ("total_call_oi", "total_put_oi", "coverage"):
        return first.reasons.get(name, "no_open_interest") if one_unit else "mixed_units"
    if not one_currency:
        return "mixed_currencies"
    if first.t is None:
        return first.reasons.get("t", "not_given")
    if first.spot is None:
        return "no_spot"
    if units_of_interest(first) is None and name not in WALLS:
        return "multiplier_unknown"
    if side is not None and getattr(first, f"total_{side}_oi") is None:
        return f"no_{side}_open_interest"
    return "no_contract_with_greeks"


def _profile(gamma: Gamma) -> list[GammaOfStrike]:
    return [GammaOfStrike(strike=strike, call_gex=call, put_gex=put) for strike, (call, put) in gamma.items()]
