"""A request to go on as a WebSocket: answered in HTTP, or handed over with its connection.

ASGI would give an application its messages one by one, a call and a change of task each, which is
most of what a small message costs. So whoever serves sockets here is given the connection itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import h11
from hypercorn.protocol.events import Body, EndBody, Event, Request, Response, StreamClosed

from deltastream.gateway.sockets import HAND_OVER, Guest

__all__ = ["Upgrade", "asks_to_upgrade"]

_DEFECT: Final = 500

Message = dict[str, Any]
Spawn = Callable[[Message, Callable[[Any], Awaitable[None]]], Awaitable[Callable[[Message], Awaitable[None]]]]


class Upgrade:
    """Asks an application what becomes of one such request, in place of hypercorn's stream.

    Args:
        spawn: starts the application on a scope, with what it sends by; gives what puts events to it.
        send: to hypercorn's protocol.
        peers: of the scope: "client", "server" and "scheme".

    Attributes:
        guest: who is served on the connection from now on; None while it speaks HTTP.
    """

    def __init__(self, spawn: Spawn, send: Callable[[Event], Awaitable[None]], peers: Message) -> None:
        self.guest: Guest | None = None
        self._spawn = spawn
        self._send = send
        self._peers = peers
        self._answered = False

    async def handle(self, event: Event) -> None:
        """What has come from below. Cancellation: the connection is of no more use."""
        if isinstance(event, Request):
            self._stream_id = event.stream_id
            self._put = await self._spawn(self._scope(event), self._take)
            await self._put({"type": "websocket.connect"})
        elif isinstance(event, StreamClosed):
            await self._put({"type": "websocket.disconnect", "code": 1006})

    def _scope(self, request: Request) -> Message:
        path, _, query = request.raw_path.partition(b"?")
        return {
            "type": "websocket",
            "asgi": {"spec_version": "2.3", "version": "3.0"},
            "http_version": request.http_version,
            "path": path.decode("latin1"),
            "raw_path": path,
            "query_string": query,
            "headers": request.headers,
            "extensions": {"websocket.http.response": {}, HAND_OVER: {}},
            **self._peers,
        }

    async def _take(self, message: Message | None) -> None:
        """What the application says; None once it has ended."""
        match message:
            case None:
                if not self._answered:
                    await self._answer(_DEFECT, [(b"content-length", b"0"), (b"connection", b"close")], b"")
                await self._send(StreamClosed(stream_id=self._stream_id))
            case {"type": "websocket.http.response.start"}:
                self._head = message
            case {"type": "websocket.http.response.body"}:
                await self._answer(self._head["status"], self._head["headers"], message["body"])
            case {"type": str(kind), "guest": guest} if kind == HAND_OVER:
                self._answered, self.guest = True, guest
            case _:
                raise ValueError(f"an upgrade is not answered with {message['type']}")

    async def _answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._answered = True
        await self._send(Response(stream_id=self._stream_id, status_code=status, headers=headers))
        await self._send(Body(stream_id=self._stream_id, data=body))
        await self._send(EndBody(stream_id=self._stream_id))


def asks_to_upgrade(request: h11.Request) -> bool:
    """Whether a request wants to go on as a WebSocket; in HTTP/1.0 nobody can."""
    told = {b"upgrade": b"", b"connection": b""}
    for name, value in request.headers:
        if name in told:
            told[name] = value.lower()
    tokens = (token.strip() for token in told[b"connection"].split(b","))
    return (
        request.method == b"GET"
        and request.http_version == b"1.1"
        and told[b"upgrade"].strip() == b"websocket"
        and b"upgrade" in tokens
    )
