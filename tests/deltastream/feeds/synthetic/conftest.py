"""Seams on Trio's mock clock, and ways to listen to the synthetic feed."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable

import pytest
import trio

from deltastream.feeds.synthetic import SyntheticProvider, SyntheticSettings
from deltastream.messages import Message
from deltastream.seams import InlineThreads, Seams


class TrioClock:
    """Time of day that runs with Trio's clock, from a start."""

    def __init__(self, start: dt.datetime) -> None:
        self._start_ns = int(start.timestamp()) * 10**9
        self._zero: float | None = None

    def now_ns(self) -> int:
        now = trio.current_time()
        if self._zero is None:
            self._zero = now
        return self._start_ns + round((now - self._zero) * 1e9)


class CountedIds:
    def __init__(self) -> None:
        self._count = 0

    def new(self) -> str:
        self._count += 1
        return f"{self._count:016x}"


@pytest.fixture
def seams_at() -> Callable[[dt.datetime], Seams]:
    """Seams whose clock begins at a moment when first asked."""

    def make(start: dt.datetime) -> Seams:
        return Seams(clock=TrioClock(start), rng=random.Random(1), ids=CountedIds(), threads=InlineThreads())

    return make


@pytest.fixture
def listen(seams_at):
    """Collects (trio time, message) of a provider for so many seconds of virtual time."""

    async def collect(
        start: dt.datetime, seconds: float, provider: SyntheticProvider | None = None, **settings: object
    ) -> list[tuple[float, Message]]:
        provider = provider or SyntheticProvider(SyntheticSettings(**settings), seams_at(start))
        heard = []
        zero = trio.current_time()
        with trio.move_on_after(seconds):
            async with provider.stream() as messages:
                async for delivered in messages:
                    assert delivered.key is None
                    heard.append((trio.current_time() - zero, delivered.message))
        return heard

    return collect
