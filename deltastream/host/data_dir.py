"""The data directory: where one host keeps its journal, store and control socket.

Owned by one host at a time through a lock that dies with its process. Layout::

    journal.db     the bus; beside it journal.db.mark, which tells a journal put back from a copy
    store.db       the history
    accounts.db    users, sessions, API keys
    accounts.keys  what signs access tokens
    control.sock   where the command line reaches the running host
    lock           held while a host runs; tells its process number
    VERSION        layout of this directory
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deltastream.errors import DataDirectoryError

__all__ = ["LAYOUT", "DataDirectory", "open_data_directory"]

LAYOUT: Final = 1
"""The newest layout that this version reads and writes."""

_LOCK_TRIES: Final = 5
_LOCK_PAUSE_S: Final = 0.01
_REASONS: Final = {
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
    errno.EROFS: "it is on a read-only file system",
    errno.ENOSPC: "no space is left on its disk",
    errno.EDQUOT: "your disk quota is used up",
    errno.ENOTDIR: "part of its path is a file, not a directory",
    errno.EEXIST: "it is a file, not a directory",
    errno.ENAMETOOLONG: "its path is too long",
    errno.ELOOP: "its path runs in a circle of symbolic links",
    errno.ENOLCK: "its file system has no locks",
}


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The paths of one data directory; making this object touches nothing."""

    path: Path

    @property
    def journal(self) -> Path:
        """The bus's SQLite file."""
        return self.path / "journal.db"

    @property
    def store(self) -> Path:
        """The history's SQLite file."""
        return self.path / "store.db"

    @property
    def accounts(self) -> Path:
        """The accounts' SQLite file."""
        return self.path / "accounts.db"

    @property
    def signing_keys(self) -> Path:
        """The file of the keys that sign access tokens."""
        return self.path / "accounts.keys"

    @property
    def control_socket(self) -> Path:
        """Where a running host listens."""
        return self.path / "control.sock"

    @property
    def lock(self) -> Path:
        """The file whose lock tells that a host runs."""
        return self.path / "lock"

    @property
    def version(self) -> Path:
        """Holds the layout's number."""
        return self.path / "VERSION"

    def exists(self) -> bool:
        """Whether a host has ever used this directory."""
        return os.path.isfile(self.version)

    def holder(self) -> int | None:
        """The process that holds the lock: its number, 0 where it has not told it, None where nobody does.

        Raises:
            DataDirectoryError: the lock file is there but cannot be looked at.
        """
        try:
            descriptor = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refusal(self.path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _told(descriptor)
        except OSError as error:
            raise _refusal(self.path, error) from error
        finally:
            os.close(descriptor)
        return None

    def sizes(self) -> dict[str, int]:
        """Bytes on disk of journal and store, each with its write-ahead log."""
        return {"journal": _size(self.journal), "store": _size(self.store)}


@contextmanager
def open_data_directory(path: str | Path) -> Iterator[DataDirectory]:
    """Make the directory where it is missing (mode 0700), take its lock, check its layout.

    The lock is released on leaving, or by the kernel when the process dies.

    Raises:
        DataDirectoryError: one sentence: not a directory, not writable, full, in use by another
            process, or written by a newer version.
    """
    directory = DataDirectory(Path(path))
    try:
        directory.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _refusal(directory.path, error) from error
    except ValueError as error:  # a NUL in the path
        raise DataDirectoryError(f"{str(path)!r} is not a path: {error}.") from error
    try:
        _take(descriptor, directory.path)
        try:
            _tell(descriptor)
            _check_layout(directory)
        except OSError as error:
            raise _refusal(directory.path, error) from error
        yield directory
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    """Take the lock; a look at it from `holder` lasts microseconds, so one refusal is not the end."""
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE_S)
        except OSError as error:
            raise _refusal(path, error) from error
        else:
            return
    pid = _told(descriptor)
    who = f"process {pid}" if pid else "another process"
    raise DataDirectoryError(f"The data directory {path} is in use by {who}.")


def _tell(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _told(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else 0


def _check_layout(directory: DataDirectory) -> None:
    try:
        text = directory.version.read_bytes()[:64].strip()
    except FileNotFoundError:
        unfinished = directory.version.with_name("VERSION.new")
        unfinished.write_text(f"{LAYOUT}\n")
        unfinished.replace(directory.version)
        return
    if not text.isdigit() or int(text) < 1:
        raise DataDirectoryError(f"{directory.version} does not hold a version number.")
    if int(text) > LAYOUT:
        raise DataDirectoryError(
            f"The data directory {directory.path} was written by a newer version of DeltaStream "
            f"(layout {int(text)}, this version knows {LAYOUT})."
        )


def _size(path: Path) -> int:
    total = 0
    for name in (path, path.with_name(f"{path.name}-wal")):
        try:
            total += name.stat().st_size
        except OSError:
            continue
    return total


def _refusal(path: Path, error: OSError) -> DataDirectoryError:
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return DataDirectoryError(f"The data directory {path} cannot be used: {reason}.")
