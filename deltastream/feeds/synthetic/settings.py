"""Settings of the synthetic markets."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from deltastream.feeds.synthetic._profiles import PROFILES

__all__ = ["SyntheticSettings"]

Positive = Annotated[float, msgspec.Meta(gt=0)]


class SyntheticSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the synthetic markets behave.

    Attributes:
        seed: one seed, one history.
        products: which of the eight: NIFTY, BANKNIFTY, FINNIFTY, SENSEX, AAPL, TSLA, SPY, QQQ.
        tick_interval_s: seconds between two ticks of a product.
        chain_interval_s: seconds between two chains of one expiry.
        expiries: how many of the nearest listed expiries each product has.
        strikes: strikes per chain, around the forward.
        session: "always" trades around the clock, "real" by the exchange's calendar.
        load_chains_per_s: load mode: this many chains per second over all products and expiries,
            evenly spaced, in place of `chain_interval_s`; None: off.
    """

    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 20261120
    products: tuple[str, ...] = tuple(PROFILES)
    tick_interval_s: Positive = 1.0
    chain_interval_s: Positive = 5.0
    expiries: Annotated[int, msgspec.Meta(ge=1, le=12)] = 4
    strikes: Annotated[int, msgspec.Meta(ge=5, le=400)] = 41
    session: Literal["always", "real"] = "always"
    load_chains_per_s: Positive | None = None

    def __post_init__(self) -> None:
        unknown = [symbol for symbol in self.products if symbol not in PROFILES]
        if unknown:
            there = ", ".join(PROFILES)
            raise ValueError(f"products: no synthetic market for {', '.join(unknown)}; there are {there}")
        if not self.products or len(set(self.products)) != len(self.products):
            raise ValueError("products: name at least one, and none twice")
