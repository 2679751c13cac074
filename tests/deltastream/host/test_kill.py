"""`kill -9` under load: what was accepted took effect exactly once, whenever it struck."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest
import trio

from deltastream.bus import BusSettings, open_bus
from deltastream.seams import Seams
from deltastream.storage import SqliteRepository, StoreSettings

CHILD = Path(__file__).parent / "kill_child.py"
EVER = {"start": 0, "end": 2**62}


class Accepted:
    """What the killed processes told: (seq, ts_event) by topic."""

    def __init__(self) -> None:
        self.by_topic: dict[str, dict[int, int]] = {}
        self.count = 0

    def read(self, pipe) -> None:
        for line in pipe:
            if not line.endswith(b"\n"):
                return  # the kill struck while it was being told
            topic, seq, ts_event = line.split()
            known = self.by_topic.setdefault(topic.decode(), {})
            assert int(seq) not in known, f"{topic} {seq} was issued twice"
            known[int(seq)] = int(ts_event)
            self.count += 1


def run_and_kill(data_dir: Path, seed: int, after_s: float, accepted: Accepted) -> None:
    """Run a host and kill it so long after its first accepted message."""
    command = [sys.executable, str(CHILD), str(data_dir), str(seed), "load"]
    with (
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr) as child,
    ):
        before = accepted.count
        reader = threading.Thread(target=accepted.read, args=(child.stdout,))
        reader.start()
        try:
            for _ in range(1000):
                if accepted.count > before or child.poll() is not None:
                    break
                threading.Event().wait(0.02)
            threading.Event().wait(after_s)
        finally:
            child.kill()
            reader.join()
        stderr.seek(0)
        errors = stderr.read().decode()
    assert accepted.count > before, f"nothing was accepted: {errors}"
    assert child.returncode == -9, errors


async def pages(read, **query):
    cursor = None
    while True:
        page = await read(**query, **EVER, cursor=cursor)
        for item in page.items:
            yield item
        cursor = page.cursor
        if cursor is None:
            return


async def check(data_dir: Path, accepted: Accepted) -> None:
    """Compare the store with the journal, and both with what was told."""
    for name in ("journal.db", "store.db"):
        with sqlite3.connect(data_dir / name) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        raw.close()
    seams = Seams.system()
    async with (
        open_bus(data_dir / "journal.db", BusSettings(), seams) as bus,
        SqliteRepository(data_dir / "store.db", StoreSettings(), seams) as store,
    ):
        last = {topic.topic: topic.last_seq for topic in (await bus.statistics()).topics}
        assert await bus.dead_letters() == []
        for topic, told in accepted.by_topic.items():
            assert max(told) <= last[topic], f"{topic}: an accepted message is not in the journal"
        products = {topic.rpartition(".")[2] for topic in last}
        assert len(products) == 8
        for product in products:
            await check_product(store, product, last, accepted)


async def check_product(store, product: str, last: dict[str, int], accepted: Accepted) -> None:
    """Every message in the journal took effect once, none twice; nothing told is missing."""
    ticks = Counter([tick.ts_event async for tick in pages(store.ticks, product=product)])
    assert max(ticks.values()) == 1, "a tick took effect twice"
    assert len(ticks) == last[f"market.tick.{product}"]
    assert set(accepted.by_topic[f"market.tick.{product}"].values()) <= set(ticks)
    for interval in (60, 300, 900):
        bars = [bar async for bar in pages(store.bars, product=product, interval_s=interval)]
        assert sum(bar.ticks for bar in bars) == len(ticks)

    sources: Counter[int] = Counter()
    for series in await store.expiries(product):
        query = {"product": product, "root": series.root, "expiry": series.expiry, "limit": 20}
        async for chain in pages(store.chains, **query):
            assert chain.source[0] == f"market.chain.{product}"
            sources[chain.source[1].seq] += 1
    chains = last[f"market.chain.{product}"]
    assert chains == last[f"enriched.chain.{product}"]
    assert sources == Counter(range(1, chains + 1)), "a chain is missing, or took effect twice"
    assert set(accepted.by_topic[f"market.chain.{product}"]) <= set(sources)

    for kind, read in (("market.status", store.statuses), ("analytics.surface", store.surfaces)):
        assert len([item async for item in pages(read, product=product)]) == last[f"{kind}.{product}"]


async def kill_repeatedly(data_dir: Path, kills: int) -> Accepted:
    rng = random.Random(kills)
    accepted = Accepted()
    for number in range(kills):
        run_and_kill(data_dir, number, rng.uniform(0.05, 2.0), accepted)
    with trio.fail_after(60):
        await trio.run_process([sys.executable, str(CHILD), str(data_dir), "0", "drain"])
    await check(data_dir, accepted)
    return accepted


@pytest.mark.slow
async def test_five_kills(tmp_path):
    accepted = await kill_repeatedly(tmp_path / "data", 5)
    assert accepted.count > 500


@pytest.mark.soak
async def test_fifty_kills(tmp_path):
    accepted = await kill_repeatedly(tmp_path / "data", 50)
    assert accepted.count > 5000
