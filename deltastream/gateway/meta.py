"""What every answer says of itself: which definitions, as of when, from where, and what to beware of."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable, Mapping
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from deltastream.gateway import definitions
from deltastream.gateway.live import Held
from deltastream.market import product as market_product
from deltastream.messages import Message

__all__ = ["Meta", "Place", "iso", "meta_of", "place_of", "zone_of"]

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_UTC: Final = ZoneInfo("UTC")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a message stands on the bus.

    Attributes:
        topic: of one kind and product.
        epoch: changes when earlier positions have become void.
        seq: contiguous within the topic.
    """

    topic: str
    epoch: str
    seq: int


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says of itself.

    Attributes:
        source: "live" from the present state, "store" from history.
        time_zone: of the times in the answer: the exchange's where the product is known, else UTC.
        as_of: the instant that each input belongs to, by input.
        definitions: id of the definition that each field follows, by field.
        flags: remarks on the whole answer, such as "stale" or "store_away".
        reasons: why a field is null, by field.
        position: of the message that was answered; null where there is not one, or the store told it.
    """

    source: Literal["live", "store"]
    time_zone: str
    as_of: Mapping[str, str] = {}
    definitions: Mapping[str, str] = {}
    flags: tuple[str, ...] = ()
    reasons: Mapping[str, str] = {}
    position: Place | None = None


def meta_of(
    source: Literal["live", "store"],
    zone: ZoneInfo,
    *,
    as_of: Mapping[str, int | None] | None = None,
    fields: Iterable[str] = (),
    flags: Iterable[str] = (),
    reasons: Mapping[str, str] | None = None,
    position: Place | None = None,
) -> Meta:
    """The meta of an answer.

    Args:
        zone: of its times.
        as_of: nanoseconds UTC by input; what is None is left out.
        fields: of the answer that have a definition.
        flags: repeated ones are told once.
    """
    return Meta(
        source=source,
        time_zone=zone.key,
        as_of={name: iso(ts, zone) for name, ts in (as_of or {}).items() if ts is not None},
        definitions=definitions.of(*fields),
        flags=tuple(dict.fromkeys(flags)),
        reasons=reasons or {},
        position=position,
    )


def place_of(held: Held[Message]) -> Place | None:
    """Where it stands on the bus; None where the store told it."""
    if held.position is None:
        return None
    return Place(topic=held.topic, epoch=held.position.epoch, seq=held.position.seq)


@functools.lru_cache(maxsize=1024)
def zone_of(product: str) -> ZoneInfo:
    """The exchange's time zone, UTC where the tables do not know the product."""
    try:
        return ZoneInfo(market_product(product).tz)
    except KeyError:
        return _UTC


def iso(ts: int, zone: ZoneInfo) -> str:
    """An instant as ISO 8601 with microseconds and the zone's offset; exact, the nanoseconds cut off."""
    minute, rest = divmod(ts // 1000, 60_000_000)
    date, offset = _minute(minute, zone)
    if not offset:  # of the time when zones were not whole minutes from UTC
        moment = _EPOCH + dt.timedelta(microseconds=ts // 1000)
        return moment.astimezone(zone).isoformat(timespec="microseconds")
    return f"{date}{rest // 1_000_000:02}.{rest % 1_000_000:06}{offset}"


@functools.lru_cache(maxsize=4096)
def _minute(minute: int, zone: ZoneInfo) -> tuple[str, str]:
    """What goes before and after the seconds of a minute since the epoch; formatting a date is slow."""
    text = (_EPOCH + dt.timedelta(minutes=minute)).astimezone(zone).isoformat()
    return (text[:17], text[19:]) if text[17:19] == "00" and len(text) == 25 else (text, "")
