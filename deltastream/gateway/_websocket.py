"""One WebSocket on the API's port: hypercorn's, without what a stranger could do harm by.

Hypercorn compresses with whoever asks for it, which lets a kilobyte of input become a megabyte; it
goes on gathering a message after it has found it too long; and it keeps pongs to itself, so that
nobody could tell a client that only listens from one that is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import h11
import trio
from hypercorn.protocol.events import Request, StreamClosed
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.typing import ConnectionState as State
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping, Pong

__all__ = ["WATCHED", "WebSocket", "asks_for_websocket"]

WATCHED: Final = "deltastream.websocket"
"""Where an application finds its `WebSocket` in the state of its scope."""

_MOST_FRAGMENTS: Final = 1024
_A_TURN: Final = 64


class WebSocket(WSStream):
    """A WebSocket between hypercorn's HTTP/1.1 and an application, which may `watch` it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._fragments = 0
        self._deaf = False
        self._controlled: Callable[[], None] = _nothing
        self._violated: Callable[[str], None] = _ignored

    def watch(self, controlled: Callable[[], None], violated: Callable[[str], None]) -> None:
        """Have an application told of what ASGI does not tell.

        Args:
            controlled: a ping or a pong has come.
            violated: a message breaks a limit; nothing that comes after it is looked at.
        """
        self._controlled = controlled
        self._violated = violated

    async def ping(self) -> None:
        """Ask for a pong. Cancellation: it may have been sent."""
        await self._send_wsproto_event(Ping())

    async def handle(self, event: Any) -> None:
        """What has come from below. Cancellation: the connection is of no more use."""
        if isinstance(event, Request):
            headers = [pair for pair in event.headers if pair[0].lower() != b"sec-websocket-extensions"]
            event = replace(event, headers=headers, state=State({**event.state, WATCHED: self}))
        await super().handle(event)

    @property
    def _over(self) -> bool:
        return self._deaf or self.closed

    async def _handle_events(self) -> None:
        if self._over:
            return
        for number, event in enumerate(self.connection.events(), start=1):
            await self._handle_one(event)
            if self._over:
                return
            if number % _A_TURN == 0:
                await trio.lowlevel.checkpoint()

    async def _handle_one(self, event: object) -> None:
        match event:
            case Message():
                await self._gather(event)
            case Ping():
                self._controlled()
                await self._send_wsproto_event(event.response())
            case Pong():
                self._controlled()
            case CloseConnection():
                if self.connection.state is not ConnectionState.CLOSED:
                    await self._send_wsproto_event(CloseConnection(code=event.code))
                await self.send(StreamClosed(stream_id=self.stream_id))

    async def _gather(self, event: Message[Any]) -> None:
        self._fragments += 1
        if self.buffer.length + len(event.data) > self.buffer.max_length:
            self._refuse(f"a message may have {self.buffer.max_length} bytes")
        elif self._fragments > _MOST_FRAGMENTS:
            self._refuse(f"a message may have {_MOST_FRAGMENTS} fragments")
        else:
            self.buffer.extend(event)
            if event.message_finished:
                message = self.buffer.to_message()
                self.buffer.clear()
                self._fragments = 0
                assert self.app_put is not None  # since the handshake
                await self.app_put(message)

    def _refuse(self, reason: str) -> None:
        self.buffer.clear()
        self._deaf = True
        self._violated(reason)


def asks_for_websocket(request: h11.Request) -> bool:
    """Whether a request wants to go on as a WebSocket."""
    told = {b"upgrade": b"", b"connection": b""}
    for name, value in request.headers:
        if name in told:
            told[name] = value.lower()
    tokens = (token.strip() for token in told[b"connection"].split(b","))
    return request.method == b"GET" and told[b"upgrade"].strip() == b"websocket" and b"upgrade" in tokens


def _nothing() -> None:
    """Nobody watches."""


def _ignored(reason: str) -> None:
    """Nobody watches."""
