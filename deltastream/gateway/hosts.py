"""By which names the gateway may be called.

A page of somebody else's can make a browser send requests to us under its own name, once it lets that
name resolve to our address (DNS rebinding). So only names that were configured are answered, on
loopback too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

from deltastream.gateway.exchange import refused
from deltastream.gateway.problems import Problem

__all__ = ["LOOPBACK_NAMES", "Hosts"]

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
"""What this machine calls itself."""

_AUTHORITY: Final = re.compile(
    r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?)\.?(?::(?P<port>[0-9]{1,5}))?"
)
_KNOWN: Final = 128


class Hosts:
    """The names by which the gateway may be called.

    Args:
        allowed: names and addresses, an IPv6 address in brackets; one without a port allows any port.
            Empty: this machine's own names.
        bound: what is listened on, which is one of these.
    """

    def __init__(self, allowed: Sequence[str], bound: str = "127.0.0.1") -> None:
        own = (*LOOPBACK_NAMES, f"[{bound}]" if ":" in bound else bound)
        names = [_normal(name) for name in allowed or own]
        self._allowed = frozenset(name for name in names if name is not None)
        self.check = lru_cache(_KNOWN)(self._check)

    def _check(self, value: bytes | None) -> str:
        """The name and port in normal form: lower case, no final dot.

        Raises:
            Problem: it cannot be read, or is not served here.
        """
        if value is None:
            raise Problem("host_not_allowed", "The request does not say which host it wants.")
        normal = _normal(value.decode("latin1").strip(" \t"))
        if normal is None:
            raise refused("header", "host", "malformed", "The header Host does not hold a name and a port.")
        name = normal if normal.endswith("]") else normal.rpartition(":")[0] or normal
        if normal not in self._allowed and name not in self._allowed:
            raise Problem("host_not_allowed")
        return normal


def _normal(authority: str) -> str | None:
    parts = _AUTHORITY.fullmatch(authority.lower())
    if parts is None or len(authority) > 260:
        return None
    name, port = parts["name"], parts["port"]
    if name.startswith("["):
        try:
            name = f"[{IPv6Address(name[1:-1]).compressed}]"
        except ValueError:
            return None
    if port is None:
        return name
    return f"{name}:{int(port)}" if 0 < int(port) < 65536 else None
