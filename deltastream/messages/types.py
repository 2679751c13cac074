"""The messages that actors exchange: frozen, tagged, versioned.

Times are integer nanoseconds UTC: `ts_event` when it happened, `ts_recv` when we got it.
A scalar that is not there is None; in columns it is NaN. Messages that come by the thousand and
hold nothing but scalars stay out of the garbage collector's books (``gc=False``).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from deltastream.messages.columns import CHAIN_ROWS, ENRICHED_ROWS, ROW

__all__ = [
    "Bar",
    "ChainHead",
    "DeadLetter",
    "EnrichedChain",
    "Health",
    "LogRecord",
    "MarketStatus",
    "Message",
    "OptionChain",
    "OptionQuote",
    "OptionSide",
    "Position",
    "Revocation",
    "SurfaceSlice",
    "UnderlyingTick",
    "VolatilitySurface",
]

Columns = NDArray[np.float64]
OptionSide = Literal["C", "P"]


class Position(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """Where a message stands in its topic.

    Attributes:
        epoch: changes when earlier positions have become void.
        seq: contiguous within a topic, from 1, never issued twice.
    """

    epoch: str
    seq: int


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of everything that travels on the bus."""

    SCHEMA: ClassVar[int] = 1
    """The newest layout of this type that this version reads and writes."""

    v: int = 1


class UnderlyingTick(Message, frozen=True, kw_only=True, gc=False, tag="underlying_tick"):
    """One price of an underlying.

    Attributes:
        product: underlying symbol, such as NIFTY.
        price: in the product's currency, finite and positive.
        volume: traded since the previous tick; None for an index.
    """

    product: str
    price: float
    ts_event: int
    ts_recv: int
    volume: float | None = None


class ChainHead(Message, frozen=True, kw_only=True, eq=False):
    """What a market chain and an enriched chain share: who it is, and by which terms it trades.

    Identified by (product, root, expiry). `columns` is a float64 matrix of one row per column
    name and one column per strike, strikes ascending; ``chain["call_bid"]`` is a view of a row.

    Attributes:
        expiry: last trading date as YYYY-MM-DD, in exchange time.
        expiry_ts: the expiry instant, nanoseconds UTC.
        spot: underlying price at `ts_event`; None where the source does not tell.
        future: price of the future of this expiry, where there is one.
        multiplier: units of the underlying per unit of open interest.
        lot: smallest tradable amount, in units of the open interest.
        tick_size: smallest price step of the options.
        exercise: "european" or "american".
        settlement: "cash" or "physical".
        oi_unit: "contracts", "units" or "coin"; volume_unit alike.
        oi_as_of: the instant the open interest belongs to; None where unknown.
        oi_cadence: how often the source refreshes it: "live", "3min" or "daily".
        flags: remarks that hold for the whole chain, such as "stale".
    """

    product: str
    root: str
    expiry: str
    expiry_ts: int
    ts_event: int
    ts_recv: int
    spot: float | None
    currency: str
    multiplier: float
    exercise: Literal["european", "american"]
    settlement: Literal["cash", "physical"]
    oi_unit: Literal["contracts", "units", "coin"]
    volume_unit: Literal["contracts", "units", "coin"]
    oi_cadence: Literal["live", "3min", "daily"]
    columns: Columns
    oi_as_of: int | None = None
    future: float | None = None
    lot: float | None = None
    tick_size: float | None = None
    flags: tuple[str, ...] = ()

    ROWS: ClassVar[int] = CHAIN_ROWS

    def __getitem__(self, name: str) -> Columns:
        """The column of that name: float64[n], a read-only view where the chain came off the bus.

        Raises:
            KeyError: this kind of chain has no such column.
        """
        row = ROW[name]
        if row >= self.ROWS:
            raise KeyError(name)
        view: Columns = self.columns[row]
        return view

    @property
    def strikes(self) -> Columns:
        """Listed strikes, ascending: float64[n]."""
        return self["strike"]


class OptionChain(ChainHead, frozen=True, kw_only=True, eq=False, tag="option_chain"):
    """All strikes of one root and expiry at one instant, as the market gave them.

    `columns` is float64[23, n], rows as in `messages.columns.CHAIN_COLUMNS`.
    """


class EnrichedChain(ChainHead, frozen=True, kw_only=True, eq=False, tag="enriched_chain"):
    """A chain with our own volatilities, Greeks and metrics.

    `columns` is float64[45, n]: the market's 23 rows, then `SIDE_ANALYTICS` of calls and puts.
    Every metric is None where it cannot be computed; `reasons` then says why, by field name.

    Attributes:
        source: topic and position of the market chain this was derived from.
        rate: continuously compounded, per year; rate_source tells where it comes from.
        t: years of 365 days from `ts_event` to `expiry_ts`.
        forward: from put-call parity, or as `forward_source` says.
        forward_error: median absolute deviation of the strikes' forwards.
        atm_iv: fraction per year, interpolated in total variance at the forward.
        avg_iv: mean of the mid volatilities of out-of-the-money quotes.
        max_pain_interval: every settlement in it costs option writers the same least amount.
    """

    ROWS: ClassVar[int] = ENRICHED_ROWS

    source: tuple[str, Position] | None = None
    rate: float
    rate_source: str
    t: float | None = None
    forward: float | None = None
    forward_error: float | None = None
    forward_source: Literal["parity", "future", "spot", "none"] = "none"
    atm_strike: float | None = None
    atm_straddle_price: float | None = None
    atm_iv: float | None = None
    avg_iv: float | None = None
    total_call_oi: float | None = None
    total_put_oi: float | None = None
    pcr_oi: float | None = None
    total_call_volume: float | None = None
    total_put_volume: float | None = None
    pcr_volume: float | None = None
    call_oi_change: float | None = None
    put_oi_change: float | None = None
    max_pain_strike: float | None = None
    max_pain_interval: tuple[float, float] | None = None
    max_pain_value: float | None = None
    reasons: dict[str, str] = {}


class OptionQuote(Message, frozen=True, kw_only=True, tag="option_quote"):
    """One option at one instant, read out of a chain.

    Attributes:
        symbol: ROOT-YYYYMMDD-STRIKE-C|P.
        iv_status: name from `IV_STATUS`; None where the chain was not enriched.
    """

    symbol: str
    product: str
    root: str
    expiry: str
    strike: float
    option_type: OptionSide
    ts_event: int
    ts_recv: int
    oi_unit: str
    volume_unit: str
    bid: float | None = None
    bid_size: float | None = None
    ask: float | None = None
    ask_size: float | None = None
    last: float | None = None
    volume: float | None = None
    open_interest: float | None = None
    prev_close: float | None = None
    prev_open_interest: float | None = None
    last_trade_us: int | None = None
    vendor_iv: float | None = None
    bid_iv: float | None = None
    iv: float | None = None
    ask_iv: float | None = None
    iv_status: str | None = None
    delta: float | None = None
    gamma: float | None = None
    theta: float | None = None
    vega: float | None = None
    rho: float | None = None
    oi_change: float | None = None
    buildup: str | None = None


class Bar(Message, frozen=True, kw_only=True, gc=False, tag="bar"):
    """Open, high, low and close of the ticks in ``[start, start + interval_s)``.

    `start` is a multiple of the interval since the epoch. `open` belongs to the tick with the
    smallest (ts_event, seq), `close` to that with the greatest.
    """

    product: str
    interval_s: int
    start: int
    open: float
    high: float
    low: float
    close: float
    ticks: int
    volume: float | None = None


class SurfaceSlice(msgspec.Struct, frozen=True, kw_only=True):
    """One expiry of a surface: out-of-the-money mid volatilities by strike, None where unsolved."""

    root: str
    expiry: str
    t: float
    forward: float
    atm_iv: float | None
    avg_iv: float | None
    ts_event: int
    strikes: tuple[float, ...]
    ivs: tuple[float | None, ...]


class VolatilitySurface(Message, frozen=True, kw_only=True, tag="volatility_surface"):
    """The volatility surface of one product: its live slices, nearest expiry first."""

    product: str
    ts_event: int
    ts_recv: int
    slices: tuple[SurfaceSlice, ...]


class MarketStatus(Message, frozen=True, kw_only=True, tag="market_status"):
    """Whether a product's market can be believed, and since when."""

    product: str
    status: Literal["open", "closed", "halted", "stale", "degraded"]
    reason: str
    since: int
    ts_event: int
    ts_recv: int


class LogRecord(Message, frozen=True, kw_only=True, tag="log_record"):
    """One log line."""

    ts: int
    level: Literal["debug", "info", "warning", "error"]
    logger: str
    event: str
    fields: dict[str, str | int | float | bool | None] = {}


class Health(Message, frozen=True, kw_only=True, tag="health"):
    """State of one actor at one instant."""

    ts: int
    actor: str
    state: str
    reason: str | None = None
    restarts: int = 0
    mailbox_depth: int = 0
    lag_s: float = 0.0


class DeadLetter(Message, frozen=True, kw_only=True, tag="dead_letter"):
    """A message that a group could not process, with everything needed to understand and replay it.

    Attributes:
        id: names the letter for `dlq show|replay|drop`.
        frame: the message itself, in the bus's binary encoding.
        attempts: how often its handler was tried.
        error: type and text of the last failure; trace its traceback.
    """

    id: str
    group: str
    topic: str
    position: Position
    ts: int
    attempts: int
    error: str
    trace: str
    frame: bytes


class Revocation(Message, frozen=True, kw_only=True, tag="revocation"):
    """What is known of somebody's rights is void: forget it and ask the account store again.

    Concerns one session or one API key where it names one, else everything of the user.

    Attributes:
        id: names the revocation; the key it is appended by.
        ts: when it took effect.
        user_id: whose rights.
        session: the session that has ended.
        key: id of the API key that has ended.
        reason: code such as "logout", "refresh_reused" or "user_deleted".
    """

    id: str
    ts: int
    user_id: str
    reason: str
    session: str | None = None
    key: str | None = None
