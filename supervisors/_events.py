"""What happens in a tree, told to a callback that can neither break nor block it."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

import trio

from supervisors._mailbox import Mailbox, drop_oldest
from supervisors._statistics import ErrorRecord, SinkStatistics

__all__ = ["Event", "EventKind", "EventSink"]

_CAPACITY = 1024
_BATCH = 64


class EventKind(enum.Enum):
    """What happened."""

    STARTED = "started"
    RESTARTED = "restarted"
    START_FAILED = "start failed"
    CRASHED = "crashed"
    FINISHED = "finished"
    STOPPED = "stopped"
    BACKING_OFF = "backing off"
    DEGRADED = "degraded"
    RECOVERED = "recovered"
    STUCK = "stuck"
    GAVE_UP = "gave up"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to one node of the tree.

    Attributes:
        kind: What.
        path: To whom: names from the root, joined by ``/``.
        at: When, ``trio.current_time()`` in seconds.
        incarnation: Which incarnation of it, from 1.
        detail: More about it in words; may be empty.
        error: The error behind it, if there is one.
    """

    kind: EventKind
    path: str
    at: float
    incarnation: int
    detail: str = ""
    error: ErrorRecord | None = None


class EventSink:
    """Between the tree and the callback: a bounded queue, emptied by a task of its own.

    A callback that raises is counted and called again for the next event. One that is too slow loses the
    oldest events, which is counted too. Only ``KeyboardInterrupt`` and ``SystemExit`` leave it.
    """

    def __init__(self, callback: Callable[[Event], object] | None) -> None:
        self._callback = callback
        self._queue: Mailbox[Event] = Mailbox("events", drop_oldest(_CAPACITY))
        self._delivered = 0
        self._failed = 0
        self._last_error: ErrorRecord | None = None
        self._finished = False

    def emit(
        self, kind: EventKind, path: str, incarnation: int, detail: str = "", error: ErrorRecord | None = None
    ) -> None:
        """Queue an event; never waits, never raises."""
        if self._callback is not None and not self._finished:
            event = Event(kind, path, trio.current_time(), incarnation, detail, error)
            self._queue.send_nowait(event)

    def statistics(self) -> SinkStatistics:
        """Return a snapshot."""
        queue = self._queue.statistics()
        return SinkStatistics(self._delivered, self._failed, queue.dropped, queue.depth, self._last_error)

    def finish(self) -> None:
        """Let ``run`` return once it has delivered what is queued; what is emitted afterwards is ignored."""
        self._finished = True
        self._queue.finish()

    async def run(self) -> None:
        """Deliver events until ``finish()``. Cancellation leaves what is queued undelivered."""
        while (callback := self._callback) is not None:
            try:
                batch = await self._queue.receive_batch(_BATCH)
            except trio.EndOfChannel:
                return
            for event in batch:
                self._deliver(callback, event)

    def _deliver(self, callback: Callable[[Event], object], event: Event) -> None:
        self._delivered += 1
        try:
            callback(event)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self._failed += 1
            self._last_error = ErrorRecord.of(error)
