"""What callers hand in: numbers of any kind become floats or float64 arrays, all of one size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["align", "integers", "real", "vector"]

Shape = tuple[int, ...]
Real = float | NDArray[np.float64]
Flag = bool | NDArray[np.bool_]
N = TypeVar("N", bound=np.generic)

_FLOAT64: Final = np.dtype(np.float64)
_BOOL: Final = np.dtype(np.bool_)
_REAL: Final = frozenset("fiu")
_WHOLE: Final = frozenset("iu")
_TRUTH: Final = frozenset("b")
_PLAIN: Final = 0x0101  # NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED


def align(names: Sequence[str], values: Sequence[object], is_call: object) -> tuple[Shape, list[Any]]:
    """Bring the columns of a call to one size.

    Args:
        names: of `values`, for errors.
        values: real numbers, each a scalar or anything that NumPy can make an array of.
        is_call: booleans, likewise.

    Returns:
        The shape of the result, ``()`` where all are scalars, and what the core takes: `values`, then
        `is_call`, each a Python float or bool, or a C-contiguous array with as many elements as the result.
        Arrays that are so already are the caller's own, not copies; only what has fewer elements than the
        result, and more than one, is expanded.

    Raises:
        TypeError: an argument's dtype is not real, or that of `is_call` not bool.
        ValueError: shapes that do not broadcast, or nested sequences of unequal length.
    """
    operands: list[Any] = [
        value if type(value) is float else real(name, value)
        for name, value in zip(names, values, strict=True)
    ]
    operands.append(is_call if type(is_call) is bool else _flag("is_call", is_call))
    shapes = {operand.shape for operand in operands if isinstance(operand, np.ndarray)}
    if not shapes:
        return (), operands
    shape = shapes.pop() if len(shapes) == 1 else _common([*names, "is_call"], operands)  # seam: there is one
    size = math.prod(shape)
    return shape, [
        _spread(operand, shape, size) if isinstance(operand, np.ndarray) else operand for operand in operands
    ]


def real(name: str, value: object) -> Real:
    """A float, or a float64 array of at least one dimension; absent values of columns and masks are NaN."""
    if type(value) is np.ndarray and value.dtype is _FLOAT64 and value.ndim:
        return value
    if isinstance(value, float):
        return value
    if isinstance(value, int | np.integer | np.floating) and not isinstance(value, bool):
        return _float(name, value)
    array: Any = _nullable(name, value, _REAL, dtype=np.float64, na_value=math.nan)
    if array is None:
        array = _array(name, value)
    if array.dtype.kind not in _REAL:
        raise TypeError(f"{name} must hold real numbers, but its dtype is {array.dtype}")
    if isinstance(array, np.ma.MaskedArray):
        array = np.ma.filled(array.astype(np.float64), math.nan)
    array = np.asarray(array, dtype=np.float64)
    return array if array.ndim else float(array)


def vector(name: str, value: object) -> NDArray[np.float64]:
    """A float64 array of one dimension, C-contiguous."""
    if (
        type(value) is np.ndarray
        and value.dtype is _FLOAT64
        and value.ndim == 1
        and value.flags.num & _PLAIN == _PLAIN
    ):
        return value
    return _of_one_dimension(name, np.asarray(real(name, value)))


def integers(name: str, value: object) -> NDArray[np.int64]:
    """An int64 array of one dimension, C-contiguous."""
    array = _nullable(name, value, _WHOLE, dtype=np.int64)
    if array is None:
        array = _array(name, value)
    if array.size == 0 and isinstance(value, list | tuple):
        array = array.astype(np.int64)  # of nothing, NumPy makes floats
    if array.dtype.kind not in _WHOLE or not np.can_cast(array.dtype, np.int64):
        raise TypeError(f"{name} must hold integers that fit into int64, but its dtype is {array.dtype}")
    return _of_one_dimension(name, np.asarray(array, dtype=np.int64))


def _flag(name: str, value: object) -> Flag:
    if type(value) is np.ndarray and value.dtype is _BOOL and value.ndim:
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    array = _nullable(name, value, _TRUTH, dtype=np.bool_)
    if array is None:
        array = _array(name, value)
    if array.size == 0 and isinstance(value, list | tuple):
        array = array.astype(np.bool_)  # of nothing, NumPy makes floats
    if array.dtype.kind not in _TRUTH:
        raise TypeError(f"{name} must hold booleans, but its dtype is {array.dtype}")
    if np.ma.is_masked(array):
        raise ValueError(f"{name} has masked elements")
    array = np.asarray(array)
    return array if array.ndim else bool(array)


def _float(name: str, value: Any) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"{name}: {error}") from error


def _nullable(name: str, value: Any, kinds: frozenset[str], **wanted: Any) -> NDArray[Any] | None:
    """The array of a pandas column of an extension type, which NumPy alone would take for objects."""
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, np.dtype) or getattr(dtype, "kind", None) not in kinds:
        return None
    try:
        array: NDArray[Any] = value.to_numpy(**wanted)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} has absent elements: {error}") from error
    return array


def _array(name: str, value: object) -> NDArray[Any]:
    if isinstance(value, np.ndarray):
        return value
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _of_one_dimension(name: str, array: NDArray[N]) -> NDArray[N]:
    if array.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension, but has shape {array.shape}")
    return _plain(array)


def _plain(array: NDArray[N]) -> NDArray[N]:
    return array if array.flags.num & _PLAIN == _PLAIN else array.copy()


def _spread(array: NDArray[Any], shape: Shape, size: int) -> Any:
    if array.size == size:
        return _plain(array)
    if array.size == 1:
        return array.item()
    expanded = np.empty(shape, array.dtype)  # a tenth of the time of np.broadcast_to and a copy
    expanded[...] = array
    return expanded


def _common(names: Sequence[str], operands: Sequence[Any]) -> Shape:
    try:
        return np.broadcast(*(o for o in operands if isinstance(o, np.ndarray))).shape
    except ValueError:
        shapes = [
            (name, o.shape) for name, o in zip(names, operands, strict=True) if isinstance(o, np.ndarray)
        ]
        for (first, one), (second, other) in combinations(shapes, 2):
            if not _fit(one, other):
                raise ValueError(
                    f"{first} of shape {one} and {second} of shape {other} do not broadcast"
                ) from None
        raise


def _fit(one: Shape, other: Shape) -> bool:
    pairs = zip(reversed(one), reversed(other), strict=False)
    return all(a == b or 1 in (a, b) for a, b in pairs)
