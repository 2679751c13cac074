"""Replays in virtual time."""

import os
import random

import pytest
import trio

from deltastream.feeds.replay import ReplayProvider, ReplaySettings
from deltastream.seams import InlineThreads, Seams

START = 1_800_000_000 * 10**9


class VirtualClock:
    """Time of day that follows Trio's clock from a fixed instant."""

    def now_ns(self):
        return START + round(trio.current_time() * 1e9)


class NoIds:
    def new(self):
        raise AssertionError("replay needs no ids")


@pytest.fixture
def replay_seams():
    return Seams(clock=VirtualClock(), rng=random.Random(1), ids=NoIds(), threads=InlineThreads())


@pytest.fixture
def collect(replay_seams):
    """Everything a replay gives, with the time since it began."""

    async def run(*paths, speed="max", **options):
        settings = ReplaySettings(paths=tuple(os.fspath(path) for path in paths), speed=speed, **options)
        async with ReplayProvider(settings, replay_seams).stream() as items:
            began = trio.current_time()
            return [(trio.current_time() - began, item) async for item in items]

    return run
