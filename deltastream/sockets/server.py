"""The socket gateway: a port of its own, made for many clients on one core.

It accepts, speaks the handshake, and hands each client to the desk. With a certificate every client
has a task that writes: the slower path.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import msgspec
import structlog
import trio

from deltastream.gateway.exposure import base_url
from deltastream.gateway.listening import addresses_of, listening, tls_context
from deltastream.gateway.settings import GatewaySettings
from deltastream.seams import Seams
from deltastream.sockets._strangers import Strangers
from deltastream.sockets.desk import Desk
from deltastream.sockets.guest import Guest
from deltastream.sockets.handshake import Greeted, Handshakes
from deltastream.sockets.network import KERNEL, Listener, Readiness, Socket
from deltastream.sockets.settings import SocketSettings

__all__ = ["Bound", "Secured", "serve", "serve_on"]

BACKLOG: Final = 4096
HANDSHAKE_S: Final = 5.0

_HANDSHAKE_BYTES: Final = 8192
_MOST_GREETING: Final = 1024
_PAUSE_S: Final = 0.1
_SHORT_OF: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
_GONE: Final = (errno.ECONNABORTED, errno.EPROTO)

Secured: TypeAlias = Callable[[Socket], Awaitable[trio.abc.Stream]]
"""Puts a stream above a socket; raises BrokenResourceError where the other end does not agree."""

log = structlog.get_logger("deltastream.sockets")


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the server listens.

    Attributes:
        host, port: the address of its socket.
        url: as its clients write it.
    """

    host: str
    port: int
    url: str


async def serve(
    desk: Desk,
    settings: SocketSettings,
    gateway: GatewaySettings,
    seams: Seams,
    *,
    page_port: Callable[[], int | None] = lambda: None,
    task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled.

    Cancellation: accepts nobody any more, tells the clients to go, and gives them `drain_s`.

    Args:
        desk: running; where clients are taken in.
        settings: where to listen, and limits.
        gateway: names, origins, proxies and the certificate.
        seams: ids of sessions; threads to look names up.
        page_port: that of the gateway whose pages may open sockets here; None while it has none.

    Raises:
        CannotListen: the address or port cannot be used, or it would let others in by accident.
    """
    where = msgspec.structs.replace(gateway, host=settings.host)
    addresses = await addresses_of(where, seams, part="sockets")
    with listening(addresses[0], settings.port, part="sockets") as sock:
        sock.listen(BACKLOG)
        handshakes = Handshakes(gateway, settings.host, page_port, settings.message_bytes)
        tls = tls_context(gateway)
        host, port = sock.getsockname()[:2]
        url = base_url(where, port, addresses[0]).replace("http", "ws", 1) + "/ws"
        await serve_on(
            sock,
            desk,
            settings,
            handshakes,
            seams,
            secured=None if tls is None else partial(_secured, tls),
            started=lambda: task_status.started(Bound(host, port, url)),
        )


async def serve_on(
    sock: Listener,
    desk: Desk,
    settings: SocketSettings,
    handshakes: Handshakes,
    seams: Seams,
    *,
    secured: Secured | None = None,
    readiness: Readiness = KERNEL,
    started: Callable[[], object],
) -> None:
    """Serve who connects to a socket until cancelled; closes it.

    Cancellation: as of `serve`.

    Args:
        sock: listens.
        desk, settings, seams: as of `serve`.
        handshakes: speaks the opening.
        secured: puts a stream above each socket, whose clients are given a task that writes; None: they
            are written to as they are.
        readiness: tells when sockets are ready.
        started: called when clients can come.
    """
    server = _Server(desk, settings, handshakes, seams, sock, secured, readiness)
    ended = trio.Event()
    async with trio.open_nursery() as both:
        clients: trio.Nursery = await both.start(_hold, ended)
        clients.cancel_scope.shield = True  # not before: a start that is cancelled waits for what it started
        try:
            started()
            await server.accept(clients)
        finally:
            sock.close()
            server.let_go()
            clients.cancel_scope.deadline = trio.current_time() + settings.drain_s
            ended.set()


async def _hold(ended: trio.Event, *, task_status: trio.TaskStatus[trio.Nursery]) -> None:
    """The tasks of the clients, until told that there will be no more."""
    async with trio.open_nursery() as clients:
        task_status.started(clients)
        await ended.wait()


class _Server:
    def __init__(
        self,
        desk: Desk,
        settings: SocketSettings,
        handshakes: Handshakes,
        seams: Seams,
        sock: Listener,
        secured: Secured | None,
        readiness: Readiness,
    ) -> None:
        self._secured = secured
        self._readiness = readiness
        self._desk = desk
        self._settings = settings
        self._seams = seams
        self._sock = sock
        self._handshakes = handshakes
        self._guests: dict[Guest, None] = {}
        self._greeting = Strangers(settings.strangers_per_address)

    def let_go(self) -> None:
        """Tell all clients to go."""
        for guest in list(self._guests):
            guest.end()

    async def accept(self, clients: trio.Nursery) -> None:
        """Accept for ever; who comes where there is no room to greet it is cut off."""
        while True:
            try:
                sock, peer = self._sock.accept()
            except BlockingIOError:
                await self._readiness.readable(self._sock)
            except OSError as error:
                if error.errno not in _SHORT_OF and error.errno not in _GONE:
                    raise
                log.warning("no_room_for_clients", reason=error.strerror)
                await trio.sleep(_PAUSE_S)
            else:
                sock.setblocking(False)
                if self._may_be_greeted(peer[0], len(clients.child_tasks)):
                    self._greeting.come(peer[0])
                    clients.start_soon(self._serve, sock, peer[0], clients)
                else:
                    sock.close()
                await trio.lowlevel.checkpoint()

    def _may_be_greeted(self, peer: str, there: int) -> bool:
        """Whether there is room for one more; by a proxy, which has one address for many, all the rest."""
        if there >= self._settings.connections + _MOST_GREETING:
            return False
        return self._handshakes.is_proxy(peer) or not self._greeting.too_many(peer)

    async def _serve(self, sock: Socket, peer: str, clients: trio.Nursery) -> None:
        """Serve one client; nothing it does gets out of here."""
        try:
            try:
                stream = None if self._secured is None else await self._secured(sock)
                guest = await self._greet(sock, stream, peer)
            finally:
                self._greeting.go(peer)
            if guest is not None:
                self._guests[guest] = None
                try:
                    await guest.serve(stream or sock, b"", tasks=clients, readiness=self._readiness)
                finally:
                    del self._guests[guest]
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except Exception:
            log.exception("socket_failed")
        finally:
            self._readiness.closing(sock)
            sock.close()

    async def _greet(self, sock: Socket, stream: trio.abc.Stream | None, peer: str) -> Guest | None:
        """The client's opening, answered; None where it may not come in, or took too long."""
        data = b""
        with trio.move_on_after(HANDSHAKE_S):
            while len(data) <= _HANDSHAKE_BYTES:
                more = await (
                    self._received(sock) if stream is None else stream.receive_some(_HANDSHAKE_BYTES)
                )
                if not more:
                    return None
                data += more
                met = self._handshakes.greet(
                    data, peer, secure=stream is not None, crowded=self._desk.strangers.too_many
                )
                if met is not None:
                    if stream is None:
                        sock.send(met.answer)  # into an empty buffer
                    else:
                        await stream.send_all(met.answer)
                    if isinstance(met, Greeted):
                        return Guest(met, self._desk, self._settings, self._seams)
                    log.info("socket_refused", reason=met.reason, address=peer)
                    return None
        return None

    async def _received(self, sock: Socket) -> bytes:
        """What a socket has, once it has something."""
        while True:
            try:
                return sock.recv(_HANDSHAKE_BYTES)
            except BlockingIOError:
                await self._readiness.readable(sock)


async def _secured(tls: ssl.SSLContext, sock: Socket) -> trio.abc.Stream:
    """The stream above a socket with our certificate.

    Raises:
        BrokenResourceError: they did not agree, or not in time.
    """
    assert isinstance(sock, socket.socket)  # as `listening` makes them
    plain = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
    stream = trio.SSLStream(plain, tls, server_side=True, https_compatible=True)
    with trio.move_on_after(HANDSHAKE_S):
        await stream.do_handshake()
        return stream
    raise trio.BrokenResourceError("no TLS handshake in time")
