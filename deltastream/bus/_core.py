"""What the bus's parts share: state in the event loop, the writer, and the way to the journal."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import structlog
import trio

from deltastream.bus._groups import Groups
from deltastream.bus._journal import Frame, Journal, Reader, Standing
from deltastream.bus._salvage import SalvageReport
from deltastream.bus._topics import Topic, Topics, Wakeup
from deltastream.bus._writer import Writer, is_damage
from deltastream.bus.settings import BusSettings
from deltastream.errors import BusClosed, MessageDecodeError
from deltastream.messages import Message, Position, decode
from deltastream.seams import Seams

__all__ = ["Core", "decoded"]

P = ParamSpec("P")
R = TypeVar("R")

_READ_RETRY_S: Final = 0.1

_log = structlog.get_logger("deltastream.bus")


def decoded(frame: Frame) -> Message:
    """The message in a frame read from the journal.

    Raises:
        MessageDecodeError: it is not one that this version can read, or not what was written.
    """
    if not frame.intact:
        raise MessageDecodeError("the frame in the journal does not match its checksum")
    return decode(frame.frame)


def _size(file: str) -> int:
    """Of a file, in bytes; 0 where there is none."""
    try:
        return os.stat(file).st_size
    except FileNotFoundError:
        return 0


class Core:
    """Survives the service; the service lends it a journal to read.

    Attributes:
        damage: what a reader or the background check found wrong with the journal's file.
        ended: the service has nothing more to do, or cannot go on.
        opened: the last seq of every topic, by number, when the journal was loaded.
        reading: lets one at a time use the reader.
        stale: the journal has begun a new epoch since it was loaded.
        salvage: what became of a damaged journal, the last time there was one.
    """

    def __init__(self, path: Path, settings: BusSettings, seams: Seams) -> None:
        self.path = path
        self._file, self._log = str(path), f"{path}-wal"
        self.settings = settings
        self.seams = seams
        self.topics = Topics(settings.cache_bytes, settings.priorities)
        self.groups = Groups(self.topics)
        self.writer = Writer(settings, seams, self.topics)
        self.followers: dict[Wakeup, None] = {}
        self.opened: dict[int, int] = {}
        self.stale = False
        self.salvage: SalvageReport | None = None
        self.closed = False
        self.damage: str | None = None
        self.ended = trio.Event()
        self._up = trio.Event()
        self._reader: Reader | None = None
        self.reading = trio.CapacityLimiter(1)

    def load(self, journal: Journal, standing: Standing) -> None:
        """Take over what a journal tells; readers of before learn it."""
        if self.topics.agrees(journal.epoch, journal.topics.values()):
            return
        self.writer.give_up(BusClosed("The journal was replaced: join again."))
        self.topics.load(journal.epoch, journal.topics.values(), standing.lineage)
        self.opened = journal.ends()
        now, wall = trio.current_time(), self.seams.clock.now_ns()
        longest = self.settings.retry.cap_s  # whatever the wall clock did meanwhile
        self.groups.load(
            standing.subscriptions,
            standing.progress,
            [
                (*row[:6], None if row[6] is None else now + min(max(row[6] - wall, 0) / 1e9, longest))
                for row in standing.failures
            ],
        )
        for wakeup in self.followers:
            wakeup.set()

    def resolve(self, topic: Topic, position: Position) -> int:
        """The seq at which whoever has seen `position` goes on; 0 where it means nothing here."""
        if position.epoch == self.topics.epoch:
            return max(position.seq, 0) if position.seq <= topic.last else 0
        return max(min(position.seq, self.topics.lineage.get((position.epoch, topic.name), 0)), 0)

    @property
    def reason(self) -> str | None:
        """Why appends wait at present; None where they do not."""
        return self.writer.reason or ("the service is not running" if self._reader is None else None)

    def bytes_on_disk(self) -> tuple[int, int]:
        """Size of the journal's file and of its log."""
        return _size(self._file), _size(self._log)

    async def ready(self) -> None:
        """Wait until the service runs; at once where it does.

        Raises:
            BusClosed: the bus was closed.
        """
        while not self.closed and (self._reader is None or self.stale):
            await self._up.wait()
        if self.closed:
            raise BusClosed("The bus is closed.")

    def up(self, reader: Reader) -> None:
        """The service runs."""
        self._reader = reader
        self.ended = trio.Event()
        self.damage = None
        self.stale = False
        self._up.set()

    def down(self) -> None:
        """The service ends: whoever reads waits for the next one."""
        self._reader = None
        if self._up.is_set():
            self._up = trio.Event()

    def begin_anew(self, report: SalvageReport) -> None:
        """Have the service begin again, with the epoch that has just begun in the journal."""
        _log.error("journal_epoch_renewed", reason=report.reason, epoch=report.epoch)
        self.salvage = report
        self.stale = True
        self._up = trio.Event()
        self.ended.set()

    def close(self) -> None:
        """End for good: everybody who waits gets BusClosed."""
        self.closed = True
        self.writer.close()
        self._up.set()
        for group in self.groups.by_name.values():
            for member in group.members:
                member.wakeup.set()
        for wakeup in self.followers:
            wakeup.set()

    def report_damage(self, error: Exception | str) -> None:
        """Have the service end, so that the next one checks the journal."""
        if self.damage is None:
            self.damage = str(error)
            self.ended.set()

    async def read(self, method: Callable[Concatenate[Reader, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a `Reader`'s method in a thread, on a journal that works.

        Waits out an absent service and errors that may pass. Cancellation: nothing has happened.

        Raises:
            BusClosed: the bus was closed.
        """

        def call(reader: Reader) -> R:
            return method(reader, *args, **kwargs)

        while True:
            await self.ready()
            reader = self._reader
            if reader is None:
                continue
            try:
                return await self.seams.threads.run(call, reader, limiter=self.reading)
            except (sqlite3.Error, MemoryError) as error:
                if reader is not self._reader:
                    continue
                if is_damage(error):
                    self.report_damage(error)
                _log.warning("bus_read_failed", error=str(error))
                await trio.sleep(_READ_RETRY_S)
