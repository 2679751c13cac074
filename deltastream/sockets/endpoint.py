"""The same protocol on the API's port: who asks there is greeted, and handed over with the connection."""

from __future__ import annotations

from deltastream.gateway.exchange import Headers
from deltastream.gateway.problems import Problem
from deltastream.gateway.sockets import Ticket
from deltastream.seams import Seams
from deltastream.sockets.desk import Desk
from deltastream.sockets.guest import Guest
from deltastream.sockets.handshake import RETRY_S, upgraded
from deltastream.sockets.settings import SocketSettings

__all__ = ["SocketEndpoint"]


class SocketEndpoint:
    """See `deltastream.gateway.sockets.Sockets`.

    Args:
        desk: where clients are taken in.
        settings: limits.
        seams: ids of sessions.
    """

    def __init__(self, desk: Desk, settings: SocketSettings, seams: Seams) -> None:
        self._desk = desk
        self._settings = settings
        self._seams = seams

    def greet(self, headers: Headers, address: str) -> Guest:
        """See `deltastream.gateway.sockets.Sockets`."""
        greeted = upgraded(headers, address, self._settings.message_bytes)
        if self._desk.strangers.too_many(address):
            detail = "Too many connections that have not said who they are."
            raise Problem("too_many_requests", detail, retry_after_s=RETRY_S)
        return Guest(greeted, self._desk, self._settings, self._seams)

    def ticket(self, credential: str) -> Ticket:
        """See `deltastream.gateway.sockets.Sockets`."""
        return self._desk.tickets.issue(credential)
