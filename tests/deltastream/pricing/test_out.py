"""``out=``: filled and given back, or refused with the reason, untouched."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from deltastream.pricing import AllGreeks, Greeks, ImpliedVolatility, black76

STRIKES = np.linspace(60.0, 150.0, 12).reshape(3, 4)


def at(function: Any, strikes: Any, **options: Any) -> Any:
    values = [strikes if n == "strike" else v for n, v in zip(function.names, function.usual, strict=True)]
    return function(*values, True, **options)


def spoilt(function: Any, shape: int | tuple[int, ...], spoil: Any) -> Any:
    """An ``out`` whose last array is `spoil` of what it should be."""
    out = function.empty(shape)
    if isinstance(out, np.ndarray):
        return spoil(out)
    last = type(out).__struct_fields__[-1]
    return msgspec.structs.replace(out, **{last: spoil(getattr(out, last))})


def last_name(function: Any) -> str:
    out = function.empty(0)
    return "out" if isinstance(out, np.ndarray) else f"out.{type(out).__struct_fields__[-1]}"


@pytest.mark.parametrize("shape", [(3, 4), (12,), (2, 3, 2), (1, 12)])
def test_the_same_object_with_the_same_numbers(function: Any, arrays_of: Any, shape: Any) -> None:
    strikes = STRIKES.reshape(shape)
    fresh, out = at(function, strikes), function.empty(shape)
    arrays = arrays_of(out)
    assert at(function, strikes, out=out) is out
    for one, other, kept in zip(arrays_of(out), arrays_of(fresh), arrays, strict=True):
        assert one is kept
        np.testing.assert_array_equal(one, other)


def test_an_earlier_result_is_taken(function: Any, arrays_of: Any) -> None:
    first = at(function, STRIKES)
    before = [result.copy() for result in arrays_of(first)]
    assert at(function, STRIKES + 1.0, out=first) is first
    assert not np.array_equal(arrays_of(first)[0], before[0])
    at(function, STRIKES, out=first)
    for result, row in zip(arrays_of(first), before, strict=True):
        np.testing.assert_array_equal(result, row)


def test_of_no_dimension(function: Any, arrays_of: Any) -> None:
    out = function.empty(())
    assert function(*function.usual, True, out=out) is out
    for result, value in zip(arrays_of(out), arrays_of(function(*function.usual, True)), strict=True):
        assert (type(result), result.shape) == (np.ndarray, ())
        assert result == value


def test_of_no_elements(function: Any, arrays_of: Any) -> None:
    out = function.empty((0, 4))
    assert at(function, STRIKES[:0], out=out) is out
    same = np.empty((0, 4))  # memory of no elements is shared with nothing
    assert black76.price(100.0, same, 1.0, 0.2, 0.0, True, out=same) is same


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda a: a[:2], ValueError, r"{} has shape \(2, 4\), but the result has shape \(3, 4\)"),
        (lambda a: a.ravel(), ValueError, r"{} has shape \(12,\), but the result has shape \(3, 4\)"),
        (lambda a: a[0, 0], TypeError, r"{} must be a NumPy array, not (float64|uint8)"),
        (lambda a: a.tolist(), TypeError, r"{} must be a NumPy array, not list"),
        (lambda a: np.zeros(a.shape, "f4"), TypeError, r"{} must have dtype (float64|uint8), not float32"),
        (lambda a: np.zeros(a.shape, ">f8"), TypeError, r"{} must have dtype (float64|uint8), not >f8"),
        (np.asfortranarray, ValueError, r"{} of shape \(3, 4\) must be C-contiguous"),
        (lambda a: np.stack([a, a], -1)[..., 0], ValueError, r"{} of shape \(3, 4\) must be C-contiguous"),
        (lambda a: np.broadcast_to(a, a.shape), ValueError, r"{} is read-only"),
    ],
)
def test_refusals(function: Any, arrays_of: Any, spoil: Any, error: Any, message: str) -> None:
    out = spoilt(function, (3, 4), spoil)
    before = [np.array(result) for result in arrays_of(out)]
    with pytest.raises(error, match=f"^{message.format(last_name(function))}"):
        at(function, STRIKES, out=out)
    for result, row in zip(arrays_of(out), before, strict=True):
        np.testing.assert_array_equal(result, row)


def test_misaligned_memory() -> None:
    out = np.ndarray(3, np.float64, bytearray(32), offset=1)
    with pytest.raises(ValueError, match=r"^out must be aligned"):
        black76.price(*CALL, out=out)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda out: black76.greeks(*CALL, out=out), "out must be Greeks, not AllGreeks"),
        (
            lambda out: black76.implied_volatility(*CALL, out=out),
            "out must be ImpliedVolatility, not AllGreeks",
        ),
        (lambda out: black76.all_greeks(*CALL, out=out.price), "out must be AllGreeks, not ndarray"),
        (lambda out: black76.price(*CALL, out=out), "out must be a NumPy array, not AllGreeks"),
    ],
)
def test_the_wrong_kind(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}$"):
        call(AllGreeks.empty(3))


CALL = (100.0, [90.0, 100.0, 110.0], 0.5, 0.2, 0.03, True)


def test_overlap_with_an_input_names_both(function: Any, arrays_of: Any) -> None:
    for position, name in enumerate(function.names):
        out = function.empty(64)
        for field, array in zip(getattr(out, "__struct_fields__", [""]), arrays_of(out), strict=True):
            if array.dtype == np.float64:
                values: list[Any] = [np.full(64, value) for value in function.usual]
                values[position] = array
                with pytest.raises(
                    ValueError, match=f"^{f'out.{field}' if field else 'out'} overlaps {name}$"
                ):
                    function(*values, True, out=out)


def test_overlap_by_a_part() -> None:
    memory = np.linspace(90.0, 110.0, 30)
    for start in (0, 1, 9):
        with pytest.raises(ValueError, match=r"^out overlaps strike$"):
            black76.price(100.0, memory[:10], 0.5, 0.2, 0.03, True, out=memory[start : start + 10])
        with pytest.raises(ValueError, match=r"^out overlaps strike$"):
            black76.price(100.0, memory[start : start + 10], 0.5, 0.2, 0.03, True, out=memory[:10])
    strikes = memory[:10].copy()
    black76.price(100.0, memory[:10], 0.5, 0.2, 0.03, True, out=memory[10:20])  # neighbours do not overlap
    np.testing.assert_array_equal(memory[:10], strikes)
    np.testing.assert_array_equal(memory[10:20], black76.price(100.0, strikes, 0.5, 0.2, 0.03, True))


def test_overlap_in_memory_that_is_not_numpys() -> None:
    memory = bytearray(np.linspace(90.0, 110.0, 8).tobytes())
    strikes, out = np.frombuffer(memory), np.frombuffer(memory)
    with pytest.raises(ValueError, match=r"^out overlaps strike$"):
        black76.price(100.0, strikes, 0.5, 0.2, 0.03, True, out=out)


def test_overlap_with_is_call() -> None:
    out = np.zeros(8)
    with pytest.raises(ValueError, match=r"^out overlaps is_call$"):
        black76.price(np.full(8, 100.0), 90.0, 0.5, 0.2, 0.03, out.view(np.bool_)[8:16], out=out)


def test_overlap_of_two_fields() -> None:
    out = msgspec.structs.replace(Greeks.empty(3), gamma=(shared := np.empty(3)), rho=shared)
    with pytest.raises(ValueError, match=r"^out.rho overlaps out.gamma$"):
        black76.greeks(*CALL, out=out)
    memory = np.zeros(3)
    both = ImpliedVolatility(memory, memory.view(np.uint8)[5:8])
    with pytest.raises(ValueError, match=r"^out.status overlaps out.sigma$"):
        black76.implied_volatility(5.0, *CALL[:3], *CALL[4:], out=both)


def test_an_input_that_is_converted_overlaps_nothing() -> None:
    memory = np.arange(90, 110)
    out = memory.view(np.float64)
    expected = black76.price(100.0, memory.copy(), 0.5, 0.2, 0.03, True)
    np.testing.assert_array_equal(black76.price(100.0, memory, 0.5, 0.2, 0.03, True, out=out), expected)


def test_after_a_refusal_the_arrays_are_free() -> None:
    strikes, out = np.linspace(90.0, 110.0, 20), np.empty(20)
    for _ in range(3):
        with pytest.raises(ValueError, match="overlaps"):
            black76.price(100.0, strikes, 0.5, 0.2, 0.03, True, out=strikes)
        assert black76.price(100.0, strikes, 0.5, 0.2, 0.03, True, out=out) is out
        assert black76.price(100.0, out, 0.5, 0.2, 0.03, True, out=strikes) is strikes
