"""Log lines: their form, and that nobody ever waits for their reader."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest
import structlog

from deltastream.host.logs import Output, configure, render_json, render_text

LOG = structlog.get_logger("deltastream.test")


class Clock:
    def now_ns(self) -> int:
        return 1_795_000_000_123_456_789


@pytest.fixture
def lines():
    written: list[str] = []
    with configure(written.append, Clock(), level="info"):
        yield written


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def test_a_line_is_one_json_object_dated_by_the_clock(lines: list[str]):
    LOG.info("refused", row=3, reason="bad", share=0.5)
    assert json.loads(lines[0]) == {
        "ts": "2026-11-18T11:06:40.123456Z",
        "level": "info",
        "logger": "deltastream.test",
        "event": "refused",
        "row": 3,
        "reason": "bad",
        "share": 0.5,
    }
    assert lines[0].endswith("}\n")


def test_lines_below_the_level_are_not_made(lines: list[str]):
    LOG.debug("no")
    LOG.warning("yes")
    assert [json.loads(line)["event"] for line in lines] == ["yes"]


def test_fields_cannot_pass_for_the_head(lines: list[str]):
    LOG.info("told", ts="now", level="error")
    assert (json.loads(lines[0])["ts"], json.loads(lines[0])["level"]) == (
        "2026-11-18T11:06:40.123456Z",
        "info",
    )


def test_exceptions_come_with_their_traceback(lines: list[str]):
    try:
        raise ValueError("no good")
    except ValueError:
        LOG.exception("failed")
    told = json.loads(lines[0])
    assert told["level"] == "error"
    assert told["exception"].endswith("ValueError: no good")


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_whatever_is_logged_becomes_a_line(lines: list[str]):
    cycle: list[object] = []
    cycle.append(cycle)
    LOG.info(
        "odd",
        nan=float("nan"),
        thing=Hostile(),
        broken="\ud800",
        keys={(1, 2): 3},
        cycle=cycle,
        big=10**30,
        text="é\n",
    )
    told = json.loads(lines[0])
    assert told["nan"] is None
    assert told["thing"] == "<Hostile whose text raised RuntimeError>"
    assert (told["broken"], told["text"]) == ("\\ud800", "é\n")
    assert lines[0].count("\n") == 1


def test_configuration_ends_with_its_context():
    before = structlog.get_config()
    with configure(lambda _: None, Clock()):
        assert structlog.get_config() != before
    assert structlog.get_config() == before


def test_readable_lines():
    event = {
        "ts": "2026-11-18T11:06:40.123456Z",
        "level": "warning",
        "logger": "l",
        "event": "e",
        "a": 1.5,
        "b": "x y",
    }
    assert render_text(event) == "11:06:40.123 warning l: e  a=1.5 b='x y'"
    assert render_text(event, colour=True) == "\x1b[33m11:06:40.123 warning l: e  a=1.5 b='x y'\x1b[0m"


def test_readable_lines_cannot_drive_the_terminal():
    event = {
        "ts": "2026-11-18T11:06:40.123456Z",
        "level": "info",
        "logger": "l",
        "event": "\x1b[2J",
        "a": "\x07",
    }
    assert "\x1b" not in render_text(event)
    assert "\x07" not in render_text(event)
    assert "\\u001b" in render_json(event)


def test_what_is_written_arrives_whole_and_in_order(pipe: tuple[int, int]):
    read, write = pipe
    expected = [f"{number} " + "x" * 200 + "\n" for number in range(2000)]
    got: list[bytes] = []

    def reader() -> None:
        while data := os.read(read, 65536):
            got.append(data)

    thread = threading.Thread(target=reader)
    thread.start()
    with Output(write) as output:
        for line in expected:
            output.write(line)
    os.close(write)
    thread.join()
    assert b"".join(got).decode() == "".join(expected)
    assert output.statistics().dropped == 0


def test_a_stuck_reader_costs_lines_and_no_time(pipe: tuple[int, int]):
    _, write = pipe
    start = time.perf_counter()
    with Output(write, lines=8) as output:
        for _ in range(10_000):
            output.write("x" * 1000 + "\n")
        took = time.perf_counter() - start
        told = output.statistics()
    assert took < 0.25
    assert told.dropped + told.written + told.waiting in (9_999, 10_000)  # one may be on its way
    assert told.dropped > 9_000
    assert not told.broken
    assert time.perf_counter() - start < 2


def test_a_reader_that_goes_away_is_noticed_and_harmless(pipe: tuple[int, int]):
    read, write = pipe
    os.close(read)
    with Output(write) as output:
        for _ in range(10):
            output.write("x\n")
    told = output.statistics()
    assert (told.broken, told.written, told.dropped) == (True, 0, 10)
    output.write("x\n")
    assert output.statistics().dropped == 11
