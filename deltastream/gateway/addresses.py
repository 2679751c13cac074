"""Whose address a request comes from, when it may have come through proxies.

A proxy appends the address it was called from to ``X-Forwarded-For``, so that only what stands to the
right of the last proxy we trust is true: the list is walked from its right end, and the first address
that is not a trusted proxy's is the client's. Whatever a client wrote itself stands further left and
is never reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

__all__ = ["Proxies"]

_HOPS: Final = 32
_KNOWN: Final = 1024


class Proxies:
    """Tells the client's address and whether it used HTTPS.

    Args:
        trusted: addresses and networks of proxies that are believed.
    """

    def __init__(self, trusted: Sequence[str]) -> None:
        self._networks = tuple(ip_network(text, strict=False) for text in trusted)
        self._trusts = lru_cache(_KNOWN)(self._looks_trusted)

    def client(self, peer: str, forwarded_for: bytes | None) -> str:
        """The client's address.

        Args:
            peer: who opened the connection.
            forwarded_for: ``X-Forwarded-For``; several of them joined by commas, in their order.
        """
        address = _plain(peer)
        if not self._networks or forwarded_for is None:
            return address
        for entry in reversed(forwarded_for.rsplit(b",", _HOPS)[-_HOPS:]):
            if not self._trusts(address):
                return address
            hop = _address(entry)
            if hop is None:  # a trusted proxy does not know, or does not tell
                return address
            address = hop
        return address

    def trusts(self, peer: str) -> bool:
        """Whether who opened the connection is a trusted proxy."""
        return bool(self._networks) and self._trusts(_plain(peer))

    def secure(self, peer: str, scheme: str, forwarded_proto: bytes | None) -> bool:
        """Whether the client used HTTPS: by our own certificate, or by what a trusted proxy says.

        Args:
            scheme: of our own connection.
            forwarded_proto: ``X-Forwarded-Proto``; of several the last counts, the nearest proxy's.
        """
        if forwarded_proto is not None and self._networks and self._trusts(_plain(peer)):
            said = forwarded_proto.rpartition(b",")[2].strip().lower()
            if said in (b"http", b"https"):
                return said == b"https"
        return scheme == "https"

    def _looks_trusted(self, address: str) -> bool:
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self._networks)


def _plain(peer: str) -> str:
    """An IPv4 address that came in over an IPv6 socket as such, without what names an interface."""
    if ":" not in peer:
        return peer
    try:
        return str(_unmapped(ip_address(peer.partition("%")[0])))
    except ValueError:
        return peer


def _address(entry: bytes) -> str | None:
    """The address in one entry: plain, or as proxies write it with a port, brackets or quotes."""
    text = entry.strip().strip(b'"').decode("latin1")
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(_unmapped(ip_address(text.partition("%")[0])))
    except ValueError:
        return None


def _unmapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip
