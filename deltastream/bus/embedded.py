"""The embedded bus: memory in front of a journal, in one process."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog
import trio

from deltastream.bus import _failures
from deltastream.bus._consumer import EmbeddedConsumer
from deltastream.bus._core import Core, decoded
from deltastream.bus._follower import EmbeddedFollower
from deltastream.bus._journal import ANSWER_BYTES, Frame, Reader
from deltastream.bus._salvage import SalvageReport
from deltastream.bus._service import serve
from deltastream.bus._subscription import subscribe
from deltastream.bus._topics import Topic, check_entries, check_topic
from deltastream.bus._writer import Request
from deltastream.bus.protocol import BusStatistics, Entry, Record
from deltastream.bus.settings import BusSettings
from deltastream.errors import JournalError, MessageDecodeError
from deltastream.messages import DeadLetter, Message, Position
from deltastream.seams import Seams

__all__ = ["EmbeddedBus", "open_bus"]

_NAME: Final = re.compile(r"[A-Za-z0-9._:&-]{1,255}")
_PATTERN: Final = re.compile(r"[A-Za-z0-9._:&-]{0,255}\*|[A-Za-z0-9._:&-]{1,255}")

_log = structlog.get_logger("deltastream.bus")


class EmbeddedBus:
    """The bus of one host: a handle for everybody, and a service that somebody runs.

    The handle implements `protocol.Bus`. It does nothing until `run` runs, waits while the service
    is away (crashed, not yet restarted) and raises BusClosed after `close`. Nothing accepted is
    lost by a crash of the service; what was not yet committed is committed by the next one.

    Args:
        path: the journal; its directory exists.
        settings: see `BusSettings`.
        seams: clock, randomness, ids and threads.
    """

    def __init__(self, path: Path, settings: BusSettings, seams: Seams) -> None:
        self._core = Core(path, settings, seams)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """The service: opens the journal, then writes, trims and checks it until closed.

        Cancellation: stops between commits and closes the journal's files.

        Raises:
            JournalError: the journal cannot be opened, or turned out to be damaged; run again.
            BusClosed: the bus was closed before.
        """
        await serve(self._core, task_status)

    @property
    def salvage(self) -> SalvageReport | None:
        """What became of a damaged journal, where one was found at opening; for the operator to see."""
        return self._core.salvage

    def close(self) -> None:
        """End for good: `run` returns, whoever waits gets BusClosed. What was accepted is safe."""
        self._core.close()

    async def append(self, topic: str, message: Message, *, key: str | None = None) -> Position:
        """See `protocol.Bus.append`."""
        return (await self.append_batch((Entry(topic, message, key),)))[0]

    async def append_batch(self, entries: Sequence[Entry]) -> list[Position]:
        """See `protocol.Bus.append_batch`."""
        check_entries(entries)
        if not entries:
            await trio.lowlevel.checkpoint()
            return []
        rank = min(self._core.topics.rank(entry.topic) for entry in entries)
        return (await self._core.writer.submit(Request(entries, rank))).positions

    @asynccontextmanager
    async def consume(
        self,
        patterns: Sequence[str],
        group: str,
        *,
        positions: Mapping[str, Position] | None = None,
        earlier: Mapping[str, Sequence[Position]] | None = None,
    ) -> AsyncIterator[EmbeddedConsumer]:
        """See `protocol.Bus.consume`. Topics that another member is reading keep their positions."""
        wanted = _patterns(patterns)
        if not _NAME.fullmatch(group):
            raise ValueError(f"not a group: {group!r}")
        joined, member = await subscribe(self._core, wanted, group, positions, earlier or {})
        try:
            yield EmbeddedConsumer(self._core, joined, member)
        finally:
            if member.active:
                joined.leave(member)

    @asynccontextmanager
    async def follow(
        self, patterns: Sequence[str], *, after: Mapping[str, Position] | None = None, live: bool = False
    ) -> AsyncIterator[EmbeddedFollower]:
        """See `protocol.Bus.follow`."""
        wanted = _patterns(patterns)
        await self._core.ready()
        follower = EmbeddedFollower(self._core, wanted, after or {}, live=live)
        try:
            yield follower
        finally:
            follower.leave()

    async def read(self, topic: str, *, after: int = 0, limit: int = 100) -> list[Record]:
        """See `protocol.Bus.read`. Messages that this version cannot read are left out and logged."""
        while limit > 0 and (found := await self._topic(topic)) is not None:
            frames = await self._core.read(Reader.frames, found.number, after, limit)
            if found is self._core.topics.by_name.get(topic):
                return self._records(found, frames)
        return []

    async def last(self, topic: str, *, limit: int = 1) -> list[Record]:
        """See `protocol.Bus.last`. Messages that this version cannot read are left out and logged."""
        while limit > 0 and (found := await self._topic(topic)) is not None:
            cached = found.cached(max(found.last - limit, found.trimmed), limit)
            if cached is not None:
                return list(cached)
            frames = await self._newest(found, limit)
            if found is self._core.topics.by_name.get(topic):
                return self._records(found, frames)
        return []

    async def _newest(self, topic: Topic, limit: int) -> list[Frame]:
        frames: list[Frame] = []
        before, size = topic.last + 1, 0
        while len(frames) < limit and size < ANSWER_BYTES:
            older = await self._core.read(Reader.newest, topic.number, before, limit - len(frames))
            if not older:
                break
            frames[:0] = older
            before = older[0].seq
            size += sum(len(frame.frame) for frame in older)
        return frames

    async def _topic(self, name: str) -> Topic | None:
        check_topic(name)
        await trio.lowlevel.checkpoint()
        await self._core.ready()
        return self._core.topics.by_name.get(name)

    def _records(self, topic: Topic, frames: list[Frame]) -> list[Record]:
        records = []
        for frame in frames:
            try:
                message = decoded(frame)
            except MessageDecodeError as error:
                _log.error("undecodable_message", topic=topic.name, seq=frame.seq, error=str(error))
                continue
            records.append(Record(topic.name, Position(self._core.topics.epoch, frame.seq), message))
        return records

    async def statistics(self) -> BusStatistics:
        """See `protocol.Bus.statistics`; answers while the service is away, too."""
        await trio.lowlevel.checkpoint()
        core, writer = self._core, self._core.writer
        file, journal_log = core.bytes_on_disk()
        state = "closed" if core.closed else "degraded" if core.reason else "running"
        return BusStatistics(
            state=state,
            reason=core.reason,
            pending=writer.pending,
            pending_bytes=writer.pending_bytes,
            commits=writer.commits,
            appended=writer.appended,
            duplicates=writer.duplicates,
            bytes_on_disk=file + journal_log,
            log_bytes=journal_log,
            topics=tuple(topic.statistics(core.topics.epoch) for topic in core.topics.by_name.values()),
            groups=tuple(each for group in core.groups.by_name.values() for each in group.statistics()),
        )

    async def dead_letters(self, group: str | None = None, *, limit: int = 1000) -> list[DeadLetter]:
        """See `protocol.Bus.dead_letters`."""
        return await _failures.dead_letters(self._core, group, limit)

    async def dead_letter(self, letter_id: str) -> DeadLetter:
        """See `protocol.Bus.dead_letter`."""
        return await _failures.dead_letter(self._core, letter_id)

    async def replay_dead_letter(self, letter_id: str) -> None:
        """See `protocol.Bus.replay_dead_letter`."""
        await _failures.replay(self._core, letter_id)

    async def drop_dead_letter(self, letter_id: str) -> None:
        """See `protocol.Bus.drop_dead_letter`."""
        await _failures.drop(self._core, letter_id)


def _patterns(patterns: Sequence[str]) -> tuple[str, ...]:
    if isinstance(patterns, str) or not patterns:
        raise ValueError("patterns must be a sequence of at least one topic or prefix")
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise ValueError(f"not a topic or prefix: {pattern!r}")
    return tuple(dict.fromkeys(patterns))


@asynccontextmanager
async def open_bus(path: Path, settings: BusSettings, seams: Seams) -> AsyncIterator[EmbeddedBus]:
    """A bus with its service, for as long as the block lasts: for tools and tests.

    Raises:
        JournalError: the journal cannot be opened, or was found to be damaged during the block.
    """
    bus = EmbeddedBus(path, settings, seams)
    failure: BaseException | None = None

    async def serve(task_status: trio.TaskStatus[None]) -> None:
        nonlocal failure
        try:
            await bus.run(task_status=task_status)
        except JournalError as error:
            failure = error
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(serve)
            yield bus
        except BaseException as error:
            failure = failure or error
        bus.close()
    if failure is not None:
        raise failure
