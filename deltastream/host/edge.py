"""The edge of a host: accounts, the latest state of the market, and the gateway in front of both."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from deltastream.actors.auth import Auth
from deltastream.actors.gateway import Gateway
from deltastream.gateway.exposure import is_private
from supervisors import ChildSpec, Intensity, Strategy, SupervisorSpec

if TYPE_CHECKING:
    from deltastream.accounts import NewLink
    from deltastream.gateway.services import Services
    from deltastream.host.tree import Host

__all__ = ["Edge"]

GATEWAY_STOP_S: Final = 1.5
"""The gateway lets its clients go within a second; the rest of a host's time is the pipeline's."""
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
        if "gateway" in settings.actors:
            from deltastream.gateway.live import Live

            self._live = Live(host.bus, host.store, host.seams)
            self.gateway = Gateway(self._services, settings.gateway, host.seams)

    @property
    def url(self) -> str | None:
        """By what a browser reaches the gateway; None where none listens."""
        return self.gateway.url if self.gateway is not None else None

    def spec(self) -> SupervisorSpec:
        """Its part of the tree. What comes later uses what comes before, and is restarted with it."""
        children = [ChildSpec(name="auth", start=self.auth.run)]
        if self.gateway is not None:
            children += [
                ChildSpec(name="live", start=self._live.run),
                ChildSpec(
                    name="gateway",
                    start=self.gateway.run,
                    start_timeout=IMPORT_S,
                    shutdown=GATEWAY_STOP_S,
                ),
            ]
        return SupervisorSpec(
            name="edge",
            children=tuple(children),
            strategy=Strategy.REST_FOR_ONE,
            intensity=Intensity(max_restarts=10, period=60.0),
        )

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

    def _services(self) -> Services:
        from deltastream.gateway.services import Services

        host = self._host
        return Services(
            settings=host.settings.gateway,
            seams=host.seams,
            bus=host.bus,
            store=host.store,
            live=self._live,
            accounts=self.auth.service,
            host=host,
        )
