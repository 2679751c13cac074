"""A small host in one process: real bus, store, accounts and actors over real files."""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import numpy as np
import pytest
import trio

from deltastream.accounts import (
    ROLE_SCOPES,
    AccountService,
    AccountSettings,
    Administration,
    Identity,
    KeyRing,
    SignedIn,
    SqliteAccountStore,
)
from deltastream.actors import Analytics, Enricher, Storage
from deltastream.actors._entries import entry_of
from deltastream.analytics import AnalyticsSettings, enrich
from deltastream.bus import EmbeddedBus, matches
from deltastream.feeds.protocol import Delivered
from deltastream.feeds.synthetic import SyntheticProvider, SyntheticSettings
from deltastream.gateway.api import ROUTES
from deltastream.gateway.live import Live
from deltastream.gateway.openapi import document
from deltastream.gateway.problems import Problem
from deltastream.gateway.routing import Answer, Call, Route
from deltastream.gateway.services import Services
from deltastream.gateway.settings import GatewaySettings
from deltastream.host.config import Settings
from deltastream.host.data_dir import DataDirectory
from deltastream.latency import LatencyStatistics
from deltastream.messages import CHAIN_ROWS, ROW, EnrichedChain, Message, OptionChain, Position
from deltastream.seams import InlineThreads, Seams
from deltastream.storage import SqliteRepository
from supervisors import ChildSpec, LagStatistics, LoopLag, SupervisorSpec, Tree, open_tree

T0 = 1_795_156_200_000_000_000
"""Friday 2026-11-20, 12:00 in Kolkata."""
STEP_S = 0.5
"""By how much the time of day goes on from one market message to the next."""
PRODUCTS = ("NIFTY", "SPY")
PASSWORD = "correct horse"


class WorldClock:
    """A time of day that begins at `T0`, goes on with Trio's clock, and can be set ahead."""

    def __init__(self) -> None:
        self._origin = trio.current_time()
        self._ahead = 0

    def now_ns(self) -> int:
        return T0 + self._ahead + round((trio.current_time() - self._origin) * 1e9)

    def advance(self, seconds: float) -> None:
        self._ahead += round(seconds * 1e9)


class _Ids:
    def __init__(self) -> None:
        self._count = 0

    def new(self) -> str:
        self._count += 1
        return f"{self._count:016x}"


class _Secrets:
    def __init__(self) -> None:
        self._rng = random.Random(7)

    def draw(self, count: int) -> bytes:
        return self._rng.randbytes(count)


@dataclass
class World:
    """The host (`deltastream.host.operations.HostView`), its gateway's services, and levers on both.

    Attributes:
        sent: every market message that was fed, in order.
    """

    settings: Settings
    seams: Seams
    clock: WorldClock
    data_dir: DataDirectory
    bus: EmbeddedBus
    store: SqliteRepository
    live: Live
    accounts: AccountService
    account_store: SqliteAccountStore
    administration: Administration
    lag: LoopLag = field(default_factory=LoopLag)
    tree: Tree | None = None
    enricher: Enricher | None = None
    gateway_url: str | None = None
    sent: list[Message] = field(default_factory=list)
    stopped_for: list[str] = field(default_factory=list)
    market: Any = None

    @property
    def services(self) -> Services:
        return Services(
            settings=GatewaySettings(),
            seams=self.seams,
            bus=self.bus,
            store=self.store,
            live=self.live,
            accounts=self.accounts,
            host=self,
        )

    def loop_lag(self) -> LagStatistics | None:
        return self.lag.statistics()

    def chain_latency(self) -> LatencyStatistics | None:
        return None if self.enricher is None else self.enricher.latency.statistics()

    def socket_statistics(self) -> None:
        return None

    def request_stop(self, reason: str) -> None:
        self.stopped_for.append(reason)

    async def append(self, *messages: Message) -> list[Position]:
        """Put messages onto the bus; they need not be of the synthetic market."""
        self.sent += messages
        return await self.bus.append_batch([entry_of(message) for message in messages])

    async def feed(self, rounds: int = 1) -> None:
        """Let the synthetic market speak until every series has given so many chains; then settle."""
        wanted = rounds * len(PRODUCTS) * self.settings.synthetic.expiries
        while wanted:
            item = await anext(self.market)
            assert isinstance(item, Delivered)
            wanted -= isinstance(item.message, OptionChain)
            await self.append(item.message)
            self.clock.advance(STEP_S)
        await self.settle()

    async def settle(self) -> None:
        """Wait until every actor has done what there is to do, and the gateway has seen it."""
        with trio.fail_after(60):
            while not await self._settled():  # noqa: ASYNC110  a lag has no event
                await trio.sleep(0.01)

    async def _settled(self) -> bool:
        statistics = await self.bus.statistics()
        idle = all(
            group.lag == group.in_flight == group.retrying == 0
            for group in statistics.groups
            if group.group != Storage.GROUP or not self.live.store_away
        )
        return idle and all(
            self.live.positions.get(topic.topic, Position("", 0)).seq == topic.last_seq
            for topic in statistics.topics
            if any(matches(pattern, topic.topic) for pattern in Live.PATTERNS)
        )

    async def identity(self, *scopes: str) -> Identity:
        """Somebody with these scopes; without any, with all that a user has."""
        return Identity(
            user_id="u1",
            email="ann@example.org",
            name="Ann",
            role="user",
            scopes=frozenset(scopes or ROLE_SCOPES["user"]),  # type: ignore[arg-type]  # names of scopes
            expires=self.clock.now_ns() + 10**12,
            version=1,
        )

    async def user(self, email: str = "ann@example.org") -> SignedIn:
        """A new user, logged in; the password is "correct horse"."""
        return await self.accounts.register(email, PASSWORD, "Ann")

    async def key(self, *scopes: str, email: str = "ann@example.org") -> str:
        """A new API key of a user that there is, with these scopes."""
        return (await self.administration.create_key(email, "script", scopes, 30)).text

    async def call(self, route: Route, *, media: str | None = None, body: Any = None, **given: Any) -> Answer:
        """Call a route's handler as the gateway does once it has let a request in."""
        call = Call(
            services=self.services,
            identity=await self.identity(),
            parameters=route.parameters(**given),
            body=body,
            media=media or route.media[0],
            address="127.0.0.1",
            request_id="r1",
            cookies={},
            base="http://127.0.0.1:8000",
        )
        answer: Answer = await route.handler(call)
        return answer

    @asynccontextmanager
    async def store_away(self) -> AsyncIterator[None]:
        """Take the store away for a while; when it is back, wait until the gateway has noticed."""
        await self.store.aclose()
        await trio.sleep(2.0)
        assert self.live.store_away
        try:
            yield
        finally:
            await self.store.open()
            await trio.sleep(2.0)
            assert not self.live.store_away


def make_chain(
    *,
    product: str = "NIFTY",
    root: str | None = None,
    expiry: str = "2026-11-24",
    ts: int = T0,
    expiry_ts: int | None = None,
    strikes: Sequence[float] = (25_900.0, 26_000.0, 26_100.0),
    spot: float | None = 26_010.0,
    flags: tuple[str, ...] = (),
    **columns: Any,
) -> EnrichedChain:
    """A chain through the real analytics: two-sided quotes, open interest, and the columns given."""
    table = np.full((CHAIN_ROWS, len(strikes)), np.nan)
    table[0] = strikes
    for side, sign in (("call", 1.0), ("put", -1.0)):
        table[ROW[f"{side}_bid"]] = np.maximum(sign * (26_010.0 - table[0]), 0.0) + 80.0
        table[ROW[f"{side}_ask"]] = table[ROW[f"{side}_bid"]] + 1.0
        table[ROW[f"{side}_oi"]] = 1_000.0 + np.arange(len(strikes))
    for name, value in columns.items():
        table[ROW[name]] = value
    market = OptionChain(
        product=product,
        root=root or product,
        expiry=expiry,
        expiry_ts=T0 + 4 * 86_400 * 10**9 if expiry_ts is None else expiry_ts,
        ts_event=ts,
        ts_recv=ts,
        spot=spot,
        currency="INR",
        multiplier=65.0,
        exercise="european",
        settlement="cash",
        oi_unit="contracts",
        volume_unit="contracts",
        oi_cadence="3min",
        oi_as_of=ts - 60 * 10**9,
        columns=table,
        flags=flags,
    )
    return enrich(market, AnalyticsSettings(), ts_recv=ts + 1_000_000)


@pytest.fixture
def enriched() -> Callable[..., EnrichedChain]:
    """Makes chains through the real analytics."""
    return make_chain


def _settings(directory: Path) -> Settings:
    return Settings(
        data_dir=str(directory),
        synthetic=SyntheticSettings(
            products=PRODUCTS,
            tick_interval_s=0.004,
            chain_interval_s=0.02,
            expiries=2,
            strikes=21,
        ),
        accounts=AccountSettings(bcrypt_cost=4),
    )


async def _bus(bus: EmbeddedBus, ctx: Any, /, *, task_status: trio.TaskStatus[None]) -> None:
    await bus.run(task_status=task_status)


async def _accounts(world: World, ctx: Any, /, *, task_status: trio.TaskStatus[None]) -> None:
    await world.accounts.run(world.bus, task_status=task_status)


def _tree(world: World) -> SupervisorSpec:
    bus, store, seams = world.bus, world.store, world.seams
    world.enricher = Enricher(bus, store, world.settings.analytics, seams)
    pipeline = SupervisorSpec(
        name="pipeline",
        children=(
            ChildSpec(name="storage", start=Storage(bus, store).run),
            ChildSpec(name="analytics", start=Analytics(bus, store, seams).run),
            ChildSpec(name="enricher", start=world.enricher.run),
        ),
    )
    edge = SupervisorSpec(
        name="edge",
        children=(
            ChildSpec(name="auth", start=partial(_accounts, world)),
            ChildSpec(name="live", start=world.live.run),
        ),
    )
    children = (ChildSpec(name="bus", start=partial(_bus, bus)), pipeline, edge)
    return SupervisorSpec(name="host", children=children)


@asynccontextmanager
async def _opened(directory: Path, *, rounds: int) -> AsyncIterator[World]:
    clock = WorldClock()
    seams = Seams(clock=clock, rng=random.Random(1), ids=_Ids(), threads=InlineThreads(), secrets=_Secrets())
    settings = _settings(directory)
    files = DataDirectory(directory)
    bus = EmbeddedBus(files.journal, settings.bus, seams)
    store = SqliteRepository(files.store, settings.store, seams)
    account_store = SqliteAccountStore(files.accounts, seams)
    ring = KeyRing(files.signing_keys, token_s=settings.accounts.access_s, seams=seams)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(account_store)
        await ring.open()
        await stack.enter_async_context(store)
        administration = Administration(account_store, seams)
        await administration.first_contact()
        world = World(
            settings=settings,
            seams=seams,
            clock=clock,
            data_dir=files,
            bus=bus,
            store=store,
            live=Live(bus, store, seams),
            accounts=AccountService(account_store, ring, settings.accounts, seams, open_registration=True),
            account_store=account_store,
            administration=administration,
        )
        world.tree = await stack.enter_async_context(open_tree(_tree(world), rng=seams.rng))
        if rounds:
            provider = SyntheticProvider(settings.synthetic, seams)
            world.market = await stack.enter_async_context(provider.stream())
            await world.feed(rounds)
        yield world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """NIFTY and SPY with two expiries each and three chains of each of them, all settled.

    In virtual time where the test asks for `autojump_clock`, which is quicker.
    """
    async with _opened(tmp_path, rounds=3) as opened:
        yield opened


@pytest.fixture
async def empty_world(tmp_path: Path) -> AsyncIterator[World]:
    """A first start: nothing has ever come."""
    async with _opened(tmp_path, rounds=0) as opened:
        yield opened


@pytest.fixture
def open_world(tmp_path: Path) -> Callable[..., Any]:
    """Opens a world over the test's directory, as often as a test restarts it; ``rounds=0``: no market."""
    return partial(_opened, tmp_path, rounds=1)


class Published:
    """The API's documentation, against which real answers are held.

    Args:
        document: in OpenAPI 3.1.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._paths = [
            (re.compile(re.sub(r"{\w+}", "[^/]+", path.replace(".", r"\."))), item)
            for path, item in sorted(document["paths"].items(), key=lambda each: each[0].count("{"))
        ]

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Fail unless an answer is documented: its status, its headers, its media type and its schema.

        Args:
            path: below the prefix, without a query.
            headers: by lower-case name.
            body: decompressed.
        """
        operation = self._operation(method, path)
        if operation is None:
            assert status in (204, 400, 404, 405, 414, 421, 429, 431), f"{status} where there is no operation"
            return
        assert str(status) in operation["responses"], f"{method} {path} does not document {status}"
        response = self._resolved(operation["responses"][str(status)])
        for name, header in response.get("headers", {}).items():
            assert name.lower() in headers or not self._resolved(header).get("required"), f"no {name}"
        content = response.get("content")
        if method == "HEAD" or content is None:
            assert body == b""
            return
        media = headers["content-type"].partition(";")[0]
        assert media in content, f"{method} {path} does not document {media} with {status}"
        if media.endswith("json"):
            self._validate(json.loads(body), content[media]["schema"])

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        item = next((item for pattern, item in self._paths if pattern.fullmatch(path)), {})
        operation: dict[str, Any] | None = item.get({"HEAD": "get"}.get(method, method.lower()))
        return operation

    def _resolved(self, node: dict[str, Any]) -> Any:
        place: Any = node
        while "$ref" in place:
            steps, place = place["$ref"].removeprefix("#/").split("/"), self._document
            for step in steps:
                place = place[step]
        return place

    def _validate(self, value: Any, schema: dict[str, Any]) -> None:
        whole = {**schema, "components": {"schemas": self._document["components"]["schemas"]}}
        errors = jsonschema_rs.Draft202012Validator(whole, validate_formats=True).iter_errors(value)
        assert [f"{error.message} at {error.instance_path}" for error in errors] == []


@pytest.fixture(scope="session")
def published() -> Published:
    """The documentation of the whole API, to hold real answers against."""
    return Published(document(ROUTES, title="DeltaStream", version="1", base=""))


@pytest.fixture
def ask(world):
    """Calls a route and reads its JSON answer."""

    async def asked(route, **given):
        return msgspec.json.decode((await world.call(route, **given)).body)

    return asked


@pytest.fixture
def refused(world):
    """Calls a route that refuses; returns its problem."""

    async def asked(route, **given):
        with pytest.raises(Problem) as problem:
            await world.call(route, **given)
        return problem.value

    return asked
