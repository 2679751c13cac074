"""A whole host on loopback, in a thread of its own, for clients that know no Trio."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
import trio

from deltastream.accounts.types import SCOPES
from deltastream.gateway.api import ROUTES
from deltastream.gateway.app import make_app
from deltastream.gateway.serving import serve
from deltastream.gateway.settings import GatewaySettings, LimitSettings

SPARE = 1500
"""Users whose sessions a test may end."""

UNLIMITED = LimitSettings(
    requests_per_minute=10**9, burst=10**9, strangers_per_minute=10**9, strangers_burst=10**9
)


@dataclass
class Host:
    """Where it is and how to get in.

    Attributes:
        url: without a final slash.
        key: an administrator's, with every scope.
        session: a user's access token.
        spare: those of others.
        link: the token of an administrator's one-time link.
    """

    url: str = ""
    key: str = ""
    session: str = ""
    spare: list[str] = field(default_factory=list)
    link: str = ""


class _Thread:
    """Runs a host until it is told to stop."""

    def __init__(self, open_world: Any) -> None:
        self.host = Host()
        self._open_world = open_world
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._end: Any = None
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(120)
        self._raise()

    def stop(self) -> None:
        if self._end is not None:
            self._end()
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        stop = trio.Event()
        async with self._open_world() as world, trio.open_nursery() as nursery:
            settings = GatewaySettings(port=0, limits=UNLIMITED)
            app = make_app(replace(world.services, settings=settings), ROUTES)
            bound = await nursery.start(partial(serve, app, settings, world.seams, stop=stop))
            self.host.url = bound.url.rstrip("/")
            await self._let_in(world)
            self._end = partial(trio.lowlevel.current_trio_token().run_sync_soon, stop.set)
            self._ready.set()

    async def _let_in(self, world: Any) -> None:
        await world.administration.add_user("boss@example.org", "Boss", "admin")
        self.host.key = await world.key(*SCOPES, email="boss@example.org")
        self.host.link = (await world.administration.link("boss@example.org")).token
        for number in range(SPARE + 1):
            signed_in = await world.accounts.register(f"user{number}@example.org", "correct horse", "")
            self.host.spare.append(signed_in.access)
        self.host.session = self.host.spare.pop()


@pytest.fixture
def host(open_world: Any) -> Iterator[Host]:
    """A host of two products, without limits of how much may be asked."""
    thread = _Thread(open_world)
    thread.start()
    yield thread.host
    thread.stop()
