"""Which rows of a chain cannot be true."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from deltastream.messages import CHAIN_COLUMNS

__all__ = ["clean", "implausible", "plausible_spot"]

Rows = NDArray[np.float64]
Mask = NDArray[np.bool_]

MAX_PRICE: Final = 1e9
MAX_COUNT: Final = 1e12
MAX_VOLATILITY: Final = 1e3
MAX_PRICE_TO_UNDERLYING: Final = 10.0
"""No option is worth more than underlying and strike together; ten times that leaves room for any quote."""
MAX_SPOT_TO_STRIKES: Final = 20.0
"""How far outside its listed strikes an underlying can be believed to trade."""


def _columns(*names: str) -> list[int]:
    return [row for row, column in enumerate(CHAIN_COLUMNS) if column.partition("_")[2] in names]


_PRICES: Final = _columns("bid", "ask", "last", "prev_close")
_SIZES: Final = _columns("bid_size", "ask_size")
_VOLUMES: Final = _columns("volume")
_OPEN_INTERESTS: Final = _columns("oi", "prev_oi")
_VOLATILITIES: Final = _columns("vendor_iv")
_ZERO_IS_ABSENT: Final = [*_PRICES, *_VOLATILITIES]
_SIZE_OF_PRICE: Final = tuple(
    (CHAIN_COLUMNS.index(f"{side}_{quote}_size"), CHAIN_COLUMNS.index(f"{side}_{quote}"))
    for side in ("call", "put")
    for quote in ("bid", "ask")
)


def implausible(rows: Rows, spot: float | None) -> list[tuple[str, Mask]]:
    """Reason codes with the rows they condemn, the plainest reason first.

    Args:
        rows: float64[n, 23], columns as in `CHAIN_COLUMNS`, NaN for absent.
        spot: price of the underlying; None: the greatest strike stands in for it.
    """
    strike = rows[:, 0]
    finite = np.isfinite(strike)
    underlying = spot if spot is not None else float(strike[finite].max(initial=0.0))
    highest = MAX_PRICE_TO_UNDERLYING * (underlying + strike)[:, None]

    def below_zero(columns: list[int]) -> Mask:
        return np.asarray((rows[:, columns] < 0.0).any(axis=1))

    def above(limit: float | Rows, columns: list[int]) -> Mask:
        return np.asarray((rows[:, columns] > limit).any(axis=1))

    return [
        ("bad_strike", ~(finite & (strike > 0.0) & (strike <= MAX_PRICE))),
        ("not_finite", np.asarray(np.isinf(rows).any(axis=1))),
        ("negative_price", below_zero(_PRICES)),
        ("negative_size", below_zero(_SIZES)),
        ("negative_volume", below_zero(_VOLUMES)),
        ("negative_open_interest", below_zero(_OPEN_INTERESTS)),
        ("negative_volatility", below_zero(_VOLATILITIES)),
        ("absurd_price", above(highest, _PRICES)),
        ("absurd_size", above(MAX_COUNT, _SIZES)),
        ("absurd_volume", above(MAX_COUNT, _VOLUMES)),
        ("absurd_open_interest", above(MAX_COUNT, _OPEN_INTERESTS)),
        ("absurd_volatility", above(MAX_VOLATILITY, _VOLATILITIES)),
    ]


def clean(rows: Rows) -> None:
    """Make absent, in place, what these sources write as 0: prices, volatilities, sizes of no quote."""
    for column in _ZERO_IS_ABSENT:
        rows[rows[:, column] == 0.0, column] = np.nan
    for size, price in _SIZE_OF_PRICE:
        rows[np.isnan(rows[:, price]), size] = np.nan


def plausible_spot(spot: float, lowest: float, highest: float) -> bool:
    """Whether an underlying with strikes from `lowest` to `highest` can trade at `spot`."""
    return lowest / MAX_SPOT_TO_STRIKES <= spot <= highest * MAX_SPOT_TO_STRIKES and spot <= MAX_PRICE
