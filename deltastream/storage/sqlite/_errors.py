"""SQLite's errors, told as ours: away for now, or not to be helped."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deltastream.errors import StoreDamaged, StoreError, StoreUnavailable

__all__ = ["translated"]

_AWAY: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk reports an I/O error",
    sqlite3.SQLITE_BUSY: "another process holds its lock",
    sqlite3.SQLITE_LOCKED: "another process holds its lock",
    sqlite3.SQLITE_PROTOCOL: "another process holds its lock",
    sqlite3.SQLITE_READONLY: "it may not be written",
    sqlite3.SQLITE_PERM: "it may not be opened",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
}
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Run a block against the store at `path`.

    Raises:
        StoreUnavailable: for an error whose cause may go away.
        StoreDamaged: the file is broken, or something else than a store.
        StoreError: for any other that SQLite reports.
    """
    try:
        yield
    except MemoryError as error:  # what the module makes of SQLITE_NOMEM
        raise StoreUnavailable(f"store {path} is away: there is no memory left") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:  # misuse of the module, a defect of ours
            raise
        primary = code & 0xFF
        if primary in _AWAY:
            raise StoreUnavailable(f"store {path} is away: {_AWAY[primary]} ({error})") from error
        if primary in _DAMAGED:
            raise StoreDamaged(
                f"store {path} is damaged or not a store ({error}); move it away to begin a new one"
            ) from error
        raise StoreError(f"store {path} refused: {error}") from error
