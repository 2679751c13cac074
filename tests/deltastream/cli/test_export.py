"""Exports: what comes out is what is stored, in both formats, whole or not at all."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_ticks_page_by_page(deltastream, filled: Path, make: Any):
    result = deltastream("export", "ticks", "--product", "NIFTY")
    rows = table(result.stdout)
    assert [float(row["price"]) for row in rows] == [26_000.0 + n for n in range(1, 1201)]
    assert rows[0] == {
        "ts_event": "2026-11-18T11:06:41.000000000Z",
        "ts_recv": "2026-11-18T11:06:41.000000001Z",
        "product": "NIFTY",
        "price": "26001.0",
        "volume": "",
    }
    assert result.stderr == "1,200 rows\n"


def test_a_range_is_half_open_and_has_offsets(deltastream, filled: Path):
    span = ("--start", "2026-11-18T16:36:42+05:30", "--end", "2026-11-18T11:06:44")
    rows = table(deltastream("export", "ticks", "--product", "NIFTY", *span).stdout)
    assert [row["price"] for row in rows] == ["26002.0", "26003.0"]


def test_bars(deltastream, filled: Path):
    rows = table(deltastream("export", "bars", "--product", "NIFTY", "--interval", "5m").stdout)
    assert [row["start"][11:16] for row in rows] == ["11:05", "11:10", "11:15", "11:20", "11:25"]
    assert (rows[1]["open"], rows[1]["high"], rows[1]["close"], rows[1]["ticks"]) == (
        "26200.0",
        "26499.0",
        "26499.0",
        "300",
    )


def test_metrics_of_all_expiries_or_of_one(deltastream, filled: Path):
    rows = table(deltastream("export", "metrics", "--product", "NIFTY").stdout)
    assert [row["expiry"] for row in rows] == ["2026-11-24"] * 3 + ["2026-12-01"]
    assert (rows[0]["atm_iv"], rows[0]["pcr_oi"], rows[0]["max_pain_strike"]) == ("0.12", "0.9", "")
    one = deltastream("export", "metrics", "--product", "NIFTY", "--expiry", "2026-12-01").stdout
    assert len(table(one)) == 1


def test_chains_as_quotes(deltastream, filled: Path):
    rows = table(deltastream("export", "chains", "--product", "NIFTY", "--expiry", "2026-11-24").stdout)
    assert len(rows) == 3 * 2 * 2
    assert [row["symbol"] for row in rows[:4]] == [
        "NIFTY-20261124-25950-C",
        "NIFTY-20261124-25950-P",
        "NIFTY-20261124-26000.5-C",
        "NIFTY-20261124-26000.5-P",
    ]
    call, put = rows[0], rows[3]
    assert (call["bid"], call["ask"], call["iv"], call["iv_status"]) == ("75.0", "", "0.125", "converged")
    assert rows[2]["iv_status"] == "no_two_sided_quote"
    assert (put["last_trade_us"], put["buildup"], put["option_type"]) == (
        "1795000000000001",
        "short_buildup",
        "P",
    )
    assert (call["spot"], call["forward"], call["multiplier"]) == ("26000.0", "26010.5", "75.0")
    assert (call["rate"], call["t"], call["forward_source"]) == ("0.055", "", "parity")
    assert call["forward_error"] == "0.25"
    assert call["flags"] == "market_closed;assumed_terms"
    assert call["reasons"] == "max_pain_strike=no_open_interest;t=stale"
    assert [row["greeks_from"] for row in rows[:4]] == ["other_side", "", "own", ""]


def test_surfaces_by_strike(deltastream, filled: Path):
    rows = table(deltastream("export", "surfaces", "--product", "NIFTY").stdout)
    assert [(row["strike"], row["iv"]) for row in rows] == [("25950.0", "0.13"), ("26000.5", "")] * 2
    assert (rows[0]["expiry"], rows[0]["forward"], rows[0]["avg_iv"]) == ("2026-11-24", "26010.5", "")


def test_status_history(deltastream, filled: Path):
    rows = table(deltastream("export", "status", "--product", "NIFTY").stdout)
    assert [row["status"] for row in rows] == ["open", "stale", "open", "closed"]


def test_a_status_history_without_any_price(deltastream, filled: Path):
    (row,) = table(deltastream("export", "status", "--product", "BANKNIFTY").stdout)
    assert (row["product"], row["status"]) == ("BANKNIFTY", "halted")


@pytest.mark.parametrize("series", ["ticks", "bars", "metrics", "chains", "surfaces", "status"])
def test_parquet_holds_what_csv_holds(deltastream, filled: Path, tmp_path: Path, series: str):
    file = tmp_path / "out.parquet"
    deltastream("export", series, "--product", "NIFTY", "--output", str(file))
    stored = pq.read_table(file)
    rows = table(deltastream("export", series, "--product", "NIFTY").stdout)
    assert stored.num_rows == len(rows) > 0
    for name in stored.column_names:
        values = stored.column(name)
        if str(values.type).startswith("timestamp"):
            assert str(values.type) == "timestamp[ns, tz=UTC]"
            assert [f"{v.value}"[:10] for v in values] == [f"{_ns(row[name])}"[:10] for row in rows]
        else:
            assert [_text(v) for v in values.to_pylist()] == [row[name] for row in rows]


def _ns(text: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(text[:19] + "+00:00").timestamp()) * 10**9 + int(text[20:29])


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def test_a_file_takes_the_place_of_an_older_one(deltastream, filled: Path, tmp_path: Path):
    file = tmp_path / "out.csv"
    file.write_text("old")
    result = deltastream("export", "ticks", "--product", "SPY", "--output", str(file))
    assert len(table(file.read_text())) == 1
    assert result.stdout == ""
    assert result.stderr == f"1 row in {file}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out.csv"]


def test_a_failed_export_leaves_the_older_file(deltastream, filled: Path, tmp_path: Path, monkeypatch):
    import deltastream.cli._rows as module

    def broken(*_: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "rows_of", broken)
    file = tmp_path / "out.csv"
    file.write_text("old")
    assert deltastream.refusal("export", "ticks", "--product", "SPY", "--output", str(file)) == (
        f"{file} cannot be written: No space left on device."
    )
    assert file.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out.csv"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (
            ("--expiry", "2026-11-23"),
            "Of NIFTY no expiry '2026-11-23' is stored; there is: 2026-11-24, 2026-12-01.",
        ),
        (("--root", "OTHER"), "Of NIFTY no root 'OTHER' is stored; there is: NIFTY."),
        (
            ("--root", "NIFTY", "--expiry", "2027-01-01"),
            "Of NIFTY (root NIFTY) no expiry '2027-01-01' is stored; there is: 2026-11-24, 2026-12-01.",
        ),
    ],
)
@pytest.mark.parametrize("series", ["chains", "metrics"])
def test_a_series_that_is_not_stored(deltastream, filled: Path, series: str, asked, sentence: str):
    assert deltastream.refusal("export", series, "--product", "NIFTY", *asked) == sentence


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (("--expiry", "23-11-2026"), "'23-11-2026' is not a date such as 2026-11-24."),
        (("--expiry", "20261124"), "is not a date"),
        (("--expiry", "2026-02-30"), "is not a date"),
        (("--start", "2026-11-24", "--end", "2026-11-23"), "--start must be before --end."),
        (("-o", "x.json"), "end it in one of .csv, .parquet, .pq, or give --format csv or --format parquet."),
        (("-o", "x"), "does not tell the format"),
    ],
)
def test_wrong_usage(deltastream, filled: Path, more: tuple[str, ...], text: str):
    result = deltastream("export", "chains", "--product", "NIFTY", *more, code=2)
    assert text in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_the_name_tells_the_format_whatever_its_case(deltastream, filled: Path, tmp_path: Path):
    deltastream("export", "ticks", "--product", "SPY", "-o", str(tmp_path / "a.PQ"))
    assert pq.read_table(tmp_path / "a.PQ").num_rows == 1
    deltastream("export", "ticks", "--product", "SPY", "-o", str(tmp_path / "b.json"), "--format", "csv")
    assert len(table((tmp_path / "b.json").read_text())) == 1


def test_a_device_is_written_to_and_not_replaced(deltastream, filled: Path, tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    deltastream("export", "ticks", "--product", "SPY", "--format", "csv", "-o", str(pipe))
    assert len(table(os.read(reader, 65536).decode())) == 1
    os.close(reader)
    assert pipe.is_fifo()


def test_what_cannot_be_exported(deltastream, filled: Path, tmp_path: Path):
    assert deltastream.refusal("export", "ticks", "--product", "X") == (
        "Nothing is stored of 'X'; there is: NIFTY, SPY."
    )
    assert deltastream.refusal("export", "ticks", "--product", "nifty") == (
        "Nothing is stored of 'nifty'; did you mean NIFTY?"
    )
    assert deltastream.refusal("export", "status", "--product", "Spy") == (
        "Nothing is stored of 'Spy'; did you mean SPY?"
    )
    missing = tmp_path / "no" / "out.csv"
    assert deltastream.refusal("export", "ticks", "--product", "SPY", "-o", str(missing)) == (
        f"{missing} cannot be written: No such file or directory."
    )
