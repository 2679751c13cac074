"""What the gateway needs of whoever serves sockets: the seam between the API and `deltastream.sockets`."""

from __future__ import annotations

import socket
from typing import Final, NamedTuple, Protocol

import trio

from deltastream.gateway.exchange import Headers

__all__ = ["HAND_OVER", "PATH", "Guest", "Sockets", "Ticket"]

PATH: Final = "/ws"
"""Where sockets are opened on the API's port."""

HAND_OVER: Final = "deltastream.hand_over"
"""The ASGI message by which a `Guest` is given the connection, and the extension that allows it."""


class Ticket(NamedTuple):
    """A ticket just made: its text, and when it expires (nanoseconds UTC)."""

    text: str
    expires: int


class Guest(Protocol):
    """A client whose request to go on as a WebSocket is granted."""

    @property
    def answer(self) -> bytes:
        """What it must be sent before anything else."""
        ...

    async def serve(self, line: socket.socket | trio.abc.Stream, rest: bytes, *, tasks: trio.Nursery) -> None:
        """Serve it until it or we have had enough; nothing it does gets out of here.

        Cancellation: ends at once.

        Args:
            line: the connection, which the caller closes; a socket does not block.
            rest: what has come with the request.
            tasks: for what has to run beside; outlives it.
        """
        ...

    def end(self) -> None:
        """Tell it to go, for the server ends."""
        ...


class Sockets(Protocol):
    """Serves sockets behind the gateway's checks of host, origin and address."""

    def greet(self, headers: Headers, address: str) -> Guest:
        """The client that asks with these headers to be served.

        Raises:
            Problem: that is no handshake of WebSocket.
        """
        ...

    def ticket(self, credential: str) -> Ticket:
        """A one-time ticket for a credential that has been found to be good."""
        ...
