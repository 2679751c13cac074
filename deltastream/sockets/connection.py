"""One client: its session and its membership in one, for whatever transport to derive from."""

from __future__ import annotations

import math

from deltastream.accounts import Identity
from deltastream.sockets.events import CloseCode
from deltastream.sockets.fanout import Form, Member
from deltastream.sockets.session import Session

__all__ = ["Connection"]


class Connection(Member):
    """A client.

    Attributes:
        session: what it has said and may say.
        address: the client's, for the log and limits.
        identity, credential: who it is, and by what it told; None before.
        looked_at: when its deadlines are looked at next.
    """

    __slots__ = ("address", "credential", "identity", "looked_at", "session")

    def __init__(self, session: Session, form: Form, address: str) -> None:
        super().__init__(form)
        self.session = session
        self.address = address
        self.identity: Identity | None = None
        self.credential: str | None = None
        self.looked_at = math.inf

    def ping(self) -> None:
        """Ask the client's WebSocket for a pong, at once or not at all."""
        raise NotImplementedError

    def close(self, code: CloseCode, reason: str) -> None:
        """Begin to close, after what it holds where that leaves at once. Never waits."""
        raise NotImplementedError
