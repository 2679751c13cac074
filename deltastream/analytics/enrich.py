"""Enrichment: a market chain becomes a chain with volatilities, Greeks and metrics.

All numbers come from one call into the core; this module decides what they are called, when time
may be used, and why a number is not there.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal

import numpy as np

from deltastream._core import Summary, sweep
from deltastream.analytics.settings import AnalyticsSettings
from deltastream.messages import CHAIN_ROWS, ENRICHED_ROWS, EnrichedChain, OptionChain, Position

__all__ = ["YEAR_NS", "enrich"]

YEAR_NS: Final = 365 * 86_400 * 1_000_000_000
"""A year of 365 days, in nanoseconds."""

_FORWARD_SOURCES: Final[tuple[Literal["parity", "future", "spot", "none"], ...]] = (
    "parity",
    "future",
    "spot",
    "none",
)
_CONVENTION: Final = "naive"
_UNTIMED: Final = "timestamp_unknown"
_ATM_FROM_SPOT: Final = 1
_STRADDLE_FROM_LAST: Final = 1
_INHERITED: Final = tuple(
    name for name in OptionChain.__struct_fields__ if name not in {"v", "columns", "flags", "ts_recv"}
)

Metrics = dict[str, Any]


def enrich(
    chain: OptionChain,
    settings: AnalyticsSettings,
    *,
    ts_recv: int,
    as_of: int | None = None,
    source: tuple[str, Position] | None = None,
) -> EnrichedChain:
    """Compute everything that one chain tells.

    Args:
        chain: as the market gave it.
        settings: rates, and when a chain is stale.
        ts_recv: when this result is made, nanoseconds UTC.
        as_of: the instant to judge age and expiry by, nanoseconds UTC; None: the chain's own time.
        source: topic and position of `chain`, kept in the result.

    Returns:
        The enriched chain. What cannot be computed is None (NaN in columns), `reasons` says why.
        An expired, stale or untimed chain keeps its totals, ratios and max pain. An untimed chain
        that takes its time from `as_of` is flagged "timestamp_assumed".

    Raises:
        ValueError: strikes are not finite, positive and strictly ascending, or the columns are
            not float64[23, n].
    """
    t, no_time = _time_to_expiry(chain, settings, as_of)
    rate, rate_source = _rate(chain.currency, settings)
    analytics, summary = sweep(
        chain.columns,
        spot=_nan(chain.spot),
        future=_nan(chain.future),
        t=_nan(t),
        rate=rate,
        tick_size=_nan(chain.tick_size),
        lot=_nan(chain.lot),
        multiplier=chain.multiplier if chain.oi_unit == "contracts" else 1.0,
        convention=_CONVENTION,
    )
    metrics = _metrics(summary)
    return EnrichedChain(
        **{name: getattr(chain, name) for name in _INHERITED},
        **metrics,
        ts_recv=ts_recv,
        columns=np.concatenate((chain.columns, analytics[: ENRICHED_ROWS - CHAIN_ROWS])),
        flags=_flags(chain, summary, t, no_time),
        source=source,
        rate=rate,
        rate_source=rate_source,
        t=t,
        forward_source=_FORWARD_SOURCES[summary.forward_source],
        reasons=_reasons(chain, metrics, no_time),
    )


def _time_to_expiry(
    chain: OptionChain, settings: AnalyticsSettings, as_of: int | None
) -> tuple[float | None, str | None]:
    """Years to expiry, or None and the code of why there is no time to use."""
    untimed = _UNTIMED in chain.flags
    if untimed and as_of is None:
        return None, _UNTIMED
    now = as_of if untimed and as_of is not None else chain.ts_event
    judged_at = now if as_of is None else as_of
    if chain.expiry_ts <= max(now, judged_at):
        return None, "expired"
    if "stale" in chain.flags or judged_at - now > settings.stale_after_s * 1e9:
        return None, "stale"
    return (chain.expiry_ts - now) / YEAR_NS, None


def _rate(currency: str, settings: AnalyticsSettings) -> tuple[float, str]:
    if currency in settings.rates:
        return settings.rates[currency], f"configured:{currency}"
    return settings.default_rate, "configured:default"


def _metrics(summary: Summary) -> Metrics:
    lo, hi = summary.max_pain_lo, summary.max_pain_hi
    return {
        "forward": _none(summary.forward),
        "forward_error": _none(summary.forward_error),
        "atm_strike": _none(summary.atm_strike),
        "atm_straddle_price": _none(summary.straddle),
        "atm_iv": _none(summary.atm_iv),
        "avg_iv": _none(summary.avg_iv),
        "total_call_oi": _none(summary.call_oi),
        "total_put_oi": _none(summary.put_oi),
        "pcr_oi": _none(summary.pcr_oi),
        "total_call_volume": _none(summary.call_volume),
        "total_put_volume": _none(summary.put_volume),
        "pcr_volume": _none(summary.pcr_volume),
        "call_oi_change": _none(summary.call_oi_change),
        "put_oi_change": _none(summary.put_oi_change),
        "max_pain_strike": _none(summary.max_pain_strike),
        "max_pain_interval": None if math.isnan(lo) else (lo, hi),
        "max_pain_value": _none(summary.max_pain_value),
    }


def _flags(chain: OptionChain, summary: Summary, t: float | None, no_time: str | None) -> tuple[str, ...]:
    timed_by_as_of = t is not None and _UNTIMED in chain.flags
    given = tuple("timestamp_assumed" if f == _UNTIMED and timed_by_as_of else f for f in chain.flags)
    found = (
        (no_time, no_time is not None),
        ("european_approximation", chain.exercise == "american"),
        ("forward_from_future", summary.forward_source == 1),
        ("forward_from_spot", summary.forward_source == 2),
        ("atm_from_spot", summary.atm_source == _ATM_FROM_SPOT),
        ("straddle_from_last", summary.straddle_source == _STRADDLE_FROM_LAST),
    )
    added = tuple(flag for flag, holds in found if holds and flag is not None and flag not in given)
    return given + added


def _reasons(chain: OptionChain, metrics: Metrics, no_time: str | None) -> dict[str, str]:
    """Why each metric that is None could not be computed, by field name."""
    if None not in metrics.values() and chain.spot is not None and no_time is None:
        return {}
    oi_reference = "oi_cadence_daily" if chain.oi_cadence == "daily" else "no_previous_open_interest"
    why = {
        "forward": no_time or "no_two_sided_quotes_and_no_spot",
        "forward_error": no_time or "forward_not_from_parity",
        "atm_strike": "no_forward_and_no_spot" if len(chain.strikes) else "no_strikes",
        "atm_straddle_price": "no_price_at_atm_strike",
        "atm_iv": no_time or "no_volatility_around_forward",
        "avg_iv": no_time or "no_out_of_the_money_volatility",
        "total_call_oi": "no_call_open_interest",
        "total_put_oi": "no_put_open_interest",
        "pcr_oi": _ratio_reason(metrics["total_call_oi"], metrics["total_put_oi"], "open_interest"),
        "total_call_volume": "no_call_volume",
        "total_put_volume": "no_put_volume",
        "pcr_volume": _ratio_reason(metrics["total_call_volume"], metrics["total_put_volume"], "volume"),
        "call_oi_change": oi_reference,
        "put_oi_change": oi_reference,
        "max_pain_strike": "no_open_interest",
        "max_pain_interval": "no_open_interest",
        "max_pain_value": "no_open_interest",
    }
    reasons = {name: why[name] for name, value in metrics.items() if value is None}
    if chain.spot is None:
        reasons["spot"] = "not_given"
    if no_time is not None:
        reasons["t"] = no_time
    return reasons


def _ratio_reason(call: object, put: object, what: str) -> str:
    if call is None:
        return f"no_call_{what}"
    return f"no_put_{what}" if put is None else f"call_{what}_is_zero"


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def _none(value: float) -> float | None:
    return None if math.isnan(value) else value
