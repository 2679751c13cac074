"""The edge of a host: accounts, the latest state of the market, and the gateways in front of both."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import trio

from deltastream.actors.auth import Auth
from deltastream.actors.gateway import Gateway
from deltastream.actors.sockets import Sockets
from deltastream.gateway.exposure import is_private
from supervisors import ChildSpec, Context, Intensity, Strategy, SupervisorSpec

if TYPE_CHECKING:
    from deltastream.accounts import NewLink
    from deltastream.gateway.services import Services
    from deltastream.host.tree import Host
    from deltastream.sockets.desk import Desk
    from deltastream.sockets.statistics import SocketStatistics

__all__ = ["Edge"]

GATEWAY_STOP_S: Final = 1.5
"""A gateway lets its clients go within a second; the rest of a host's time is the pipeline's."""
IMPORT_S: Final = 60.0
"""A web framework is imported first, on a slow machine or a busy one too."""


class Edge:
    """What lets people and programs in.

    Args:
        host: whose edge it is.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        settings, directory = host.settings, host.data_dir
        self.auth = Auth(
            host.bus,
            directory.accounts,
            directory.signing_keys,
            settings.accounts,
            settings.gateway,
            host.seams,
        )
        self.gateway: Gateway | None = None
        self.sockets: Sockets | None = None
        self._desk: Desk | None = None
        if {"gateway", "sockets"} & set(settings.actors):
            from deltastream.gateway.live import Live

            self._live = Live(host.bus, host.store, host.seams)
        if "sockets" in settings.actors:
            self.sockets = Sockets(
                self._present_desk, settings.sockets, settings.gateway, self._page_port, host.seams
            )
        if "gateway" in settings.actors:
            self.gateway = Gateway(self._services, settings.gateway, host.seams)

    @property
    def url(self) -> str | None:
        """By what a browser reaches the gateway; None where none listens."""
        return self.gateway.url if self.gateway is not None else None

    def spec(self) -> SupervisorSpec:
        """Its part of the tree. What comes later uses what comes before, and is restarted with it."""
        children = [ChildSpec(name="auth", start=self.auth.run)]
        if self.gateway is not None or self.sockets is not None:
            children.append(ChildSpec(name="live", start=self._live.run))
        if self.sockets is not None:
            children += [
                ChildSpec(name="desk", start=self._run_desk),
                ChildSpec(name="sockets", start=self.sockets.run, shutdown=GATEWAY_STOP_S),
            ]
        if self.gateway is not None:
            children.append(
                ChildSpec(
                    name="gateway", start=self.gateway.run, start_timeout=IMPORT_S, shutdown=GATEWAY_STOP_S
                )
            )
        return SupervisorSpec(
            name="edge",
            children=tuple(children),
            strategy=Strategy.REST_FOR_ONE,
            intensity=Intensity(max_restarts=10, period=60.0),
        )

    def drain(self) -> None:
        """Tell all clients of sockets to go, so that those of both ports go at the same time."""
        if self._desk is not None:
            self._desk.drain()

    def socket_statistics(self) -> SocketStatistics | None:
        """What the sockets have done; None where there are none."""
        if self.sockets is None or self._desk is None:
            return None
        return self._desk.statistics(self.sockets.url)

    async def first_contact(self) -> NewLink | None:
        """A link for the first administrator, where only this machine can call and none has a password.

        Cancellation: a link may have been made.
        """
        settings = self._host.settings.gateway
        if self.gateway is None or (bound := self.gateway.bound) is None:
            return None
        if not is_private(settings, [ip_address(bound.host)]):
            return None
        return await self.auth.first_contact()

    async def _run_desk(self, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
        """A desk of its own for every incarnation: one that has ended takes nobody in any more.

        Cancellation: closes every connection with 4012.
        """
        from deltastream.sockets.desk import Desk

        host = self._host
        self._desk = Desk(host.bus, self._live, self.auth.service, host.settings.sockets, host.seams)
        await self._desk.run(ctx, task_status=task_status)

    def _present_desk(self) -> Desk:
        if self._desk is None:
            raise RuntimeError("the desk has not started")
        return self._desk

    def _page_port(self) -> int | None:
        if self.gateway is None or self.gateway.bound is None:
            return None
        return self.gateway.bound.port

    def _services(self) -> Services:
        from deltastream.gateway.services import Services
        from deltastream.sockets.endpoint import SocketEndpoint

        host = self._host
        sockets = None
        if self.sockets is not None:
            sockets = SocketEndpoint(self._present_desk(), host.settings.sockets, host.seams)
        return Services(
            settings=host.settings.gateway,
            seams=host.seams,
            bus=host.bus,
            store=host.store,
            live=self._live,
            accounts=self.auth.service,
            host=host,
            sockets=sockets,
        )
