"""The sockets' documentation (AsyncAPI 3), made from the types that encode and decode their frames."""

from __future__ import annotations

from typing import Any, Final, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec

from deltastream.gateway.schemas import Schema, Schemas, docstring
from deltastream.messages import ENRICHED_COLUMNS, EnrichedChain
from deltastream.messages.types import SurfaceSlice
from deltastream.sockets import commands as c
from deltastream.sockets import events as e
from deltastream.sockets.updates import CHAIN_HEAD

__all__ = ["document"]

_ABOUT: Final = """\
Live prices, option chains, implied volatilities, Greeks and surfaces as sequenced streams that can be
resumed. This is the protocol `deltastream.v1`: JSON in text frames; the subprotocol
`deltastream.v1.msgpack` says the same in MessagePack, in binary frames. The same is served at `/ws` of the
API and on the port of the sockets, which is made for many clients.

**Rooms** are `general`, `product:SYMBOL`, `chain:SYMBOL`, `chain:SYMBOL:EXPIRY` and `surface:SYMBOL`.

**Positions.** An update carries `first` and `seq`: where `first` is not the last `seq` and 1, something is
missing, and the room is to be entered again with `resume`. A snapshot needs nothing before it.

**Times** are integer microseconds UTC; a number that is not there is null.

**Closing.** {codes}. What each means to a client is told in the manual, `docs/websocket.md`.
"""
_SECURITY: Final[dict[str, Schema]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An access token, or an API key."},
    "api_key": {"type": "httpApiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
}
_COMMANDS: Final = get_args(c.Command)
_ANSWERS: Final[dict[type, type]] = {
    c.Auth: e.Connected,
    c.Subscribe: e.Subscribed,
    c.Unsubscribe: e.Unsubscribed,
    c.Products: e.ProductList,
    c.Ping: e.Pong,
}
_PUSHED: Final = (
    e.UnderlyingUpdate,
    e.ChainUpdate,
    e.ChainSummary,
    e.SurfaceUpdate,
    e.MarketStatusEvent,
    e.Heartbeat,
    e.TokenExpiring,
)

Cells = dict[str, list[float | None]]


class PriceData(msgspec.Struct, kw_only=True):
    """A price of a product.

    Attributes:
        volume: since the price before; null for an index.
    """

    product: str
    price: float
    volume: float | None


class ChainChange(msgspec.Struct, kw_only=True):
    """What differs from a chain of the same root and expiry.

    Attributes:
        base: seq of the chain that it changes.
        head: fields of the head that differ.
        rows: indexes of the strikes at which a column differs.
        columns: by name the values of those rows; of the columns that differ anywhere.
    """

    root: str
    expiry: str
    base: int
    head: dict[str, Any]
    rows: list[int]
    columns: Cells


def _struct(name: str, of: type, names: tuple[str, ...], *more: tuple[str, Any]) -> Any:
    """A type with fields of a message, as a client sees them: instants in microseconds."""
    hints = get_type_hints(of, include_extras=True)
    return msgspec.defstruct(name, [*((each, hints[each]) for each in names), *more], kw_only=True)


_SLICE: Final = _struct(
    "SurfaceSlice",
    SurfaceSlice,
    tuple(name for name in SurfaceSlice.__struct_fields__ if name != "ts_event"),
    ("ts", int),
)
_SUMMARY: Final = _struct("ChainHead", EnrichedChain, CHAIN_HEAD)
_WHOLE: Final = _struct("Chain", EnrichedChain, CHAIN_HEAD, ("columns", Cells))
_SURFACE: Final = msgspec.defstruct("Surface", [("product", str), ("slices", list[_SLICE])], kw_only=True)  # type: ignore[valid-type]  # made above
_DATA: Final[dict[type, tuple[Any, ...]]] = {
    e.UnderlyingUpdate: (PriceData,),
    e.ChainUpdate: (_WHOLE, ChainChange),
    e.ChainSummary: (_SUMMARY,),
    e.SurfaceUpdate: (_SURFACE,),
}


def document(*, title: str, version: str, base: str) -> dict[str, Any]:
    """The AsyncAPI document of the sockets.

    Args:
        title, version: of the API.
        base: its address, without a final slash; the sockets are at ``/ws`` below.
    """
    kinds = (*_COMMANDS, *_ANSWERS.values(), e.Error, *_PUSHED)
    schemas = Schemas([*kinds, *(one for data in _DATA.values() for one in data)])
    for kind, data in _DATA.items():
        found = [schemas.of(one) for one in data]
        payload = schemas.resolved(schemas.of(kind))["properties"]
        payload["data"] = {"anyOf": [*found, {"type": "null"}], "description": payload["data"]["description"]}
    cells = {"type": "array", "items": {"type": ["number", "null"]}}
    columns = schemas.resolved(schemas.of(_WHOLE))["properties"]
    columns["columns"] = {
        "type": "object",
        "description": "By name, aligned with `strike`, which ascends.",
        "properties": dict.fromkeys(ENRICHED_COLUMNS, cells),
        "required": list(ENRICHED_COLUMNS),
    }
    where = urlsplit(base)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": version,
            "description": _ABOUT.format(codes=", ".join(f"{code:d} {_said(code)}" for code in e.CloseCode)),
            "license": {"name": "Apache License 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "api": {
                "host": where.netloc or "localhost",
                "pathname": f"{where.path}/ws",
                "protocol": "wss" if where.scheme == "https" else "ws",
                "description": "Credentials go into headers, or into the first command.",
                "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in _SECURITY],
            }
        },
        "channels": {
            "socket": {
                "address": "/",
                "description": "The one connection, which carries every room.",
                "messages": {_name(kind): {"$ref": _message_ref(kind)} for kind in kinds},
            }
        },
        "operations": {
            **{_name(kind): _asked(kind) for kind in _COMMANDS},
            "push": {
                "action": "send",
                "channel": {"$ref": "#/channels/socket"},
                "summary": "What comes unasked once a room has been entered.",
                "messages": [{"$ref": _channel_ref(kind)} for kind in _PUSHED],
            },
        },
        "components": {
            "messages": {_name(kind): _message(kind, schemas) for kind in kinds},
            "schemas": schemas.components,
            "securitySchemes": _SECURITY,
        },
    }


def _asked(kind: type) -> Schema:
    return {
        "action": "receive",
        "channel": {"$ref": "#/channels/socket"},
        "summary": docstring(kind)[0],
        "messages": [{"$ref": _channel_ref(kind)}],
        "reply": {
            "channel": {"$ref": "#/channels/socket"},
            "messages": [{"$ref": _channel_ref(answer)} for answer in (_ANSWERS[kind], e.Error)],
        },
    }


def _message(kind: Any, schemas: Schemas) -> Schema:
    return {
        "name": _name(kind),
        "title": kind.__name__,
        "summary": docstring(kind)[0],
        "payload": schemas.of(kind),
    }


def _name(kind: Any) -> str:
    """As the frame names it; `products` asks and answers."""
    tag = str(kind.__struct_config__.tag)
    return f"{tag}_list" if kind is e.ProductList else tag


def _message_ref(kind: type) -> str:
    return f"#/components/messages/{_name(kind)}"


def _channel_ref(kind: type) -> str:
    return f"#/channels/socket/messages/{_name(kind)}"


def _said(code: e.CloseCode) -> str:
    return code.name.lower().replace("_", " ")
