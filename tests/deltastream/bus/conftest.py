"""Buses to test: every implementation, with real threads and under virtual time."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from deltastream.bus import BusSettings, EmbeddedBus, Record, RetrySettings, open_bus
from deltastream.messages import OptionChain, UnderlyingTick
from deltastream.seams import InlineThreads, Seams


class VirtualClock:
    """Time of day that follows Trio's clock."""

    def now_ns(self) -> int:
        return 1_790_000_000_000_000_000 + int(trio.current_time() * 1e9)


class CountingIds:
    def __init__(self) -> None:
        self._rng = random.Random(5)

    def new(self) -> str:
        return f"{self._rng.getrandbits(64):016x}"


def virtual_seams() -> Seams:
    return Seams(clock=VirtualClock(), rng=random.Random(1), ids=CountingIds(), threads=InlineThreads())


QUICK = RetrySettings(max_attempts=3, base_s=0.02, cap_s=0.1)


@dataclass
class Log:
    """One log that can be opened again and again, as after a restart of the process."""

    path: Path
    seams: Seams

    def open(self, **settings: Any) -> AbstractAsyncContextManager[EmbeddedBus]:
        return open_bus(self.path, BusSettings(**{"retry": QUICK} | settings), self.seams)


@pytest.fixture(params=["inline", "threads"])
def clock(request: pytest.FixtureRequest) -> MockClock | None:
    """Virtual time, or None for real time. A test takes it beside `log`, so that Trio runs on it."""
    return MockClock(autojump_threshold=0) if request.param == "inline" else None


@pytest.fixture
def log(clock: MockClock | None, tmp_path: Path) -> Log:
    """The implementation under test."""
    return Log(tmp_path / "journal.db", Seams.system() if clock is None else virtual_seams())


@pytest.fixture
def virtual(autojump_clock: MockClock) -> Seams:
    """Seams for a test under virtual time; the test takes `autojump_clock`, too."""
    return virtual_seams()


@pytest.fixture
def tick() -> Callable[..., UnderlyingTick]:
    """Makes ticks that differ by their number."""
    return lambda number, product="SPY": UnderlyingTick(
        product=product, price=100.0 + number, ts_event=number, ts_recv=number
    )


@pytest.fixture
def chain() -> Callable[..., OptionChain]:
    """Makes chains that differ by their number; 23 columns of `strikes` strikes."""

    def make(number: int, product: str = "SPY", strikes: int = 60) -> OptionChain:
        return OptionChain(
            product=product,
            root=product,
            expiry="2026-11-24",
            expiry_ts=1,
            ts_event=number,
            ts_recv=number,
            spot=100.0,
            currency="USD",
            multiplier=100.0,
            exercise="european",
            settlement="cash",
            oi_unit="contracts",
            volume_unit="contracts",
            oi_cadence="daily",
            columns=np.random.default_rng(number).random((23, strikes)),
        )

    return make


@pytest.fixture
def seqs() -> Callable[[Iterable[Record]], list[int]]:
    """The sequence numbers of records or deliveries."""
    return lambda items: [item.position.seq for item in items]


@pytest.fixture
def take() -> Callable[..., Awaitable[list[Any]]]:
    """Batches of a consumer or follower, until there are `count` items."""

    async def take(reader: Any, count: int, size: int = 64) -> list[Any]:
        items: list[Any] = []
        with trio.fail_after(20):
            while len(items) < count:
                items += await reader.batch(min(size, count - len(items)))
        return items

    return take
