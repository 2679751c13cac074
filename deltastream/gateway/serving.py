"""Serves an ASGI application on a socket of our own, to a bounded number of clients, until told to stop."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

import msgspec
import structlog
import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext

from deltastream.gateway._applications import App
from deltastream.gateway._connection import Connection, Patience, Shared
from deltastream.gateway._lifespan import lifespan
from deltastream.gateway.exposure import base_url
from deltastream.gateway.listening import addresses_of, listening, room_for, tls_context
from deltastream.gateway.problems import MEDIA_TYPE, Problem
from deltastream.gateway.settings import GatewaySettings
from deltastream.seams import Seams

__all__ = ["DRAIN_S", "Bound", "serve"]

DRAIN_S: Final = 1.0
"""For the answers that are being given when the server ends; later ones are cut off."""

_PAUSE_S: Final = 0.1
_MOST_OUTSIDE: Final = 32
"""Clients that are told at one time that there is no room; further ones are not told."""
_TELL_EVERY_S: Final = 60.0
_SHORT_OF: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)

log = structlog.get_logger("deltastream.gateway")


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a server listens.

    Attributes:
        host, port: the address of its socket.
        url: by what a browser reaches it, with the path prefix.
    """

    host: str
    port: int
    url: str


async def serve(
    app: App,
    settings: GatewaySettings,
    seams: Seams,
    *,
    stop: trio.Event | None = None,
    patience: Patience | None = None,
    task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` is set or until cancelled; both are orderly.

    No client can delay the end: those that wait are let go at once, those that are being answered have
    `DRAIN_S`, and whoever has not taken the answer by then is cut off.

    Cancellation: as `stop`.

    Args:
        app: ASGI; what it raises is logged and costs its connection only.
        settings: where to listen, the certificate, and how many clients there may be.
        seams: ids for what is refused before it reaches the application; threads to look names up.
        stop: ends it.
        patience: with slow clients.

    Raises:
        CannotListen: the address, the port or the certificate cannot be used, or it would let others in
            by accident.
    """
    addresses = await addresses_of(settings, seams)
    context = tls_context(settings)
    with listening(addresses[0], settings.port) as sock:
        host, port = sock.getsockname()[:2]
        async with lifespan(app):
            server = _Server(app, settings, seams, sock, context, patience or Patience())
            task_status.started(Bound(host, port, base_url(settings, port, addresses[0])))
            await server.run(trio.Event() if stop is None else stop)


class _Server:
    def __init__(
        self,
        app: App,
        settings: GatewaySettings,
        seams: Seams,
        sock: socket.socket,
        context: ssl.SSLContext | None,
        patience: Patience,
    ) -> None:
        self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        self._tls = context
        self._most = room_for(settings.limits.connections)
        self._ending = WorkerContext(None)
        if self._most < settings.limits.connections:
            log.warning("too_few_files", connections=self._most, wanted=settings.limits.connections)
        self._shared = Shared(app, _config(settings), self._ending, patience, seams.ids.new)
        self._server: tuple[str, int] = _plain(sock.getsockname())
        self._open: dict[Connection, None] = {}
        self._inside = 0
        self._outside = 0
        self._told_at: dict[str, float] = {}

    async def run(self, stop: trio.Event) -> None:
        """Accept until told to stop, then let the clients go."""
        ended = trio.Event()
        async with trio.open_nursery() as both:
            clients: trio.Nursery = await both.start(self._hold, ended)
            # Not before: a start that is cancelled waits for what it started.
            clients.cancel_scope.shield = True
            try:
                async with trio.open_nursery() as accepting:
                    accepting.start_soon(self._accept, clients)
                    await stop.wait()
                    accepting.cancel_scope.cancel(reason="told to stop")
            finally:
                clients.cancel_scope.deadline = trio.current_time() + DRAIN_S
                await self._end()
                ended.set()

    async def _hold(self, ended: trio.Event, *, task_status: trio.TaskStatus[trio.Nursery]) -> None:
        """The tasks of the clients, until told that there will be no more."""
        async with trio.open_nursery() as clients:
            task_status.started(clients)
            await ended.wait()

    async def _end(self) -> None:
        self._listener.socket.close()
        await self._ending.terminated.set()
        for connection in list(self._open):
            connection.end_when_idle()

    async def _accept(self, clients: trio.Nursery) -> None:
        while True:
            try:
                stream = await self._listener.accept()
            except OSError as error:
                if error.errno not in _SHORT_OF:
                    raise
                self._tell("no_room_for_clients", reason=error.strerror)
                await trio.sleep(_PAUSE_S)
            else:
                clients.start_soon(self._serve, stream, clients)

    async def _serve(self, stream: trio.SocketStream, clients: trio.Nursery) -> None:
        """Serve one client; nothing it does gets out of here."""
        inside = self._inside < self._most
        self._inside += inside
        self._outside += not inside
        try:
            client = _plain(stream.socket.getpeername())
            if inside:
                await self._converse(stream, client, clients)
            else:
                self._tell("too_many_clients", most=self._most)
                await self._turn_away(stream)
        except OSError:
            pass  # it has gone before it was asked for its name
        except Exception:
            log.exception("connection_failed")
        finally:
            self._inside -= inside
            self._outside -= not inside
            await trio.aclose_forcefully(stream)

    async def _converse(
        self, stream: trio.SocketStream, client: tuple[str, int], clients: trio.Nursery
    ) -> None:
        secured: trio.abc.Stream = stream
        if self._tls is not None:
            secured = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)
            with trio.move_on_after(self._shared.patience.handshake) as shaking:
                try:
                    await secured.do_handshake()
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return
            if shaking.cancelled_caught:
                return
        connection = Connection(
            secured,
            self._shared,
            client=client,
            server=self._server,
            secure=self._tls is not None,
            tasks=clients,
        )
        self._open[connection] = None
        try:
            await connection.run()
        finally:
            del self._open[connection]

    async def _turn_away(self, stream: trio.SocketStream) -> None:
        """Say that there is no room: soon, or not at all."""
        if self._tls is None and self._outside <= _MOST_OUTSIDE:
            problem = Problem("overloaded", "Too many connections; try again later.")
            body = msgspec.json.encode(problem.document(self._shared.new_id()))
            head = (
                f"HTTP/1.1 {problem.status} Service Unavailable\r\ncontent-type: {MEDIA_TYPE}\r\n"
                f"content-length: {len(body)}\r\nretry-after: 1\r\nconnection: close\r\n\r\n"
            )
            with trio.move_on_after(_PAUSE_S):
                await stream.send_all(head.encode() + body)
                await stream.send_eof()
                await stream.receive_some(1 << 16)

    def _tell(self, event: str, **fields: object) -> None:
        """Log a warning that could come with every client, but once a minute."""
        now = trio.current_time()
        if now - self._told_at.get(event, -_TELL_EVERY_S) >= _TELL_EVERY_S:
            self._told_at[event] = now
            log.warning(event, **fields)


def _config(settings: GatewaySettings) -> Config:
    config = Config()
    config.accesslog = config.errorlog = None  # whoever answers logs it
    config.include_server_header = False
    config.h11_max_incomplete_size = settings.limits.header_bytes + settings.limits.target_bytes
    return config


def _plain(name: tuple[str, int] | tuple[str, int, int, int]) -> tuple[str, int]:
    """Address and port; that of IPv4 also where it comes over a socket of IPv6."""
    address = ip_address(name[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or name[0]), name[1]
