"""The state machine of one connection: what came and what time it is go in, effects come out.

It knows no socket, no clock and no account store. Whoever drives it hands in frames and the
instants (seconds of any steady clock), and carries out the effects in their order; what takes time,
as `Authenticate` does, is answered by a later call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from deltastream.sockets import commands as c
from deltastream.sockets import events as e
from deltastream.sockets.commands import Encoding
from deltastream.sockets.events import ERRORS, CloseCode
from deltastream.sockets.rooms import BadRoom, Room, parse
from deltastream.sockets.settings import SocketSettings

__all__ = [
    "Authenticate",
    "Beat",
    "Close",
    "Effect",
    "Enter",
    "Leave",
    "ListProducts",
    "Pass",
    "Send",
    "Session",
    "TellTime",
]

Id = int | str | None

SILENT_HEARTBEATS: Final = 3
WARNING_S: Final = 60.0
"""How long before its credential expires a client is told."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send this event."""

    event: msgspec.Struct


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Find out who this is, then call `authenticated` or `not_authenticated`."""

    id: Id
    token: str | None
    ticket: str | None


@dataclass(frozen=True, slots=True)
class Enter:
    """Enter rooms, then send `Subscribed` with what came of each, and what belongs to it.

    Attributes:
        refused: names that are none; they belong into the answer.
    """

    id: Id
    rooms: tuple[Room, ...]
    resume: Mapping[str, c.Resume]
    full_chains: bool
    refused: tuple[e.Refused, ...]


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave rooms, then send `Unsubscribed`."""

    id: Id
    rooms: tuple[Room, ...]
    refused: tuple[e.Refused, ...]


@dataclass(frozen=True, slots=True)
class ListProducts:
    """Send `ProductList`."""

    id: Id


@dataclass(frozen=True, slots=True)
class TellTime:
    """Send a `Pong` with the time of day."""

    id: Id


@dataclass(frozen=True, slots=True)
class Beat:
    """Send a heartbeat with the position of every room, and a ping of the transport's."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection; nothing comes after it."""

    code: CloseCode
    reason: str


Effect = Send | Authenticate | Enter | Leave | ListProducts | TellTime | Beat | Close


@dataclass(frozen=True, slots=True)
class Pass:
    """Who is connected, as the protocol needs to know it.

    Attributes:
        user_id: whose connection it is.
        may_read: whether the credential gives the right to market data.
        expires: by the session's clock, in seconds.
        expires_us: the same instant, microseconds UTC.
    """

    user_id: str
    may_read: bool
    expires: float
    expires_us: int


class Session:
    """One connection, from its first frame to its close.

    Attributes:
        name: names it in the log.
        encoding: of its frames.
        user_id: whose it is; None before it has told.
        deadline: when `elapsed` is to be called at the latest, by the clock of the calls.

    Args:
        name: as above.
        encoding: as above.
        settings: limits and times.
        now: the instant it begins.
    """

    def __init__(self, name: str, encoding: Encoding, settings: SocketSettings, now: float) -> None:
        self.name = name
        self.encoding = encoding
        self.user_id: str | None = None
        self._settings = settings
        self._state: Literal["new", "open", "closed"] = "new"
        self._pending = False
        self._pass: Pass | None = None
        self._warned = False
        self._heard = now
        self._must_authenticate = now + settings.auth_s
        self._next_beat = now + settings.heartbeat_s
        self._tokens = float(settings.burst)
        self._filled = now

    @property
    def closed(self) -> bool:
        """Whether it has closed; nothing may be sent any more."""
        return self._state == "closed"

    @property
    def deadline(self) -> float:
        """When something is due that no frame brings about."""
        if self._pass is None:
            return self._must_authenticate
        expiry = self._pass.expires if self._warned else self._pass.expires - WARNING_S
        return min(self._next_beat, self._silence(), expiry)

    def controlled(self, now: float) -> list[Effect]:
        """A ping or a pong came. A part of a message is no sign of life: it may come for ever."""
        self._heard = now
        if self.closed or self._take_token(now):
            return []
        return self._close(CloseCode.RATE_LIMITED, "too many pings")

    def received(self, data: bytes | str, now: float) -> list[Effect]:
        """A whole message came."""
        self._heard = now
        if self.closed:
            return []
        if not self._take_token(now):
            return self._close(CloseCode.RATE_LIMITED, "too many commands")
        try:
            command = c.decode(data, self.encoding)
        except c.BadCommand as bad:
            return self._bad(bad)
        if isinstance(command, c.Auth):
            return self._auth(command)
        if self._state == "new":
            if self._pending:
                return [self._error(command.id, "unauthenticated", "Wait for the answer to auth.")]
            return self._close(CloseCode.UNAUTHENTICATED, "the first command must be auth")
        return self._obey(command)

    def authenticated(self, number: Id, who: Pass, server_time_us: int, now: float) -> list[Effect]:
        """The credential is good; `now` is when that was found."""
        self._pending = False
        if self.closed:
            return []
        if who.expires <= now:
            return self.not_authenticated(number, "The credential has expired.")
        if self.user_id not in (None, who.user_id):
            return [self._error(number, "forbidden", "A connection cannot become somebody else's.")]
        if not who.may_read:
            return self._close(CloseCode.FORBIDDEN, "the credential gives no right to market data")
        self.user_id, self._pass, self._warned = who.user_id, who, False
        if self._state == "new":
            self._state = "open"
            self._next_beat = now + self._settings.heartbeat_s
        settings = self._settings
        limits = e.Limits(settings.rooms, settings.commands_per_s, settings.message_bytes)
        return [
            Send(
                e.Connected(
                    id=number,
                    session=self.name,
                    server_time=server_time_us,
                    expires=who.expires_us,
                    heartbeat_s=settings.heartbeat_s,
                    limits=limits,
                )
            )
        ]

    def not_authenticated(self, number: Id, message: str, *, retryable: bool = False) -> list[Effect]:
        """The credential is not good; one that was shown before stays."""
        self._pending = False
        if self.closed:
            return []
        if retryable:
            return [self._error(number, "unavailable", message)]
        error = self._error(number, "unauthenticated", message)
        return [error] if self._state == "open" else [error, *self._close(CloseCode.UNAUTHENTICATED, message)]

    def revoked(self) -> list[Effect]:
        """The credential has been revoked."""
        return self._close(CloseCode.UNAUTHENTICATED, "the credential has been revoked")

    def drained(self) -> list[Effect]:
        """The server is about to stop."""
        return self._close(CloseCode.DRAINING, "the server stops; connect again")

    def turned_away(self, reason: str) -> list[Effect]:
        """There is no room."""
        return self._close(CloseCode.DRAINING, reason)

    def slow(self) -> list[Effect]:
        """The client takes less than it is sent, and is not to be waited for."""
        return self._close(CloseCode.SLOW_CONSUMER, "too slow")

    def violated(self, reason: str) -> list[Effect]:
        """What came breaks the rules below this protocol, such as the length of a message."""
        return self._close(CloseCode.PROTOCOL_ERROR, reason)

    def elapsed(self, now: float) -> list[Effect]:
        """What is due by now."""
        if self.closed:
            return []
        if self._pass is None:
            late = now >= self._must_authenticate
            return self._close(CloseCode.UNAUTHENTICATED, "no auth in time") if late else []
        if now >= self._pass.expires:
            return self._close(CloseCode.UNAUTHENTICATED, "the credential has expired")
        if now >= self._silence():
            return self._close(CloseCode.HEARTBEAT, "nothing was heard")
        effects: list[Effect] = []
        if not self._warned and now >= self._pass.expires - WARNING_S:
            self._warned = True
            effects.append(Send(e.TokenExpiring(expires=self._pass.expires_us)))
        if now >= self._next_beat:
            self._next_beat = now + self._settings.heartbeat_s
            effects.append(Beat())
        return effects

    def _auth(self, command: c.Auth) -> list[Effect]:
        if self._pending:
            return [self._error(command.id, "bad_command", "The auth before has not been answered yet.")]
        if (command.token is None) == (command.ticket is None):
            return [self._error(command.id, "bad_command", "auth: either a token or a ticket.")]
        self._pending = True
        return [Authenticate(command.id, command.token, command.ticket)]

    def _obey(self, command: c.Command) -> list[Effect]:
        match command:
            case c.Subscribe():
                rooms, refused = _named(command.rooms)
                return [Enter(command.id, rooms, command.resume, command.chains == "full", refused)]
            case c.Unsubscribe():
                rooms, refused = _named(command.rooms)
                return [Leave(command.id, rooms, refused)]
            case c.Products():
                return [ListProducts(command.id)]
            case _:
                return [TellTime(command.id)]

    def _bad(self, bad: c.BadCommand) -> list[Effect]:
        if self._state == "new":
            return self._close(CloseCode.PROTOCOL_ERROR, "the first command must be auth")
        return [self._error(bad.id, bad.code, str(bad))]

    def _error(self, number: Id, code: str, message: str) -> Send:
        return Send(e.Error(id=number, code=code, message=message, retryable=ERRORS[code]))

    def _close(self, code: CloseCode, reason: str) -> list[Effect]:
        if self.closed:
            return []
        self._state = "closed"
        return [Close(code, reason)]

    def _silence(self) -> float:
        return self._heard + SILENT_HEARTBEATS * self._settings.heartbeat_s

    def _take_token(self, now: float) -> bool:
        settings = self._settings
        filled = self._tokens + (now - self._filled) * settings.commands_per_s
        self._tokens, self._filled = min(filled, float(settings.burst)) - 1.0, now
        return self._tokens >= 0.0


def _named(names: tuple[str, ...]) -> tuple[tuple[Room, ...], tuple[e.Refused, ...]]:
    """The rooms of these names, each once, and a refusal for what is none."""
    rooms: dict[Room, None] = {}
    refused = []
    for name in names:
        try:
            rooms[parse(name)] = None
        except BadRoom as bad:
            refused.append(
                e.Refused(room=name, code="bad_room", message=str(bad), retryable=ERRORS["bad_room"])
            )
    return tuple(rooms), tuple(refused)
