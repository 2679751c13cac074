"""Starting and stopping one child: the handshake with its timeout, the request to stop with its grace."""

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from supervisors._child import Child, Exit, Incarnation
from supervisors._context import Context, Runtime
from supervisors._errors import StartFailed, StartTimeout, StuckChild
from supervisors._events import EventKind
from supervisors._spec import ChildSpec, Restart
from supervisors._statistics import ErrorRecord, ExitReason

__all__ = ["Keeper"]

_EXIT_EVENTS = {
    ExitReason.NORMAL: EventKind.FINISHED,
    ExitReason.STOPPED: EventKind.STOPPED,
    ExitReason.CANCELLED: EventKind.STOPPED,
    ExitReason.CRASHED: EventKind.CRASHED,
}


class Keeper:
    """Knows how a child is brought up and down, not when.

    The handshake is waited for by an event of our own rather than by ``nursery.start``: that one could not
    return while a start ignores its cancellation, and such a child could not even be reported.

    Args:
        nursery: Where the incarnations live; shielded by the supervisor.
        runtime: What the tree shares.
        supervise: Returns what a nested supervisor runs.
        on_exit: Called from the task of an incarnation when it has ended.
        on_fatal: Called with a ``KeyboardInterrupt`` or ``SystemExit`` a child has raised.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        runtime: Runtime,
        *,
        supervise: Callable[[Child, Incarnation], Callable[[], Awaitable[object]]],
        on_exit: Callable[[Child, Incarnation], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._nursery = nursery
        self._runtime = runtime
        self._supervise = supervise
        self._on_exit = on_exit
        self._on_fatal = on_fatal
        self._handshake: trio.CancelScope | None = None
        self._interrupted = False

    def interrupt(self) -> None:
        """Let the start in progress, and every later one, come to nothing."""
        self._interrupted = True
        if self._handshake is not None:
            self._handshake.cancel("the supervisor is stopping")

    async def start(self, child: Child) -> StartFailed | StuckChild | None:
        """Start a child and wait for its handshake.

        Returns:
            ``None`` if it has started or the start was interrupted; why it has not; or ``StuckChild`` if it
            missed its timeout, or the interruption, and ignores its cancellation.
        """
        if self._interrupted:
            return None
        life = child.incarnate()
        report = partial(self._on_exit, child, life)
        self._nursery.start_soon(life.live, self._body(child, life), report, name=child.path)
        with trio.move_on_after(child.spec.start_timeout) as self._handshake:
            await life.handshake.wait()
        late, self._handshake = self._handshake.cancelled_caught, None
        if life.started_at is not None:
            self._tell(child, EventKind.STARTED if life.number == 1 else EventKind.RESTARTED)
            return None
        ended = await self.halt(child) if life.exit is None else self._part(child)
        if ended is None:
            return child.stuck_error()
        if self._interrupted:
            return None
        if late:
            error: StartFailed = StartTimeout(child.path, child.spec.start_timeout)
        else:
            error = StartFailed(child.path, _brief(ended))
        error.__cause__ = ended.error
        child.blame(ErrorRecord.of(error))
        self._tell(child, EventKind.START_FAILED, error=child.last_error)
        return error

    async def halt(self, child: Child) -> Exit | None:
        """Stop a child, which has an incarnation; return how it ended, or ``None`` if it is stuck."""
        grace = child.patience
        if await self.ask(child, grace):
            return self.collect(child)
        self.mark_stuck(child, grace)
        return None

    async def ask(self, child: Child, seconds: float) -> bool:
        """Ask a child to stop and wait that long for its end; return whether it has ended."""
        life = child.ask_to_stop()
        with trio.move_on_after(seconds):
            await life.done.wait()
        return life.exit is not None

    def mark_stuck(self, child: Child, waited: float) -> None:
        """Record that a child goes on although it was asked to stop that many seconds ago."""
        if child.incarnation is not None and child.incarnation.stuck_after is None:
            child.incarnation.stuck_after = waited
            self._tell(child, EventKind.STUCK, f"still running {waited:g} s after it was asked to stop")

    def collect(self, child: Child) -> Exit:
        """Take leave of an incarnation that has ended and tell how it did."""
        asked = child.incarnation is not None and child.incarnation.stopping
        ended = self._part(child)
        loops = ended.reason is ExitReason.NORMAL and child.spec.restart is Restart.PERMANENT and not asked
        detail = "a permanent child returned; it will be restarted" if loops else ""
        self._tell(child, _EXIT_EVENTS[ended.reason], detail, ended.record)
        return ended

    def _part(self, child: Child) -> Exit:
        ended = child.reap()
        if ended.fatal and ended.error is not None:
            self._on_fatal(ended.error)
        return ended

    def _body(self, child: Child, life: Incarnation) -> Callable[[], Awaitable[object]]:
        if isinstance(child.spec, ChildSpec):
            return partial(child.spec.start, Context(child, life, self._runtime), task_status=life)
        return self._supervise(child, life)

    def _tell(
        self, child: Child, kind: EventKind, detail: str = "", error: ErrorRecord | None = None
    ) -> None:
        self._runtime.sink.emit(kind, child.path, child.incarnations, detail, error)


def _brief(ended: Exit) -> str:
    record = ended.record
    return ended.reason.value if record is None else f"{record.type}: {record.message}"
