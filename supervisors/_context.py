"""What a child is given: its identity, its mailboxes and a way to speak of itself."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from supervisors._child import Child, Incarnation
from supervisors._errors import UnknownMailbox
from supervisors._events import EventKind, EventSink
from supervisors._mailbox import Mailbox

if TYPE_CHECKING:
    from supervisors._tree import Tree

__all__ = ["Context", "Runtime"]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the supervisors of one tree share."""

    rng: random.Random
    sink: EventSink
    tree: "Tree"


class Context:
    """The world as one incarnation of a child sees it.

    Attributes:
        name: Name of the child.
        path: Names from the root down to it, joined by ``/``.
        incarnation: Number of this incarnation, from 1. State does not survive from one to the next.
        mailboxes: Its mailboxes by name.
        rng: The random generator of the tree.
        tree: The tree it lives in, to look at it or to ask it to stop.
    """

    def __init__(self, child: Child, life: Incarnation, runtime: Runtime) -> None:
        self.name = child.spec.name
        self.path = child.path
        self.incarnation = life.number
        self.mailboxes: Mapping[str, Mailbox[Any]] = MappingProxyType(
            {box.name: box for box in child.mailboxes}
        )
        self.rng = runtime.rng
        self.tree = runtime.tree
        self._life = life
        self._sink = runtime.sink

    def mailbox(self, name: str) -> Mailbox[Any]:
        """Return one of its mailboxes.

        Raises:
            UnknownMailbox: Its specification names no such mailbox.
        """
        try:
            return self.mailboxes[name]
        except KeyError:
            raise UnknownMailbox(f"{self.path} has no mailbox {name!r}") from None

    def degraded(self, reason: str) -> None:
        """Report an expected outage: the child goes on, but without what it needs.

        Handle the outage inside the child and call this, rather than crash: a crash is for the unexpected.
        """
        if self._life.degraded != reason:
            self._life.degraded = reason
            self.emit(reason, kind=EventKind.DEGRADED)

    def running(self) -> None:
        """Report that the outage is over."""
        if self._life.degraded is not None:
            self._life.degraded = None
            self.emit(kind=EventKind.RECOVERED)

    def emit(self, detail: str = "", *, kind: EventKind = EventKind.NOTE) -> None:
        """Send an event about this child to the tree's callback. Never waits, never raises."""
        self._sink.emit(kind, self.path, self.incarnation, detail)
