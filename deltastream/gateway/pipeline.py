"""What a request passes between the shell and its handler, and the answer on its way back.

Find the route, find out whose the request is, whether they may, whether not too often, what they
want, whether it matches the schema; then the handler; then its answer in the form that was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map

from deltastream.accounts import Identity, InvalidToken
from deltastream.gateway.credentials import authorise, identify
from deltastream.gateway.encoding import Encoder
from deltastream.gateway.exchange import Exchange, Response
from deltastream.gateway.limits import Buckets, Limiter
from deltastream.gateway.negotiation import best_media
from deltastream.gateway.problems import Problem
from deltastream.gateway.routing import Call, Route
from deltastream.gateway.validation import Checker

if TYPE_CHECKING:
    from deltastream.gateway.services import Services

__all__ = ["Pipeline"]


class _Operation(NamedTuple):
    route: Route
    checker: Checker


class Pipeline:
    """Answers requests.

    Args:
        services: what handlers work with.
        routes: by endpoint.
        buckets: where rate limits are kept.
        paths: leads from paths to endpoints.
    """

    def __init__(self, services: Services, routes: Mapping[str, Route], buckets: Buckets, paths: Map) -> None:
        self._services = services
        self._operations = {name: _Operation(route, Checker(route)) for name, route in routes.items()}
        self._adapter = paths.bind("")
        self._limiter = Limiter(services.settings.limits, buckets)
        self._encoder = Encoder(services.seams.threads, services.settings.path_prefix)

    async def answer(self, exchange: Exchange) -> Response:
        """The response to a request.

        Cancellation: as the handler.

        Raises:
            Problem: it is not done; so do others, see `failures`.
            ClientGone: nobody waits for it any more.
        """
        found = await self._find(exchange)
        if isinstance(found, Response):
            return found
        (route, checker), arguments = found
        exchange.route = route.path
        identity = await self._admit(exchange, route)
        media = best_media(exchange.headers.get(b"accept"), route.media)
        if media is None:
            raise Problem("not_acceptable", f"Offered here: {', '.join(route.media)}.")
        body = await exchange.body(route.body_bytes)
        if body and exchange.headers.get(b"content-encoding", b"identity") != b"identity":
            raise Problem("unsupported_media_type", "A body must not be compressed.")
        content_type = exchange.single(b"content-type")
        parameters, value = checker.check(
            arguments, exchange.query, None if content_type is None else content_type.decode("latin1"), body
        )
        call = Call(
            services=self._services,
            identity=identity,
            parameters=parameters,
            body=value,
            media=media,
            address=exchange.address,
            request_id=exchange.id,
            cookies=_cookies(exchange),
            base=exchange.base,
            credential=exchange.credential,
        )
        return await self._encoder.encode(exchange, route, await route.handler(call), media)

    async def _find(self, exchange: Exchange) -> tuple[_Operation, Mapping[str, Any]] | Response:
        """The operation and its arguments in the path; or the answer to OPTIONS, which is no operation.

        Raises:
            Problem: there is no such path, or not with this method.
        """
        path, method = exchange.path, exchange.method
        try:
            if not path.startswith("/") or path.startswith("//"):
                raise NotFound
            rule, arguments = self._adapter.match(path, method, return_rule=True)
        except MethodNotAllowed as error:
            await self._limiter.admit(exchange, None, 1)
            allow = ", ".join(sorted({"OPTIONS", *(error.valid_methods or ())}))
            if method == "OPTIONS":
                return Response(204, [(b"allow", allow.encode())], b"")
            raise Problem("method_not_allowed", headers=[("allow", allow)]) from None
        except NotFound:
            await self._limiter.admit(exchange, None, 1)
            raise Problem("not_found", "There is no such path.") from None
        return self._operations[rule.endpoint], arguments

    async def _admit(self, exchange: Exchange, route: Route) -> Identity | None:
        """Whose the request is, once they may make it. Also who may not pays for having asked.

        Raises:
            Problem: they may not, or too often.
            InvalidToken: the credential gives no rights.
        """
        try:
            identity = exchange.identity = await identify(self._services.accounts, exchange)
            authorise(route, identity)
        except (InvalidToken, Problem):
            await self._limiter.admit(exchange, exchange.identity, 1)
            raise
        await self._limiter.admit(exchange, identity, route.cost)
        return identity


def _cookies(exchange: Exchange) -> dict[str, str]:
    """Cookies by name; of several with one name the first, which is of the longest path."""
    found: dict[str, str] = {}
    header = exchange.headers.get(b"cookie")
    for item in () if header is None else header.decode("latin1").split(";"):
        name, equals, value = item.strip().partition("=")
        if equals:
            found.setdefault(name, value)
    return found
