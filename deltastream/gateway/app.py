"""The application behind the shell: a Quart app on Trio, made from the route table.

Of Quart's machinery a request uses the routing alone. Its request context, signals, sessions and two
tasks for each request are a third of the time that a short answer takes, and nothing here has a use
for them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection

from deltastream.gateway.counters import Counters
from deltastream.gateway.exchange import KEY, Application, Exchange, Receive, Response, Scope, Send
from deltastream.gateway.limits import Buckets, LocalBuckets
from deltastream.gateway.pipeline import Pipeline
from deltastream.gateway.routing import Route
from deltastream.gateway.shell import Shell

if TYPE_CHECKING:
    from deltastream.gateway.services import Services

__all__ = ["Gateway", "make_app"]

_NAME: Final = "deltastream"


class Gateway:
    """The whole gateway as an ASGI application.

    Args:
        services: what handlers work with.
        routes: what is answered.
        buckets: where rate limits are kept.

    Attributes:
        app: the Quart app within.
    """

    def __init__(self, services: Services, routes: Sequence[Route], buckets: Buckets) -> None:
        self.app = _QuartApp()
        self.app.answer = Pipeline(services, _declared(self.app, routes), buckets, self.app.url_map).answer
        app: Application = self.app  # type: ignore[assignment]  # typed by hypercorn's dictionaries
        self._shell = Shell(
            app, services.settings, services.seams, services.counters, sockets=services.sockets
        )

    @property
    def counters(self) -> Counters:
        """What it has done."""
        return self._shell.counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Cancellation: the client gets what had been sent."""
        await self._shell(scope, receive, send)


def make_app(services: Services, routes: Sequence[Route], buckets: Buckets | None = None) -> Gateway:
    """The gateway that answers these routes and nothing else.

    Args:
        buckets: where rate limits are kept; in this process unless given.
    """
    return Gateway(services, routes, buckets or LocalBuckets())


class _Connection(TrioASGIHTTPConnection):
    """What Quart makes of one request, to be answered."""

    app: _QuartApp

    async def __call__(self, receive: Receive, send: Send) -> None:  # type: ignore[override]  # as above
        exchange: Exchange = cast("Any", self.scope)[KEY]
        status, headers, body = await self.app.answer(exchange)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


class _QuartApp(QuartTrio):
    asgi_http_class = _Connection
    answer: Callable[[Exchange], Awaitable[Response]]

    def __init__(self) -> None:
        super().__init__(_NAME, static_folder=None, template_folder=None)
        self.url_map.merge_slashes = False


def _declared(app: QuartTrio, routes: Sequence[Route]) -> dict[str, Route]:
    """Declare the routes to Quart; they are found again by its endpoints."""
    endpoints: dict[str, Route] = {}
    for route in routes:
        endpoint = f"{route.method} {route.path}"
        if endpoint in endpoints:
            raise ValueError(f"{endpoint} is declared twice")
        endpoints[endpoint] = route
        rule = route.path.replace("{", "<").replace("}", ">")
        view: Any = route.handler
        app.add_url_rule(rule, endpoint, view, provide_automatic_options=False, methods=[route.method])
    return endpoints
