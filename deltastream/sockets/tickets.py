"""One-time tickets: how a page tells a socket who it is without giving its token away.

A ticket stands for the credential it was made with, is good once and for half a minute, and is known
to this process alone.
"""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from typing import Final

from deltastream.gateway.sockets import Ticket
from deltastream.seams import Seams

__all__ = ["LIFE_S", "Tickets"]

LIFE_S: Final = 30
_BYTES: Final = 24
_MOST: Final = 10_000
_SECOND: Final = 1_000_000_000


class Tickets:
    """Those that have been made and not used.

    Args:
        seams: time and secrets.
    """

    def __init__(self, seams: Seams) -> None:
        self._seams = seams
        self._open: OrderedDict[bytes, tuple[str, int]] = OrderedDict()

    def issue(self, credential: str) -> Ticket:
        """A ticket for a credential that has been found to be good; with too many, the oldest is void."""
        text = base64.urlsafe_b64encode(self._seams.secrets.draw(_BYTES)).decode()
        expires = self._seams.clock.now_ns() + LIFE_S * _SECOND
        self._open[_digest(text)] = (credential, expires)
        while len(self._open) > _MOST:
            self._open.popitem(last=False)
        return Ticket(text, expires)

    def take(self, text: str) -> str | None:
        """The credential that a ticket stands for, once; None where it is none, or has expired."""
        credential, expires = self._open.pop(_digest(text), (None, 0))
        return credential if self._seams.clock.now_ns() < expires else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
