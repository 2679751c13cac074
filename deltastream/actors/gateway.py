"""The gateway actor: the API on its socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
import trio

from deltastream.gateway.settings import GatewaySettings
from deltastream.seams import Seams
from supervisors import Context

if TYPE_CHECKING:
    from deltastream.gateway.services import Services
    from deltastream.gateway.serving import Bound

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
        self._bound: Bound | None = None
        self._listens = False

    @property
    def bound(self) -> Bound | None:
        """Where it listens, or did before it ended; None before it first has."""
        return self._bound

    @property
    def url(self) -> str | None:
        """By what a browser reaches it; None where it does not listen."""
        return self._bound.url if self._bound is not None and self._listens else None

    async def run(self, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve until cancelled.

        Cancellation: lets the clients go within a second, see `deltastream.gateway.serving.serve`.

        Raises:
            CannotListen: the address, the port or the certificate cannot be used.
        """
        make_app, routes, serve = await self._seams.threads.run(_imported)
        settings = self._settings
        if self._bound is not None:
            settings = msgspec.structs.replace(settings, port=self._bound.port)
        try:
            await serve(
                make_app(self._services(), routes),
                settings,
                self._seams,
                task_status=_Started(self, task_status),
            )
        finally:
            self._listens = False

    def _started(self, bound: Bound) -> None:
        self._bound = bound
        self._listens = True
        log.info("listening", url=bound.url, host=bound.host, port=bound.port)


class _Started:
    """Notes where the server listens before it tells the supervisor."""

    def __init__(self, gateway: Gateway, task_status: trio.TaskStatus[None]) -> None:
        self._gateway = gateway
        self._task_status = task_status

    def started(self, bound: Any = None) -> None:
        self._gateway._started(bound)
        self._task_status.started()


def _imported() -> tuple[Any, Any, Any]:
    """The web framework takes long to import: in a thread, while the market runs."""
    from deltastream.gateway.api import ROUTES
    from deltastream.gateway.app import make_app
    from deltastream.gateway.serving import serve

    return make_app, ROUTES, serve
