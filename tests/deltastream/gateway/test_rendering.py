"""Chains as they are shown, read beside the messages they were made of."""

from __future__ import annotations

import builtins
import csv
import datetime as dt
import io
import math
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.gateway.problems import Problem
from deltastream.gateway.rendering import Window, chain_of, chain_table
from deltastream.gateway.tables import Column, Table, arrow, csv_text
from deltastream.messages import ENRICHED_ROWS, ROW, EnrichedChain

T0 = 1_795_156_200_000_000_000
KOLKATA = ZoneInfo("Asia/Kolkata")
WHOLE = Window()


def plain(value):
    return msgspec.json.decode(msgspec.json.encode(value))


def microseconds(text):
    """The instant that ISO text with an offset names."""
    moment = dt.datetime.fromisoformat(text)
    assert moment.utcoffset() is not None
    assert text[19] == "."
    assert len(text) == 32
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def there(number):
    return float(number) if math.isfinite(number) else None


MEANING = {
    "bid": "bid", "bid_size": "bid_size", "ask": "ask", "ask_size": "ask_size", "last": "last",
    "volume": "volume", "open_interest": "oi", "oi_change": "oi_change", "iv": "iv", "bid_iv": "bid_iv",
    "ask_iv": "ask_iv", "vendor_iv": "vendor_iv", "delta": "delta", "gamma": "gamma", "vega": "vega",
    "theta": "theta", "rho": "rho", "prev_close": "prev_close", "prev_open_interest": "prev_oi",
}  # fmt: skip
"""Field of a row, column of the message, written down once more."""


@st.composite
def chains(draw):
    """Chains of any numbers, with holes and infinities."""
    count = draw(st.integers(0, 6))
    strikes = sorted(draw(st.sets(st.integers(1, 2000), min_size=count, max_size=count)))
    numbers = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0])
    columns = np.array(
        [[draw(numbers) for _ in range(count)] for _ in range(ENRICHED_ROWS)], dtype=float
    ).reshape(ENRICHED_ROWS, count)
    columns[0] = [strike / 4 for strike in strikes]
    for side in ("call", "put"):
        columns[ROW[f"{side}_iv_status"]] = [
            draw(st.sampled_from([math.nan, *range(8), 17, 30, 99])) for _ in strikes
        ]
        columns[ROW[f"{side}_buildup"]] = [draw(st.sampled_from([math.nan, *range(5), 99])) for _ in strikes]
        columns[ROW[f"{side}_last_trade_us"]] = [
            draw(st.sampled_from([math.nan, T0 / 1000])) for _ in strikes
        ]
    atm = draw(st.none() | st.sampled_from(strikes)) if strikes else None
    return EnrichedChain(
        product="NIFTY", root="NIFTY", expiry="2026-11-24", expiry_ts=T0 + 10**15, ts_event=T0 + 123_456_789,
        ts_recv=T0 + 200_000_000, spot=draw(st.none() | st.floats(1, 500)), currency="INR",
        multiplier=math.nan,
        exercise="european", settlement="cash", oi_unit="contracts", volume_unit="units", oi_cadence="live",
        columns=columns, rate=0.05, rate_source="configured:INR", atm_strike=None if atm is None else atm / 4,
        reasons={"spot": "not_given", "pcr_oi": "no_call_open_interest"},
    )  # fmt: skip


windows = st.one_of(
    st.just(WHOLE),
    st.integers(0, 4).map(lambda n: Window(strikes=n)),
    st.tuples(st.floats(0, 0.5), st.floats(0.5, 1)).map(lambda band: Window(delta=band)),
)


@given(chains(), windows)
def test_rows_are_columns_turned(chain, window):
    rows = plain(chain_of(chain, "rows", window, KOLKATA))
    columns = plain(chain_of(chain, "columns", window, KOLKATA))
    for side, letter in (("calls", "C"), ("puts", "P")):
        turned = columns.pop(side)
        same = {"product": "NIFTY", "root": "NIFTY", "expiry": "2026-11-24", "option_type": letter,
                "timestamp": columns["timestamp"]}  # fmt: skip
        count = len(turned["strike"])
        assert {len(values) for values in turned.values()} == {count}
        assert rows.pop(side) == [
            {**same, **{name: values[i] for name, values in turned.items()}} for i in range(count)
        ]
    assert rows == columns


@given(chains(), windows)
def test_tables_say_what_rows_say(chain, window):
    shown = plain(chain_of(chain, "rows", window, KOLKATA))
    rows = [*shown["calls"], *shown["puts"]]
    table = chain_table([chain, chain], window, KOLKATA)
    read = pa.ipc.open_stream(arrow(table, b'{"a":1}')).read_all()
    assert read.schema.metadata == {b"meta": b'{"a":1}'}
    assert read.schema.field("timestamp").type == pa.timestamp("ns", "Asia/Kolkata")
    text = list(csv.DictReader(io.StringIO(csv_text(table).decode(), newline="")))
    assert len(text) == read.num_rows == 2 * len(rows)
    for cells, row in zip(text, [*rows, *rows], strict=True):
        for name, value in row.items():
            known = "" if value is None else value if isinstance(value, str) else repr(value)
            assert cells[name] == known, name
    for name in rows[0] if rows else ():
        values = read.column(name).to_pylist()
        if name in ("timestamp", "last_trade"):
            values = [None if one is None else one.value // 1000 for one in values]
            assert values == [None if row[name] is None else microseconds(row[name]) for row in rows] * 2
        else:
            assert values == [row[name] for row in rows] * 2


@given(chains())
def test_rows_are_the_columns_of_the_message(chain):
    shown = plain(chain_of(chain, "rows", WHOLE, KOLKATA))
    strikes = chain.columns[0].tolist()
    for side, prefix, letter in (("calls", "call_", "C"), ("puts", "put_", "P")):
        assert [row["strike"] for row in shown[side]] == strikes
        for i, row in enumerate(shown[side]):
            assert row["symbol"] == f"NIFTY-20261124-{strikes[i]:.2f}".rstrip("0").rstrip(".") + f"-{letter}"
            for field, column in MEANING.items():
                assert row[field] == there(chain.columns[ROW[prefix + column]][i]), field


def test_a_whole_answer_is_what_the_message_says(enriched):
    chain = enriched(call_last=[9.0, math.nan, 11.0], call_last_trade_us=T0 / 1000, call_prev_oi=900.0)
    chain = msgspec.structs.replace(chain, ts_event=T0 + 1_234_567)
    shown = plain(chain_of(chain, "rows", WHOLE, KOLKATA, flags=("expired",)))
    for name in (
        *(
            "product",
            "root",
            "expiry",
            "forward",
            "forward_error",
            "forward_source",
            "rate",
            "rate_source",
            "t",
        ),
        *("atm_strike", "atm_straddle_price", "atm_iv", "avg_iv", "pcr_oi", "pcr_volume", "max_pain_strike"),
        *("max_pain_value", "total_call_oi", "total_put_oi", "total_call_volume", "total_put_volume"),
        *("call_oi_change", "put_oi_change", "currency", "multiplier", "lot", "tick_size", "exercise"),
        *("settlement", "oi_unit", "volume_unit", "oi_cadence", "future"),
    ):
        assert shown[name] == getattr(chain, name), name
    assert shown["max_pain_interval"] == list(chain.max_pain_interval)
    assert shown["spot_price"] == 26_010.0
    assert shown["call_buildup_otm"] == 1_002.0
    assert shown["put_buildup_otm"] == 1_000.0 + 1_001.0
    assert shown["flags"] == [*chain.flags, "expired"]
    assert shown["timestamp"] == "2026-11-20T12:00:00.001234+05:30"
    assert microseconds(shown["processed_at"]) == chain.ts_recv // 1000
    assert microseconds(shown["expiry_time"]) == chain.expiry_ts // 1000
    assert microseconds(shown["oi_as_of"]) == chain.oi_as_of // 1000
    assert [row["label"] for row in shown["calls"]] == ["ITM1", "ATM", "OTM1"]
    assert [row["label"] for row in shown["puts"]] == ["OTM1", "ATM", "ITM1"]
    assert [row["last"] for row in shown["calls"]] == [9.0, None, 11.0]
    assert {row["last_trade"] for row in shown["calls"]} == {"2026-11-20T12:00:00.000000+05:30"}
    assert {row["last_trade"] for row in shown["puts"]} == {None}
    assert [row["oi_change"] for row in shown["calls"]] == [100.0, 101.0, 102.0]
    assert {row["iv_status"] for row in shown["calls"]} == {"converged"}
    assert {row["greeks_from"] for row in shown["calls"]} == {"own"}


def test_greeks_of_the_other_sides_volatility_say_so(enriched):
    chain = enriched(call_bid=math.nan, call_ask=math.nan, spot=26_010.0)
    shown = plain(chain_of(chain, "rows", WHOLE, KOLKATA))
    status = chain["call_iv_status"][1]
    assert status >= 16
    assert shown["calls"][1]["iv_status"] == "no_two_sided_quote"
    assert shown["calls"][1]["iv"] is None
    assert (shown["calls"][1]["greeks_from"], shown["puts"][1]["greeks_from"]) == ("other_side", "own")


def test_what_is_null_has_its_reason(enriched):
    chain = enriched(spot=None, call_oi=math.nan, put_oi=math.nan, call_bid=math.nan, put_bid=math.nan)
    shown = plain(chain_of(chain, "rows", WHOLE, KOLKATA))
    missing = {name for name, value in shown.items() if value is None}
    assert missing - {"future", "lot", "tick_size"} <= set(shown["reasons"])
    assert shown["reasons"]["spot_price"] == "not_given"
    assert shown["reasons"]["call_buildup_otm"] == "no_spot"
    assert "spot" not in shown["reasons"]
    assert {row["label"] for row in shown["calls"]} == {None}
    chain = enriched(call_oi=math.nan)
    shown = plain(chain_of(chain, "rows", WHOLE, KOLKATA))
    assert shown["call_buildup_otm"] is None
    assert shown["reasons"]["call_buildup_otm"] == "no_out_of_the_money_call_open_interest"


def test_a_window_of_strikes_is_around_the_atm_strike(enriched):
    strikes = [25_000.0 + 100 * n for n in range(21)]
    chain = enriched(strikes=strikes)
    at = strikes.index(chain.atm_strike)
    for n in (0, 1, 7, 500):
        shown = chain_of(chain, "rows", Window(strikes=n), KOLKATA)
        expected = strikes[max(at - n, 0) : at + n + 1]
        assert [row.strike for row in shown.calls] == [row.strike for row in shown.puts] == expected
        assert shown.total_call_oi == chain.total_call_oi
    edge = msgspec.structs.replace(chain, atm_strike=strikes[0])
    assert len(chain_of(edge, "rows", Window(strikes=2), KOLKATA).calls) == 3
    by_spot = msgspec.structs.replace(chain, atm_strike=None, spot=25_160.0)
    assert [row.strike for row in chain_of(by_spot, "rows", Window(strikes=0), KOLKATA).puts] == [25_200.0]
    nowhere = msgspec.structs.replace(chain, atm_strike=None, spot=None)
    assert chain_of(nowhere, "rows", Window(strikes=3), KOLKATA).calls == []


def test_a_band_of_delta_keeps_the_ladder_whole(enriched):
    chain = enriched(strikes=[25_000.0 + 100 * n for n in range(21)])
    shown = chain_of(chain, "rows", Window(delta=(0.2, 0.45)), KOLKATA)
    wanted = [
        strike
        for strike, call, put in zip(
            chain.strikes.tolist(), chain["call_delta"].tolist(), chain["put_delta"].tolist(), strict=True
        )
        if 0.2 <= (call if strike > chain.forward else -put) <= 0.45
    ]
    assert 0 < len(wanted) < 21
    assert [row.strike for row in shown.calls] == [row.strike for row in shown.puts] == wanted


def test_an_empty_chain_is_shown(enriched):
    chain = msgspec.structs.replace(enriched(), columns=np.empty((ENRICHED_ROWS, 0)), atm_strike=None)
    for layout in ("rows", "columns"):
        for window in (WHOLE, Window(strikes=1), Window(delta=(0.1, 0.2))):
            shown = plain(chain_of(chain, layout, window, KOLKATA))
            assert shown["calls"] in ([], {name: [] for name in shown["calls"]})
    read = pa.ipc.open_stream(arrow(chain_table([chain], WHOLE, KOLKATA), b"{}")).read_all()
    assert read.num_rows == 0
    assert csv_text(chain_table([], WHOLE, KOLKATA)).count(b"\r\n") == 1


def test_no_cell_is_a_formula():
    texts = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "plain", 'with "quotes", and\r\nlines', None, ""]
    table = Table(KOLKATA, {"text": Column("text", texts), "number": Column("number", [-1.5] * len(texts))})
    read = list(csv.reader(io.StringIO(csv_text(table).decode(), newline="")))
    assert read[0] == ["text", "number"]
    assert [cells[0] for cells in read[1:]] == [
        *("'=1+1", "'+1", "'-1", "'@x", "'\tx", "'\rx", "plain", 'with "quotes", and\r\nlines', "", "")
    ]
    assert {cells[1] for cells in read[1:]} == {"-1.5"}
    assert pa.ipc.open_stream(arrow(table, b"{}")).read_all().column("text").to_pylist() == texts


def test_without_pyarrow_arrow_is_not_offered(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **more):
        if name == "pyarrow":
            raise ModuleNotFoundError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Problem, match="pyarrow") as refused:
        arrow(Table(KOLKATA, {"a": Column("count", [1])}), b"{}")
    assert (refused.value.code, refused.value.status) == ("not_acceptable", 406)
