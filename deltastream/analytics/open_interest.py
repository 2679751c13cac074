"""Open interest: where it stands, how it is spread, and what has moved.

Sums are `math.fsum`, so that they are exact whatever the order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from deltastream.market import calendar, product
from deltastream.messages import BUILDUP, EnrichedChain, OptionSide

__all__ = [
    "Level",
    "Mover",
    "change_since",
    "coverage",
    "herfindahl",
    "incomparable",
    "levels",
    "movers",
    "otm_interest",
    "ratio",
    "total",
]

Floats = NDArray[np.float64]

PREFIX: Final = {"C": "call_", "P": "put_"}
CADENCE_NS: Final = 180 * 1_000_000_000
"""What "3min" says of how often open interest is refreshed."""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """A strike with much open interest, or much new one.

    Attributes:
        strike: in price points.
        open_interest: of the side at this strike, in the chain's `oi_unit`.
        oi_change: since the previous session.
        strength: share of the side's total that stands here, 0 to 1.
    """

    strike: float
    open_interest: float | None
    oi_change: float | None
    strength: float


class Mover(msgspec.Struct, frozen=True, kw_only=True):
    """One contract whose open interest has changed since the previous session.

    Attributes:
        root, expiry: of its series.
        strike: in price points.
        option_type: "C" or "P".
        open_interest, oi_change: in the chain's `oi_unit`.
        oi_change_pct: per cent of the previous open interest; None where that was 0.
        price_change: last less previous close, of the contract itself.
        buildup: class of the move.
    """

    root: str
    expiry: str
    strike: float
    option_type: OptionSide
    open_interest: float
    oi_change: float
    oi_change_pct: float | None
    price_change: float | None
    buildup: str | None


def levels(
    chain: EnrichedChain, side: OptionSide, *, by: Literal["oi", "oi_change"], most: int
) -> list[Level]:
    """Resistance (calls) or support (puts): the strikes with the largest values, the largest first.

    Calls are looked at from spot on upwards, puts from spot on downwards; on a tie the strike nearer
    to spot comes first. Only positive values make a level.

    Args:
        chain: one expiry.
        side: "C" for resistance, "P" for support.
        by: open interest itself, or its change since the previous session.
        most: how many.

    Returns:
        None of them where the chain has no spot.
    """
    if chain.spot is None:
        return []
    values = chain[f"{PREFIX[side]}{by}"]
    beyond = chain.strikes >= chain.spot if side == "C" else chain.strikes <= chain.spot
    standing = np.flatnonzero(beyond & (values > 0))
    if side == "P":
        standing = standing[::-1]
    largest = standing[np.argsort(-values[standing], kind="stable")][:most].tolist()
    whole = total(np.where(values > 0, values, np.nan))
    interest, change = (chain[f"{PREFIX[side]}{name}"] for name in ("oi", "oi_change"))
    return [
        Level(
            strike=float(chain.strikes[at]),
            open_interest=_none(interest[at]),
            oi_change=_none(change[at]),
            strength=float(values[at]) / whole if whole else 0.0,
        )
        for at in largest
    ]


def movers(chains: Iterable[EnrichedChain], most: int) -> list[Mover]:
    """The contracts whose open interest has changed most; ties by expiry, strike, call first."""
    found: list[tuple[float, int, str, float, str, EnrichedChain, int]] = []
    for chain in chains:
        for side, prefix in PREFIX.items():
            change = chain[f"{prefix}oi_change"]
            moved = np.flatnonzero(np.abs(change) > 0)  # not NaN
            first = moved[np.argsort(-np.abs(change[moved]), kind="stable")][:most].tolist()
            found += [
                (
                    -abs(float(change[at])),
                    chain.expiry_ts,
                    chain.root,
                    float(chain.strikes[at]),
                    side,
                    chain,
                    at,
                )
                for at in first
            ]
    found.sort(key=lambda one: one[:5])
    return [_mover(chain, "C" if side == "C" else "P", at) for *_, side, chain, at in found[:most]]


def incomparable(chain: EnrichedChain, before: EnrichedChain) -> str | None:
    """Why the open interest of two chains of one series tells no change between them; None where it does.

    A change within the source's cadence says nothing: what is refreshed once a day has none within a day.
    """
    if before.oi_unit != chain.oi_unit:
        return "mixed_units"
    if chain.oi_cadence == "daily" and _day(before) == _day(chain):
        return "oi_cadence_daily"
    if chain.oi_cadence == "3min" and chain.ts_event - before.ts_event < CADENCE_NS:
        return "oi_cadence_3min"
    return None


def change_since(chain: EnrichedChain, before: EnrichedChain, prefix: str) -> Floats:
    """Open interest of one side less that of an earlier chain, by strike; NaN where one of them has none."""
    change = np.full(len(chain.strikes), np.nan)
    if len(before.strikes):
        at = np.searchsorted(before.strikes, chain.strikes).clip(max=len(before.strikes) - 1)
        listed = before.strikes[at] == chain.strikes
        change[listed] = (chain[f"{prefix}oi"] - before[f"{prefix}oi"][at])[listed]
    return change


def herfindahl(values: Floats) -> float | None:
    """Sum of squared shares, between 1/n and 1; None where nothing is positive."""
    standing = values[values > 0]
    whole = math.fsum(standing.tolist())
    if not whole or not math.isfinite(whole):
        return None
    shares = standing / whole
    return math.fsum((shares * shares).tolist())


def total(values: Floats) -> float | None:
    """Sum of what is stated; None where nothing is."""
    stated = values[np.isfinite(values)]
    return math.fsum(stated.tolist()) if stated.size else None


def ratio(above: float | None, below: float | None) -> float | None:
    """The quotient; None where a part of it is missing or the divisor is 0."""
    return None if above is None or not below else above / below


def coverage(chain: EnrichedChain) -> float | None:
    """Share of the listed contracts whose open interest the source states; None without strikes."""
    listed = 2 * len(chain.strikes)
    stated = sum(int(np.count_nonzero(np.isfinite(chain[f"{prefix}oi"]))) for prefix in PREFIX.values())
    return stated / listed if listed else None


def otm_interest(chain: EnrichedChain, side: OptionSide) -> float | None:
    """Open interest of the calls struck above spot, or of the puts struck below it; None without a spot."""
    if chain.spot is None:
        return None
    interest = chain[f"{PREFIX[side]}oi"]
    out = chain.strikes > chain.spot if side == "C" else chain.strikes < chain.spot
    return total(interest[out]) if np.isfinite(interest).any() else None


def _mover(chain: EnrichedChain, side: OptionSide, at: int) -> Mover:
    def value(name: str) -> float | None:
        return _none(chain[f"{PREFIX[side]}{name}"][at])

    change, before = value("oi_change"), value("prev_oi")
    last, close, buildup = value("last"), value("prev_close"), value("buildup")
    share = ratio(change, before)
    return Mover(
        root=chain.root,
        expiry=chain.expiry,
        strike=float(chain.strikes[at]),
        option_type=side,
        open_interest=value("oi") or 0.0,
        oi_change=change or 0.0,
        oi_change_pct=None if share is None else 100.0 * share,
        price_change=None if last is None or close is None else last - close,
        buildup=None if buildup is None else BUILDUP[int(buildup)],
    )


def _day(chain: EnrichedChain) -> date:
    """The exchange's own date of a chain; that of UTC where its exchange is not known."""
    try:
        return calendar(product(chain.product).calendar).date_of(chain.ts_event)
    except KeyError:
        return datetime.fromtimestamp(chain.ts_event // 1_000_000_000, UTC).date()


def _none(value: float) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
