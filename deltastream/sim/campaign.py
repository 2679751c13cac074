"""A campaign: many seeds over several processes, and what came of them in sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec
import trio

from deltastream.sim.case import Case
from deltastream.sim.worker import Outcome, open_worker

__all__ = ["Row", "Summary", "Tell", "campaign"]


class Row(msgspec.Struct, frozen=True):
    """One seed of a campaign.

    Attributes:
        ok: whether every promise was kept.
        digest: SHA-256 of everything that was published; "" where the process gave none.
        virtual_s, real_s: how long it took.
        accepted: messages.
        violated: invariants, each once.
    """

    seed: int
    ok: bool
    digest: str
    virtual_s: float
    real_s: float
    accepted: int
    violated: tuple[str, ...] = ()


@dataclass
class Summary:
    """What came of a campaign so far.

    Attributes:
        rows: one for each seed, in the order in which they were done.
        failures: the outcomes that were not good.
        counts: accepted, enriched and stored messages, kills, starts, hosts that gave up.
        planned, struck: faults by kind.
        real_s: how long it has run.
    """

    rows: list[Row] = field(default_factory=list)
    failures: list[Outcome] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    planned: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    real_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """One more seed."""
        verdict = outcome.verdict
        violated = tuple(dict.fromkeys(violation.invariant for violation in verdict.violations))
        counts = verdict.counts
        self.rows.append(
            Row(
                seed=verdict.scenario.seed,
                ok=verdict.ok,
                digest=verdict.digest,
                virtual_s=verdict.virtual_s,
                real_s=round(outcome.real_s, 3),
                accepted=counts.accepted,
                violated=violated,
            )
        )
        if not verdict.ok:
            self.failures.append(outcome)
        for name in ("accepted", "enriched", "stored", "kills", "gave_up", "starts"):
            self.counts[name] += getattr(counts, name)
        self.planned.update(outcome.case.plan.counts())
        self.struck.update(counts.struck)

    @property
    def ok(self) -> bool:
        """Whether every promise was kept."""
        return not self.failures

    @property
    def virtual_s(self) -> float:
        """Virtual seconds of all seeds together."""
        return sum(row.virtual_s for row in self.rows)

    @property
    def distinct(self) -> int:
        """How many different digests there are."""
        return len({row.digest for row in self.rows if row.digest})

    @property
    def slowest(self) -> Row | None:
        """The seed that took longest."""
        return max(self.rows, key=lambda row: row.real_s, default=None)


Tell: TypeAlias = Callable[[Outcome], object]


async def campaign(
    cases: Iterator[Case],
    summary: Summary,
    *,
    jobs: int,
    for_s: float | None = None,
    tell: Tell | None = None,
) -> None:
    """Run cases until there are no more, or the time is up.

    Cancellation: ends it at once. The summary has what was done; a case under way is not in it.

    Args:
        cases: what is simulated, in order.
        summary: gets every outcome.
        jobs: how many run at a time, each in a process of its own.
        for_s: real seconds after which no further case is begun; those under way are finished.
        tell: called with every outcome, once it is in the summary.
    """
    start = trio.current_time()

    async def work() -> None:
        async with open_worker() as worker:
            for case in cases:
                outcome = await worker.run(case)
                summary.real_s = trio.current_time() - start
                summary.add(outcome)
                if tell is not None:
                    tell(outcome)
                if for_s is not None and summary.real_s >= for_s:
                    return

    try:
        async with trio.open_nursery() as nursery:
            for _ in range(jobs):
                nursery.start_soon(work)
    finally:
        summary.real_s = trio.current_time() - start
