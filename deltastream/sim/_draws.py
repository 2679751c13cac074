"""Drawing faults: which, when and how bad, from the seed and the profile alone."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deltastream.market import calendar, product
from deltastream.sim import _kinds as kinds
from deltastream.sim._kinds import Fault
from deltastream.sim.scenario import Scenario

__all__ = ["PROFILES", "draw_faults"]

_BEGIN_S: Final = 2.0
_END: Final = 0.8
_MOST_FAULTS: Final = 400
_VERBS: Final = {
    "journal": ("BEGIN", "INSERT", "COMMIT", "COMMIT", "SELECT", "PRAGMA"),
    "store": ("BEGIN", "INSERT", "UPDATE", "COMMIT", "COMMIT", "SELECT"),
}


@dataclass(frozen=True, slots=True)
class _Profile:
    """How often something happens, and what.

    Attributes:
        every_s: seconds per fault on average; 0: `least` to `most` of them, however long it takes.
        least, most: how many at least; the most at once.
        weights: by kind; one that is not there never happens.
    """

    every_s: float
    least: int
    most: int
    weights: Mapping[str, float]


class _Drawing:
    """One fault's parameters: everything from a generator of its own."""

    def __init__(self, scenario: Scenario, rng: random.Random, at: float, end: float, open_s: _Open) -> None:
        self.scenario, self.rng, self.at, self.end, self._open = scenario, rng, at, end, open_s

    def seconds(self, low: float, high: float) -> float:
        """Some time, small ones as likely as large ones."""
        return round(low * math.pow(high / low, self.rng.random()), 3)  # seam: milliseconds

    def lasting(self, low: float, high: float) -> float:
        """A duration that leaves some time before the end."""
        return round(max(min(self.seconds(low, high), self.end - self.at), 0.5), 3)

    def steps(self) -> int:
        """Task steps: mostly within the work of one message, sometimes far off."""
        return int(2.0 ** self.rng.uniform(0.0, 9.0)) - 1

    def product(self) -> str | None:
        """One product that trades at the time, or all of them."""
        trading = [symbol for symbol in self.scenario.products if self._open(symbol, self.at)]
        return self.rng.choice(trading) if trading and self.rng.random() < 0.6 else None

    def share(self, low: float, high: float) -> float:
        """A fraction."""
        return round(self.rng.uniform(low, high), 3)

    def file(self) -> str:
        """Which files a disk's fault is about."""
        return self.rng.choice(("journal", "store", "both"))


_Open = Callable[[str, float], bool]


def _crash(d: _Drawing) -> dict[str, Any]:
    # those that do the work crash more often than those that look on
    weights = [1, 3, 3, 4, 4, 4, 4, 1]
    if d.scenario.people or d.scenario.clients:
        weights.append(3)
    if d.scenario.clients:
        weights += [4] * len(kinds.SOCKETS)
    return {"child": d.rng.choices(_children(d), weights)[0], "steps": d.steps()}


def _children(d: _Drawing) -> tuple[str, ...]:
    if d.scenario.clients:
        return (*kinds.CHILDREN, kinds.AUTH, *kinds.SOCKETS)
    return (*kinds.CHILDREN, kinds.AUTH) if d.scenario.people else kinds.CHILDREN


def _crash_loop(d: _Drawing) -> dict[str, Any]:
    child = d.rng.choice(_children(d)[1:])
    return {"child": child, "gap_s": d.seconds(0.01, 2.0), "duration": d.lasting(2.0, 12.0)}


def _kill(d: _Drawing) -> dict[str, Any]:
    return {"steps": d.steps(), "down_s": d.seconds(0.1, 5.0)}


def _kill_at_statement(d: _Drawing) -> dict[str, Any]:
    file = d.rng.choice(("journal", "store"))
    return {
        "file": file,
        "verb": d.rng.choice(_VERBS[file]),
        "moment": d.rng.choice(("before", "after")),
        "skip": d.rng.randrange(12),
        "down_s": d.seconds(0.1, 5.0),
    }


def _torn_commit(d: _Drawing) -> dict[str, Any]:
    return {
        "file": d.rng.choice(("journal", "store")),
        "share": d.share(0.0, 1.0),
        "skip": d.rng.randrange(12),
        "down_s": d.seconds(0.1, 5.0),
    }


def _power_cut(d: _Drawing) -> dict[str, Any]:
    return {
        "journal_share": d.rng.choice((0.0, 1.0, d.share(0.0, 1.0), d.share(0.0, 1.0))),
        "store_share": d.rng.choice((0.0, 1.0, d.share(0.0, 1.0), d.share(0.0, 1.0))),
        "down_s": d.seconds(0.5, 5.0),
    }


def _flipped_bytes(d: _Drawing) -> dict[str, Any]:
    part = d.rng.choice(("wal", "frames", "structure"))
    return {"part": part, "count": d.rng.randint(1, 4), "down_s": d.seconds(0.5, 5.0)}


def _old_copy(d: _Drawing) -> dict[str, Any]:
    file = d.rng.choice(("journal", "store"))
    return {"file": file, "duration": d.lasting(2.0, 20.0), "down_s": d.seconds(0.5, 5.0)}


def _clock_jump(d: _Drawing) -> dict[str, Any]:
    by = d.seconds(1.0, 4 * 3600.0) * d.rng.choice((-1.0, 1.0))
    return {"by_s": by, "duration": d.rng.choice((0.0, d.lasting(1.0, 20.0)))}


def _repeat(d: _Drawing) -> dict[str, Any]:
    return _feed(d) | {
        "share": d.share(0.1, 1.0),
        "delay_s": d.rng.choice((0.0, d.seconds(0.05, 5.0))),
        "keyed": d.rng.random() < 0.5,
    }


def _feed(d: _Drawing, low: float = 3.0, high: float = 20.0) -> dict[str, Any]:
    return {"product": d.product(), "duration": d.lasting(low, high)}


_DRAW: Final[Mapping[str, tuple[type[Any], Callable[[_Drawing], dict[str, Any]]]]] = {
    "crash": (kinds.Crash, _crash),
    "crash_loop": (kinds.CrashLoop, _crash_loop),
    "kill": (kinds.Kill, _kill),
    "kill_at_statement": (kinds.KillAtStatement, _kill_at_statement),
    "torn_commit": (kinds.TornCommit, _torn_commit),
    "power_cut": (kinds.PowerCut, _power_cut),
    "flipped_bytes": (kinds.FlippedBytes, _flipped_bytes),
    "ruined_store": (kinds.RuinedStore, lambda d: {"down_s": d.seconds(0.5, 5.0)}),
    "old_copy": (kinds.OldCopy, _old_copy),
    "pause": (kinds.Pause, lambda d: {"duration": d.lasting(0.05, 15.0)}),
    "clock_jump": (kinds.ClockJump, _clock_jump),
    "repeat": (kinds.Repeat, _repeat),
    "late": (
        kinds.Late,
        lambda d: _feed(d) | {"share": d.share(0.3, 0.9), "delay_s": d.seconds(0.5, 8.0)},
    ),
    "reorder": (kinds.Reorder, lambda d: _feed(d) | {"window": d.rng.randint(2, 6)}),
    "mute": (kinds.Mute, lambda d: _feed(d, 2.0, 25.0)),
    "outage": (kinds.Outage, lambda d: _feed(d, 2.0, 15.0)),
    "feed_break": (kinds.FeedBreak, lambda d: {}),
    "garbage": (kinds.Garbage, lambda d: _feed(d) | {"per_s": d.seconds(0.5, 10.0)}),
    "flood": (kinds.Flood, lambda d: {"product": d.product(), "count": d.rng.randint(100, 1500)}),
    "sql_error": (
        kinds.SqlError,
        lambda d: {
            "file": d.file(),
            "error": d.rng.choice(("busy", "io", "memory")),
            "share": d.seconds(0.01, 1.0),
            "duration": d.lasting(1.0, 8.0),
        },
    ),
    "full_disk": (kinds.FullDisk, lambda d: {"file": d.file(), "duration": d.lasting(2.0, 12.0)}),
    "slow_disk": (
        kinds.SlowDisk,
        lambda d: {"file": d.file(), "delay_s": d.seconds(0.005, 1.0), "duration": d.lasting(1.0, 12.0)},
    ),
    "reader_stalls": (
        kinds.ReaderStalls,
        lambda d: {"reader": d.rng.randrange(max(d.scenario.readers, 1)), "duration": d.lasting(1.0, 20.0)},
    ),
    "reader_leaves": (
        kinds.ReaderLeaves,
        lambda d: {"reader": d.rng.randrange(max(d.scenario.readers, 1)), "duration": d.lasting(0.5, 15.0)},
    ),
}

_GENTLE: Final = {
    "crash": 4.0, "kill": 1.0, "repeat": 2.0, "late": 2.0, "reorder": 2.0, "mute": 1.0, "garbage": 1.0,
    "sql_error": 1.0, "slow_disk": 1.0, "pause": 1.0, "clock_jump": 0.5, "reader_stalls": 2.0,
    "reader_leaves": 2.0,
}  # fmt: skip
_HARD: Final = {
    "crash": 5.0, "crash_loop": 1.0, "kill": 3.0, "kill_at_statement": 3.0, "torn_commit": 2.0,
    "repeat": 2.0, "late": 2.0, "reorder": 2.0, "mute": 2.0, "outage": 1.0, "feed_break": 1.0,
    "garbage": 2.0, "flood": 1.0, "sql_error": 3.0, "full_disk": 2.0, "slow_disk": 2.0, "pause": 2.0,
    "clock_jump": 2.0, "reader_stalls": 2.0, "reader_leaves": 2.0,
}  # fmt: skip
_MAY_MISS: Final = ("reader_stalls", "reader_leaves", "sql_error", "late", "reorder")
"""Kinds that may find nothing to strike: the first fault of a plan is never one of them."""

_DAMAGE: Final = {"power_cut": 1.5, "flipped_bytes": 1.5, "ruined_store": 0.7, "old_copy": 1.5}

PROFILES: Final[Mapping[str, _Profile]] = {
    "none": _Profile(0.0, 0, 0, {}),
    "mild": _Profile(120.0, 1, 2, _GENTLE),
    "rough": _Profile(40.0, 2, 4, _HARD),
    "wild": _Profile(6.0, 5, 12, _HARD | _DAMAGE),
    "short": _Profile(0.0, 1, 4, _HARD | _DAMAGE),
}
"""none: nothing goes wrong. mild: a bad day; rough: a bad disk, a bad feed and a bad program; wild:
all of that at once, and damaged files, too. short: one to four faults of any kind in a minute, which
is what the test suite runs.
"""


def draw_faults(scenario: Scenario) -> Iterator[Fault]:
    """The faults of a scenario, by time.

    Raises:
        ValueError: there is no such profile.
    """
    profile = PROFILES.get(scenario.profile)
    if profile is None:
        raise ValueError(f"no profile {scenario.profile!r}; there are {', '.join(PROFILES)}")
    rng = random.Random(f"plan/{scenario.profile}/{scenario.seed}")
    count = _count(profile, scenario, rng)
    first, last = _window(scenario)
    times = sorted(round(rng.uniform(first, first + _END * (last - first)), 3) for _ in range(count))
    if count > 1 and rng.random() < 0.2:
        times[1] = times[0]  # misfortunes never come singly
    for number, at in enumerate(times, start=1):
        own = random.Random(f"plan/{scenario.profile}/{scenario.seed}/{number}")
        weights = {k: w for k, w in profile.weights.items() if number > 1 or k not in _MAY_MISS}
        kind, parameters = _DRAW[own.choices(list(weights), list(weights.values()))[0]]
        drawing = _Drawing(scenario, own, at, last, _opening(scenario))
        yield kind(id=number, at=at, **parameters(drawing))


def _count(profile: _Profile, scenario: Scenario, rng: random.Random) -> int:
    if profile.every_s == 0.0:
        return rng.randint(profile.least, profile.most)
    expected = scenario.duration_s / profile.every_s
    return min(max(round(expected * rng.uniform(0.7, 1.3)), profile.least), _MOST_FAULTS)


def _opening(scenario: Scenario) -> _Open:
    """Tells whether a product trades at some second of the scenario."""

    def is_open(symbol: str, at: float) -> bool:
        if scenario.hours == "always":
            return True
        return calendar(product(symbol).calendar).is_open(scenario.start + round(at * 1e9))

    return is_open


def _window(scenario: Scenario) -> tuple[float, float]:
    """When faults have something to strike: while a market is open, or at any time if none ever is."""
    begin, end = min(_BEGIN_S, scenario.duration_s / 10), scenario.duration_s * 0.95
    if scenario.hours == "always":
        return begin, end
    opens, closes = [], []
    for symbol in scenario.products:
        hours = calendar(product(symbol).calendar)
        session = hours.session_at(hours.next_open(scenario.start))
        if session is not None:
            opens.append((session.open_ns - scenario.start) / 1e9)
            closes.append((session.close_ns - scenario.start) / 1e9)
    first, last = max(min(opens, default=begin), begin), min(max(closes, default=end), end)
    return (first, last) if first < last else (begin, end)
