"""The gateway actor: the API on its socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog
import trio

from deltastream.actors._listening import Bound, Listening
from deltastream.gateway.settings import GatewaySettings
from deltastream.seams import Seams
from supervisors import Context

if TYPE_CHECKING:
    from deltastream.gateway.services import Services

__all__ = ["Gateway"]

log = structlog.get_logger("deltastream.gateway")


class Gateway:
    """Answers whoever may. A new incarnation listens on the port that the first one was given.

    Args:
        services: gives what the handlers work with, once all of it has started.
        settings: of the gateway.
        seams: ids, and threads for names and imports.
    """

    def __init__(self, services: Callable[[], Services], settings: GatewaySettings, seams: Seams) -> None:
        self._services = services
        self._settings = settings
        self._seams = seams
        self._listening = Listening(log)

    @property
    def bound(self) -> Bound | None:
        """Where it listens, or did before it ended; None before it first has."""
        return self._listening.bound

    @property
    def url(self) -> str | None:
        """By what a browser reaches it; None where it does not listen."""
        return self._listening.url

    async def run(self, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve until cancelled.

        Cancellation: lets the clients go within a second, see `deltastream.gateway.serving.serve`.

        Raises:
            CannotListen: the address, the port or the certificate cannot be used.
        """
        make_app, routes, serve = await self._seams.threads.run(_imported)
        settings = self._listening.again(self._settings)
        with self._listening.noted(task_status) as status:
            await serve(make_app(self._services(), routes), settings, self._seams, task_status=status)


def _imported() -> tuple[Any, Any, Any]:
    """The web framework takes long to import: in a thread, while the market runs."""
    from deltastream.gateway.api import ROUTES
    from deltastream.gateway.app import make_app
    from deltastream.gateway.serving import serve

    return make_app, ROUTES, serve
