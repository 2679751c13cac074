"""What tells the eight products apart: level, volatility, smile and activity.

Contract terms (lots, ticks, expiries, strike steps) are facts and come from `deltastream.market`;
here stands only what a synthetic market has to invent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deltastream.feeds.synthetic._smile import Smile

__all__ = ["PROFILES", "Profile"]


@dataclass(frozen=True, slots=True)
class Profile:
    """One product.

    Attributes:
        price: at the beginning of the first session.
        per_unit: the underlying's price step is one over this.
        vol: of the path, per year of the product's own trading time.
        beta: correlation of the path with what its country's products share.
        smile: implied volatilities; its level moves against the price by `leverage`.
        rate: for discounting; carry of the forward (rate less dividends), both per year.
        daily_volume: contracts that an option at the money trades in one session.
        open_interest: contracts open at a busy strike of a near expiry.
        width: half spread at the money, in standard deviations of the expiry, without the tick.
        shares: of the underlying traded per session; None for an index.
    """

    price: float
    per_unit: int
    vol: float
    beta: float
    smile: Smile
    leverage: float
    rate: float
    carry: float
    daily_volume: float
    open_interest: float
    width: float
    shares: float | None = None


def _india(
    price: float, vol: float, beta: float, *, daily_volume: float, open_interest: float, width: float
) -> Profile:
    smile = Smile(rho=-0.30, eta=0.60, short_vol=0.95 * vol, long_vol=1.15 * vol, decay=6.0)
    return Profile(price, 20, vol, beta, smile, -0.7, 0.055, 0.058, daily_volume, open_interest, width)


def _etf(price: float, vol: float, beta: float, *, dividend: float, shares: float) -> Profile:
    smile = Smile(rho=-0.45, eta=0.75, short_vol=0.92 * vol, long_vol=1.20 * vol, decay=6.0)
    carry = 0.0375 - dividend
    return Profile(price, 100, vol, beta, smile, -0.75, 0.0375, carry, 42_000, 9_000, 0.0006, shares)


def _stock(price: float, vol: float, beta: float, *, dividend: float, shares: float) -> Profile:
    smile = Smile(rho=-0.15, eta=0.55, short_vol=1.05 * vol, long_vol=1.02 * vol, decay=4.0)
    carry = 0.0375 - dividend
    return Profile(price, 100, vol, beta, smile, -0.3, 0.0375, carry, 18_000, 7_000, 0.0025, shares)


PROFILES: Final = {
    "NIFTY": _india(26_050.0, 0.125, 0.98, daily_volume=1_900_000, open_interest=110_000, width=0.0003),
    "BANKNIFTY": _india(58_900.0, 0.14, 0.90, daily_volume=160_000, open_interest=24_000, width=0.0010),
    "FINNIFTY": _india(27_600.0, 0.14, 0.90, daily_volume=2_400, open_interest=1_500, width=0.0040),
    "SENSEX": _india(85_200.0, 0.125, 0.98, daily_volume=900_000, open_interest=60_000, width=0.0008),
    "AAPL": _stock(291.0, 0.27, 0.65, dividend=0.004, shares=48_000_000),
    "TSLA": _stock(432.0, 0.52, 0.55, dividend=0.0, shares=85_000_000),
    "SPY": _etf(776.0, 0.155, 0.97, dividend=0.011, shares=68_000_000),
    "QQQ": _etf(732.0, 0.20, 0.93, dividend=0.005, shares=52_000_000),
}
"""By symbol, in the order in which the feed takes turns."""
