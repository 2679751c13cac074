"""A gateway of a few routes in virtual time, and a client that speaks ASGI to it, or bytes over a socket."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec
import pytest
import structlog
import trio

from deltastream.accounts import AccountService, AccountSettings, Administration, KeyRing, SqliteAccountStore
from deltastream.errors import StoreUnavailable
from deltastream.gateway._connection import Patience
from deltastream.gateway.app import Gateway, make_app
from deltastream.gateway.routing import CSV, JSON, Answer, Call, Cookie, NoParameters, Route, route
from deltastream.gateway.services import Services
from deltastream.gateway.serving import serve
from deltastream.gateway.settings import GatewaySettings, LimitSettings
from deltastream.seams import InlineThreads, Seams

T0 = 1_795_000_000
PASSWORD = "correct horse"


@dataclass
class Reply:
    """What came back."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in self.fields:
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of the problem that this is."""
        assert self.headers["content-type"] == "application/problem+json"
        document = self.json
        assert document["status"] == self.status
        assert document["request_id"] == self.headers["x-request-id"]
        return str(document["type"]).removeprefix("urn:deltastream:problem:")


@dataclass
class Client:
    """Asks the gateway in process.

    Attributes:
        host: what it calls the gateway.
        peer: from where it calls.
        late_s: between the parts of a body.
        goes_after_s: it goes away then, answered or not.
    """

    app: Any
    host: str = "127.0.0.1:8000"
    peer: str = "127.0.0.1"
    scheme: str = "http"
    late_s: float = 0.0
    goes_after_s: float = float("inf")

    async def __call__(
        self,
        method: str,
        target: str | bytes,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | Sequence[bytes] | None = None,
        **changed: Any,
    ) -> Reply:
        reply = await replace(self, **changed).ask(method, target, headers, body)
        assert reply is not None
        return reply

    async def ask(
        self,
        method: str,
        target: str | bytes,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | Sequence[bytes] | None = None,
    ) -> Reply | None:
        """The reply; None where there was none."""
        path, _, query = (target if isinstance(target, bytes) else target.encode()).partition(b"?")
        raw = [(name.encode(), value.encode("latin1")) for name, value in headers]
        if self.host and not any(name == b"host" for name, _ in raw):
            raw.insert(0, (b"host", self.host.encode()))
        parts = [body] if isinstance(body, bytes) else list(body or ())
        if body is not None and not any(name == b"content-length" for name, _ in raw):
            length = (b"content-length", str(len(body)).encode())
            raw.append(length if isinstance(body, bytes) else (b"transfer-encoding", b"chunked"))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": self.scheme,
            "path": path.decode("latin1"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": raw,
            "client": (self.peer, 54321),
            "server": ("127.0.0.1", 8000),
            "extensions": {},
            "state": {},
        }
        return await _conversation(self, scope, parts)


async def _conversation(client: Client, scope: dict[str, Any], parts: list[bytes]) -> Reply | None:
    waiting = [*parts, None] if parts else [b"", None]
    over, gone_at = trio.Event(), trio.current_time() + client.goes_after_s
    sent: list[Any] = []

    async def receive() -> Any:
        with trio.move_on_at(gone_at):
            while waiting:
                part = waiting.pop(0)
                if part is not None:
                    await trio.sleep(client.late_s)
                    return {"type": "http.request", "body": part, "more_body": len(waiting) > 1}
            await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        await trio.lowlevel.checkpoint()
        assert not over.is_set(), "sent after the end"
        sent.append(message)
        if message["type"] == "http.response.body" and not message["more_body"]:
            over.set()

    await client.app(scope, receive, send)
    if not sent:
        return None
    start, *bodies = sent
    assert start["type"] == "http.response.start"
    assert over.is_set()
    fields = [(name.decode(), value.decode("latin1")) for name, value in start["headers"]]
    assert all(name == name.lower() for name, _ in fields)
    return Reply(start["status"], fields, b"".join(message["body"] for message in bodies))


class Product(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which.

    Attributes:
        product: its symbol.
        n: how many.
    """

    product: Annotated[str, msgspec.Meta(pattern="^[A-Z]{1,8}$")]
    n: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wanted.

    Attributes:
        size: how many.
        kind: of which.
    """

    size: Annotated[int, msgspec.Meta(ge=1)]
    kind: Literal["a", "b"] = "a"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler saw."""

    user: str | None
    address: str
    base: str
    media: str
    request_id: str
    cookies: dict[str, str]


def seen(call: Call[Any, Any]) -> Seen:
    return Seen(
        user=None if call.identity is None else call.identity.email,
        address=call.address,
        base=call.base,
        media=call.media,
        request_id=call.request_id,
        cookies=dict(call.cookies),
    )


@route("GET", "/public", scope="anyone", tag="t", answers=Seen)
async def public(call: Call[NoParameters, None]) -> Answer:
    """What is seen of a request."""
    return Answer(body=seen(call))


@route("GET", "/free", scope="anyone", tag="t", answers=Seen, cost=0)
async def free(call: Call[NoParameters, None]) -> Answer:
    """As often as one likes."""
    return Answer(body=seen(call))


@route("GET", "/market/{product}", scope="read:market", tag="t", answers=Product, parameters=Product)
async def market(call: Call[Product, None]) -> Answer:
    """A product."""
    return Answer(body=call.parameters)


@route("GET", "/dear", scope="read:history", tag="t", answers=Seen, cost=10)
async def dear(call: Call[NoParameters, None]) -> Answer:
    """Costs more."""
    return Answer(body=seen(call))


@route("GET", "/admin", scope="admin", tag="t", answers=Seen)
async def admin(call: Call[NoParameters, None]) -> Answer:
    """For administrators."""
    return Answer(body=seen(call))


@route("POST", "/session", scope="session", tag="t", answers=Order, body=Order, status=201)
async def session(call: Call[NoParameters, Order]) -> Answer:
    """For whoever is logged in."""
    return Answer(body=call.body, status=201)


@route("POST", "/order", scope="anyone", tag="t", answers=Order, body=Order, cost=0)
async def order(call: Call[NoParameters, Order]) -> Answer:
    """Takes a body of anybody."""
    return Answer(body=call.body)


@route("DELETE", "/order", scope="anyone", tag="t", status=204, cost=0)
async def cancel(call: Call[NoParameters, None]) -> Answer:
    """Answers nothing, and sets cookies."""
    cookie = partial(Cookie, path="/order")
    return Answer(
        body=None,
        status=204,
        cookies=(cookie(name="a", value="1", max_age_s=60), cookie(name="b", value="", max_age_s=60)),
    )


CHAIN = {"rows": [{"strike": 100.0 + n, "bid": 1.5} for n in range(200)]}
CHAIN_CSV = b"strike,bid\r\n" + b"100.0,1.5\r\n" * 200


@route("GET", "/chain", scope="anyone", tag="t", answers=dict[str, Any], media=(JSON, CSV), cost=0)
async def chain(call: Call[NoParameters, None]) -> Answer:
    """A snapshot in two forms."""
    return Answer(body=CHAIN if call.media == JSON else CHAIN_CSV, etag="e1-7", cache_key=7)


@dataclass
class Failing:
    """A route that does what a test wants."""

    does: Callable[[], Any] = lambda: None

    def route(self) -> Route:
        @route("GET", "/does", scope="anyone", tag="t", answers=Seen, cost=0)
        async def does(call: Call[NoParameters, None]) -> Answer:
            """Does what the test wants."""
            await trio.lowlevel.checkpoint()
            result = self.does()
            if result is not None:
                await result
            return Answer(body=seen(call))

        return does


ROUTES = (public, free, market, dear, admin, session, order, cancel, chain)


class Clock:
    def now_ns(self) -> int:
        try:
            return round((T0 + trio.current_time()) * 1e9)
        except RuntimeError:
            return T0 * 10**9


class Ids:
    def __init__(self) -> None:
        self._count = 0

    def new(self) -> str:
        self._count += 1
        return f"{self._count:016x}"


@dataclass
class Edge:
    """A gateway, somebody who may use it, and what it logs."""

    seams: Seams
    accounts: AccountService
    administration: Administration
    token: str
    lines: list[dict[str, Any]]
    failing: Failing = field(default_factory=Failing)

    def gateway(self, **settings: Any) -> Gateway:
        limits = LimitSettings(**settings.pop("limits", {}))
        nothing = cast("Any", None)
        services = Services(
            settings=GatewaySettings(limits=limits, **settings),
            seams=self.seams,
            bus=nothing,
            store=nothing,
            live=nothing,
            accounts=self.accounts,
            host=nothing,
        )
        return make_app(services, (*ROUTES, self.failing.route()))

    def client(self, **settings: Any) -> Client:
        return Client(self.gateway(**settings))

    @property
    def bearer(self) -> tuple[str, str]:
        return ("authorization", f"Bearer {self.token}")

    async def key(self, *scopes: str) -> str:
        return (await self.administration.create_key("ann@example.org", "k", scopes, 30)).text

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """What is logged, as dictionaries."""
    found: list[dict[str, Any]] = []

    def keep(_logger: Any, method: str, event: Any) -> Any:
        found.append({"level": method, **event})
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.format_exc_info, keep],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
    yield found
    structlog.reset_defaults()


@pytest.fixture
async def edge(tmp_path: Path, lines: list[dict[str, Any]]) -> AsyncIterator[Edge]:
    seams = Seams(clock=Clock(), rng=random.Random(1), ids=Ids(), threads=InlineThreads())
    ring = KeyRing(tmp_path / "accounts.keys", token_s=900, seams=seams)
    async with SqliteAccountStore(tmp_path / "accounts.db", seams) as store:
        await ring.open()
        administration = Administration(store, seams)
        await administration.first_contact()
        settings = msgspec.structs.replace(AccountSettings(), bcrypt_cost=4)
        accounts = AccountService(store, ring, settings, seams, open_registration=True)
        signed_in = await accounts.register("ann@example.org", PASSWORD, "Ann")
        lines.clear()
        yield Edge(seams, accounts, administration, signed_in.access, lines)


@pytest.fixture
def serving(edge: Edge) -> Any:
    """Serves a gateway on a free port; gives what opens connections to it."""

    @asynccontextmanager
    async def serve_it(**changed: Any) -> AsyncIterator[Callable[[], Any]]:
        stop = trio.Event()
        patience = Patience(linger=0.2)
        async with trio.open_nursery() as nursery:
            run = partial(serve, stop=stop, patience=patience)
            bound = await nursery.start(run, edge.gateway(**changed), GatewaySettings(port=0), edge.seams)
            yield partial(trio.open_tcp_stream, bound.host, bound.port)
            stop.set()

    return serve_it


@pytest.fixture
def store_is_away() -> Callable[[], Any]:
    def does() -> None:
        raise StoreUnavailable("away")

    return does
