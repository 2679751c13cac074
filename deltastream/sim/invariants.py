"""The promises of the design, checked on a world while it runs, when all has settled, and after the stop."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, Final

import trio

from deltastream.bus.protocol import Gap, Record
from deltastream.messages import MarketStatus
from deltastream.sim.acceptance import Acceptance
from deltastream.sim.comparison import compare_store
from deltastream.sim.excuses import RECOVERY_S, Excuses
from deltastream.sim.freshness import Freshness
from deltastream.sim.health import LAG_S, Health, Intake
from deltastream.sim.leaks import Leaks
from deltastream.sim.log_check import check_log, check_trimmed
from deltastream.sim.machine import process
from deltastream.sim.model import Model
from deltastream.sim.readers import Obeyed, Readers
from deltastream.sim.restarts import Restarts
from supervisors import Event, EventKind

if TYPE_CHECKING:
    from deltastream.sim.host import SimHost
    from deltastream.sim.ledger import Accepted
    from deltastream.sim.world import World

__all__ = ["Invariants", "watch"]

_LONG_S: Final = 600.0
_EVERY: Final = 16
_SHARE: Final = 0.1
_LOOK_S: Final = 10
_LETTERS: Final = 1_000_000
_FEED: Final = "host/pipeline/feed"
_FAILURES: Final = (EventKind.CRASHED, EventKind.START_FAILED, EventKind.STUCK)


def watch(world: World, obeys: Obeyed | None = None) -> Invariants:
    """Have all invariants checked on a world; to be called when all faults have taken hold of it.

    Args:
        obeys: the faults of readers, which only readers can carry out.
    """
    return Invariants(world, obeys)


class Invariants:
    """Takes hold of a world's hooks and tells it of every violation.

    In scenarios longer than ten minutes only a sample is worked out again: one enriched chain in
    16; a tenth of the bodies of chains and surfaces in the store, and of the log's pages; and
    actors, lags and readers are looked at every ten seconds, not each. All else is always
    compared: that every chain has its result and every result holds its source's columns, all
    ticks, bars, metrics and statuses, every position.

    Attributes:
        model, readers: see there.
    """

    def __init__(self, world: World, obeys: Obeyed | None = None) -> None:
        self._world = world
        scenario = world.scenario
        self._excuses = Excuses(durable=scenario.durability == "power", trims=scenario.max_age_s is not None)
        complain = world.violate
        thorough = world.scenario.duration_s <= _LONG_S
        settings = _analytics(world)
        self._share = 1.0 if thorough else _SHARE
        self._look_s = 1 if thorough else _LOOK_S
        every = 1 if thorough else _EVERY
        self.model = Model(settings, complain, self._excuses.explains, every=every)
        self.readers = Readers(world, complain, obeys)
        self._accepted = Acceptance(self.model.history, complain)
        self._health = Health(self._excuses, complain)
        self._intake = Intake(self._done_by_feed, complain)
        gathers_s = scenario.read_interval_s
        self._freshness = Freshness(_silence(world), self._excuses, complain, gathers_s=gathers_s)
        self._restarts: Restarts | None = None
        self._events: list[Event] = []
        self._host: SimHost | None = None
        self._leaks: Leaks | None = None
        world.on_record.append(self._record)
        world.on_accept.append(self._accept)
        world.on_event.append(self._event)
        world.on_struck.append(self._struck)
        world.on_up.append(self._up)
        world.on_down.append(self._down)
        world.every_second.append(self._look)
        world.wrap_provider.append(self._intake.wrap)
        world.at_end.append(self._end)
        world.after_stop.append(self._stopped)

    # As it happens

    def _struck(self, fault: Any, detail: str) -> None:
        self._excuses.strike(self._world.now(), fault)

    def _record(self, item: Record | Gap) -> None:
        seen = self.model.observe(item, self._world.observer.frame)
        if seen is None or not isinstance(item, Record):
            return
        seen.at = self._world.now()
        self._accepted.see(item.topic, item.position, seen, item.message)
        if isinstance(item.message, MarketStatus):
            self._freshness.publish(self._world.now(), item.message)

    def _accept(self, entry: Accepted) -> None:
        self._accepted.accept(entry.topic, entry.position, entry.message, entry.key)
        self._freshness.hear(self._world.now(), entry.message)

    def _event(self, event: Event) -> None:
        now = self._world.now()
        if event.kind in _FAILURES and not self._excuses.around(now, now, "restart", "degraded", "give_up"):
            error = event.error and f"{event.error.type}: {event.error.message}"
            self._world.violate("crash_unexplained", f"{event.path}: {event.kind.value}, {error}")
        if self._restarts is None:
            self._events.append(event)
        else:
            self._restarts.follow([event])

    def _up(self, number: int) -> None:
        self._host = host = self._world.host
        if self._leaks is None:
            self._leaks = Leaks(self._world.baseline, self._world.directory, self._world.violate)
        if host is not None and host.tree is not None:
            self._restarts = Restarts(host.tree.statistics(), self._world.violate)
            self._restarts.follow(self._events)
        self._events.clear()

    def _down(self, number: int, how: str) -> None:
        gave_up = self._restarts is not None and self._restarts.gave_up is not None
        if how == "gave_up" and self._restarts is not None and not gave_up:
            self._world.violate("gave_up_unexplained", f"host {number} has ended, its root did not give up")
        if how == "gave_up" and not self._excuses.ever("give_up", "degraded", "lost_any"):
            self._world.violate("gave_up_unexplained", f"host {number} gave up: no fault accounts for it")
        if gave_up and how not in ("gave_up", "killed"):
            self._world.violate("escalation", f"host {number} was {how} after its root gave up")
        self._restarts = None
        self._events.clear()

    # Each second

    async def _look(self) -> None:
        host, now = self._world.host, self._world.now()
        if host is None or host.tree is None:
            self._health.absent(now)
            return
        waiting = host.tree.events().waiting
        self._health.bounds(host.bus._core.writer.pending_bytes, host.settings.bus.max_pending_bytes, waiting)
        feed = None
        if self._restarts is not None:
            feed = None if self._world.closing else self._restarts.running_since(_FEED)
            for path in self._restarts.unresolved(now):
                self._world.violate("escalation", f"{path} gave up, and its parent has not acted")
        self._freshness.look(now, feed)
        if int(now) % self._look_s == 0:
            await self._look_closely(host, now)

    async def _look_closely(self, host: SimHost, now: float) -> None:
        patience = LAG_S + 2 + self._world.scenario.read_interval_s
        bus = await host.bus.statistics()
        if not host.alive or host.tree is None:
            return
        ends = self._health.recovered(now, bus, host.tree.statistics())
        if ends is not None:
            self.readers.look(now, ends, patience)
        if self._excuses.ever("late_clock", "new_epoch") or not self._excuses.settled(now, patience):
            return
        for product in self._world.scenario.products:
            if self._freshness.is_stale(product, now):
                self.readers.know_stale(product, now, patience)

    def _done_by_feed(self) -> int:
        """What has become of messages that the feed was given: of the process asking, or the living one."""
        host = process.get() or self._world.host
        return 0 if host is None else host.feed.accepted + host.feed.refused.get("not_acceptable", 0)

    # At the end

    async def _end(self) -> None:
        host, world = self._world.host, self._world
        if host is None:
            return
        late = world.now() - max(world.scenario.duration_s, self._excuses.over) - RECOVERY_S
        if late > 0:
            world.violate("not_recovered", f"settled {late:.1f} s later than it should")
        history, excuses = self.model.history, self._excuses
        any_lost, kept = excuses.ever("lost_any"), self._kept_since()
        await check_log(host.bus, history, world.violate, lost=any_lost, share=self._share, kept_since=kept)
        doubtful = math.inf if excuses.ever("store_behind") else excuses.last("lost_any")
        check_trimmed(await host.bus.statistics(), history, world.violate, kept, doubtful)
        lost = excuses.ever("lost_tail", "lost_any")
        self.model.bury(await host.bus.dead_letters(limit=_LETTERS), any_lost, lost=lost)
        for topic, position, message in self._accepted.unseen():
            if lost:
                self.model.suppose(topic, message)
            else:
                world.violate("lost_accepted", f"{topic} {position.epoch}/{position.seq} is not in the log")
        self._accepted.complete(self._forgotten)
        # A copy from before an epoch cannot know what the epoch's positions mean; nor can a journal whose
        # two pages with the epoch's name were both damaged, of any position.
        copied = len(history.epochs) > 2 and lost
        nameless = excuses.ever("lost_place") and history.forgotten
        for where in () if copied or nameless else self._accepted.back():
            world.violate("void_needlessly", f"{where} stands where it stood before it was declared void")
        self.model.derivations.complete(any_lost, excuses.ever("lost_place"))
        self.model.derivations.surfaces()
        rng = random.Random(f"instants/{world.scenario.seed}")
        await compare_store(
            self.model,
            host.store,
            world.violate,
            rng,
            share=self._share,
            extras_excused=lost,
            repeats_excused=excuses.ever("lost_place") and len(history.epochs) > 2,
        )
        await self.readers.compare(host.store, history)

    def _kept_since(self) -> float:
        """From when on every message must still be in the journal.

        Its age is counted from when it was given to the bus: where the bus has waited for its disk, the
        clock was set ahead, or an older log was found again under a new epoch, that cannot be told. What
        was accepted as the process was killed is seen when there is one again.
        """
        if self._world.scenario.max_age_s is None:
            return -math.inf
        if self._excuses.ever("late_clock", "degraded", "new_epoch"):
            return math.inf
        unseen_s = LAG_S + self._excuses.longest_down
        return self._world.now() - self._world.scenario.max_age_s + unseen_s

    def _forgotten(self, since: float, until: float) -> bool:
        """Whether what was seen at `since` may have left the journal by `until`: so old it was, or seemed."""
        age_s = self._world.scenario.max_age_s
        if age_s is None:
            return False
        return until - since > age_s or self._excuses.between(since - LAG_S, until, "aged")

    def _stopped(self) -> None:
        if self._leaks is not None and self._host is not None:
            tasks = trio.lowlevel.current_statistics().tasks_living
            self._leaks.check(tasks, _held(self._host))


def _held(host: SimHost) -> dict[str, int]:
    """What the parts of a stopped host still count."""
    core = host.bus._core
    return {
        "pending bytes of the bus": core.writer.pending_bytes,
        "followers of the bus": len(core.followers),
        "members of its groups": sum(len(group.members) for group in core.groups.by_name.values()),
        "watchers of its topics": len(core.topics.watchers) - 1,
        "threads at work for the store": host.store._writing.borrowed_tokens
        + host.store._reading.borrowed_tokens,
    }


def _analytics(world: World) -> Any:
    from deltastream.sim.host import settings_of

    return settings_of(world.scenario, world.directory).analytics


def _silence(world: World) -> float:
    return 5.0 * max(1.0, world.scenario.tick_interval_s)
