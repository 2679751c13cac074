"""What the model keeps of each message: enough to know it again, and what follows from it."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np

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


class MarketNote:
    """A market chain.

    Attributes:
        source: the chain itself until its result was compared, None afterwards.
    """

    __slots__ = ("source",)

    def __init__(self, source: OptionChain) -> None:
        self.source: OptionChain | None = source


class EnrichedNote:
    """An enriched chain.

    Attributes:
        metrics: the values of `METRIC_NAMES`.
        smile: digest of the slice that it gives a surface; None where it gives none.
        source: number of the market chain it was derived from, once that is known.
    """

    __slots__ = ("expiry_ts", "metrics", "series", "smile", "source")

    def __init__(self, chain: EnrichedChain) -> None:
        self.series: Series = (chain.root, chain.expiry)
        self.expiry_ts = chain.expiry_ts
        pain = chain.max_pain_interval or (None, None)
        values = (*(getattr(chain, name) for name in METRIC_NAMES[:-2]), *pain)
        self.metrics: tuple[float | None, ...] = tuple(None if x != x else x for x in values)
        self.smile = _smile(chain)
        self.source: int | None = None


class SurfaceNote:
    """A surface: the digests of its slices, in order."""

    __slots__ = ("slices",)

    def __init__(self, surface: VolatilitySurface) -> None:
        self.slices = tuple(_digest(each) for each in surface.slices)


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
    rising = bool(np.isfinite(strikes).all() and (strikes > 0).all() and (np.diff(strikes) > 0).all())
    return MarketNote(chain), rising and _dated(chain.expiry) and _storable(chain.ts_event)


def _enriched(chain: EnrichedChain) -> tuple[Note, bool]:
    return EnrichedNote(chain), _dated(chain.expiry) and _storable(chain.ts_event)


def _surface(surface: VolatilitySurface) -> tuple[Note, bool]:
    return SurfaceNote(surface), _storable(surface.ts_event)


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


def _digest(smile: SurfaceSlice | tuple[Any, ...]) -> bytes:
    fields = smile if isinstance(smile, tuple) else msgspec.structs.astuple(smile)
    return digest_of(msgspec.msgpack.encode(fields))


def _smile(chain: EnrichedChain) -> bytes | None:
    """Digest of the out-of-the-money mid volatilities: puts below the forward, calls from it on."""
    forward = chain.forward
    if chain.t is None or forward is None or _ADJUSTED in chain.flags:
        return None
    calls, puts = chain["call_iv"].tolist(), chain["put_iv"].tolist()
    strikes: list[float] = chain.strikes.tolist()
    ivs: list[float | None] = []
    for strike, call, put in zip(strikes, calls, puts, strict=True):
        iv: float = put if strike < forward else call
        ivs.append(None if math.isnan(iv) else iv)
    return _digest(
        (
            chain.root, chain.expiry, chain.t, forward, chain.atm_iv, chain.avg_iv, chain.ts_event,
            strikes, ivs,
        )
    )  # fmt: skip
