"""What the routes of analytics share: which chains a request means, and how an answer is put together."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import trio
from numpy.typing import NDArray

from deltastream.gateway.instants import Instant
from deltastream.gateway.live import Held
from deltastream.gateway.lookup import (
    date_text,
    history,
    moment,
    nothing_yet,
    product_named,
    series_named,
    stored,
)
from deltastream.gateway.meta import Meta, iso, meta_of, place_of, zone_of
from deltastream.gateway.rendering import answered
from deltastream.gateway.routes.chains import ProductName
from deltastream.gateway.routing import Answer, Call
from deltastream.gateway.services import Services
from deltastream.gateway.tables import Column, Table
from deltastream.messages import EnrichedChain

__all__ = [
    "AT_ONCE",
    "MOST_HOURS",
    "ChainsParameters",
    "Chosen",
    "Hours",
    "ProductParameters",
    "chosen",
    "common",
    "each",
    "hours_ns",
    "identity_of",
    "in_turn",
    "instant",
    "known",
    "numbers",
    "sent",
]

T = TypeVar("T")

AT_ONCE: Final = 500
"""Strikes, or points of history, worked on before other requests get their turn."""

_IDENTITY: Final = frozenset(("root", "expiry", "timestamp"))
"""Columns that stand first in a table."""

MOST_HOURS: Final = 24 * 366
Hours = Annotated[float, msgspec.Meta(ge=0.01, le=MOST_HOURS)]


class ProductParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose numbers, and as of when.

    Attributes:
        product: in whatever case.
        at: the state at that instant; now unless given.
    """

    product: ProductName
    at: Instant | None = None


class ChainsParameters(ProductParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which chains, and as of when.

    Attributes:
        expiry: last trading date; all that are live unless given.
        root: contract family, where several share an expiry (SPX, SPXW); with an expiry the one named like
            the product unless given, else the first by name.
    """

    expiry: dt.date | None = None
    root: Annotated[str, msgspec.Meta(min_length=1, max_length=64, examples=["SPXW"])] | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chains that a request means, nearest expiry first; at least one.

    Attributes:
        at: the instant asked for; None: now.
        newest: time of the newest of the chains.
        flags: remarks on all of them.
        held: the one of them that the bus told last.
        identity: tells these chains and flags from all others; None where they come from the store.
    """

    product: str
    chains: list[EnrichedChain]
    at: int | None
    newest: int
    source: Literal["live", "store"]
    flags: tuple[str, ...]
    held: Held[EnrichedChain] | None
    identity: Hashable = None

    @property
    def until(self) -> int:
        """The end of the history up to here."""
        return (self.newest if self.at is None else self.at) + 1

    def meta(self, *fields: str, reasons: Mapping[str, str] | None = None) -> Meta:
        """The meta of an answer that has these fields."""
        interest = [chain.oi_as_of for chain in self.chains if chain.oi_as_of is not None]
        return meta_of(
            self.source,
            zone_of(self.product),
            as_of={"quotes": self.newest, "open_interest": max(interest, default=None)},
            fields=fields,
            flags=(*self.flags, *(flag for chain in self.chains for flag in chain.flags)),
            reasons=reasons,
            position=None if self.held is None else place_of(self.held),
        )


async def chosen(call: Call[Any, Any], asked: ChainsParameters) -> Chosen:
    """The chains that are asked for: of now from memory, of the past from the store.

    A series that has expired is read from the store, too, where its expiry is named.

    Raises:
        Problem: not_found, forbidden, invalid_request (a moment in the future) or store_unavailable.
    """
    services = call.services
    at = moment(services, asked.at)
    if at is not None:
        history(call.identity)
    product = await product_named(services, asked.product)
    if at is None and (held := _live(services, product, date_text(asked.expiry), asked.root)):
        newest = max(one.message.ts_event for one in held)
        flags = services.live.stale(product, services.seams.clock.now_ns(), newest)
        told = [one for one in held if one.position is not None]
        return Chosen(
            product=product,
            chains=[one.message for one in held],
            at=None,
            newest=newest,
            source="live",
            flags=flags,
            held=max(told, key=lambda one: one.position.seq if one.position else 0, default=None),
            identity=(product, *map(identity_of, held), flags),
        )
    chains = await _stored(services, product, date_text(asked.expiry), asked.root, at)
    newest = max(chain.ts_event for chain in chains)
    return Chosen(product, chains, at, newest, "store", (), None)


def _live(
    services: Services, product: str, expiry: str | None, root: str | None
) -> list[Held[EnrichedChain]]:
    if expiry is None:
        return [held for held in services.live.chains(product) if root in (None, held.message.root)]
    one = services.live.chain(product, expiry, root)
    return [] if one is None else [one]


async def _stored(
    services: Services, product: str, expiry: str | None, root: str | None, at: int | None
) -> list[EnrichedChain]:
    with stored():
        if expiry is None:
            chains = await services.store.latest_chains(product, at=at)
        else:
            one = await services.store.chain(product, expiry=expiry, root=root, at=at)
            chains = [] if one is None else [one]
        chains = [chain for chain in chains if root in (None, chain.root)]
        series = [] if chains else await services.store.expiries(product, at=at)
    if not chains and not series:
        await nothing_yet(services, product, at, "chain")
    if not chains:
        series_named(product, series, expiry, root)
    return chains


def hours_ns(hours: float) -> int:
    """So many hours in nanoseconds, one at least."""
    return max(1, round(hours * 3600e9))


async def each(chains: Iterable[EnrichedChain], work: Callable[[EnrichedChain], T]) -> list[T]:
    """What the work makes of each chain; between wide ones other requests get their turn."""
    return await in_turn(chains, work, lambda chain: len(chain.strikes))


async def in_turn(
    items: Iterable[Any], work: Callable[[Any], T], size: Callable[[Any], int] = lambda _: 1
) -> list[T]:
    """What the work makes of each item; other requests get their turn in between."""
    made, done = [], 0
    for item in items:
        made.append(work(item))
        done += size(item)
        if done >= AT_ONCE:
            done = 0
            await trio.lowlevel.checkpoint()
    return made


def numbers(values: NDArray[np.float64]) -> list[float | None]:
    """Values of a column, None where there are none."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def common(values: Iterable[T]) -> T | None:
    """The value that all have; None where they differ, or there is none."""
    found = list(dict.fromkeys(values))
    return found[0] if len(found) == 1 else None


def instant(ts: int, product: str) -> str:
    """A time as answers show it, in the time zone of the product's exchange."""
    return iso(ts, zone_of(product))


def identity_of(held: Held[Any]) -> Hashable:
    """What tells a message from all others of its kind and product."""
    message, at = held.message, held.position
    series = (message.root, message.expiry) if isinstance(message, EnrichedChain) else ()
    return (*series, None if at is None else (at.epoch, at.seq), message.ts_event, message.ts_recv)


def known(call: Call[Any, Any], identity: Hashable) -> Answer | None:
    """What has been answered to the same question of the same state."""
    return None if identity is None else call.services.live.rendered.get(_key(call, identity))


def _key(call: Call[Any, Any], identity: Hashable) -> Hashable:
    return (call.parameters, call.media, identity)  # parameters of another route are of another type


async def sent(
    call: Call[Any, Any],
    body: Any,
    rows: Sequence[msgspec.Struct],
    kind: type[msgspec.Struct],
    *,
    cursor: str | None = None,
    identity: Hashable = None,
) -> Answer:
    """The answer in the media type that is asked for.

    Args:
        body: what is answered as JSON, with its `product` and `meta`.
        rows: what is answered as a table.
        kind: of the rows; its fields that are numbers, pairs of numbers or text are the columns.
        cursor: where it goes on.
        identity: of the state that is answered and nothing else with it, to be kept for who asks next.
    """
    services, zone = call.services, zone_of(body.product)
    key = None if identity is None else _key(call, identity)
    answer = await answered(
        services.seams,
        call.media,
        body.meta,
        len(rows),
        lambda: body,
        lambda: _table(rows, kind, zone),
        cursor=cursor,
        cache_key=key,
    )
    if key is not None:
        services.live.rendered.put(key, answer, len(answer.body))
    return answer


def _table(rows: Sequence[msgspec.Struct], kind: type[msgspec.Struct], zone: ZoneInfo) -> Table:
    columns = {}
    fields = msgspec.structs.fields(kind)
    for field in sorted(fields, key=lambda field: field.name not in _IDENTITY):
        union = get_origin(field.type) in (Union, UnionType)
        types = get_args(field.type) if union else (field.type,)
        values = [getattr(row, field.name) for row in rows]
        if float in types:
            columns[field.name] = Column("number", values)
        elif int in types:
            columns[field.name] = Column("count", values)
        elif str in types:
            columns[field.name] = Column("text", values)
        elif tuple[float, float] in types:
            for at, end in enumerate(("low", "high")):
                ends = [None if value is None else value[at] for value in values]
                columns[f"{field.name}_{end}"] = Column("number", ends)
    return Table(zone, columns)
