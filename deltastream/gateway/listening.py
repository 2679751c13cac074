"""The gateways' sockets and their certificate: opened before anything else, refused with one sentence."""

from __future__ import annotations

import errno
import os
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv6Address
from typing import Final, Literal

from deltastream.errors import DeltaStreamError
from deltastream.gateway.exposure import Address, address_of, problems, unsafe
from deltastream.gateway.settings import GatewaySettings
from deltastream.seams import Seams

__all__ = ["CannotListen", "addresses_of", "listening", "room_for", "tls_context"]

BACKLOG: Final = 512
SILENT_PEER_MS: Final = 20_000
"""A peer that acknowledges nothing for so long is cut off by the kernel."""
OWN_FILES: Final = 256
"""What the rest of a host may have open."""
_REASONS: Final = {
    errno.EADDRINUSE: (
        "another process listens there;"
        " set {part}.port (DELTASTREAM_{PART}__PORT) to another port, or to 0 for any"
    ),
    errno.EACCES: "ports below 1024 need a right that this process has not",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


Part = Literal["gateway", "sockets"]
"""Whose settings are spoken of."""
_WHO: Final = {"gateway": "The gateway", "sockets": "The socket gateway"}


class CannotListen(DeltaStreamError):
    """The gateway cannot be reached as it is set."""


async def addresses_of(settings: GatewaySettings, seams: Seams, *, part: Part = "gateway") -> list[Address]:
    """The addresses that `host` stands for, checked to be safe to bind with these settings.

    Cancellation: a look-up that has begun completes.

    Args:
        settings: the gateway's; for sockets, with their host in its place.
        seams: threads to look names up.
        part: whose host it is.

    Raises:
        CannotListen: there is none, or binding one would let others in by accident.
    """
    if wrong := problems(settings):
        raise CannotListen(f"{part if wrong[0].startswith('host:') else 'gateway'}.{wrong[0]}.")
    address = address_of(settings.host)
    addresses = [address] if address else await seams.threads.run(_looked_up, settings.host, part)
    if wrong := unsafe(settings, addresses):
        raise CannotListen(f"{part}.{wrong[0]}.")
    return addresses


@contextmanager
def listening(address: Address, port: int, *, part: Part = "gateway") -> Iterator[socket.socket]:
    """A socket that accepts connections, closed when the context is left.

    What is accepted inherits its options: small packets go at once, and a peer that is gone does not
    keep its connection.

    Raises:
        CannotListen: the address or port cannot be bound.
    """
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise CannotListen(f"{_WHO[part]} has no socket: {error.strerror}.") from error
    with sock:
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_PEER_MS)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind((str(address), port))
            sock.listen(BACKLOG)
        except OSError as error:
            where = f"[{address}]:{port}" if family == socket.AF_INET6 else f"{address}:{port}"
            reason = str(_REASONS.get(error.errno or 0, error.strerror)).format(part=part, PART=part.upper())
            raise CannotListen(f"{_WHO[part]} cannot listen on {where}: {reason}.") from error
        yield sock


def room_for(connections: int) -> int:
    """Let this process open enough files for so many connections; for how many it may.

    Each takes one, and where clients could take the last, the journal could not open its own.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # a service manager may forbid it
            raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    return connections if soft == resource.RLIM_INFINITY else max(1, min(connections, soft - OWN_FILES))


def tls_context(settings: GatewaySettings) -> ssl.SSLContext | None:
    """What the certificate and its key are used by; None where there is none.

    Raises:
        CannotListen: they cannot be read, are not PEM, or do not belong together.
    """
    certificate, key = settings.certificate, settings.certificate_key
    if certificate is None or key is None:
        return None
    for name, path in (("certificate", certificate), ("certificate_key", key)):
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CannotListen(f"gateway.{name}: {path} cannot be read: {reason}.") from error
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise CannotListen(
            f"gateway.certificate: {certificate} and {key} cannot be used: {_said(error)}."
        ) from error
    return context


def _looked_up(name: str, part: Part) -> list[Address]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise CannotListen(f"{part}.host: {name!r} is not known here: {said}.") from error
    addresses = [address_of(str(where[0]).partition("%")[0]) for *_, where in found]
    ordered = sorted((a for a in addresses if a is not None), key=lambda a: (a.version, a.packed))
    if not ordered:
        raise CannotListen(f"{part}.host: {name!r} has no address.")
    return list(dict.fromkeys(ordered))


def _no_password() -> str:
    raise ValueError("the key is encrypted; give one that is not, readable by its owner alone")


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        if reason == "KEY_VALUES_MISMATCH":
            return "the key is not that of the certificate"
        return reason.replace("_", " ").lower() or "they are not in PEM form"
    return str(error)
