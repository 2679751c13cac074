"""What a transport needs of sockets, and who tells when they are ready: the kernel, or a simulation."""

from __future__ import annotations

from typing import Any, Final, Protocol

import trio

__all__ = ["KERNEL", "Kernel", "Listener", "Readiness", "Socket"]


class Socket(Protocol):
    """A connected socket that never blocks; as `socket.socket`."""

    def recv(self, size: int, /) -> bytes:
        """What has come, at most so much; nothing at the end.

        Raises:
            BlockingIOError: nothing has come yet.
            OSError: the connection is lost.
        """
        ...

    def send(self, data: bytes | memoryview, /) -> int:
        """Send some of it; returns how much.

        Raises:
            BlockingIOError: it takes nothing now.
            OSError: the connection is lost.
        """
        ...

    def fileno(self) -> int:
        """Its number; -1 once it is closed."""
        ...

    def setblocking(self, flag: bool, /) -> None:
        """Whether calls wait."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Listener(Protocol):
    """A socket that is connected to."""

    def accept(self) -> tuple[Socket, Any]:
        """The next one who has connected, and whose address begins with a name.

        Raises:
            BlockingIOError: nobody has.
        """
        ...

    def close(self) -> None:
        """Accept nobody any more."""
        ...


class Readiness(Protocol):
    """Waits for sockets."""

    async def readable(self, sock: Any) -> None:
        """Wait until there is something to receive or to accept, or nothing will be.

        Cancellation: no effect.
        """
        ...

    async def writable(self, sock: Any) -> None:
        """Wait until a socket takes something.

        Cancellation: no effect.

        Raises:
            OSError, ClosedResourceError: it never will.
        """
        ...

    def closing(self, sock: Any) -> None:
        """A socket is about to be closed: nobody waits for it any more."""
        ...


class Kernel:
    """Waits for real ones."""

    async def readable(self, sock: Any) -> None:
        """See `Readiness.readable`; cancellation too."""
        await trio.lowlevel.wait_readable(sock)

    async def writable(self, sock: Any) -> None:
        """See `Readiness.writable`; cancellation too."""
        await trio.lowlevel.wait_writable(sock)

    def closing(self, sock: Any) -> None:
        """See `Readiness.closing`."""
        trio.lowlevel.notify_closing(sock)


KERNEL: Final = Kernel()
