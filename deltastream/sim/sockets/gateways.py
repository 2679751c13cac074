"""Two gateways of sockets over one bus: the host's own, and another beside it that has an edge of its own.

Desk, hub, sessions, handshakes, accounts and the outboxes of connections are the real ones; only what
carries the bytes is simulated. The other one comes up with its host and dies with it, and now and
then by itself; it is supervised by a tree of its own.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any, Final

import trio

from deltastream.accounts import AccountService
from deltastream.gateway.settings import GatewaySettings
from deltastream.host.edge import Edge
from deltastream.sim.machine import process
from deltastream.sim.seams import SimIds, SimSecrets
from deltastream.sim.sockets.network import Caller, SimListener, SimReadiness, Unreachable
from deltastream.sim.sockets.stream import secured
from deltastream.sockets.handshake import Handshakes
from deltastream.sockets.server import serve_on
from supervisors import ChildSpec, Context, Service, SupervisionError, SupervisorSpec, Tree, open_tree

if TYPE_CHECKING:
    from deltastream.sim.host import SimHost
    from deltastream.sim.world import World
    from deltastream.sockets.desk import Desk

__all__ = ["Gateway"]

SERVER: Final = "host/edge/sockets"
"""The child in whose place the simulated port is opened."""

_AGAIN_S: Final = 0.5
_LIVES_S: Final = 40.0


class Gateway:
    """One gateway through all incarnations of the host.

    Attributes:
        number: 0 is the host's own; its clients are written to as they are, those of the other by a task.
        latest: the desk of the newest that has served.
    """

    def __init__(self, number: int, world: World) -> None:
        self.number = number
        self.latest: Desk | None = None
        self._world = world
        self._rng = world.rng(f"sockets/gateway/{number}")
        self._lives = 0
        self._edge: Edge | None = None
        self._listener: SimListener | None = None
        self._tree: Tree | None = None
        if number == 0:
            world.wrap_child.append(self._replace)

    @property
    def desk(self) -> Desk | None:
        """The present one; None where nobody can come in."""
        return self.latest if self._listener is not None and self._listener.open else None

    def connect(self, capacity: int) -> Caller:
        """Call it; see `SimListener.connect`."""
        if self._listener is None:
            raise Unreachable("nobody listens")
        return self._listener.connect(capacity)

    def accounts(self) -> tuple[AccountService, SimHost] | None:
        """Its accounts and the process that they run in; None where there are none."""
        host = self._world.host
        edge = self._edge if self.number else host and host.edge
        service = edge.auth._service if edge else None
        return None if service is None or host is None else (service, host)

    def died(self, *, told: bool) -> None:
        """Its process has; whether clients are told."""
        if self._listener is not None:
            self._listener.cut(told=told)

    # The port

    def _replace(self, path: str, service: Service) -> Service:
        ours = isinstance(getattr(service, "__self__", None), Gateway)
        return self.serve if path == SERVER and not ours else service

    async def serve(self, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
        """Open a simulated port for as long as this child of the tree lives.

        Cancellation: as of `deltastream.sockets.server.serve`.
        """
        host = process.get()
        assert host is not None  # every tree runs in a process
        edge = self._edge if self.number else host.edge
        assert edge is not None  # whose child this is
        desk, life = edge._present_desk(), self._lives
        alive = self._life(host, life)
        settings = host.settings.sockets
        self.latest = desk
        self._listener = listener = SimListener(alive)
        try:
            await serve_on(
                listener,
                desk,
                settings,
                Handshakes(GatewaySettings(), settings.host, lambda: None, settings.message_bytes),
                edge._host.seams,
                secured=secured if self.number else None,
                readiness=SimReadiness(),
                started=task_status.started,
            )
        finally:
            if self._listener is listener:
                self._listener = None

    def _life(self, host: SimHost, life: int) -> Any:
        return lambda: host.alive and (not self.number or life == self._lives)

    # The one beside

    async def run(self, host: SimHost) -> None:
        """Live beside a host, and die with it. Cancellation: as the end of its process."""
        token = process.set(host)
        try:
            while True:
                async with trio.open_nursery() as life:
                    life.start_soon(self._end_some_time, life.cancel_scope)
                    life.start_soon(self._die_with, host)
                    await self._live(host)
                    life.cancel_scope.cancel("it has given up")
                self._end(told=True)
                await trio.sleep(_AGAIN_S)
        finally:
            self._end(told=True)
            process.reset(token)

    async def _end_some_time(self, life: trio.CancelScope) -> None:
        """It is killed now and then, though not once all shall be well."""
        await trio.sleep(self._rng.expovariate(1 / _LIVES_S))
        if not self._world.closing:
            self._end(told=self._rng.random() < 0.8)
            if self._tree is not None:
                self._tree.cancel()
            life.cancel("it is killed")

    async def _die_with(self, host: SimHost) -> None:
        """A dead process stops nothing in order."""
        await host.death.wait()
        if self._tree is not None:
            self._tree.cancel()

    def _end(self, *, told: bool) -> None:
        self.died(told=told)
        self._lives += 1

    async def _live(self, host: SimHost) -> None:
        """Until its tree has given up."""
        name = f"sockets/beside/{host.number}/{self._lives}"
        seams = dataclasses.replace(
            host.seams,
            rng=self._world.rng(name),
            ids=SimIds(self._world.rng(f"{name}/ids")),
            secrets=SimSecrets(self._world.rng(f"{name}/secrets")),
        )
        beside = copy.copy(host)
        beside.seams = seams
        edge = Edge(beside)
        self._edge = edge
        try:
            async with open_tree(self._wrapped(edge.spec()), rng=seams.rng) as self._tree:
                await self._tree.wait()
        except SupervisionError:
            pass
        finally:
            self._tree = self._edge = None

    def _wrapped(self, spec: SupervisorSpec) -> SupervisorSpec:
        """The tree with our port in it, and what faults do to its children."""
        children = []
        for child in spec.children:
            assert isinstance(child, ChildSpec)  # an edge has no others
            path = f"host/edge/{child.name}"
            service = self.serve if path == SERVER else child.start
            for wrap in self._world.wrap_child:
                service = wrap(path, service)
            children.append(dataclasses.replace(child, start=service))
        return dataclasses.replace(spec, children=tuple(children))
