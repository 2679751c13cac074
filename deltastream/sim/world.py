"""A world: one scenario, one machine, one market, and everybody who looks on."""

from __future__ import annotations

import gc
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import trio

from deltastream.feeds.synthetic import SyntheticProvider
from deltastream.host.tree import caught_up
from deltastream.seams import Seams
from deltastream.sim.hooks import Hooks
from deltastream.sim.host import SimHost, settings_of
from deltastream.sim.ledger import Ledger
from deltastream.sim.machine import RESTART_S, Damage, Machine
from deltastream.sim.market import Market
from deltastream.sim.observer import Observer
from deltastream.sim.scenario import Scenario
from deltastream.sim.schedule import VirtualClock
from deltastream.sim.seams import SimClock, SimIds, SimSecrets, SimThreads
from deltastream.sim.verdict import Counts, Verdict, Violation
from supervisors import ChildState, SupervisorStatistics

__all__ = ["World"]

SETTLE_S: Final = 120.0
"""How long after the end of the feed everything may take to be done with."""

STOP_S: Final = 10.0
"""How long an ordered stop may take before it counts as stuck."""

_LOOK_S: Final = 0.25
_SPARE_S: Final = 600.0
_COLLECT_S: Final = 900
_KEPT_S: Final = 600.0


class World(Hooks):
    """Runs one simulation. Append to the hooks (see `Hooks`), then `run` it, once.

    Attributes:
        scenario, plan: what is simulated.
        clock: the machine's time of day, to be set forth and back.
        ledger: everything that was accepted; in scenarios of more than ten minutes only how much.
        observer: what was published.
        violations: what was violated so far.
        counts: what happened so far; complete in the verdict.
        closing: the feed has ended; nothing shall go wrong from here on.
        failure: the error with which the last incarnation that ended has given up, or None.
        baseline: how many tasks lived before the first start, for `after_stop` to compare.

    Args:
        directory: an empty one; everything in it is the world's.
    """

    def __init__(self, scenario: Scenario, plan: Any, directory: Path) -> None:
        super().__init__()
        self.scenario = scenario
        self.plan = plan
        self.directory = directory
        self.clock = SimClock(scenario.start)
        self.trio_clock = VirtualClock(limit=scenario.duration_s + SETTLE_S + _SPARE_S)
        self.ledger = Ledger(keep=scenario.duration_s <= _KEPT_S)
        self.on_accept.append(self.ledger.enter)
        self.observer = Observer(self)
        self.violations: list[Violation] = []
        self.counts = Counts()
        self.closing = False
        self.failure: BaseException | None = None
        self.baseline = 0
        self._market = Market(self._new_provider(), scenario.bundle_s)
        self._machine = Machine(directory, self._new_host, self._host_up, self._host_down)

    # What hooks may ask and do.

    def now(self) -> float:
        """Virtual seconds since the start."""
        return self.trio_clock.now

    def rng(self, name: str) -> random.Random:
        """A generator drawn from the scenario's seed and a name; always the same for the same name."""
        return random.Random(f"{name}/{self.scenario.seed}")

    @property
    def host(self) -> SimHost | None:
        """The living incarnation whose tree stands; None while there is none."""
        return self._machine.host

    @property
    def incarnation(self) -> int:
        """Its number, from 1; while there is none, that of the last one."""
        return self._machine.number

    async def up(self) -> SimHost:
        """The living incarnation, as soon as there is one. Cancellation: no effect."""
        return await self._machine.up()

    async def attend(self, use: Callable[[SimHost], Awaitable[None]], *, early: bool = False) -> None:
        """Call `use` with every incarnation as it comes up, until cancelled.

        It is cancelled when that incarnation has died; what it got out of it may be from after its
        death, unless `SimHost.alive` tells otherwise.

        Args:
            early: as soon as there is one, though its tree may not stand yet, nor ever.
        """
        while True:
            host = await (self._machine.begun() if early else self.up())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_at_death, host, nursery.cancel_scope)
                await use(host)
                await host.death.wait()

    def kill(self, after_steps: int = 0, damage: Damage | None = None, down_s: float = RESTART_S) -> bool:
        """Kill the process, as ``kill -9`` does.

        Its files are copied at that very instant. From then on what it still does counts for nobody: it
        unwinds over its old files, while the next one starts over the copy.

        Args:
            after_steps: how many more task steps of the whole system are made first.
            damage: called with the directory of the copy before the next process starts.
            down_s: how long until that.

        Returns:
            Whether there is a process to kill, and none is about to be killed already; never when closing.
        """
        return not self.closing and self._machine.kill(after_steps, damage, down_s)

    def pause(self, seconds: float) -> None:
        """Stop the process for so long, as ``kill -STOP`` does: time passes, and nobody runs."""
        self.trio_clock.jump(seconds)

    def struck(self, fault: Any, detail: str = "") -> None:
        """Tell that a fault has struck something."""
        kind = str(getattr(getattr(fault, "__struct_config__", None), "tag", None) or type(fault).__name__)
        self.counts.struck[kind] = self.counts.struck.get(kind, 0) + 1
        for hook in self.on_struck:
            hook(fault, detail)

    def violate(self, invariant: str, detail: str) -> None:
        """Tell that a promise was not kept."""
        violation = Violation(invariant, round(self.now(), 6), self.tidy(detail))
        self.violations.append(violation)
        for hook in self.on_violation:
            hook(violation)

    def tidy(self, text: str) -> str:
        """A text without the name of the scratch directory, which is another one each time."""
        return text.replace(str(self.directory), "~")

    # The run.

    async def run(self) -> Verdict:
        """From the first start to the last stop."""
        self.baseline = trio.lowlevel.current_statistics().tasks_living
        async with trio.open_nursery() as everything:
            everything.start_soon(self._machine.run)
            async with trio.open_nursery() as company:
                company.start_soon(self._begin, company)
                await trio.sleep_until(self.scenario.duration_s)
                self.closing = True
                self._machine.disarm()
                self._market.ended = True
                await self._settle()
                for check in self.at_end:
                    await check()
                company.cancel_scope.cancel("the simulation ends")
            await self._stop(everything.cancel_scope)
        for look in self.after_stop:
            look()
        return self.verdict()

    def verdict(self) -> Verdict:
        """What came of it so far."""
        counts = self.counts
        counts.accepted, counts.published = self.ledger.count, self.observer.published
        counts.enriched, counts.gaps = self.observer.enriched, self.observer.gaps
        counts.kills, counts.gave_up = self._machine.kills, self._machine.gave_up
        counts.starts = self._machine.number
        return Verdict(
            scenario=self.scenario,
            plan=self.plan,
            digest=self.observer.digest,
            counts=counts,
            virtual_s=round(self.trio_clock.now, 6),
            violations=tuple(self.violations),
        )

    async def _begin(self, company: trio.Nursery) -> None:
        company.start_soon(self.observer.run)
        await self.up()
        company.start_soon(self._each_second)
        for task in self.tasks:
            company.start_soon(task)

    async def _each_second(self) -> None:
        while True:
            await trio.sleep_until(float(int(self.now()) + 1))
            if int(self.now()) % _COLLECT_S == 0:
                gc.collect()
            for look in self.every_second:
                await look()

    async def _settle(self) -> None:
        """Wait until nothing is left to do; a violation where that takes too long."""
        with trio.move_on_after(SETTLE_S) as scope:
            while (left := await self._left()) is not None:  # noqa: ASYNC110  rest has no event
                await trio.sleep(_LOOK_S)
        if scope.cancelled_caught:
            self.violate("not_settled", f"{SETTLE_S:.0f} s after the end of the feed: {left}")

    async def _left(self) -> str | None:
        """What is left to do, in words."""
        host = self.host
        if host is None or host.tree is None:
            return "no host is up"
        if (state := _unwell(host.tree.statistics())) is not None:
            return state
        if not await caught_up(host.bus):
            return "messages have not taken effect"
        bus = await host.bus.statistics()
        if bus.pending:
            return "messages wait to be committed"
        for ask in self.unsettled:
            if (left := await ask()) is not None:
                return left
        for topic in bus.topics:
            if self.observer.seen.get(topic.topic, 0) != topic.last_seq:
                return f"the observer has not seen all of {topic.topic}"
        return None

    async def _stop(self, everything: trio.CancelScope) -> None:
        self._machine.stop()
        with trio.move_on_after(STOP_S) as scope:
            await self._machine.ended.wait()
        if scope.cancelled_caught:
            self.violate("stop_late", f"the host has not stopped within {STOP_S:.0f} s")
            everything.cancel("the simulation ends")

    def _new_provider(self) -> SyntheticProvider:
        settings = settings_of(self.scenario, self.directory, self.actors)
        return SyntheticProvider(settings.synthetic, self._seams(0, lambda: True))

    def _new_host(self, number: int, data: Path) -> SimHost:
        settings = settings_of(self.scenario, data, self.actors)
        seams = self._seams(number, lambda: host.alive)
        host = SimHost(number, settings, seams, self._market, self)
        return host

    def _seams(self, number: int, alive: Callable[[], bool]) -> Seams:
        rng, doze = self.rng(f"threads/{number}"), self.trio_clock.doze
        threads = SimThreads(rng, number, alive, doze, self.on_thread, self.on_sql)
        return Seams(
            clock=self.clock,
            rng=self.rng(f"host/{number}"),
            ids=SimIds(self.rng(f"ids/{number}")),
            threads=threads,
            secrets=SimSecrets(self.rng(f"secrets/{number}")),
        )

    def _host_up(self, host: SimHost) -> None:
        for hook in self.on_up:
            hook(host.number)

    def _host_down(self, host: SimHost, how: str, error: BaseException | None) -> None:
        self.counts.stored += host.stored
        self.failure = error
        if how == "ended":
            self.violate("host_ended", "the host has ended without being asked")
        for hook in self.on_down:
            hook(host.number, how)


async def _cancel_at_death(host: SimHost, scope: trio.CancelScope) -> None:
    await host.death.wait()
    scope.cancel("the host has died")


def _unwell(node: Any) -> str | None:
    """What ails an actor, in words; None where all are well."""
    if isinstance(node, SupervisorStatistics):
        return next((found for child in node.children if (found := _unwell(child)) is not None), None)
    if node.state in (ChildState.RUNNING, ChildState.STOPPED):
        return None
    return f"{node.path} is {node.state.value}"
