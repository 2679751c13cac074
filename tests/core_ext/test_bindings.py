"""The contract of the bindings: names, dtypes, shapes, errors, and the GIL."""

import threading
import time

import numpy as np
import pytest

from deltastream import _core

ONE = np.array([100.0])
TICK = np.array([0], dtype=np.int64)


def test_namespace() -> None:
    assert sorted(_core.__all__) == [
        "Bars",
        "Summary",
        "__version__",
        "black76_greeks",
        "black76_price",
        "build_profile",
        "implied_volatility",
        "max_pain",
        "ohlc",
        "sweep",
    ]
    assert _core.build_profile in {"release", "debug"}
    assert _core.__version__.count(".") == 2


def test_results_are_new_arrays_of_the_stated_dtype() -> None:
    strikes = np.array([90.0, 100.0, 110.0])
    sigmas = np.full(3, 0.2)
    calls, puts = _core.black76_price(100.0, strikes, 0.5, sigmas, 0.05)
    assert calls.dtype == puts.dtype == np.float64
    assert calls.shape == puts.shape == (3,)
    greeks, _ = _core.black76_greeks(100.0, strikes, 0.5, sigmas, 0.05, 100.0)
    assert greeks.shape == (5, 3)
    sigma, status = _core.implied_volatility(100.0, strikes, 0.5, calls, 0.05, True)
    assert (sigma.dtype, status.dtype) == (np.float64, np.uint8)
    calls[:] = 0.0
    assert np.all(_core.black76_price(100.0, strikes, 0.5, sigmas, 0.05)[0] > 0.0)


def test_arguments_are_not_changed(chain, parameters) -> None:
    columns = chain()
    before = columns.tobytes()
    columns.flags.writeable = False
    _core.sweep(columns, **parameters)
    assert columns.tobytes() == before


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: _core.black76_price(1.0, [1.0], 1.0, ONE, 0.0),
            TypeError,
            "strikes must be a NumPy array.*list",
        ),
        (
            lambda: _core.black76_price(1.0, ONE.astype("f4"), 1.0, ONE, 0.0),
            TypeError,
            "strikes must have dtype float64, not float32",
        ),
        (
            lambda: _core.black76_price(1.0, ONE.astype(">f8"), 1.0, ONE, 0.0),
            TypeError,
            "strikes must have dtype float64, not >f8",
        ),
        (
            lambda: _core.black76_price(1.0, ONE, 1.0, ONE.astype("i8"), 0.0),
            TypeError,
            "sigmas must have dtype float64, not int64",
        ),
        (
            lambda: _core.black76_price(1.0, ONE.reshape(1, 1), 1.0, ONE, 0.0),
            ValueError,
            r"strikes must have 1 dimension, but has shape \(1, 1\)",
        ),
        (
            lambda: _core.black76_price(1.0, np.ones(4)[::2], 1.0, np.ones(2), 0.0),
            ValueError,
            r"strikes of shape \(2,\) must be C-contiguous",
        ),
        (
            lambda: _core.black76_price(1.0, np.ones(4), 1.0, np.ones(3), 0.0),
            ValueError,
            r"sigmas has shape \(3,\), but strikes has shape \(4,\)",
        ),
        (
            lambda: _core.black76_greeks(1.0, np.ones(4), 1.0, np.ones(3), 0.0, 1.0),
            ValueError,
            r"sigmas has shape \(3,\), but strikes has shape \(4,\)",
        ),
        (
            lambda: _core.implied_volatility(1.0, np.ones(4), 1.0, np.ones(5), 0.0, True),
            ValueError,
            r"prices has shape \(5,\), but strikes has shape \(4,\)",
        ),
        (
            lambda: _core.max_pain(ONE, np.ones(2), ONE, 1.0),
            ValueError,
            r"call_oi has shape \(2,\), but strikes has shape \(1,\)",
        ),
        (
            lambda: _core.max_pain(ONE, ONE, np.ones(2), 1.0),
            ValueError,
            r"put_oi has shape \(2,\), but strikes has shape \(1,\)",
        ),
        (
            lambda: _core.max_pain(np.array([2.0, 1.0]), np.ones(2), np.ones(2), 1.0),
            ValueError,
            "strike 1 is not above",
        ),
        (
            lambda: _core.ohlc(TICK.astype("i4"), TICK, ONE, 10),
            TypeError,
            "ts_ns must have dtype int64, not int32",
        ),
        (
            lambda: _core.ohlc(TICK, np.zeros(2, "i8"), ONE, 10),
            ValueError,
            r"order has shape \(2,\), but ts_ns",
        ),
        (lambda: _core.ohlc(TICK, TICK, np.ones(2), 10), ValueError, r"price has shape \(2,\), but ts_ns"),
        (lambda: _core.black76_price("x", ONE, 1.0, ONE, 0.0), TypeError, "real number"),
    ],
)
def test_refusals(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c[:22], r"columns must have shape \(23, n\), but has shape \(22, 21\)"),
        (lambda c: c[0], r"columns must have 2 dimensions, but has shape \(21,\)"),
        (lambda c: np.asfortranarray(c), r"columns of shape \(23, 21\) must be C-contiguous"),
        (lambda c: c[:, ::2], r"columns of shape \(23, 11\) must be C-contiguous"),
        (lambda c: np.ascontiguousarray(c[:, ::-1]), "strike 1 is not above the one before it"),
        (lambda c: np.where(c == 24500.0, 24450.0, c), "strike 10 is not above the one before it"),
        (lambda c: np.where(c == 24500.0, np.nan, c), "strike 10 is NaN"),
        (lambda c: np.where(c == 24500.0, np.inf, c), "strike 10 is inf"),
        (lambda c: np.where(c == 24000.0, 0.0, c), "strike 0 is 0"),
        (lambda c: np.where(c == 24000.0, -5.0, c), "strike 0 is -5"),
    ],
)
def test_sweep_refusals(chain, parameters, spoil, message) -> None:
    with pytest.raises(ValueError, match=message):
        _core.sweep(spoil(chain()), **parameters)


def test_summary_is_frozen_and_its_views_agree(chain, parameters) -> None:
    _, summary = _core.sweep(chain(), **parameters)
    fields = [name for name in dir(summary) if not name.startswith("_") and name != "as_tuple"]
    values = summary.as_tuple()
    assert len(values) == len(fields)
    assert sorted(map(repr, values)) == sorted(repr(getattr(summary, name)) for name in fields)
    assert all(f"{name}=" in repr(summary) for name in fields)
    with pytest.raises(AttributeError):
        summary.forward = 1.0


def test_other_threads_run_during_a_long_computation() -> None:
    strikes = np.linspace(50.0, 200.0, 1_000_000)
    worker = threading.Thread(target=_core.black76_price, args=(100.0, strikes, 1.0, strikes / 500, 0.05))
    worker.start()
    turns = 0
    while worker.is_alive():
        time.sleep(0.001)
        turns += 1
    assert turns >= 5
