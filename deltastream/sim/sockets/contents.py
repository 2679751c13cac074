"""What a message is to a client, by the rules of `docs/websocket.md` alone."""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

import msgspec

from deltastream.messages import EnrichedChain, Message, UnderlyingTick, VolatilitySurface
from deltastream.messages.columns import ENRICHED_COLUMNS

__all__ = ["Key", "key_in", "key_of", "micros", "plain", "shown_in", "summary"]

Key = tuple[str, str]
"""Root and expiry of a chain; empty of what has one state a product."""

ONLY: Final[Key] = ("", "")
_EXACT: Final = 2.0**53
_NOT_SENT: Final = ("type", "v", "columns", "ts_event", "ts_recv", "source")


def micros(ns: int) -> int:
    """An instant as clients are told it."""
    return ns // 1000


def key_of(message: Message) -> Key:
    """What a message is the state of."""
    return (message.root, message.expiry) if isinstance(message, EnrichedChain) else ONLY


def key_in(data: dict[str, Any]) -> Key:
    """The same of what came."""
    return (data["root"], data["expiry"]) if "expiry" in data else ONLY


def shown_in(room: str, key: Key, product: str) -> bool:
    """Whether a room shows chains of a key, of a product."""
    kind, _, rest = room.partition(":")
    symbol, _, expiry = rest.partition(":")
    return kind != "chain" or (symbol in (product, key[0]) and expiry in ("", key[1]))


def plain(message: Message) -> dict[str, Any]:
    """The data of an update that tells all of a message."""
    if isinstance(message, UnderlyingTick):
        return _numbers({"product": message.product, "price": message.price, "volume": message.volume})
    if isinstance(message, VolatilitySurface):
        slices = [_numbers(msgspec.structs.asdict(one)) for one in message.slices]
        for one in slices:
            one["ts"] = micros(one.pop("ts_event"))
        return {"product": message.product, "slices": slices}
    if not isinstance(message, EnrichedChain):
        raise TypeError(f"no room shows a {type(message).__name__}")
    rows = message.columns.tolist()
    columns = {name: _column(name, rows[row]) for row, name in enumerate(ENRICHED_COLUMNS)}
    return {**summary(message), "columns": columns}


def _column(name: str, values: list[Any]) -> list[Any]:
    """A column: null where there is no number; an instant in whole microseconds."""
    if not isfinite(sum(values)):
        values = [value if isfinite(value) else None for value in values]
    if name.endswith("last_trade_us"):
        return [value if value is None or abs(value) > _EXACT else int(value) for value in values]
    return values


def summary(message: EnrichedChain) -> dict[str, Any]:
    """The data of an update that tells the head of a chain."""
    head = {name: getattr(message, name) for name in EnrichedChain.__struct_fields__ if name not in _NOT_SENT}
    for name in ("expiry_ts", "oi_as_of"):
        head[name] = None if head[name] is None else micros(head[name])
    return _numbers(head)


def _numbers(data: dict[str, Any]) -> dict[str, Any]:
    return {name: _sent(value) for name, value in data.items()}


def _sent(value: Any) -> Any:
    """A value as it arrives: what is no number is null, and there are lists alone."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    return [_sent(each) for each in value] if isinstance(value, tuple) else value
