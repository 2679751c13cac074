"""A simulated socket as a stream, as there is one above each where there is a certificate."""

from __future__ import annotations

from typing import Any, Final

import trio

from deltastream.sim.sockets.network import SimSocket
from deltastream.sockets.network import Socket

__all__ = ["secured"]

_ALL: Final = 1 << 20


class _Stream(trio.abc.Stream):
    def __init__(self, sock: SimSocket) -> None:
        self._sock = sock

    async def send_all(self, data: Any) -> None:
        """See `trio.abc.SendStream.send_all`. Cancellation: some of it was sent."""
        left = memoryview(data)
        while left:
            try:
                left = left[self._sock.send(left) :]
            except BlockingIOError:
                await self._sock.writable()
            except OSError as error:
                raise trio.BrokenResourceError from error
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`. Cancellation: no effect."""
        await self._sock.writable()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream.receive_some`. Cancellation: no effect."""
        while True:
            await trio.lowlevel.checkpoint()
            try:
                return self._sock.recv(max_bytes or _ALL)
            except BlockingIOError:
                await self._sock.readable()
            except OSError as error:
                raise trio.BrokenResourceError from error

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource.aclose`. Cancellation: it is closed."""
        self._sock.close()
        await trio.lowlevel.checkpoint()


async def secured(sock: Socket) -> trio.abc.Stream:
    """The stream above a socket; see `deltastream.sockets.server.Secured`. Cancellation: no effect."""
    assert isinstance(sock, SimSocket)  # as the listener of a simulation makes them
    return _Stream(sock)
