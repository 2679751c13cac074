"""A running bus and store on real files, in virtual time, and a way to run actors beside them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import numpy as np
import pytest
import trio

from deltastream.bus import BusSettings, EmbeddedBus
from deltastream.messages import CHAIN_ROWS, ROW, OptionChain, UnderlyingTick
from deltastream.storage import SqliteRepository, StoreSettings
from supervisors import Backoff, ChildSpec, Intensity, Restart, SupervisorSpec, open_tree

NOON = int(datetime(2026, 11, 20, 6, 30, tzinfo=UTC).timestamp()) * 1_000_000_000
SECOND = 1_000_000_000
DAY = 86_400 * SECOND


@pytest.fixture
def seams(virtual_seams):
    return virtual_seams(NOON)


@pytest.fixture
def make_tick():
    def build(n=1, product="NIFTY", price=26000.0):
        ts = NOON + n * SECOND
        return UnderlyingTick(product=product, price=price + n, ts_event=ts, ts_recv=ts)

    return build


@pytest.fixture
def make_chain():
    def build(n=1, product="NIFTY", expiry="2026-11-24", days=4, **columns):
        strikes = np.arange(25_800.0, 26_250.0, 50.0)
        table = np.full((CHAIN_ROWS, strikes.size), np.nan)
        table[0] = strikes
        table[ROW["call_bid"]] = np.maximum(26_000 - strikes, 0) + 100 + n
        table[ROW["call_ask"]] = table[ROW["call_bid"]] + 1
        table[ROW["put_bid"]] = np.maximum(strikes - 26_000, 0) + 100 + n
        table[ROW["put_ask"]] = table[ROW["put_bid"]] + 1
        for name in ("call_oi", "put_oi", "call_volume", "put_volume"):
            table[ROW[name]] = 1000.0 + n
        for name, value in columns.items():
            table[ROW[name]] = value
        ts = NOON + n * SECOND
        return OptionChain(
            product=product,
            root=product,
            expiry=expiry,
            expiry_ts=NOON + days * DAY,
            ts_event=ts,
            ts_recv=ts,
            spot=26_000.0,
            currency="INR",
            multiplier=65.0,
            lot=1.0,
            tick_size=0.05,
            exercise="european",
            settlement="cash",
            oi_unit="contracts",
            volume_unit="contracts",
            oi_cadence="3min",
            columns=table,
        )

    return build


@pytest.fixture
def open_bus(tmp_path, seams):
    """Opens a bus whose retries are quick, running until the context ends."""

    @asynccontextmanager
    async def opened(**settings):
        bus = EmbeddedBus(tmp_path / "journal.db", BusSettings(**settings), seams)
        async with trio.open_nursery() as nursery:
            await nursery.start(bus.run)
            yield bus
            nursery.cancel_scope.cancel("the test is over")

    return opened


@pytest.fixture
async def bus(open_bus):
    async with open_bus() as bus:
        yield bus


@pytest.fixture
async def store(tmp_path, seams):
    async with SqliteRepository(tmp_path / "store.db", StoreSettings(), seams) as store:
        yield store


@pytest.fixture
def run_actors(seams):
    """Runs services under a real supervisor, one for one, quick to restart."""

    @asynccontextmanager
    async def running(restart=Restart.PERMANENT, **services):
        spec = SupervisorSpec(
            name="test",
            children=tuple(
                ChildSpec(name=name, start=service, restart=restart) for name, service in services.items()
            ),
            intensity=Intensity(max_restarts=3, period=5.0),
            backoff=Backoff(),
        )
        async with open_tree(spec, rng=seams.rng) as tree:
            yield tree

    return running


@pytest.fixture
def settle():
    """Waits until every group of a bus has nothing left to do."""

    async def idle(bus):
        groups = (await bus.statistics()).groups
        return all(group.lag == group.in_flight == group.retrying == 0 for group in groups)

    async def wait(bus):
        with trio.fail_after(600):
            while not await idle(bus):  # noqa: ASYNC110  a lag has no event
                await trio.sleep(0.05)

    return wait
