"""The replay feed: recorded files as if they happened now, at their own pace or faster.

A file of an exchange's website becomes a tick and a chain per expiry; a recording of DeltaStream's own
gives the market messages it holds, while what was derived from them is derived again. All sources
are merged by time: that of the data for files, that of receipt for recordings. Files that do not
tell their time come first. `ts_event` stays what it was, `ts_recv` becomes the present.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol

import msgspec
import trio

from deltastream.errors import ConfigurationError, FileRefused, MessageDecodeError
from deltastream.feeds.protocol import Delivered, MarketMessage, Refusal
from deltastream.feeds.recorded import Format, list_files, peek, read_file
from deltastream.feeds.recording import RecordedFrame, RecordingReader, is_recording
from deltastream.feeds.replayed import FileRefusal, Tally
from deltastream.messages import OptionChain, decode
from deltastream.seams import Seams

__all__ = ["ReplayProvider", "ReplaySettings", "missing"]

_BATCH: Final = 256
_MARKET: Final = "market."


class ReplaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is replayed, and how fast.

    Attributes:
        paths: files and directories, the latter with everything below them; default none.
        speed: 1 is the pace at which it was recorded (default), 10 ten times as fast, "max" without
            waiting.
        format: "auto" tells files by their content (default); "nse" or "cboe" refuses all others.
    """

    paths: tuple[str, ...] = ()
    speed: Annotated[float, msgspec.Meta(gt=0, le=1e9)] | Literal["max"] = 1.0
    format: Format = "auto"


def missing(paths: Sequence[str]) -> list[str]:
    """Why these paths cannot be replayed, one sentence per problem. Blocking."""
    if not paths:
        return ["replay.paths: names no file to replay (--replay PATH)"]
    problems = []
    for path in paths:
        try:
            Path(path).stat()
        except FileNotFoundError:
            problems.append(f"replay.paths: {path}: there is no such file or directory")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            problems.append(f"replay.paths: {path!r}: cannot be read: {reason}")
    return problems


class _Item(NamedTuple):
    """What a source gives: its time (nanoseconds UTC, None: at once) and the thing itself."""

    ts: int | None
    item: Delivered | Refusal


class _Source(Protocol):
    """One file. Its methods block."""

    def start(self) -> int | None:
        """Time of its first item; None where unknown. Raises FileRefused."""
        ...

    def items(self) -> Iterator[_Item]:
        """Everything it holds, in order."""
        ...


class ReplayProvider:
    """Provides what recorded files hold.

    The key of a message is made of the content it comes from, so that replaying a file again, under
    whatever name, appends nothing twice.

    Attributes:
        tally: what became of the files since they were last opened.
    """

    name = "replay"
    silent_after_s = None

    def __init__(self, settings: ReplaySettings, seams: Seams) -> None:
        self._settings = settings
        self._seams = seams
        self.tally = Tally()

    def stream(self) -> AbstractAsyncContextManager[AsyncIterator[Delivered | Refusal]]:
        """Open the files and iterate over what they hold, ending after the last.

        A consumer that is slower than the pace delays what follows until it has caught up.

        Cancellation: nothing is lost; the next `stream()` begins at the first file again.

        Raises:
            ConfigurationError: there is nothing to replay, or a path does not exist.
            FileRefused: a directory that cannot be read.
        """
        return self._stream()

    @asynccontextmanager
    async def _stream(self) -> AsyncGenerator[AsyncIterator[Delivered | Refusal], None]:
        lanes, refusals = await self._seams.threads.run(self._plan)
        self.tally = Tally(len(lanes) + len(refusals))
        async with aclosing(self._paced(lanes, refusals)) as items:
            yield items

    def _plan(self) -> tuple[list[_Lane], list[Refusal]]:
        """A lane for every file that can be opened. Blocking."""
        if problems := missing(self._settings.paths):
            raise ConfigurationError(problems)
        lanes: list[_Lane] = []
        refusals: list[Refusal] = []
        found = {path: list_files(path) for path in self._settings.paths}
        refusals += [FileRefusal(path, "empty", None, "holds no files") for path in found if not found[path]]
        for file in dict.fromkeys(file for files in found.values() for file in files):
            source: _Source = (
                _Recording(file) if _begins_recording(file) else _File(file, self._settings.format)
            )
            try:
                lanes.append(_Lane(source.start(), len(lanes), source))
            except FileRefused as refused:
                refusals.append(_whole(refused))
        return lanes, refusals

    async def _paced(
        self, lanes: list[_Lane], refusals: list[Refusal]
    ) -> AsyncGenerator[Delivered | Refusal, None]:
        for refusal in refusals:
            self.tally.count(refusal)
            yield refusal
        pace = _Pace(self._settings.speed)
        async with aclosing(self._merged(lanes)) as items:
            async for ts, item in items:
                await pace.wait(ts)
                if isinstance(item, Refusal):
                    self.tally.count(item)
                    yield item
                else:
                    yield self._restamped(item)

    async def _merged(self, lanes: list[_Lane]) -> AsyncGenerator[_Item, None]:
        """Items of all lanes in order of time; a lane's file is opened when its time has come."""
        heapq.heapify(lanes)
        while lanes:
            lane = lanes[0]
            if not lane.ready:
                await self._seams.threads.run(lane.fill)
                if not lane.ready:
                    heapq.heappop(lanes)
                    continue
            else:
                yield lane.ready.popleft()
            if lane.ready:
                lane.ts = lane.ready[0].ts
            heapq.heapreplace(lanes, lane)

    def _restamped(self, delivered: Delivered) -> Delivered:
        """The message as received now; a chain without a time of its own happens now, too."""
        message = delivered.message
        now = self._seams.clock.now_ns()
        times: dict[str, Any] = {"ts_recv": now}
        if isinstance(message, OptionChain) and "timestamp_unknown" in message.flags:
            times["ts_event"] = now
        return Delivered(msgspec.structs.replace(message, **times), delivered.key)


class _Lane:
    """One source in the merge, ordered by the time of its next item, then by place."""

    def __init__(self, ts: int | None, place: int, source: _Source) -> None:
        self.ts = ts
        self.ready: deque[_Item] = deque()
        self._place = place
        self._items = source.items()

    def fill(self) -> None:
        """Read on; `ready` stays empty at the end. Blocking."""
        self.ready.extend(islice(self._items, _BATCH))

    def __lt__(self, other: _Lane) -> bool:
        return (self.ts or 0, self._place) < (other.ts or 0, other._place)


class _Pace:
    """Waits until an item's time has come, counted from the first item that has a time."""

    def __init__(self, speed: float | Literal["max"]) -> None:
        self._speed = speed
        self._first: tuple[int, float] | None = None

    async def wait(self, ts: int | None) -> None:
        if self._speed == "max" or ts is None:
            await trio.lowlevel.checkpoint()
            return
        if self._first is None:
            self._first = (ts, trio.current_time())
        first_ts, began = self._first
        await trio.sleep_until(began + (ts - first_ts) / 1e9 / self._speed)


class _File:
    """A file of an exchange's website."""

    def __init__(self, path: str, format: Format) -> None:
        self._path = path
        self._format = format

    def start(self) -> int | None:
        return peek(self._path, format=self._format)

    def items(self) -> Iterator[_Item]:
        try:
            recorded = read_file(self._path, format=self._format, ts_recv=0)
        except FileRefused as refused:
            yield _Item(None, _whole(refused))
            return
        for refusal in recorded.refusals:
            yield _Item(None, refusal)
        for tick in recorded.ticks:
            yield _Item(recorded.ts_event, Delivered(tick, f"{recorded.digest}:tick"))
        for chain in recorded.chains:
            key = f"{recorded.digest}:{chain.root}:{chain.expiry}"
            yield _Item(recorded.ts_event, Delivered(chain, key))


class _Recording:
    """A recording of DeltaStream's own bus."""

    def __init__(self, path: str) -> None:
        self._path = path

    def start(self) -> int | None:
        return next((item.ts for item in self.items()), None)

    def items(self) -> Iterator[_Item]:
        try:
            reader = RecordingReader(self._path)
        except FileRefused as refused:
            yield _Item(None, _whole(refused))
            return
        with reader:
            for recorded in reader:
                if recorded.topic.startswith(_MARKET):
                    yield self._item(recorded)
            if reader.damaged:
                detail = "damaged stretches were skipped"
                yield _Item(None, Refusal(self._path, "damaged_record", None, detail, reader.damaged))
            if reader.torn:
                yield _Item(None, Refusal(self._path, "torn_tail", None, "ends in the middle of a record"))

    def _item(self, recorded: RecordedFrame) -> _Item:
        try:
            message = decode(recorded.frame)
        except MessageDecodeError as error:
            return _Item(None, Refusal(self._path, "bad_frame", None, str(error)))
        if not isinstance(message, MarketMessage):
            detail = f"a {type(message).__name__} on {recorded.topic}"
            return _Item(None, Refusal(self._path, "bad_frame", None, detail))
        key = hashlib.blake2b(recorded.frame, digest_size=16).hexdigest()
        return _Item(message.ts_recv, Delivered(message, key))


def _begins_recording(path: str) -> bool:
    """Whether a file is a recording; False where it cannot be read, so that its reader says why."""
    try:
        if not Path(path).is_file():
            return False
        with open(path, "rb") as file:
            return is_recording(file.read(16))
    except (OSError, ValueError):
        return False


def _whole(refused: FileRefused) -> Refusal:
    return FileRefusal(refused.source, refused.reason, None, refused.detail)
