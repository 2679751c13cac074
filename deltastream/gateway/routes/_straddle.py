"""The straddle at the money and the expected move: of each expiry, and how one of them went."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from deltastream.analytics.expected_move import ONE_SIGMA, ExpectedMove, lognormal
from deltastream.gateway.lookup import Range, history, range_of, stored
from deltastream.gateway.meta import Meta
from deltastream.gateway.routes._analytics import Hours, chosen, hours_ns, in_turn, instant, known, sent
from deltastream.gateway.routes._history import HistoryParameters, of_one
from deltastream.gateway.routing import ARROW, CSV, JSON, Answer, Call, route
from deltastream.messages import EnrichedChain
from deltastream.storage.protocol import MetricRow, Repository

__all__ = ["straddle"]

_FIELDS: Final = (
    *("spot_price", "forward", "t", "atm_strike", "atm_straddle_price", "straddle_pct", "atm_iv"),
    *("expected_move", "expected_move_coverage", "z"),
)


class StraddleParameters(HistoryParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which expiries, and how much of the history.

    Attributes:
        hours: of history, up to `at` or to the newest data; none of it unless given.
    """

    hours: Hours | None = None


class StraddleOfExpiry(msgspec.Struct, frozen=True, kw_only=True):
    """What a call and a put at the money cost, and how far the underlying is priced to go.

    Attributes:
        root, expiry: of the series.
        timestamp: of the chain.
        spot_price: of the underlying at that time.
        forward: price for this expiry.
        t: years of 365 days to the expiry instant.
        atm_strike: listed strike nearest the forward.
        atm_straddle_price: call plus put at that strike, at mids; flagged where it is of last prices.
        straddle_pct: likewise, in per cent of spot.
        atm_iv: at the forward, interpolated in total variance.
        expected_move: low and high end of the band forward x exp(-+ z x atm_iv x sqrt(t)).
        expected_move_coverage: probability of that band where the price at expiry is lognormal about the
            forward.
        reasons: why fields are null, by name.
    """

    root: str
    expiry: str
    timestamp: str
    spot_price: float | None
    forward: float | None
    t: float | None
    atm_strike: float | None
    atm_straddle_price: float | None
    straddle_pct: float | None
    atm_iv: float | None
    expected_move: tuple[float, float] | None
    expected_move_coverage: float | None
    reasons: dict[str, str]


class StraddlePoint(msgspec.Struct, frozen=True, kw_only=True):
    """The straddle at one instant; what could not be computed then is null.

    Attributes:
        timestamp: of the chain.
        spot_price: of the underlying at that time.
        forward: price for the expiry.
        atm_strike: listed strike nearest it; another straddle is meant where this changes.
        atm_straddle_price: call plus put at that strike.
        atm_iv: at the forward.
    """

    timestamp: str
    spot_price: float | None
    forward: float | None
    atm_strike: float | None
    atm_straddle_price: float | None
    atm_iv: float | None


class StraddleHistory(msgspec.Struct, frozen=True, kw_only=True):
    """How the straddle of one series went.

    Attributes:
        root, expiry: of the series: the one that was asked for, or the nearest.
        data_points: of `points`.
        points: oldest first.
        cursor: continues them; null at the end.
    """

    root: str
    expiry: str
    data_points: int
    points: list[StraddlePoint]
    cursor: str | None


class Straddles(msgspec.Struct, frozen=True, kw_only=True):
    """Straddles at the money, and expected moves.

    Attributes:
        product: underlying symbol.
        method: of the expected moves.
        z: their standard deviations on each side.
        expiries: nearest first.
        history: where `hours` are asked for.
        meta: what the answer says of itself.
    """

    product: str
    method: Literal["lognormal"]
    z: float
    expiries: list[StraddleOfExpiry]
    history: StraddleHistory | None
    meta: Meta


@route(
    "GET",
    "/api/analytics/straddle/{product}",
    scope="read:market",
    tag="analytics",
    parameters=StraddleParameters,
    answers=Straddles,
    media=(JSON, CSV, ARROW),
    problems=("not_found", "store_unavailable"),
    cost=5,
)
async def straddle(call: Call[StraddleParameters, None]) -> Answer:
    """The straddle at the money and the expected move of every expiry, or of one with its history.

    As a table: the expiries, or the history where `hours` are asked for.
    """
    asked, services = call.parameters, call.services
    now = await chosen(call, asked)
    past = None
    if asked.hours is None and asked.cursor is None:
        if (answer := known(call, now.identity)) is not None:
            return answer
    else:
        history(call.identity)
        begin = now.until - hours_ns(asked.hours or 1.0)
        span = range_of(services, None, None, asked.cursor, None, begin=begin, until=now.until)
        past = await _history(services.store, now.chains[0], span, asked)
    body = Straddles(
        product=now.product,
        method="lognormal",
        z=ONE_SIGMA,
        expiries=[_of(chain) for chain in now.chains],
        history=past,
        meta=now.meta(*_FIELDS),
    )
    if past is not None:
        return await sent(call, body, past.points, StraddlePoint, cursor=past.cursor)
    return await sent(call, body, body.expiries, StraddleOfExpiry, identity=now.identity)


def _of(chain: EnrichedChain) -> StraddleOfExpiry:
    price, spot = chain.atm_straddle_price, chain.spot
    move = _move(chain)
    values: dict[str, Any] = {
        "spot_price": spot,
        "forward": chain.forward,
        "t": chain.t,
        "atm_strike": chain.atm_strike,
        "atm_straddle_price": price,
        "straddle_pct": None if price is None or not spot else price / spot * 100.0,
        "atm_iv": chain.atm_iv,
        "expected_move": None if move is None else (move.low, move.high),
        "expected_move_coverage": None if move is None else move.coverage,
    }
    given = chain.reasons
    lacking = next((given[name] for name in ("t", "forward", "atm_iv") if name in given), "out_of_range")
    why = {
        "spot_price": given.get("spot"),
        "straddle_pct": given.get("atm_straddle_price") or given.get("spot"),
        "expected_move": lacking,
        "expected_move_coverage": lacking,
    }
    return StraddleOfExpiry(
        root=chain.root,
        expiry=chain.expiry,
        timestamp=instant(chain.ts_event, chain.product),
        reasons={
            name: why.get(name) or given.get(name, "not_given")
            for name, value in values.items()
            if value is None
        },
        **values,
    )


def _move(chain: EnrichedChain) -> ExpectedMove | None:
    if chain.forward is None or chain.atm_iv is None or chain.t is None:
        return None
    return lognormal(chain.forward, chain.atm_iv, chain.t)


async def _history(
    store: Repository, series: EnrichedChain, span: Range, asked: StraddleParameters
) -> StraddleHistory:
    with stored():
        page = await of_one(store, series, span, asked)
    return StraddleHistory(
        root=series.root,
        expiry=series.expiry,
        data_points=len(page.items),
        points=await in_turn(page.items, _point),
        cursor=span.continued(page.cursor),
    )


def _point(row: MetricRow) -> StraddlePoint:
    values = row.values
    return StraddlePoint(
        timestamp=instant(row.ts_event, row.product),
        spot_price=values["spot"],
        forward=values["forward"],
        atm_strike=values["atm_strike"],
        atm_straddle_price=values["atm_straddle_price"],
        atm_iv=values["atm_iv"],
    )
