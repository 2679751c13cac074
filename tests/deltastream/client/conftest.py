"""A real desk and server on loopback, and what drives clients on Trio and on asyncio against them."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import msgspec
import numpy as np
import pytest
import sniffio
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from deltastream.accounts import (
    AccountService,
    AccountSettings,
    Administration,
    KeyRing,
    SqliteAccountStore,
)
from deltastream.analytics import enrich
from deltastream.analytics.settings import AnalyticsSettings
from deltastream.bus import EmbeddedBus
from deltastream.bus.settings import BusSettings
from deltastream.gateway.live import Live
from deltastream.gateway.settings import GatewaySettings
from deltastream.messages import CHAIN_ROWS, ROW, EnrichedChain, MarketStatus, OptionChain, UnderlyingTick
from deltastream.seams import Seams
from deltastream.sockets import desk
from deltastream.sockets.desk import Desk
from deltastream.sockets.endpoint import SocketEndpoint
from deltastream.sockets.server import serve
from deltastream.sockets.settings import SocketSettings
from deltastream.storage import SqliteRepository
from deltastream.storage.settings import StoreSettings

DAY_NS = 86_400 * 10**9


class _Ctx:
    def degraded(self, reason: str) -> None:
        raise AssertionError(reason)

    def running(self) -> None:
        pass


def make_chain(
    ts: int, *, expiry: str = "2036-11-25", strikes: Sequence[float] = (100.0, 110.0, 120.0), **columns: Any
) -> EnrichedChain:
    """A chain of NIFTY through the real analytics."""
    table = np.full((CHAIN_ROWS, len(strikes)), np.nan)
    table[0] = strikes
    for side, sign in (("call", 1.0), ("put", -1.0)):
        table[ROW[f"{side}_bid"]] = np.maximum(sign * (110.0 - table[0]), 0.0) + 8.0
        table[ROW[f"{side}_ask"]] = table[ROW[f"{side}_bid"]] + 1.0
        table[ROW[f"{side}_oi"]] = 1_000.0 + np.arange(len(strikes))
    for name, value in columns.items():
        table[ROW[name]] = value
    chain = OptionChain(
        product="NIFTY",
        root="NIFTY",
        expiry=expiry,
        expiry_ts=ts + 30 * DAY_NS,
        ts_event=ts,
        ts_recv=ts,
        spot=110.0,
        currency="INR",
        multiplier=65.0,
        exercise="european",
        settlement="cash",
        oi_unit="contracts",
        volume_unit="contracts",
        oi_cadence="3min",
        oi_as_of=ts,
        columns=table,
    )
    return enrich(chain, AnalyticsSettings(), ts_recv=ts)


@dataclass
class Stand:
    """A bus, accounts, a desk and a port.

    Attributes:
        token: an access token of somebody who may read.
    """

    seams: Seams
    bus: EmbeddedBus
    accounts: AccountService
    administration: Administration
    live: Live
    token: str
    settings: SocketSettings
    gateway: GatewaySettings = GatewaySettings()  # noqa: RUF009  it is frozen
    which: str = "sockets"
    desk: Any = None
    port: int = 0
    scope: trio.CancelScope | None = None
    stopped: trio.Event = field(default_factory=trio.Event)
    nursery: trio.Nursery | None = None
    _last: int = 0

    @property
    def url(self) -> str:
        scheme = "ws" if self.gateway.certificate is None else "wss"
        return f"{scheme}://127.0.0.1:{self.port}/ws"

    def now(self) -> int:
        """The time of day, never twice the same microsecond."""
        self._last = max(self._last + 1_000, self.seams.clock.now_ns())
        return self._last

    async def tick(self, price: float, product: str = "NIFTY") -> None:
        """A price."""
        now = self.now()
        tick = UnderlyingTick(product=product, price=price, ts_event=now, ts_recv=now)
        await self.bus.append(f"market.tick.{product}", tick)

    async def chain(self, **about: Any) -> EnrichedChain:
        """A chain."""
        made = make_chain(self.now(), **about)
        await self.bus.append("enriched.chain.NIFTY", made)
        return made

    async def status(self, status: Any, reason: str) -> None:
        """Word of the market."""
        now = self.now()
        told = MarketStatus(
            product="NIFTY", status=status, reason=reason, since=now, ts_event=now, ts_recv=now
        )
        await self.bus.append("market.status.NIFTY", told)

    async def start(self) -> None:
        """Listen: on the same port as before, if there was one."""
        assert self.nursery is not None
        await self.nursery.start(self._serve)

    async def stop(self) -> None:
        """Drain, and be gone."""
        assert self.scope is not None
        self.scope.cancel()
        await self.stopped.wait()

    async def settle(self) -> None:
        """Wait until nobody is connected any more."""
        with trio.fail_after(2):
            while self.desk.connections:  # noqa: ASYNC110  the desk has no event for it
                await trio.sleep(0.005)

    async def cut(self) -> None:
        """Let every connection be lost without a word."""
        for connection in list(self.desk.connections):
            connection._scope.cancel()

    async def _serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        self.stopped = trio.Event()
        with trio.CancelScope() as self.scope:
            async with trio.open_nursery() as nursery:
                self.desk = Desk(self.bus, self.live, self.accounts, self.settings, self.seams)
                await nursery.start(self.desk.run, _Ctx())
                bound = await nursery.start(self._listen)
                self.port = bound.port
                task_status.started()
        self.stopped.set()

    async def _listen(self, *, task_status: trio.TaskStatus[Any]) -> None:
        if self.which == "sockets":
            at = msgspec.structs.replace(self.settings, port=self.port)
            await serve(self.desk, at, self.gateway, self.seams, task_status=task_status)
            return
        from deltastream.gateway.api import ROUTES
        from deltastream.gateway.app import make_app
        from deltastream.gateway.services import Services
        from deltastream.gateway.serving import serve as serve_api

        gateway = msgspec.structs.replace(self.gateway, port=self.port)
        services = Services(
            settings=gateway,
            seams=self.seams,
            bus=self.bus,
            store=self.live,  # type: ignore[arg-type]  # no path that is asked here looks at it
            live=self.live,
            accounts=self.accounts,
            host=None,  # type: ignore[arg-type]  # nor at this
            sockets=SocketEndpoint(self.desk, self.settings, self.seams),
        )
        await serve_api(make_app(services, ROUTES), gateway, self.seams, task_status=task_status)


@asynccontextmanager
async def _opened(
    directory: Path,
    *,
    which: str = "sockets",
    gateway: GatewaySettings | None = None,
    token_s: int = 900,
    **settings: Any,
) -> AsyncIterator[Stand]:
    seams = Seams.system()
    bus = EmbeddedBus(directory / "journal.db", BusSettings(), seams)
    store = SqliteRepository(directory / "store.db", StoreSettings(), seams)
    accounts = SqliteAccountStore(directory / "accounts.db", seams)
    async with trio.open_nursery() as nursery:
        await nursery.start(bus.run)
        async with store, accounts:
            ring = KeyRing(directory / "keys", token_s=token_s, seams=seams, make=True)
            await ring.open()
            service = AccountService(
                accounts,
                ring,
                AccountSettings(bcrypt_cost=4, access_s=token_s),
                seams,
                open_registration=True,
            )
            await nursery.start(service.run, bus)
            administration = Administration(accounts, seams)
            await administration.first_contact()
            signed_in = await service.register("ann@example.org", "correct horse", "Ann")
            live = Live(bus, store, seams)
            await nursery.start(live.run, _Ctx())
            stand = Stand(
                seams,
                bus,
                service,
                administration,
                live,
                signed_in.access,
                SocketSettings(**{"port": 0, "heartbeat_s": 0.4, "drain_s": 0.1, **settings}),
                gateway or GatewaySettings(),
                which,
                nursery=nursery,
            )
            await stand.start()
            yield stand
            nursery.cancel_scope.cancel()


@pytest.fixture
def open_stand(tmp_path: Path) -> Callable[..., Any]:
    """Opens a stand on one of both ports, with these settings of its sockets and of the gateway."""

    def opened(**settings: Any) -> Any:
        return _opened(tmp_path, **settings)

    return opened


@pytest.fixture(params=["sockets", "api"])
def which(request: pytest.FixtureRequest) -> str:
    """Both ports."""
    name: str = request.param
    return name


@pytest.fixture
async def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    """With heartbeats so often that tests see some, and so seldom that a busy machine keeps up with them.

    Whoever resumes is given every message, however long that takes the host.
    """
    monkeypatch.setattr(desk, "_TURN_S", 1.0)
    async with _opened(tmp_path) as opened:
        yield opened


class Backend:
    """Runs what a user of the client writes: here, or on asyncio in a thread of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._token: Any = None

    async def run(self, user: Callable[[], Awaitable[None]], seconds: float = 10) -> None:
        """Run it to its end, but not for ever."""

        async def limited() -> None:
            with anyio.fail_after(seconds):
                await user()

        if self.name == "trio":
            await limited()
        else:
            self._token = trio.lowlevel.current_trio_token()
            await trio.to_thread.run_sync(lambda: asyncio.run(limited()))

    async def host(self, work: Callable[..., Awaitable[Any]], *args: Any, **named: Any) -> Any:
        """Do something where the server is."""
        if sniffio.current_async_library() == "trio":
            return await work(*args, **named)

        async def done() -> Any:
            return await work(*args, **named)

        return await asyncio.to_thread(trio.from_thread.run, done, trio_token=self._token)


@pytest.fixture(params=["trio", "asyncio"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Both that anyio knows."""
    return Backend(request.param)


class Script:
    """A server that says what a test wrote: each connection is served by the next handler.

    Attributes:
        heard: every command that came, in order.
    """

    def __init__(self, port: int) -> None:
        self.url = f"ws://127.0.0.1:{port}/"
        self.heard: list[dict[str, Any]] = []
        self.handlers: list[Callable[[Spoken], Awaitable[None]]] = []

    async def serve(self, request: WebSocketRequest) -> None:
        handler = self.handlers.pop(0)
        spoken = Spoken(await request.accept(subprotocol="deltastream.v1"), self)
        with suppress(ConnectionClosed):
            await handler(spoken)
        await spoken.socket.aclose()


class Spoken:
    """One connection of a script."""

    def __init__(self, socket: WebSocketConnection, script: Script) -> None:
        self.socket = socket
        self._script = script

    async def hear(self, op: str, **fields: Any) -> dict[str, Any]:
        """The next command, which must be this one."""
        command: dict[str, Any] = json.loads(await self.socket.get_message())
        self._script.heard.append(command)
        assert command["op"] == op
        assert {name: command.get(name) for name in fields} == fields
        return command

    async def say(self, event: str, **fields: Any) -> None:
        await self.socket.send_message(json.dumps({"event": event, **fields}))

    async def greet(self, heartbeat_s: float = 10.0, **fields: Any) -> None:
        """Let the client in."""
        command = await self.hear("auth", **fields)
        limits = {"rooms": 200, "commands_per_s": 20.0, "message_bytes": 65536}
        await self.say(
            "connected",
            id=command["id"],
            session="s",
            server_time=0,
            expires=0,
            heartbeat_s=heartbeat_s,
            limits=limits,
        )

    async def enter(
        self, mode: str, seq: int, epoch: str = "e1", room: str = "product:NIFTY"
    ) -> dict[str, Any]:
        """Let the client into the room that it asks for."""
        command = await self.hear("subscribe", rooms=[room])
        joined = {"room": room, "mode": mode, "epoch": epoch, "seq": seq}
        await self.say("subscribed", id=command["id"], ok=[joined], err=[])
        return command

    async def price(self, seq: int, first: int | None = None, **fields: Any) -> None:
        """An update of the price, which is that of its seq."""
        data = {"product": "NIFTY", "price": float(seq), "volume": None}
        first = seq if first is None else first
        about = {"room": "product:NIFTY", "first": first, "seq": seq, "ts": seq, **fields}
        if fields.get("kind") == "snapshot":
            del about["first"]
        await self.say("underlying_update", **about, data=data)

    async def rest(self) -> None:
        """Say nothing, until the client has gone."""
        with suppress(ConnectionClosed):
            await self.socket.get_message()


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    """A server that says what a test wrote."""
    async with trio.open_nursery() as nursery:
        made: list[Script] = []

        async def serve(request: WebSocketRequest) -> None:
            await made[0].serve(request)

        server = await nursery.start(serve_websocket, serve, "127.0.0.1", 0, None)
        made.append(Script(server.port))
        yield made[0]
        assert made[0].handlers == []
        nursery.cancel_scope.cancel()


@pytest.fixture(scope="session")
def chain_of() -> Callable[..., EnrichedChain]:
    """Makes chains of NIFTY; see `make_chain`."""
    return make_chain


@pytest.fixture
def rng() -> random.Random:
    """Draws no jitter but the shortest, and that is shorter still."""
    made = random.Random()
    made.uniform = lambda low, high: low / 20  # type: ignore[method-assign]  # a jitter to know beforehand
    return made


@pytest.fixture
def on_asyncio() -> Backend:
    """For libraries that know asyncio alone."""
    return Backend("asyncio")
