"""The board and its picture: what a trader sees for which messages."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import pytest
from rich.text import Text

from deltastream.bus import Gap, Record
from deltastream.cli._view import Board, Machinery, render, table
from deltastream.messages import Message, Position
from supervisors import ChildState, ChildStatistics

PRODUCTS = ("NIFTY", "BANKNIFTY", "FINNIFTY", "SENSEX", "AAPL", "TSLA", "SPY", "QQQ")
IDLE = Machinery(tree=None, bus=None, lag=None, rate=None, sizes={"journal": 2048}, data_dir="/data")


def record(message: Message) -> Record:
    return Record("topic", Position("e", 1), message)


@pytest.fixture
def board():
    return Board()


def picture(board: Board, now_ns: int, width: int = 120, height: int = 24) -> list[str]:
    return [line.rstrip() for line in render(board, IDLE, now_ns, width, height).plain.splitlines()]


@pytest.fixture
def eight(board: Board, make: Any) -> Board:
    """Eight products with ticks, chains and statuses."""
    import msgspec

    for number, product in enumerate(PRODUCTS):
        for message in (make.tick(number), make.status(number, "open"), make.chain(number)):
            board.take(record(msgspec.structs.replace(message, product=product)))
    return board


def test_before_anything_has_come(board: Board):
    lines = picture(board, 0)
    assert lines[0] == "waiting for the market"
    assert "journal 2.0 KiB" in lines[-2]
    assert lines[-1] == "Ctrl-C stops   /data"
    assert list(board.changes()) == []


def test_a_line_per_product(board: Board, make: Any):
    for message in (make.tick(5, "SPY"), make.status(1, "open"), make.chain(2), make.tick(3)):
        board.take(record(message))
    lines = picture(board, make.T0 + 4 * make.S)
    cells = [re.split(" {2,}", line) for line in lines[:3]]
    assert cells == [
        ["product", "price", "expiry", "PCR OI", "max pain", "straddle", "ATM IV", "age", "market"],
        ["NIFTY", "26,003.00", "2026-11-24", "0.90", "-", "-", "12.00%", "1.0 s", "open"],
        ["SPY", "26,005.00", "-", "-", "-", "-", "-", "0.0 s", "-"],
    ]


def test_closed_markets_are_shown_with_since_when(board: Board, make: Any):
    import msgspec

    for product in PRODUCTS:
        board.take(record(msgspec.structs.replace(make.status(1, "closed"), product=product)))
    for width in (80, 140):
        lines = picture(board, make.T0, width)
        assert [line.split()[0] for line in lines[1:9]] == sorted(PRODUCTS)
        assert all(line.endswith("closed  2026-11-18 11:06  test") for line in lines[1:9]) or width == 140
        assert all("2026-11-18 11:06" in line for line in lines[1:9])


def test_data_of_another_day_tell_when_they_are_from(board: Board, make: Any):
    board.take(record(make.tick(1)))
    assert "0.0 s" in picture(board, make.T0 + make.S)[1]
    assert "23 h 59 m" in picture(board, make.T0 + 86_400 * make.S)[1]
    assert "2026-11-18 11:06" in picture(board, make.T0 + 86_401 * make.S)[1]


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


def test_what_was_known_before_is_shown_until_somebody_speaks(board: Board, make: Any):
    for message in (make.tick(1), make.status(1, "open"), make.chain(2), make.tick(5, "SPY")):
        board.begin(message)
    assert [product for product, _ in board.lines()] == ["NIFTY", "SPY"]
    assert board.lines()[0][1].status is None, "a status from before says nothing about now"
    assert list(board.changes()) == []
    board.take(record(make.status(3, "closed")))
    ((product, line),) = board.lines()
    assert (product, line.price, line.status.status) == ("NIFTY", 26_001.0, "closed")


def test_first_data_take_the_place_of_all_from_before(board: Board, make: Any):
    board.begin(make.tick(9))
    board.begin(make.chain(9))
    board.take(record(make.status(3, "open")))
    board.take(record(make.tick(1)))
    ((_, line),) = board.lines()
    assert (line.price, line.ts, line.front, line.status.status) == (
        26_001.0,
        make.T0 + make.S,
        None,
        "open",
    )


def test_gaps_and_other_messages_are_passed_over(board: Board):
    board.take(Gap("topic", "e", 1, 2, "trimmed"))
    assert board.lines() == []


def test_foreign_text_cannot_drive_the_terminal(board: Board, make: Any):
    board.take(record(make.tick(1, "\x1b[2J[red]X[/red]")))
    assert "[2J[red]X[/red]" in picture(board, make.T0)[1]
    assert "\x1b" not in picture(board, make.T0)[1]


@pytest.mark.parametrize("height", [1, 2, 3, 6, 10, 24, 45])
def test_every_size_keeps_the_footer_and_cuts_no_number(eight: Board, make: Any, height: int):
    whole = set(re.findall(r"[\d,.]+%?", table(eight, make.T0, 200).plain))
    for width in range(24, 160):
        lines = picture(eight, make.T0, width, height)
        assert max(map(len, lines)) <= width
        assert len(lines) <= height
        assert lines[-1].startswith("Ctrl-C stops")
        rows = [line for line in lines if line.startswith(PRODUCTS)]
        assert all("26,00" in row for row in rows)
        assert {n for row in rows for n in re.findall(r"[\d,.]+%?", row)} <= whole
        if len(rows) < len(PRODUCTS) and height > 3:
            assert f"{len(PRODUCTS) - len(rows)} more products" in lines


def test_columns_go_in_order_and_empty_ones_first(eight: Board, make: Any):
    headings = [re.split(" {2,}", picture(eight, make.T0, width)[0]) for width in range(160, 20, -1)]
    gone = [name for name in headings[0] if name not in headings[-1]]
    lost: list[str] = []
    for heading in headings:
        lost += [name for name in gone if name not in heading and name not in lost]
    empty = ["max pain", "straddle"]
    assert sorted(lost[:2]) == empty
    assert lost[2:] == ["age", "market", "ATM IV", "PCR OI", "expiry"]


def test_the_news_are_the_latest_and_never_too_wide(eight: Board, make: Any):
    news = [Text(f"news {number} {'x' * 99}") for number in range(50)]
    lines = render(eight, IDLE, make.T0, 80, 20, news).plain.splitlines()
    assert (len(lines), lines[-1].startswith("Ctrl-C stops")) == (20, True)
    assert lines[-2].startswith("news 49 x")
    assert lines[-2].endswith("…")
    assert max(map(len, lines)) <= 80
    assert not any("news" in line for line in render(eight, IDLE, make.T0, 80, 10, news).plain.splitlines())


def test_an_actor_in_trouble_is_shown_even_where_there_is_no_room(eight: Board, make: Any):
    bus = ChildStatistics(
        name="bus",
        path="host/bus",
        state=ChildState.DEGRADED,
        reason="the disk is full",
        incarnation=2,
        restarts=1,
        failures=0,
        started_at=0.0,
        restart_at=None,
        last_exit=None,
        last_error=None,
        mailboxes=(),
    )
    for height in (4, 10, 24):
        lines = render(eight, replace(IDLE, tree=bus), make.T0, 60, height).plain.splitlines()
        assert "bus degraded the disk is full (1 restart)" in [line.strip() for line in lines]
        assert lines[-1].startswith("Ctrl-C stops")


def test_a_long_path_is_shortened_at_its_beginning(board: Board):
    lines = render(board, replace(IDLE, data_dir="/long" * 9 + "/end"), 0, 40, 10).plain.splitlines()
    assert lines[-1].startswith("Ctrl-C stops   …")
    assert lines[-1].endswith("/long/end")
    assert len(lines[-1]) == 40


def test_the_table_alone_has_every_product_and_no_machinery(eight: Board, make: Any):
    lines = table(eight, make.T0, 80).plain.splitlines()
    assert [line.split()[0] for line in lines] == ["product", *sorted(PRODUCTS)]


def test_drawing_does_not_hold_the_loop(eight: Board, make: Any):
    began = time.process_time()
    for _ in range(20):
        render(eight, IDLE, make.T0, 140, 45)
    assert (time.process_time() - began) / 20 < 0.01
