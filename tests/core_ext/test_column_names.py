"""Columns as they are sent, held against an encoder that knows nothing of them."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from deltastream._core import ColumnNames

NAMES = ColumnNames([("price", False), ("code", True), ("iv", False)])
NUMBERS = st.floats() | st.integers(-(2**55), 2**55).map(float) | st.integers(-300, 70_000).map(float)
MATRIX = st.integers(0, 20).flatmap(lambda n: arrays(np.float64, (3, n), elements=NUMBERS))


def plain(name: str, values: NDArray[np.float64]) -> list[Any]:
    """What is to be sent."""
    return [
        None if not math.isfinite(value) else int(value) if name == "code" and abs(value) <= 2**53 else value
        for value in values.tolist()
    ]


@given(MATRIX)
def test_what_is_sent_reads_back_as_it_was(columns: NDArray[np.float64]):
    columns[1] = np.trunc(columns[1])
    expected = {name: plain(name, row) for name, row in zip(("price", "code", "iv"), columns, strict=True)}
    assert repr(msgspec.json.decode(NAMES.json(columns))) == repr(expected)
    assert NAMES.msgpack(columns) == msgspec.msgpack.encode(expected)


def test_some_columns_are_sent_in_the_order_asked_for():
    columns = np.array([[1.0, 2.0], [3.0, math.nan]])
    assert NAMES.json(columns, [1, 0]) == b'{"code":[1,2],"price":[3.0,null]}'
    assert msgspec.msgpack.decode(NAMES.msgpack(columns, [2, 1])) == {"iv": [1.0, 2.0], "code": [3, None]}
    assert NAMES.json(np.empty((0, 4)), []) == b"{}"


@given(MATRIX, st.data())
def test_what_differs_is_found(old: NDArray[np.float64], data: st.DataObject):
    new = old.copy()
    if old.size:
        for row, place in data.draw(
            st.lists(st.tuples(st.integers(0, 2), st.integers(0, old.shape[1] - 1)), max_size=4)
        ):
            new[row, place] = data.draw(NUMBERS)
    differs = (old != new) & ~(np.isnan(old) & np.isnan(new))
    assert NAMES.differing(old, new) == (
        np.flatnonzero(differs.any(axis=1)).tolist(),
        np.flatnonzero(differs.any(axis=0)).tolist(),
    )


def test_what_does_not_fit_is_refused_with_a_reason():
    with pytest.raises(ValueError, match=r"1 to 255 letters, digits and underscores, not \"a b\""):
        ColumnNames([("a b", False)])
    with pytest.raises(ValueError, match=r"columns must have shape \(3, n\), but has shape \(2, 4\)"):
        NAMES.json(np.zeros((2, 4)))
    with pytest.raises(IndexError, match="there are 3 columns, and none with number 3"):
        NAMES.msgpack(np.zeros((1, 4)), [3])
    with pytest.raises(ValueError, match="new has shape"):
        NAMES.differing(np.zeros((3, 4)), np.zeros((3, 5)))
    with pytest.raises(OverflowError):
        NAMES.json(np.zeros((1, 4)), [-1])
