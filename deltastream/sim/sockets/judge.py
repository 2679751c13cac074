"""Whether clients are kept up to date, each second and when all has settled."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from deltastream.messages import Position
from deltastream.sim.excuses import RECOVERY_S, Excuses
from deltastream.sim.sockets.archive import TOPICS, topic_of
from deltastream.sim.sockets.client import Client
from deltastream.sim.sockets.facts import Facts

if TYPE_CHECKING:
    from deltastream.sim.world import World

__all__ = ["LATE_S", "Judge"]

LATE_S: Final = 3.0
"""Within so long everything reaches a client that takes it, when nothing is wrong."""

SETTLE_S: Final = 20.0
"""Within so long after the last fault has been recovered from every client has the newest state.

It may have to find out that its connection is lost, be let in somewhere, and enter its rooms.
"""


class Judge:
    """Compares clients with the log.

    Args:
        excuses: what has struck.
    """

    def __init__(self, world: World, clients: Sequence[Client], facts: Facts, excuses: Excuses) -> None:
        self._world = world
        self._clients = clients
        self._facts = facts
        self._excuses = excuses
        self._ends: deque[tuple[float, dict[str, Position]]] = deque()
        self._asked: float | None = None
        self._gave_up = False

    def look(self, now: float) -> None:
        """A second has passed: who has been there has what was published some seconds ago."""
        archive = self._facts.archive
        ends = {topic: end for topic in archive.topics() if (end := archive.log(topic).end) is not None}
        self._ends.append((now, ends))
        while len(self._ends) > 1 and self._ends[1][0] <= now - LATE_S:
            self._ends.popleft()
        at, before = self._ends[0]
        if at > now - LATE_S or not self._excuses.calm(now - LATE_S - 2, now):
            return
        for client in self._clients:
            if client.since <= at and client.served:
                for what in self._behind(client, before, at):
                    self._world.violate("socket_behind", f"{client.name}: {what}")
                if client.talk is not None and client.talk.due and client.talk.due[0].at < at:
                    self._world.violate(
                        "socket_answer", f"{client.name}: {client.talk.due[0]} is not answered"
                    )

    def _behind(self, client: Client, ends: dict[str, Position], at: float) -> Iterator[str]:
        """Rooms in which a client has not what there was at a moment."""
        for room in client.follower.inside:
            entered = client.follower.entered.get(room, at)
            if room in client.follower.asked or entered > at - 1:
                continue
            for stream, end in self._streams(room, ends):
                name = stream if room == "general" else room
                known = client.follower.rooms.get(room, {}).get(name)
                log = self._facts.archive.log(topic_of(stream))
                due = self._facts.newest(log, room, (end.epoch, end.seq))
                if log.damaged or self._facts.lossy():
                    continue
                have = {} if known is None else known.state
                for key, line in due.items():
                    mine = have.get(key)
                    if mine is None or mine.ts < line.ts:
                        have_ts = mine and mine.ts
                        yield f"{room}: of {'/'.join(key)} it has {have_ts}, not {line.ts} of {at:g} s"
            yield from self._unaware(client, room, at)

    def _unaware(self, client: Client, room: str, at: float) -> Iterator[str]:
        """Markets whose status a client does not know in a room."""
        for product, (status, seen) in self._facts.archive.statuses.items():
            if seen > at or (room != "general" and room.split(":")[1] != product):
                continue
            if not any(f"{kind}:{product}" in self._known(room) for kind in TOPICS):
                continue
            known = client.follower.statuses.get((room, product))
            if known != status.status:
                yield f"{room}: {product} is {status.status}, it knows {known}"

    def _known(self, room: str) -> list[str]:
        """The streams of a room that something has been published of."""
        return [stream for stream, _ in self._streams(room, self._ends[0][1] if self._ends else {})]

    def _streams(self, room: str, ends: dict[str, Position]) -> list[tuple[str, Position]]:
        kinds = ("product", "chain") if room == "general" else (room.split(":")[0],)
        products = self._world.scenario.products if room == "general" else (room.split(":")[1],)
        streams = [f"{kind}:{product}" for kind in kinds for product in products]
        return [(stream, ends[topic_of(stream)]) for stream in streams if topic_of(stream) in ends]

    async def left(self) -> str | None:
        """What clients still lack when all else is done; not for ever. Cancellation: no effect."""
        now = self._world.now()
        if self._asked is None:
            self._asked = max(now, self._excuses.over + RECOVERY_S)
        left = next(self._lacking(now), None)
        if left is not None and now > self._asked + SETTLE_S and not self._gave_up:
            self._gave_up = True
            self._world.violate("socket_behind", f"{SETTLE_S:.0f} s after all is well: {left}")
        return None if self._gave_up else left

    def _lacking(self, now: float) -> Iterator[str]:
        archive = self._facts.archive
        ends = {topic: end for topic in archive.topics() if (end := archive.log(topic).end) is not None}
        for client in self._clients:
            if not client.inside or client.since > now:
                yield f"{client.name} is not there"
                continue
            for room in client.wanted:
                if room in client.follower.inside:
                    continue
                if self._streams(room, ends):
                    yield f"{client.name} is not in {room}"
            for what in self._behind(client, ends, float("inf")):
                yield f"{client.name}: {what}"
