"""The socket gateway actor: live streams on a port of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog
import trio

from deltastream.actors._listening import Listening
from deltastream.gateway.settings import GatewaySettings
from deltastream.seams import Seams
from deltastream.sockets.settings import SocketSettings
from supervisors import Context

if TYPE_CHECKING:
    from deltastream.sockets.desk import Desk

__all__ = ["Sockets"]

log = structlog.get_logger("deltastream.sockets")


class Sockets:
    """Serves clients of the desk. A new incarnation listens on the port that the first one was given.

    Args:
        desk: where clients are taken in, once it has started.
        settings: where to listen, and limits.
        gateway: names, origins, proxies and the certificate.
        page_port: that of the gateway whose pages may open sockets here; None while it has none.
        seams: ids, and threads for names and imports.
    """

    def __init__(
        self,
        desk: Callable[[], Desk],
        settings: SocketSettings,
        gateway: GatewaySettings,
        page_port: Callable[[], int | None],
        seams: Seams,
    ) -> None:
        self._desk = desk
        self._settings = settings
        self._gateway = gateway
        self._page_port = page_port
        self._seams = seams
        self._listening = Listening(log)

    @property
    def url(self) -> str | None:
        """By what clients reach it; None where it does not listen."""
        return self._listening.url

    async def run(self, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve until cancelled.

        Cancellation: tells the clients to go and gives them `drain_s`.

        Raises:
            CannotListen: the address, the port or the certificate cannot be used.
        """
        serve = await self._seams.threads.run(_imported)
        settings = self._listening.again(self._settings)
        with self._listening.noted(task_status) as status:
            await serve(
                self._desk(),
                settings,
                self._gateway,
                self._seams,
                page_port=self._page_port,
                task_status=status,
            )


def _imported() -> Any:
    """What reads WebSocket takes a while to import: in a thread, while the market runs."""
    from deltastream.sockets.server import serve

    return serve
