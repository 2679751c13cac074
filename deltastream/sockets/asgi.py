"""The same protocol on the API's port: a raw ASGI handler, which always takes what comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

import trio

from deltastream.gateway._websocket import WATCHED, WebSocket
from deltastream.gateway.sockets import Ticket
from deltastream.seams import Seams
from deltastream.sockets.desk import Desk
from deltastream.sockets.events import CloseCode
from deltastream.sockets.fanout import Form
from deltastream.sockets.handshake import chosen_protocol, credential_of
from deltastream.sockets.queued import QueuedConnection
from deltastream.sockets.session import Session
from deltastream.sockets.settings import SocketSettings

__all__ = ["SocketEndpoint"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_FORMS: Final = {
    "json": Form("json", lambda payload: payload),
    "msgpack": Form("msgpack", lambda payload: payload),
}


class SocketEndpoint:
    """An ASGI application for WebSocket scopes alone, behind the checks of host and origin.

    Args:
        desk: where clients are taken in.
        settings: limits.
        seams: ids of sessions.
    """

    def __init__(self, desk: Desk, settings: SocketSettings, seams: Seams) -> None:
        self._desk = desk
        self._settings = settings
        self._seams = seams

    def ticket(self, credential: str) -> Ticket:
        """See `deltastream.gateway.sockets.Sockets`."""
        return self._desk.tickets.issue(credential)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, address: str) -> None:
        """Serve one client until it or we have had enough. Cancellation: ends at once.

        Args:
            address: the client's, as the shell has found it out.
        """
        await receive()  # websocket.connect
        protocol, encoding = chosen_protocol(list(scope.get("subprotocols", ())))
        await send({"type": "websocket.accept", "subprotocol": protocol, "headers": []})
        watched: WebSocket | None = scope.get("state", {}).get(WATCHED)
        session = Session(self._seams.ids.new(), encoding, self._settings, trio.current_time())
        connection = _AsgiConnection(
            session, _FORMS[encoding], address, self._desk, self._settings, receive, send, watched
        )
        refusal = self._desk.admit(connection)
        if refusal is not None:
            await send({"type": "websocket.close", "code": int(CloseCode.DRAINING), "reason": refusal})
            return
        try:
            await connection.serve(credential_of(dict(scope["headers"])))
        finally:
            self._desk.dismiss(connection)


class _AsgiConnection(QueuedConnection):
    __slots__ = ("_ping_due", "_receive", "_send", "_watched")

    def __init__(
        self,
        session: Session,
        form: Form,
        address: str,
        desk: Desk,
        settings: SocketSettings,
        receive: Receive,
        send: Send,
        watched: WebSocket | None,
    ) -> None:
        super().__init__(session, form, address, desk, settings)
        self._receive = receive
        self._send = send
        self._watched = watched
        self._ping_due = False
        if watched is not None:
            watched.watch(self._controlled, self._violated)

    def ping(self) -> None:
        """See `Connection.ping`."""
        self._ping_due = True
        self._work.set()

    def _controlled(self) -> None:
        self._desk.controlled(self)

    def _violated(self, reason: str) -> None:
        self._desk.violated(self, reason)

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return
            data = message.get("text")
            if data is None:
                data = message.get("bytes") or b""
            if len(data) > self._settings.message_bytes:
                self._desk.violated(self, f"a message may have {self._settings.message_bytes} bytes")
            elif isinstance(data, str) != (self.form.encoding == "json"):
                self._desk.violated(self, "text is JSON and binary is MessagePack, by the subprotocol")
            else:
                await self._desk.received(self, data)

    async def _write(self, frames: Sequence[bytes]) -> None:
        if self.form.encoding == "json":
            for frame in frames:
                await self._send({"type": "websocket.send", "text": frame.decode(), "bytes": None})
        else:
            for frame in frames:
                await self._send({"type": "websocket.send", "bytes": frame, "text": None})
        if self._ping_due and self._watched is not None:
            self._ping_due = False
            await self._watched.ping()

    async def _write_close(self, code: CloseCode, reason: str) -> None:
        await self._send({"type": "websocket.close", "code": int(code), "reason": reason})
