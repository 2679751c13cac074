"""Clients of sockets in a simulation: at two gateways over one bus, through everything that strikes the host.

What they are sent is compared with the log by a model that knows the protocol's page alone: see
`follower` and `facts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from deltastream.bus.protocol import Gap, Record
from deltastream.sim.excuses import Excuses
from deltastream.sim.host import SOCKETS
from deltastream.sim.sockets.archive import TOPICS, Archive
from deltastream.sim.sockets.client import Client
from deltastream.sim.sockets.facts import Facts
from deltastream.sim.sockets.gateways import Gateway
from deltastream.sim.sockets.judge import Judge

if TYPE_CHECKING:
    from deltastream.sim.host import SimHost
    from deltastream.sim.world import World
    from deltastream.sockets.desk import Desk

__all__ = ["Sockets"]

GATEWAYS: Final = 2
GHOST_S: Final = 4 * SOCKETS.heartbeat_s + 2
"""Within so long a connection has ended that nobody is at."""

BATCH_BYTES: Final = 256 << 10
"""What leaves together, of which the rest is held."""

_CONTROL: Final = 4096
_TEXT: Final = 4
"""A number as text may take so many times the bytes that it has in a column."""


class Sockets:
    """Takes hold of a world that has not run yet.

    Args:
        world: whose host serves them.
        count: of clients.
    """

    def __init__(self, world: World, count: int) -> None:
        scenario = world.scenario
        self._world = world
        self._excuses = Excuses(durable=scenario.durability == "power", trims=scenario.max_age_s is not None)
        self._archive = Archive()
        facts = Facts(self._archive, world.violate, self._lossy)
        self._facts = facts
        self._gateways = [Gateway(number, world) for number in range(GATEWAYS)]
        rooms = ["general", *(f"{kind}:{product}" for kind in TOPICS for product in scenario.products)]
        self._clients = [
            Client(number, world, self._gateways, facts, self._excuses, rooms) for number in range(count)
        ]
        self._held: dict[str, int] = {}
        self._judge = Judge(world, self._clients, facts, self._excuses)
        world.actors.append("sockets")  # whose port gateway 0 replaces
        world.tasks.append(self._run)
        world.on_record.append(self._see)
        world.on_struck.append(self._struck)
        world.on_down.append(self._down)
        world.on_log.append(self._log)
        world.every_second.append(self._look)
        world.unsettled.append(self._judge.left)
        world.at_end.append(self._end)
        world.after_stop.append(self._stopped)

    def _lossy(self) -> bool:
        return self._excuses.ever("lost_tail", "lost_any", "store_behind")

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._world.attend, self._serve)
            for client in self._clients:
                nursery.start_soon(client.run)

    async def _serve(self, host: SimHost) -> None:
        await self._gateways[1].run(host)

    def _see(self, item: Record | Gap) -> None:
        self._archive.see(item, self._world.now())
        if isinstance(item, Record) and item.topic.startswith(TOPICS["chain"]):
            expiry = f"chain:{item.message.product}:{item.message.expiry}"  # type: ignore[attr-defined]  # a chain
            for client in self._clients:
                if expiry not in client.rooms and len(client.rooms) < 16:
                    client.rooms.append(expiry)

    def _struck(self, fault: Any, detail: str) -> None:
        self._excuses.strike(self._world.now(), fault)

    def _down(self, number: int, how: str) -> None:
        for gateway in self._gateways:
            gateway.died(told=how != "killed" or number % 3 != 0)

    def _log(self, line: dict[str, Any]) -> None:
        if line["event"] == "socket_failed":
            self._world.violate("socket_failed", str(line.get("exception", ""))[-300:])

    async def _look(self) -> None:
        now = self._world.now()
        self._judge.look(now)
        desks = [desk for gateway in self._gateways if (desk := gateway.desk) is not None]
        for desk in desks:
            self._bounds(desk)
        ghosts = {name for client in self._clients for name in client.ghosts(now - GHOST_S)}
        if ghosts and self._excuses.calm(now - GHOST_S, now):
            for desk in desks:
                for connection in desk.connections:
                    if connection.session.name in ghosts:
                        self._world.violate("socket_ghost", f"nobody is at {connection.session.name}")

    def _bounds(self, desk: Desk) -> None:
        """What waits for a client is bounded, whatever it does: beyond the bound nothing is added.

        The snapshots of rooms that are entered together find room in an outbox however large they are.
        """
        for connection in desk.connections:
            held = getattr(connection, "_held_bytes", None)
            held = connection._bytes if held is None else held  # type: ignore[attr-defined]  # one of the two kinds
            bound = SOCKETS.outbox_bytes + BATCH_BYTES + _TEXT * self._archive.largest
            name, before = connection.session.name, self._held.get(connection.session.name, 0)
            if before > bound and held > before + _CONTROL:
                self._world.violate("socket_bound", f"{held} bytes wait for {name}, after {before}")
            self._held[name] = held

    async def _end(self) -> None:
        self._facts.finish()

    def _stopped(self) -> None:
        for gateway in self._gateways:
            for what, left in ({} if gateway.latest is None else _left(gateway.latest)).items():
                if left:
                    self._world.violate("leak_held", f"gateway {gateway.number}: {what}: {left}")


def _left(desk: Desk) -> dict[str, int]:
    """What a desk that has stopped still holds."""
    fanout = desk.hub.fanout
    return {
        "connections": len(desk.connections),
        "users": len(desk._of_user),
        "open rooms": desk.hub.open_rooms,
        "groups": len(fanout._groups),
        "groups with something to send": len(fanout._dirty),
    }
