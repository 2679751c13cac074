"""Everything that can go wrong in a supervision tree, under one base class."""

__all__ = [
    "ChildRunning",
    "DuplicateChild",
    "InvalidSpec",
    "RestartIntensityExceeded",
    "StartFailed",
    "StartTimeout",
    "StuckChild",
    "SupervisionError",
    "SupervisorStopped",
    "UnknownChild",
    "UnknownMailbox",
]


class SupervisionError(Exception):
    """Base of every error this package raises on its own account."""


class InvalidSpec(SupervisionError, ValueError):
    """A specification contradicts itself; raised when it is built, never while a tree runs."""


class StartFailed(SupervisionError):
    """A child ended before it called ``task_status.started()``.

    ``__cause__`` is what the child raised. A nested supervisor fails with the ``StartFailed`` of the child
    that would not start, so the chain of causes leads from the root down to the original error.

    Attributes:
        path: Path of the child that failed to start.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: start failed: {reason}")
        self.path = path


class StartTimeout(StartFailed):
    """A child did not call ``task_status.started()`` within its ``start_timeout`` and was cancelled.

    Attributes:
        path: Path of the child.
        timeout: The limit it missed, in seconds.
    """

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__(path, f"no started() within {timeout:g} s")
        self.timeout = timeout


class RestartIntensityExceeded(SupervisionError):
    """A supervisor gave up: more restarts than it is allowed within its period.

    Raised by the supervisor after all its children have ended, so that its parent sees it crash.
    ``__cause__`` is the error of the child whose failure was one too many; it is ``None`` if that child,
    being permanent, had merely returned.

    Attributes:
        path: Path of the supervisor that gave up.
        child: Path of the child whose failure was one too many.
        max_restarts: Restarts allowed per period.
        period: Length of the sliding window, in seconds.
    """

    def __init__(self, path: str, child: str, max_restarts: int, period: float) -> None:
        super().__init__(
            f"{path}: more than {max_restarts} restarts within {period:g} s, the last for {child}"
        )
        self.path = path
        self.child = child
        self.max_restarts = max_restarts
        self.period = period


class StuckChild(SupervisionError):
    """A child was asked to stop and is still running after its grace.

    Trio cannot kill a task: a shielded scope or a blocking thread ignores cancellation. The supervisor will
    not run two incarnations of one child, so it cannot replace a stuck one and escalates instead, up to the
    root; what remains is for the host to end the process.

    Attributes:
        path: Path of the child.
        grace: How long it was waited for, in seconds.
    """

    def __init__(self, path: str, grace: float) -> None:
        super().__init__(f"{path}: still running {grace:g} s after it was asked to stop")
        self.path = path
        self.grace = grace


class UnknownChild(SupervisionError, LookupError):
    """No child of this name or path exists."""


class UnknownMailbox(SupervisionError, LookupError):
    """The specification of the child names no such mailbox."""


class DuplicateChild(SupervisionError):
    """A child of this name exists already."""


class ChildRunning(SupervisionError):
    """The operation needs a child that has no running incarnation."""


class SupervisorStopped(SupervisionError):
    """The supervisor is stopping or has ended; it takes no more requests."""
