"""The outer layer: what every request passes before and after the application, whatever that does.

It knows ASGI alone. On the way in it names the request, finds out who calls and by which name, and
turns away what is too large, too slow or from where it must not be; on the way out it adds what every
answer has, makes problem documents of exceptions, writes the log line and counts.
"""

from __future__ import annotations

import re
from contextlib import suppress
from math import ceil
from typing import Any, Final

import msgspec
import structlog
import trio

from deltastream.gateway.addresses import Proxies
from deltastream.gateway.counters import Counters
from deltastream.gateway.exchange import (
    KEY,
    Application,
    ClientGone,
    Exchange,
    Headers,
    Receive,
    Response,
    Scope,
    Send,
)
from deltastream.gateway.failures import parted, problem_of
from deltastream.gateway.hosts import Hosts
from deltastream.gateway.origins import Origins
from deltastream.gateway.problems import MEDIA_TYPE, Problem
from deltastream.gateway.settings import GatewaySettings
from deltastream.gateway.sockets import HAND_OVER, Sockets
from deltastream.gateway.sockets import PATH as SOCKETS_PATH
from deltastream.gateway.targets import decode_path, split_target
from deltastream.seams import Seams

__all__ = ["SECURITY_HEADERS", "Shell", "problem_response"]

log = structlog.get_logger("deltastream.access")

SECURITY_HEADERS: Final[Headers] = [
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
"""What every answer says unless it says otherwise itself."""

_HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
_CLOSE: Final = (b"connection", b"close")
_GONE: Final = 499
_MOVED: Final = 308
_READING: Final = ("GET", "HEAD")
_SWITCHED: Final = 101
_SECURE: Final = ("https", "wss")
_BROKEN: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError)
"""What servers raise of a connection that ends while we send."""
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_OVERLOAD_RETRY_S: Final = 1.0
_LOGGED_PATH: Final = 256
_LOGGED_METHOD: Final = 32


class Shell:
    """An ASGI application around another one, which finds its `Exchange` in the scope.

    The inner one answers with one whole body, or raises.

    Args:
        app: the inner one.
        settings: of the gateway.
        seams: ids.
        counters: what counts; its own unless given.
        sockets: who serves sockets; they are refused unless given.
    """

    def __init__(
        self,
        app: Application,
        settings: GatewaySettings,
        seams: Seams,
        counters: Counters | None = None,
        *,
        sockets: Sockets | None = None,
    ) -> None:
        self.counters = counters or Counters()
        self._app = app
        self._sockets = sockets
        self._limits = settings.limits
        self._prefix = settings.path_prefix
        self._ids = seams.ids
        self._proxies = Proxies(settings.trusted_proxies)
        self._hosts = Hosts(settings.allowed_hosts, settings.host)
        self._origins = Origins(settings.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Cancellation: the client gets what had been sent."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = trio.current_time()
        exchange = Exchange(scope, receive)
        exchange.id = self._id(exchange)
        named = structlog.contextvars.bind_contextvars(request_id=exchange.id)
        self.counters.active += 1
        status, size, ended = _GONE, 0, None
        try:
            response = await self._answer(exchange, scope, receive, began)
            status, size, ended = response.status, len(response.body), trio.current_time()
            await _deliver(response, send)
        except ClientGone:
            status = _GONE
        finally:
            taken = (ended or trio.current_time()) - began
            self.counters.active -= 1
            self.counters.count(exchange.method, exchange.route, status, taken, size)
            _tell(exchange, status, size, taken)
            structlog.contextvars.reset_contextvars(**named)

    async def _answer(self, exchange: Exchange, scope: Scope, receive: Receive, began: float) -> Response:
        """The whole response, whatever happens.

        Raises:
            ClientGone: nobody waits for one.
        """
        try:
            response = self._admit(exchange, scope, began) or await self._ask(exchange, scope, receive)
        except ClientGone:
            raise
        except BaseException as error:
            ending, rest = parted(error)
            if rest is not None:
                response = _explained(rest, exchange)
            if ending is not None:
                raise ending from None
        return self._finished(exchange, response)

    def _admit(self, exchange: Exchange, scope: Scope, began: float) -> Response | None:
        """Find out what the request is; the answer to it where that is all it takes.

        Raises:
            Problem: it must not go further.
        """
        limits = self._limits
        preflight = self._look(exchange, scope)
        if preflight is not None:
            return preflight
        exchange.limit_body(limits.body_bytes, began + limits.body_s)
        if self.counters.active > limits.connections:
            raise Problem("overloaded", retry_after_s=_OVERLOAD_RETRY_S)
        return None

    def _look(self, exchange: Exchange, scope: Scope) -> Response | None:
        """Who calls, by which name, from which page; the answer where a page asks for just that.

        The prefix alone is led on to what is below it: from there the page finds its files.

        Raises:
            Problem: it must not go further.
        """
        limits, headers = self._limits, exchange.headers
        peer = (scope.get("client") or ("",))[0]
        scheme = "https" if scope["scheme"] in _SECURE else "http"
        exchange.address = self._proxies.client(peer, headers.get(b"x-forwarded-for"))
        exchange.secure = self._proxies.secure(peer, scheme, headers.get(b"x-forwarded-proto"))
        if len(exchange.target) + len(exchange.query) > limits.target_bytes:
            raise Problem("target_too_long", f"An address may have {limits.target_bytes} bytes at most.")
        if exchange.size > limits.header_bytes:
            raise Problem("headers_too_large", f"Headers may have {limits.header_bytes} bytes at most.")
        named, path = split_target(exchange.target)
        exchange.host = self._hosts.check(exchange.single(b"host"))
        if named is not None and self._hosts.check(named) != exchange.host:
            raise Problem("host_not_allowed", "The request names two hosts.")
        exchange.base = f"{'https' if exchange.secure else 'http'}://{exchange.host}{self._prefix}"
        preflight = self._origins.check(exchange)
        if preflight is not None:
            return preflight
        whole = decode_path(path)
        exchange.path = self._without_prefix(whole)
        if self._prefix and whole == self._prefix and exchange.method in _READING:
            return Response(_MOVED, [(b"location", _below(self._prefix, exchange.query))], b"")
        return None

    async def _ask(self, exchange: Exchange, scope: Scope, receive: Receive) -> Response:
        answer = _Answer()
        with trio.move_on_after(self._limits.answer_s):
            await self._app({**scope, "path": exchange.path, KEY: exchange}, receive, answer.send)
            return answer.response()
        raise Problem("overloaded", "The answer took too long.", retry_after_s=_OVERLOAD_RETRY_S)

    def _finished(self, exchange: Exchange, response: Response) -> Response:
        """The response with what every one has."""
        headers = [*response.headers, *exchange.extra, *self._origins.always]
        given = {name for name, _ in headers}
        headers += [header for header in SECURITY_HEADERS if header[0] not in given]
        if exchange.secure:
            headers.append(_HSTS)
        if exchange.unread or exchange.closes:
            headers.append(_CLOSE)
        if response.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(response.body)))
        headers.append((b"x-request-id", exchange.id.encode()))
        return Response(response.status, headers, b"" if exchange.method == "HEAD" else response.body)

    def _id(self, exchange: Exchange) -> str:
        """The client's name for the request where it gives a harmless one, else our own."""
        given = exchange.headers.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given.decode()
        return self._ids.new()

    def _without_prefix(self, path: str) -> str:
        """The path below the prefix; some proxies take it away themselves."""
        if self._prefix and (path == self._prefix or path.startswith(f"{self._prefix}/")):
            return path[len(self._prefix) :] or "/"
        return path

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand over to who serves sockets, after the same checks as of every request."""
        exchange = Exchange({**scope, "method": "GET"}, receive)
        exchange.id = self._id(exchange)
        named = structlog.contextvars.bind_contextvars(request_id=exchange.id)
        try:
            await self._open_socket(exchange, scope, receive, send)
        finally:
            structlog.contextvars.reset_contextvars(**named)

    async def _open_socket(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        began = trio.current_time()
        try:
            self._look(exchange, scope)
            if exchange.path != SOCKETS_PATH:
                raise Problem("not_found")
            if self._sockets is None:
                raise Problem("forbidden", "No sockets are served here.")
            if exchange.unread:
                raise Problem("malformed_request", "What becomes a WebSocket has no body.")
            guest = self._sockets.greet(scope["headers"], exchange.address)
        except Problem as problem:
            exchange.closes = True
            response = self._finished(exchange, problem_response(problem, exchange))
            self._count_socket(exchange, response.status, len(response.body), began)
            await _refuse(response, receive, send)
            return
        exchange.route = SOCKETS_PATH
        self._count_socket(exchange, _SWITCHED, 0, began)
        await send({"type": HAND_OVER, "guest": guest})

    def _count_socket(self, exchange: Exchange, status: int, size: int, began: float) -> None:
        taken = trio.current_time() - began
        self.counters.count("GET", exchange.route, status, taken, size)
        _tell(exchange, status, size, taken)


class _Answer:
    """Takes the messages of an ASGI application that answers as a whole."""

    def __init__(self) -> None:
        self._status = 0
        self._headers: Headers = []
        self._parts: list[bytes] = []

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = message["headers"]
        else:
            self._parts.append(message["body"])

    def response(self) -> Response:
        if not self._status:
            raise RuntimeError("the application did not answer")
        return Response(self._status, self._headers, b"".join(self._parts))


def problem_response(problem: Problem, exchange: Exchange) -> Response:
    """The document of a problem, and the headers that go with it."""
    headers: Headers = [(name.encode(), value.encode("latin1")) for name, value in problem.headers]
    headers.append((b"content-type", MEDIA_TYPE.encode()))
    if problem.status == 401 and not any(name == b"www-authenticate" for name, _ in headers):
        headers.append((b"www-authenticate", b'Bearer realm="deltastream"'))
    if problem.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, ceil(problem.retry_after_s))))
    return Response(problem.status, headers, msgspec.json.encode(problem.document(exchange.id)))


def _explained(error: BaseException, exchange: Exchange) -> Response:
    """The answer to an exception; a defect is logged with its trace, here and nowhere else."""
    problem = problem_of(error)
    if problem is None:
        log.error("defect", route=exchange.route or None, exc_info=error)
        problem = Problem("internal")
    return problem_response(problem, exchange)


def _below(prefix: str, query: bytes) -> bytes:
    return f"{prefix}/".encode() + (b"?" + query if query else b"")


async def _refuse(response: Response, receive: Receive, send: Send) -> None:
    """Answer a handshake in HTTP."""
    await receive()  # websocket.connect
    head = {"status": response.status, "headers": response.headers}
    with suppress(*_BROKEN):
        await send({"type": "websocket.http.response.start", **head})
        await send({"type": "websocket.http.response.body", "body": response.body, "more_body": False})


async def _deliver(response: Response, send: Send) -> None:
    """Send a response.

    Raises:
        ClientGone: the connection broke, or is being closed.
    """
    try:
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        await send({"type": "http.response.body", "body": response.body, "more_body": False})
    except _BROKEN as error:
        raise ClientGone from error


def _tell(exchange: Exchange, status: int, size: int, taken: float) -> None:
    """The log line. Never the query nor a header: those may hold what must not be told."""
    identity = exchange.identity
    log.info(
        "request",
        method=exchange.method[:_LOGGED_METHOD],
        path=exchange.target[:_LOGGED_PATH].decode("latin1"),
        route=exchange.route or None,
        status=status,
        bytes=size,
        ms=round(taken * 1000, 3),
        user=None if identity is None else identity.user_id,
        key=None if identity is None else identity.key,
        address=exchange.address,
    )
