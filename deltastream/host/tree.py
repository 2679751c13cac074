"""The host: one supervisor tree over one data directory."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
import trio

from deltastream.actors import Analytics, Enricher, Feed, Storage
from deltastream.bus import Bus, BusStatistics, EmbeddedBus, matches
from deltastream.errors import DeltaStreamError
from deltastream.feeds.protocol import Provider
from deltastream.feeds.replay import ReplayProvider
from deltastream.feeds.replayed import Replayed
from deltastream.host.config import PIPELINE, Settings
from deltastream.host.control import serve_control
from deltastream.host.data_dir import DataDirectory, open_data_directory
from deltastream.latency import LatencyStatistics
from deltastream.messages import Position
from deltastream.seams import Seams
from deltastream.storage import SqliteRepository
from supervisors import (
    ChildSpec,
    Context,
    Event,
    EventKind,
    Intensity,
    LagStatistics,
    LoopLag,
    Restart,
    StartFailed,
    Strategy,
    SupervisorSpec,
    Tree,
    open_tree,
)

if TYPE_CHECKING:
    from deltastream.host.edge import Edge
    from deltastream.sockets.statistics import SocketStatistics

__all__ = ["Host", "caught_up"]

STOP_BUDGET_S: Final = 3.5
"""For all actors together; with what the process itself needs, a stop takes less than 5 s."""
SALVAGE_S: Final = 600.0
"""Opening a damaged journal or a large store may take long; it is not a hung start."""
CATCH_UP_S: Final = 0.05
MARKET: Final = "market.*"

log = structlog.get_logger("deltastream.host")


class Host:
    """Everything that runs on one machine, in one process.

    The factory methods `make_bus`, `make_store` and `make_provider` are the only places that choose
    implementations.

    Attributes:
        settings: the whole configuration.
        seams: doors to clock, randomness, ids and threads.
        data_dir: where its files lie.
        bus, store, feed: the parts.
        edge: who may come in from outside, and how; None where nobody may.
        tree: the running tree; None before and after.
        began: where the topics ended when the feed first began; None before.
        replayed: what a replay has given, once it has ended.
    """

    def __init__(self, settings: Settings, seams: Seams) -> None:
        self.settings = settings
        self.seams = seams
        self.data_dir = DataDirectory(Path(settings.data_dir))
        self.tree: Tree | None = None
        self.began: Mapping[str, Position] | None = None
        self.replayed: Replayed | None = None
        self.bus = self.make_bus()
        self.store = self.make_store()
        self._provider = self.make_provider()
        self.feed = Feed(self.bus, self._provider, seams)
        self.edge = self._make_edge()
        self._enricher = Enricher(self.bus, self.store, settings.analytics, seams)
        self._lag = LoopLag()

    def make_bus(self) -> EmbeddedBus:
        """The bus of this host."""
        return EmbeddedBus(self.data_dir.journal, self.settings.bus, self.seams)

    def make_store(self) -> SqliteRepository:
        """The store of this host."""
        return SqliteRepository(self.data_dir.store, self.settings.store, self.seams)

    def make_provider(self) -> Provider:
        """The provider of its feed."""
        if self.settings.feed == "replay":
            return ReplayProvider(self.settings.replay, self.seams)
        from deltastream.feeds.synthetic import SyntheticProvider

        return SyntheticProvider(self.settings.synthetic, self.seams)

    def _make_edge(self) -> Edge | None:
        if "auth" not in self.settings.actors:
            return None
        from deltastream.host.edge import Edge

        return Edge(self)

    @property
    def gateway_url(self) -> str | None:
        """By what a browser reaches its gateway; None where none listens."""
        return self.edge.url if self.edge is not None else None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until asked to stop, or until a replay at full speed has taken effect.

        Cancellation: stops the tree in order before it is raised.

        Raises:
            DeltaStreamError: the host cannot start, or its replay has given nothing; one sentence
                says why.
            SupervisionError: the tree gave up.
        """
        with open_data_directory(self.data_dir.path):
            try:
                async with open_tree(self._tree(), rng=self.seams.rng, on_event=self._log_event) as tree:
                    self.tree = tree
                    self._tell_start()
                    task_status.started()
                    await tree.wait()
            except StartFailed as error:
                if (sentence := _sentence_behind(error)) is not None:
                    raise sentence from None
                log.error("start_failed", exc_info=error)
                raise
            finally:
                self.tree = None
        if self.replayed is not None and self.replayed.nothing:
            raise DeltaStreamError(str(self.replayed))

    def socket_statistics(self) -> SocketStatistics | None:
        """What the sockets have done; None where there are none."""
        return self.edge.socket_statistics() if self.edge is not None else None

    def request_stop(self, reason: str) -> None:
        """Begin the ordered stop; returns at once."""
        log.info("stopping", reason=reason)
        if self.edge is not None:
            self.edge.drain()
        if self.tree is not None:
            self.tree.request_stop()

    def chain_latency(self) -> LatencyStatistics | None:
        """How long chains took from the feed to the bus, enriched; None where none are enriched here."""
        return self._enricher.latency.statistics() if "enricher" in self.settings.actors else None

    def loop_lag(self) -> LagStatistics:
        """How late the event loop was lately."""
        return self._lag.statistics()

    def _tree(self) -> SupervisorSpec:
        """What reads the bus starts before what writes to it, so that the stop drains along the flow."""
        actors = self.settings.actors
        children: list[ChildSpec | SupervisorSpec] = [
            ChildSpec(name="loop-lag", start=self._lag.run),
            ChildSpec(name="bus", start=partial(_bus, self.bus), start_timeout=SALVAGE_S),
            ChildSpec(name="store", start=partial(_store, self.store), start_timeout=SALVAGE_S),
            self._pipeline(),
        ]
        if self.edge is not None:
            children.append(self.edge.spec())
        children.append(ChildSpec(name="control", start=partial(_control, self)))
        if isinstance(self._provider, ReplayProvider) and "feed" in actors:
            end = partial(self._end, self._provider)
            children.append(ChildSpec(name="end", start=end, restart=Restart.TRANSIENT))
        return SupervisorSpec(
            name="host",
            children=tuple(children),
            strategy=Strategy.REST_FOR_ONE,
            intensity=Intensity(max_restarts=5, period=60.0),
            shutdown=STOP_BUDGET_S,
        )

    def _pipeline(self) -> SupervisorSpec:
        settings, bus, store, seams = self.settings, self.bus, self.store, self.seams
        all_of_it = (
            ChildSpec(name="storage", start=Storage(bus, store).run),
            ChildSpec(name="analytics", start=Analytics(bus, store, seams).run),
            ChildSpec(name="enricher", start=self._enricher.run),
            ChildSpec(name="feed", start=self._feed, restart=Restart.TRANSIENT),
        )
        return SupervisorSpec(
            name="pipeline",
            children=tuple(child for child in all_of_it if child.name in settings.actors),
            intensity=Intensity(max_restarts=10, period=60.0),
        )

    async def _feed(self, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
        """The feed; remembers where the topics ended before it."""
        if self.began is None:
            topics = (await self.bus.statistics()).topics
            self.began = {topic.topic: Position(topic.epoch, topic.last_seq) for topic in topics}
        await self.feed.run(ctx, task_status=task_status)

    async def _end(
        self, provider: ReplayProvider, ctx: Context, /, *, task_status: trio.TaskStatus[None]
    ) -> None:
        """Sum up the replay when it has ended; at full speed, stop when every group has caught up."""
        task_status.started()
        await self.feed.exhausted.wait()
        appended = _market_messages(await self.bus.statistics(), self.began or {})
        self.replayed = Replayed.of(provider.tally, accepted=self.feed.accepted, appended=appended)
        tell = log.error if self.replayed.nothing else log.info
        tell("replay_finished", **msgspec.structs.asdict(self.replayed))
        if self.settings.replay.speed != "max":
            return
        while not (self.feed.exhausted.is_set() and await caught_up(self.bus, self.settings.actors)):
            await self.feed.exhausted.wait()
            await trio.sleep(CATCH_UP_S)
        given = "nothing was replayed" if self.replayed.nothing else "the replay has taken effect"
        self.request_stop(given)

    def _tell_start(self) -> None:
        ends = self.began or {}
        found: dict[str, object] = {"messages": sum(end.seq for end in ends.values())}
        if ends:
            found["epoch"] = next(iter(ends.values())).epoch
        if self.bus.salvage is not None:
            found["salvage"] = str(self.bus.salvage)
        log.info(
            "started",
            version=_version(),
            pid=os.getpid(),
            data_dir=str(self.data_dir.path),
            feed=self._provider.name,
            topics=len(ends),
            **found,
        )
        for topic, end in ends.items():
            log.debug("last_position", topic=topic, seq=end.seq)

    def _log_event(self, event: Event) -> None:
        """Log what happens in the tree; until it stands, what fails is raised and told by that."""
        fields: dict[str, object] = {"actor": event.path, "incarnation": event.incarnation}
        if event.detail:
            fields["detail"] = event.detail
        if event.error is not None:
            fields["error"] = f"{event.error.type}: {event.error.message}"
            fields["trace"] = event.error.traceback
        level = _LEVEL.get(event.kind, "info") if self.tree is not None else "debug"
        getattr(log, level)(event.kind.value.replace(" ", "_"), **fields)


@functools.cache
def _version() -> str:
    return version("deltastream")  # reads and parses the package's metadata, each time


def _market_messages(now: BusStatistics, began: Mapping[str, Position]) -> int:
    """How many messages of the market have been appended since."""
    ends = [(topic.last_seq, began.get(topic.topic)) for topic in now.topics if matches(MARKET, topic.topic)]
    return sum(last - (before.seq if before else 0) for last, before in ends)


async def caught_up(bus: Bus, actors: Iterable[str] = PIPELINE) -> bool:
    """Whether every one of these actors of the pipeline has nothing left to do with any topic it reads.

    Neither waiting, nor in flight, nor to be retried; an actor that has not joined yet has it all to do.

    Cancellation: no effect.
    """
    statistics = await bus.statistics()
    standing = {(group.group, group.topic): group for group in statistics.groups}
    readers = [actor for actor in (Storage, Analytics, Enricher) if actor.GROUP in actors]
    owed = {
        (actor.GROUP, topic.topic)
        for topic in statistics.topics
        for actor in readers
        if any(matches(pattern, topic.topic) for pattern in actor.PATTERNS)
    }
    idle = all(group.lag == group.in_flight == group.retrying == 0 for group in standing.values())
    return idle and owed <= standing.keys()


async def _bus(bus: EmbeddedBus, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
    await bus.run(task_status=task_status)


async def _store(store: SqliteRepository, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
    async with store:
        await store.run(task_status=task_status)


async def _control(host: Host, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
    await serve_control(host, ctx, task_status=task_status)


def _sentence_behind(error: BaseException | None) -> DeltaStreamError | None:
    """The sentence for the operator among the causes of a failed start, if there is one."""
    if error is None or isinstance(error, DeltaStreamError):
        return error
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    found = (_sentence_behind(cause) for cause in (error.__cause__, *members))
    return next((sentence for sentence in found if sentence is not None), None)


_LEVEL: Final = {
    EventKind.RESTARTED: "warning",
    EventKind.BACKING_OFF: "warning",
    EventKind.DEGRADED: "warning",
    EventKind.START_FAILED: "error",
    EventKind.CRASHED: "error",
    EventKind.STUCK: "error",
    EventKind.GAVE_UP: "error",
    EventKind.STARTED: "debug",
}
