"""Supervision as OTP defines it, followed from the events of a tree: a model that restarts nothing.

For each supervisor it knows the order of the children, who runs, and when failures were counted.
It judges four things: that failures are restarted within the intensity and given up beyond it, that
children start in order and are stopped in reverse, and that giving up reaches the parent. And it knows how
long a supervisor waits, at the least, before it starts a child that failed, and that chance decides how long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from deltastream.sim.history import Complain
from supervisors import Backoff, Event, EventKind, SupervisorStatistics

__all__ = ["Restarts"]

_ENDS: Final = (EventKind.CRASHED, EventKind.FINISHED, EventKind.STOPPED)
_BEGINS: Final = (EventKind.STARTED, EventKind.RESTARTED)
_REST: Final = "rest for one"
_ESCALATION_S: Final = 15.0
"""What stopping everything may take, twice over the default grace of a child."""
_BACKOFF: Final = Backoff()
"""Of all supervisors of a host."""
_BY_CHANCE: Final = 4
"""How many delays in a row may be the longest possible: one in a hundred is, as it is told."""


@dataclass
class _Supervisor:
    """One supervisor.

    Attributes:
        running: children that have started and not ended.
        stamps: when failures were counted that may still be within the window.
        since: when each child has started, the last time.
        failures: of each child, in a row.
        earliest: when each child that failed may be started again.
        longest: how many delays in a row were as long as they can be.
        gave_up: when, until the parent has dealt with it.
    """

    path: str
    children: tuple[str, ...]
    strategy: str
    max_restarts: int
    period: float
    running: set[str] = field(default_factory=set)
    stamps: list[float] = field(default_factory=list)
    since: dict[str, float] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    earliest: dict[str, float] = field(default_factory=dict)
    longest: int = 0
    gave_up: float | None = None
    stuck: bool = False

    def begin(self) -> None:
        """A new incarnation: nothing is running, nothing counted."""
        self.running.clear()
        self.stamps.clear()
        self.since.clear()
        self.failures.clear()
        self.earliest.clear()
        self.gave_up = None
        self.stuck = False

    def count(self, now: float) -> int:
        """One more failure; how many there were in ``[now - period, now]``."""
        self.stamps = [stamp for stamp in self.stamps if stamp >= now - self.period]
        self.stamps.append(now)
        return len(self.stamps)

    def fail(self, name: str, now: float, told: str) -> None:
        """A child failed that will be started again, after a while."""
        healthy = name in self.since and now - self.since[name] >= _BACKOFF.reset_after
        row = self.failures[name] = 1 if healthy else self.failures.get(name, 0) + 1
        longest = min(_BACKOFF.initial * _BACKOFF.factor ** (row - 1), _BACKOFF.maximum)
        self.earliest[name] = now + longest * (1 - _BACKOFF.jitter)
        self.longest = self.longest + 1 if told == f"restart in {longest:.3g} s" else 0


class Restarts:
    """Follows the tree of one incarnation of the host.

    Args:
        tree: as it is when it stands: its shape and its numbers.
        complain: told of every deviation.
    """

    def __init__(self, tree: SupervisorStatistics, complain: Complain) -> None:
        self._complain = complain
        self._supervisors: dict[str, _Supervisor] = {}
        self._since: dict[str, float] = {}
        self.restarts = 0
        self._learn(tree)
        self._root = self._supervisors[tree.path]

    @property
    def gave_up(self) -> float | None:
        """When the root gave up; None where it has not."""
        return self._root.gave_up

    def unresolved(self, now: float) -> list[str]:
        """Supervisors that gave up long ago, and of whose end the parent has not taken notice."""
        return [
            own.path
            for own in self._supervisors.values()
            if own.gave_up is not None and now - own.gave_up > _ESCALATION_S
        ]

    def running_since(self, path: str) -> float | None:
        """When a node started; None where it does not run."""
        return self._since.get(path)

    def follow(self, events: Sequence[Event]) -> None:
        """What happened, in order."""
        for event in events:
            self._follow(event)

    def _learn(self, node: SupervisorStatistics) -> None:
        self._supervisors[node.path] = _Supervisor(
            node.path,
            tuple(child.name for child in node.children),
            node.strategy,
            node.max_restarts,
            node.period,
        )
        for child in node.children:
            if isinstance(child, SupervisorStatistics):
                self._learn(child)

    def _follow(self, event: Event) -> None:
        above, _, name = event.path.rpartition("/")
        own, parent = self._supervisors.get(event.path), self._supervisors.get(above)
        if event.kind is EventKind.GAVE_UP and own is not None:
            self._gave_up(own, event)
        if parent is None:
            return
        if event.kind is EventKind.STUCK:
            parent.stuck = True
        elif event.kind is EventKind.BACKING_OFF:
            self._backs_off(parent, name, event)
        elif event.kind in _BEGINS:
            self._begins(parent, name, event)
        elif event.kind in _ENDS:
            self._ends(parent, name, event)
            if own is not None:
                own.begin()

    def _begins(self, parent: _Supervisor, name: str, event: Event) -> None:
        self.restarts += event.kind is EventKind.RESTARTED
        place = parent.children.index(name)
        if name in parent.running:
            self._complain("two_incarnations", f"{event.path} was started while it ran")
        if parent.strategy == _REST:
            absent = [other for other in parent.children[:place] if other not in parent.running]
            if absent:
                self._complain("start_order", f"{event.path} was started while {absent[0]} did not run")
            left = [other for other in parent.children[place + 1 :] if other in parent.running]
            if left:
                self._complain("start_order", f"{event.path} was started while {left[0]} still ran")
        if event.at < parent.earliest.pop(name, 0.0):
            self._complain("backoff_missing", f"{event.path} was started at once after it had failed")
        parent.since[name] = event.at
        parent.running.add(name)
        self._since[event.path] = event.at

    def _ends(self, parent: _Supervisor, name: str, event: Event) -> None:
        parent.running.discard(name)
        self._since.pop(event.path, None)
        if event.kind is EventKind.STOPPED and parent.strategy == _REST and not parent.stuck:
            later = parent.children[parent.children.index(name) + 1 :]
            left = [other for other in later if other in parent.running]
            if left:
                self._complain("stop_order", f"{event.path} was stopped while {left[0]} still ran")

    def _backs_off(self, parent: _Supervisor, name: str, event: Event) -> None:
        """A failure was counted, and will be followed by a restart."""
        parent.fail(name, event.at, event.detail)
        if parent.longest > _BY_CHANCE:
            self._complain("backoff_regular", f"{parent.path} has delayed {parent.longest} restarts in full")
        count = parent.count(event.at)
        if count > parent.max_restarts:
            self._complain(
                "intensity_exceeded",
                f"{parent.path} restarts {name} after {count} failures within {parent.period:g} s",
            )
        if parent.gave_up is not None:
            self._complain("intensity_exceeded", f"{parent.path} restarts {name} after it gave up")

    def _gave_up(self, own: _Supervisor, event: Event) -> None:
        count = own.count(event.at)
        exceeded = event.error is not None and "RestartIntensityExceeded" in event.error.type
        if exceeded and count <= own.max_restarts:
            self._complain(
                "gave_up_early", f"{own.path} gave up after {count} failures within {own.period:g} s"
            )
        own.gave_up = event.at
