"""Chains and single quotes: ``/api/data/chain`` and ``/api/data/quotes``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal, NamedTuple, NoReturn

import msgspec

from deltastream.gateway.instants import Instant
from deltastream.gateway.live import Held
from deltastream.gateway.lookup import (
    date_text,
    history,
    invalid,
    moment,
    nothing_yet,
    product_named,
    range_of,
    series_named,
    stored,
)
from deltastream.gateway.meta import Meta, iso, meta_of, place_of, zone_of
from deltastream.gateway.problems import Problem
from deltastream.gateway.rendering import (
    CHAIN_FIELDS,
    QUOTE_FIELDS,
    Chain,
    Layout,
    Quote,
    Window,
    answered,
    answered_json,
    chain_of,
    chain_table,
    quote_of,
)
from deltastream.gateway.routing import ARROW, CSV, JSON, Answer, Call, Route, route
from deltastream.gateway.services import Services
from deltastream.market import contract_symbol, parse_contract_symbol
from deltastream.messages import EnrichedChain, OptionSide
from deltastream.storage.protocol import StoredExpiry

__all__ = ["ROUTES", "ChainParameters", "Chains", "QuoteAnswer", "QuoteParameters"]

MOST_CHAINS: Final = 20
_WHOLE: Final = Window()

_NAME: Final = r"[^\x00-\x1f/\\\x7f-\x9f]+"  # what a part of a path can be, however it is encoded

ProductName = Annotated[str, msgspec.Meta(max_length=64, pattern=rf"^{_NAME}$", examples=["NIFTY"])]
SymbolName = Annotated[
    str,
    msgspec.Meta(
        max_length=128,
        pattern=rf"^{_NAME}-[0-9]{{8}}-[0-9]+(\.[0-9]+)?-[CP]$",
        examples=["NIFTY-20261124-26000-C"],
    ),
]
Delta = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class ChainParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which chain, of when, and how much of it.

    Attributes:
        product: in whatever case.
        expiry: last trading date; the nearest that is live unless given.
        root: contract family, where several share an expiry (SPX, SPXW); the one named like the
            product unless given, else the first by name.
        at: the last chain at that instant; now unless given.
        start: begin of a range of chains, oldest first; needs `expiry`.
        end: end of the range, not included; now unless given.
        limit: the most chains of a range in one answer.
        cursor: of the answer before, to go on with its range.
        window: so many strikes on each side of the ATM strike.
        delta_min: only strikes whose out-of-the-money option has at least this magnitude of delta.
        delta_max: only strikes whose out-of-the-money option has at most this magnitude of delta.
        layout: quotes as rows, or as columns.
    """

    product: ProductName
    expiry: dt.date | None = None
    root: Annotated[str, msgspec.Meta(min_length=1, max_length=64, examples=["SPXW"])] | None = None
    at: Instant | None = None
    start: Instant | None = None
    end: Instant | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_CHAINS)] = MOST_CHAINS
    cursor: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None
    window: Annotated[int, msgspec.Meta(ge=0, le=1000)] | None = None
    delta_min: Delta | None = None
    delta_max: Delta | None = None
    layout: Layout = "rows"


class Chains(msgspec.Struct, frozen=True, kw_only=True):
    """Chains of one product.

    Attributes:
        product: the underlying.
        count: of the chains.
        chains: one, or those of a range, oldest first.
        cursor: hand it in to go on; null at the end.
        meta: what the answer says of itself.
    """

    product: str
    count: int
    chains: list[Chain]
    cursor: str | None
    meta: Meta


class QuoteParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which contract, and when.

    Attributes:
        symbol: ``ROOT-YYYYMMDD-STRIKE-C|P``.
        at: the quote at that instant; now unless given.
    """

    symbol: SymbolName
    at: Instant | None = None


class QuoteAnswer(Quote, frozen=True, kw_only=True):
    """One option, with what its chain says of it.

    Attributes:
        spot_price: of the underlying at `timestamp`.
        forward: for the expiry.
        expiry_time: when the contract ends.
        currency: of the premium.
        oi_unit: what open interest counts.
        volume_unit: what volume counts.
        processed_at: when the Greeks were computed.
        meta: what the answer says of itself.
    """

    spot_price: float | None
    forward: float | None
    expiry_time: str
    currency: str
    oi_unit: Literal["contracts", "units", "coin"]
    volume_unit: Literal["contracts", "units", "coin"]
    processed_at: str
    meta: Meta


@route(
    "GET",
    "/api/data/chain/{product}",
    scope="read:market",
    tag="data",
    parameters=ChainParameters,
    answers=Chains,
    media=(JSON, CSV, ARROW),
    problems=("not_found", "not_acceptable", "store_unavailable"),
    cost=2,
)
async def chain(call: Call[ChainParameters, None]) -> Answer:
    """A product's option chain, with volatilities, Greeks, labels and metrics, in one call.

    The present one of the nearest expiry unless told otherwise. Past ones come by `at`, or as a
    range by `start`, 20 at a time. In CSV and Arrow a row is one option, and the cursor of a range is
    in the header `X-Next-Cursor`.
    """
    asked = call.parameters
    window = _window(asked)
    if (asked.start, asked.end, asked.cursor, asked.at) != (None, None, None, None):
        history(call.identity)
    if asked.start is not None or asked.end is not None or asked.cursor is not None:
        return await _range(call, window)
    if asked.at is None:
        held = call.services.live.chain(asked.product, date_text(asked.expiry), asked.root)
        if held is not None:
            return await _live(call, held, window)
    product = await product_named(call.services, asked.product)
    if asked.at is None and product != asked.product:
        held = call.services.live.chain(product, date_text(asked.expiry), asked.root)
        if held is not None:
            return await _live(call, held, window)
    return await _stored(call, product, window)


def _window(asked: ChainParameters) -> Window:
    if asked.delta_min is None and asked.delta_max is None:
        return _WHOLE if asked.window is None else Window(strikes=asked.window)
    if asked.window is not None:
        invalid("window", "conflict", "says which strikes, and so does delta_min or delta_max: give one")
    band = (asked.delta_min or 0.0, 1.0 if asked.delta_max is None else asked.delta_max)
    if band[0] > band[1]:
        invalid("delta_max", "order", "is less than delta_min")
    return Window(delta=band)


async def _live(call: Call[ChainParameters, None], held: Held[EnrichedChain], window: Window) -> Answer:
    live, asked, message = call.services.live, call.parameters, held.message
    flags = _live_flags(call.services, message, asked.root)
    key = (*_identity(held), "chain", call.media, asked.layout, window, flags)
    if (known := live.rendered.get(key)) is not None:
        return known
    meta = meta_of(
        "live",
        zone_of(message.product),
        as_of={"quotes": message.ts_event, "open_interest": message.oi_as_of},
        fields=CHAIN_FIELDS,
        flags=flags,
        position=place_of(held),
    )
    answer = await _chains(call, [message], window, meta, None, cache_key=key)
    live.rendered.put(key, answer, len(answer.body))
    return answer


def _identity(held: Held[EnrichedChain]) -> tuple[Hashable, ...]:
    """What tells this chain from all others."""
    message, at = held.message, held.position
    place = (None, 0) if at is None else (at.epoch, at.seq)
    return (held.topic, message.root, message.expiry, *place, message.ts_event, message.ts_recv)


def _live_flags(services: Services, message: EnrichedChain, root: str | None) -> tuple[str, ...]:
    live, now = services.live, services.seams.clock.now_ns()
    flags = live.stale(message.product, now, message.ts_event)
    if now >= message.expiry_ts and "expired" not in message.flags:
        flags = (*flags, "expired")
    if root is None and any(
        held.message.expiry == message.expiry and held.message.root != message.root
        for held in live.chains(message.product)
    ):
        flags = (*flags, "several_roots")
    return flags


async def _stored(call: Call[ChainParameters, None], product: str, window: Window) -> Answer:
    services, asked = call.services, call.parameters
    at, expiry = moment(services, asked.at), date_text(asked.expiry)
    with stored():
        message = await services.store.chain(product, expiry=expiry, root=asked.root, at=at)
        series = await services.store.expiries(product, at=at)
    if message is None:
        await _no_chain(services, product, series, asked, at)
    several = asked.root is None and _several_roots(series, message)
    meta = meta_of(
        "store",
        zone_of(product),
        as_of={"quotes": message.ts_event, "open_interest": message.oi_as_of},
        fields=CHAIN_FIELDS,
        flags=("several_roots",) if several else (),
    )
    return await _chains(call, [message], window, meta, None)


def _several_roots(series: Sequence[StoredExpiry], message: EnrichedChain) -> bool:
    return any(one.expiry == message.expiry and one.root != message.root for one in series)


async def _no_chain(
    services: Services,
    product: str,
    series: Sequence[StoredExpiry],
    asked: ChainParameters,
    at: int | None,
) -> NoReturn:
    """Say what is missing: everything by then, or this series.

    Raises:
        Problem: not_found, always; store_unavailable.
    """
    if not series:
        await nothing_yet(services, product, at, "chain")
    series_named(product, series, date_text(asked.expiry), asked.root)


async def _range(call: Call[ChainParameters, None], window: Window) -> Answer:
    services, asked = call.services, call.parameters
    expiry = date_text(asked.expiry)
    if expiry is None:
        invalid("expiry", "required", "is needed with a range")
    span = range_of(services, asked.start, asked.end, asked.cursor, asked.at)
    product = await product_named(services, asked.product)
    with stored():
        series = await services.store.expiries(product)
        root = asked.root or _usual_root(product, expiry, series)
        if not any(one.expiry == expiry and one.root == root for one in series):
            series_named(product, series, expiry, asked.root)
        page = await services.store.chains(
            product,
            expiry=expiry,
            root=root,
            start=span.start,
            end=span.end,
            limit=asked.limit,
            cursor=span.cursor,
        )
    several = asked.root is None and len({one.root for one in series if one.expiry == expiry}) > 1
    flags = ("several_roots",) if several else ()
    meta = meta_of("store", zone_of(product), fields=CHAIN_FIELDS, flags=flags)
    return await _chains(call, page.items, window, meta, span.continued(page.cursor), product=product)


def _usual_root(product: str, expiry: str, series: Sequence[StoredExpiry]) -> str | None:
    """The root that is meant where none is named: see `Repository.chain`."""
    roots = sorted(one.root for one in series if one.expiry == expiry)
    return product if product in roots else next(iter(roots), None)


async def _chains(
    call: Call[ChainParameters, None],
    messages: Sequence[EnrichedChain],
    window: Window,
    meta: Meta,
    cursor: str | None,
    *,
    product: str | None = None,
    cache_key: Hashable = None,
) -> Answer:
    of = product or messages[0].product
    zone = zone_of(of)
    later = tuple(flag for flag in meta.flags if flag == "expired")
    layout = call.parameters.layout

    def value() -> Chains:
        shown = [chain_of(one, layout, window, zone, flags=later) for one in messages]
        return Chains(product=of, count=len(shown), chains=shown, cursor=cursor, meta=meta)

    return await answered(
        call.services.seams,
        call.media,
        meta,
        2 * sum(one.strikes.size for one in messages),
        value,
        partial(chain_table, messages, window, zone),
        cursor=cursor,
        cache_key=cache_key,
    )


@route(
    "GET",
    "/api/data/quotes/{symbol}",
    scope="read:market",
    tag="data",
    parameters=QuoteParameters,
    answers=QuoteAnswer,
    problems=("not_found", "store_unavailable"),
)
async def quote(call: Call[QuoteParameters, None]) -> Answer:
    """One option: its quote, volatility and Greeks, at the time of its chain."""
    services, asked = call.services, call.parameters
    contract = _contract(asked.symbol)
    if asked.at is not None:
        history(call.identity)
    at = moment(services, asked.at)
    held = services.live.contract_chain(contract.root, contract.expiry) if at is None else None
    if held is None:
        return await _stored_quote(call, contract, at)
    flags = _live_flags(services, held.message, contract.root)
    key = (*_identity(held), "quote", contract, flags)
    if (known := services.live.rendered.get(key)) is not None:
        return known
    meta = _quote_meta("live", held.message, flags=flags, position=place_of(held))
    answer = await _quote(call, held.message, contract, meta, cache_key=key)
    services.live.rendered.put(key, answer, len(answer.body))
    return answer


class _Contract(NamedTuple):
    root: str
    expiry: str
    strike: float
    side: OptionSide

    @property
    def symbol(self) -> str:
        return contract_symbol(self.root, dt.date.fromisoformat(self.expiry), self.strike, self.side)


def _contract(symbol: str) -> _Contract:
    """The contract that a symbol names, in whatever case where it has no small letters of its own.

    Raises:
        Problem: invalid_request.
    """
    try:
        root, expiry, strike, side = parse_contract_symbol(symbol)
    except ValueError as error:
        try:
            root, expiry, strike, side = parse_contract_symbol(symbol.upper())
        except ValueError:
            invalid("symbol", "symbol", str(error), where="path")
    return _Contract(root, expiry.isoformat(), strike, side)


async def _stored_quote(call: Call[QuoteParameters, None], contract: _Contract, at: int | None) -> Answer:
    store = call.services.store
    with stored():
        message = None
        if (found := await store.quote(contract.symbol, at=at)) is not None:
            message = await store.chain(found.product, expiry=found.expiry, root=found.root, at=at)
    if message is None:
        when = "" if at is None else f" at {iso(at, zone_of('UTC'))}"
        raise Problem("not_found", f"There is no quote of {contract.symbol}{when}.")
    return await _quote(call, message, contract, _quote_meta("store", message))


def _quote_meta(source: Literal["live", "store"], message: EnrichedChain, **more: Any) -> Meta:
    more["flags"] = (*message.flags, *more.get("flags", ()))
    as_of = {"quotes": message.ts_event, "open_interest": message.oi_as_of}
    fields = ("spot_price", "forward", *QUOTE_FIELDS)
    return meta_of(source, zone_of(message.product), as_of=as_of, fields=fields, **more)


async def _quote(
    call: Call[QuoteParameters, None],
    message: EnrichedChain,
    contract: _Contract,
    meta: Meta,
    *,
    cache_key: Hashable = None,
) -> Answer:
    zone = zone_of(message.product)
    found = quote_of(message, contract.strike, contract.side, zone)
    if found is None:
        raise Problem(
            "not_found",
            f"The chain of {message.root} for {message.expiry} lists no strike {contract.strike:g}.",
        )
    shown = QuoteAnswer(
        **msgspec.structs.asdict(found),
        spot_price=message.spot,
        forward=message.forward,
        expiry_time=iso(message.expiry_ts, zone),
        currency=message.currency,
        oi_unit=message.oi_unit,
        volume_unit=message.volume_unit,
        processed_at=iso(message.ts_recv, zone),
        meta=meta,
    )
    return answered_json(shown, cache_key=cache_key)


ROUTES: Final[tuple[Route, ...]] = (chain, quote)
