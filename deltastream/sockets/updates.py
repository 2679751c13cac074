"""From messages to the data of updates, each made and encoded once, when somebody first needs it.

Times are integer microseconds UTC; a number that is not there is null. A chain travels as columns:
its head, then `columns` by name, aligned with `columns["strike"]`. A change travels as what differs
from the chain of the same root and expiry before it: fields of the head, and of the columns those
rows that differ anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, Final

import msgspec
import numpy as np

from deltastream._core import ColumnNames
from deltastream.messages import (
    ENRICHED_COLUMNS,
    EnrichedChain,
    MarketStatus,
    UnderlyingTick,
    VolatilitySurface,
)
from deltastream.messages.types import Columns
from deltastream.sockets.commands import Encoding

__all__ = [
    "CHAIN_HEAD",
    "Body",
    "chain_change",
    "chain_data",
    "microseconds",
    "status_data",
    "summary_data",
    "surface_data",
    "tick_data",
]

_HIDDEN: Final = frozenset({"v", "columns", "ts_event", "ts_recv", "source"})
_INSTANTS: Final = frozenset({"expiry_ts", "oi_as_of"})
CHAIN_HEAD: Final = tuple(name for name in EnrichedChain.__struct_fields__ if name not in _HIDDEN)
"""What is said of a whole chain."""

_NAMES: Final = ColumnNames(
    [(name, name.endswith(("iv_status", "buildup", "last_trade_us"))) for name in ENRICHED_COLUMNS]
)
"""Codes and instants are whole numbers."""

_WORTHWHILE: Final = 0.6
"""A change of more of the cells than this is sent as a whole chain."""


class _Named:
    """Columns by name, for the encoders; no dataclass, of which they have notions of their own.

    Args:
        values: float64[k, n].
        which: their numbers among all columns; None: all of them.
    """

    __slots__ = ("_values", "_which")

    def __init__(self, values: Columns, which: Sequence[int] | None = None) -> None:
        self._values = np.ascontiguousarray(values)
        self._which = which

    def json(self) -> msgspec.Raw:
        return msgspec.Raw(_NAMES.json(self._values, self._which))

    def msgpack(self) -> msgspec.Raw:
        return msgspec.Raw(_NAMES.msgpack(self._values, self._which))


_ENCODE: Final[dict[Encoding, Callable[[Any], bytes]]] = {
    "json": msgspec.json.Encoder(enc_hook=_Named.json).encode,
    "msgpack": msgspec.msgpack.Encoder(enc_hook=_Named.msgpack).encode,
}


class Body:
    """The data of an update, encoded at most once per encoding.

    Args:
        make: gives the data.
    """

    __slots__ = ("_encoded", "_make")

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._encoded: dict[Encoding, msgspec.Raw] = {}

    def raw(self, encoding: Encoding) -> msgspec.Raw:
        """The encoded data, to be put into an event."""
        raw = self._encoded.get(encoding)
        if raw is None:
            raw = self._encoded[encoding] = msgspec.Raw(_ENCODE[encoding](self._make()))
        return raw


def microseconds(ns: int) -> int:
    """An instant as it is sent."""
    return ns // 1000


def tick_data(tick: UnderlyingTick) -> dict[str, Any]:
    """One price."""
    return {"product": tick.product, "price": tick.price, "volume": _sent(tick.volume)}


def status_data(status: MarketStatus) -> dict[str, Any]:
    """Whether a product's market can be believed."""
    return {
        "product": status.product,
        "status": status.status,
        "reason": status.reason,
        "since": microseconds(status.since),
    }


def surface_data(surface: VolatilitySurface) -> dict[str, Any]:
    """Every live slice, nearest expiry first."""
    slices = []
    for one in surface.slices:
        plain = {name: _sent(value) for name, value in msgspec.structs.asdict(one).items()}
        plain["strikes"] = [_sent(strike) for strike in one.strikes]
        plain["ivs"] = [_sent(iv) for iv in one.ivs]
        plain["ts"] = microseconds(plain.pop("ts_event"))
        slices.append(plain)
    return {"product": surface.product, "slices": slices}


def summary_data(chain: EnrichedChain) -> dict[str, Any]:
    """A chain without its columns."""
    head = {}
    for name in CHAIN_HEAD:
        value = getattr(chain, name)
        head[name] = microseconds(value) if name in _INSTANTS and value is not None else _sent(value)
    return head


def chain_data(chain: EnrichedChain) -> dict[str, Any]:
    """A whole chain."""
    return {**summary_data(chain), "columns": _Named(chain.columns)}


def chain_change(base: EnrichedChain, base_seq: int, chain: EnrichedChain) -> dict[str, Any] | None:
    """What differs from `base`; None where a whole chain is no longer to send.

    Returns:
        ``root``, ``expiry`` and ``base`` (the seq of the chain it changes), ``head`` with the fields
        that differ, ``rows`` and ``columns`` with the values of those rows.
    """
    old, new = base.columns, chain.columns
    if old.shape != new.shape or not np.array_equal(old[0], new[0]):
        return None
    names, rows = _NAMES.differing(np.ascontiguousarray(old), np.ascontiguousarray(new))
    if len(rows) * len(names) > _WORTHWHILE * new.size:
        return None
    before, now = summary_data(base), summary_data(chain)
    return {
        "root": chain.root,
        "expiry": chain.expiry,
        "base": base_seq,
        "head": {name: value for name, value in now.items() if value != before[name]},
        "rows": rows,
        "columns": _Named(new[np.ix_(names, rows)], names),
    }


def _sent(value: Any) -> Any:
    """A number that is none is null, in MessagePack as well, which has room for it."""
    return value if not isinstance(value, float) or isfinite(value) else None
