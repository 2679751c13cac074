"""The board and its picture: what a trader sees for which messages."""

from __future__ import annotations

from typing import Any

import pytest

from deltastream.bus import Gap, Record
from deltastream.cli._view import Board, Machinery, render
from deltastream.messages import Message, Position

IDLE = Machinery(tree=None, bus=None, lag=None, rate=None, sizes={"journal": 2048}, data_dir="/data")


def record(message: Message) -> Record:
    return Record("topic", Position("e", 1), message)


@pytest.fixture
def board():
    return Board()


def picture(board: Board, now_ns: int, width: int = 120) -> list[str]:
    return [line.rstrip() for line in render(board, IDLE, now_ns, width).plain.splitlines()]


def test_before_anything_has_come(board: Board):
    lines = picture(board, 0)
    assert "waiting for the market" in lines[1]
    assert "journal 2.0 KiB" in lines[-2]
    assert lines[-1].startswith("/data")
    assert list(board.changes()) == []


def test_a_line_per_product(board: Board, make: Any):
    for message in (make.tick(5, "SPY"), make.status(1, "open"), make.chain(2), make.tick(3)):
        board.take(record(message))
    lines = picture(board, make.T0 + 4 * make.S + 1)
    assert lines[1].split() == [
        "NIFTY",
        "26,003.00",
        "0.900",
        "-",
        "-",
        "12.00%",
        "2026-11-24",
        "1.0",
        "s",
        "open",
    ]
    assert lines[2].split() == ["SPY", "26,005.00", "-", "-", "-", "-", "-", "0.0", "s", "-"]


def test_metrics_are_those_of_the_nearest_live_expiry(board: Board, make: Any):
    import msgspec

    later = msgspec.structs.replace(
        make.chain(1, expiry="2026-12-01"), expiry_ts=make.EXPIRY + make.S, pcr_oi=2.0
    )
    board.take(record(later))
    board.take(record(make.chain(1)))
    assert board.lines()[0][1].front.metrics["pcr_oi"] == 0.9
    past = msgspec.structs.replace(later, ts_event=make.EXPIRY)
    board.take(record(past))
    assert board.lines()[0][1].front.expiry == "2026-12-01"


def test_an_expired_chain_is_shown_where_there_is_no_other(board: Board, make: Any):
    import msgspec

    board.take(record(msgspec.structs.replace(make.chain(1), ts_event=make.EXPIRY)))
    assert board.lines()[0][1].front.expiry == "2026-11-24"


def test_a_price_comes_from_the_chain_where_there_are_no_ticks(board: Board, make: Any):
    board.take(record(make.chain(1)))
    (figures,) = board.changes()
    assert figures == {
        "product": "NIFTY",
        "price": 26_000.0,
        "expiry": "2026-11-24",
        "pcr_oi": 0.9,
        "max_pain_strike": None,
        "atm_straddle_price": None,
        "atm_iv": 0.12,
        "status": None,
    }


def test_changes_are_told_once(board: Board, make: Any):
    board.take(record(make.tick(1)))
    assert [figures["product"] for figures in board.changes()] == ["NIFTY"]
    assert list(board.changes()) == []


def test_a_status_from_before_holds_once_its_product_speaks(board: Board, make: Any):
    board.begin(make.status(1, "stale"))
    assert board.lines() == []
    board.take(record(make.tick(2)))
    assert board.lines()[0][1].status == "stale"
    assert "stale test" in picture(board, make.T0)[1]


def test_gaps_and_other_messages_are_passed_over(board: Board):
    board.take(Gap("topic", "e", 1, 2, "trimmed"))
    assert board.lines() == []


def test_foreign_text_cannot_drive_the_terminal(board: Board, make: Any):
    board.take(record(make.tick(1, "\x1b[2J[red]X[/red]")))
    assert "[2J[red]X[/red]" in picture(board, make.T0)[1]
    assert "\x1b" not in picture(board, make.T0)[1]


def test_a_narrow_terminal_leaves_out_columns_but_cuts_no_number(board: Board, make: Any):
    for message in (make.tick(1), make.status(1, "open"), make.chain(2)):
        board.take(record(message))
    for width in range(40, 100):
        lines = picture(board, make.T0, width)
        assert max(map(len, lines)) <= width
        assert "26,001.00" in lines[1]
    heading = picture(board, make.T0, 68)[0]
    assert ("market" in heading, "age" in heading, "expiry" in heading) == (True, False, False)
