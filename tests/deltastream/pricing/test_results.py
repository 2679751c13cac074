"""The structs that calls give back, and the names that the package shows."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from deltastream import pricing
from deltastream.pricing import STATUSES, AllGreeks, Greeks, ImpliedVolatility, black76, bsm

FIRST = ("price", "delta", "gamma", "vega", "theta", "rho")
HIGHER = ("vanna", "charm", "vomma", "veta", "speed", "zomma", "color", "ultima", "forward_delta")
STRIKES = np.linspace(80.0, 120.0, 5)


def test_namespace() -> None:
    assert sorted(pricing.__all__) == [
        "AllGreeks",
        "Bars",
        "ChainSide",
        "ChainSweep",
        "Convention",
        "Greeks",
        "ImpliedVolatility",
        "MaxPain",
        "STATUSES",
        "Summary",
        "black76",
        "bsm",
        "chain_columns",
        "max_pain",
        "ohlc",
        "sweep",
    ]
    for model in (black76, bsm):
        assert sorted(model.__all__) == ["all_greeks", "greeks", "implied_volatility", "price"]


def test_fields() -> None:
    assert Greeks.__struct_fields__ == FIRST
    assert AllGreeks.__struct_fields__ == FIRST + HIGHER
    assert ImpliedVolatility.__struct_fields__ == ("sigma", "status")


@pytest.mark.parametrize("raw", [False, True])
def test_the_first_six_are_the_same_in_both(raw: bool) -> None:
    few = bsm.greeks(100.0, STRIKES, 0.5, 0.2, 0.03, 0.01, True, raw=raw)
    all_ = bsm.all_greeks(100.0, STRIKES, 0.5, 0.2, 0.03, 0.01, True, raw=raw)
    for name in FIRST:
        np.testing.assert_array_equal(getattr(few, name), getattr(all_, name))
    np.testing.assert_array_equal(few.price, bsm.price(100.0, STRIKES, 0.5, 0.2, 0.03, 0.01, True))


def test_units_are_those_of_the_docstrings() -> None:
    factors = {
        **dict.fromkeys(("price", "delta", "gamma", "speed", "forward_delta"), 1),
        **dict.fromkeys(("vega", "rho", "vanna", "zomma"), 100),
        **dict.fromkeys(("theta", "charm", "color"), 365),
        "veta": 36_500,
        "vomma": 10_000,
        "ultima": 1_000_000,
    }
    for is_call in (True, False):
        payload = bsm.all_greeks(100.0, STRIKES, 0.5, 0.2, 0.03, 0.01, is_call).as_dict()
        raw = bsm.all_greeks(100.0, STRIKES, 0.5, 0.2, 0.03, 0.01, is_call, raw=True).as_dict()
        for name, factor in factors.items():
            np.testing.assert_allclose(payload[name] * factor, raw[name], rtol=1e-14, err_msg=name)


def test_raw_greeks_are_differences_of_prices() -> None:
    def price(**moved: float) -> Any:
        values = {"spot": 100.0, "t": 0.5, "sigma": 0.2, "rate": 0.03} | moved
        return bsm.price(
            values["spot"], STRIKES, values["t"], values["sigma"], values["rate"], 0.01, [[True], [False]]
        )

    def slope(name: str, at: float, step: float = 1e-5) -> Any:
        return (price(**{name: at + step}) - price(**{name: at - step})) / (2 * step)

    found = bsm.greeks(100.0, STRIKES, 0.5, 0.2, 0.03, 0.01, [[True], [False]], raw=True)
    for value, expected in (
        (found.delta, slope("spot", 100.0, 1e-3)),
        (found.vega, slope("sigma", 0.2)),
        (found.theta, -slope("t", 0.5)),
        (found.rho, slope("rate", 0.03)),
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)


def test_fields_cannot_be_rebound(function: Any, arrays_of: Any) -> None:
    result = function(*function.usual, [True, False])
    if isinstance(result, np.ndarray):
        return
    for name in type(result).__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(result, name, None)
    with pytest.raises((AttributeError, TypeError)):
        result.another = 1.0
    assert not hasattr(result, "__dict__")


def test_results_can_be_copied_and_pickled(function: Any, arrays_of: Any) -> None:
    result = function(*function.usual, [True, False])
    for again in (copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert type(again) is type(result)
        for one, other in zip(arrays_of(again), arrays_of(result), strict=True):
            np.testing.assert_array_equal(one, other)
            assert not np.shares_memory(one, other)


def test_frames_are_one_line() -> None:
    result = black76.greeks(100.0, STRIKES, 0.5, 0.2, 0.03, True)
    pandas, polars = pd.DataFrame(result.as_dict()), pl.DataFrame(result.as_dict())
    assert tuple(pandas.columns) == tuple(polars.columns) == FIRST
    np.testing.assert_array_equal(pandas["vega"], result.vega)
    np.testing.assert_array_equal(polars["vega"], result.vega)
    found = black76.implied_volatility(result.price, 100.0, STRIKES, 0.5, 0.03, True)
    frame = pd.DataFrame({"strike": STRIKES, **found.as_dict(), "reason": found.reason})
    assert frame["reason"].tolist() == ["converged"] * 5
    np.testing.assert_allclose(frame["sigma"], 0.2, rtol=1e-12)


def test_frames_in_frames_out() -> None:
    frame = pl.DataFrame({"k": STRIKES, "kind": ["C", "P", "C", "P", "C"]})
    prices = black76.price(100.0, frame["k"], 0.5, 0.2, 0.03, frame["kind"] == "C")
    frame = frame.with_columns(price=prices)
    assert frame["price"].dtype == pl.Float64
    again = pd.DataFrame({"k": STRIKES, "kind": ["C", "P", "C", "P", "C"]})
    again["price"] = black76.price(100.0, again["k"], 0.5, 0.2, 0.03, again["kind"] == "C")
    np.testing.assert_array_equal(frame["price"], again["price"])


@pytest.mark.parametrize("shape", [(), 3, (3,), (2, 3), (0,), 0])
@pytest.mark.parametrize("kind", [Greeks, AllGreeks, ImpliedVolatility])
def test_empty_structs_hold_nothing_yet(kind: Any, shape: Any) -> None:
    made = kind.empty(shape)
    for name, array in made.as_dict().items():
        assert isinstance(array, np.ndarray)
        assert array.shape == (shape if isinstance(shape, tuple) else (shape,))
        assert array.flags.carray
        expected = STATUSES.index("no_price") if name == "status" else np.nan
        np.testing.assert_array_equal(array, np.full(array.shape, expected))


STATUS_CASES = {
    "converged": (12.0, 100.0, 90.0, 0.5, 0.0),
    "no_price": (np.nan, 100.0, 90.0, 0.5, 0.0),
    "below_intrinsic": (9.0, 100.0, 90.0, 0.5, 0.0),
    "above_maximum": (100.0, 100.0, 90.0, 0.5, 0.0),
    "not_enough_precision": (10.0, 100.0, 90.0, 0.5, 0.0),
    "expired": (12.0, 100.0, 90.0, 0.0, 0.0),
    "no_forward": (12.0, 0.0, 90.0, 0.5, 0.0),
    "invalid_input": (12.0, 100.0, -90.0, 0.5, 0.0),
}


def test_every_status_has_its_case_and_its_name() -> None:
    assert tuple(STATUS_CASES) == STATUSES
    cases = np.array(list(STATUS_CASES.values())).T
    found = black76.implied_volatility(*cases, True)
    assert (found.sigma.dtype, found.status.dtype) == (np.float64, np.uint8)
    assert found.status.tolist() == list(range(8))
    assert found.reason.tolist() == list(STATUSES)
    assert found.converged.tolist() == [True] + [False] * 7
    assert np.isnan(found.sigma).tolist() == [False] + [True] * 7
    for column, name in zip(cases.T, STATUSES, strict=True):
        one = black76.implied_volatility(*column.tolist(), True)
        assert (type(one.sigma), type(one.status)) == (np.float64, np.uint8)
        assert one.reason == name
        assert bool(one.converged) == (name == "converged")


def test_reasons_keep_the_shape() -> None:
    found = black76.implied_volatility([[12.0], [9.0]], 100.0, [90.0, 91.0, 92.0], 0.5, 0.0, True)
    assert found.reason.shape == (2, 3)
    assert found.reason[1, 0] == "below_intrinsic"


def test_volatilities_come_back(functions: Any) -> None:
    strikes, sigmas = np.linspace(70.0, 140.0, 15), np.array([[0.1], [0.3], [0.8]])
    for is_call in (True, False):
        forward = black76.price(100.0, strikes, 0.5, sigmas, 0.03, is_call)
        spot = bsm.price(100.0, strikes, 0.5, sigmas, 0.03, 0.01, is_call)
        for found in (
            black76.implied_volatility(forward, 100.0, strikes, 0.5, 0.03, is_call),
            bsm.implied_volatility(spot, 100.0, strikes, 0.5, 0.03, 0.01, is_call),
        ):
            solved = found.converged
            assert solved.mean() > 0.9
            expected = np.broadcast_to(sigmas, solved.shape)
            np.testing.assert_allclose(found.sigma[solved], expected[solved], rtol=1e-6)
