"""One child: what its supervisor remembers of it, and the wrapper around each of its incarnations."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from supervisors._errors import StuckChild, SupervisionError
from supervisors._mailbox import Mailbox
from supervisors._spec import AnySpec, ChildSpec, Restart
from supervisors._statistics import ChildState, ChildStatistics, ErrorRecord, ExitReason

if TYPE_CHECKING:
    from supervisors._supervisor import Supervisor

__all__ = ["Child", "Exit", "Incarnation", "split_cancelled"]


@dataclass(frozen=True, slots=True)
class Exit:
    """How an incarnation ended; ``error`` is set if and only if it crashed."""

    reason: ExitReason
    error: BaseException | None = None
    record: ErrorRecord | None = None

    @classmethod
    def crashed(cls, error: BaseException) -> "Exit":
        """Return the exit of an incarnation that raised ``error``."""
        return cls(ExitReason.CRASHED, error, ErrorRecord.of(error))

    @property
    def fatal(self) -> bool:
        """Whether a ``KeyboardInterrupt`` or ``SystemExit`` ended it, which no supervisor may swallow."""
        fatal = (KeyboardInterrupt, SystemExit)
        if isinstance(self.error, BaseExceptionGroup):
            return self.error.subgroup(fatal) is not None
        return isinstance(self.error, fatal)


class Incarnation:
    """One life of a child: a task with its own cancel scope.

    It is also the ``task_status`` of the service. No exception of the child leaves ``live``; only
    ``Cancelled`` that is not its own does.
    """

    __slots__ = (
        "degraded",
        "done",
        "exit",
        "handshake",
        "number",
        "scope",
        "started_at",
        "stuck_after",
        "value",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.scope = trio.CancelScope()
        self.handshake = trio.Event()
        """Set once there is something for the starter to look at: started, ended or stuck below."""
        self.done = trio.Event()
        self.exit: Exit | None = None
        self.started_at: float | None = None
        self.value: Any = None
        self.degraded: str | None = None
        self.stuck_after: float | None = None
        """Seconds for which it had been waited in vain when it was found to be stuck."""

    def started(self, value: Any = None) -> None:
        """Complete the handshake; what the service calls as ``task_status.started(value)``."""
        if self.started_at is not None:
            raise RuntimeError("called 'started' twice on the same task status")
        self.started_at = trio.current_time()
        self.value = value
        self.handshake.set()

    @property
    def stopping(self) -> bool:
        """Whether it has been asked to stop."""
        return self.scope.cancel_called

    async def live(self, body: Callable[[], Awaitable[object]], report: Callable[[], None]) -> None:
        """Run ``body``, classify how it ends into ``exit`` and call ``report``.

        Cancellation from outside of its own scope is recorded and raised again.
        """
        try:
            with self.scope:
                await body()
            self.exit = self._returned()
        except BaseException as error:
            cancelled, rest = split_cancelled(error)
            self.exit = Exit(ExitReason.CANCELLED) if rest is None else Exit.crashed(rest)
            if cancelled is not None:
                raise cancelled from None
        finally:
            self.done.set()
            self.handshake.set()
            report()

    def _returned(self) -> Exit:
        if self.stopping:
            return Exit(ExitReason.STOPPED)
        if self.started_at is None:
            return Exit.crashed(RuntimeError("returned without calling task_status.started()"))
        return Exit(ExitReason.NORMAL)


def split_cancelled(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """Return the part of ``error`` that is ``Cancelled`` and the part that is not."""
    if isinstance(error, trio.Cancelled):
        return error, None
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)
    return None, error


class Child:
    """A child across its incarnations, as its supervisor keeps it."""

    def __init__(self, spec: AnySpec, path: str, *, dynamic: bool = False) -> None:
        self.spec = spec
        self.path = path
        self.dynamic = dynamic
        self.incarnation: Incarnation | None = None
        self.supervisor: Supervisor | None = None
        self.incarnations = 0
        self.failures = 0
        self.restart_at: float | None = None
        self.started_at: float | None = None
        self.last_exit: Exit | None = None
        self.last_error: ErrorRecord | None = None

    @property
    def mailboxes(self) -> tuple[Mailbox[Any], ...]:
        """The mailboxes it reads itself."""
        return self.spec.mailboxes if isinstance(self.spec, ChildSpec) else ()

    @property
    def patience(self) -> float:
        """How many seconds its supervisor waits for it to end."""
        if isinstance(self.spec, ChildSpec):
            return self.spec.shutdown
        return self.supervisor.patience if self.supervisor is not None else 0.0

    @property
    def running(self) -> bool:
        """Whether it has an incarnation that is not known to be stuck."""
        return self.incarnation is not None and self.incarnation.stuck_after is None

    def incarnate(self) -> Incarnation:
        """Begin the next incarnation; the previous one has ended."""
        if self.incarnation is not None:
            raise SupervisionError(f"{self.path}: two incarnations at once")
        self.incarnations += 1
        self.restart_at = None
        self.incarnation = Incarnation(self.incarnations)
        return self.incarnation

    def reap(self) -> Exit:
        """Take leave of the incarnation, which has ended, and return how."""
        life = self.incarnation
        if life is None or life.exit is None:
            raise SupervisionError(f"{self.path}: no ended incarnation")
        self.incarnation = None
        self.started_at = life.started_at
        self.last_exit = Exit(life.exit.reason)
        self.last_error = life.exit.record or self.last_error
        return life.exit

    def ask_to_stop(self) -> Incarnation:
        """Cancel the incarnation; the cancellation is only a request."""
        if self.incarnation is None:
            raise SupervisionError(f"{self.path}: nothing to stop")
        self.incarnation.scope.cancel("asked to stop by the supervisor")
        if self.supervisor is not None:
            self.supervisor.request_stop()  # now rather than when its task learns of the cancellation
        return self.incarnation

    def blame(self, record: ErrorRecord) -> None:
        """Keep what a failed start is to be remembered by."""
        self.last_exit = Exit(ExitReason.CRASHED)
        self.last_error = record

    def stuck_error(self, cause: BaseException | None = None) -> StuckChild:
        """Return the error that tells that its incarnation is stuck."""
        waited = None if self.incarnation is None else self.incarnation.stuck_after
        error = StuckChild(self.path, self.patience if waited is None else waited)
        error.__cause__ = cause
        return error

    def count_failure(self, now: float, reset_after: float) -> int:
        """Count a failure and return how many there were in a row; a healthy incarnation begins a new row."""
        if self.started_at is not None and now - self.started_at >= reset_after:
            self.failures = 0
        self.failures += 1
        return self.failures

    def restarts_after(self, exit_: Exit) -> bool:
        """Return whether its restart type asks for another incarnation after such an exit."""
        if self.spec.restart is Restart.PERMANENT:
            return True
        return self.spec.restart is Restart.TRANSIENT and exit_.reason is ExitReason.CRASHED

    @property
    def state(self) -> ChildState:
        """Where it stands; derived, so that it cannot contradict what happened."""
        life = self.incarnation
        exit_ = self.last_exit if life is None else life.exit
        if life is None and self.restart_at is not None:
            return ChildState.BACKING_OFF
        if life is None or exit_ is not None:
            crashed = exit_ is not None and exit_.reason is ExitReason.CRASHED
            return ChildState.FAILED if crashed else ChildState.STOPPED
        if life.stuck_after is not None:
            return ChildState.STUCK
        if life.stopping or (self.supervisor is not None and self.supervisor.stopping):
            return ChildState.STOPPING
        if life.started_at is None:
            return ChildState.STARTING
        return ChildState.RUNNING if life.degraded is None else ChildState.DEGRADED

    def statistics(self) -> ChildStatistics:
        """Return a snapshot of it and of all below it."""
        life = self.incarnation
        kind = ChildStatistics if self.supervisor is None else self.supervisor.describe
        return kind(
            name=self.spec.name,
            path=self.path,
            state=self.state,
            reason=None if life is None else life.degraded,
            incarnation=self.incarnations,
            restarts=max(self.incarnations - 1, 0),
            failures=self.failures,
            started_at=self.started_at if life is None else life.started_at,
            restart_at=self.restart_at,
            last_exit=None if self.last_exit is None else self.last_exit.reason,
            last_error=self.last_error,
            mailboxes=tuple(box.statistics() for box in self.mailboxes),
        )
