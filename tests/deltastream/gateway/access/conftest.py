"""The whole gateway in process: its own routes over real accounts, called through HTTP's client alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from deltastream.gateway.api import ROUTES
from deltastream.gateway.app import Gateway, make_app
from deltastream.gateway.routing import Route
from deltastream.gateway.settings import GatewaySettings, LimitSettings

PASSWORD = "correct horse"
BASE = "http://127.0.0.1:8000"
UNLIMITED = LimitSettings(
    requests_per_minute=10**6, burst=10**6, strangers_per_minute=10**6, strangers_burst=10**6
)


@dataclass
class Site:
    """A gateway, and who may come.

    Attributes:
        world: the host behind it.
    """

    world: Any
    app: Gateway
    _count: int = field(default=0)

    @asynccontextmanager
    async def visitor(self, address: str = "127.0.0.1", **options: Any) -> AsyncIterator[httpx.AsyncClient]:
        """A client of its own, with its own cookies; an exception of the gateway is the test's."""
        transport = httpx.ASGITransport(app=self.app, client=(address, 40_000))
        async with httpx.AsyncClient(transport=transport, base_url=BASE, **options) as client:
            yield client

    async def session(self, role: str = "user") -> str:
        """The access token of somebody new."""
        email = await self.somebody(role)
        return (await self.world.accounts.login(email, PASSWORD)).access

    async def key(self, *scopes: str, role: str = "admin") -> str:
        """An API key of somebody new."""
        return await self.world.key(*scopes, email=await self.somebody(role))

    async def somebody(self, role: str = "user") -> str:
        """The email of somebody new."""
        self._count += 1
        email = f"somebody{self._count}@example.org"
        await self.world.accounts.register(email, PASSWORD, "Somebody")
        if role != "user":
            await self.world.administration.set_role(email, role)
        return email


@pytest.fixture
def routes() -> tuple[Route, ...]:
    return ROUTES


@pytest.fixture
def open_site(empty_world: Any) -> Callable[..., Site]:
    """Makes gateways over one world that has no market; without limits unless they are given."""

    def make(limits: LimitSettings = UNLIMITED, **settings: Any) -> Site:
        services = replace(empty_world.services, settings=GatewaySettings(limits=limits, **settings))
        return Site(empty_world, make_app(services, ROUTES))

    return make


@pytest.fixture
def site(open_site: Callable[..., Site]) -> Site:
    return open_site()


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.visitor() as opened:
        yield opened


@pytest.fixture
def bearer() -> Callable[[str], dict[str, str]]:
    return lambda token: {"Authorization": f"Bearer {token}"}
