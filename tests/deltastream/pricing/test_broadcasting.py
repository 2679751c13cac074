"""A call on arrays is the same calls on their elements, in whatever shape and layout they come."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deltastream.pricing import black76, bsm

DOMAIN = {
    "price": st.floats(0.0, 60.0) | st.just(np.nan),
    "forward": st.floats(50.0, 150.0),
    "spot": st.floats(50.0, 150.0),
    "strike": st.floats(50.0, 150.0) | st.just(0.0),
    "t": st.floats(0.01, 3.0) | st.just(0.0),
    "sigma": st.floats(0.05, 1.0) | st.just(0.0),
    "rate": st.floats(-0.05, 0.2),
    "dividend_yield": st.floats(-0.05, 0.2),
}
LAYOUTS: list[Callable[[Any], Any]] = [
    lambda a: a,
    np.asfortranarray,
    lambda a: np.stack([a, a], axis=-1)[..., 0],
    lambda a: np.flip(np.flip(a).copy()),
    lambda a: a.tolist(),
    lambda a: a if a.dtype == bool else a.astype(">f8"),
    lambda a: np.frombuffer(b"x" + a.tobytes(), dtype=a.dtype, offset=1).reshape(a.shape),
]


@st.composite
def calls(draw: st.DrawFn, functions: list[Any]) -> tuple[Any, list[Any]]:
    """A function, and for each of its arguments a scalar or an array; together they broadcast."""
    function = draw(st.sampled_from(functions))
    count = len(function.names) + 1
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, max_side=4, min_side=0))
    values: list[Any] = []
    for name, shape in zip((*function.names, "is_call"), shapes.input_shapes, strict=True):
        elements = st.booleans() if name == "is_call" else DOMAIN[name]
        dtype = np.bool_ if name == "is_call" else np.float64
        if not shape:
            values.append(draw(elements))
        else:
            made = draw(hnp.arrays(dtype, shape, elements=elements))
            layout = draw(st.sampled_from(LAYOUTS if made.size else LAYOUTS[:1]))
            values.append(layout(made))
    return function, values


@settings(max_examples=300)
@given(data=st.data())
def test_equals_a_loop_over_the_elements(data: Any, functions: list[Any], arrays_of: Any) -> None:
    function, values = data.draw(calls(functions))
    spread = np.broadcast_arrays(*map(np.asarray, values))
    results = arrays_of(function(*values))
    if not spread[0].shape:
        assert all(isinstance(result, np.generic) for result in results)
        return
    expected = [np.empty(spread[0].shape, result.dtype) for result in results]
    for index in np.ndindex(spread[0].shape):
        one = function(*(argument[index].item() for argument in spread))
        for row, value in zip(expected, arrays_of(one), strict=True):
            row[index] = value
    for result, row in zip(results, expected, strict=True):
        assert (type(result), result.shape, result.dtype) == (np.ndarray, row.shape, row.dtype)
        assert result.flags.c_contiguous
        assert result.flags.writeable
        np.testing.assert_array_equal(result, row)


@given(st.integers(1, 200), st.integers(0, 199))
def test_a_result_does_not_depend_on_its_neighbours(n: int, at: int) -> None:
    strikes = np.linspace(60.0, 150.0, n)
    at %= n
    alone = black76.all_greeks(100.0, strikes[at], 0.5, 0.2, 0.03, True)
    among = black76.all_greeks(100.0, strikes, 0.5, 0.2, 0.03, True)
    for name, value in alone.as_dict().items():
        assert among.as_dict()[name][at] == value, name


@pytest.mark.parametrize(
    ("strike", "sigma", "is_call", "message"),
    [
        ((3,), (4,), (), r"strike of shape \(3,\) and sigma of shape \(4,\) do not broadcast"),
        ((2, 3), (3, 1), (), r"strike of shape \(2, 3\) and sigma of shape \(3, 1\) do not broadcast"),
        ((5, 1), (1, 4), (2,), r"sigma of shape \(1, 4\) and is_call of shape \(2,\) do not broadcast"),
        ((0,), (2,), (), r"strike of shape \(0,\) and sigma of shape \(2,\) do not broadcast"),
    ],
)
def test_a_clash_names_both_shapes(strike: Any, sigma: Any, is_call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        bsm.price(100.0, np.ones(strike), 1.0, np.ones(sigma), 0.0, 0.0, np.ones(is_call, bool))


def test_too_many_elements_to_hold_are_an_error() -> None:
    wide = np.broadcast_to(1.0, (1 << 40,))
    with pytest.raises((ValueError, MemoryError)):
        black76.price(100.0, wide[:, None], wide, 0.2, 0.0, True)


def peak(call: Callable[[], Any]) -> int:
    """Bytes that a call holds at most beyond what was there."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_contiguous_arrays_and_scalars_take_no_memory(function: Any) -> None:
    n = 100_000
    values = [np.full(n, value) for value in function.usual]
    is_call, out = np.ones(n, bool), function.empty(n)
    assert peak(lambda: function(*values, is_call, out=out)) < 20_000
    values[1:] = function.usual[1:]
    assert peak(lambda: function(*values, True, out=out)) < 20_000
    assert peak(lambda: function(*values, np.ones(1, bool), out=out)) < 20_000


def test_only_what_is_truly_broadcast_is_expanded() -> None:
    strikes, times = np.linspace(50.0, 150.0, 400)[:, None], np.linspace(0.1, 2.0, 500)
    whole, out = np.full((400, 500), 0.2), np.empty((400, 500))
    used = peak(lambda: black76.price(100.0, strikes, times, whole, 0.03, np.ones((1, 1), bool), out=out))
    assert 2 * out.nbytes <= used < 2 * out.nbytes + 20_000


def test_fresh_results_are_all_that_is_made(arrays_of: Any, function: Any) -> None:
    n = 100_000
    values = [np.full(n, value) for value in function.usual]
    size = sum(result.nbytes for result in arrays_of(function(*values, True)))
    assert size <= peak(lambda: function(*values, True)) < size + 20_000
