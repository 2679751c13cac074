"""What the model keeps of each message: enough to know it again, and what follows from it."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from deltastream.messages import (
    EnrichedChain,
    MarketStatus,
    Message,
    OptionChain,
    SurfaceSlice,
    UnderlyingTick,
    VolatilitySurface,
)
from deltastream.sim.history import digest_of

__all__ = [
    "METRIC_NAMES",
    "EnrichedNote",
    "MarketNote",
    "Note",
    "Series",
    "StatusNote",
    "SurfaceNote",
    "TickNote",
    "note_of",
    "tick_note",
]

Series = tuple[str, str]
"""Root and expiry."""

METRIC_NAMES: Final = (
    "spot", "forward", "forward_error", "atm_strike", "atm_straddle_price", "atm_iv", "avg_iv",
    "total_call_oi", "total_put_oi", "pcr_oi", "total_call_volume", "total_put_volume", "pcr_volume",
    "call_oi_change", "put_oi_change", "max_pain_strike", "max_pain_low", "max_pain_high",
)  # fmt: skip
"""The series that a store keeps of every enriched chain."""

Columns = NDArray[np.float64]

_LATEST_NS: Final = 1 << 62
_ADJUSTED: Final = "adjusted_contract"


class TickNote(msgspec.Struct, frozen=True, gc=False):
    """A tick as the store keeps it."""

    ts_event: int
    ts_recv: int
    price: float
    volume: float | None


class StatusNote(msgspec.Struct, frozen=True, gc=False):
    """What a status says."""

    status: str
    reason: str


class MarketNote(msgspec.Struct, eq=False, gc=False):
    """A market chain.

    Attributes:
        source: the chain itself until its result was compared, None afterwards.
    """

    source: OptionChain | None


class EnrichedNote(msgspec.Struct, eq=False, gc=False):
    """An enriched chain.

    Attributes:
        metrics: the values of `METRIC_NAMES`.
        smile: digest of the slice that it gives a surface; None where it gives none.
        source: number of the market chain it was derived from, once that is known.
    """

    series: Series
    expiry_ts: int
    metrics: tuple[float | None, ...]
    smile: bytes | None
    source: int | None = None


class SurfaceNote(msgspec.Struct, frozen=True, gc=False):
    """A surface: the digests of its slices, in order."""

    slices: tuple[bytes, ...]


Note = TickNote | StatusNote | MarketNote | EnrichedNote | SurfaceNote


def note_of(message: Message) -> tuple[Note | None, bool]:
    """What to keep of a message, and whether it is sound: what its type says, and a store can keep it."""
    made = _NOTES.get(type(message))
    return (None, False) if made is None else made(message)


def tick_note(tick: UnderlyingTick) -> TickNote:
    """The note of a tick that the store gives back."""
    return TickNote(tick.ts_event, tick.ts_recv, tick.price, tick.volume)


def _tick(tick: UnderlyingTick) -> tuple[Note, bool]:
    volume_known = tick.volume is None or math.isfinite(tick.volume)
    sound = math.isfinite(tick.price) and tick.price > 0 and volume_known
    return tick_note(tick), sound and _storable(tick.ts_event) and _storable(tick.ts_recv)


def _status(status: MarketStatus) -> tuple[Note, bool]:
    return StatusNote(status.status, status.reason), _storable(status.ts_event)


def _market(chain: OptionChain) -> tuple[Note, bool]:
    strikes = chain.strikes
    bounded = strikes.size == 0 or (strikes[0] > 0 and strikes[-1] < math.inf)
    rising = bool(bounded and (strikes[1:] > strikes[:-1]).all())
    return MarketNote(chain), rising and _dated(chain.expiry) and _storable(chain.ts_event)


def _enriched(chain: EnrichedChain) -> tuple[Note, bool]:
    pain = chain.max_pain_interval or (None, None)
    values = (*(getattr(chain, name) for name in METRIC_NAMES[:-2]), *pain)
    metrics = tuple(None if x != x else x for x in values)
    note = EnrichedNote((chain.root, chain.expiry), chain.expiry_ts, metrics, _smile(chain))
    return note, _dated(chain.expiry) and _storable(chain.ts_event)


def _surface(surface: VolatilitySurface) -> tuple[Note, bool]:
    return SurfaceNote(tuple(map(_slice, surface.slices))), _storable(surface.ts_event)


_NOTES: Final[dict[type[Message], Callable[[Any], tuple[Note, bool]]]] = {
    UnderlyingTick: _tick,
    MarketStatus: _status,
    OptionChain: _market,
    EnrichedChain: _enriched,
    VolatilitySurface: _surface,
}


def _storable(ts: int) -> bool:
    return abs(ts) < _LATEST_NS


def _dated(expiry: str) -> bool:
    try:
        return datetime.date.fromisoformat(expiry).isoformat() == expiry
    except ValueError:
        return False


def _digest(head: tuple[Any, ...], strikes: Columns, ivs: Columns) -> bytes:
    ivs[np.isnan(ivs)] = np.nan  # of all its bit patterns one
    return digest_of(msgspec.msgpack.encode(head) + strikes.tobytes() + ivs.tobytes())


def _slice(smile: SurfaceSlice) -> bytes:
    head = (smile.root, smile.expiry, smile.t, smile.forward, smile.atm_iv, smile.avg_iv, smile.ts_event)
    return _digest(head, np.array(smile.strikes, np.float64), np.array(smile.ivs, np.float64))


def _smile(chain: EnrichedChain) -> bytes | None:
    """Digest of the out-of-the-money mid volatilities: puts below the forward, calls from it on."""
    if chain.t is None or chain.forward is None or _ADJUSTED in chain.flags:
        return None
    head = (chain.root, chain.expiry, chain.t, chain.forward, chain.atm_iv, chain.avg_iv, chain.ts_event)
    ivs = np.where(chain.strikes < chain.forward, chain["put_iv"], chain["call_iv"])
    return _digest(head, chain.strikes, ivs)
