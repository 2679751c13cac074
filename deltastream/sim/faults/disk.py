"""Faults of the disk: SQLite's statements fail as they do with a full, slow, locked or failing one.

While they are in force, connections that a simulated process opens are of a class of ours that asks
before and after each statement. So an error comes in the middle of a transaction, where SQLite
itself would raise it, and leaves the transaction as SQLite would: rolled back after an input or
output error, open after a lock. A process can be killed between any two statements. On a full or
failing disk the small files beside a database, such as the journal's mark, stay empty, too.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import trio

from deltastream.sim import _kinds as kinds
from deltastream.sim.faults._strike import Armed, arm
from deltastream.sim.faults.damage import Synced, Torn
from deltastream.sim.machine import process
from deltastream.sim.plan import Fault
from deltastream.sim.seams import Work

if TYPE_CHECKING:
    from deltastream.sim.host import SimHost
    from deltastream.sim.world import World

__all__ = ["DiskFaults"]

_ANY_VERB_S: Final = 5.0
"""How long a death waits for its own kind of statement before it takes any."""

_FILES: Final = ("journal", "store", "accounts")
"""What fails; a fault of both files is one of the disk, and so of the accounts, too."""

_FULL: Final = 2
_WRITES: Final = ("INSERT", "UPDATE", "DELETE", "CREATE", "COMMIT")
_CHECKPOINT: Final = "PRAGMA wal_checkpoint"


class DiskFaults:
    """The plan's faults of the disk; a `ThreadHook`, and a context in which connections fail.

    Attributes:
        synced: what commits have synced of each file's log; kept where the plan has a power cut.
    """

    def __init__(self, world: World, faults: tuple[Fault, ...]) -> None:
        self._world = world
        self._errors = arm(world, faults, kinds.SqlError)
        self._full = arm(world, faults, kinds.FullDisk)
        self._slow = arm(world, faults, kinds.SlowDisk)
        self._deaths = arm(world, faults, kinds.KillAtStatement)
        self._torn = arm(world, faults, kinds.TornCommit)
        self._skipped: dict[int, int] = {}
        self._watches_syncs = bool(arm(world, faults, kinds.PowerCut))
        self.synced: dict[str, Synced] = {}

    @property
    def slows(self) -> bool:
        """Whether work takes longer at some time."""
        return bool(self._slow)

    @property
    def fails(self) -> bool:
        """Whether statements do not just run, or have to be watched."""
        return self._watches_syncs or any((self._errors, self._full, self._deaths, self._torn))

    async def before(self, work: Work) -> None:
        """See `ThreadHook`: what a slow disk does."""
        for slow in self._slow:
            if slow.on and slow.fault.file in ("both", work.area):
                slow.strike(f"{work.name} takes {slow.fault.delay_s:g} s longer")
                await trio.sleep(slow.fault.delay_s)

    async def after(self, work: Work) -> None:
        """See `ThreadHook`."""

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Have connections of simulated processes, and what they write beside, fail as planned."""
        real, real_open = sqlite3.connect, Path.open

        def connect(database: Any, *args: Any, **options: Any) -> sqlite3.Connection:
            host, file = process.get(), _file_of(str(database))
            if host is None or file is None:
                plain: sqlite3.Connection = real(database, *args, **options)
                return plain
            connection: _Connection = real(database, *args, factory=_Connection, **options)
            connection.belong(self, host, file)
            return connection

        def open_path(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
            host = process.get()
            if host is not None and host.alive and "w" in mode and _file_of(path.name):
                self.write_beside(path)
            return real_open(path, mode, *args, **options)

        sqlite3.connect = connect  # type: ignore[assignment]
        Path.open = open_path  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            sqlite3.connect = real
            Path.open = real_open  # type: ignore[method-assign]

    def write_beside(self, path: Path) -> None:
        """A file beside a database is about to be written anew; half of those on a full disk can be."""
        file = _file_of(path.name)
        for error in self._errors:
            if error.fault.error == "io":
                _leave_empty(path, file, error, errno.EIO, error.fault.share)
        for full in self._full:
            _leave_empty(path, file, full, errno.ENOSPC, 0.5)

    def reach(self, connection: _Connection, sql: str, verb: str) -> Torn | None:
        """A statement is about to run: kill the process, raise, or let it be.

        Returns:
            The log as it is before a commit that shall be torn.
        """
        for death in self._deaths:
            if death.fault.moment == "before":
                self._kill(death, connection, verb)
        if verb != "ROLLBA":  # SQLite always can
            for error in self._errors:
                if error.on and error.fault.file in ("both", connection.file):
                    self._err(error, connection, verb)
            for full in self._full:
                writes = verb in _WRITES or sql.startswith(_CHECKPOINT)
                if full.on and writes and full.fault.file in ("both", connection.file):
                    full.strike(f"{verb} on the {connection.file} finds the disk full")
                    keeps = verb != "COMMIT" and full.rng.random() < 0.5
                    _fail(connection, sqlite3.SQLITE_FULL, keeps)
        if verb == "COMMIT":
            for torn in self._torn:
                if torn.due and torn.fault.file == connection.file and self._counts_down(torn):
                    return Torn(connection.path, torn)
        return None

    def pass_by(self, connection: _Connection, verb: str, torn: Torn | None) -> None:
        """A statement has run."""
        if torn is not None and not self._world.closing and torn.whole:
            fault = torn.armed.fault
            self._world.kill(0, torn.tear, fault.down_s)
        if self._watches_syncs and verb == "COMMIT" and connection.syncs:
            self.synced[connection.file] = Synced.of(connection.path)
        for death in self._deaths:
            if death.fault.moment == "after":
                self._kill(death, connection, verb)

    def _kill(self, death: Armed[kinds.KillAtStatement], connection: _Connection, verb: str) -> None:
        fault = death.fault
        if not death.due or fault.file != connection.file or self._world.closing:
            return
        if fault.verb != verb and self._world.now() < fault.at + _ANY_VERB_S:
            return
        if self._counts_down(death) and self._world.kill(0, None, fault.down_s):
            death.strike(f"the process is killed {fault.moment} {verb} on the {fault.file}")

    def _counts_down(self, armed: Armed[Any]) -> bool:
        """Whether those to skip have been skipped."""
        skipped = self._skipped.get(armed.fault.id, 0)
        self._skipped[armed.fault.id] = skipped + 1
        return bool(skipped >= armed.fault.skip)

    def _err(self, error: Armed[kinds.SqlError], connection: _Connection, verb: str) -> None:
        what = error.fault.error
        if what == "busy" and connection.in_transaction:
            return  # it has the lock
        if error.rng.random() >= error.fault.share:
            return
        error.strike(f"{verb} on the {connection.file} fails: {what}")
        if what == "memory":
            if connection.in_transaction:
                connection.roll_back()
            raise MemoryError  # what the module makes of SQLITE_NOMEM
        _fail(
            connection, sqlite3.SQLITE_BUSY if what == "busy" else sqlite3.SQLITE_IOERR_WRITE, what == "busy"
        )


class _Connection(sqlite3.Connection):
    """Asks before and after each statement, for as long as its process is alive."""

    _disk: DiskFaults | None = None
    _host: SimHost
    file: str
    path: Path

    def belong(self, disk: DiskFaults, host: SimHost, file: str) -> None:
        """Be a living process's connection to that file."""
        self._disk, self._host, self.file = disk, host, file
        self.path = host.data_dir.path / f"{file}.db"

    @property
    def syncs(self) -> bool:
        """Whether it syncs the log with each commit."""
        return bool(super().execute("PRAGMA synchronous").fetchone()[0] >= _FULL)

    def roll_back(self) -> None:
        """Roll back without asking."""
        super().execute("ROLLBACK")

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """As the module's."""
        disk = self._disk
        if disk is None or not self._host.alive:
            return super().execute(sql, parameters)
        verb = _verb(sql)
        torn = disk.reach(self, sql, verb)
        cursor = super().execute(sql, parameters)
        disk.pass_by(self, verb, torn)
        return cursor

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """As the module's."""
        disk = self._disk
        if disk is None or not self._host.alive:
            return super().executemany(sql, parameters)
        verb = _verb(sql)
        disk.reach(self, sql, verb)
        cursor = super().executemany(sql, parameters)
        disk.pass_by(self, verb, None)
        return cursor


def _verb(sql: str) -> str:
    """The first six letters of a statement."""
    return sql.lstrip()[:6].upper()


def _fail(connection: _Connection, code: int, keeps_transaction: bool) -> NoReturn:
    """Raise what SQLite raises, and leave the transaction as it does."""
    if connection.in_transaction and not keeps_transaction:
        connection.roll_back()
    text = {
        sqlite3.SQLITE_BUSY: "database is locked",
        sqlite3.SQLITE_IOERR_WRITE: "disk I/O error",
        sqlite3.SQLITE_FULL: "database or disk is full",
    }[code]
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    raise error


def _leave_empty(path: Path, file: str | None, armed: Armed[Any], code: int, share: float) -> None:
    """Raise what the operating system raises, for so many of the files, while the fault holds."""
    if armed.on and armed.fault.file in ("both", file) and armed.rng.random() < share:
        armed.strike(f"{path.name} cannot be written: {os.strerror(code)}")
        path.touch()
        raise OSError(code, os.strerror(code), str(path))


def _file_of(database: str) -> str | None:
    """Which of a process's files a path or address names."""
    name = database.rsplit("/", 1)[-1].split("?", 1)[0]
    return next((file for file in _FILES if name.startswith(f"{file}.db")), None)
