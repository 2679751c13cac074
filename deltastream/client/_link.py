"""One connection that the server knows us by: commands go out, answers and other frames come in."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import anyio
import msgspec

from deltastream.client._wire import WebSocket
from deltastream.client.errors import Closed, CommandError, Unauthenticated
from deltastream.sockets import events as wire
from deltastream.sockets.events import CloseCode

__all__ = ["Answer", "Encoding", "Frame", "Link", "Update", "refusal"]

Update = wire.UnderlyingUpdate | wire.ChainUpdate | wire.ChainSummary | wire.SurfaceUpdate
Answer = wire.Subscribed | wire.Unsubscribed | wire.ProductList | wire.Pong | wire.Connected | wire.Error
Frame = Answer | Update | wire.TokenExpiring | wire.Heartbeat | wire.MarketStatusEvent

_PROTOCOLS: Final = {"json": "deltastream.v1", "msgpack": "deltastream.v1.msgpack"}
_JSON: Final = msgspec.json.Decoder(Frame)
_MSGPACK: Final = msgspec.msgpack.Decoder(Frame)
_TAGS: Final = frozenset(str(kind.__struct_config__.tag) for kind in Frame.__args__)
_CREDENTIALS: Final = (CloseCode.UNAUTHENTICATED, CloseCode.FORBIDDEN)
_CONNECT_S: Final = 10.0
_ANSWER_S: Final = 10.0
_HEARTBEATS: Final = 2.5
_PROTOCOL_ERROR: Final = 1002
_LOST: Final = 1006

Encoding = Literal["json", "msgpack"]


class Link:
    """An open connection. One task may receive; any may ask.

    Attributes:
        limits: what one connection may ask.
    """

    def __init__(self, socket: WebSocket, encoding: Encoding) -> None:
        self.limits = wire.Limits(1, 1.0, 0)
        self._socket = socket
        self._encoding: Encoding = encoding
        self._waiting: dict[int, _Waiting] = {}
        self._number = 0
        self._silence_s = _CONNECT_S
        self._closed: Closed | None = None

    @classmethod
    async def open(
        cls,
        url: str,
        credential: Callable[[], Awaitable[str]],
        *,
        encoding: Encoding,
        context: ssl.SSLContext | None,
        deflate: bool,
    ) -> Link:
        """Connect, and tell who we are. Cancellation: closes what has been opened.

        Raises:
            Unauthenticated: the credential is not valid, or gives no right to market data.
            CommandError: nobody can tell at the moment.
            Refused: the server does not want this connection.
            Untrusted: its certificate is not one that we trust.
            Closed, OSError, TimeoutError: it cannot be reached, or was lost at once.
        """
        with anyio.fail_after(_CONNECT_S):
            token = await credential()
            socket = await WebSocket.open(
                url, subprotocols=[_PROTOCOLS[encoding]], context=context, deflate=deflate
            )
            link = cls(socket, encoding)
            try:
                await link.send({"op": "auth", "token": token})
                frame = await link.receive()
                while not isinstance(frame, wire.Connected):
                    if isinstance(frame, wire.Error):
                        raise refusal(frame)
                    frame = await link.receive()
            except BaseException as error:
                await socket.close()
                if isinstance(error, Closed) and error.code in _CREDENTIALS:
                    raise Unauthenticated(error.reason) from None
                raise
        link.limits = frame.limits
        link._silence_s = _HEARTBEATS * frame.heartbeat_s
        return link

    async def receive(self) -> Frame:
        """The next frame; kinds that we do not know are passed over. Cancellation: nothing is lost.

        Raises:
            Closed: the connection has ended.
            TimeoutError: nothing was heard for longer than heartbeats allow.
        """
        while True:
            try:
                with anyio.fail_after(self._silence_s):
                    data = await self._socket.receive()
            except TimeoutError:
                raise TimeoutError(f"nothing was heard for {self._silence_s:g} s") from None
            if (frame := self._decoded(data)) is not None:
                return frame

    async def ask(self, command: dict[str, Any]) -> Answer:
        """The answer to a command, which whoever receives must `settle`.

        Cancellation: it may have been obeyed or not.

        Raises:
            CommandError: it was refused as a whole.
            Closed: the connection was lost before the answer came.
            TimeoutError: no answer came.
        """
        waiting = _Waiting()
        number = self._next()
        self._waiting[number] = waiting
        try:
            with anyio.fail_after(_ANSWER_S):
                await self._write(number, command)
                await waiting.over.wait()
        finally:
            self._waiting.pop(number, None)
        if waiting.answer is None:
            raise self._closed or Closed(_LOST, "the connection was lost")
        if isinstance(waiting.answer, wire.Error):
            raise refusal(waiting.answer)
        return waiting.answer

    async def send(self, command: dict[str, Any]) -> None:
        """Send a command, whose answer nobody waits for. Cancellation: it is sent all the same.

        Raises:
            Closed: the connection has ended.
        """
        await self._write(self._next(), command)

    def settle(self, frame: Answer) -> bool:
        """Hand an answer to who waits for it; whether somebody does."""
        waiting = self._waiting.pop(frame.id, None) if isinstance(frame.id, int) else None
        if waiting is not None:
            waiting.answer = frame
            waiting.over.set()
        return waiting is not None

    async def close(self, error: Closed | None = None) -> None:
        """Close, and tell those who wait for answers why. Cancellation: closes all the same."""
        self._closed = error
        for waiting in self._waiting.values():
            waiting.over.set()
        await self._socket.close()

    def _next(self) -> int:
        self._number += 1
        return self._number

    async def _write(self, number: int, command: dict[str, Any]) -> None:
        numbered = {"id": number, **command}
        if self._encoding == "json":
            await self._socket.send(msgspec.json.encode(numbered).decode())
        else:
            await self._socket.send(msgspec.msgpack.encode(numbered))

    def _decoded(self, data: str | bytes) -> Frame | None:
        try:
            frame: Frame = (_JSON if self._encoding == "json" else _MSGPACK).decode(data)  # type: ignore[arg-type]  # bytes where MessagePack
            return frame
        except (msgspec.MsgspecError, UnicodeError, TypeError) as error:
            if _is_unknown(data, self._encoding):
                return None
            raise Closed(_PROTOCOL_ERROR, f"the server sent what is no frame: {error}") from None


class _Waiting:
    def __init__(self) -> None:
        self.over = anyio.Event()
        self.answer: Answer | None = None


def refusal(frame: wire.Error) -> Unauthenticated | CommandError:
    """What an error is raised as."""
    if frame.code in ("unauthenticated", "forbidden"):
        return Unauthenticated(frame.message)
    return CommandError(frame.code, frame.message, retryable=frame.retryable)


def _is_unknown(data: str | bytes, encoding: Encoding) -> bool:
    """Whether it is an event of a later version of the protocol."""
    try:
        plain = msgspec.json.decode(data) if encoding == "json" else msgspec.msgpack.decode(data)  # type: ignore[arg-type]  # see above
    except (msgspec.MsgspecError, UnicodeError, TypeError):
        return False
    return isinstance(plain, dict) and isinstance(plain.get("event"), str) and plain["event"] not in _TAGS
