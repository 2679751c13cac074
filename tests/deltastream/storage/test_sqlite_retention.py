"""Retention: the store stays under its limit, and what goes is the oldest detail."""

from __future__ import annotations

import numpy as np
import pytest
import trio
import trio.testing

from deltastream.errors import StoreError
from deltastream.storage import SqliteRepository, StoreSettings
from deltastream.storage.sqlite._retention import prune
from deltastream.storage.sqlite._schema import connect_writer

T0 = 1_790_000_000_000_000_000
MINUTE = 60_000_000_000
MIB = 1024 * 1024
ALL = {"start": 0, "end": 1 << 62}
SMALL = StoreSettings(max_bytes=16 * MIB)


def incompressible(make, ts, seed, **more):
    return make.chain(ts, columns=np.random.default_rng(seed).random((45, 120)), **more)


async def fill(store, make, chains, start=1):
    """Chains of about 40 kB, one in ten of another expiry."""
    for seq in range(start, start + chains, 20):
        await store.apply(
            "g",
            make.records(
                *(
                    incompressible(
                        make, T0 + i * MINUTE, i, expiry="2026-12-29" if i % 10 == 0 else "2026-11-24"
                    )
                    for i in range(seq, seq + 20)
                ),
                topic="chains",
                start=seq,
            ),
        )
        await trio.testing.wait_all_tasks_blocked()


async def test_a_running_store_stays_under_its_limit(tmp_path, inline_seams, make, autojump_clock):
    path = tmp_path / "store.db"
    async with SqliteRepository(path, SMALL, inline_seams) as store, trio.open_nursery() as nursery:
        await nursery.start(store.run)
        await store.apply("g", make.records(*(make.tick(T0 + i * MINUTE) for i in range(1000))))
        await fill(store, make, 900)
        statistics = await store.statistics()
        assert path.stat().st_size <= SMALL.max_bytes
        assert statistics.bytes_on_disk <= 1.1 * SMALL.max_bytes
        assert statistics.state == "running"
        assert set(statistics.pruned) == {"chains"}
        kept = []
        for expiry in ("2026-11-24", "2026-12-29"):
            page = await store.chains("NIFTY", expiry=expiry, start=T0, end=1 << 62, limit=20)
            kept.append(page.items[0].ts_event)
            rows = (await store.metrics("NIFTY", expiry=expiry, **ALL)).items
            assert rows[0].ts_event < page.items[0].ts_event
        assert abs(kept[0] - kept[1]) < 300 * MINUTE  # the oldest of all series goes first
        assert (await store.chain("NIFTY", expiry="2026-12-29")).ts_event == T0 + 900 * MINUTE
        assert await store.chain("NIFTY", at=T0 + 5 * MINUTE) is None
        assert len((await store.ticks("NIFTY", **ALL)).items) == 1000
        nursery.cancel_scope.cancel()


async def test_a_lower_limit_cuts_the_file(tmp_path, inline_seams, make, autojump_clock):
    path = tmp_path / "store.db"
    async with SqliteRepository(path, StoreSettings(), inline_seams) as store:
        await fill(store, make, 700)
        last = await store.chain("NIFTY")
    assert path.stat().st_size > SMALL.max_bytes * 1.5
    async with SqliteRepository(path, SMALL, inline_seams) as store, trio.open_nursery() as nursery:
        await nursery.start(store.run)
        await trio.sleep(2 * SMALL.maintenance_s)
        nursery.cancel_scope.cancel()
    assert path.stat().st_size <= SMALL.max_bytes
    async with SqliteRepository(path, SMALL, inline_seams) as store:
        assert (await store.chain("NIFTY")).ts_event == last.ts_event
        assert not store._connection.execute("PRAGMA integrity_check").fetchall()[1:]


async def test_kinds_go_in_order_and_the_newest_of_each_series_stays(tmp_path, inline_seams, make):
    path = tmp_path / "store.db"
    async with SqliteRepository(path, SMALL, inline_seams) as store:
        for product in ("NIFTY", "AAPL"):
            await store.apply(
                "g",
                make.records(
                    *(make.chain(T0 + i, product=product, expiry=e, root=product)
                      for i in range(200) for e in ("2026-11-24", "2026-12-29")),
                    make.chain(T0 - 5, product=product, expiry="2026-11-17", root="ONCE"),
                    *(make.tick(T0 + i * MINUTE, product=product) for i in range(5000)),
                    *(make.surface(T0 + i, product) for i in range(200)),
                    *(make.status(T0 + i, product) for i in range(200)),
                    topic=product,
                ),
            )  # fmt: skip
        bars = (await store.bars("NIFTY", interval_s=60, **ALL, limit=5000)).items
    connection = connect_writer(path, SMALL, "unused")
    dropped: list[tuple[str, int]] = []
    while (step := prune(connection)) is not None:
        dropped.append(step)
    connection.close()
    tables = [table for table, _ in dropped]
    assert list(dict.fromkeys(tables)) == ["chains", "ticks", "metrics", "surfaces"]
    assert tables == sorted(tables, key=["chains", "ticks", "metrics", "surfaces"].index)
    totals = {name: sum(rows for table, rows in dropped if table == name) for name in tables}
    assert totals == {"chains": 4 * 199, "ticks": 2 * 4999, "metrics": 4 * 199, "surfaces": 2 * 199}
    async with SqliteRepository(path, SMALL, inline_seams) as store:
        for product in ("NIFTY", "AAPL"):
            assert (await store.tick(product)).ts_event == T0 + 4999 * MINUTE
            chains = await store.latest_chains(product)
            assert [c.ts_event - T0 for c in chains] == [-5, 199, 199]
            assert (await store.surface(product)).ts_event == T0 + 199
            assert (await store.status(product, at=T0)).ts_event == T0
        assert (await store.bars("NIFTY", interval_s=60, **ALL, limit=5000)).items == bars


async def test_the_oldest_series_goes_first(tmp_path, inline_seams, make):
    path = tmp_path / "store.db"
    async with SqliteRepository(path, SMALL, inline_seams) as store:
        for start, expiry in ((300, "2026-11-24"), (0, "2026-12-29"), (900, "2027-01-26")):
            chains = (make.chain(T0 + start + i, expiry=expiry) for i in range(200))
            await store.apply("g", make.records(*chains, start=start + 1))
        assert prune(store._connection) == ("chains", 128)
        first = [
            (await store.chains("NIFTY", expiry=expiry, **ALL)).items[0].ts_event - T0
            for expiry in ("2026-11-24", "2026-12-29", "2027-01-26")
        ]
        assert first == [300, 128, 900]


async def test_a_repeat_of_what_was_dropped_is_still_a_repeat(tmp_path, inline_seams, make):
    path = tmp_path / "store.db"
    records = make.records(
        *(make.tick(T0 + i, 100.0 + i) for i in range(50)), make.chain(T0), make.chain(T0 + 1)
    )
    async with SqliteRepository(path, SMALL, inline_seams) as store:
        await store.apply("g", records)
        while prune(store._connection) is not None:
            pass
        before = (await store.bars("NIFTY", interval_s=60, **ALL)).items
        assert await store.apply("g", records) == 0
        assert (await store.bars("NIFTY", interval_s=60, **ALL)).items == before
        assert len((await store.ticks("NIFTY", **ALL)).items) == 1


async def test_nothing_left_to_drop_is_told(tmp_path, inline_seams, make, autojump_clock):
    path = tmp_path / "store.db"
    async with SqliteRepository(path, SMALL, inline_seams) as store, trio.open_nursery() as nursery:
        await nursery.start(store.run)
        for i in range(450):  # every chain the only one of its series
            expiry = f"{2027 + i // 28 // 12}-{1 + i // 28 % 12:02}-{1 + i % 28:02}"
            await store.apply("g", make.records(incompressible(make, T0 + i, i, expiry=expiry), start=i + 1))
        await trio.sleep(2 * SMALL.maintenance_s)
        statistics = await store.statistics()
        assert statistics.state == "degraded"
        assert "over its limit with no detail left to drop" in statistics.reason
        assert len(await store.latest_chains("NIFTY")) == 450
        nursery.cancel_scope.cancel()


async def test_it_waits_out_a_store_that_is_away(tmp_path, inline_seams, make, autojump_clock):
    path = tmp_path / "store.db"
    async with SqliteRepository(path, SMALL, inline_seams) as store, trio.open_nursery() as nursery:
        await fill(store, make, 500)
        store._connection.execute("PRAGMA query_only = ON")
        await nursery.start(store.run)
        await trio.sleep(3 * SMALL.maintenance_s)
        statistics = await store.statistics()
        assert (statistics.state, statistics.pruned) == ("degraded", {})
        store._connection.execute("PRAGMA query_only = OFF")
        await trio.sleep(3 * SMALL.maintenance_s)
        statistics = await store.statistics()
        assert statistics.state == "running"
        assert statistics.pruned["chains"] > 0
        nursery.cancel_scope.cancel()


async def test_a_closed_store_is_not_looked_after(tmp_path, inline_seams):
    store = SqliteRepository(tmp_path / "store.db", SMALL, inline_seams)
    with pytest.raises(StoreError, match="closed"):
        await store.run()
