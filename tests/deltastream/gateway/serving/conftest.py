"""A server on a real socket, an application behind it, and clients that know no manners."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import structlog
import structlog.testing
import trio

from deltastream.gateway import serving
from deltastream.gateway._connection import Patience
from deltastream.gateway.serving import Bound, serve
from deltastream.gateway.settings import GatewaySettings
from deltastream.seams import Seams

LOCAL = GatewaySettings(port=0)
BIG = b"x" * (64 << 20)


class App:
    """Answers by path, and notes what it was asked."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []
        self.disconnected = 0
        self.release = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("HTTP only")
        self.scopes.append(scope)
        match scope["path"]:
            case "/big":
                await self._answer(send, BIG)
            case "/held":
                await self.release.wait()
                await self._answer(send, b"held")
            case "/deaf":
                await trio.sleep_forever()
            case "/fails":
                raise ValueError("a defect")
            case "/gone":
                while (await receive())["type"] != "http.disconnect":
                    pass
                self.disconnected += 1
            case "/early":
                await self._answer(send, b"no", status=413)
            case "/body":
                body = b""
                while True:
                    event = await receive()
                    body += event.get("body", b"")
                    if not event.get("more_body"):
                        break
                self.bodies.append(body)
                await self._answer(send, str(len(body)).encode())
            case _:
                await self._answer(send, b"hello")

    async def _answer(self, send: Any, body: bytes, status: int = 200) -> None:
        length = str(len(body)).encode()
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-length", length)]}
        )
        await send({"type": "http.response.body", "body": body})


class Net:
    """Servers, and clients of theirs."""

    def __init__(self) -> None:
        self._connected: list[trio.SocketStream] = []

    @asynccontextmanager
    async def running(
        self, app: Any, settings: GatewaySettings = LOCAL, patience: Patience | None = None
    ) -> AsyncIterator[tuple[Bound, trio.Event, trio.Event]]:
        """A server, what stops it, and what tells that it has ended."""
        stop, ended = trio.Event(), trio.Event()

        async def served(*, task_status: trio.TaskStatus[Bound]) -> None:
            await serve(app, settings, Seams.system(), stop=stop, patience=patience, task_status=task_status)
            ended.set()

        async with trio.open_nursery() as nursery:
            bound = await nursery.start(served)
            try:
                yield bound, stop, ended
            finally:
                stop.set()
                while self._connected:
                    self._connected.pop().socket.close()

    async def connect(self, bound: Bound) -> trio.SocketStream:
        stream = await trio.open_tcp_stream("127.0.0.1", bound.port)
        self._connected.append(stream)
        return stream

    async def everything(self, stream: trio.abc.ReceiveStream) -> bytes:
        """What comes until the server closes."""
        data = b""
        with trio.fail_after(20):
            try:
                async for part in stream:
                    data += part
            except trio.BrokenResourceError:
                pass
        return data

    async def ends_within(self, seconds: float, stop: trio.Event, ended: trio.Event) -> float:
        began = trio.current_time()
        stop.set()
        with trio.fail_after(seconds):
            await ended.wait()
        return trio.current_time() - began

    @contextmanager
    def captured(self) -> Iterator[list[Any]]:
        """The log lines, from debug on."""
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(0))
        with structlog.testing.capture_logs() as logs:
            yield logs


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def long_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who ends sooner than this was not cut off."""
    monkeypatch.setattr(serving, "DRAIN_S", 60.0)
