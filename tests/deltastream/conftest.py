"""Seams for virtual time: Trio's clock tells the time of day, ids count, threads run inline."""

from __future__ import annotations

import random

import pytest
import trio

from deltastream.seams import InlineThreads, Seams


class VirtualClock:
    """A time of day that begins at `start` and goes on with Trio's clock."""

    def __init__(self, start: int) -> None:
        self._start = start

    def now_ns(self) -> int:
        return self._start + round(trio.current_time() * 1e9)


class CountingIds:
    def __init__(self) -> None:
        self._count = 0

    def new(self) -> str:
        self._count += 1
        return f"{self._count:016x}"


@pytest.fixture
def virtual_seams():
    """Makes seams for a host whose virtual day begins at `start`, nanoseconds UTC."""

    def make(start: int, *, seed: int = 1) -> Seams:
        clock, ids = VirtualClock(start), CountingIds()
        return Seams(clock=clock, rng=random.Random(seed), ids=ids, threads=InlineThreads())

    return make
