"""Killed at any instant, a store holds exactly what its positions say."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest

from deltastream.storage import SqliteRepository, StoreSettings

KILLS = 5
T0 = 1_790_000_000_000_000_000
ALL = {"start": 0, "end": 1 << 62}

WRITER = """
import sys, trio, numpy as np
from pathlib import Path
from deltastream.bus.protocol import Record
from deltastream.messages import EnrichedChain, Position, UnderlyingTick
from deltastream.seams import Seams
from deltastream.storage import SqliteRepository, StoreSettings

T0 = 1_790_000_000_000_000_000
columns = np.random.default_rng(0).random((45, 60))

def tick(seq):
    return UnderlyingTick(product="NIFTY", price=float(seq), ts_event=T0 + seq * 10**9, ts_recv=0, volume=1.0)

def chain(seq):
    return EnrichedChain(
        product="NIFTY", root="NIFTY", expiry="2026-11-24", expiry_ts=2 * T0, ts_event=T0 + seq * 10**9,
        ts_recv=0, spot=1.0, currency="INR", multiplier=1.0, exercise="european", settlement="cash",
        oi_unit="units", volume_unit="units", oi_cadence="live", columns=columns, rate=0.0, rate_source="x",
    )

async def main():
    async with SqliteRepository(Path(sys.argv[1]), StoreSettings(), Seams.system()) as store:
        positions = await store.positions("g")
        seq = positions["ticks"].seq if positions else 0
        while True:
            again = range(max(1, seq - 5), seq + 20)
            await store.apply("g", [
                Record(topic, Position("e", i), make(i)) for i in again
                for topic, make in (("ticks", tick), ("chains", chain))
            ])
            seq += 19
            print(seq, flush=True)

trio.run(main)
"""


def write_until_killed(path, after_s):
    """The last number that the writer knew to be stored."""
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(after_s)
        child.kill()
        lines = [first, *child.stdout.read().splitlines(keepends=True)]
    return max(int(line) for line in lines if line.endswith("\n"))


@pytest.mark.slow
async def test_positions_and_effects_agree_after_every_kill(tmp_path, inline_seams):
    path = tmp_path / "store.db"
    rng = random.Random(7)
    for _ in range(KILLS):
        acknowledged = write_until_killed(path, after_s=rng.uniform(0.05, 0.6))
        async with SqliteRepository(path, StoreSettings(), inline_seams) as store:
            positions = await store.positions("g")
            reached = positions["ticks"].seq
            assert positions["chains"].seq == reached >= acknowledged
            assert await seqs(store.ticks, reached, "NIFTY", limit=5000) == list(range(1, reached + 1))
            rows = await seqs(store.metrics, reached, "NIFTY", expiry="2026-11-24", limit=5000)
            assert rows == list(range(1, reached + 1))
            assert (await store.chain("NIFTY")).ts_event == T0 + reached * 10**9
            for interval in (60, 300, 900):
                bars = (await store.bars("NIFTY", interval_s=interval, **ALL, limit=5000)).items
                assert sum(bar.ticks for bar in bars) == sum(bar.volume for bar in bars) == reached
                assert bars[-1].close == reached
            assert store._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def seqs(read, reached, *args, **more):
    found, cursor = [], None
    while True:
        page = await read(*args, **more, **ALL, cursor=cursor)
        found += [(item.ts_event - T0) // 10**9 for item in page.items]
        if (cursor := page.cursor) is None:
            return found
