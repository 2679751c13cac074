"""What came of a simulation."""

from __future__ import annotations

from typing import Any

import msgspec

from deltastream.sim.scenario import Scenario

__all__ = ["Counts", "Verdict", "Violation"]


class Violation(msgspec.Struct, frozen=True):
    """A promise that was not kept.

    Attributes:
        invariant: which, a short code such as "lost_accepted".
        at: when it was seen, virtual seconds since the start.
        detail: what was seen, in words.
    """

    invariant: str
    at: float
    detail: str


class Counts(msgspec.Struct, kw_only=True):
    """What happened, in numbers.

    Attributes:
        accepted: messages whose append was acknowledged to a feed; enriched, stored: chains enriched
            and records applied to the store.
        published: records that the observer saw; gaps: gaps that it was told.
        planned: faults by kind; struck: how many of them had anything to strike.
        kills: processes killed; gave_up: hosts that ended by themselves; starts: hosts started.
        steps: turns of tasks, where they were counted.
    """

    accepted: int = 0
    enriched: int = 0
    stored: int = 0
    published: int = 0
    gaps: int = 0
    planned: dict[str, int] = {}
    struck: dict[str, int] = {}
    kills: int = 0
    gave_up: int = 0
    starts: int = 0


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one simulation.

    Attributes:
        scenario, plan: what was simulated.
        digest: SHA-256 of everything that was published, in the order it was seen, hexadecimal.
        counts: see `Counts`.
        virtual_s: how long it took in virtual time, the end included.
        violations: in the order they were seen; none in a good one.
    """

    scenario: Scenario
    plan: Any = None
    digest: str
    counts: Counts
    virtual_s: float
    violations: tuple[Violation, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every promise was kept."""
        return not self.violations
