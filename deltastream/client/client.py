"""The client: rooms entered once stay entered, through every loss of the connection."""

from __future__ import annotations

import inspect
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NoReturn

import anyio
import anyio.abc
import msgspec

from deltastream.client._inbox import Inbox
from deltastream.client._link import Answer, Encoding, Frame, Link, refusal
from deltastream.client._rooms import Rooms
from deltastream.client.errors import ClientError, Closed, CommandError, Unauthenticated, Untrusted
from deltastream.client.events import Disconnected, Event, Product, Reconnected, RoomRefused
from deltastream.sockets import events as wire
from deltastream.sockets.events import CloseCode

__all__ = ["Client", "Entered", "connect"]

Token = str | Callable[[], str | Awaitable[str]]

_SHORTEST_S, _LONGEST_S = 0.5, 30.0
_LASTING_S: Final = 5.0
"""A connection that has lasted so long was a good one: the next back-off begins anew."""

_TOKEN_S: Final = 10.0
_ROOMS_A_COMMAND: Final = 100
_NOT_AGAIN: Final = (CloseCode.FORBIDDEN, CloseCode.PROTOCOL_ERROR)
"""With these, what led to the close would lead to it again."""


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
    `Interrupted` and a snapshot. A server from which nothing is heard for two and a half heartbeats is
    given up as lost.

    Cancellation: closes.

    Args:
        url: such as ``ws://127.0.0.1:8002/ws``.
        token: an access token or an API key; or what gives one, asked again for every connection and
            before the one in use expires. Where it raises OSError or TimeoutError it is asked again
            later; what else it raises ends the client.
        encoding: "msgpack" is smaller and quicker to read.
        context: for wss; the system's authorities unless given.
        deflate: ask for compressed messages.
        buffer: events that wait to be taken; while it is full nothing more is read, and the server
            leaves out what is superseded. It closes after half a minute, and the rooms are resumed.
        rng: gives the jitter.

    Raises:
        Unauthenticated: the credential is not valid, or gives no right to market data.
        Refused: the server does not want this client, at the first attempt.
        Untrusted: its certificate is not one that `context` trusts.
        OSError: it cannot be reached, at the first attempt.
    """
    client = Client(url, token, encoding, context, deflate=deflate, buffer=buffer, rng=rng or random.Random())
    raised: BaseException | None = None
    failure: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(client._run)
            try:
                yield client
            except BaseException as error:
                raised = error
                raise
            finally:
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        failure = _only(group, raised)
    if failure is not None:
        raise failure


class Client:
    """See `connect`, which makes it. Iterate over it to get the events, in their order."""

    def __init__(
        self,
        url: str,
        token: Token,
        encoding: Encoding,
        context: ssl.SSLContext | None,
        *,
        deflate: bool,
        buffer: int,
        rng: random.Random,
    ) -> None:
        self._url = url
        self._token = token
        self._encoding: Encoding = encoding
        self._context = context
        self._deflate = deflate
        self._rng = rng
        self._rooms = Rooms()
        self._wanted: dict[str, str] = {}
        self._inbox = Inbox(buffer)
        self._link: Link | None = None
        self._failure: Exception | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._link is not None

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        """The next event. Cancellation: none is lost.

        Raises:
            Unauthenticated: the credential is no longer valid; nothing more comes.
            Closed: the server will not have this client again; nothing more comes.
            Untrusted: it has come back with a certificate that is not trusted; nothing more comes.
        """
        return await self._inbox.get()

    async def subscribe(self, *rooms: str, chains: Literal["delta", "full"] = "delta") -> Entered:
        """Enter rooms, and stay in them through every loss of the connection.

        Cancellation: the rooms may have been entered or not, and will be.

        Args:
            rooms: by name, such as ``chain:NIFTY`` or ``general``.
            chains: "full" has whole chains sent always.

        Raises:
            Closed, TimeoutError: the connection was lost before the answer came; the rooms will be
                entered as soon as it is back.
            CommandError: refused as a whole.
        """
        if not rooms:
            return Entered(())
        for room in rooms:
            self._wanted[room] = chains
            state = self._rooms.state(room)
            if state.standing != "in":
                state.standing = "asked"
        try:
            answer = await self._ask(self._subscription(rooms, chains))
        except CommandError:
            self._forget(rooms)
            raise
        assert isinstance(answer, wire.Subscribed)  # it answers that command
        refused = {one.room: one.message for one in answer.err}
        self._forget(refused)
        return Entered(tuple(one.room for one in answer.ok), refused)

    async def unsubscribe(self, *rooms: str) -> None:
        """Leave rooms; nothing more of them comes, save what waits to be taken.

        Cancellation: they have been left.

        Raises:
            Closed, TimeoutError: the connection was lost; they are not entered again.
        """
        self._forget(rooms)
        if rooms:
            await self._ask({"op": "unsubscribe", "rooms": rooms})

    async def products(self) -> tuple[Product, ...]:
        """What there is to subscribe to, by symbol. Cancellation: no effect.

        Raises:
            Closed, TimeoutError: the connection was lost before the answer came.
        """
        answer = await self._ask({"op": "products"})
        assert isinstance(answer, wire.ProductList)  # it answers that command
        return tuple(Product(symbol=symbol, expiries=roots) for symbol, roots in answer.products.items())

    async def ping(self) -> float:
        """How long the server takes to answer, in seconds. Cancellation: no effect.

        Raises:
            Closed, TimeoutError: the connection was lost before the answer came.
        """
        began = anyio.current_time()
        await self._ask({"op": "ping"})
        return anyio.current_time() - began

    async def _run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Keep a connection until cancelled or refused for good."""
        pause, first = _SHORTEST_S, True
        while True:
            began = anyio.current_time()
            try:
                link = await Link.open(
                    self._url,
                    self._credential,
                    encoding=self._encoding,
                    context=self._context,
                    deflate=self._deflate,
                )
                if first:
                    first = False
                    task_status.started()
                else:
                    self._inbox.put([Reconnected(room="")])
                await self._converse(link)
            except (ClientError, OSError, TimeoutError) as error:
                if first:
                    raise
                if _is_final(error):
                    self._failure = error
                    self._inbox.end(error)
                    return
            lasted = anyio.current_time() - began
            pause = _SHORTEST_S if lasted > _LASTING_S else min(2 * pause, _LONGEST_S)
            await anyio.sleep(pause * self._rng.uniform(0.2, 1.0))

    async def _converse(self, link: Link) -> NoReturn:
        """Enter the rooms that are wanted, and take what comes until the connection ends.

        Raises:
            Closed, CommandError, OSError, TimeoutError, Unauthenticated: it has ended.
        """
        self._link = link
        closed: Closed | None = None
        try:
            self._rooms.disconnected()
            while True:
                await self._enter_what_is_missing(link)
                await self._inbox.room()
                frame = await link.receive()
                self._take(link, frame)
                if isinstance(frame, wire.TokenExpiring) and not isinstance(self._token, str):
                    with anyio.fail_after(_TOKEN_S):
                        await link.send({"op": "auth", "token": await self._credential()})
        except (Closed, CommandError, OSError, TimeoutError, Unauthenticated) as error:
            self._inbox.put([Disconnected(room="", reason=str(error))])
            if isinstance(error, Closed):
                closed = error
                if error.code == CloseCode.UNAUTHENTICATED and isinstance(self._token, str):
                    raise Unauthenticated(error.reason) from None
            raise
        finally:
            self._link = None
            await link.close(closed)

    def _take(self, link: Link, frame: Frame) -> None:
        """One frame: an answer, or something about a room."""
        try:
            match frame:
                case wire.Subscribed():
                    settled = link.settle(frame)
                    self._inbox.put(self._rooms.subscribed(frame))
                    if not settled:
                        self._refused(frame)
                case wire.Error():
                    if not link.settle(frame):
                        raise refusal(frame)
                case wire.Connected() | wire.Unsubscribed() | wire.ProductList() | wire.Pong():
                    link.settle(frame)
                case wire.TokenExpiring():
                    pass
                case _:
                    self._inbox.put(self._rooms.take(frame))
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
            raise Closed(1002, f"the server sent what is no {type(frame).__name__}: {error!r}") from error

    async def _enter_what_is_missing(self, link: Link) -> None:
        """Ask for rooms, from where we are; the answers are taken as they come."""
        missing: dict[str, list[str]] = {}
        for state in self._rooms:
            if state.standing == "out" and state.name in self._wanted:
                state.standing = "asked"
                missing.setdefault(self._wanted[state.name], []).append(state.name)
        for chains, rooms in missing.items():
            for first in range(0, len(rooms), _ROOMS_A_COMMAND):
                await link.send(self._subscription(rooms[first : first + _ROOMS_A_COMMAND], chains))

    def _subscription(self, rooms: Sequence[str], chains: str) -> dict[str, Any]:
        places = {room: self._rooms.state(room).resume() for room in rooms}
        resume = {room: place for room, place in places.items() if place is not None}
        return {"op": "subscribe", "rooms": rooms, "chains": chains, "resume": resume}

    def _refused(self, frame: wire.Subscribed) -> None:
        """Tell of rooms that could not be entered when nobody waited for the answer."""
        for one in frame.err:
            if one.room not in self._wanted:
                continue
            if self._rooms.state(one.room).refused() or not one.retryable:
                event = RoomRefused(
                    room=one.room, code=one.code, message=one.message, retryable=one.retryable
                )
                self._inbox.put([event])
            if not one.retryable:
                self._forget([one.room])

    def _forget(self, rooms: Iterable[str]) -> None:
        for room in rooms:
            self._wanted.pop(room, None)
            self._rooms.forget(room)

    async def _ask(self, command: dict[str, Any]) -> Answer:
        """The answer to a command."""
        if self._failure is not None:
            raise self._failure
        if self._link is None:
            raise Closed(1006, "there is no connection at the moment")
        with self._inbox.hurry():
            return await self._link.ask(command)

    async def _credential(self) -> str:
        if isinstance(self._token, str):
            return self._token
        given = self._token()
        return await given if inspect.isawaitable(given) else given


def _is_final(error: Exception) -> bool:
    if isinstance(error, Closed):
        return error.code in _NOT_AGAIN
    return isinstance(error, Unauthenticated | Untrusted)


def _only(group: BaseExceptionGroup[BaseException], raised: BaseException | None) -> BaseException:
    """What callers would see without a task group round them; `raised` is what they raised themselves."""
    if len(group.exceptions) != 1:
        return group
    if raised is None or isinstance(raised, anyio.get_cancelled_exc_class()):
        return group.exceptions[0]
    return raised
