"""What the gateway needs of whoever serves sockets: the seam between the API and `deltastream.sockets`."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from deltastream.gateway.exchange import Receive, Scope, Send

__all__ = ["PATH", "Sockets", "Ticket"]

PATH = "/ws"
"""Where sockets are opened on the API's port."""


class Ticket(NamedTuple):
    """A ticket just made: its text, and when it expires (nanoseconds UTC)."""

    text: str
    expires: int


class Sockets(Protocol):
    """Serves sockets behind the gateway's checks of host, origin and address."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send, address: str) -> None:
        """Serve one client until it or the server has had enough. Cancellation: ends at once.

        Args:
            scope, receive, send: of ASGI, for a WebSocket that has not been accepted yet.
            address: the client's.
        """
        ...

    def ticket(self, credential: str) -> Ticket:
        """A one-time ticket for a credential that has been found to be good."""
        ...
