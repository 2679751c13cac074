"""What clients send: one command a frame, named by ``op``, answered with its ``id``."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

__all__ = [
    "Auth",
    "BadCommand",
    "Command",
    "Encoding",
    "Ping",
    "Place",
    "Products",
    "Resume",
    "Subscribe",
    "Unsubscribe",
    "decode",
]

Encoding = Literal["json", "msgpack"]
Id = Annotated[int, msgspec.Meta(ge=0, le=2**53)] | Annotated[str, msgspec.Meta(max_length=64)] | None
Seq = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Name = Annotated[str, msgspec.Meta(max_length=200)]


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A position that a client has seen, of one stream."""

    epoch: Annotated[str, msgspec.Meta(max_length=64)]
    seq: Seq


class Resume(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last position a client has seen of a room.

    Attributes:
        epoch, seq: of a room with one stream.
        streams: of a room with several, by stream.
    """

    epoch: Annotated[str, msgspec.Meta(max_length=64)] = ""
    seq: Seq = 0
    streams: Annotated[dict[Name, Place], msgspec.Meta(max_length=1000)] = {}


class _Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op"):
    id: Id = None


class Auth(_Command, frozen=True, kw_only=True, tag="auth"):
    """Tells who is asking; later again, to go on beyond the life of the first token.

    Attributes:
        token: an access token or an API key.
        ticket: what ``POST /api/auth/ticket`` gave, good once.
    """

    token: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    ticket: Annotated[str, msgspec.Meta(max_length=256)] | None = None


class Subscribe(_Command, frozen=True, kw_only=True, tag="subscribe"):
    """Enters rooms.

    Attributes:
        rooms: by name.
        resume: the last position seen, by room; what was missed since is sent, or a snapshot.
        chains: "delta" sends what changed since the chain before, "full" always the whole of it.
    """

    rooms: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=1000)]
    resume: dict[Name, Resume] = {}
    chains: Literal["delta", "full"] = "delta"


class Unsubscribe(_Command, frozen=True, kw_only=True, tag="unsubscribe"):
    """Leaves rooms."""

    rooms: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=1000)]


class Products(_Command, frozen=True, kw_only=True, tag="products"):
    """Asks which products there are, and the expiries of each."""


class Ping(_Command, frozen=True, kw_only=True, tag="ping"):
    """Asks for a pong."""


Command = Auth | Subscribe | Unsubscribe | Products | Ping


class BadCommand(Exception):
    """What came is no command.

    Attributes:
        code: "bad_encoding", "bad_command" or "unknown_op".
        id: of the command, where it could be read.
    """

    def __init__(self, code: str, message: str, id: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.id = id


_OPS: Final = ("auth", "subscribe", "unsubscribe", "products", "ping")
_JSON: Final = msgspec.json.Decoder(Command)
_MSGPACK: Final = msgspec.msgpack.Decoder(Command)


def decode(data: bytes | str, encoding: Encoding) -> Command:
    """The command in a frame.

    Raises:
        BadCommand: with a sentence that says what is wrong.
    """
    try:
        command: Command = (_JSON if encoding == "json" else _MSGPACK).decode(data)  # type: ignore[arg-type]  # bytes where MessagePack
        return command
    except msgspec.ValidationError as error:
        raise _explained(data, encoding, str(error)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError, TypeError) as error:
        raise _unreadable(encoding, error) from None


def _explained(data: bytes | str, encoding: Encoding, text: str) -> BadCommand:
    """Which of the rules it breaks, or that what comes after the breach cannot be read."""
    try:
        plain = msgspec.json.decode(data) if encoding == "json" else msgspec.msgpack.decode(data)  # type: ignore[arg-type]  # see above
    except msgspec.ValidationError:  # a number that nothing can hold
        return BadCommand("bad_command", text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return _unreadable(encoding, error)
    if not isinstance(plain, dict):
        return BadCommand("bad_command", 'A command is an object with an "op".')
    number = plain.get("id")
    number = number if type(number) in (int, str) and len(str(number)) <= 64 else None
    if plain.get("op") not in _OPS:
        return BadCommand("unknown_op", f"An op is one of {', '.join(_OPS)}.", number)
    return BadCommand("bad_command", f"{plain['op']}: {text}", number)


def _unreadable(encoding: Encoding, error: Exception) -> BadCommand:
    name = "JSON" if encoding == "json" else "MessagePack"
    return BadCommand("bad_encoding", f"Not {name}: {error}")
