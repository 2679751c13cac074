"""Open interest: by strike and by expiry, what has changed, and where it stands thickest."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from deltastream.analytics.open_interest import (
    Level,
    Mover,
    change_since,
    coverage,
    herfindahl,
    incomparable,
    levels,
    movers,
    otm_interest,
    total,
)
from deltastream.gateway.instants import Instant
from deltastream.gateway.lookup import history, moment, stored
from deltastream.gateway.meta import Meta
from deltastream.gateway.routes._analytics import (
    ChainsParameters,
    chosen,
    each,
    instant,
    known,
    numbers,
    sent,
)
from deltastream.gateway.routing import ARROW, CSV, JSON, Answer, Call, route
from deltastream.gateway.services import Services
from deltastream.messages import BUILDUP, EnrichedChain

__all__ = ["open_interest"]

Floats = NDArray[np.float64]

_PREFIXES: Final = ("call_", "put_")
_FIELDS: Final = (
    *("spot_price", "total_call_oi", "total_put_oi", "call_oi_change", "put_oi_change", "pcr_oi"),
    *("call_buildup_otm", "put_buildup_otm", "call_concentration", "put_concentration", "oi_coverage"),
    *(
        "resistance",
        "support",
        "strength",
        "open_interest",
        "movers",
        "oi_change",
        "oi_change_pct",
        "price_change",
        "buildup",
    ),
    "oi_since",
)


class OpenInterestParameters(ChainsParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which chains, and how much of them.

    Attributes:
        window: strikes to each side of `atm_strike` in `strikes`; all of them unless given.
        since: what to compare with, besides the previous session; not less than the source's cadence ago.
        top: most levels of a side, and most movers.
    """

    window: Annotated[int, msgspec.Meta(ge=0, le=10_000)] | None = None
    since: Instant | None = None
    top: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5


class InterestOfExpiry(msgspec.Struct, frozen=True, kw_only=True):
    """The open interest of one expiry.

    Attributes:
        root, expiry: of the series.
        timestamp: of the chain.
        spot_price: of the underlying at that time.
        total_call_oi, total_put_oi: open interest of a side, in `oi_unit`.
        pcr_oi: that of the puts over that of the calls.
        call_oi_change, put_oi_change: sums of what has changed since the previous session.
        call_buildup_otm, put_buildup_otm: open interest of the calls above spot, of the puts below it.
        call_concentration, put_concentration: Herfindahl-Hirschman index over strikes, 0 to 1.
        oi_coverage: share of the listed contracts whose open interest is stated.
        resistance: strikes from spot on up with the most open interest in calls, the largest first.
        support: strikes from spot on down with the most open interest in puts, the largest first.
        resistance_change, support_change: the same by what has been added since the previous session.
        oi_unit: "contracts", "units" or "coin".
        oi_cadence: how often the source refreshes it: "live", "3min" or "daily".
        oi_as_of: the instant it belongs to; null where the source does not tell.
        reasons: why fields are null, by name.
    """

    root: str
    expiry: str
    timestamp: str
    spot_price: float | None
    total_call_oi: float | None
    total_put_oi: float | None
    call_oi_change: float | None
    put_oi_change: float | None
    pcr_oi: float | None
    call_buildup_otm: float | None
    put_buildup_otm: float | None
    call_concentration: float | None
    put_concentration: float | None
    oi_coverage: float | None
    resistance: list[Level]
    support: list[Level]
    resistance_change: list[Level]
    support_change: list[Level]
    oi_unit: str
    oi_cadence: str
    oi_as_of: str | None
    reasons: dict[str, str]


class InterestOfStrike(msgspec.Struct, frozen=True, kw_only=True):
    """Both contracts of one strike.

    Attributes:
        root, expiry: of the series.
        strike: in price points.
        call_open_interest, put_open_interest: of the contract.
        call_oi_change, put_oi_change: since the previous session.
        call_oi_change_pct, put_oi_change_pct: likewise, in per cent of what there was.
        call_price_change, put_price_change: of the contract itself, last less previous close.
        call_buildup, put_buildup: class of the move.
        call_oi_since, put_oi_since: since the instant asked for.
    """

    root: str
    expiry: str
    strike: float
    call_open_interest: float | None
    call_oi_change: float | None
    call_oi_change_pct: float | None
    call_price_change: float | None
    call_buildup: str | None
    call_oi_since: float | None
    put_open_interest: float | None
    put_oi_change: float | None
    put_oi_change_pct: float | None
    put_price_change: float | None
    put_buildup: str | None
    put_oi_since: float | None


class Since(msgspec.Struct, frozen=True, kw_only=True):
    """What has changed since an instant, in the series that `strikes` show.

    Attributes:
        timestamp: of the chain compared with; null where there is none.
        call_oi_since, put_oi_since: sums over the strikes that both chains have.
        reasons: why they are null.
    """

    timestamp: str | None
    call_oi_since: float | None
    put_oi_since: float | None
    reasons: dict[str, str]


class OpenInterest(msgspec.Struct, frozen=True, kw_only=True):
    """Open interest.

    Attributes:
        product: underlying symbol.
        expiries: nearest first.
        strikes: of the expiry asked for, or of the nearest; ascending.
        movers: contracts of all these expiries by the magnitude of their change, the largest first.
        since: where it is asked for.
        meta: what the answer says of itself.
    """

    product: str
    expiries: list[InterestOfExpiry]
    strikes: list[InterestOfStrike]
    movers: list[Mover]
    since: Since | None
    meta: Meta


@route(
    "GET",
    "/api/analytics/oi/{product}",
    scope="read:market",
    tag="analytics",
    parameters=OpenInterestParameters,
    answers=OpenInterest,
    media=(JSON, CSV, ARROW),
    problems=("not_found", "store_unavailable"),
    cost=5,
)
async def open_interest(call: Call[OpenInterestParameters, None]) -> Answer:
    """Open interest: change, build-up, support and resistance, by strike and by expiry.

    As a table: the strikes.
    """
    asked = call.parameters
    now = await chosen(call, asked)
    identity = now.identity if asked.since is None else None
    if (answer := known(call, identity)) is not None:
        return answer
    series = now.chains[0]
    if asked.since is not None:
        history(call.identity)
    since, changes = await _since(call.services, moment(call.services, asked.since), series)
    body = OpenInterest(
        product=now.product,
        expiries=await each(now.chains, lambda chain: _of_expiry(chain, asked.top)),
        strikes=_strikes(series, asked.window, changes),
        movers=movers(now.chains, asked.top),
        since=since,
        meta=now.meta(*_FIELDS),
    )
    return await sent(call, body, body.strikes, InterestOfStrike, identity=identity)


def _of_expiry(chain: EnrichedChain, most: int) -> InterestOfExpiry:
    values: dict[str, Any] = {
        "spot_price": chain.spot,
        "total_call_oi": chain.total_call_oi,
        "total_put_oi": chain.total_put_oi,
        "call_oi_change": chain.call_oi_change,
        "put_oi_change": chain.put_oi_change,
        "pcr_oi": chain.pcr_oi,
        "call_buildup_otm": otm_interest(chain, "C"),
        "put_buildup_otm": otm_interest(chain, "P"),
        "call_concentration": herfindahl(chain["call_oi"]),
        "put_concentration": herfindahl(chain["put_oi"]),
        "oi_coverage": coverage(chain),
        "oi_as_of": None if chain.oi_as_of is None else instant(chain.oi_as_of, chain.product),
    }
    why = {
        "spot_price": chain.reasons.get("spot"),
        "call_buildup_otm": chain.reasons.get("spot") or chain.reasons.get("total_call_oi"),
        "put_buildup_otm": chain.reasons.get("spot") or chain.reasons.get("total_put_oi"),
        "call_concentration": "no_call_open_interest",
        "put_concentration": "no_put_open_interest",
        "oi_coverage": "no_strikes",
    }
    return InterestOfExpiry(
        root=chain.root,
        expiry=chain.expiry,
        timestamp=instant(chain.ts_event, chain.product),
        resistance=levels(chain, "C", by="oi", most=most),
        support=levels(chain, "P", by="oi", most=most),
        resistance_change=levels(chain, "C", by="oi_change", most=most),
        support_change=levels(chain, "P", by="oi_change", most=most),
        oi_unit=chain.oi_unit,
        oi_cadence=chain.oi_cadence,
        reasons={
            name: why.get(name) or chain.reasons.get(name, "not_given")
            for name, value in values.items()
            if value is None
        },
        **values,
    )


async def _since(
    services: Services, at: int | None, series: EnrichedChain
) -> tuple[Since | None, dict[str, Floats]]:
    """What has changed in a series since an instant: in sum, and by side at each strike."""
    if at is None:
        return None, {}
    with stored():
        before = await services.store.chain(series.product, expiry=series.expiry, root=series.root, at=at)
    why = "no_chain_by_then" if before is None else incomparable(series, before)
    if before is None or why is not None:
        reasons = {f"{prefix}oi_since": str(why) for prefix in _PREFIXES}
        return Since(timestamp=None, call_oi_since=None, put_oi_since=None, reasons=reasons), {}
    changes = {prefix: change_since(series, before, prefix) for prefix in _PREFIXES}
    sums = {f"{prefix}oi_since": total(change) for prefix, change in changes.items()}
    since = Since(
        timestamp=instant(before.ts_event, series.product),
        reasons={name: "no_open_interest_in_both" for name, value in sums.items() if value is None},
        **sums,
    )
    return since, changes


def _strikes(chain: EnrichedChain, window: int | None, changes: dict[str, Floats]) -> list[InterestOfStrike]:
    shown = _window(chain, window)
    nothing = np.full(len(chain.strikes), np.nan)
    columns: dict[str, list[Any]] = {}
    for prefix in _PREFIXES:
        change, before = chain[f"{prefix}oi_change"], chain[f"{prefix}prev_oi"]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(before > 0, change / before * 100.0, np.nan)
        columns |= {
            f"{prefix}open_interest": numbers(chain[f"{prefix}oi"][shown]),
            f"{prefix}oi_change": numbers(change[shown]),
            f"{prefix}oi_change_pct": numbers(share[shown]),
            f"{prefix}price_change": numbers((chain[f"{prefix}last"] - chain[f"{prefix}prev_close"])[shown]),
            f"{prefix}buildup": [
                None if code is None else BUILDUP[int(code)]
                for code in numbers(chain[f"{prefix}buildup"][shown])
            ],
            f"{prefix}oi_since": numbers(changes.get(prefix, nothing)[shown]),
        }
    names = ("strike", *columns)
    return [
        InterestOfStrike(root=chain.root, expiry=chain.expiry, **dict(zip(names, row, strict=True)))
        for row in zip(chain.strikes[shown].tolist(), *columns.values(), strict=True)
    ]


def _window(chain: EnrichedChain, window: int | None) -> slice:
    if window is None or chain.atm_strike is None:
        return slice(None)
    at = int(np.searchsorted(chain.strikes, chain.atm_strike))
    return slice(max(0, at - window), at + window + 1)
