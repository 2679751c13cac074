"""The embedded store when the world around it fails."""

from __future__ import annotations

import dataclasses
import os
import re
import resource
import sqlite3
from contextlib import contextmanager

import pytest
import trio

from deltastream.errors import DataDirectoryError, StoreError, StoreUnavailable
from deltastream.messages import Position
from deltastream.seams import Seams
from deltastream.storage import SqliteRepository, StoreSettings
from deltastream.storage.sqlite import _schema

T0 = 1_790_000_000_000_000_000
ALL = {"start": 0, "end": 1 << 62}
PATIENT = StoreSettings(busy_s=0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@contextmanager
def small_disk(store, path):
    """No room for more pages than there are."""
    store._connection.execute("PRAGMA max_page_count = 1")
    yield
    store._connection.execute("PRAGMA max_page_count = 1000000")


@contextmanager
def failing_disk(store, path):
    """The operating system refuses to make any file longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name("store.db-wal").stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def read_only(store, path):
    store._connection.execute("PRAGMA query_only = ON")
    yield
    store._connection.execute("PRAGMA query_only = OFF")


@contextmanager
def locked(store, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.close()


@contextmanager
def no_memory(store, path):
    """SQLite runs out of memory in the middle of a transaction."""

    def hungry():
        raise MemoryError

    store._connection.create_function("hungry", 0, hungry)
    store._connection.execute("CREATE TEMP TRIGGER t BEFORE INSERT ON ticks BEGIN SELECT hungry(); END")
    yield
    store._connection.execute("DROP TRIGGER t")


@pytest.mark.parametrize("fault", [small_disk, failing_disk, read_only, locked, no_memory])
async def test_a_write_that_fails_leaves_nothing_and_works_later(path, inline_seams, make, fault):
    first = make.records(make.tick(T0), make.chain(T0))
    second = make.records(
        *(make.chain(T0 + i, 200, seed=i) for i in range(1, 30)), make.tick(T0 + 1), start=3
    )
    async with SqliteRepository(path, PATIENT, inline_seams) as store:
        await store.apply("g", first)
        with fault(store, path):
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match=re.escape(f"store {path} is away: ")):
                    await store.apply("g", second)
            assert not store._connection.in_transaction
            assert await store.positions("g") == {"topic.one": Position("e1", 2)}
            assert (await store.tick("NIFTY")).ts_event == T0
            statistics = await store.statistics()
            assert statistics.state == "degraded"
            assert "is away" in statistics.reason
        assert await store.apply("g", second) == 30
        assert (await store.statistics()).state == "running"
    async with SqliteRepository(path, PATIENT, inline_seams) as store:
        assert await store.positions("g") == {"topic.one": Position("e1", 32)}
        assert (await store.chain("NIFTY")).ts_event == T0 + 29
        assert len((await store.ticks("NIFTY", **ALL)).items) == 2


async def test_a_read_whose_thread_begins_after_the_store_was_closed_ends(path, inline_seams, autojump_clock):
    class Threads:
        late_s = 0.0

        async def run(self, fn, *args, limiter=None):
            async with limiter:
                await trio.sleep(self.late_s)
                return fn(*args)

    threads = Threads()
    store = SqliteRepository(path, PATIENT, dataclasses.replace(inline_seams, threads=threads))
    await store.open()

    async def read():
        with pytest.raises(StoreUnavailable, match="was closed"):
            await store.products()

    async with trio.open_nursery() as nursery:
        threads.late_s = 1.0
        nursery.start_soon(read)
        await trio.sleep(0.5)
        threads.late_s = 0.0
        await store.aclose()


async def test_an_opening_that_fails_leaves_nothing_open(path, inline_seams, monkeypatch):
    opened, real = [], sqlite3.connect

    def connect(*args, **options):
        if len(opened) == 3:
            raise sqlite3.OperationalError("unable to open database file")
        opened.append(real(*args, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", connect)
    store = SqliteRepository(path, PATIENT, inline_seams)
    with pytest.raises(sqlite3.OperationalError):
        await store.open()
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
    assert store._readers.empty()


async def test_a_refusal_holds_no_lock(path, inline_seams, make):
    async with SqliteRepository(path, PATIENT, inline_seams) as store:
        with pytest.raises(StoreError):
            await store.apply("g", make.records(make.tick(T0), make.tick(T0, -1.0)))
        other = sqlite3.connect(path, isolation_level=None, timeout=0)
        other.execute("BEGIN IMMEDIATE")
        other.close()


async def test_a_directory_that_may_not_be_written(tmp_path, inline_seams, make):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    user = os.geteuid()
    store = SqliteRepository(closed / "store.db", PATIENT, inline_seams)
    if user == 0:
        os.seteuid(65534)  # root may write anywhere
    try:
        with pytest.raises(StoreUnavailable, match="cannot be opened"):
            await store.open()
    finally:
        os.seteuid(user)
    closed.chmod(0o700)
    async with store:
        assert await store.apply("g", make.records(make.tick(T0))) == 1


async def test_a_missing_directory(tmp_path, inline_seams):
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await SqliteRepository(tmp_path / "nowhere" / "store.db", PATIENT, inline_seams).open()


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to look at", b"SQLite format 3\0" * 99]
)
async def test_a_file_that_is_no_database(path, inline_seams, content):
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged or not a store") as caught:
        await SqliteRepository(path, PATIENT, inline_seams).open()
    assert not isinstance(caught.value, StoreUnavailable)
    assert path.read_bytes() == content


async def test_a_database_of_somebody_else(path, inline_seams):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(StoreError, match="is a database, but not a DeltaStream store"):
        await SqliteRepository(path, PATIENT, inline_seams).open()


async def test_damage_is_told_in_a_sentence(path, inline_seams, make):
    async with SqliteRepository(path, PATIENT, inline_seams) as store:
        await store.apply("g", make.records(*(make.tick(T0 + i) for i in range(3000))))
        await store.apply("g", make.records(make.chain(T0, 200), start=5000))
    content = bytearray(path.read_bytes())
    for page in range(30, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(content)
    async with SqliteRepository(path, PATIENT, inline_seams) as store:
        with pytest.raises(StoreError, match="is damaged or not a store") as caught:
            await store.ticks("NIFTY", **ALL, limit=5000)
        assert not isinstance(caught.value, StoreUnavailable)
        assert "\n" not in str(caught.value)


async def test_a_damaged_chain_is_told_in_a_sentence(path, inline_seams, make):
    async with SqliteRepository(path, PATIENT, inline_seams) as store:
        await store.apply("g", make.records(make.chain(T0), make.tick(T0)))
        for body in (b"", b"junk", store._writer._packer.pack(make.status(T0))):
            store._connection.execute("UPDATE chains SET body = ?", (body,))
            with pytest.raises(StoreError, match="a stored EnrichedChain"):
                await store.chain("NIFTY")
        assert (await store.tick("NIFTY")).ts_event == T0


async def test_a_newer_store_is_refused(path, inline_seams):
    async with SqliteRepository(path, PATIENT, inline_seams):
        pass
    with sqlite3.connect(path) as later:
        later.execute("PRAGMA user_version = 77")
    later.close()
    with pytest.raises(DataDirectoryError, match="has schema 77; this version of DeltaStream knows up to"):
        await SqliteRepository(path, PATIENT, inline_seams).open()


async def test_an_older_store_is_brought_forward_all_or_nothing(path, inline_seams, make, monkeypatch):
    async with SqliteRepository(path, PATIENT, inline_seams) as store:
        await store.apply("g", make.records(make.tick(T0)))
    known = _schema.MIGRATIONS
    step = "ALTER TABLE products ADD COLUMN note TEXT"
    monkeypatch.setattr(_schema, "MIGRATIONS", (*known, (step, "CREATE TABLE meta (broken)")))
    with pytest.raises(StoreError, match="already exists"):
        await SqliteRepository(path, PATIENT, inline_seams).open()
    monkeypatch.setattr(_schema, "MIGRATIONS", (*known, (step,)))
    async with SqliteRepository(path, PATIENT, inline_seams) as store:
        assert (await store.tick("NIFTY")).ts_event == T0
        assert store._connection.execute("SELECT note FROM products").fetchall() == [(None,)]
    async with SqliteRepository(path, PATIENT, inline_seams):
        pass
    monkeypatch.setattr(_schema, "MIGRATIONS", known)
    with pytest.raises(DataDirectoryError):
        await SqliteRepository(path, PATIENT, inline_seams).open()


@pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
async def test_the_file_is_set_up_as_promised(path, inline_seams, durability, synchronous):
    async with SqliteRepository(path, StoreSettings(durability=durability), inline_seams) as store:
        values = {
            name: store._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "auto_vacuum")
        }
        assert values == {"journal_mode": "wal", "synchronous": synchronous, "auto_vacuum": 2}
        with pytest.raises(StoreError, match="open already"):
            await store.open()
    await store.aclose()
    assert [file.name for file in path.parent.iterdir()] == ["store.db"]


async def test_many_tasks_write_and_read_at_once(path, make):
    records = make.records(*(make.tick(T0 + i, 100.0 + i) for i in range(400)), make.chain(T0))

    async with SqliteRepository(path, StoreSettings(), Seams.system()) as store:

        async def write(offset: int) -> None:
            for start in range(offset, len(records), 23):
                await store.apply("g", records[start : start + 50])

        async def read() -> None:
            for _ in range(20):
                page = await store.ticks("NIFTY", **ALL, limit=5000)
                (bars,) = (await store.bars("NIFTY", interval_s=900, **ALL)).items or (None,)
                assert len(page.items) <= (bars.ticks if bars else 0)
                assert page.items == sorted(page.items, key=lambda tick: tick.ts_event)

        async with trio.open_nursery() as nursery:
            for offset in range(4):
                nursery.start_soon(write, offset * 7)
            for _ in range(5):
                nursery.start_soon(read)
        await store.apply("g", records)
        assert (await store.statistics()).applied == len(records)
        assert len((await store.ticks("NIFTY", **ALL, limit=5000)).items) == 400


async def test_a_cancelled_write_happens_or_not(path, make):
    async with SqliteRepository(path, StoreSettings(), Seams.system()) as store:
        reached = 0
        for start in range(1, 20):
            with trio.move_on_after(0.001 * (start % 5)):
                await store.apply("g", make.records(*(make.chain(T0, 60),) * 20, start=start * 20))
        for position in (await store.positions("g")).values():
            reached = position.seq
        page = await store.metrics("NIFTY", expiry="2026-11-24", **ALL)
        statistics = await store.statistics()
        assert len(page.items) % 20 == 0
        assert (reached == 0) == (page.items == [])
        assert statistics.applied <= len(page.items)
