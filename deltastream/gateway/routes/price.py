"""The pricer over HTTP: columns in, columns out."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
import trio
from numpy.typing import NDArray

from deltastream.gateway import definitions
from deltastream.gateway.problems import FieldProblem, Problem
from deltastream.gateway.routing import Answer, Call, NoParameters, route
from deltastream.pricing import STATUSES, black76, bsm

__all__ = ["ROUTES", "PriceAnswer", "PriceRequest"]

MOST: Final = 10_000
"""Options of one request."""

PIECE: Final = 1_000
"""Options above which other requests get their turn between the columns of an answer."""

Column = Annotated[list[float | None], msgspec.Meta(min_length=1, max_length=MOST)]
Sides = Annotated[list[Literal["C", "P"]], msgspec.Meta(min_length=1, max_length=MOST)]
Numbers = float | list[float | None] | None | msgspec.UnsetType
Status = Literal[
    "ok",
    "missing_input",
    "invalid_input",
    "undefined_limit",
    "converged",
    "no_price",
    "below_intrinsic",
    "above_maximum",
    "not_enough_precision",
    "expired",
    "no_forward",
]
Values = NDArray[np.float64]

_MODELS: Final[dict[str, Any]] = {"black76": black76, "bsm": bsm}
_OWN: Final = {"black76": ("forward",), "bsm": ("spot", "dividend_yield")}
"""What a model takes beside strike, t and rate."""

_PRICED: Final = np.array(("ok", "missing_input", "invalid_input", "undefined_limit"), dtype=object)
_SOLVED: Final = np.array(STATUSES, dtype=object)
_MISSING, _INVALID, _UNDEFINED = 1, 2, 3


class PriceRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options to price, or prices to find volatilities of.

    Each column is one number for all options or an array with one for each; all arrays are of one length. A
    null in an array is a number that is not there: what needs it is null.

    Attributes:
        model: `black76` on a forward, `bsm` (Black-Scholes-Merton) on a spot.
        forward: forward price for the expiry; for `black76`, and only there.
        spot: price of the underlying; for `bsm`, and only there.
        dividend_yield: continuously compounded, per year; for `bsm`, 0 unless given.
        strike: of each option.
        t: years of 365 days to the expiry instant.
        rate: continuously compounded, per year, 0.05 for 5 %.
        option_type: "C" for a call, "P" for a put.
        sigma: volatility per square root of a year, 0.2 for 20 %: asks for prices. Either this or `price`.
        price: discounted prices: asks for volatilities, and for the Greeks there.
        greeks: none, the `first` five, or `all` fourteen.
    """

    model: Literal["black76", "bsm"] = "black76"
    forward: float | Column | None = None
    spot: float | Column | None = None
    dividend_yield: float | Column | None = None
    strike: float | Column
    t: float | Column
    rate: float | Column
    option_type: Literal["C", "P"] | Sides
    sigma: float | Column | None = None
    price: float | Column | None = None
    greeks: Literal["none", "first", "all"] = "first"


class PriceMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What the columns mean.

    Attributes:
        definitions: id of each column's definition, see `/api/analytics/definitions`.
    """

    definitions: dict[str, str]


class PriceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of numbers, or single numbers where all that came were single numbers.

    Attributes:
        model: as asked.
        count: options.
        status: of each option. Of prices: `ok`; `missing_input` where a number it needs is null;
            `invalid_input` where one is out of the domain; `undefined_limit` where there is a price, but a
            Greek has no limit (at the money at expiry or without volatility). Of volatilities: `converged`,
            `no_price`, `below_intrinsic`, `above_maximum`, `not_enough_precision`, `expired`, `no_forward`
            or `invalid_input`.
        price: in the unit of the underlying, discounted.
        iv: volatility that gives the price; null unless converged.
        delta: per point of the forward (`black76`) or the spot (`bsm`).
        gamma: per point squared.
        vega: per volatility point (0.01).
        theta: per calendar day that passes.
        rho: per 1 % of rate.
        vanna: change of delta per volatility point.
        charm: change of delta per calendar day that passes.
        vomma: change of vega per volatility point.
        veta: change of vega per calendar day more to expiry.
        speed: change of gamma per point.
        zomma: change of gamma per volatility point.
        color: change of gamma per calendar day more to expiry.
        ultima: change of vomma per volatility point.
        forward_delta: to the forward, not discounted.
        meta: what the columns mean.
    """

    model: Literal["black76", "bsm"]
    count: int
    status: Status | list[Status]
    price: Numbers = msgspec.UNSET
    iv: Numbers = msgspec.UNSET
    delta: Numbers = msgspec.UNSET
    gamma: Numbers = msgspec.UNSET
    vega: Numbers = msgspec.UNSET
    theta: Numbers = msgspec.UNSET
    rho: Numbers = msgspec.UNSET
    vanna: Numbers = msgspec.UNSET
    charm: Numbers = msgspec.UNSET
    vomma: Numbers = msgspec.UNSET
    veta: Numbers = msgspec.UNSET
    speed: Numbers = msgspec.UNSET
    zomma: Numbers = msgspec.UNSET
    color: Numbers = msgspec.UNSET
    ultima: Numbers = msgspec.UNSET
    forward_delta: Numbers = msgspec.UNSET
    meta: PriceMeta


@route(
    "POST",
    "/api/price",
    scope="read:market",
    tag="pricing",
    body=PriceRequest,
    body_bytes=1 << 20,
    answers=PriceAnswer,
    cost=10,
)
async def price(call: Call[NoParameters, PriceRequest]) -> Answer:
    """Price options, or find the volatilities behind prices, with Greeks.

    Up to 10,000 options at once, by the same code that enriches chains. What is wrong with one option
    makes that option null, with a status; it fails nothing else.
    """
    asked = call.body
    count, single = _size(asked)
    columns = await _columns(asked, count)
    found = (_priced if asked.price is None else _solved)(asked, columns)  # a millisecond or two for the most
    body: dict[str, Any] = {"model": asked.model, "count": count}
    for name, values in found.items():
        body[name] = msgspec.Raw(msgspec.json.encode(values.tolist()[0] if single else values.tolist()))
        if count > PIECE:
            await trio.lowlevel.checkpoint()
    named = definitions.of(*(f"{asked.model}.{name}" for name in found if name != "status"))
    body["meta"] = PriceMeta(definitions=named)
    return Answer(body)


def _size(asked: PriceRequest) -> tuple[int, bool]:
    """How many options were asked for, and whether by single numbers alone.

    Raises:
        Problem: what came does not go together; every reason at once.
    """
    problems = [
        _problem(name, "unknown", f"{name} is not of {asked.model}.")
        for model, names in _OWN.items()
        for name in names
        if model != asked.model and getattr(asked, name) is not None
    ]
    if getattr(asked, _OWN[asked.model][0]) is None:
        problems.append(_problem(_OWN[asked.model][0], "required", f"{asked.model} needs it."))
    if (asked.sigma is None) == (asked.price is None):
        problems.append(_problem("sigma", "required", "Give either sigma or price."))
    lengths = {
        name: len(value)
        for name in asked.__struct_fields__
        if isinstance(value := getattr(asked, name), list)
    }
    longest = max(lengths.values(), default=1)
    problems += [
        _problem(name, "length", f"{length} values, where another column has {longest}.")
        for name, length in lengths.items()
        if length != longest
    ]
    if problems:
        raise Problem("invalid_request", problems[0].message, errors=problems)
    return longest, not lengths


def _problem(field: str, code: str, message: str) -> FieldProblem:
    return FieldProblem(where="body", field=f"/{field}", code=code, message=message)


async def _columns(asked: PriceRequest, count: int) -> dict[str, Any]:
    """Numbers and arrays by name; nulls are NaN."""
    columns: dict[str, Any] = {"is_call": _is_call(asked.option_type)}
    for name in (*_OWN[asked.model], "strike", "t", "rate", "sigma", "price"):
        value = getattr(asked, name)
        if isinstance(value, list):
            columns[name] = np.array(value, dtype=np.float64)
            if count > PIECE:
                await trio.lowlevel.checkpoint()
        elif value is not None:
            columns[name] = value
    if asked.model == "bsm":
        columns.setdefault("dividend_yield", 0.0)
    return columns


def _is_call(sides: str | list[Literal["C", "P"]]) -> Any:
    return (
        sides == "C" if isinstance(sides, str) else np.array([side == "C" for side in sides], dtype=np.bool_)
    )


def _priced(asked: PriceRequest, columns: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Prices and Greeks, with a status of each option."""
    found = _greeks(asked, columns)
    status = np.zeros(found["price"].shape, dtype=np.intp)
    for values in found.values():
        status[np.isnan(values)] = _UNDEFINED
    status[np.isnan(found["price"])] = _INVALID
    for name, values in columns.items():
        if name != "is_call":
            status[np.isnan(np.broadcast_to(values, status.shape))] = _MISSING
    return {"status": _PRICED[status], **found}


def _solved(asked: PriceRequest, columns: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Volatilities, with a status of each price, and the Greeks there."""
    solved = _MODELS[asked.model].implied_volatility(**columns)
    sigma = np.atleast_1d(solved.sigma)
    found = {"status": np.atleast_1d(_SOLVED[solved.status]), "iv": sigma}
    if asked.greeks != "none":
        greeks = _greeks(asked, {**columns, "sigma": sigma})
        del greeks["price"]
        found |= greeks
    return found


def _greeks(asked: PriceRequest, columns: dict[str, Any]) -> dict[str, Values]:
    """The price, and as many Greeks as are asked for, by name."""
    model = _MODELS[asked.model]
    columns = {name: values for name, values in columns.items() if name != "price"}
    if asked.greeks == "none":
        return {"price": np.atleast_1d(model.price(**columns))}
    compute = model.greeks if asked.greeks == "first" else model.all_greeks
    return {name: np.atleast_1d(values) for name, values in compute(**columns).as_dict().items()}


ROUTES: Final = (price,)
