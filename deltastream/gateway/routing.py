"""What a route is: one declaration from which routing, validation, authorisation and documentation follow.

A handler takes a `Call` and returns an `Answer`, or raises a `Problem`. It knows no HTTP library::

    @route("GET", "/api/data/products", scope="read:market", answers=Products)
    async def products(call: Call[NoParameters, None]) -> Answer:
        '''The products with data.'''
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

import msgspec

from deltastream.accounts import Identity
from deltastream.accounts.types import Scope

if TYPE_CHECKING:
    from deltastream.gateway.services import Services

__all__ = [
    "ARROW",
    "CSV",
    "JSON",
    "Access",
    "Answer",
    "Call",
    "Cookie",
    "Handler",
    "NoParameters",
    "Route",
    "route",
]

JSON: Final = "application/json"
CSV: Final = "text/csv"
ARROW: Final = "application/vnd.apache.arrow.stream"

Access = Scope | Literal["anyone", "session"]
"""Who may call: anyone at all, anyone logged in (no API key), or whoever has the scope."""

P = TypeVar("P", bound=msgspec.Struct)
B = TypeVar("B")


class NoParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The route takes no parameters."""


class Cookie(msgspec.Struct, frozen=True, kw_only=True):
    """A cookie to set: HttpOnly and SameSite=Strict always; Secure where the request came by HTTPS.

    Attributes:
        value: empty to take it away.
        max_age_s: its life.
        path: below the path prefix.
    """

    name: str
    value: str
    max_age_s: int
    path: str


@dataclass(frozen=True, slots=True)
class Call(Generic[P, B]):
    """One request that matches its route's schema, by somebody who may make it.

    Attributes:
        services: what handlers work with.
        identity: whose request it is; None only where the route is for anyone and no credential came.
        parameters: of path and query, typed.
        body: typed; None where the route takes none.
        media: what is to be answered: the best of the route's media types by ``Accept``.
        address: the client's, behind trusted proxies the one they tell.
        request_id: names it in the log.
        cookies: that came with it.
        base: scheme, host and path prefix by which the client reached us, without a final slash.
        credential: by which they told who they are; secret.
    """

    services: Services
    identity: Identity | None
    parameters: P
    body: B
    media: str
    address: str
    request_id: str
    cookies: Mapping[str, str]
    base: str
    credential: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered.

    Attributes:
        body: a value to encode as JSON, or bytes of the call's media type as they are.
        status: one that the route documents.
        etag: opaque text that names this state of the resource, without quotes; answered as a strong
            ``ETag``, and as 304 without a body to whoever has it. None: never cached.
        headers: further ones, names in lower case.
        cookies: to set.
        cache_key: where not None, `body` is the same bytes for every call with this key, so that its
            compressed form may be kept.
    """

    body: Any
    status: int = 200
    etag: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    cookies: tuple[Cookie, ...] = ()
    cache_key: object = None


Handler = Callable[[Call[Any, Any]], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation of the API.

    Attributes:
        method, path: as in ``GET /api/data/chain/{product}``.
        scope: who may call it.
        handler: answers it; its name is the operation's id, its docstring the documentation.
        parameters: a struct of path and query parameters; those named in the path are the path's.
        body: type of the JSON body; None: it takes none; a union with None: it may be left out.
        body_bytes: the longest body it takes.
        answers: type of the JSON answer by status; None: no content.
        media: what it can answer, the default first.
        problems: codes it may answer, beside those that every route of its kind may.
        cost: tokens it takes from the caller's bucket.
        tag: the chapter of the documentation.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    scope: Access
    handler: Handler
    parameters: type[msgspec.Struct] = NoParameters
    body: Any = None
    body_bytes: int = 16 << 10
    answers: Mapping[int, Any] = field(default_factory=dict)
    media: tuple[str, ...] = (JSON,)
    problems: tuple[str, ...] = ()
    cost: int = 1
    tag: str

    @property
    def name(self) -> str:
        """The operation's id."""
        return self.handler.__name__

    @property
    def in_path(self) -> tuple[str, ...]:
        """Names of the parameters in the path, in its order."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.path) if name is not None)


def route(
    method: Literal["GET", "POST", "DELETE"],
    path: str,
    *,
    scope: Access,
    tag: str,
    answers: Any = None,
    status: int = 200,
    parameters: type[msgspec.Struct] = NoParameters,
    body: Any = None,
    body_bytes: int = 16 << 10,
    media: tuple[str, ...] = (JSON,),
    problems: tuple[str, ...] = (),
    cost: int = 1,
) -> Callable[[Handler], Route]:
    """Declare a handler to be a route; the name is then the `Route`.

    Args:
        answers: type of the answer with `status`.
        status: of success.
    """

    def declare(handler: Handler) -> Route:
        return Route(
            method=method,
            path=path,
            scope=scope,
            handler=handler,
            parameters=parameters,
            body=body,
            body_bytes=body_bytes,
            answers={status: answers},
            media=media,
            problems=problems,
            cost=cost,
            tag=tag,
        )

    return declare
