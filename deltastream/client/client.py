"""The client: rooms entered once stay entered, through every loss of the connection."""

from __future__ import annotations

import inspect
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import anyio
import anyio.abc
import msgspec

from deltastream.client._rooms import Rooms
from deltastream.client._wire import WebSocket
from deltastream.client.errors import ClientError, Closed, Refused, Unauthenticated
from deltastream.client.events import Disconnected, Event, Reconnected

__all__ = ["Client", "Entered", "connect"]

Token = str | Callable[[], str | Awaitable[str]]

_PROTOCOL: Final = {"json": "deltastream.v1", "msgpack": "deltastream.v1.msgpack"}
_UNAUTHENTICATED, _FORBIDDEN = 4001, 4003
_HEARTBEATS: Final = 2.5
_ANSWER_S: Final = 10.0
_CONNECT_S: Final = 10.0
_SHORTEST_S, _LONGEST_S = 0.1, 30.0
_LASTING_S: Final = 5.0
"""A connection that has lasted so long was a good one: the next back-off begins anew."""


@dataclass(frozen=True, slots=True)
class Entered:
    """What became of rooms that were asked for.

    Attributes:
        ok: entered.
        refused: the sentence that says why, by room.
    """

    ok: tuple[str, ...]
    refused: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def connect(
    url: str,
    *,
    token: Token,
    encoding: Literal["json", "msgpack"] = "json",
    context: ssl.SSLContext | None = None,
    deflate: bool = False,
    buffer: int = 1000,
    rng: random.Random | None = None,
) -> AsyncIterator[Client]:
    """A client of the sockets of a host, on asyncio or Trio.

    Connects at once, and again whenever the connection is lost, after a pause that grows with every
    failure and is jittered. Rooms are entered again where they were left: without a gap, or with an
    `Interrupted` and a snapshot.

    Cancellation: closes.

    Args:
        url: such as ``ws://127.0.0.1:8002/ws``.
        token: an access token or an API key; or what gives one, asked again whenever it is needed.
        encoding: "msgpack" is smaller and quicker to read.
        context: for wss; the system's authorities unless given.
        deflate: ask for compressed messages.
        buffer: events that wait to be taken; while it is full nothing more is read, and the server
            leaves out what is superseded.
        rng: gives the jitter.

    Raises:
        Unauthenticated: the credential is not valid, or gives no right to market data.
        Refused: the server does not want this client, at the first attempt.
        OSError: it cannot be reached, at the first attempt.
    """
    client = Client(url, token, encoding, context, deflate=deflate, buffer=buffer, rng=rng or random.Random())
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(client._run)
            try:
                yield client
            finally:
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _only(group) from None


class Client:
    """See `connect`, which makes it. Iterate over it to get the events, in their order.

    Attributes:
        connected: whether there is a connection at this moment.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        encoding: Literal["json", "msgpack"],
        context: ssl.SSLContext | None,
        *,
        deflate: bool,
        buffer: int,
        rng: random.Random,
    ) -> None:
        self.connected = False
        self._url = url
        self._token = token
        self._encoding = encoding
        self._context = context
        self._deflate = deflate
        self._rng = rng
        self._rooms = Rooms()
        self._wanted: dict[str, str] = {}
        self._send_event, self._events = anyio.create_memory_object_stream[Event](buffer)
        self._socket: WebSocket | None = None
        self._answers: dict[int, _Answer] = {}
        self._number = 0
        self._heartbeat_s = 10.0
        self._failure: ClientError | None = None
        self._was_lost = False

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        """The next event. Cancellation: none is lost.

        Raises:
            Unauthenticated: the credential is no longer valid; nothing more comes.
        """
        try:
            return await self._events.receive()
        except anyio.EndOfStream:
            raise self._failure or StopAsyncIteration from None

    async def subscribe(self, *rooms: str, chains: Literal["delta", "full"] = "delta") -> Entered:
        """Enter rooms, and stay in them through every loss of the connection.

        Cancellation: the rooms may have been entered or not.

        Args:
            rooms: by name, such as ``chain:NIFTY`` or ``general``.
            chains: "full" has whole chains sent always.

        Raises:
            Closed: the connection was lost before the answer came; the rooms will be entered as soon
                as it is back.
        """
        for room in rooms:
            self._wanted[room] = chains
        answer = await self._ask({"op": "subscribe", "rooms": list(rooms), "chains": chains})
        refused = {one["room"]: one["message"] for one in answer["err"]}
        for room in refused:
            self._wanted.pop(room, None)
        return Entered(tuple(one["room"] for one in answer["ok"]), refused)

    async def unsubscribe(self, *rooms: str) -> None:
        """Leave rooms. Cancellation: they may have been left or not.

        Raises:
            Closed: the connection was lost; they are not entered again.
        """
        for room in rooms:
            self._wanted.pop(room, None)
            self._rooms.forget(room)
        await self._ask({"op": "unsubscribe", "rooms": list(rooms)})

    async def products(self) -> dict[str, dict[str, list[str]]]:
        """Roots and their live expiries, by product. Cancellation: no effect.

        Raises:
            Closed: the connection was lost before the answer came.
        """
        found: dict[str, dict[str, list[str]]] = (await self._ask({"op": "products"}))["products"]
        return found

    async def ping(self) -> float:
        """How long the server takes to answer, in seconds. Cancellation: no effect.

        Raises:
            Closed: the connection was lost before the answer came.
        """
        began = anyio.current_time()
        await self._ask({"op": "ping"})
        return anyio.current_time() - began

    async def _run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Keep a connection until cancelled or refused for good."""
        started, pause = False, _SHORTEST_S
        async with self._send_event:
            while True:
                began = anyio.current_time()
                try:
                    socket = await self._opened()
                    if not started:
                        started = True
                        task_status.started()
                    await self._converse(socket)
                    reason = "the connection was lost"
                except Unauthenticated as error:
                    if not started:
                        raise
                    self._failure = error
                    return
                except (Closed, Refused, OSError, TimeoutError) as error:
                    if not started:
                        raise
                    reason = str(error) or type(error).__name__
                if self.connected:
                    self.connected = False
                    await self._send_event.send(Disconnected(room="", reason=reason))
                pause = (
                    _SHORTEST_S if anyio.current_time() - began > _LASTING_S else min(2 * pause, _LONGEST_S)
                )
                await anyio.sleep(pause * self._rng.uniform(0.5, 1.0))

    async def _opened(self) -> WebSocket:
        """A connection that the server knows us by.

        Raises:
            Unauthenticated, Refused, Closed, OSError, TimeoutError: there is none.
        """
        with anyio.fail_after(_CONNECT_S):
            socket = await WebSocket.open(
                self._url,
                subprotocols=[_PROTOCOL[self._encoding]],
                headers={},
                context=self._context,
                deflate=self._deflate,
            )
            try:
                await self._send(socket, {"id": 0, "op": "auth", "token": await self._credential()})
                while (frame := self._decoded(await socket.receive()))["event"] != "connected":
                    if frame["event"] == "error":
                        raise _refusal(frame)
            except Closed as closed:
                await socket.close()
                if closed.code in (_UNAUTHENTICATED, _FORBIDDEN):
                    raise Unauthenticated(closed.reason) from None
                raise
            except BaseException:
                await socket.close()
                raise
        self._heartbeat_s = frame["heartbeat_s"]
        return socket

    async def _converse(self, socket: WebSocket) -> None:
        """Enter the rooms that are wanted, and take what comes until the connection ends.

        Raises:
            Closed, TimeoutError, Unauthenticated: it has ended.
        """
        self._socket = socket
        try:
            again = bool(self._wanted)
            for chains in ("delta", "full"):
                await self._enter(
                    socket, [room for room, wish in self._wanted.items() if wish == chains], chains
                )
            if not again:
                await self._is_back(())
            while True:
                with anyio.fail_after(_HEARTBEATS * self._heartbeat_s):
                    data = await socket.receive()
                await self._take(socket, self._decoded(data))
        except Closed as closed:
            if closed.code == _FORBIDDEN or (
                closed.code == _UNAUTHENTICATED and isinstance(self._token, str)
            ):
                raise Unauthenticated(closed.reason) from None
            raise
        finally:
            self._socket = None
            waiting, self._answers = self._answers, {}
            for answer in waiting.values():
                answer.come.set()
            await socket.close()

    async def _take(self, socket: WebSocket, frame: Mapping[str, Any]) -> None:
        """One frame: an answer, or something about a room."""
        match frame["event"]:
            case "subscribed":
                resumed = [one["room"] for one in frame["ok"] if self._rooms.state(one["room"]).entered(one)]
                if not self.connected:
                    await self._is_back(tuple(resumed))
            case "token_expiring" if not isinstance(self._token, str):
                await self._send(socket, {"op": "auth", "token": await self._credential()})
            case "error" if "id" not in frame:
                raise _refusal(frame)
        if (answer := self._answers.pop(frame.get("id", -1), None)) is not None:
            answer.frame = frame
            answer.come.set()
            return
        for event in self._rooms.take(frame):
            await self._send_event.send(event)
        for state in self._rooms:
            if state.lost and not state.asked and state.name in self._wanted:
                state.asked = True
                await self._enter(socket, [state.name], self._wanted[state.name])

    async def _is_back(self, resumed: tuple[str, ...]) -> None:
        self.connected = True
        if self._was_lost:
            await self._send_event.send(Reconnected(room="", resumed=resumed))
        self._was_lost = True

    async def _enter(self, socket: WebSocket, rooms: list[str], chains: str) -> None:
        """Ask for rooms, from where we are; the answer is taken as it comes."""
        if rooms:
            places = {
                room: place for room in rooms if (place := self._rooms.state(room).resume()) is not None
            }
            command = {"op": "subscribe", "rooms": rooms, "chains": chains, "resume": places}
            await self._send(socket, command)

    async def _ask(self, command: dict[str, Any]) -> Mapping[str, Any]:
        """The answer to a command."""
        socket = self._socket
        if socket is None:
            raise Closed(1006, "there is no connection at the moment")
        self._number += 1
        answer = self._answers[self._number] = _Answer()
        await self._send(socket, {"id": self._number, **command})
        with anyio.fail_after(_ANSWER_S):
            await answer.come.wait()
        if answer.frame is None:
            raise Closed(1006, "the connection was lost")
        if answer.frame["event"] == "error":
            raise _refusal(answer.frame)
        return answer.frame

    async def _credential(self) -> str:
        if isinstance(self._token, str):
            return self._token
        given = self._token()
        return await given if inspect.isawaitable(given) else given

    async def _send(self, socket: WebSocket, command: Mapping[str, Any]) -> None:
        if self._encoding == "json":
            await socket.send(msgspec.json.encode(command).decode())
        else:
            await socket.send(msgspec.msgpack.encode(command))

    def _decoded(self, data: str | bytes) -> dict[str, Any]:
        frame: dict[str, Any] = (
            msgspec.json.decode(data) if isinstance(data, str) else msgspec.msgpack.decode(data)
        )
        return frame


class _Answer:
    def __init__(self) -> None:
        self.come = anyio.Event()
        self.frame: Mapping[str, Any] | None = None


def _refusal(frame: Mapping[str, Any]) -> ClientError:
    if frame["code"] in ("unauthenticated", "forbidden"):
        return Unauthenticated(frame["message"])
    return ClientError(f"{frame['code']}: {frame['message']}")


def _only(error: BaseException) -> BaseException:
    """The one exception in a group of one, so that callers see it as they would without the group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
