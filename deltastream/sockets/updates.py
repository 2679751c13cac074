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

_WHOLE: Final = frozenset(
    row
    for row, name in enumerate(ENRICHED_COLUMNS)
    if name.endswith(("iv_status", "buildup", "last_trade_us"))
)
"""Rows of the matrix that hold whole numbers: codes and instants."""

_LARGEST_WHOLE: Final = 2**53
_WORTHWHILE: Final = 0.6
"""A change of more of the cells than this is sent as a whole chain."""


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
            encode = msgspec.json.encode if encoding == "json" else msgspec.msgpack.encode
            raw = self._encoded[encoding] = msgspec.Raw(encode(self._make()))
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
    return {**summary_data(chain), "columns": _named(range(len(ENRICHED_COLUMNS)), chain.columns)}


def chain_change(base: EnrichedChain, base_seq: int, chain: EnrichedChain) -> dict[str, Any] | None:
    """What differs from `base`; None where a whole chain is no longer to send.

    Returns:
        ``root``, ``expiry`` and ``base`` (the seq of the chain it changes), ``head`` with the fields
        that differ, ``rows`` and ``columns`` with the values of those rows.
    """
    old, new = base.columns, chain.columns
    if old.shape != new.shape or not np.array_equal(old[0], new[0]):
        return None
    differs = (old != new) & ~(np.isnan(old) & np.isnan(new))
    rows, names = np.flatnonzero(differs.any(axis=0)), np.flatnonzero(differs.any(axis=1))
    if len(rows) * len(names) > _WORTHWHILE * new.size:
        return None
    before, now = summary_data(base), summary_data(chain)
    return {
        "root": chain.root,
        "expiry": chain.expiry,
        "base": base_seq,
        "head": {name: value for name, value in now.items() if value != before[name]},
        "rows": rows.tolist(),
        "columns": _named(names.tolist(), new[np.ix_(names, rows)]),
    }


def _sent(value: Any) -> Any:
    """A number that is none is null, in MessagePack as well, which has room for it."""
    return value if not isinstance(value, float) or isfinite(value) else None


def _named(rows: Sequence[int], values: Columns) -> dict[str, list[Any]]:
    """Columns by name, as numbers and nulls; whole ones without a fraction, where they can be told apart.

    Most columns are wholly there or wholly absent, which is seen for all of them at once.

    Args:
        rows: of the whole matrix, whose values these are.
    """
    there = np.isfinite(values)
    counts: list[int] = there.sum(axis=1).tolist()
    named: dict[str, list[Any]] = {}
    for row, column, count in zip(rows, values, counts, strict=True):
        every = count == len(column)
        if not count:
            plain: list[Any] = [None] * len(column)
        elif row in _WHOLE:
            small = every and bool((np.abs(column) <= _LARGEST_WHOLE).all())
            plain = column.astype(np.int64).tolist() if small else list(map(_whole, column.tolist()))
        elif every:
            plain = column.tolist()
        else:
            plain = [value if isfinite(value) else None for value in column.tolist()]
        named[ENRICHED_COLUMNS[row]] = plain
    return named


def _whole(value: float) -> float | int | None:
    if not isfinite(value):
        return None
    return int(value) if abs(value) <= _LARGEST_WHOLE else value
