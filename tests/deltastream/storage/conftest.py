"""Stores under test, messages to put into them, and a model of what they must answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deltastream.bus.protocol import Record
from deltastream.messages import (
    ENRICHED_ROWS,
    EnrichedChain,
    MarketStatus,
    Message,
    Position,
    SurfaceSlice,
    UnderlyingTick,
    VolatilitySurface,
)
from deltastream.seams import InlineThreads, Seams
from deltastream.storage import Repository, SqliteRepository, StoreSettings

S = 1_000_000_000
FAR = 4_000_000_000 * S

RepositoryFactory = Callable[..., AbstractAsyncContextManager[Repository]]


class Make:
    """Messages, with everything that does not matter filled in."""

    S = S
    FAR = FAR

    @staticmethod
    def tick(ts: int, price: float = 100.0, product: str = "NIFTY", **more: Any) -> UnderlyingTick:
        return UnderlyingTick(product=product, price=price, ts_event=ts, ts_recv=9, **more)

    @staticmethod
    def chain(ts: int, strikes: int = 5, seed: int = 0, **more: Any) -> EnrichedChain:
        columns = np.random.default_rng(seed).random((ENRICHED_ROWS, strikes))
        columns[0] = 25_900 + 50.0 * np.arange(strikes)
        columns[5] = np.nan
        fields: dict[str, Any] = {
            "product": "NIFTY",
            "root": "NIFTY",
            "expiry": "2026-11-24",
            "expiry_ts": FAR,
            "ts_event": ts,
            "ts_recv": ts + 9,
            "spot": 26_000.5 + seed,
            "currency": "INR",
            "multiplier": 1.0,
            "exercise": "european",
            "settlement": "cash",
            "oi_unit": "contracts",
            "volume_unit": "contracts",
            "oi_cadence": "3min",
            "columns": columns,
            "rate": 0.06,
            "rate_source": "config",
            "pcr_oi": 0.75,
            "max_pain_interval": (26_000.0, 26_050.0),
            "reasons": {"forward": "no_pairs"},
        }
        return EnrichedChain(**(fields | more))

    @staticmethod
    def surface(ts: int, product: str = "NIFTY", atm_iv: float | None = 0.12) -> VolatilitySurface:
        part = SurfaceSlice(
            root=product, expiry="2026-11-24", t=0.1, forward=26_010.0, atm_iv=atm_iv, avg_iv=None,
            ts_event=ts, strikes=(25_900.0, 26_000.0), ivs=(0.13, None),
        )  # fmt: skip
        return VolatilitySurface(product=product, ts_event=ts, ts_recv=ts + 1, slices=(part,))

    @staticmethod
    def status(ts: int, product: str = "NIFTY", status: Any = "open") -> MarketStatus:
        return MarketStatus(
            product=product, status=status, reason="session", since=ts, ts_event=ts, ts_recv=ts
        )

    @staticmethod
    def records(
        *messages: Message, topic: str = "topic.one", epoch: str = "e1", start: int = 1
    ) -> list[Record]:
        return [
            Record(topic, Position(epoch, seq), message) for seq, message in enumerate(messages, start=start)
        ]


@pytest.fixture(scope="session")
def make() -> type[Make]:
    return Make


@pytest.fixture
def inline_seams() -> Seams:
    """Real seams, but for threads: their work is done where it is asked for."""
    system = Seams.system()
    return Seams(clock=system.clock, rng=random.Random(1), ids=system.ids, threads=InlineThreads())


@pytest.fixture(params=["sqlite"])
def repository_factory(
    request: pytest.FixtureRequest, tmp_path: Path, inline_seams: Seams
) -> RepositoryFactory:
    """Opens a store by name, as an async context manager; the same name is the same store again."""
    assert request.param == "sqlite"
    return lambda name="store": SqliteRepository(tmp_path / f"{name}.db", StoreSettings(), inline_seams)
