"""The contract of the bindings: names, dtypes, shapes, errors, levels, and the GIL."""

from typing import Any

import numpy as np
import pytest

from deltastream import _core

ONE = np.array([100.0])
TICK = np.array([0], dtype=np.int64)
OPTION = (100.0, 95.0, 0.5, 0.2, 0.03, 0.01, True)
QUOTE = (9.0, 100.0, 95.0, 0.5, 0.03, 0.01, True)


def rows(count: int, n: int = 4) -> tuple[np.ndarray, ...]:
    return tuple(np.full((count, n), -1.0))


def price(*changes: tuple[int, Any], out: Any = None, model: Any = "bsm", level: Any = None) -> np.ndarray:
    """Prices of four options, arguments changed by position."""
    arguments: list[Any] = list(OPTION)
    for position, value in changes:
        arguments[position] = value
    out = np.full(4, -1.0) if out is None else out
    _core.price(model, *arguments, out, level)
    return out


def test_namespace() -> None:
    assert sorted(_core.__all__) == [
        "Bars",
        "ColumnNames",
        "Summary",
        "__version__",
        "all_greeks",
        "build_profile",
        "greeks",
        "implied_volatility",
        "levels",
        "max_pain",
        "ohlc",
        "price",
        "sweep",
    ]
    assert _core.build_profile in {"release", "debug"}
    assert _core.__version__.count(".") == 2


def test_one_value_stands_for_all_elements() -> None:
    expected = price()
    assert np.all(expected == expected[0])
    assert expected[0] > 5.0
    for position, value in enumerate(OPTION):
        np.testing.assert_array_equal(price((position, np.full(4, value))), expected)
    np.testing.assert_array_equal(price(*enumerate(np.full(4, value) for value in OPTION)), expected)
    np.testing.assert_array_equal(price((0, np.float64(100.0))), expected)


def test_any_shape_of_as_many_elements() -> None:
    strikes = np.linspace(80.0, 110.0, 12)
    flat = price((1, strikes), out=np.empty(12))
    for shape in ((3, 4), (2, 2, 3), (12, 1)):
        out = price((1, strikes.reshape(shape)), out=np.empty(shape))
        np.testing.assert_array_equal(out.ravel(), flat)
    assert price((1, np.array(95.0)), out=np.empty(())) == price()[0]
    assert price((1, np.empty(0)), out=np.empty(0)).shape == (0,)


def test_every_function_fills_its_arrays() -> None:
    for function, count in ((_core.greeks, 6), (_core.all_greeks, 15)):
        for raw in (False, True):
            out = rows(count)
            assert function("bsm", *OPTION, raw, out) is None
            assert all(np.all((row != -1.0) & (row == row[0])) for row in out)
            np.testing.assert_array_equal(out[0], price())
    sigmas, statuses = np.full(4, -1.0), np.full(4, 99, np.uint8)
    assert _core.implied_volatility("bsm", *QUOTE, sigmas, statuses) is None
    assert np.all(sigmas > 0.1)
    assert not statuses.any()


def test_levels_give_the_same_bits() -> None:
    levels = _core.levels()
    assert levels[0] == "baseline"
    assert set(levels) <= {"baseline", "avx2", "avx512"}
    strikes = np.linspace(1.0, 300.0, 1001)
    for level in levels:
        out = price((1, strikes), out=np.empty(1001), level=level)
        assert out.tobytes() == price((1, strikes), out=np.empty(1001)).tobytes()


def test_black76_does_not_use_the_yield() -> None:
    np.testing.assert_array_equal(price((5, np.nan), model="black76"), price((5, 9.0), model="black76"))
    assert np.isnan(price((5, np.nan), model="bsm")).all()


def test_arguments_are_not_changed(chain, parameters) -> None:
    columns = chain()
    before = columns.tobytes()
    columns.flags.writeable = False
    _core.sweep(columns, **parameters)
    assert columns.tobytes() == before


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: price((1, [1.0] * 4)), TypeError, "strike must be a NumPy array of float64, not list"),
        (lambda: price((1, 95)), TypeError, "strike must be a NumPy array of float64, not int"),
        (lambda: price((1, "x")), TypeError, "strike must be a NumPy array of float64, not str"),
        (lambda: price((1, None)), TypeError, "strike must be a NumPy array of float64, not NoneType"),
        (lambda: price((2, np.ones(4, "f4"))), TypeError, "t must have dtype float64, not float32"),
        (lambda: price((2, np.ones(4, ">f8"))), TypeError, "t must have dtype float64, not >f8"),
        (lambda: price((3, np.ones(4, "i8"))), TypeError, "sigma must have dtype float64, not int64"),
        (lambda: price((6, 1)), TypeError, "is_call must be a NumPy array of bool, not int"),
        (lambda: price((6, np.ones(4))), TypeError, "is_call must have dtype bool, not float64"),
        (
            lambda: price((0, np.ones(3))),
            ValueError,
            r"spot has shape \(3,\), but out has shape \(4,\)",
        ),
        (
            lambda: price((0, np.ones((1, 5))), model="black76"),
            ValueError,
            r"forward has shape \(1, 5\), but out has shape \(4,\)",
        ),
        (
            lambda: price((6, np.ones(5, bool))),
            ValueError,
            r"is_call has shape \(5,\), but out has shape \(4,\)",
        ),
        (
            lambda: price((4, np.ones(8)[::2])),
            ValueError,
            r"rate of shape \(4,\) must be C-contiguous",
        ),
        (
            lambda: price((5, np.ones((2, 2), order="F").T[::-1])),
            ValueError,
            r"dividend_yield of shape \(2, 2\) must be C-contiguous",
        ),
        (
            lambda: price((1, np.ndarray(4, np.float64, bytes(40), offset=1))),
            ValueError,
            "strike must be aligned",
        ),
        (lambda: price(out=[0.0]), TypeError, "out must be a NumPy array of float64, not list"),
        (lambda: price(out=np.empty(4, "f4")), TypeError, "out must have dtype float64, not float32"),
        (lambda: price(out=np.broadcast_to(ONE, 1)), ValueError, "out is read-only"),
        (lambda: price((1, ONE), out=ONE), ValueError, "out overlaps strike"),
        (lambda: price(model="heston"), ValueError, "model must be black76 or bsm, not heston"),
        (lambda: price(level="sse9"), ValueError, "level must be one of baseline.*, not sse9"),
        (
            lambda: _core.greeks("bsm", *OPTION, False, rows(5)),
            ValueError,
            "out must hold 6 arrays, but holds 5",
        ),
        (
            lambda: _core.all_greeks("bsm", *OPTION, False, rows(6)),
            ValueError,
            "out must hold 15 arrays, but holds 6",
        ),
        (
            lambda: _core.greeks("bsm", *OPTION, False, (*rows(5), np.empty(5))),
            ValueError,
            r"out.rho has shape \(5,\), but out.price has shape \(4,\)",
        ),
        (
            lambda: _core.greeks("bsm", *OPTION, False, (*rows(5), np.empty(4, "f4"))),
            TypeError,
            "out.rho must have dtype float64, not float32",
        ),
        (lambda: _core.greeks("bsm", *OPTION, False, rows(3) * 2), ValueError, "out.vega overlaps out.price"),
        (lambda: _core.greeks("bsm", *OPTION, 1, rows(6)), TypeError, "raw"),
        (lambda: _core.greeks("bsm", *OPTION, False, list(rows(6))), TypeError, "out"),
        (
            lambda: _core.implied_volatility("bsm", *QUOTE, np.empty(4), np.empty(3, np.uint8)),
            ValueError,
            r"out.status has shape \(3,\), but out.sigma has shape \(4,\)",
        ),
        (
            lambda: _core.implied_volatility("bsm", *QUOTE, np.empty(4), np.empty(4)),
            TypeError,
            "out.status must have dtype uint8, not float64",
        ),
        (
            lambda: _core.implied_volatility(
                "bsm", np.ones(5), *QUOTE[1:], np.empty(4), np.empty(4, np.uint8)
            ),
            ValueError,
            r"price has shape \(5,\), but out.sigma has shape \(4,\)",
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


def test_any_byte_but_zero_is_true() -> None:
    flags = np.tile(np.array([0, 1, 2, 128, 254, 255, 0], np.uint8), 30).view(np.bool_)
    expected = np.where(flags, price()[0], price((6, False))[0])
    for level in _core.levels():
        out = price((6, flags), out=np.empty(len(flags)), level=level)
        np.testing.assert_array_equal(out, expected)
