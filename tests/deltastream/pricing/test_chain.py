"""Chains by name: the public sweep is the core's, with its rows in the right places."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from deltastream import _core
from deltastream.messages.columns import CHAIN_COLUMNS, SIDE_ANALYTICS, SIDE_COLUMNS
from deltastream.pricing import ChainSide, black76, bsm, chain_columns, sweep

STRIKES = np.arange(90.0, 111.0, 2.0)
TERMS = {"t": 30 / 365, "rate": 0.05, "spot": 100.0}
HIGHER = ("vanna", "charm", "vomma", "veta", "speed", "zomma", "color", "ultima")


def side(is_call: bool) -> dict[str, Any]:
    """Quotes of a smile, and a different number in every other column."""
    sigmas = 0.2 + 2.0 * (STRIKES / 100.0 - 1.0) ** 2
    prices = black76.price(100.4, STRIKES, TERMS["t"], sigmas, TERMS["rate"], is_call)
    others = {name: 1000.0 * (i + 1) + 7.0 * is_call + STRIKES for i, name in enumerate(SIDE_COLUMNS)}
    return {**others, "bid": prices - 0.01, "ask": prices + 0.01, "last": prices}


CALLS, PUTS = side(True), side(False)


@pytest.fixture(scope="module")
def book() -> Any:
    return sweep(chain_columns(STRIKES, CALLS, PUTS), **TERMS, tick_size=0.05, lot=1.0, multiplier=10.0)


def test_columns_are_where_messages_have_them() -> None:
    columns = chain_columns(STRIKES, CALLS, PUTS)
    assert (columns.shape, columns.dtype) == ((23, len(STRIKES)), np.float64)
    rows = dict(zip(CHAIN_COLUMNS, columns, strict=True))
    np.testing.assert_array_equal(rows["strike"], STRIKES)
    for name in SIDE_COLUMNS:
        np.testing.assert_array_equal(rows[f"call_{name}"], CALLS[name])
        np.testing.assert_array_equal(rows[f"put_{name}"], PUTS[name])


def test_what_is_left_out_is_absent_and_one_number_is_for_all() -> None:
    columns = chain_columns([90, 100], {"bid": [1, 2]}, {"oi": 5})
    rows = dict(zip(CHAIN_COLUMNS, columns, strict=True))
    np.testing.assert_array_equal(rows.pop("call_bid"), [1.0, 2.0])
    np.testing.assert_array_equal(rows.pop("put_oi"), [5.0, 5.0])
    np.testing.assert_array_equal(rows.pop("strike"), [90.0, 100.0])
    assert np.isnan(list(rows.values())).all()


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, dict], ids=["pandas", "polars", "dict"])
def test_frames_are_sides(frame: Any) -> None:
    expected = chain_columns(STRIKES, CALLS, PUTS)
    np.testing.assert_array_equal(chain_columns(STRIKES, frame(CALLS), frame(PUTS)), expected)


@pytest.mark.parametrize(
    ("strikes", "calls", "error", "message"),
    [
        (
            STRIKES,
            {"open_interest": STRIKES},
            ValueError,
            r"calls have no column 'open_interest'; there are bid,",
        ),
        (
            STRIKES,
            {"bid": [1.0, 2.0]},
            ValueError,
            r"calls\['bid'\] has shape \(2,\), but strikes has shape \(11,\)",
        ),
        (STRIKES, {"bid": [[1.0]]}, ValueError, r"calls\['bid'\] has shape \(1, 1\), but strikes has shape"),
        (
            STRIKES,
            {"bid": ["1"] * 11},
            TypeError,
            r"calls\['bid'\] must hold real numbers, but its dtype is <U1",
        ),
        ([[90.0]], {}, ValueError, r"strikes must have 1 dimension, but has shape \(1, 1\)"),
        (90.0, {}, ValueError, r"strikes must have 1 dimension, but has shape \(\)"),
    ],
)
def test_refused_columns(strikes: Any, calls: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        chain_columns(strikes, calls, {})
    with pytest.raises(error, match=f"^{message.replace('calls', 'puts')}"):
        chain_columns(strikes, {}, calls)


def test_names_are_those_of_the_messages() -> None:
    assert ChainSide.__struct_fields__ == (*SIDE_ANALYTICS, *HIGHER)


def test_rows_have_their_names(book: Any) -> None:
    values, summary = _core.sweep(
        chain_columns(STRIKES, CALLS, PUTS),
        **TERMS,
        future=math.nan,
        tick_size=0.05,
        lot=1.0,
        multiplier=10.0,
        convention="naive",
    )
    order = [*(("calls", n) for n in SIDE_ANALYTICS), *(("puts", n) for n in SIDE_ANALYTICS)]
    order += [*(("calls", n) for n in HIGHER), *(("puts", n) for n in HIGHER)]
    for (which, name), row in zip(order, values, strict=True):
        np.testing.assert_array_equal(getattr(getattr(book, which), name), row, err_msg=f"{which}.{name}")
    np.testing.assert_array_equal(book.strikes, STRIKES)
    np.testing.assert_equal(book.summary.as_tuple(), summary.as_tuple())


@pytest.mark.parametrize(("which", "is_call"), [("calls", True), ("puts", False)])
def test_greeks_are_those_of_the_model(book: Any, which: str, is_call: bool) -> None:
    found, forward, t = getattr(book, which), book.summary.forward, TERMS["t"]
    carried = TERMS["rate"] - math.log(forward / TERMS["spot"]) / t
    expected = bsm.all_greeks(TERMS["spot"], STRIKES, t, found.iv, TERMS["rate"], carried, is_call).as_dict()
    for name in ("delta", "gamma", "vega", "theta", "rho", *HIGHER):
        np.testing.assert_allclose(getattr(found, name), expected[name], rtol=1e-9, atol=1e-13, err_msg=name)


def test_summary(book: Any) -> None:
    assert book.summary.forward == pytest.approx(100.4, abs=1e-6)
    assert book.summary.call_oi == CALLS["oi"].sum()
    exposure = (book.calls.gamma * CALLS["oi"]).sum() * 10.0 * TERMS["spot"] ** 2 * 0.01
    assert book.summary.call_gex == pytest.approx(exposure, rel=1e-12)
    assert book.summary.gex == pytest.approx(book.summary.call_gex - book.summary.put_gex, rel=1e-12)


def test_conventions_turn_signs() -> None:
    columns = chain_columns(STRIKES, CALLS, PUTS)
    naive, inverse, short = (
        sweep(columns, **TERMS, multiplier=10.0, convention=name).summary
        for name in ("naive", "inverse", "short_all")
    )
    assert inverse.gex == -naive.gex
    assert short.gex == pytest.approx(-(naive.call_gex + naive.put_gex), rel=1e-12)
    with pytest.raises(ValueError, match="convention"):
        sweep(columns, **TERMS, convention="long_all")


def test_without_a_multiplier_there_are_no_exposures() -> None:
    summary = sweep(chain_columns(STRIKES, CALLS, PUTS), **TERMS).summary
    assert math.isnan(summary.gex)
    assert math.isnan(summary.call_dex)
    assert summary.call_wall in STRIKES


def test_matrices_of_other_layouts(book: Any) -> None:
    columns = chain_columns(STRIKES, CALLS, PUTS)
    for layout in (np.asfortranarray(columns), columns.tolist(), np.repeat(columns, 2, axis=1)[:, ::2]):
        again = sweep(layout, **TERMS, tick_size=0.05, lot=1.0, multiplier=10.0)
        np.testing.assert_array_equal(again.puts.iv, book.puts.iv)


def test_frames_of_results(book: Any) -> None:
    frame = pd.DataFrame(book.calls.as_dict(), index=book.strikes)
    assert tuple(frame.columns) == ChainSide.__struct_fields__
    assert frame.loc[100.0, "delta"] == book.calls.delta[5]


def test_no_strikes() -> None:
    nothing = sweep(chain_columns([], {}, {}), **TERMS)
    assert nothing.strikes.shape == nothing.calls.iv.shape == nothing.puts.ultima.shape == (0,)
    assert nothing.summary.strikes == 0


def test_the_wrong_number_of_rows() -> None:
    with pytest.raises(ValueError, match=r"columns must have shape \(23, n\), but has shape \(22, 3\)"):
        sweep(np.ones((22, 3)), **TERMS)
    with pytest.raises(TypeError, match="columns must hold real numbers, but its dtype is <U1"):
        sweep([["a"]], **TERMS)
