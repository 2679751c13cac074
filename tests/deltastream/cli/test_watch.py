"""`deltastream watch` beside a real host: lines of JSON, a terminal, how it ends. All of it real."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HOST = {
    "DELTASTREAM_GATEWAY__PORT": "0",
    "DELTASTREAM_SOCKETS__PORT": "0",
    "DELTASTREAM_SYNTHETIC__PRODUCTS": "NIFTY",
    "DELTASTREAM_SYNTHETIC__STRIKES": "9",
    "DELTASTREAM_SYNTHETIC__CHAIN_INTERVAL_S": "0.2",
}


@pytest.fixture
def host(start: Any, own_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A running host with sockets."""
    monkeypatch.delenv("DELTASTREAM_ACTORS")
    for name, value in HOST.items():
        monkeypatch.setenv(name, value)
    with (tmp_path / "host").open("w") as out:
        process = start("run", stdout=out, stderr=subprocess.STDOUT)
    end = time.monotonic() + 40
    while '"event":"started"' not in (tmp_path / "host").read_text():
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)
    yield process
    process.send_signal(signal.SIGINT)
    process.wait(20)


def wait_for_lines(process: subprocess.Popen[str], count: int) -> list[Any]:
    assert process.stdout is not None
    return [json.loads(process.stdout.readline()) for _ in range(count)]


def test_no_host(deltastream: Any):
    assert "No host is running" in deltastream.refusal("watch")
    assert deltastream("watch", "--url", "ws://127.0.0.1:1/ws", code=2).stderr.count("DELTASTREAM_KEY")
    assert deltastream.refusal("watch", "--url", "ws://127.0.0.1:1/ws", "--key", "k").startswith(
        "Nobody answers"
    )


def test_lines_of_json_until_ctrl_c(host: Any, start: Any, deltastream: Any):
    """One event a line; the key that was made for it goes with it; nothing on standard error."""
    process = start(
        "watch", "product:NIFTY", "chain:NIFTY", "chain:NOPE", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    seen: list[Any] = []
    while not {"underlying_update", "chain_update"} <= {one["event"] for one in seen} or len(seen) < 12:
        seen += wait_for_lines(process, 1)
    ((_, state),) = [(key["name"], key["state"]) for key in deltastream.json("key", "list")]
    assert state == "valid"
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert process.stderr.read().startswith("chain:NOPE: There is no chain of NOPE; there are NIFTY.\n")
    prices = [one for one in seen if one["event"] == "underlying_update"]
    assert [one["seq"] for one in prices] == list(range(prices[0]["seq"], prices[0]["seq"] + len(prices)))
    chains = [one["chain"] for one in seen if one["event"] == "chain_update"]
    assert {len(column) for column in chains[0]["columns"].values()} == {9}
    assert deltastream.json("key", "list") == []


def test_a_pipe_that_is_closed_and_what_is_refused(host: Any, start: Any, deltastream: Any):
    process = start("watch", "product:NIFTY", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_lines(process, 1)
    process.stdout.close()
    assert process.wait(10) == 0
    assert process.stderr.read() == ""
    assert "A room is" in deltastream.refusal("watch", "nope")
    url = deltastream.json("status")["sockets"]["url"]
    assert "not valid" in deltastream.refusal("watch", "--url", url, "--key", "ds_wrong")


def test_in_a_terminal(host: Any, start: Any):
    """A screen that is drawn and given back, at 80 columns."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = start("watch", "chain:NIFTY", "product:NIFTY", stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    shown = b""
    end = time.monotonic() + 20
    while not (b"strike" in shown and b"product" in shown and b"connected" in shown):
        assert time.monotonic() < end, shown
        if select.select([leader], [], [], 0.1)[0]:
            shown += os.read(leader, 65536)
    process.send_signal(signal.SIGINT)
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:  # Linux's way of saying that the other end is closed
            break
        shown += data
    assert process.wait(10) == 0
    os.close(leader)
    assert shown.count(b"\x1b[?1049h") == shown.count(b"\x1b[?1049l") == 1
    assert b"Traceback" not in shown
