"""The socket gateway over real sockets, and clients that do what a test tells them to."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio
import trio.lowlevel
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from deltastream.accounts import (
    AccountService,
    AccountSettings,
    Administration,
    KeyRing,
    SqliteAccountStore,
)
from deltastream.bus import EmbeddedBus
from deltastream.bus.settings import BusSettings
from deltastream.gateway._connection import Patience
from deltastream.gateway.api import ROUTES
from deltastream.gateway.app import make_app
from deltastream.gateway.live import Live
from deltastream.gateway.services import Services
from deltastream.gateway.serving import serve as serve_api
from deltastream.gateway.settings import GatewaySettings
from deltastream.messages import EnrichedChain, UnderlyingTick
from deltastream.seams import Seams
from deltastream.sockets.desk import Desk
from deltastream.sockets.endpoint import SocketEndpoint
from deltastream.sockets.server import serve
from deltastream.sockets.settings import SocketSettings
from deltastream.storage import SqliteRepository
from deltastream.storage.settings import StoreSettings

FAST = SocketSettings(port=0, heartbeat_s=5, auth_s=2, drain_s=0.3, burst=200, commands_per_s=200)

QUICK = {
    "GATEWAY__PORT": "0",
    "SOCKETS__PORT": "0",
    "SOCKETS__HEARTBEAT_S": "1.2",
    "SYNTHETIC__PRODUCTS": "NIFTY",
    "SYNTHETIC__STRIKES": "9",
    "SYNTHETIC__TICK_INTERVAL_S": "0.05",
    "SYNTHETIC__CHAIN_INTERVAL_S": "1",
}
"""The environment of a host that says much soon."""


class Ctx:
    """What actors report to; nobody listens."""

    def degraded(self, reason: str) -> None: ...

    def running(self) -> None: ...


class Raw:
    """A client on a plain socket that does what a test tells it to, and no more."""

    def __init__(self, stream: trio.abc.Stream, ws: WSConnection, model: Any) -> None:
        self.stream = stream
        self.ws = ws
        self.model = model
        self.closed: tuple[int, str] | None = None
        self.pongs: list[bytes] = []
        self.answer: Any = None
        self._ready: list[Any] = []
        self._parts: list[Any] = []

    async def send(self, **command: Any) -> None:
        await self.stream.send_all(self.ws.send(TextMessage(msgspec.json.encode(command).decode())))

    async def event(self) -> Any:
        """The next event of the protocol; None at the end."""
        while not self._ready:
            try:
                data = await self.stream.receive_some(1 << 16)
            except trio.BrokenResourceError:
                data = b""
            if not data:
                return None
            self.ws.receive_data(bytes(data))
            for event in self.ws.events():
                await self.take(event)
        return self._ready.pop(0)

    async def take(self, event: Any) -> None:
        """An event of WebSocket; pings are answered."""
        match event:
            case TextMessage() | BytesMessage():
                self._parts.append(event.data)
                if event.message_finished:
                    text = isinstance(event, TextMessage)
                    self._ready.append("".join(self._parts) if text else b"".join(self._parts))
                    self._parts = []
            case CloseConnection():
                self.closed = (event.code, event.reason or "")
                self._ready.append(None)
            case Ping():
                with suppress(trio.BrokenResourceError):  # what came before its end is to be read yet
                    await self.stream.send_all(self.ws.send(event.response()))
            case Pong():
                self.pongs.append(bytes(event.payload))
            case AcceptConnection() | RejectConnection():
                self.answer = event

    async def frame(self) -> Any:
        """The next frame, taken by the model as well; None at the end."""
        text = await self.event()
        if text is None:
            return None
        frame = msgspec.json.decode(text) if isinstance(text, str) else msgspec.msgpack.decode(text)
        self.model.take(frame)
        return frame

    async def until(self, event: str) -> Any:
        with trio.fail_after(5):
            while (frame := await self.frame()) is not None:
                if frame["event"] == event:
                    return frame
        raise AssertionError(f"closed with {self.closed} before {event}")

    async def end(self, seconds: float = 5) -> tuple[int, str] | None:
        """How the server closes; None where it just ends."""
        with trio.fail_after(seconds):
            while await self.event() is not None:
                pass
        return self.closed


@dataclass
class Served:
    """A desk and its server."""

    bus: EmbeddedBus
    desk: Desk
    accounts: AccountService
    token: str
    port: int
    model: Any
    restart: Any = None
    tls: ssl.SSLContext | None = None

    def trust(self, certificate: tuple[Path, Path]) -> None:
        """Have clients come by TLS."""
        self.tls = ssl.create_default_context(cafile=str(certificate[0]))

    @asynccontextmanager
    async def client(
        self,
        *,
        auth: bool = True,
        headers: Any = (),
        protocols: Any = (),
        deflate: bool = False,
        model: Any = None,
    ) -> AsyncIterator[Raw]:
        stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        if self.tls is not None:
            stream = trio.SSLStream(stream, self.tls, server_hostname="localhost")
        ws = WSConnection(ConnectionType.CLIENT)
        extensions = [PerMessageDeflate()] if deflate else []
        request = Request(
            host=f"127.0.0.1:{self.port}",
            target="/ws",
            extra_headers=list(headers),
            subprotocols=list(protocols),
            extensions=extensions,
        )
        raw = Raw(stream, ws, model or self.model())
        async with stream:
            await stream.send_all(ws.send(request))
            while raw.answer is None:
                if not (data := await stream.receive_some(1 << 16)):
                    raise trio.BrokenResourceError("closed in the handshake")
                ws.receive_data(bytes(data))
                for event in ws.events():
                    await raw.take(event)
            if auth:
                await raw.send(id=1, op="auth", token=self.token)
                await raw.until("connected")
            yield raw

    def now(self) -> int:
        return Seams.system().clock.now_ns()

    async def tick(self, price: float) -> None:
        now = self.now()
        await self.bus.append(
            "market.tick.NIFTY", UnderlyingTick(product="NIFTY", price=price, ts_event=now, ts_recv=now)
        )

    async def chain(self, chain: EnrichedChain) -> None:
        await self.bus.append(f"enriched.chain.{chain.product}", chain)


class Port:
    """One of both ports, which may end and come back where it was, the desk staying."""

    def __init__(self, which: str, services: Services, desk: Desk, settings: SocketSettings) -> None:
        self.port = 0
        self._which = which
        self._services = services
        self._desk = desk
        self._settings = settings

    async def open(self, nursery: trio.Nursery) -> None:
        self._ended = trio.Event()
        self._scope: trio.CancelScope = await nursery.start(self._run)

    async def close(self) -> None:
        self._scope.cancel()
        await self._ended.wait()

    async def _run(self, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        seams, gateway = (
            self._services.seams,
            msgspec.structs.replace(self._services.settings, port=self.port),
        )
        try:
            async with trio.open_nursery() as nursery:
                if self._which == "api":
                    sockets = SocketEndpoint(self._desk, self._settings, seams)
                    app = make_app(replace(self._services, sockets=sockets), ROUTES)
                    serve_quickly = partial(serve_api, patience=Patience(head=1.0, idle=0.5))
                    bound = await nursery.start(serve_quickly, app, gateway, seams)
                else:
                    at = msgspec.structs.replace(self._settings, port=self.port)
                    bound = await nursery.start(serve, self._desk, at, gateway, seams)
                self.port = bound.port
                task_status.started(nursery.cancel_scope)
        finally:
            self._ended.set()


@asynccontextmanager
async def opened(
    directory: Path,
    model: Any,
    which: str,
    settings: SocketSettings = FAST,
    gateway: GatewaySettings | None = None,
    token_s: int = 900,
) -> AsyncIterator[Served]:
    seams = Seams.system()
    bus = EmbeddedBus(directory / "journal.db", BusSettings(), seams)
    store = SqliteRepository(directory / "store.db", StoreSettings(), seams)
    nothing: Any = None
    async with trio.open_nursery() as nursery:
        await nursery.start(bus.run)
        async with store, SqliteAccountStore(directory / "accounts.db", seams) as accounts:
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
            await Administration(accounts, seams).first_contact()
            me = await service.register("ann@example.org", "correct horse")
            live = Live(bus, store, seams)
            context: Any = Ctx()
            await nursery.start(live.run, context)
            desk = Desk(bus, live, service, settings, seams)
            await nursery.start(desk.run, context)
            services = Services(
                settings=gateway or GatewaySettings(),
                seams=seams,
                bus=bus,
                store=store,
                live=live,
                accounts=service,
                host=nothing,  # no path that is asked here looks at the host
            )
            port = Port(which, services, desk, settings)
            await port.open(nursery)

            async def restart(pause: float = 0.0) -> None:
                await port.close()
                await trio.sleep(pause)
                await port.open(nursery)

            served = Served(bus, desk, service, me.access, port.port, model, restart)
            await served.tick(1.0)
            while "product:NIFTY" not in desk.hub.streams:  # noqa: ASYNC110  the hub has no event
                await trio.sleep(0.005)
            yield served
            nursery.cancel_scope.cancel()


@pytest.fixture(params=["sockets", "api"])
def which(request: pytest.FixtureRequest) -> str:
    """Both ports."""
    name: str = request.param
    return name


@pytest.fixture
def serving(tmp_path: Path, model_client: Any, which: str) -> Callable[..., Any]:
    """A server with these settings of the sockets, on each of both ports."""

    def make(
        *, gateway: GatewaySettings | None = None, token_s: int = 900, **settings: Any
    ) -> AbstractAsyncContextManager[Served]:
        fast = msgspec.structs.replace(FAST, **settings)
        return opened(tmp_path, model_client, which, fast, gateway, token_s)

    return make


@pytest.fixture
def client_of(model_client: Any) -> Callable[..., Any]:
    """A client of whatever listens on a port."""

    def make(port: int, token: str, *, tls: ssl.SSLContext | None = None, **how: Any) -> Any:
        nothing: Any = None
        return Served(nothing, nothing, nothing, token, port, model_client, tls=tls).client(**how)

    return make


class Running:
    """A host in a process of its own."""

    def __init__(self, directory: Path, log: Path, settings: dict[str, str]) -> None:
        self.directory = directory
        self.log = log
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        others = {name: value for name, value in os.environ.items() if not name.startswith("DELTASTREAM_")}
        environment = others | {f"DELTASTREAM_{name}": value for name, value in self.settings.items()}
        command = [sys.executable, "-m", "deltastream", "run", "--data-dir", str(self.directory)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        self.wait_for('"event":"started"')

    def wait_for(self, text: str) -> None:
        for _ in range(2000):
            if text in self.log.read_text():
                return
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(10)

    def ports(self) -> tuple[int, int]:
        """Of the API and of the sockets."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        found = {line["logger"]: line["port"] for line in lines if line["event"] == "listening"}
        return found["deltastream.gateway"], found["deltastream.sockets"]

    def command(self, *args: str) -> str:
        command = [sys.executable, "-m", "deltastream", *args, "--data-dir", str(self.directory)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def status(self) -> Any:
        return json.loads(self.command("status", "--json"))

    def token(self) -> str:
        """An access token of the administrator."""
        link = self.command("user", "link").rpartition("token=")[2].split()[0]
        answer = httpx.post(f"http://127.0.0.1:{self.ports()[0]}/api/auth/link", json={"token": link})
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["token"]
        return found


@pytest.fixture
def run_host(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Runs a host with these settings beside quick ones, until the test ends."""
    hosts: list[Running] = []

    def run(**settings: str) -> Running:
        hosts.append(Running(tmp_path / "data", tmp_path / "log", QUICK | settings))
        hosts[-1].start()
        return hosts[-1]

    yield run
    for host in hosts:
        if host.process is not None and host.process.poll() is None:
            host.process.kill()
            host.process.wait()


@pytest.fixture
def running(run_host: Callable[..., Running]) -> Running:
    """A host with quick settings."""
    return run_host()


@pytest.fixture
def token(running: Running) -> str:
    """An access token of its administrator."""
    return running.token()
