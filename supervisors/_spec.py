"""How a tree is described: child and supervisor specifications."""

import enum
import math
from collections import Counter
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import trio

from supervisors._backoff import Backoff
from supervisors._errors import InvalidSpec
from supervisors._intensity import Intensity
from supervisors._mailbox import Mailbox

if TYPE_CHECKING:
    from supervisors._context import Context

__all__ = ["AnySpec", "AutoShutdown", "ChildSpec", "Restart", "Service", "Strategy", "SupervisorSpec"]

_INTENSITY = Intensity()
_BACKOFF = Backoff()


class Restart(enum.Enum):
    """Which ends of a child are followed by a restart."""

    PERMANENT = "permanent"
    """All of them, a normal return included."""
    TRANSIENT = "transient"
    """A crash, but not a normal return."""
    TEMPORARY = "temporary"
    """None; once it has ended its specification is forgotten."""


class Strategy(enum.Enum):
    """Which siblings are restarted with a failed child."""

    ONE_FOR_ONE = "one for one"
    """None."""
    ONE_FOR_ALL = "one for all"
    """All."""
    REST_FOR_ONE = "rest for one"
    """Those that were started after it."""


class AutoShutdown(enum.Enum):
    """When the end of significant children ends their supervisor."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any significant"
    ALL_SIGNIFICANT = "all significant"


class Service(Protocol):
    """What a child runs: acquire, call ``task_status.started(handle)``, loop.

    A function, a bound method or a ``functools.partial`` of one. It receives its ``Context`` first.
    """

    def __call__(self, ctx: "Context", /, *, task_status: trio.TaskStatus[Any]) -> Awaitable[object]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """A worker.

    Attributes:
        name: Unique among its siblings, not empty, without ``/``.
        start: The service. An exception before ``started()`` is a failed start, after it a crash.
        restart: Which of its ends are followed by a restart.
        start_timeout: Seconds it may take until ``started()``; ``math.inf`` for no limit.
        shutdown: Its grace: seconds it may take to end once cancelled; ``math.inf`` for no limit.
        significant: Its end may end the supervisor, see ``SupervisorSpec.auto_shutdown``; not if permanent.
        mailboxes: Those it reads. They survive its incarnations and appear in its statistics.
    """

    name: str
    start: Service
    restart: Restart = Restart.PERMANENT
    start_timeout: float = 10.0
    shutdown: float = 5.0
    significant: bool = False
    mailboxes: tuple[Mailbox[Any], ...] = ()

    def __post_init__(self) -> None:
        _check_child(self)
        if not callable(self.start):
            raise InvalidSpec(f"{self.name}: start must be callable, not {type(self.start).__qualname__}")
        if not self.shutdown > 0:
            raise InvalidSpec(f"{self.name}: shutdown must be positive, not {self.shutdown}")
        names = Counter(box.name for box in self.mailboxes)
        if repeated := [name for name, count in names.items() if count > 1]:
            raise InvalidSpec(f"{self.name}: two mailboxes named {repeated[0]!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSpec:
    """A supervisor, the root of a tree or a child of another supervisor.

    Attributes:
        name: Unique among its siblings, not empty, without ``/``.
        children: Started in this order, stopped in the reverse one.
        strategy: Which siblings are restarted with a failed child.
        intensity: How many restarts within which window are too many.
        backoff: How long to wait before a restart.
        auto_shutdown: When the end of significant children ends this supervisor, normally.
        restart: As a child: which of its ends are followed by a restart.
        start_timeout: As a child: seconds until all its children have started. Each of them has a limit of
            its own, hence none by default.
        shutdown: The total budget, in seconds, for stopping all its children. ``None``: the sum of what the
            children are given, so that every one of them can use up its grace.
        significant: As a child: its end may end the supervisor above.
    """

    name: str
    children: "tuple[AnySpec, ...]" = ()
    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: Intensity = _INTENSITY
    backoff: Backoff = _BACKOFF
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    restart: Restart = Restart.PERMANENT
    start_timeout: float = math.inf
    shutdown: float | None = None
    significant: bool = False

    def __post_init__(self) -> None:
        _check_child(self)
        if self.shutdown is not None and not self.shutdown > 0:
            raise InvalidSpec(f"{self.name}: shutdown must be positive, not {self.shutdown}")
        names = Counter(child.name for child in self.children)
        if repeated := [name for name, count in names.items() if count > 1]:
            raise InvalidSpec(f"{self.name}: two children named {repeated[0]!r}")
        for child in self.children:
            check_significance(self, child)
        boxes = Counter(id(box) for box in mailboxes_of(self))  # seam: counted, in no order
        if any(count > 1 for count in boxes.values()):
            raise InvalidSpec(f"{self.name}: a mailbox is read by two children")


AnySpec: TypeAlias = ChildSpec | SupervisorSpec


def check_significance(parent: SupervisorSpec, child: AnySpec) -> None:
    """Raise ``InvalidSpec`` if a significant child has a parent that never shuts itself down."""
    if child.significant and parent.auto_shutdown is AutoShutdown.NEVER:
        raise InvalidSpec(f"{child.name}: significant, but auto_shutdown of {parent.name} is NEVER")


def mailboxes_of(spec: AnySpec) -> Iterator[Mailbox[Any]]:
    """Yield the mailboxes of a specification and of all below it."""
    if isinstance(spec, ChildSpec):
        yield from spec.mailboxes
    else:
        for child in spec.children:
            yield from mailboxes_of(child)


def _check_child(spec: AnySpec) -> None:
    if not spec.name or "/" in spec.name:
        raise InvalidSpec(f"a name must not be empty or contain '/', not {spec.name!r}")
    if not spec.start_timeout > 0:
        raise InvalidSpec(f"{spec.name}: start_timeout must be positive, not {spec.start_timeout}")
    if spec.significant and spec.restart is Restart.PERMANENT:
        raise InvalidSpec(f"{spec.name}: a permanent child cannot be significant")
