"""While it runs: queues within their bounds, and all well again in time after every fault."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from deltastream.bus.protocol import BusStatistics
from deltastream.feeds.protocol import Delivered, Provider, Refusal
from deltastream.sim.excuses import Excuses
from deltastream.sim.history import Complain
from supervisors import ChildState, ChildStatistics, SupervisorStatistics

__all__ = ["LAG_S", "Health", "Intake", "walk"]

LAG_S: Final = 3
"""Virtual seconds within which every group has done with a message when nothing is wrong.

Chains are gathered for half a second, a commit takes milliseconds; a look is taken each second.
"""

_ROOM_S: Final = 2
_START_S: Final = 2
_EVENTS: Final = 1024
_REQUEST_BYTES: Final = 8 << 20
_INTAKE: Final = 2 * 64 + 2
"""Between provider and journal: a channel of 64 messages, a batch of 64, one in each hand."""

_WELL: Final = (ChildState.RUNNING, ChildState.STOPPED, ChildState.STARTING)


class Health:
    """Looks at one host.

    Args:
        excuses: what struck so far.
        complain: told of what is not as it must be.
    """

    def __init__(self, excuses: Excuses, complain: Complain) -> None:
        self._excuses = excuses
        self._complain = complain
        self._absent = 0.0
        self._ends: deque[tuple[float, dict[str, tuple[str, int]]]] = deque()

    def bounds(self, pending_bytes: int, most_bytes: int, events_waiting: int) -> None:
        """No queue holds more than it may, whatever is wrong: the bus's and the tree's own.

        One request finds room in an empty queue of the bus however large it is, which is 64 messages.
        """
        if pending_bytes > most_bytes + _REQUEST_BYTES:
            self._complain("queue_bound", f"the bus holds {pending_bytes} pending bytes of {most_bytes}")
        if events_waiting > _EVENTS:
            self._complain("queue_bound", f"{events_waiting} events wait, of {_EVENTS}")

    def recovered(
        self, now: float, bus: BusStatistics, tree: SupervisorStatistics
    ) -> dict[str, tuple[str, int]] | None:
        """`RECOVERY_S` after the last fault: everybody runs, the bus works, nobody lags behind.

        Returns:
            Where the topics ended some seconds ago, by epoch and seq: what everybody must have by
            now; None where that cannot be demanded.
        """
        self._absent = 0.0
        ends = {topic.topic: (topic.epoch, topic.last_seq) for topic in bus.topics}
        for actor in walk(tree):
            for box in actor.mailboxes:
                if box.depth > box.capacity:
                    self._complain("queue_bound", f"{box.name} holds {box.depth} of {box.capacity}")
        self._ends.append((now, ends))
        while len(self._ends) > 1 and self._ends[1][0] <= now - LAG_S:
            self._ends.popleft()
        if not self._excuses.calm(now - LAG_S - _ROOM_S, now):
            return None
        for actor in walk(tree):
            if actor.state not in _WELL:
                self._complain(
                    "not_recovered",
                    f"{actor.path} is {actor.state.value}, {actor.reason or actor.last_error}",
                )
        if bus.state != "running":
            self._complain("not_recovered", f"the bus is {bus.state}: {bus.reason}")
        at, before = self._ends[0]
        if at > now - LAG_S:
            return None
        for group in bus.groups:
            epoch, seq = before.get(group.topic, ("", 0))
            if group.acked < seq and epoch == ends[group.topic][0]:
                self._complain(
                    "lag", f"{group.group} on {group.topic} stands at {group.acked}, behind {seq} of {at:g} s"
                )
        return before

    def absent(self, now: float) -> None:
        """There is no host: at most as long as it takes to start one where no fault accounts for it."""
        self._ends.clear()
        self._absent = self._absent or now
        if now - self._absent > _START_S and self._excuses.calm(now, now):
            self._complain("not_recovered", f"no host is up since {self._absent:g} s")


def walk(node: ChildStatistics) -> Iterator[ChildStatistics]:
    """A node of a tree and all below it."""
    yield node
    if isinstance(node, SupervisorStatistics):
        for child in node.children:
            yield from walk(child)


class Intake:
    """Between the provider and the journal only so many messages may wait: the source is held back.

    Args:
        done: how many messages the present host's feed has had accepted, or refused.
        complain: told where more wait.
    """

    def __init__(self, done: Callable[[], int], complain: Complain) -> None:
        self._done = done
        self._complain = complain
        self._given = 0

    def wrap(self, provider: Provider) -> Provider:
        """The provider, its messages counted."""
        return _Metered(provider, self)

    def begin(self) -> None:
        """A feed has opened the source anew; what it had in its hands before is forgotten."""
        self._given = self._done()

    def give(self) -> None:
        """The feed has asked for one more message and got it."""
        self._given += 1
        waiting = self._given - self._done()
        if waiting > _INTAKE:
            self._complain("queue_bound", f"{waiting} messages wait between provider and journal")


class _Metered:
    def __init__(self, provider: Provider, intake: Intake) -> None:
        self._provider = provider
        self._intake = intake

    @property
    def name(self) -> str:
        return self._provider.name

    @property
    def silent_after_s(self) -> float | None:
        return self._provider.silent_after_s

    def stream(self) -> AbstractAsyncContextManager[AsyncIterator[Delivered | Refusal]]:
        return self._stream()

    @asynccontextmanager
    async def _stream(self) -> AsyncIterator[AsyncIterator[Delivered | Refusal]]:
        self._intake.begin()
        async with self._provider.stream() as items:
            yield _Items(items, self._intake)


class _Items:
    def __init__(self, items: AsyncIterator[Delivered | Refusal], intake: Intake) -> None:
        self._items = items
        self._intake = intake

    def __aiter__(self) -> AsyncIterator[Delivered | Refusal]:
        return self

    async def __anext__(self) -> Delivered | Refusal:
        item = await self._items.__anext__()
        if isinstance(item, Delivered):
            self._intake.give()
        return item
