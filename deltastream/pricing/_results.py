"""What calls give back: frozen structs of arrays, which can be handed in again as ``out=``."""

from __future__ import annotations

import math
from typing import Any, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["STATUSES", "AllGreeks", "Columns", "Greeks", "ImpliedVolatility"]

Floats = NDArray[np.float64]
Shape = int | tuple[int, ...]

STATUSES: Final = (
    "converged",
    "no_price",
    "below_intrinsic",
    "above_maximum",
    "not_enough_precision",
    "expired",
    "no_forward",
    "invalid_input",
)
"""Names of the codes in `ImpliedVolatility.status`, by code."""

_NO_PRICE: Final = STATUSES.index("no_price")
_NAMES: Final = np.array(STATUSES, dtype=object)


class Columns(msgspec.Struct, frozen=True, eq=False):
    """Arrays by name. The fields cannot be rebound; the arrays in them are ordinary NumPy arrays."""

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, not copied: ``pandas.DataFrame(result.as_dict())``, ``polars.DataFrame(…)``."""
        return msgspec.structs.asdict(self)


class Greeks(Columns, frozen=True, eq=False):
    """Price and first sensitivities, all of the broadcast shape of the inputs.

    ``V`` is the price, ``U`` the underlying: the forward in `black76`, the spot in `bsm`. A derivative holds
    the model's other inputs fixed. Units are those of the table; with ``raw=True`` the plain derivatives, per
    1.00 of volatility or rate and per year, the sign of theta as here.

    Each field is a C-contiguous ``float64`` array, or an ``np.float64`` where all inputs were scalars. The
    fields of one result are rows of one block of memory: to keep one and let the others go, copy it.

    Attributes:
        price: ``V``, in the unit of the underlying.
        delta: ``dV/dU``, per point of the underlying; discounted.
        gamma: ``d2V/dU2``, per point squared.
        vega: ``dV/dsigma / 100``, per volatility point (0.01).
        theta: ``-dV/dT / 365``, per calendar day that passes.
        rho: ``dV/dr / 100``, per 0.01 of rate.
    """

    price: Floats
    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats
    rho: Floats

    @classmethod
    def empty(cls, shape: Shape) -> Self:
        """Arrays to be filled by calls with ``out=``; all NaN until then."""
        block = np.full((len(cls.__struct_fields__), *_tuple(shape)), math.nan)
        return cls(*(block[row, ...] for row in range(len(block))))


class AllGreeks(Greeks, frozen=True, eq=False):
    """`Greeks`, and the sensitivities of second and third order.

    With ``raw=True`` without the factors 100 and 365, the sign of charm as here.

    Attributes:
        price: see `Greeks`, as for the next five.
        delta: see there.
        gamma: see there.
        vega: see there.
        theta: see there.
        rho: see there.
        vanna: ``d2V/dU dsigma / 100``: change of delta per volatility point.
        charm: ``-d2V/dU dT / 365``: change of delta per calendar day that passes.
        vomma: ``d2V/dsigma2 / 100**2``: change of vega per volatility point.
        veta: ``d2V/dsigma dT / 100 / 365``: of vega, per calendar day *more* to expiry.
        speed: ``d3V/dU3``: change of gamma per point.
        zomma: ``d3V/dU2 dsigma / 100``: change of gamma per volatility point.
        color: ``d3V/dU2 dT / 365``: of gamma, per calendar day *more* to expiry.
        ultima: ``d3V/dsigma3 / 100**3``: change of vomma per volatility point.
        forward_delta: ``N(d1)`` of a call, ``-N(-d1)`` of a put: to the forward, not discounted.
    """

    vanna: Floats
    charm: Floats
    vomma: Floats
    veta: Floats
    speed: Floats
    zomma: Floats
    color: Floats
    ultima: Floats
    forward_delta: Floats


class ImpliedVolatility(Columns, frozen=True, eq=False):
    """Volatilities and what became of each price, both of the broadcast shape of the inputs.

    Attributes:
        sigma: ``float64``, per square root of a year; NaN unless converged, never 0 for want of a root.
        status: ``uint8``, a code of `STATUSES`:

            == ==================== =================================================================
            0  converged            ``sigma`` reproduces the price
            1  no_price             the price is NaN
            2  below_intrinsic      the price is below its discounted intrinsic value
            3  above_maximum        it is at or above what infinite volatility gives
            4  not_enough_precision so near one of these bounds that its digits determine no volatility
            5  expired              ``t`` is not positive
            6  no_forward           the underlying is not finite and positive
            7  invalid_input        the strike is not finite and positive, or ``t`` or the rate not finite
            == ==================== =================================================================
    """

    sigma: Floats
    status: NDArray[np.uint8]

    @property
    def converged(self) -> NDArray[np.bool_]:
        """Where there is a volatility."""
        return np.equal(self.status, 0)

    @property
    def reason(self) -> Any:
        """The name of each status: an object array of `str`, or a `str` where all inputs were scalars."""
        return _NAMES[self.status]

    @classmethod
    def empty(cls, shape: Shape) -> Self:
        """Arrays to be filled by calls with ``out=``; until then all NaN, for want of a price."""
        return cls(np.full(shape, math.nan, dtype=np.float64), np.full(shape, _NO_PRICE, dtype=np.uint8))


def _tuple(shape: Shape) -> tuple[int, ...]:
    return shape if isinstance(shape, tuple) else (shape,)
