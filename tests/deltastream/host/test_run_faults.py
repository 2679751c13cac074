"""`deltastream run` in a process of its own against everything that can be wrong around it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "deltastream")


def environment() -> dict[str, str]:
    """A host without a gateway: several run at once here."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("DELTASTREAM_")}
    return others | {"DELTASTREAM_ACTORS": "feed,enricher,storage,analytics"}


def call(*arguments: str, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=environment(),
    )


@contextlib.contextmanager
def running(data_dir: Path, *arguments: str):
    """A host that answers on its control socket; killed at the end if it still runs."""
    process = subprocess.Popen(
        [*COMMAND, "run", "--data-dir", str(data_dir), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        for _ in range(200):
            if process.poll() is not None or answers(data_dir / "control.sock"):
                break
            time.sleep(0.05)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def answers(control_socket: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(str(control_socket))
        except OSError:
            return False
    return True


def status(data_dir: Path) -> dict:
    done = call("status", "--data-dir", str(data_dir), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It failed with one sentence that has these words, and without a traceback."""
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in last, done.stderr


def fill(data_dir: Path, seconds: float = 1.5) -> None:
    """Let a host put something into a data directory."""
    with running(data_dir) as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_an_interrupt_stops_in_order_within_five_seconds(tmp_path):
    with running(tmp_path / "d") as process:
        time.sleep(1)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
        assert process.returncode == 0, err
        assert time.monotonic() - began < 5
    events = [json.loads(line) for line in out.splitlines()]
    stopped = [event["actor"] for event in events if event["event"] == "stopped"]
    assert stopped.index("host/pipeline/feed") < stopped.index("host/pipeline/storage")
    assert stopped.index("host/pipeline/storage") < stopped.index("host/store")
    assert stopped.index("host/store") < stopped.index("host/bus")
    assert not (tmp_path / "d" / "control.sock").exists()


def test_a_second_instance_is_refused_and_the_first_goes_on(tmp_path):
    with running(tmp_path / "d") as first:
        second = call("run", "--data-dir", str(tmp_path / "d"))
        one_sentence(second, "in use", str(first.pid))
        assert status(tmp_path / "d")


def test_a_killed_instance_leaves_nothing_in_the_way(tmp_path):
    with running(tmp_path / "d") as process:
        time.sleep(1)
        process.send_signal(signal.SIGKILL)
        process.wait(5)
    fill(tmp_path / "d", 0.5)


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "d").write_text("not a directory")
    one_sentence(call("run", "--data-dir", str(tmp_path / "d")), str(tmp_path / "d"))


@pytest.mark.parametrize(("name", "table"), [("journal.db", "topics"), ("store.db", "ticks")])
def test_a_newer_version_is_refused_and_left_alone(tmp_path, name, table):
    fill(tmp_path / "d")
    path = tmp_path / "d" / name
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9999")
    connection.close()
    one_sentence(call("run", "--data-dir", str(tmp_path / "d")), "9999")
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (9999,)
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    connection.close()


def test_a_store_that_is_no_database_is_one_sentence(tmp_path):
    fill(tmp_path / "d")
    for path in (tmp_path / "d").glob("store.db*"):
        path.write_bytes(b"\x00garbage" * 4096)
    one_sentence(call("run", "--data-dir", str(tmp_path / "d")), "store.db")


def test_a_damaged_journal_is_set_aside_loudly_and_a_new_epoch_begins(tmp_path):
    data_dir = tmp_path / "d"
    fill(data_dir, 3)
    path = data_dir / "journal.db"
    size = path.stat().st_size
    with path.open("r+b") as stream:
        for offset in range(4096, size, 16384):
            stream.seek(offset)
            stream.write(b"\xff" * 2048)
    with running(data_dir) as process:
        time.sleep(2)
        after = status(data_dir)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
        assert process.returncode == 0, err
    assert list(data_dir.glob("journal.db.corrupt-*"))
    assert any(json.loads(line)["level"] in ("error", "critical") for line in out.splitlines()), out
    assert after


def test_a_torn_journal_tail_loses_no_committed_message(tmp_path):
    """A copy taken while the host runs, its log cut off anywhere, opens with a prefix of the truth."""
    data_dir, torn = tmp_path / "d", tmp_path / "torn"
    with running(data_dir) as process:
        time.sleep(2)
        process.send_signal(signal.SIGSTOP)
        shutil.copytree(data_dir, torn, ignore=shutil.ignore_patterns("control.sock", "lock"))
        process.send_signal(signal.SIGKILL)
    for path in torn.glob("*-shm"):
        path.unlink()
    wal = torn / "journal.db-wal"
    with wal.open("r+b") as stream:
        stream.truncate(wal.stat().st_size * 2 // 3 + 7)
    fill(torn, 1)
    with sqlite3.connect(torn / "journal.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_degrades_and_recovers(tmp_path):
    mounted = tmp_path / "small"
    mounted.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(mounted)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.decode().strip()}")
    try:
        ballast = mounted / "ballast"
        with running(mounted / "d") as process:
            time.sleep(2)
            with ballast.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
                while True:
                    stream.write(b"\0" * 4096)
            time.sleep(4)
            assert process.poll() is None
            full = status(mounted / "d")
            ballast.unlink()
            time.sleep(6)
            recovered = status(mounted / "d")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
            assert process.returncode == 0, err
        assert full["bus"]["state"] == "degraded", full["bus"]
        assert recovered["bus"]["state"] == "running", recovered["bus"]
        assert recovered["bus"]["appended"] > full["bus"]["appended"]
        assert "full" in out or "space" in out
    finally:
        subprocess.run(["umount", "-l", str(mounted)], check=False)
