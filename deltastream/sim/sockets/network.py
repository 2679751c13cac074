"""A network in virtual time: connections that hold so many bytes and no more, and lose whoever dies.

The server's end is a `Socket` of `deltastream.sockets.network`, the other a `Caller`, which a client has.
What was sent is there at once; how soon it is taken is the client's to say.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NoReturn

import trio

__all__ = ["PEER", "Caller", "SimListener", "SimReadiness", "SimSocket", "Unreachable"]

PEER: Final = "192.0.2.200"
"""The address that callers have."""

_UPSTREAM: Final = 1 << 20


class Unreachable(Exception):
    """Nobody listens, or the connection is lost."""


class _Pipe:
    """One direction.

    Attributes:
        size: bytes that were sent and not yet taken.
        ended: the sender will send no more; broken: the receiver will take no more.
    """

    def __init__(self, capacity: int) -> None:
        self.size = 0
        self.ended = self.broken = False
        self._capacity = capacity
        self._pieces: deque[tuple[memoryview, float]] = deque()
        self._changed = trio.Event()

    @property
    def free(self) -> int:
        return self._capacity - self.size

    @property
    def roomy(self) -> bool:
        """Whether a sender is told that there is room: not before a third is free, as the kernel does it."""
        return self.broken or 3 * self.free >= self._capacity

    @property
    def has(self) -> bool:
        """Whether a receiver is told that there is something, if only the end."""
        return bool(self._pieces) or self.ended or self.broken

    def put(self, data: memoryview, now: float) -> int:
        taken = data[: self.free]
        if taken:
            self._pieces.append((taken, now))
            self.size += len(taken)
            self.change()
        return len(taken)

    def take(self, most: int) -> tuple[bytes, float]:
        """Some bytes and when they were sent; all of them at one instant."""
        piece, at = self._pieces.popleft()
        data = bytes(piece)
        while len(data) < most and self._pieces and self._pieces[0][1] == at:
            data += self._pieces.popleft()[0]
        if len(data) > most:
            self._pieces.appendleft((memoryview(data)[most:], at))
            data = data[:most]
        self.size -= len(data)
        self.change()
        return data, at

    def end(self, *, broken: bool = False) -> None:
        self.ended = True
        self.broken = self.broken or broken
        self.change()

    def change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            await self._changed.wait()


class SimSocket:
    """The server's end of a connection.

    Args:
        up, down: from the client, and to it.
        alive: whether the process is.
    """

    def __init__(self, up: _Pipe, down: _Pipe, alive: Callable[[], bool]) -> None:
        self._up, self._down = up, down
        self._alive = alive
        self._closed = False

    def recv(self, size: int, /) -> bytes:
        """See `Socket.recv`."""
        if not self._alive() or self._up.broken:
            _fail(errno.ECONNRESET)
        if self._up.size:
            return self._up.take(size)[0]
        if self._up.ended:
            return b""
        raise BlockingIOError(errno.EAGAIN, "nothing has come")

    def send(self, data: bytes | memoryview, /) -> int:
        """See `Socket.send`."""
        if not self._alive() or self._down.broken or self._closed:
            _fail(errno.EPIPE)
        sent = self._down.put(memoryview(data), trio.current_time())
        if not sent and len(data):
            raise BlockingIOError(errno.EAGAIN, "it takes nothing")
        return sent

    def fileno(self) -> int:
        """See `Socket.fileno`."""
        return -1 if self._closed else 3

    def setblocking(self, flag: bool, /) -> None:
        """See `Socket.setblocking`: it never waits."""

    def close(self) -> None:
        """See `Socket.close`: what was sent arrives, and then the end."""
        self._closed = True
        if self._alive():
            self._down.end()
        self._up.end(broken=True)

    async def readable(self) -> None:
        """Wait for something to receive. Cancellation: no effect."""
        await self._up.until(lambda: self._up.has or self._closed)

    async def writable(self) -> None:
        """Wait for room. Cancellation: no effect."""
        await self._down.until(lambda: self._down.roomy or self._closed)
        if self._closed:
            raise trio.ClosedResourceError

    def cut(self, *, told: bool) -> None:
        """The process has died; whether the other end is told."""
        if told:
            self._down.end()
        self._up.end(broken=True)
        self._down.change()


class Caller:
    """The client's end.

    Args:
        up, down: to the server, and from it.
    """

    def __init__(self, up: _Pipe, down: _Pipe) -> None:
        self._up, self._down = up, down

    def send(self, data: bytes) -> None:
        """Send it.

        Raises:
            Unreachable: the server has closed.
        """
        if self._up.broken or self._up.put(memoryview(data), trio.current_time()) < len(data):
            raise Unreachable("nobody reads")

    async def read(self, most: int) -> tuple[bytes, float]:
        """What has come and when it was sent; nothing at the end. Cancellation: no effect."""
        await self._down.until(lambda: self._down.has)
        return self._down.take(most) if self._down.size else (b"", trio.current_time())

    def close(self) -> None:
        """Go: the server is told."""
        self._up.end()
        self._down.end(broken=True)


class SimListener:
    """Where a gateway is connected to.

    Args:
        alive: whether its process is.
    """

    def __init__(self, alive: Callable[[], bool]) -> None:
        self._alive = alive
        self._waiting: deque[SimSocket] = deque()
        self._sockets: list[SimSocket] = []
        self._closed = False
        self._came = trio.Event()

    @property
    def open(self) -> bool:
        """Whether it can be called."""
        return not self._closed and self._alive()

    def connect(self, capacity: int) -> Caller:
        """Call.

        Args:
            capacity: bytes on their way to the client that the network holds.

        Raises:
            Unreachable: nobody listens.
        """
        if not self.open:
            raise Unreachable("nobody listens")
        up, down = _Pipe(_UPSTREAM), _Pipe(capacity)
        sock = SimSocket(up, down, self._alive)
        self._sockets = [known for known in self._sockets if known.fileno() >= 0] + [sock]
        self._waiting.append(sock)
        self._came.set()
        return Caller(up, down)

    def accept(self) -> tuple[SimSocket, tuple[str, int]]:
        """See `Listener.accept`."""
        if not self._waiting:
            raise BlockingIOError(errno.EAGAIN, "nobody calls")
        return self._waiting.popleft(), (PEER, 1)

    async def readable(self) -> None:
        """Wait for a caller. Cancellation: no effect."""
        while not self._waiting:
            self._came = trio.Event()
            await self._came.wait()

    def close(self) -> None:
        """See `Listener.close`; who was not accepted yet is turned away."""
        self._closed = True
        while self._waiting:
            self._waiting.popleft().close()

    def cut(self, *, told: bool) -> None:
        """The process has died: so have all its connections; whether callers are told."""
        self._closed = True
        for sock in self._sockets:
            sock.cut(told=told)


class SimReadiness:
    """Waits for them; see `Readiness`."""

    async def readable(self, sock: Any) -> None:
        """See `Readiness.readable`; cancellation too."""
        await trio.lowlevel.checkpoint()
        await sock.readable()

    async def writable(self, sock: Any) -> None:
        """See `Readiness.writable`; cancellation too."""
        await trio.lowlevel.checkpoint()
        await sock.writable()

    def closing(self, sock: Any) -> None:
        """See `Readiness.closing`: `close` tells those who wait."""


def _fail(number: int) -> NoReturn:
    raise OSError(number, "the connection is lost")
