"""Opening the journal: check it, salvage it where it is damaged, begin a new epoch where it must be.

A journal that was not closed may have lost its last commits: with the machine, where durability is
"process", or because its write-ahead log was cut or overwritten; one put back from a backup lacks
what came after it. Their sequence numbers would then be given again to other messages, so a new
epoch begins. What SQLite keeps in shared memory tells how long the log was; it survives the
process, but not the machine.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import structlog

from deltastream.bus._epochs import (
    forget_beyond,
    mark_journal,
    mark_place,
    name_epoch,
    renew,
    superseded,
    unmark_place,
)
from deltastream.bus._journal import Journal, Reader, Standing, sense
from deltastream.bus._salvage import SalvageReport, finish, salvage
from deltastream.bus._schema import connect_reader, wal_bytes
from deltastream.bus._writer import is_damage
from deltastream.bus.settings import BusSettings
from deltastream.errors import JournalError
from deltastream.seams import Ids

__all__ = ["CHECK_AT_ONCE_BYTES", "Opened", "check", "end_session", "open_journal"]

CHECK_AT_ONCE_BYTES: Final = 256 << 20
"""Up to this size the structure is checked before the bus starts (0.1 s when it is in the page
cache); a larger journal is checked while it works."""

_WHOLE: Final = "0"
"""In the place of the number of frames that there must be at least."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

_log = structlog.get_logger("deltastream.bus")


class Opened:
    """A journal ready for use."""

    def __init__(self, journal: Journal, report: SalvageReport | None) -> None:
        self.journal = journal
        self.report = report
        self.standing: Standing = journal.standing()
        self.reader = Reader(journal.path)
        self.checked = _size(journal.path) <= CHECK_AT_ONCE_BYTES


def open_journal(path: Path, settings: BusSettings, ids: Ids, damage: str | None) -> Opened:
    """Open, check and where necessary salvage; blocking.

    Args:
        damage: what was found wrong while the journal was last in use.

    Raises:
        JournalError: it cannot be opened or written, or is of a newer version.
    """
    try:
        finish(path)
        report = None
        try:
            if damage is not None:
                raise sqlite3.DatabaseError(damage)
            with sense():
                opened = _open(path, settings, ids, None)
        except sqlite3.DatabaseError as error:
            if damage is None and not is_damage(error):
                raise
            report = salvage(path, str(error), ids.new(), ids.new())
            _log.error(
                "journal_salvaged",
                reason=report.reason,
                set_aside=str(report.set_aside),
                salvaged=report.salvaged,
                lost=report.lost,
                unreadable=report.unreadable,
            )
            opened = _open(path, settings, ids, report)
    except (OSError, sqlite3.Error) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise JournalError(f"The journal {path} cannot be opened: {reason}.") from error
    return opened


def _open(path: Path, settings: BusSettings, ids: Ids, report: SalvageReport | None) -> Opened:
    first = not path.exists()
    whole = first or _log_is_whole(path)
    journal = Journal(path, settings.durability, ids.new, 2 * wal_bytes(settings.max_bytes))
    try:
        if first:
            unmark_place(path)
        doubt = None if report is not None else _doubt(journal, whole)
        if doubt is not None:
            report = SalvageReport(None, doubt, ids.new())
            with _transaction(journal.db):
                renew(journal.db, journal.epoch, report.epoch, journal.ends())
                forget_beyond(journal.db, journal.ends())
            journal.epoch = report.epoch
            _log.error("journal_epoch_renewed", reason=doubt, epoch=report.epoch)
        _note(path, _WHOLE)
        if _size(path) <= CHECK_AT_ONCE_BYTES:
            check(path)
        mark = ids.new()
        with _transaction(journal.db):
            name_epoch(journal.db, journal.epoch)
            mark_journal(journal.db, path, mark)
            # in one transaction with the mark: without either, a cut log would look like a whole one
            session = (f"{_boot()} {settings.durability}",)
            journal.db.execute("INSERT OR REPLACE INTO meta VALUES ('session', ?)", session)
        mark_place(path, mark)
        # before anybody sees the epoch its name is in the file itself: a damaged log cannot take it
        journal.write_back(empty=True)
        opened = Opened(journal, report)
        _witness(path).unlink()
        return opened
    except BaseException:
        journal.close()
        raise


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Committed and synced if the block ends well; what is not, goes with the connection.

    Synced whatever the durability: who has seen an epoch, such as a store, must not find it unknown.
    """
    (synchronous,) = db.execute("PRAGMA synchronous").fetchone()
    db.execute("PRAGMA synchronous = FULL")
    db.execute("BEGIN IMMEDIATE")
    yield
    db.execute("COMMIT")
    db.execute(f"PRAGMA synchronous = {synchronous}")


def _doubt(journal: Journal, whole: bool) -> str | None:
    """Why commits may be missing at the end of the journal; None where none can be."""
    if superseded(journal.db, journal.path):
        return "it is not the one that was last used here, but an older copy"
    found = journal.db.execute("SELECT value FROM meta WHERE name = 'session'").fetchone()
    if found is None:
        return None
    boot, _, durability = str(found[0]).partition(" ")
    if boot != _boot():
        return None if durability == "power" else "the machine stopped while the journal was open"
    return None if whole else "the end of its write-ahead log is missing or overwritten"


def _log_is_whole(path: Path) -> bool:
    """Whether the write-ahead log has all that was committed by this machine since it was started.

    Opening the journal makes the index anew, out of what the log has now, and closing it removes
    both: so what the index had told is kept beside it, until an opening has come to its end. The
    log is looked at by a connection that cannot write: it leaves it as it is, whatever fails.
    """
    witness = _witness(path)
    committed = _frames_in_log(path)
    if witness.exists():
        before = witness.read_bytes()
        committed = max(committed or 0, int(before)) if before.isdigit() else None
    _note(path, "none" if committed is None else str(committed))
    with closing(connect_reader(path)) as db:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        found = _frames_in_log(path) or 0
    if committed is None or found < committed:
        return False
    _note(path, _WHOLE)
    return True


def _frames_in_log(path: Path) -> int | None:
    """Committed frames of the write-ahead log by SQLite's index of it; None where there is no index.

    Before this process opens the journal: as many as were written. While it has it open: as many as
    SQLite has found to be whole. The index begins with two copies of a header of 48 bytes, whose
    fifth word is that number.
    """
    try:
        header = Path(f"{path}-shm").read_bytes()[:96]
    except FileNotFoundError:
        return None
    if len(header) < 96:
        return None
    first, second = struct.unpack_from("=I", header, 16), struct.unpack_from("=I", header, 64)
    return int(min(first[0], second[0]))


def _note(path: Path, frames: str) -> None:
    fresh = Path(f"{path}.frames-new")
    fresh.write_text(frames)
    fresh.replace(_witness(path))


def _witness(path: Path) -> Path:
    return Path(f"{path}.frames")


def _boot() -> str:
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else "unknown"


def check(path: Path, stop: list[bool] | None = None) -> None:
    """Check the journal's structure on a connection of its own; blocking.

    Args:
        stop: a list that becomes non-empty when the check shall end early.

    Raises:
        sqlite3.DatabaseError: it is damaged, with SQLite's code for that.
    """
    with closing(connect_reader(path)) as db:
        if stop is not None:
            db.set_progress_handler(lambda: len(stop), 10_000)
        found: str = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        error = sqlite3.DatabaseError(found.splitlines()[-1])
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def end_session(journal: Journal) -> bool:
    """Leave word that the journal is whole; False where that cannot be written: then its log must stay."""
    try:
        journal.db.execute("DELETE FROM meta WHERE name = 'session'")
    except (sqlite3.Error, MemoryError) as error:
        _log.warning("journal_not_closed_cleanly", error=str(error))
        try:
            _note(journal.path, _WHOLE)
        except OSError:
            return False
    return True


def _size(path: Path) -> int:
    return path.stat().st_size
