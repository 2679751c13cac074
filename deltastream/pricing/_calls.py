"""From arguments to the core and back, the same for both models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from deltastream import _core
from deltastream.pricing._arguments import Shape, align
from deltastream.pricing._results import AllGreeks, Columns, Greeks, ImpliedVolatility

__all__ = ["all_greeks", "greeks", "implied_volatility", "price"]

G = TypeVar("G", bound=Greeks)
C = TypeVar("C", bound=Columns)


def price(
    model: str, names: Sequence[str], values: Sequence[object], is_call: object, out: Any
) -> NDArray[np.float64]:
    """One array of prices; `values` in the order of the core."""
    shape, operands = align(names, values, is_call)
    if out is not None:
        _check("out", out, shape)
        _core.price(*(model, *operands, out))
        return out  # type: ignore[no-any-return]
    made = np.empty(shape or 1)
    _core.price(*(model, *operands, made))
    return made if shape else made[0]


def greeks(
    model: str, names: Sequence[str], values: Sequence[object], is_call: object, raw: bool, out: Greeks | None
) -> Greeks:
    """Six arrays; `values` in the order of the core."""
    return _sensitivities(_core.greeks, Greeks, model, align(names, values, is_call), raw, out)


def all_greeks(
    model: str,
    names: Sequence[str],
    values: Sequence[object],
    is_call: object,
    raw: bool,
    out: AllGreeks | None,
) -> AllGreeks:
    """Fifteen arrays; `values` in the order of the core."""
    return _sensitivities(_core.all_greeks, AllGreeks, model, align(names, values, is_call), raw, out)


def implied_volatility(
    model: str,
    names: Sequence[str],
    values: Sequence[object],
    is_call: object,
    out: ImpliedVolatility | None,
) -> ImpliedVolatility:
    """Volatilities and statuses; `values` in the order of the core."""
    shape, operands = align(names, values, is_call)
    if out is not None:
        _core.implied_volatility(*(model, *operands, *_fields(out, ImpliedVolatility, shape)))
        return out
    sigma, status = np.empty(shape or 1), np.empty(shape or 1, dtype=np.uint8)
    _core.implied_volatility(*(model, *operands, sigma, status))
    return ImpliedVolatility(sigma, status) if shape else ImpliedVolatility(sigma[0], status[0])


def _sensitivities(
    kernel: Callable[..., None],
    kind: type[G],
    model: str,
    aligned: tuple[Shape, list[Any]],
    raw: bool,
    out: G | None,
) -> G:
    shape, operands = aligned
    if out is not None:
        kernel(model, *operands, raw, _fields(out, kind, shape))
        return out
    # One block, not an array for each: the kernel of a large system call gets huge pages for it.
    block = np.empty((len(kind.__struct_fields__), *(shape or (1,))))
    rows = tuple(block)
    kernel(model, *operands, raw, rows)
    return kind(*rows) if shape else kind(*block[:, 0])


def _fields(out: C, kind: type[C], shape: Shape) -> tuple[Any, ...]:
    """The arrays of `out`; their dtype, layout and overlap are the core's to judge."""
    if type(out) is not kind:
        raise TypeError(f"out must be {kind.__name__}, not {type(out).__name__}")
    arrays = msgspec.structs.astuple(out)
    for name, array in zip(kind.__struct_fields__, arrays, strict=True):
        _check(f"out.{name}", array, shape)
    return arrays


def _check(name: str, array: Any, shape: Shape) -> None:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(array).__name__}")
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, but the result has shape {shape}")
