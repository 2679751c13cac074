"""A replay at full speed ends the host by itself: always, and not before all has taken effect."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio

from deltastream.errors import StoreUnavailable
from deltastream.host.config import Flag, load
from deltastream.host.tree import Host
from deltastream.seams import InlineThreads, Seams
from deltastream.storage import SqliteRepository

SAMPLES = Path(__file__).parents[1] / "feeds" / "recorded" / "samples"
EVER = {"start": 0, "end": 2**62}


class VirtualClock:
    def now_ns(self) -> int:
        return 1_795_147_200 * 10**9 + round(trio.current_time() * 1e9)


class CountingIds:
    count = 0

    def new(self) -> str:
        CountingIds.count += 1
        return f"{CountingIds.count:016x}"


class LateStore(SqliteRepository):
    """A store whose positions cannot be read at first."""

    refusals = 4

    async def positions(self, group):
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable("not yet")
        return await super().positions(group)


class LateHost(Host):
    def make_store(self) -> SqliteRepository:
        return LateStore(self.data_dir.store, self.settings.store, self.seams)


def make_host(cls: type[Host], data_dir: Path, *paths: Path) -> Host:
    values = {
        "data_dir": str(data_dir),
        "feed": "replay",
        "replay.paths": [str(path) for path in paths],
        "replay.speed": "max",
    }
    flags = tuple(Flag("--test", path, value, lax=False) for path, value in values.items())
    seams = Seams(clock=VirtualClock(), rng=random.Random(1), ids=CountingIds(), threads=InlineThreads())
    return cls(load(flags=flags, environ={}).settings, seams)


async def effects(host: Host) -> tuple[int, int]:
    """Accepted market chains, and chains in the store, after the host has ended."""
    async with SqliteRepository(host.data_dir.store, host.settings.store, host.seams) as store:
        stored = 0
        for product in await store.products():
            for series in await store.expiries(product.product):
                page = await store.metrics(
                    product.product, root=series.root, expiry=series.expiry, limit=5000, **EVER
                )
                stored += len(page.items)
    return host.feed.accepted, stored


@pytest.mark.parametrize("host_type", [Host, LateHost])
async def test_it_ends_when_all_has_taken_effect(tmp_path, autojump_clock, host_type):
    host = make_host(host_type, tmp_path / "data", *sorted(SAMPLES.iterdir()))
    with trio.fail_after(120):
        await host.run()
    accepted, stored = await effects(host)
    assert accepted > stored > 0


async def test_the_same_again_adds_nothing(tmp_path, autojump_clock):
    files = [path for path in sorted(SAMPLES.iterdir()) if path.name.startswith("nse")]
    first = make_host(Host, tmp_path / "data", *files)
    with trio.fail_after(120):
        await first.run()
    before = await effects(first)
    second = make_host(Host, tmp_path / "data", *files)
    with trio.fail_after(120):
        await second.run()
    assert (await effects(second))[1] == before[1] > 0


@pytest.mark.parametrize("content", ["", "no chain at all", '{"records": {}}'])
async def test_it_ends_when_every_file_is_refused(tmp_path, autojump_clock, content):
    file = tmp_path / "bad.json"
    file.write_text(content)
    for number in range(5):
        host = make_host(Host, tmp_path / f"data{number}", file)
        with trio.fail_after(120):
            await host.run()
        assert host.feed.refused
        assert host.feed.accepted == 0
