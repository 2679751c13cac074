"""The data directory: making, locking, versions and what can be wrong with it."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deltastream.errors import DataDirectoryError
from deltastream.host.data_dir import LAYOUT, DataDirectory, open_data_directory

HOLD = """
import sys
from deltastream.host.data_dir import open_data_directory
with open_data_directory(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that holds the lock of `tmp_path / "data"`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "data")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def refusal(path: Path) -> str:
    with pytest.raises(DataDirectoryError) as caught, open_data_directory(path):
        pass
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


def test_it_is_made_for_its_owner_only(tmp_path: Path):
    with open_data_directory(tmp_path / "a" / "data") as directory:
        assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
        assert directory.version.read_text() == f"{LAYOUT}\n"
        assert directory.lock.read_text() == f"{os.getpid()}\n"
        assert directory.holder() == os.getpid()
        assert directory.exists()
    assert directory.holder() is None


def test_it_can_be_opened_again(tmp_path: Path):
    for _ in range(2):
        with open_data_directory(tmp_path / "data"):
            pass


def test_looking_creates_nothing(tmp_path: Path):
    directory = DataDirectory(tmp_path / "data")
    assert directory.holder() is None
    assert not directory.exists()
    assert directory.sizes() == {"journal": 0, "store": 0}
    assert not directory.path.exists()


def test_sizes_count_the_write_ahead_log(tmp_path: Path):
    (tmp_path / "journal.db").write_bytes(b"x" * 10)
    (tmp_path / "journal.db-wal").write_bytes(b"x" * 5)
    assert DataDirectory(tmp_path).sizes() == {"journal": 15, "store": 0}


def test_another_process_that_holds_it_is_named(tmp_path: Path, holder: subprocess.Popen[bytes]):
    path = tmp_path / "data"
    assert refusal(path) == f"The data directory {path} is in use by process {holder.pid}."
    assert DataDirectory(path).holder() == holder.pid


def test_the_lock_dies_with_its_process(tmp_path: Path, holder: subprocess.Popen[bytes]):
    holder.kill()
    holder.wait()
    assert DataDirectory(tmp_path / "data").holder() is None
    with open_data_directory(tmp_path / "data") as directory:
        assert directory.holder() == os.getpid()


def test_a_second_opening_in_the_same_process_is_refused(tmp_path: Path):
    with open_data_directory(tmp_path / "data"):
        assert "in use by process" in refusal(tmp_path / "data")


def test_a_look_at_the_lock_does_not_keep_a_host_from_starting(tmp_path: Path):
    import fcntl
    import threading

    with open_data_directory(tmp_path / "data") as directory:
        pass
    descriptor = os.open(directory.lock, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    timer = threading.Timer(0.015, os.close, [descriptor])
    timer.start()
    with open_data_directory(tmp_path / "data"):
        pass
    timer.join()


def test_a_lock_file_that_does_not_tell_its_process(tmp_path: Path, holder: subprocess.Popen[bytes]):
    (tmp_path / "data" / "lock").write_text("?")
    assert refusal(tmp_path / "data").endswith("is in use by another process.")
    assert DataDirectory(tmp_path / "data").holder() == 0


def test_a_newer_layout_is_refused(tmp_path: Path):
    (tmp_path / "VERSION").write_text(f"{LAYOUT + 1}\n")
    assert refusal(tmp_path) == (
        f"The data directory {tmp_path} was written by a newer version of DeltaStream "
        f"(layout {LAYOUT + 1}, this version knows {LAYOUT})."
    )
    assert (tmp_path / "VERSION").read_text() == f"{LAYOUT + 1}\n"


@pytest.mark.parametrize("junk", [b"", b"one", b"-1", b"0", b"\xff", b"1.5"])
def test_a_version_that_is_none(tmp_path: Path, junk: bytes):
    (tmp_path / "VERSION").write_bytes(junk)
    assert refusal(tmp_path) == f"{tmp_path / 'VERSION'} does not hold a version number."


def test_a_file_in_its_place(tmp_path: Path):
    path = tmp_path / "file"
    path.touch()
    assert refusal(path) == f"The data directory {path} cannot be used: it is a file, not a directory."
    assert refusal(path / "below") == (
        f"The data directory {path / 'below'} cannot be used: part of its path is a file, not a directory."
    )


def test_a_directory_in_place_of_the_lock(tmp_path: Path):
    (tmp_path / "lock").mkdir()
    assert refusal(tmp_path).startswith(f"The data directory {tmp_path} cannot be used: ")


def test_paths_that_cannot_be(tmp_path: Path):
    assert "its path is too long" in refusal(tmp_path / ("x" * 300))
    assert "is not a path" in refusal(Path("a\0b"))
    (tmp_path / "loop").symlink_to("loop")
    assert "circle of symbolic links" in refusal(tmp_path / "loop" / "data")


@pytest.mark.skipif(os.geteuid() == 0, reason="rights do not bind root")
def test_a_directory_without_the_right_to_write(tmp_path: Path):
    tmp_path.chmod(0o500)
    assert refusal(tmp_path) == f"The data directory {tmp_path} cannot be used: you may not write there."


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EROFS, "it is on a read-only file system"),
        (errno.ENOSPC, "no space is left on its disk"),
        (errno.EDQUOT, "your disk quota is used up"),
    ],
)
def test_a_disk_that_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str):
    def full(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", full)
    assert refusal(tmp_path) == f"The data directory {tmp_path} cannot be used: {reason}."
    monkeypatch.undo()
    with open_data_directory(tmp_path):
        pass


def test_a_read_only_file_system():
    """/proc takes no directories, whoever asks."""
    assert refusal(Path("/proc/deltastream")).startswith(
        "The data directory /proc/deltastream cannot be used: "
    )
