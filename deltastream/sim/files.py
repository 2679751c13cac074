"""The files of a simulated process, as they are at one instant."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["copy_data", "remove_scratch", "scratch_directory"]

_MEMORY: Final = Path("/dev/shm")
_LEFT_BEHIND: Final = ("control.sock", "control.sock.new", "lock")


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A fresh directory, in memory where there is one, removed afterwards. Its path is always as long."""
    path = Path(tempfile.mkdtemp(prefix=_name(os.getpid()), dir=_where()))  # seam: hidden by World.tidy
    try:
        yield path
    finally:
        shutil.rmtree(path)


def remove_scratch(pid: int) -> None:
    """Remove what a process that was killed has left of its scratch directories."""
    for path in sorted(_where().glob(f"{_name(pid)}*")):
        shutil.rmtree(path, ignore_errors=True)


def _where() -> Path:
    usable = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)
    return _MEMORY if usable else Path(tempfile.gettempdir())  # seam: hidden by World.tidy


def _name(pid: int) -> str:
    return f"deltastream-sim-{pid:07d}-"


def copy_data(source: Path, target: Path) -> None:
    """Copy a data directory as a process that dies now would leave it.

    Everything the operating system has been given is there: that is what survives the death of a
    process. So does the index of SQLite's write-ahead log, which lies in shared memory that is a
    file; the journal tells by it whether its log was cut.
    """
    target.mkdir(mode=0o700)
    for name in sorted(os.listdir(source)):
        if name not in _LEFT_BEHIND:
            shutil.copy(source / name, target / name)  # with its mode: keys that others may read are refused
