"""What is sent to clients: answers to commands, and events of rooms.

Times are integer microseconds UTC. What a field is not there for is left out, except where null
says something.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, Literal

import msgspec

from deltastream.sockets.commands import Encoding

__all__ = [
    "ERRORS",
    "ChainSummary",
    "ChainUpdate",
    "CloseCode",
    "Connected",
    "Error",
    "Heartbeat",
    "Joined",
    "Left",
    "Limits",
    "MarketStatusEvent",
    "Place",
    "Pong",
    "ProductList",
    "Refused",
    "Subscribed",
    "SurfaceUpdate",
    "TokenExpiring",
    "UnderlyingUpdate",
    "Unsubscribed",
    "Update",
    "encode",
]


class CloseCode(IntEnum):
    """Why the server closes. Whether to come back is said in `docs/websocket.md`."""

    UNAUTHENTICATED = 4001
    FORBIDDEN = 4003
    HEARTBEAT = 4008
    SLOW_CONSUMER = 4009
    RATE_LIMITED = 4010
    DRAINING = 4012
    PROTOCOL_ERROR = 4013


ERRORS: Final[Mapping[str, bool]] = {
    "bad_encoding": False,
    "bad_command": False,
    "unknown_op": False,
    "bad_room": False,
    "unknown_room": True,
    "not_subscribed": False,
    "too_many_rooms": False,
    "unauthenticated": False,
    "forbidden": False,
    "rate_limited": True,
    "unavailable": True,
}
"""Whether the same command may succeed later, by code."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a stream stands."""

    epoch: str
    seq: int


class Limits(msgspec.Struct, frozen=True, gc=False):
    """What one connection may ask."""

    rooms: int
    commands_per_s: float
    message_bytes: int


class _Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    id: int | str | None = None


class Connected(_Event, frozen=True, kw_only=True, tag="connected"):
    """Answers `auth`.

    Attributes:
        session: names the connection in the server's log.
        server_time, expires: microseconds UTC; when the credential expires.
    """

    session: str
    server_time: int
    expires: int
    heartbeat_s: float
    limits: Limits


class Joined(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One room that was entered.

    Attributes:
        epoch, seq: where it stands once what follows this answer has been sent.
        streams: the same of each stream, where the room has several.
        mode: "snapshot": the state comes next; "resumed": what was missed comes next.
    """

    room: str
    mode: Literal["snapshot", "resumed"]
    epoch: str | None = None
    seq: int | None = None
    streams: dict[str, Place] | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """One room that was not entered."""

    room: str
    code: str
    message: str
    retryable: bool


class Subscribed(_Event, frozen=True, kw_only=True, tag="subscribed"):
    """Answers `subscribe`."""

    ok: tuple[Joined, ...]
    err: tuple[Refused, ...]


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """One room that was left."""

    room: str


class Unsubscribed(_Event, frozen=True, kw_only=True, tag="unsubscribed"):
    """Answers `unsubscribe`."""

    ok: tuple[Left, ...]
    err: tuple[Refused, ...]


class ProductList(_Event, frozen=True, kw_only=True, tag="products"):
    """Answers `products`: by product its roots and their live expiries, nearest first."""

    products: dict[str, dict[str, tuple[str, ...]]]


class Pong(_Event, frozen=True, kw_only=True, tag="pong"):
    """Answers `ping`."""

    ts: int


class Error(_Event, frozen=True, kw_only=True, tag="error"):
    """Answers a command that was refused as a whole."""

    code: str
    message: str
    retryable: bool


class TokenExpiring(_Event, frozen=True, kw_only=True, tag="token_expiring"):
    """The credential expires soon: send `auth` with a newer one, or be closed with 4001."""

    expires: int


class Heartbeat(_Event, frozen=True, kw_only=True, tag="heartbeat"):
    """Everything that was published until `ts` has been sent.

    Attributes:
        seqs: where each room stands; by stream where it has several.
    """

    ts: int
    seqs: dict[str, int | dict[str, int]]


class MarketStatusEvent(_Event, frozen=True, kw_only=True, tag="market_status"):
    """Whether what a room tells of a product can be believed; `since` in microseconds UTC."""

    room: str
    product: str
    status: str
    reason: str
    since: int


class Update(_Event, frozen=True, kw_only=True):
    """An update of a room; the kinds below name the event.

    Attributes:
        stream: which one, in a room that has several.
        kind: "snapshot" is the state at `seq`; of chains, "full" is a whole one, "delta" what changed
            since the chain of the same root and expiry before it.
        part: of a snapshot, which of how many, from 1; ``(0, 0)`` where there is nothing to show.
        epoch: of a snapshot.
        own: of a snapshot, the seq of the message that the state came with, which changes refer to.
        reason: of a snapshot that was not asked for: why it comes.
        first: the last `seq` sent and 1; not there in a snapshot, which needs nothing before it.
        ts: when it happened, microseconds UTC.
        data: null where there is nothing to show.
    """

    room: str
    stream: str | None = None
    kind: Literal["snapshot", "full", "delta"] | None = None
    part: tuple[int, int] | None = None
    epoch: str | None = None
    own: int | None = None
    reason: str | None = None
    first: int | None = None
    seq: int
    ts: int
    data: msgspec.Raw


class UnderlyingUpdate(Update, frozen=True, kw_only=True, tag="underlying_update"):
    """A price of a product."""


class ChainUpdate(Update, frozen=True, kw_only=True, tag="chain_update"):
    """A chain, or what changed in it."""


class ChainSummary(Update, frozen=True, kw_only=True, tag="chain_summary"):
    """A chain without its columns."""


class SurfaceUpdate(Update, frozen=True, kw_only=True, tag="surface_update"):
    """A volatility surface."""


_JSON: Final = msgspec.json.Encoder()
_MSGPACK: Final = msgspec.msgpack.Encoder()


def encode(event: msgspec.Struct, encoding: Encoding) -> bytes:
    """The payload of a frame."""
    return (_JSON if encoding == "json" else _MSGPACK).encode(event)
