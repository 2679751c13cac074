"""What a client hears: typed, immutable, with times as integer microseconds UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

__all__ = [
    "Chain",
    "ChainSummary",
    "ChainUpdate",
    "Disconnected",
    "Event",
    "Interrupted",
    "MarketStatus",
    "Product",
    "Reconnected",
    "RoomRefused",
    "SurfaceUpdate",
    "UnderlyingUpdate",
]

Columns = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something about a room.

    Attributes:
        room: by name.
    """

    room: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Update(Event):
    """
    Attributes:
        stream: whose position `seq` is, such as ``product:NIFTY``.
        ts: when it happened, microseconds UTC.
        skipped: how many messages of the stream before this one were left out on purpose, because the
            room does not show them or this one supersedes them.
        snapshot: it is the state, not a change.
    """

    stream: str
    seq: int
    ts: int
    skipped: int = 0
    snapshot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderlyingUpdate(_Update):
    """A price of a product; `volume` since the one before, None for an index."""

    product: str
    price: float
    volume: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """All strikes of one root and expiry at one instant.

    Attributes:
        head: what is said of the whole chain, by field: forward, atm_iv, pcr_oi, reasons and so on.
        columns: float64[n] by name, aligned with ``columns["strike"]``; NaN where a number is not there.
        ts: the instant, microseconds UTC.
    """

    head: Mapping[str, Any]
    columns: Mapping[str, Columns]
    ts: int

    @property
    def key(self) -> tuple[str, str]:
        """Root and expiry."""
        return self.head["root"], self.head["expiry"]

    @property
    def strikes(self) -> Columns:
        """Listed strikes, ascending: float64[n]."""
        return self.columns["strike"]

    def __getitem__(self, name: str) -> Columns:
        """A column. Raises KeyError where there is none of that name."""
        return self.columns[name]

    def __getattr__(self, name: str) -> Any:
        """A field of the head. Raises AttributeError where there is none of that name."""
        try:
            return object.__getattribute__(self, "head")[name]
        except KeyError:
            raise AttributeError(f"a chain has no {name!r}") from None

    def to_pandas(self) -> pd.DataFrame:
        """The columns as a DataFrame with the strikes as its index; needs pandas."""
        import pandas as pd

        rest = {name: column for name, column in self.columns.items() if name != "strike"}
        frame = pd.DataFrame(rest, index=pd.Index(self.strikes, name="strike"))
        frame.attrs.update(self.head, ts=self.ts)
        return frame

    def to_polars(self) -> pl.DataFrame:
        """The columns as a DataFrame, strikes first, null where a number is not there; needs polars."""
        import polars as pl

        return pl.DataFrame(dict(self.columns), nan_to_null=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainUpdate(_Update):
    """A chain as it is now.

    Attributes:
        chain: the whole of it.
        rows: indexes of strikes at which something is new; None: anywhere.
    """

    chain: Chain
    rows: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSummary(_Update):
    """A chain without its columns; `head` as in `Chain`."""

    head: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceUpdate(_Update):
    """A volatility surface: its slices, nearest expiry first."""

    product: str
    slices: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketStatus(Event):
    """Whether what a room tells of a product can be believed, and since when (microseconds UTC)."""

    product: str
    status: str
    reason: str
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted(Event):
    """Updates of a room are missing for good, and a snapshot follows; or the server makes them good.

    Attributes:
        stream: of which.
        after: the last seq that was seen.
        reason: "gap" where we found it, "not_resumed" where the server could not go on from there;
            else what the server said.
    """

    stream: str
    after: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomRefused(Event):
    """A room that we were in could not be entered again.

    Attributes:
        code: says why.
        message: the same, as a sentence.
        retryable: it is asked for again with every heartbeat; else the room is left.
    """

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected(Event):
    """The connection is lost; what is known grows old until `Reconnected`. `room` is empty."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnected(Event):
    """The connection is back. `room` is empty.

    Rooms go on where they were left, unless an `Interrupted` or a `RoomRefused` says otherwise.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What there is of a product.

    Attributes:
        symbol: of the underlying.
        expiries: live ones, nearest first, by root.
    """

    symbol: str
    expiries: Mapping[str, tuple[str, ...]]
