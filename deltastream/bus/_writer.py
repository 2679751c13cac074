"""The writer: takes what callers want written, commits it in groups, then tells everybody.

A commit begins as soon as there is something to commit. What comes while it is under way waits for
the next one, so groups grow with the load by themselves. (Waiting on purpose for larger groups, as
long as the last commit took, cost 8 ms of median latency at 600 chains/s and saved a fifth of the
processor time.) Nothing is shown to a reader, and no caller returns, before the transaction is
committed.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
import trio

from deltastream.bus._journal import Batch, Journal, Outcome
from deltastream.bus._topics import Topic, Topics, freeze
from deltastream.bus.protocol import Entry
from deltastream.bus.settings import BusSettings
from deltastream.errors import BusClosed, DeltaStreamError, JournalError
from deltastream.messages import Position, encode
from deltastream.seams import Seams

__all__ = ["Request", "Writer", "is_damage"]

_GROUP_BYTES: Final = 1 << 20
_COMMIT_BYTES: Final = 16 << 10  # pages that a commit writes beside its frames: four, measured
_RETRY_BASE_S: Final = 0.05
_RETRY_CAP_S: Final = 5.0
_DAMAGE: Final = (11, 26)  # SQLITE_CORRUPT, SQLITE_NOTADB

_log = structlog.get_logger("deltastream.bus")


def is_damage(error: BaseException) -> bool:
    """Whether an SQLite error says that the file itself is broken."""
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    not_text = str(error).startswith("Could not decode to UTF-8")  # the module's own, without a code
    return not_text or getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


class Request:
    """What one caller wants committed.

    Args:
        entries: messages to append.
        rank: how urgent, see `Topics.rank`.
        join: called in the event loop when the request enters a batch; adds to it what only then
            is known. What it raises, the caller gets.
        operation: run inside the transaction; its value becomes `result`.
        done: called in the event loop right after the commit, with `result`.
        undo: called instead of `done` where the batch was given up after `join`.
    """

    __slots__ = (
        "_finished", "done", "entries", "error", "frames", "join", "operation", "positions", "rank", "result",
        "size", "undo",
    )  # fmt: skip

    def __init__(
        self,
        entries: Sequence[Entry] = (),
        rank: int = 0,
        *,
        join: Callable[[Batch], None] | None = None,
        operation: Callable[[sqlite3.Connection], Any] | None = None,
        done: Callable[[Any], None] | None = None,
        undo: Callable[[], None] | None = None,
    ) -> None:
        self.frames = [entry.frame or encode(entry.message) for entry in entries]
        self.entries = [
            (entry.topic, entry.key, freeze(entry.message, frame))
            for entry, frame in zip(entries, self.frames, strict=True)
        ]
        self.size = sum(map(len, self.frames))
        self.rank = rank
        self.join = join
        self.operation = operation
        self.done = done
        self.undo = undo
        self.positions: list[Position] = []
        self.result: Any = None
        self.error: BaseException | None = None
        self._finished = trio.Event()

    def finish(self, error: BaseException | None = None) -> None:
        """Let the caller go on, or fail."""
        self.error = error
        self._finished.set()

    async def wait(self) -> None:
        """Wait for the commit; raise what became of it otherwise."""
        await self._finished.wait()
        if self.error is not None:
            raise self.error


class Writer:
    """Requests waiting, and the loop that commits them. Survives the loop's end.

    Attributes:
        reason: why commits fail at present; None while they work.
        written: bytes that commits have added to the write-ahead log since the bus was made, about.
    """

    def __init__(self, settings: BusSettings, seams: Seams, topics: Topics) -> None:
        self._settings = settings
        self._seams = seams
        self._topics = topics
        self._queues: list[deque[Request]] = [deque() for _ in range(topics.ranks)]
        self._group: list[Request] = []
        self._batch = Batch(ts=0)
        self._work = trio.Event()
        self._room = trio.Event()
        self._turnstile = trio.Lock()
        self._alarms: dict[trio.Event, int] = {}
        self._closing = trio.Event()
        self._closed = self._running = False
        self.reason: str | None = None
        self.pending = self.pending_bytes = 0
        self.commits = self.appended = self.duplicates = self.written = 0
        self.limiter = trio.CapacityLimiter(1)

    async def submit(self, request: Request) -> Request:
        """Have a request committed.

        Cancellation: before there was room for it, nothing happened; later it may take effect.

        Raises:
            BusClosed: the bus was closed first.
            JournalError: the writer failed in an unforeseen way; nothing was written.
        """
        if self._full(request) or self._turnstile.locked():
            async with self._turnstile:
                while self._full(request) and not self._closed:
                    self._room = trio.Event()
                    await self._room.wait()
        if self._closed:
            raise BusClosed("The bus is closed.")
        self._queues[request.rank].append(request)
        self.pending += 1
        self.pending_bytes += request.size
        self._work.set()
        await request.wait()
        return request

    def _full(self, request: Request) -> bool:
        return self.pending_bytes > 0 and self.pending_bytes + request.size > self._settings.max_pending_bytes

    def close(self) -> None:
        """Refuse what waits and whatever comes."""
        self._closed = True
        self._closing.set()
        for queue in self._queues:
            while queue:
                self._leave(queue.popleft(), BusClosed("The bus was closed before this was committed."))
        self._room.set()
        self._work.set()
        if not self._running:
            self._abandon()

    def _abandon(self) -> None:
        group, self._group = self._group, []
        for request in group:
            self._leave(request, BusClosed("The bus was closed before this was committed."))

    def give_up(self, error: DeltaStreamError) -> None:
        """End what was being committed, and whatever refers to positions, because the journal is damaged.

        Plain appends stay and go to the journal that comes after it.
        """
        for request in self._group:
            if request.undo is not None:
                request.undo()
        waiting = [*self._group, *(request for queue in self._queues for request in queue)]
        self._group = []
        for queue in self._queues:
            queue.clear()
        for request in waiting:
            if request.join is None and request.operation is None:
                self._queues[request.rank].append(request)
            else:
                self._leave(request, error)

    async def grown(self, size: int) -> None:
        """Wait until `size` more bytes have been committed."""
        alarm = trio.Event()
        self._alarms[alarm] = self.written + size
        try:
            await alarm.wait()
        finally:
            del self._alarms[alarm]

    async def run(self, journal: Journal) -> None:
        """Commit until cancelled or closed. What was taken and not committed is taken again next time.

        Cancellation: honoured between commits.
        """
        self._running = True
        try:
            while not self._closed or self._group:
                if not self._group:
                    await self._take()
                if self._group:
                    outcome = await self._commit(journal)
                    if outcome is None:
                        return
                    self._publish(outcome)
                    if any(self._queues):
                        await trio.lowlevel.checkpoint()  # those who got their answer may ask for more
        finally:
            self._running = False
            if self._closed:
                self._abandon()

    async def _take(self) -> None:
        """Wait for requests and make them a batch: by rank, every rank at least one, about 1 MiB."""
        while not any(self._queues) and not self._closed:
            self._work = trio.Event()
            await self._work.wait()
        self._batch = batch = Batch(ts=self._seams.clock.now_ns())
        size = 0
        for queue in self._queues:
            first = True
            while queue and (first or size < _GROUP_BYTES):
                request = queue.popleft()
                if request.join is not None:
                    try:
                        request.join(batch)
                    except DeltaStreamError as error:
                        self._leave(request, error)
                        continue
                self._group.append(request)
                size += request.size
                first = False
        for request in self._group:
            batch.entries.extend(
                (topic, key, frame)
                for (topic, key, _), frame in zip(request.entries, request.frames, strict=True)
            )
            if request.operation is not None:
                batch.operations.append(request.operation)

    async def _commit(self, journal: Journal) -> Outcome | None:
        """Commit the batch, however long that takes; None where the bus is closed meanwhile."""
        failures = 0
        while True:
            try:
                outcome = await self._seams.threads.run(journal.commit, self._batch, limiter=self.limiter)
            except (sqlite3.OperationalError, OSError, MemoryError) as error:
                if is_damage(error):
                    raise
                failures += 1
                self._degrade(error)
                delay = min(_RETRY_BASE_S * 2 ** min(failures, 10), _RETRY_CAP_S)
                with trio.move_on_after(delay * (0.5 + self._seams.rng.random() / 2)):
                    await self._closing.wait()
                if self._closed:
                    return None
            except Exception as error:
                if not is_damage(error):
                    self._fail(error)
                raise
            else:
                if self.reason is not None:
                    _log.info("bus_recovered", reason=self.reason)
                    self.reason = None
                return outcome

    def _degrade(self, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        if reason != self.reason:
            _log.error("bus_degraded", reason=reason, pending=self.pending)
        self.reason = reason

    def _fail(self, error: Exception) -> None:
        group, self._group = self._group, []
        for request in group:
            if request.undo is not None:
                request.undo()
            self._leave(request, JournalError(f"Nothing was written: {type(error).__name__}: {error}."))

    def _publish(self, outcome: Outcome) -> None:
        """Everything that follows from a commit, without a checkpoint in between."""
        group, self._group = self._group, []
        appended, results = iter(outcome.appended), iter(outcome.results)
        touched: dict[Topic, None] = {}
        topics = self._topics
        self.commits += 1
        self.written += _COMMIT_BYTES
        for request in group:
            for (name, _, message), frame in zip(request.entries, request.frames, strict=True):
                number, seq, new = next(appended)
                request.positions.append(Position(topics.epoch, seq))
                if not new:
                    self.duplicates += 1
                    continue
                topic = topics.by_name.get(name) or topics.create(name, number)
                topics.publish(topic, seq, message, len(frame), self._batch.ts)
                touched[topic] = None
                self.appended += 1
                self.written += len(frame)
            if request.operation is not None:
                request.result = next(results)
            if request.done is not None:
                request.done(request.result)
            self._leave(request)
        for alarm in [alarm for alarm, at in self._alarms.items() if at <= self.written]:
            alarm.set()
        for topic in touched:
            for wakeup in list(topic.wakeups):
                wakeup.set()

    def _leave(self, request: Request, error: BaseException | None = None) -> None:
        self.pending -= 1
        self.pending_bytes -= request.size
        self._room.set()
        request.finish(error)
