"""Damage to the files of a dead process: done to a copy, between its death and the next start.

What a write-ahead log of SQLite holds is told by its index in shared memory (``-shm``): the word at
byte 16 counts its committed frames, that at byte 96 the frames that a checkpoint has written back,
that at byte 128 those that one has begun to write back, before which it syncs the log. Without
`durability = "power"` nothing else is synced.
"""

from __future__ import annotations

import random
import sqlite3
import struct
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np

from deltastream.sim._kinds import TornCommit
from deltastream.sim.faults._strike import Armed

__all__ = [
    "Synced",
    "Torn",
    "copy_of",
    "data_directory",
    "flip",
    "lose_power",
    "move_store_away",
    "put_back",
    "ruin_store",
    "written_back",
]

_PAGE: Final = 4096
_HEADER: Final = 32
_FRAME: Final = _PAGE + 24
_COMMITTED, _WRITTEN_BACK, _BEGUN = 16, 96, 128
_TREE_PAGES: Final = (2, 5, 10, 13)
_MESSAGE: Final = b"DSM1"
_MESSAGE_HEAD: Final = 64

File = Literal["journal", "store"]
Files = dict[str, bytes]


def data_directory(world: Path) -> Path:
    """The data directory in a world's own: the last one that was made."""
    numbers = [int(path.name) for path in world.iterdir() if path.name.isdigit()]  # seam: for the largest
    return world / str(max(numbers))


def lose_power(
    data: Path, journal_share: float, store_share: float, synced: Mapping[str, Synced]
) -> tuple[int, int]:
    """Take from each write-ahead log what was not synced but for a share; the bytes lost of each.

    Args:
        synced: what was synced by commits, by file.
    """
    lost = [
        _cut(data / f"{file}.db", share, synced.get(file))
        for file, share in (("journal", journal_share), ("store", store_share))
    ]
    for file in sorted(data.glob("*-shm")):
        file.unlink()
    return lost[0], lost[1]


def _cut(file: Path, share: float, synced: Synced | None) -> int:
    log = _beside(file, "-wal")
    if not log.exists():
        return 0
    end = min(_end(_word(file, _COMMITTED)), log.stat().st_size)
    safe = min(_end(_word(file, _BEGUN)), end)
    if synced is not None and synced.log == _salt(log):
        safe = min(max(safe, _end(synced.frames)), end)
    kept = safe + int(share * (end - safe))
    with log.open("r+b") as opened:
        opened.truncate(kept)
    return end - kept


class Synced(NamedTuple):
    """How many frames of a log were synced by commits; `log` tells it from what is written over it later."""

    log: bytes
    frames: int

    @classmethod
    def of(cls, file: Path) -> Synced:
        """All that a file's log has now."""
        return cls(_salt(_beside(file, "-wal")), _word(file, _COMMITTED))


def _salt(log: Path) -> bytes:
    with log.open("rb") as opened:
        return opened.read(_HEADER)[16:24]


def _end(frames: int) -> int:
    """Where so many frames of a log end."""
    return _HEADER + frames * _FRAME if frames else 0


def written_back(file: Path) -> int:
    """How many frames of a file's log have been written back."""
    return _word(file, _WRITTEN_BACK)


def _word(file: Path, at: int) -> int:
    index = _beside(file, "-shm")
    words = index.read_bytes()[at : at + 4] if index.exists() else b""
    return int(struct.unpack("=I", words)[0]) if len(words) == 4 else 0


def flip(
    data: Path, part: Literal["wal", "frames", "structure"], count: int, rng: random.Random
) -> list[int]:
    """Change bytes of the journal; where they are. None where there is nothing of that part."""
    file = data / "journal.db"
    if part == "wal":
        log = _beside(file, "-wal")
        end = min(_end(_word(file, _COMMITTED)), log.stat().st_size if log.exists() else 0)
        return _change(log, [range(end)] * count, rng) if end else []
    _write_back(file)
    content = file.read_bytes()
    ranges = _messages(content) if part == "frames" else _tree_pages(content)
    return _change(file, [rng.choice(ranges) for _ in range(count)], rng) if ranges else []


def _change(file: Path, ranges: list[range], rng: random.Random) -> list[int]:
    content = bytearray(file.read_bytes())
    places = sorted({rng.choice(each) for each in ranges})
    for place in places:
        content[place] ^= rng.randint(1, 255)
    file.write_bytes(content)
    return places


def _messages(content: bytes) -> list[range]:
    """Where the heads of messages lie, after the page that tells of them."""
    found = []
    at = content.find(_MESSAGE)
    while at >= 0:
        end = min(at + _MESSAGE_HEAD, (at // _PAGE + 1) * _PAGE)
        found.append(range(at, end))
        at = content.find(_MESSAGE, at + 1)
    return found


def _tree_pages(content: bytes) -> list[range]:
    """The heads of the pages of trees, without the first, which is the file's own head."""
    starts = range(_PAGE, len(content), _PAGE)
    return [range(start, start + 8) for start in starts if content[start] in _TREE_PAGES]


def _write_back(file: Path) -> None:
    """Leave file and log as right after a checkpoint in a process that dies then."""
    names = (file, _beside(file, "-wal"), _beside(file, "-shm"))
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        left = [name.read_bytes() for name in names]
    for name, content in zip(names, left, strict=True):
        name.write_bytes(content)


def ruin_store(data: Path) -> None:
    """Overwrite the heads of the store's files, as a stray write of another program does."""
    for name in ("store.db", "store.db-wal"):
        file = data / name
        if file.exists():
            with file.open("r+b") as opened:
                opened.write(b"\x5a" * min(file.stat().st_size, 512))


def move_store_away(data: Path) -> None:
    """What an operator does with a store that is no store any more."""
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        file = data / name
        if file.exists():
            file.rename(data / f"away-{name}")


def copy_of(data: Path, file: File) -> Files:
    """A backup: the database and its log, as they are."""
    names = (f"{file}.db", f"{file}.db-wal")
    return {name: (data / name).read_bytes() for name in names if (data / name).exists()}


def put_back(data: Path, file: File, kept: Files) -> None:
    """Put a backup in the place of what is there."""
    for suffix in ("", "-wal", "-shm"):
        (data / f"{file}.db{suffix}").unlink(missing_ok=True)
    for name, content in kept.items():
        (data / name).write_bytes(content)


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


class Torn:
    """A log as it was before a commit, to make of the log after it one that the commit had not finished.

    Args:
        file: the database.
        armed: the fault.
    """

    def __init__(self, file: Path, armed: Armed[TornCommit]) -> None:
        self.armed = armed
        self._file = file
        self._log = _read(_beside(file, "-wal"))
        self._index = _read(_beside(file, "-shm"))
        self._written_back = written_back(file)

    @property
    def whole(self) -> bool:
        """Whether the commit did nothing but add to the log: no checkpoint, no new beginning of the log."""
        log = _read(_beside(self._file, "-wal"))
        return (
            log != self._log
            and log[:_HEADER] == self._log[:_HEADER]
            and written_back(self._file) == self._written_back
        )

    def tear(self, data: Path) -> None:
        """Leave a share of what the commit has added to the log in a copy; the index does not know it yet."""
        log = _beside(data / self._file.name, "-wal")
        after, before = log.read_bytes(), self._log
        first = _first_difference(after, before)
        cut = first + int((len(after) - first) * self.armed.fault.share)
        log.write_bytes(after[:cut] + before[cut:])
        _beside(data / self._file.name, "-shm").write_bytes(self._index)
        self.armed.strike(f"the process is killed {cut - first} bytes into a commit of the {self._file.stem}")


def _first_difference(left: bytes, right: bytes) -> int:
    """The first place at which two contents differ, one of which may go on where the other ends."""
    both = min(len(left), len(right))
    differs = np.frombuffer(left, np.uint8, both) != np.frombuffer(right, np.uint8, both)
    return int(differs.argmax()) if differs.any() else both


def _read(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""
