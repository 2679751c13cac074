"""Everything that holds real numbers is taken; everything else is refused by name and dtype."""

from __future__ import annotations

import array
import datetime as dt
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from deltastream.pricing import black76

STRIKES = [90.0, 100.0, 110.0]
GAP = [90.0, None, 110.0]
ARROW = pd.ArrowDtype


def of(strike: Any, is_call: Any = True) -> Any:
    return black76.price(100.0, strike, 0.5, 0.2, 0.03, is_call)


WHOLE = {
    "list": STRIKES,
    "tuple of ints": (90, 100, 110),
    "range": range(90, 111, 10),
    "array.array": array.array("d", STRIKES),
    "memoryview": memoryview(array.array("d", STRIKES)),
    "int8": np.array([90, 100, 110], dtype=np.int8),
    "uint64": np.array([90, 100, 110], dtype=np.uint64),
    "float16": np.array(STRIKES, dtype=np.float16),
    "float32": np.array(STRIKES, dtype=np.float32),
    "longdouble": np.array(STRIKES, dtype=np.longdouble),
    "big-endian": np.array(STRIKES, dtype=">f8"),
    "strided": np.repeat(STRIKES, 2)[::2],
    "reversed": np.array(STRIKES[::-1])[::-1],
    "misaligned": np.frombuffer(b"x" + np.array(STRIKES).tobytes(), dtype=np.float64, offset=1),
    "read-only": np.frombuffer(np.array(STRIKES).tobytes()),
    "masked, nothing masked": np.ma.masked_array(STRIKES),
    "pandas": pd.Series(STRIKES, index=list("cab")),
    "pandas int64": pd.Series([90, 100, 110]),
    "pandas column": pd.DataFrame({"k": STRIKES})["k"],
    "pandas Index": pd.Index(STRIKES),
    "pandas RangeIndex": pd.RangeIndex(90, 111, 10),
    "pandas Float64": pd.Series(STRIKES, dtype="Float64"),
    "pandas Int64": pd.Series([90, 100, 110], dtype="Int64"),
    "pandas arrow": pd.Series(STRIKES, dtype="double[pyarrow]"),
    "pandas categorical": pd.Series(STRIKES, dtype="category"),
    "polars": pl.Series(STRIKES),
    "polars Int32": pl.Series([90, 100, 110], dtype=pl.Int32),
    "polars column": pl.DataFrame({"k": STRIKES})["k"],
    "polars in chunks": pl.concat([pl.Series(STRIKES[:1]), pl.Series(STRIKES[1:])], rechunk=False),
    "pyarrow": pa.array(STRIKES),
    "pyarrow in chunks": pa.chunked_array([STRIKES[:1], STRIKES[1:]]),
}


@pytest.mark.parametrize("name", WHOLE)
def test_numbers_of_every_kind(name: str) -> None:
    result = of(WHOLE[name])
    assert type(result) is np.ndarray
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, of(np.array(STRIKES)))


HOLES = {
    "masked": np.ma.masked_array([90.0, 1.0, 110.0], [False, True, False]),
    "masked ints": np.ma.masked_array([90, 1, 110], [False, True, False]),
    "pandas": pd.Series(GAP),
    "pandas Float64": pd.Series(GAP, dtype="Float64"),
    "pandas Float32": pd.Series(GAP, dtype="Float32"),
    "pandas Int64": pd.Series([90, None, 110], dtype="Int64"),
    "pandas array": pd.array(GAP, dtype="Float64"),
    "pandas arrow": pd.Series(GAP, dtype="double[pyarrow]"),
    "pandas arrow ints": pd.Series([90, None, 110], dtype="int64[pyarrow]"),
    "pandas sparse": pd.Series(pd.arrays.SparseArray([90.0, np.nan, 110.0])),
    "polars": pl.Series(GAP),
    "polars ints": pl.Series([90, None, 110]),
    "pyarrow": pa.array(GAP),
    "pyarrow ints": pa.array([90, None, 110]),
}


@pytest.mark.parametrize("name", HOLES)
def test_what_is_absent_is_nan(name: str) -> None:
    np.testing.assert_array_equal(of(HOLES[name]), of(np.array([90.0, np.nan, 110.0])))


@pytest.mark.parametrize(
    "scalar",
    [100.0, 100, np.float64(100), np.float32(100), np.int8(100), np.longdouble(100), np.array(100.0)],
    ids=lambda scalar: type(scalar).__name__,
)
def test_scalars_of_every_kind(scalar: Any) -> None:
    result = of(scalar)
    assert type(result) is np.float64
    assert result == of(np.array([100.0]))[0]


REFUSED = {
    "bool": (True, "bool"),
    "numpy bool": (np.True_, "bool"),
    "bools": ([True, False, True], "bool"),
    "complex": (1j, "complex128"),
    "complexes": (np.ones(3, np.complex64), "complex64"),
    "None": (None, "object"),
    "list with None": (GAP, "object"),
    "object": (np.array(STRIKES, dtype=object), "object"),
    "text": ("100", "<U3"),
    "texts": (["90", "100"], "<U3"),
    "bytes": (b"100", r"\|S3"),
    "date": (dt.date(2026, 1, 1), "object"),
    "datetimes": (np.zeros(3, "M8[ns]"), r"datetime64\[ns\]"),
    "timedeltas": (np.zeros(3, "m8[s]"), r"timedelta64\[s\]"),
    "record": (np.zeros(3, [("a", "f8")]), r"\[\('a', '<f8'\)\]"),
    "Decimal": (Decimal(100), "object"),
    "Fraction": (Fraction(100), "object"),
    "an int beyond all": ([10**400], "object"),
    "generator": ((x for x in STRIKES), "object"),
    "set": ({100.0}, "object"),
    "dict": ({"a": 100.0}, "object"),
    "pandas NA": (pd.NA, "object"),
    "pandas text": (pd.Series(["90", "100"]), "object"),
    "pandas string": (pd.Series(["90", "100"], dtype="string"), "object"),
    "pandas objects": (pd.Series([90.0, "100"], dtype=object), "object"),
    "pandas bools": (pd.Series([True, False]), "bool"),
    "pandas nullable bools": (pd.Series([True, None], dtype="boolean"), "object"),
    "pandas dates": (pd.Series(pd.to_datetime(["2026-01-01"])), r"datetime64\[\w+\]"),
    "pandas decimals": (pd.Series([1, 2], dtype=ARROW(pa.decimal128(5, 2))), "object"),
    "polars text": (pl.Series(["a", "b"]), "<U1"),
    "polars bools": (pl.Series([True, False]), "bool"),
    "polars dates": (pl.Series([dt.date(2026, 1, 1)]), r"datetime64\[D\]"),
    "polars decimals": (pl.Series([Decimal("1.5")]), "object"),
    "polars expression": (pl.col("k"), "object"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_real_number_is_refused(name: str) -> None:
    value, dtype = REFUSED[name]
    with pytest.raises(TypeError, match=f"^strike must hold real numbers, but its dtype is {dtype}$"):
        of(value)


def test_every_argument_is_named(function: Any) -> None:
    for position, name in enumerate(function.names):
        values: list[Any] = list(function.usual)
        values[position] = ["x"]
        with pytest.raises(TypeError, match=f"^{name} must hold real numbers, but its dtype is <U1$"):
            function(*values, True)
    with pytest.raises(TypeError, match=r"^is_call must hold booleans, but its dtype is int64$"):
        function(*function.usual, 1)


def test_ragged_and_overflowing_values_are_named() -> None:
    with pytest.raises(ValueError, match=r"^strike: .*inhomogeneous shape"):
        of([[90.0], [90.0, 100.0]])
    with pytest.raises(ValueError, match=r"^strike: int too large to convert to float$"):
        of(10**400)


CALLS = {
    "list": [True, False, True],
    "numpy": np.array([True, False, True]),
    "strided": np.array([True, True, False, False, True, True])[::2],
    "masked, nothing masked": np.ma.masked_array([True, False, True]),
    "pandas": pd.Series([True, False, True]),
    "pandas comparison": pd.Series(["C", "P", "C"]) == "C",
    "pandas boolean": pd.Series([True, False, True], dtype="boolean"),
    "pandas arrow": pd.Series([True, False, True], dtype="bool[pyarrow]"),
    "polars": pl.Series([True, False, True]),
    "polars comparison": pl.Series(["C", "P", "C"]) == "C",
    "pyarrow": pa.array([True, False, True]),
}


@pytest.mark.parametrize("name", CALLS)
def test_booleans_of_every_kind(name: str) -> None:
    expected = [of(90.0), of(100.0, False), of(110.0)]
    np.testing.assert_array_equal(of(STRIKES, CALLS[name]), expected)


@pytest.mark.parametrize("scalar", [False, np.False_, np.array(False)], ids=lambda s: type(s).__name__)
def test_boolean_scalars(scalar: Any) -> None:
    assert type(of(100.0, scalar)) is np.float64
    assert of(90.0, scalar) != of(90.0, True)


NO_CALLS = {
    "int": (1, TypeError, "must hold booleans, but its dtype is int64"),
    "ints": (np.array([1, 0, 1]), TypeError, "must hold booleans, but its dtype is int64"),
    "floats": ([1.0, 0.0, 1.0], TypeError, "must hold booleans, but its dtype is float64"),
    "no floats": (np.empty(0), TypeError, "must hold booleans, but its dtype is float64"),
    "text": ("C", TypeError, "must hold booleans, but its dtype is <U1"),
    "None": (None, TypeError, "must hold booleans, but its dtype is object"),
    "list with None": ([True, None], TypeError, "must hold booleans, but its dtype is object"),
    "masked": (np.ma.masked_array([True, False], [0, 1]), ValueError, "has masked elements"),
    "pandas boolean": (pd.Series([True, None], dtype="boolean"), ValueError, "has absent elements: "),
    "pandas arrow": (pd.Series([True, None], dtype="bool[pyarrow]"), ValueError, "has absent elements: "),
    "polars": (pl.Series([True, None]), TypeError, "must hold booleans, but its dtype is object"),
}


@pytest.mark.parametrize("name", NO_CALLS)
def test_what_is_no_boolean_is_refused(name: str) -> None:
    value, error, message = NO_CALLS[name]
    with pytest.raises(error, match=f"^is_call {message}"):
        of(100.0, value)


@pytest.mark.parametrize(
    "empty", [[], (), np.empty(0), pd.Series([], dtype=float), pl.Series([], dtype=float)]
)
def test_nothing_gives_nothing(empty: Any, function: Any, arrays_of: Any) -> None:
    values = list(function.usual)
    values[1] = empty
    for result in arrays_of(function(*values, True)):
        assert (type(result), result.shape) == (np.ndarray, (0,))
    assert all(result.shape == (0,) for result in arrays_of(function(*values, [])))


def test_neither_pandas_nor_polars_is_imported() -> None:
    command = "import deltastream.pricing, sys; print({'pandas', 'polars', 'pyarrow'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
