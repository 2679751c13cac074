"""Contract symbols."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.market import contract_symbol, parse_contract_symbol, parse_occ

D = dt.date


@pytest.mark.parametrize(
    ("root", "expiry", "strike", "side", "symbol"),
    [
        ("NIFTY", D(2026, 11, 24), 26000.0, "C", "NIFTY-20261124-26000-C"),
        ("RELIANCE", D(2026, 11, 24), 75.5, "P", "RELIANCE-20261124-75.5-P"),
        ("BAJAJ-AUTO", D(2026, 11, 24), 8000, "C", "BAJAJ-AUTO-20261124-8000-C"),
        ("BTC", D(2026, 11, 27), 1e5, "C", "BTC-20261127-100000-C"),
        ("XRP_USDC", D(2026, 11, 27), 0.625, "P", "XRP_USDC-20261127-0.625-P"),
        ("X", D(2026, 11, 27), 1e-5, "P", "X-20261127-0.00001-P"),
    ],
)
def test_symbols(root, expiry, strike, side, symbol):
    assert contract_symbol(root, expiry, strike, side) == symbol
    assert parse_contract_symbol(symbol) == (root, expiry, strike, side)


@given(
    st.text("ABCDEFXYZ0123456789_-.&", min_size=1, max_size=12),
    st.dates(D(1990, 1, 1), D(2099, 12, 31)),
    st.floats(min_value=1e-6, max_value=1e12),
    st.sampled_from("CP"),
)
def test_round_trip(root, expiry, strike, side):
    assert parse_contract_symbol(contract_symbol(root, expiry, strike, side)) == (root, expiry, strike, side)


@pytest.mark.parametrize(
    ("root", "strike", "side"),
    [
        ("NIFTY", 0.0, "C"),
        ("NIFTY", -5.0, "C"),
        ("NIFTY", float("nan"), "C"),
        ("NIFTY", float("inf"), "C"),
        ("NIFTY", 100.0, "CE"),
        ("", 100.0, "C"),
        ("A B", 100.0, "C"),
    ],
)
def test_what_is_no_contract_has_no_symbol(root, strike, side):
    with pytest.raises(ValueError, match=r"strike|side|root"):
        contract_symbol(root, D(2026, 11, 24), strike, side)


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "NIFTY",
        "NIFTY-20261124-26000",
        "NIFTY-20261124-26000-X",
        "NIFTY-20261324-26000-C",
        "NIFTY-20260230-26000-C",
        "NIFTY-20261124-0-C",
        "NIFTY-20261124-1e5-C",
        "NIFTY-20261124--5-C",
        "NIFTY-20261124-26000-C\n",
        "NIFTY-٢٠٢٦١١٢٤-26000-C",
        "-20261124-26000-C",
    ],
)
def test_bad_symbols_are_named(symbol):
    with pytest.raises(ValueError, match=r"is not|has no"):
        parse_contract_symbol(symbol)


@pytest.mark.parametrize(
    ("symbol", "parsed"),
    [
        ("SPY260821C00640000", ("SPY", D(2026, 8, 21), "C", 640.0)),
        ("O:SPY220708C00401000", ("SPY", D(2022, 7, 8), "C", 401.0)),
        ("SPY   260821P00640500", ("SPY", D(2026, 8, 21), "P", 640.5)),
        ("SPXW260821P06400000", ("SPXW", D(2026, 8, 21), "P", 6400.0)),
        ("AAPL1260821C00000125", ("AAPL1", D(2026, 8, 21), "C", 0.125)),
    ],
)
def test_occ(symbol, parsed):
    assert parse_occ(symbol) == parsed


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "SPY",
        "SPY260821X00640000",
        "SPY260821C0064000",
        "SPY261321C00640000",
        "SPY260821C00000000",
        "spy260821C00640000",
    ],
)
def test_bad_occ_symbols_are_named(symbol):
    with pytest.raises(ValueError, match=r"is not|has strike 0"):
        parse_occ(symbol)
