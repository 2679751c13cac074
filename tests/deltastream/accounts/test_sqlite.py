"""The file of the accounts: private, of a version we know, shared between processes, whole after a kill."""

from __future__ import annotations

import gc
import os
import random
import sqlite3
import stat
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from deltastream.accounts import SqliteAccountStore
from deltastream.accounts.sqlite import _schema
from deltastream.accounts.types import User
from deltastream.errors import DataDirectoryError, StoreDamaged, StoreError, StoreUnavailable
from deltastream.seams import Seams
from deltastream.sim.leaks import open_files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.db"


ROOT = User(id="root", email="root@example.org", name="", role="admin", created=1)


async def test_all_its_files_are_for_the_owner_alone(path, seams: Seams):
    before = os.umask(0o022)
    try:
        async with SqliteAccountStore(path, seams) as store:
            await store.add_user(ROOT)
            modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"accounts.db": 0o600, "accounts.db-wal": 0o600, "accounts.db-shm": 0o600}


async def test_an_opening_that_fails_leaves_no_file_open(
    tmp_path: Path, seams: Seams, monkeypatch: pytest.MonkeyPatch
):
    """At every statement in turn, while no garbage is collected."""
    left = 0

    class Failing(sqlite3.Connection):
        def execute(self, *args: Any) -> sqlite3.Cursor:
            nonlocal left
            left -= 1
            if left < 0:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR
                raise error
            return super().execute(*args)

    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", partial(real, factory=Failing))
    gc.disable()
    try:
        for after in range(60):
            left = after
            store = SqliteAccountStore(tmp_path / f"{after}.db", seams)
            try:
                await store.open()
            except StoreUnavailable:
                assert open_files(tmp_path) == []
            else:
                break
    finally:
        gc.enable()
    await store.aclose()
    assert 10 <= after < 59


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
async def test_a_file_that_others_may_use_is_refused(path, seams: Seams, mode: int):
    async with SqliteAccountStore(path, seams):
        pass
    path.chmod(mode)
    with pytest.raises(DataDirectoryError, match="others than its owner may use it; chmod 600 it"):
        await SqliteAccountStore(path, seams).open()


async def test_a_newer_one_is_refused(path, seams: Seams):
    async with SqliteAccountStore(path, seams):
        pass
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(DataDirectoryError, match=r"has schema 99; this version of DeltaStream knows up to 1"):
        await SqliteAccountStore(path, seams).open()


async def test_another_database_is_left_alone(path, seams: Seams):
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE mine (a)")
    db.close()
    path.chmod(0o600)
    with pytest.raises(StoreError, match="not one of DeltaStream's accounts"):
        await SqliteAccountStore(path, seams).open()


async def test_what_is_no_database_is_refused(path, seams: Seams):
    path.write_bytes(b"not a database" * 1000)
    path.chmod(0o600)
    with pytest.raises(StoreDamaged):
        await SqliteAccountStore(path, seams).open()


async def test_a_directory_that_is_not_there(tmp_path: Path, seams: Seams):
    with pytest.raises(DataDirectoryError, match="cannot be made: No such file or directory"):
        await SqliteAccountStore(tmp_path / "gone" / "accounts.db", seams).open()


async def test_it_is_opened_once(path, seams: Seams):
    async with SqliteAccountStore(path, seams) as store:
        with pytest.raises(StoreError, match="open already"):
            await store.open()


async def test_migrations_go_on_from_where_they_stand(path, seams: Seams, monkeypatch: pytest.MonkeyPatch):
    async with SqliteAccountStore(path, seams) as store:
        await store.add_user(ROOT)
    more = (*_schema.MIGRATIONS, ("ALTER TABLE links ADD COLUMN note TEXT",))
    monkeypatch.setattr(_schema, "MIGRATIONS", more)
    async with SqliteAccountStore(path, seams) as store:
        assert await store.users() == [ROOT]
        assert store._reader is not None
        assert store._reader.execute("PRAGMA user_version").fetchone() == (2,)


async def test_many_that_make_it_make_one(path):
    """Real threads, as several processes would."""
    stores = [SqliteAccountStore(path, Seams.system()) for _ in range(6)]
    async with trio.open_nursery() as nursery:
        for store in stores:
            nursery.start_soon(store.open)
    await stores[0].add_user(ROOT)
    assert [await store.users() for store in stores] == [[ROOT]] * 6
    for store in stores:
        await store.aclose()


async def test_a_locked_file_is_away_for_now(path, seams: Seams, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_schema, "_BUSY_S", 0.01)
    async with SqliteAccountStore(path, seams) as store:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another process holds its lock"):
            await store.add_user(ROOT)
        assert await store.users() == []  # reading goes on
        holder.execute("ROLLBACK")
        holder.close()
        await store.add_user(ROOT)


async def test_a_step_that_fails_leaves_nothing(path, seams: Seams, monkeypatch: pytest.MonkeyPatch):
    """At every statement of a step in turn: all of it happens or none."""
    async with SqliteAccountStore(path, seams) as store:
        await store.add_user(ROOT)
        await store.add_user(User(id="ann", email="ann@x", name="", role="user", created=2))

        class Failing:
            def __init__(self, db: sqlite3.Connection, after: int) -> None:
                self._db, self._left = db, after

            in_transaction = property(lambda self: self._db.in_transaction)

            def execute(self, sql: str, *args: Any) -> Any:
                if sql not in ("ROLLBACK",) and not sql.startswith("BEGIN"):
                    self._left -= 1
                    if self._left < 0:
                        raise ArithmeticError
                return self._db.execute(sql, *args)

        real = store._writer
        for after in range(20):
            store._writer = Failing(real, after)  # type: ignore[assignment, arg-type]  # stands in
            try:
                await store.set_password("ann", 1, "new")
            except ArithmeticError:
                ann = await store.user("ann")
                assert (ann.password_hash, ann.session_version) == (None, 1)
                assert await store.revocations() == []
            else:
                break
        assert 4 <= after < 19
        store._writer = real
        assert (await store.user("ann")).password_hash == "new"


async def test_no_secret_lies_in_the_file(world: Any, autojump_clock: Any, password: str):
    async with world.gateway() as accounts:
        ann = await accounts.ann()
        again = await accounts.service.refresh(ann.refresh)
        who = await accounts.service.authenticate(again.access)
        key = await accounts.service.create_key(who, "k", ["read:market"])
        link = await accounts.administration.link("ann@example.org")
        lying = b"".join(entry.read_bytes() for entry in world.directory.glob("accounts.db*"))
    for secret in (ann.refresh, again.refresh, ann.access, again.access, key.text, link.token, password):
        assert secret.encode() not in lying
        bare = secret.rpartition("_")[2]
        if len(bare) == 64:
            assert bytes.fromhex(bare) not in lying


WRITER = """
import sys, trio
from pathlib import Path
from deltastream.accounts import SqliteAccountStore
from deltastream.accounts.types import RefreshToken, Session, User
from deltastream.seams import Seams

FAR = 1 << 62

async def main():
    seams = Seams.system()
    async with SqliteAccountStore(Path(sys.argv[1]), seams) as store:
        await store.add_first_user(User(id="root", email="root@x", name="", role="admin", created=1))
        while True:
            name = seams.ids.new()
            await store.add_user(User(id=name, email=f"{name}@x", name="", role="user", created=1))
            session = Session(id=name, user_id=name, version=1, origin="link", created=1, expires=FAR)
            token = name.encode()
            await store.add_session(session, RefreshToken(hash=token, issued=1, expires=FAR), most=3)
            for turn in range(3):
                after = token + b"+"
                successor = RefreshToken(hash=after, issued=1, expires=FAR)
                await store.rotate(token, successor, b"sealed", grace_s=10)
                token = after
            await store.set_password(name, 1, "new")
            print(name, flush=True)

trio.run(main)
"""


def work_until_killed(path: Path, after_s: float) -> list[str]:
    """The users with whom the worker knew to be done."""
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(after_s)
        child.kill()
        lines = [first, *child.stdout.read().splitlines(keepends=True)]
    return [line.strip() for line in lines if line.endswith("\n")]


@pytest.mark.slow
async def test_killed_at_any_instant_every_step_is_whole(path, seams: Seams):
    rng = random.Random(5)
    for _ in range(6):
        done = work_until_killed(path, rng.uniform(0.02, 0.3))
        async with SqliteAccountStore(path, seams) as store:
            db = store._writer
            assert db is not None
            for one in done:
                user = await store.user(one)
                assert (user.password_hash, user.session_version) == ("new", 2)
            versions = db.execute(
                "SELECT id, session_version FROM users WHERE password_hash = 'new'"
            ).fetchall()
            waiting = {row[0] for row in db.execute("SELECT user_id FROM revocations")}
            assert {one for one, version in versions} == waiting
            assert {version for _, version in versions} == {2}
            # of every chain of tokens the last alone is unused, and every used one has its successor
            loose = db.execute(
                "SELECT session, count(*) FROM refresh_tokens WHERE used IS NULL GROUP BY session"
            ).fetchall()
            assert {count for _, count in loose} == {1}
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("PRAGMA foreign_key_check").fetchall() == []
