"""What can be seen of a running tree: frozen snapshots, safe to keep and to hand out."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from supervisors._errors import UnknownChild

__all__ = [
    "ChildState",
    "ChildStatistics",
    "ErrorRecord",
    "ExitReason",
    "LagStatistics",
    "MailboxStatistics",
    "SinkStatistics",
    "SupervisorStatistics",
]

_MESSAGE_LIMIT = 500
_FRAME_LIMIT = 8
_CAUSE_LIMIT = 4
_GROUP_LIMIT = 3


class ChildState(enum.Enum):
    """Where a child stands.

    ``STOPPED`` covers every child without an incarnation that has not failed: not started yet, finished,
    terminated. ``BACKING_OFF`` covers every child that waits to be started again, be it for its own failure
    or for that of a sibling.
    """

    STARTING = "starting"
    RUNNING = "running"
    DEGRADED = "degraded"
    BACKING_OFF = "backing off"
    STOPPING = "stopping"
    STOPPED = "stopped"
    STUCK = "stuck"
    FAILED = "failed"


class ExitReason(enum.Enum):
    """How an incarnation ended."""

    NORMAL = "normal"
    """It returned."""
    STOPPED = "stopped"
    """Its supervisor asked it to stop, and it did."""
    CRASHED = "crashed"
    """It raised, or it returned before ``started()``."""
    CANCELLED = "cancelled"
    """A cancellation from outside of the tree reached it."""


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An error as text: it holds on to nothing of the task that raised it.

    Attributes:
        type: Qualified name of the exception's class.
        message: What it says, shortened to 500 characters.
        traceback: The innermost frames, one per line, of the error and of what caused it.
    """

    type: str
    message: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> "ErrorRecord":
        """Describe an error in bounded time and space, reading no file, surviving any ``__str__``."""
        return cls(_name(error), _message(error), "\n".join(_lines(error)))


def _name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as broken:  # a panic in __str__ must not reach a supervisor
        return f"<its __str__ raised {type(broken).__qualname__}>"
    return text if len(text) <= _MESSAGE_LIMIT else text[: _MESSAGE_LIMIT - 1] + "…"


def _lines(error: BaseException) -> Iterator[str]:
    current: BaseException | None = error
    for depth in range(_CAUSE_LIMIT):
        if current is None:
            return
        if depth:
            yield f"caused by {_name(current)}: {_message(current)}"
        yield from _frames(current)
        if isinstance(current, BaseExceptionGroup):
            for member in current.exceptions[:_GROUP_LIMIT]:
                yield f"with {_name(member)}: {_message(member)}"
                yield from _frames(member)
            if len(current.exceptions) > _GROUP_LIMIT:
                yield f"with {len(current.exceptions) - _GROUP_LIMIT} more"
        current = current.__cause__


def _frames(error: BaseException) -> list[str]:
    frames: list[str] = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        frames.append(f"  {code.co_filename}:{step.tb_lineno} in {code.co_qualname}")
        del frames[:-_FRAME_LIMIT]
        step = step.tb_next
    return frames


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """A mailbox at one instant; counts are since its creation.

    Attributes:
        name: Its name.
        policy: What it does when full, in words.
        capacity: Number of items it can hold.
        depth: Number of items it holds.
        peak: Largest depth so far.
        sent: Items accepted from senders, those dropped or conflated later included.
        received: Items handed to readers.
        dropped: Items lost to the policy or to ``close()``.
        conflated: Items replaced by a later one with the same key.
        waiting_senders: Tasks waiting for room.
        waiting_receivers: Tasks waiting for an item.
        oldest_age: Seconds since the next item arrived, ``None`` if there is none.
        finished: Nothing more will be sent.
        closed: Nobody will read any more.
    """

    name: str
    policy: str
    capacity: int
    depth: int
    peak: int
    sent: int
    received: int
    dropped: int
    conflated: int
    waiting_senders: int
    waiting_receivers: int
    oldest_age: float | None
    finished: bool
    closed: bool


@dataclass(frozen=True, slots=True)
class LagStatistics:
    """How late the event loop woke a sleeper, over the sliding window; times in seconds.

    Attributes:
        samples: Wake-ups in the window. With none, the times below are ``None``.
        last: Lateness of the latest wake-up.
        mean: Their mean.
        p99: The smallest lateness that at least 99 % of them do not exceed.
        maximum: The largest.
        holds: Wake-ups in the window later than ``threshold``.
        holds_total: The same since the service was created.
        threshold: What counts as a hold.
        window: Length of the window.
    """

    samples: int
    last: float | None
    mean: float | None
    p99: float | None
    maximum: float | None
    holds: int
    holds_total: int
    threshold: float
    window: float


@dataclass(frozen=True, slots=True)
class SinkStatistics:
    """How the events of a tree reached its callback; counts are since the tree was created.

    Attributes:
        delivered: Events the callback was called with.
        failed: Those of them for which it raised.
        dropped: Events lost because the callback was too slow.
        waiting: Events not delivered yet.
        last_error: What the callback raised last.
    """

    delivered: int
    failed: int
    dropped: int
    waiting: int
    last_error: ErrorRecord | None


@dataclass(frozen=True, slots=True)
class ChildStatistics:
    """A child at one instant. Times are those of ``trio.current_time()``, in seconds.

    Attributes:
        name: Its name, unique among its siblings.
        path: Names from the root down to it, joined by ``/``.
        state: Where it stands.
        reason: Why it is degraded, ``None`` if it is not.
        incarnation: Number of the latest incarnation, from 1; 0 before the first.
        restarts: How often it was started again, for its own failure or that of a sibling.
        failures: Failures in a row, without a healthy time between them; the back-off grows with them.
        started_at: When the latest incarnation called ``started()``, ``None`` if it has not.
        restart_at: When it will be started again, ``None`` unless it is backing off.
        last_exit: How the previous incarnation ended, ``None`` if none has.
        last_error: The last error of any incarnation.
        mailboxes: Its mailboxes.
    """

    name: str
    path: str
    state: ChildState
    reason: str | None
    incarnation: int
    restarts: int
    failures: int
    started_at: float | None
    restart_at: float | None
    last_exit: ExitReason | None
    last_error: ErrorRecord | None
    mailboxes: tuple[MailboxStatistics, ...]

    def walk(self) -> "Iterator[ChildStatistics]":
        """Yield this child and all below it, parents first, siblings in start order."""
        yield self

    def find(self, path: str) -> "ChildStatistics":
        """Return the one with this full path, here or below.

        Raises:
            UnknownChild: There is none.
        """
        for child in self.walk():
            if child.path == path:
                return child
        raise UnknownChild(path)


@dataclass(frozen=True, slots=True)
class SupervisorStatistics(ChildStatistics):
    """A supervisor at one instant, with everything below it.

    Attributes:
        strategy: Its strategy, in words.
        restarts_in_window: Restarts that count towards its intensity now.
        restarts_counted: Restarts its present incarnation has counted.
        max_restarts: How many may lie in the window.
        period: Length of the window, in seconds.
        children: Its children in start order.
    """

    strategy: str
    restarts_in_window: int
    restarts_counted: int
    max_restarts: int
    period: float
    children: tuple[ChildStatistics, ...]

    def walk(self) -> Iterator[ChildStatistics]:
        """Yield this supervisor and all below it, parents first, siblings in start order."""
        yield self
        for child in self.children:
            yield from child.walk()
