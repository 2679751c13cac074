"""Data of updates: a change applied to its base gives the chain, in both encodings alike."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deltastream.messages import ENRICHED_COLUMNS
from deltastream.sockets.updates import (
    Body,
    chain_change,
    chain_data,
    status_data,
    summary_data,
    surface_data,
    tick_data,
)

ROWS = len(ENRICHED_COLUMNS)
CELL = st.one_of(
    st.just(math.nan), st.sampled_from((0.0, -0.0, 1.0, 2.5, 1e300, 5e-324)), st.integers(0, 2**40)
)
MATRIX = arrays(np.float64, (ROWS, 4), elements=CELL.map(float), fill=st.just(1.0))


def same(left: Any, right: Any) -> bool:
    """Equal, type by type: a whole number stays one."""
    return msgspec.json.encode(left) == msgspec.json.encode(right)


def both_ways(data: Any) -> Any:
    """The data as a client gets them; the encodings must agree."""
    body = Body(lambda: data)
    plain = msgspec.json.decode(body.raw("json"))
    assert same(msgspec.msgpack.decode(body.raw("msgpack")), plain)
    return plain


@given(MATRIX, MATRIX, st.floats(0, 10), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_base_and_change_make_the_chain(
    chain: Any, apply_change: Any, old: Any, new: Any, spot: float, few: bool
):
    new[0] = old[0] = np.arange(1.0, 5.0)
    if few:
        new, some = old.copy(), new
        new[3, 2], new[7, 1] = some[3, 2], some[7, 1]
    base, now = chain(columns=old), chain(columns=new, spot=spot, reasons={"atm_iv": "no_quotes"})
    change = chain_change(base, 41, now)
    whole = both_ways(chain_data(now))
    if change is None:
        assert not few
        return
    change = both_ways(change)
    assert change["base"] == 41
    assert (change["root"], change["expiry"]) == ("NIFTY", "2026-11-24")
    assert all(values for values in change["columns"].values())
    assert "columns" not in change["head"]
    made = apply_change(both_ways(chain_data(base)), change)
    for name, values in whole["columns"].items():  # -0.0 and 0.0 are one number
        assert made["columns"][name] == values
        assert [type(value) for value in made["columns"][name]] == [type(value) for value in values]
    assert {**made, "columns": 0} == {**whole, "columns": 0}


def test_nothing_changed_is_a_change_of_nothing(chain: Any):
    change = chain_change(chain(), 1, chain())
    assert change is not None
    assert both_ways(change) == {
        "root": "NIFTY",
        "expiry": "2026-11-24",
        "base": 1,
        "head": {},
        "rows": [],
        "columns": {},
    }


@pytest.mark.parametrize("strikes", [2, 4])
def test_other_strikes_are_a_whole_chain(chain: Any, strikes: int):
    assert chain_change(chain(), 1, chain(strikes=strikes)) is None
    moved = chain()
    moved.columns[0, 0] = 0.5
    assert chain_change(chain(), 1, moved) is None


def test_what_changes_throughout_is_a_whole_chain(chain: Any):
    other = chain()
    other.columns[1:] = 7.0
    assert chain_change(chain(), 1, other) is None


def test_columns_may_lie_in_memory_as_they_please(chain: Any):
    plain = chain().columns
    for other in (np.asfortranarray(plain), np.repeat(plain, 2, axis=1)[:, ::2]):
        assert both_ways(chain_data(chain(columns=other))) == both_ways(chain_data(chain()))
        change = chain_change(chain(columns=other), 1, chain(columns=other))
        assert change is not None
        assert change["rows"] == []


def test_numbers_that_are_not_there_are_null_and_whole_ones_whole(chain: Any):
    columns = np.full((ROWS, 2), np.nan)
    columns[0] = (1.0, 2.5)
    columns[ENRICHED_COLUMNS.index("call_buildup"), 0] = 3.0
    columns[ENRICHED_COLUMNS.index("call_last_trade_us"), 0] = 1.7e15
    plain = both_ways(chain_data(chain(columns=columns)))["columns"]
    assert plain["strike"] == [1.0, 2.5]
    assert plain["call_bid"] == [None, None]
    assert b"[3,null]" in msgspec.json.encode(plain["call_buildup"])
    assert b"[1700000000000000,null]" in msgspec.json.encode(plain["call_last_trade_us"])


@given(
    st.integers(0, 4).flatmap(
        lambda strikes: arrays(
            np.float64, (ROWS, strikes), elements=st.floats() | st.integers(-(2**55), 2**55).map(float)
        )
    )
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_number_of_a_chain_is_sent_as_itself_or_null(chain: Any, columns: Any):
    plain = both_ways(chain_data(chain(columns=columns)))["columns"]
    for name, values in zip(ENRICHED_COLUMNS, columns.tolist(), strict=True):
        whole = name.endswith(("iv_status", "buildup", "last_trade_us"))
        for sent, value in zip(plain[name], values, strict=True):
            if not math.isfinite(value):
                assert sent is None
            elif whole and abs(value) <= 2**53:
                assert same(sent, int(value))
            else:
                assert same(sent, value)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_what_is_no_number_is_null_in_the_head_as_well(chain: Any, tick: Any, number: float):
    """MessagePack would tell it, and a change would be told for ever of what does not equal itself."""
    odd = chain(spot=number, total_call_oi=number)
    data = msgspec.msgpack.decode(msgspec.msgpack.encode(summary_data(odd)))
    assert data["spot"] is data["total_call_oi"] is None
    change = chain_change(odd, 1, odd)
    assert change is not None
    assert change["head"] == {}
    assert tick_data(msgspec.structs.replace(tick(), volume=number))["volume"] is None


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_nor_is_it_a_number_in_a_surface(surface: Any, number: float):
    made = surface()
    odd = msgspec.structs.replace(made.slices[0], forward=number, strikes=(1.0, 2.0), ivs=(number, 0.2))
    [one] = both_ways(surface_data(msgspec.structs.replace(made, slices=(odd,))))["slices"]
    assert (one["forward"], one["ivs"]) == (None, [None, 0.2])


def test_times_are_microseconds(chain: Any, status: Any, surface: Any, tick: Any):
    ts = 1_795_156_200_000_001_999
    micro = 1_795_156_200_000_001
    assert status_data(status(ts))["since"] == micro
    assert surface_data(surface(ts))["slices"][0]["ts"] == micro
    data = chain_data(chain(ts, oi_as_of=ts))
    assert data["oi_as_of"] == micro
    assert data["expiry_ts"] % 1_000_000 == 0
    assert not {"ts_event", "ts_recv", "v", "source"} & data.keys()
    assert tick_data(tick(ts)) == {"product": "NIFTY", "price": 1.0, "volume": None}


def test_a_body_is_encoded_once_each_way():
    calls = []
    body = Body(lambda: calls.append(1) or {"a": 1})
    assert body.raw("json") is body.raw("json")
    assert body.raw("msgpack") is body.raw("msgpack")
    assert len(calls) == 2
