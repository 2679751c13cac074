"""Sessions of the journal: what the notes beside it tell of how the last one ended."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import struct
from contextlib import closing

import pytest
from structlog.testing import capture_logs

from deltastream.bus import BusSettings, Entry, _opening, _service, open_bus
from deltastream.bus._schema import connect
from deltastream.errors import JournalError
from deltastream.messages import Position


def cut_last_frame(file):
    """Take the last committed frame from the log, as its index counts them, and what is older behind it."""
    [committed] = struct.unpack_from("=I", file.with_name(f"{file.name}-shm").read_bytes(), 16)
    with file.with_name(f"{file.name}-wal").open("r+b") as log:
        log.truncate(32 + (committed - 1) * 4120)


class TestSession:
    async def test_another_boot_begins_a_new_epoch(self, log, clock, tick):
        """A machine that died may have taken the last commits with it: their numbers are void."""
        async with log.open() as bus:
            positions = await bus.append_batch([Entry("a", tick(n)) for n in range(3)])
        with closing(sqlite3.connect(log.path)) as db:
            db.execute("INSERT INTO meta VALUES ('session', 'before process')")
            db.commit()
        with capture_logs() as lines:
            async with log.open() as bus:
                position = await bus.append("a", tick(3))
                assert position.seq == 4
                assert "the machine stopped" in str(bus.salvage)
                assert position.epoch != positions[0].epoch
                ahead = {"a": Position(positions[0].epoch, 5)}
                async with bus.consume(["a"], "store", positions=ahead) as consumer:
                    assert [d.position for d in await consumer.batch()] == [position]
        assert [line["event"] for line in lines] == ["journal_epoch_renewed"]

    async def test_another_boot_keeps_the_epoch_where_every_commit_was_synced(self, log, clock, tick):
        async with log.open(durability="power") as bus:
            position = await bus.append("a", tick(0))
        with closing(sqlite3.connect(log.path)) as db:
            db.execute("INSERT INTO meta VALUES ('session', 'before power')")
            db.commit()
        async with log.open() as bus:
            assert await bus.append("a", tick(1)) == Position(position.epoch, 2)

    async def test_the_same_boot_keeps_the_epoch(self, tmp_path, virtual, autojump_clock, tick):
        """As after kill -9: the session was not ended, but the machine went on."""
        async with open_bus(tmp_path / "a.db", BusSettings(), virtual) as bus:
            position = await bus.append("a", tick(0))
            for suffix in ("", "-wal", "-shm"):
                shutil.copy(tmp_path / f"a.db{suffix}", tmp_path / f"b.db{suffix}")
        async with open_bus(tmp_path / "b.db", BusSettings(), virtual) as bus:
            assert bus.salvage is None
            assert await bus.append("a", tick(1)) == Position(position.epoch, 2)

    async def test_a_single_frame_that_is_missing_is_missed(self, tmp_path, virtual, autojump_clock, tick):
        """The last commit of a small message; nothing that the opening writes may stand in for it."""
        async with open_bus(tmp_path / "a.db", BusSettings(), virtual) as bus:
            accepted = [await bus.append("a", tick(n)) for n in range(3)]
            for suffix in ("", "-wal", "-shm"):
                shutil.copy(tmp_path / f"a.db{suffix}", tmp_path / f"b.db{suffix}")
        cut_last_frame(tmp_path / "b.db")
        with capture_logs() as lines:
            async with open_bus(tmp_path / "b.db", BusSettings(), virtual) as bus:
                assert await bus.append("a", tick(9)) not in accepted
        assert [line["event"] for line in lines] == ["journal_epoch_renewed"]

    async def test_a_death_before_the_new_epoch_does_not_take_the_witness_with_it(
        self, tmp_path, virtual, autojump_clock, tick, monkeypatch
    ):
        """The index of a cut log is made anew by the first who opens it."""
        here, there = tmp_path / "here", tmp_path / "there"
        here.mkdir()
        async with open_bus(here / "a.db", BusSettings(), virtual) as bus:
            accepted = [await bus.append("a", tick(n)) for n in range(3)]
            shutil.copytree(here, there)
        cut_last_frame(there / "a.db")

        def die(*_):
            raise RuntimeError("killed")

        monkeypatch.setattr(_opening, "renew", die)
        with pytest.raises(RuntimeError, match="killed"):
            async with open_bus(there / "a.db", BusSettings(), virtual):
                pass
        monkeypatch.undo()
        with capture_logs() as lines:
            async with open_bus(there / "a.db", BusSettings(), virtual) as bus:
                assert await bus.append("a", tick(9)) not in accepted
        assert [line["event"] for line in lines] == ["journal_epoch_renewed"]
        async with open_bus(there / "a.db", BusSettings(), virtual) as bus:
            assert bus.salvage is None
        assert sorted(file.name for file in there.iterdir()) == ["a.db", "a.db.mark"]

    @pytest.mark.parametrize("step", ["Journal", "check", "mark_place", "name_epoch", "Reader"])
    async def test_an_opening_that_fails_does_not_make_a_whole_log_look_cut(
        self, tmp_path, virtual, autojump_clock, tick, monkeypatch, step
    ):
        """It closes the journal, which takes its log and the index of it away."""
        here, there = tmp_path / "here", tmp_path / "there"
        here.mkdir()
        async with open_bus(here / "a.db", BusSettings(), virtual) as bus:
            position = await bus.append("a", tick(0))
            shutil.copytree(here, there)

        def fail(path, *_):
            if step == "Journal":  # as its constructor does
                connect(path, "process").close()
            raise MemoryError

        monkeypatch.setattr(_opening, step, fail)
        for _ in range(2):
            with pytest.raises(MemoryError):
                async with open_bus(there / "a.db", BusSettings(), virtual):
                    pass
        monkeypatch.undo()
        async with open_bus(there / "a.db", BusSettings(), virtual) as bus:
            assert bus.salvage is None
            assert await bus.append("a", tick(1)) == Position(position.epoch, 2)

    async def test_an_opening_without_room_is_one_sentence(
        self, tmp_path, virtual, autojump_clock, monkeypatch
    ):
        def full(path, mark):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(_opening, "mark_place", full)
        with pytest.raises(JournalError, match=r"a\.db cannot be opened: No space left on device\.$"):
            async with open_bus(tmp_path / "a.db", BusSettings(), virtual):
                pass

    @pytest.mark.parametrize("noted", [True, False])
    async def test_a_session_whose_end_cannot_be_written_is_whole(
        self, tmp_path, virtual, autojump_clock, tick, monkeypatch, noted
    ):
        class Full:
            def __init__(self, db):
                self._db = db

            def execute(self, sql, *values):
                if sql.startswith("DELETE FROM meta"):
                    raise sqlite3.OperationalError("database or disk is full")
                return self._db.execute(sql, *values)

            def __getattr__(self, name):
                return getattr(self._db, name)

        def end(journal):
            journal.db = Full(journal.db)
            return _opening.end_session(journal)

        def full(path, frames):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched, capture_logs() as lines:
            patched.setattr(_service, "end_session", end)
            async with open_bus(tmp_path / "a.db", BusSettings(), virtual) as bus:
                position = await bus.append("a", tick(0))
                if not noted:
                    patched.setattr(_opening, "_note", full)
        assert [line["event"] for line in lines] == ["journal_not_closed_cleanly"]
        async with open_bus(tmp_path / "a.db", BusSettings(), virtual) as bus:
            assert bus.salvage is None
            assert await bus.append("a", tick(1)) == Position(position.epoch, 2)

    async def test_a_damaged_log_does_not_take_the_name_of_a_new_epoch(
        self, tmp_path, virtual, autojump_clock, tick
    ):
        """A store stands in that epoch already: unknown, all would take effect once more."""
        here, there = tmp_path / "here", tmp_path / "there"
        here.mkdir()
        async with open_bus(here / "a.db", BusSettings(), virtual) as bus:
            await bus.append("a", tick(1))
        with closing(sqlite3.connect(here / "a.db")) as db:
            db.execute("INSERT INTO meta VALUES ('session', 'before process')")
            db.commit()
        with capture_logs() as lines:
            async with open_bus(here / "a.db", BusSettings(), virtual) as bus:
                stands = [record.position for record in await bus.read("a")]
                await bus.append("a", tick(2))
                shutil.copytree(here, there)
            log = there / "a.db-wal"
            log.write_bytes(bytes(log.stat().st_size))
            async with open_bus(there / "a.db", BusSettings(), virtual) as bus:
                new = await bus.append("a", tick(3))
                async with bus.consume(["a"], "store", positions={"a": stands[-1]}) as consumer:
                    assert [d.position for d in await consumer.batch()] == [new]
        assert [line["event"] for line in lines] == ["journal_epoch_renewed"] * 2

    @pytest.mark.parametrize("earlier", [0, 1])
    async def test_wherever_the_machine_cuts_the_log_no_number_is_given_twice(
        self, tmp_path, virtual, autojump_clock, tick, earlier
    ):
        """Between the transactions of an opening, too: each cut loses what was accepted, or nothing."""
        here, there = tmp_path / "here", tmp_path / "there"
        here.mkdir()
        for _ in range(earlier):
            async with open_bus(here / "a.db", BusSettings(), virtual) as bus:
                await bus.append("a", tick(0))
        async with open_bus(here / "a.db", BusSettings(), virtual) as bus:
            accepted = await bus.append("a", tick(1))
            log = (here / "a.db-wal").read_bytes()
            files = {name: (here / name).read_bytes() for name in ("a.db", "a.db.mark")}
        lost = 0
        for cut in range(0, len(log), 2060):
            there.mkdir()
            for name, content in files.items():
                (there / name).write_bytes(content)
            (there / "a.db-wal").write_bytes(log[:cut])
            with capture_logs():
                async with open_bus(there / "a.db", BusSettings(), virtual) as bus:
                    assert await bus.append("a", tick(2)) != accepted
                    lost += all(record.message != tick(1) for record in await bus.read("a"))
            shutil.rmtree(there)
        assert lost >= 3
