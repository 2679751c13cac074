"""What every metric of the API means: its definition id, its unit and a sentence.

An id names a formula, as in ``pcr.oi/1``; another formula is another id, and another sign convention
another variant. Answers tell in ``meta.definitions`` which one each of their fields follows, and
``GET /api/analytics/definitions`` serves the whole table. `docs/numbers.md` tells more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

__all__ = ["CONVENTIONS", "DEFINITIONS", "Definition", "of"]


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """What one field holds.

    Attributes:
        field: its name in answers; qualified, as `bsm.delta`, where a name alone is not enough.
        id: of the formula.
        unit: what one of it is.
        meaning: one sentence.
    """

    field: str
    id: str
    unit: str
    meaning: str


CONVENTIONS: Final[Mapping[str, str]] = {
    "year": "Of 365 days of 86,400 seconds, to the expiry instant; no business time.",
    "forward": "By put-call parity: the median over the 7 strikes nearest spot with two-sided quotes on both "
    "sides; else the future, else spot, and flagged.",
    "rate": "Continuously compounded per year, configured per currency and published with every chain.",
    "model": "Black-76 on that forward for every exchange; names with American exercise are flagged "
    "european_approximation.",
    "greeks": "Spot delta and gamma per point; volatility derivatives per volatility point (0.01); time "
    "derivatives per calendar day that passes; rho per 1 % of rate.",
    "open_interest": "In the unit that the source states (contracts, units or coin), never converted "
    "silently; a multiplier is units of the underlying per unit of open interest.",
    "nulls": "A number that cannot be computed is null, never 0, and `reasons` names why.",
    "times": "ISO 8601 with an offset.",
}
"""What holds for all of them: which forward, which year, which unit."""

_POINT: Final = "price points"
_FRACTION: Final = "fraction per year"
_YEARS: Final = "years of 365 days"
_OI: Final = "oi_unit"
_VOLUME: Final = "volume_unit"
_RATIO: Final = "ratio"
_SHARE: Final = "share, 0 to 1"
_UNDERLYING: Final = "units of the underlying"
_DELTAS: Final = "currency of delta"

_SIDES: Final = tuple(
    (
        f"{side}_{name}",
        f"{quantity}.{side}_{variant}/1",
        unit,
        f"Sum of {per_contract} over the {side}s, each with sign +1.",
    )
    for side in ("call", "put")
    for name, quantity, variant, unit, per_contract in (
        ("delta_oi", "delta", "oi_sum", _UNDERLYING, "delta x OI x m"),
        ("gamma_oi", "gamma", "oi_sum", f"{_UNDERLYING} per point", "gamma x OI x m"),
        ("vega_oi", "vega", "oi_sum", "currency per volatility point", "vega x OI x m"),
        ("theta_oi", "theta", "oi_sum", "currency per calendar day", "theta x OI x m"),
        ("gex", "gex", "notional_1pct", f"{_DELTAS} per 1 %", "gamma x OI x m x S^2 x 0.01"),
        ("dex", "dex", "notional", _DELTAS, "delta x OI x m x S"),
        ("vex", "vex", "notional_vol_point", f"{_DELTAS} per volatility point", "vanna x OI x m x S"),
        ("chex", "chex", "notional_day", f"{_DELTAS} per calendar day", "charm x OI x m x S"),
    )
)
"""What all open contracts of a side add up to; m is units of the underlying per unit of open interest."""

_NET: Final = tuple(
    (
        f"{convention}.{name}",
        f"{name}.{convention}.{variant}/1",
        unit,
        f"Sum of {per_contract} over {signs}: dealers are taken to be {held}, which is an assumption.",
    )
    for convention, signs, held in (
        ("naive", "calls less that over puts", "long calls and short puts"),
        ("inverse", "puts less that over calls", "short calls and long puts"),
        ("short_all", "both sides, negated", "short of both sides"),
    )
    for name, variant, unit, per_contract in (
        ("gex", "notional_1pct", f"{_DELTAS} per 1 %", "gamma x OI x m x S^2 x 0.01"),
        ("dex", "notional", _DELTAS, "delta x OI x m x S"),
        ("vex", "notional_vol_point", f"{_DELTAS} per volatility point", "vanna x OI x m x S"),
        ("chex", "notional_day", f"{_DELTAS} per calendar day", "charm x OI x m x S"),
    )
)
"""Net dealer exposure under each convention of who holds what."""

_PRICER: Final = tuple(
    (
        f"{model}.{name}",
        f"{name}.{model}{'.' * bool(variant)}{variant}/1",
        unit,
        meaning.format(underlying=underlying),
    )
    for model, underlying in (("black76", "forward"), ("bsm", "spot"))
    for name, variant, unit, meaning in (
        ("price", "", _POINT, "Discounted price of the model on the {underlying}."),
        ("iv", "", _FRACTION, "Volatility at which the model on the {underlying} gives the price."),
        ("delta", "", "per point", "Derivative of the price by the {underlying}, discounted."),
        ("gamma", "", "per point squared", "Second derivative by the {underlying}, discounted."),
        ("vega", "vol_point", f"{_POINT} per volatility point", "Change of the price per volatility point."),
        (
            "theta",
            "calendar_day",
            f"{_POINT} per day",
            "Change per day that passes, at a fixed {underlying}.",
        ),
        ("rho", "percent", f"{_POINT} per 1 %", "Change per 1 % of rate, at a fixed {underlying}."),
        ("vanna", "vol_point", "per point and volatility point", "Change of delta per volatility point."),
        ("charm", "calendar_day", "per point and day", "Change of delta per day that passes."),
        ("vomma", "vol_point2", "per volatility point squared", "Change of vega per volatility point."),
        ("veta", "vol_point_day", "per volatility point and day", "Change of vega per day more to expiry."),
        ("speed", "", "per point cubed", "Change of gamma per point of the {underlying}."),
        (
            "zomma",
            "vol_point",
            "per point squared and volatility point",
            "Change of gamma per volatility point.",
        ),
        ("color", "calendar_day", "per point squared and day", "Change of gamma per day more to expiry."),
        ("ultima", "vol_point3", "per volatility point cubed", "Change of vomma per volatility point."),
        ("forward_delta", "", "none", "N(d1) of a call, -N(-d1) of a put: to the forward, not discounted."),
    )
)
"""What `POST /api/price` answers, for each model."""

_TABLE: Final[tuple[tuple[str, str, str, str], ...]] = (
    # The chain
    ("price", "price.last/1", _POINT, "Last price of the underlying."),
    ("spot_price", "spot.last/1", _POINT, "Price of the underlying at the chain's time."),
    ("forward", "forward.parity_median7/1", _POINT, "Forward price for the expiry by put-call parity."),
    (
        "forward_error",
        "forward.parity_mad/1",
        _POINT,
        "Median absolute deviation of the forwards that single strikes imply.",
    ),
    ("rate", "rate.configured/1", _FRACTION, "Continuously compounded rate of the chain's currency."),
    ("t", "t.act365/1", _YEARS, "Time from the chain's event to the expiry instant."),
    (
        "atm_strike",
        "atm.strike_nearest_forward/1",
        _POINT,
        "Listed strike nearest the forward, the lower on a tie; nearest spot, and flagged, without one.",
    ),
    (
        "atm_straddle_price",
        "straddle.atm_mid/1",
        _POINT,
        "Call plus put at atm_strike, at mids; at a side's last, and flagged, where it has no mid.",
    ),
    (
        "atm_iv",
        "iv.atm_forward/1",
        _FRACTION,
        "Volatility at the forward, linear in total variance over ln(K/F) between the strikes around it.",
    ),
    (
        "avg_iv",
        "iv.mean_otm_mid/1",
        _FRACTION,
        "Mean of the mid volatilities of the out-of-the-money quotes of one expiry.",
    ),
    ("total_call_oi", "oi.call_sum/1", _OI, "Sum of the calls' open interest."),
    ("total_put_oi", "oi.put_sum/1", _OI, "Sum of the puts' open interest."),
    ("total_call_volume", "volume.call_sum/1", _VOLUME, "Sum of the calls' volume."),
    ("total_put_volume", "volume.put_sum/1", _VOLUME, "Sum of the puts' volume."),
    ("pcr_oi", "pcr.oi/1", _RATIO, "Open interest of the puts over that of the calls."),
    ("pcr_volume", "pcr.volume/1", _RATIO, "Volume of the puts over that of the calls."),
    (
        "pcr_oi_change",
        "pcr.oi_change/1",
        _RATIO,
        "Change of the puts' open interest over that of the calls'; the signs may differ, so read both sums.",
    ),
    (
        "net_oi_change",
        "oi.put_less_call_change/1",
        _OI,
        "Change of the puts' open interest less that of the calls'.",
    ),
    (
        "call_buildup_otm",
        "oi.call_otm_sum/1",
        _OI,
        "Open interest of the calls struck above spot; the tutorial's name, no build-up: see buildup.",
    ),
    (
        "put_buildup_otm",
        "oi.put_otm_sum/1",
        _OI,
        "Open interest of the puts struck below spot; the tutorial's name, no build-up: see buildup.",
    ),
    # Bars of the underlying
    (
        "bar.open",
        "bar.open/1",
        _POINT,
        "Price of the interval's first tick, by time, then by order of arrival.",
    ),
    ("bar.high", "bar.high/1", _POINT, "Highest price of the interval's ticks."),
    ("bar.low", "bar.low/1", _POINT, "Lowest price of the interval's ticks."),
    (
        "bar.close",
        "bar.close/1",
        _POINT,
        "Price of the interval's last tick, by time, then by order of arrival.",
    ),
    ("bar.volume", "bar.volume/1", "units", "Sum of what the interval's ticks say was traded."),
    # Max pain
    (
        "max_pain_strike",
        "max_pain.nearest_spot/1",
        _POINT,
        "The point of max_pain_interval nearest spot.",
    ),
    (
        "max_pain_interval",
        "max_pain.interval/1",
        _POINT,
        "Every settlement price at which the writers of all open contracts together would pay least.",
    ),
    (
        "max_pain_value",
        "max_pain.value/1",
        f"{_POINT} x oi_unit",
        "What they would pay there: sum of OI x intrinsic value, without a multiplier.",
    ),
    (
        "distance_from_spot",
        "max_pain.distance_from_spot/1",
        _POINT,
        "max_pain_strike less spot.",
    ),
    (
        "distance_pct",
        "max_pain.distance_pct/1",
        "per cent of spot",
        "max_pain_strike less spot, over spot, times 100.",
    ),
    (
        "oi_coverage",
        "oi.stated_share/1",
        _SHARE,
        "Share of the listed contracts whose open interest the source states.",
    ),
    (
        "weighted_mean",
        "max_pain.oi_notional_mean/1",
        _POINT,
        "Mean of max_pain_strike over the expiries, each weighted by its open interest x multiplier x spot.",
    ),
    # The straddle and the expected move
    (
        "straddle_pct",
        "straddle.atm_pct/1",
        "per cent of spot",
        "atm_straddle_price over spot, times 100.",
    ),
    (
        "expected_move",
        "expected_move.lognormal/1",
        _POINT,
        "Band from forward x exp(-z s) to forward x exp(z s) with s = atm_iv x sqrt(t); not symmetric.",
    ),
    (
        "expected_move_coverage",
        "expected_move.lognormal_coverage/1",
        _SHARE,
        "Probability of that band where the price at expiry is lognormal about the forward: "
        "N(z + s/2) + N(z - s/2) - 1. A straddle's price to each side covers less, about 0.575.",
    ),
    ("z", "expected_move.z/1", "standard deviations", "Half the width of the band, in s."),
    # One option
    ("bid", "quote.bid/1", _POINT, "Best bid."),
    ("ask", "quote.ask/1", _POINT, "Best ask."),
    ("last", "quote.last/1", _POINT, "Last traded price."),
    ("volume", "quote.volume/1", _VOLUME, "Traded in the session."),
    ("open_interest", "quote.oi/1", _OI, "Contracts that are open, as of meta.as_of.open_interest."),
    ("iv", "iv.black76.mid/1", _FRACTION, "Black-76 volatility of the mid on the chain's forward."),
    ("bid_iv", "iv.black76.bid/1", _FRACTION, "Black-76 volatility of the bid on the chain's forward."),
    ("ask_iv", "iv.black76.ask/1", _FRACTION, "Black-76 volatility of the ask on the chain's forward."),
    ("vendor_iv", "iv.vendor/1", _FRACTION, "The source's own volatility."),
    (
        "delta",
        "delta.spot/1",
        "per point",
        "Change of the price per point of spot, implied carry held fixed.",
    ),
    ("gamma", "gamma.spot/1", "per point squared", "Change of delta per point of spot."),
    (
        "theta",
        "theta.calendar_day/1",
        f"{_POINT} per day",
        "Change of the price per calendar day that passes.",
    ),
    (
        "vega",
        "vega.vol_point/1",
        f"{_POINT} per volatility point",
        "Change of the price per volatility point (0.01).",
    ),
    ("rho", "rho.percent/1", f"{_POINT} per 1 %", "Change of the price per 1 % of rate."),
    (
        "oi_change",
        "oi.change_session/1",
        _OI,
        "Open interest less that of the previous session, the exchange's own where it gives one.",
    ),
    (
        "oi_change_pct",
        "oi.change_session_pct/1",
        "per cent",
        "oi_change over the previous session's open interest, times 100.",
    ),
    (
        "oi_since",
        "oi.change_since/1",
        _OI,
        "Open interest less that of the series' last chain by the instant asked for.",
    ),
    (
        "price_change",
        "price.change_session/1",
        _POINT,
        "Last less the previous session's close of the contract itself.",
    ),
    (
        "buildup",
        "buildup.price_oi/1",
        "class",
        "long_buildup (price up, OI up), short_buildup (down, up), short_covering (up, down), "
        "long_unwinding (down, down) or neutral; thresholds: one tick of price, and the larger of one lot "
        "and 0.5 % of the previous OI.",
    ),
    # Levels of open interest
    ("call_oi_change", "oi.call_change_sum/1", _OI, "Sum of the calls' oi_change."),
    ("put_oi_change", "oi.put_change_sum/1", _OI, "Sum of the puts' oi_change."),
    (
        "resistance",
        "oi.resistance_max_call/1",
        _POINT,
        "Strikes from spot on up with the most open interest in calls, largest first, the lower on a tie.",
    ),
    (
        "support",
        "oi.support_max_put/1",
        _POINT,
        "Strikes from spot on down with the most open interest in puts, largest first, the higher on a tie.",
    ),
    (
        "strength",
        "oi.level_share/1",
        _SHARE,
        "A level's open interest over all of its side in the chain.",
    ),
    (
        "call_concentration",
        "oi.hhi_call/1",
        "index, 0 to 1",
        "Herfindahl-Hirschman index of the calls' open interest over strikes: sum of squared shares.",
    ),
    (
        "put_concentration",
        "oi.hhi_put/1",
        "index, 0 to 1",
        "Herfindahl-Hirschman index of the puts' open interest over strikes: sum of squared shares.",
    ),
    ("movers", "oi.movers_abs_change/1", _OI, "Contracts by the magnitude of oi_change, the largest first."),
    # The surface
    (
        "ivs",
        "surface.otm_mid/1",
        _FRACTION,
        "Mid volatility of the out-of-the-money quote of each strike: puts below the forward, else calls.",
    ),
    ("log_moneyness", "surface.log_moneyness/1", "none", "ln(K/F) of each strike."),
    # Sums over open interest, and dealer exposure
    *_SIDES,
    *_NET,
    (
        "coverage",
        "oi.greeks_share/1",
        _SHARE,
        "Share of the stated open interest whose contracts have the Greeks that the sums need.",
    ),
    ("call_wall", "wall.gamma_call/1", _POINT, "Strike of the largest gamma exposure among the calls."),
    ("put_wall", "wall.gamma_put/1", _POINT, "Strike of the largest gamma exposure among the puts."),
    (
        "absolute_gamma_strike",
        "wall.gamma_absolute/1",
        _POINT,
        "Strike of the largest sum of both magnitudes of gamma exposure.",
    ),
    *_PRICER,
)

DEFINITIONS: Final[Mapping[str, Definition]] = {
    field: Definition(field=field, id=identity, unit=unit, meaning=meaning)
    for field, identity, unit, meaning in _TABLE
}
"""By field."""


def of(*fields: str) -> dict[str, str]:
    """Definition ids by field, as answers carry them in ``meta.definitions``.

    Args:
        fields: names of `DEFINITIONS`; a qualified name, as ``naive.gex``, is answered as ``gex``.

    Raises:
        KeyError: no such field: a defect of the caller.
    """
    return {field.rpartition(".")[2]: DEFINITIONS[field].id for field in fields}
