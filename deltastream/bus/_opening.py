"""Opening the journal: check it, salvage it where it is damaged, begin a new epoch where it must be.

Without `durability = "power"` the last commits before a power failure may be gone, and their
sequence numbers would be given again to other messages. So a journal that was not closed and was
written under another boot of the machine begins a new epoch.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import structlog

from deltastream.bus._journal import Journal, Reader, Standing
from deltastream.bus._salvage import SalvageReport, finish, inherit, salvage
from deltastream.bus._schema import connect_reader, wal_bytes
from deltastream.bus._writer import is_damage
from deltastream.bus.settings import BusSettings
from deltastream.errors import JournalError
from deltastream.seams import Ids

__all__ = ["CHECK_AT_ONCE_BYTES", "Opened", "check", "end_session", "open_journal"]

CHECK_AT_ONCE_BYTES: Final = 256 << 20
"""Up to this size the structure is checked before the bus starts (0.1 s when it is in the page
cache); a larger journal is checked while it works."""

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
        raise JournalError(f"The journal {path} cannot be opened: {error}.") from error
    return opened


def _open(path: Path, settings: BusSettings, ids: Ids, report: SalvageReport | None) -> Opened:
    if path.exists() and _size(path) <= CHECK_AT_ONCE_BYTES:
        check(path)
    journal = Journal(path, settings.durability, ids.new, 2 * wal_bytes(settings.max_bytes))
    try:
        _begin_session(journal, ids)
        return Opened(journal, report)
    except BaseException:
        journal.close()
        raise


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
        error = sqlite3.DatabaseError(found)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _begin_session(journal: Journal, ids: Ids) -> None:
    boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
    unclean = journal.db.execute("SELECT value FROM meta WHERE name = 'session'").fetchone()
    if unclean is not None and unclean[0] != boot:
        epoch = ids.new()
        _log.warning(
            "journal_epoch_renewed", reason="the machine stopped while the journal was open", epoch=epoch
        )
        inherit(journal.db, journal.epoch, epoch)
        journal.epoch = epoch
    journal.db.execute("INSERT OR REPLACE INTO meta VALUES ('session', ?)", (boot,))


def end_session(journal: Journal) -> None:
    """Close the journal; what is committed is in its file."""
    try:
        journal.db.execute("DELETE FROM meta WHERE name = 'session'")
    except sqlite3.Error as error:
        _log.warning("journal_not_closed_cleanly", error=str(error))
    finally:
        journal.close()


def _size(path: Path) -> int:
    return path.stat().st_size
