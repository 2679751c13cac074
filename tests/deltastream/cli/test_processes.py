"""A host in a process of its own: how it starts, is looked at, and ends. Real signals, sockets and pipes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[4] / "shared" / "data"
RECORDED = DATA / "nse_chain_NIFTY_20251205_1301IST.json"
PRODUCTS = ("NIFTY", "BANKNIFTY", "FINNIFTY", "SENSEX", "AAPL", "TSLA", "SPY", "QQQ")
QUICK = {"DELTASTREAM_SYNTHETIC__TICK_INTERVAL_S": "0.1", "DELTASTREAM_SYNTHETIC__CHAIN_INTERVAL_S": "0.2"}


def wait_for(condition: Any, seconds: float = 15.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("it did not happen")


@pytest.fixture
def host(start, own_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """A running synthetic host."""
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)
    with (own_environment.parent / "host.log").open("w") as log:
        process = start("run", stdout=log)
        wait_for((own_environment / "control.sock").exists)
        yield process


def test_the_life_of_a_host(host, deltastream, own_environment: Path, tmp_path: Path):
    """One host, looked at by every command, stopped by one signal."""
    wait_for(lambda: len(deltastream.json("bus", "stats")["topics"]) >= 32)
    status = deltastream.json("status")
    assert (status["running"], status["pid"]) == (True, host.pid)
    names = {child["name"] for child in status["tree"]["children"]}
    assert {"bus", "store", "pipeline", "control"} <= names
    assert f"process {host.pid}" in deltastream("status").stdout
    assert (
        deltastream.refusal("run") == f"The data directory {own_environment} is in use by process {host.pid}."
    )
    found = {finding["check"]: finding["found"] for finding in deltastream.json("doctor")}
    assert found["host"] == f"running, process {host.pid}"
    rows = wait_for(lambda: deltastream("export", "chains", "--product", "SPY").stdout.splitlines()[1:])
    assert rows[0].count(",") > 30
    assert (
        json.loads(deltastream("bus", "tail", "-n", "1", "--json", "market.tick.*").stdout)["message"][
            "price"
        ]
        > 0
    )

    host.send_signal(signal.SIGINT)
    assert host.wait(8) == 0
    assert not (own_environment / "control.sock").exists()
    lines = [json.loads(line) for line in (tmp_path / "host.log").read_text().splitlines()]
    assert {line["product"] for line in lines if line["event"] == "product"} >= {"NIFTY", "SPY"}
    assert {"ts", "level", "logger", "event"} <= set(lines[0])


def test_followers_end_with_ctrl_c_and_recordings_replay(host, start, own_environment: Path, tmp_path: Path):
    tail = start("bus", "tail", "-n", "0", "--follow", "--json", "market.tick.SPY")
    assert tail.stdout is not None
    assert json.loads(tail.stdout.readline())["topic"] == "market.tick.SPY"
    tail.send_signal(signal.SIGINT)
    assert tail.wait(20) == 0

    file = tmp_path / "r.dsrec"
    record = start("record", str(file), "market.*")
    wait_for(lambda: file.exists() and file.stat().st_size > 100_000)
    record.send_signal(signal.SIGINT)
    out, err = record.communicate(timeout=5)
    assert (record.returncode, out) == (0, "")
    recorded = int(re.search(r"^([\d,]+) messages in ", err, re.MULTILINE)[1].replace(",", ""))  # type: ignore[index]  # no match fails the test
    assert recorded > 10

    again = start("run", "--replay", str(file), "--speed", "max", "--data-dir", str(tmp_path / "again"))
    again.communicate(timeout=20)
    assert again.returncode == 0
    stats = start("bus", "stats", "--json", "--data-dir", str(tmp_path / "again")).communicate(timeout=5)[0]
    topics = json.loads(stats)["topics"]
    assert sum(topic["last_seq"] for topic in topics if topic["topic"].startswith("market.")) >= recorded


def test_a_reader_that_has_seen_enough_is_no_error(host, start):
    tail = start("bus", "tail", "-n", "1000", "--json")
    head = subprocess.run(["head", "-n", "1"], stdin=tail.stdout, capture_output=True, check=True, text=True)
    assert tail.stdout is not None
    tail.stdout.close()
    assert json.loads(head.stdout)["topic"]
    assert tail.wait(20) == 0
    assert tail.stderr is not None
    assert tail.stderr.read() == ""


def test_a_host_whose_log_is_not_read_any_more_goes_on(start, own_environment: Path, deltastream):
    process = start("run")
    wait_for((own_environment / "control.sock").exists)
    process.stdout.close()
    first = deltastream.json("bus", "stats")["appended"]
    wait_for(lambda: deltastream.json("bus", "stats")["appended"] > first)
    process.send_signal(signal.SIGTERM)
    assert process.wait(8) == 0


@pytest.mark.skipif(not RECORDED.exists(), reason=f"{RECORDED} is not there")
def test_a_replay_at_full_speed_ends_when_it_has_taken_effect(start, deltastream):
    process = start("run", "--replay", str(RECORDED), "--speed", "max")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    last = [json.loads(line) for line in out.splitlines() if '"product"' in line][-1]
    assert (last["event"], last["product"], last["expiry"]) == ("product", "NIFTY", "2025-12-09")
    assert last["pcr_oi"] > 0
    groups = deltastream.json("bus", "stats")["groups"]
    assert {group["group"] for group in groups} >= {"enricher", "storage"}
    assert all(group["lag"] == group["retrying"] == group["dead"] == 0 for group in groups)


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (["--feed", "replay"], 2, "  replay.paths: names no file to replay (--replay PATH)"),
        (
            ["--replay", "/nowhere/x.json"],
            2,
            "  replay.paths: /nowhere/x.json: there is no such file or directory",
        ),
        (["--speed", "fast"], 2, "  replay.speed: expected 'max' or `float`, got 'fast' (flag --speed)"),
        (["--data-dir", "/dev/null"], 1, "The data directory /dev/null cannot be used"),
    ],
)
def test_a_host_that_cannot_start_says_why(
    start, own_environment: Path, args: list[str], code: int, sentence: str
):
    process = start("run", *args)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "")
    assert err.splitlines()[-1].startswith(sentence)
    assert len(err.splitlines()) == code
    assert not own_environment.exists()


def test_every_problem_of_a_replay_is_told_at_once(start, own_environment: Path):
    process = start("run", "--replay", "x.ds", "--replay", "y.ds", "--speed", "fast")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert [line.split(":")[1].split()[0] for line in err.splitlines()[1:]] == ["expected", "x.ds", "y.ds"]


def test_a_replay_of_which_nothing_can_be_used_fails(start, tmp_path: Path):
    (tmp_path / "text.txt").write_text("hello")
    process = start("run", "--replay", str(tmp_path / "text.txt"), "--speed", "max")
    out, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err.startswith("Nothing was replayed; 1 of 1 file refused: ")
    assert "trace" not in out


def test_status_is_watched_through_a_pipe(host, start):
    watch = start("status", "--watch")
    assert watch.stdout is not None
    frames = 0
    while frames < 2:
        frames += watch.stdout.readline().startswith("DeltaStream ")
    watch.stdout.close()
    assert watch.wait(5) == 0
    again = start("status", "--watch")
    again.stdout.readline()
    again.send_signal(signal.SIGINT)
    _, err = again.communicate(timeout=5)
    assert (again.returncode, err) == (0, "")


def test_the_live_view_in_a_terminal(start, own_environment: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm-256color")
    process = start("run", stdin=theirs, stdout=theirs)
    os.close(theirs)
    seen = ""

    def look() -> bool:
        nonlocal seen
        while select.select([ours], [], [], 0)[0]:
            seen += os.read(ours, 65536).decode(errors="replace")
        return len(re.findall(r"NIFTY.*?\d\d,\d\d\d\.\d\d.*?%", seen)) >= 2 and "Ctrl-C stops" in seen

    wait_for(look)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):
        while data := os.read(ours, 65536):
            seen += data.decode(errors="replace")
    assert process.wait(8) == 0
    view, _, after = seen.partition("\x1b[?1049l")
    assert "\x1b[?1049h" in view
    assert "\x1b[?25h" in view, "the cursor is shown again"
    assert "running" not in after
    lines = [line.split() for line in re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", after).splitlines()]
    assert [line[0] for line in lines if line][-9:] == ["product", *sorted(PRODUCTS)]
    os.close(ours)


def test_a_terminal_on_hold_does_not_hold_the_host(start, own_environment: Path, deltastream, monkeypatch):
    """As after Ctrl-S: every write to the terminal blocks, and the host goes on and stops in time."""
    monkeypatch.setenv("DELTASTREAM_LOG__LEVEL", "debug")
    ours, theirs = pty.openpty()
    termios.tcflow(theirs, termios.TCOOFF)
    process = start("run", stdin=theirs, stdout=theirs)
    os.close(theirs)
    wait_for((own_environment / "control.sock").exists)
    first = deltastream.json("bus", "stats")["appended"]
    wait_for(lambda: deltastream.json("bus", "stats")["appended"] > first + 10)
    assert not select.select([ours], [], [], 0)[0], "nothing got through"
    process.send_signal(signal.SIGINT)
    assert process.wait(8) == 0
    os.close(ours)


def test_a_second_signal_ends_at_once(start, own_environment: Path):
    """The tree is made to take its time by a child that is slow to end."""
    program = """
import sys, trio, functools
from deltastream.cli import cli
from deltastream.host.tree import Host
from deltastream.feeds.synthetic import SyntheticProvider

class Slow(SyntheticProvider):
    def stream(self):
        inner = super().stream()
        class Held:
            async def __aenter__(self):
                return await inner.__aenter__()
            async def __aexit__(self, *error):
                with trio.CancelScope(shield=True):
                    await trio.sleep(60)
        return Held()

Host.make_provider = lambda self: Slow(self.settings.synthetic, self.seams)
cli(["run"])
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        wait_for((own_environment / "control.sock").exists)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        wait_for(lambda: "interrupted" in process.stdout.readline())  # type: ignore[union-attr]  # a pipe
        start_of_end = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130
        assert time.monotonic() - start_of_end < 2
