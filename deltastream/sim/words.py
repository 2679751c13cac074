"""Scenarios, faults and instants in words, for traces and the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from deltastream.market import calendar, product
from deltastream.sim.plan import Fault, kind_of
from deltastream.sim.scenario import Scenario

__all__ = ["describe_fault", "describe_scenario", "local", "plain", "plural", "zone_of"]


def describe_scenario(scenario: Scenario) -> str:
    """A scenario in words."""
    what = ", ".join(scenario.products)
    zone = zone_of(scenario)
    start = local(scenario.start, zone)
    hours = "around the clock" if scenario.hours == "always" else "by the exchanges' hours"
    return (
        f"seed {scenario.seed}: {what} for {_span(scenario.duration_s)} from {start:%Y-%m-%d %H:%M:%S} "
        f"{zone.key}, {hours}; {plural(scenario.readers, 'reader')}, faults {scenario.profile}"
    )


def describe_fault(fault: Fault) -> str:
    """A fault in words: its kind, and what it is about."""
    fields = msgspec.structs.asdict(fault)
    told = {name: value for name, value in fields.items() if name not in ("id", "at", "duration")}
    if fault.duration:
        told["for"] = f"{fault.duration:g} s"
    about = ", ".join(f"{name} {plain(value)}" for name, value in told.items() if value is not None)
    return f"{kind_of(fault)} ({about})" if about else kind_of(fault)


def zone_of(scenario: Scenario) -> ZoneInfo:
    """The time zone of the first product's exchange."""
    return ZoneInfo(calendar(product(scenario.products[0]).calendar).tz)


def local(ts_ns: int, zone: ZoneInfo) -> datetime:
    """An instant, nanoseconds UTC, in that zone."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts_ns // 1000)).astimezone(zone)


def plain(value: object) -> str:
    """A value without digits that say nothing."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def plural(count: int, what: str, ending: str = "s") -> str:
    """So many of something."""
    return f"{count:,} {what}{'' if count == 1 else ending}"


def _span(seconds: float) -> str:
    return str(timedelta(seconds=seconds)) if seconds >= 3600 else f"{seconds:g} s"
