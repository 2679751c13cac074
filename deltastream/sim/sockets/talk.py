"""One connection of a client: what it says, and what it is answered."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
import trio

from deltastream.sim.history import Complain
from deltastream.sim.sockets import framing
from deltastream.sim.sockets.framing import Frames, masked
from deltastream.sim.sockets.network import Caller, Unreachable

__all__ = ["CODES", "Closed", "Command", "Gone", "Talk", "Told", "misanswered"]

CODES: Final = {
    4001: "UNAUTHENTICATED", 4003: "FORBIDDEN", 4008: "HEARTBEAT", 4009: "SLOW_CONSUMER",
    4010: "RATE_LIMITED", 4012: "DRAINING", 4013: "PROTOCOL_ERROR",
}  # fmt: skip
"""Why a server closes."""

_ANSWERS: Final = {
    "auth": "connected", "subscribe": "subscribed", "unsubscribe": "unsubscribed",
    "products": "products", "ping": "pong",
}  # fmt: skip
_AGAIN: Final = {
    "bad_encoding": False, "bad_command": False, "unknown_op": False, "bad_room": False,
    "unknown_room": True, "not_subscribed": False, "too_many_rooms": False, "unauthenticated": False,
    "forbidden": False, "rate_limited": True, "unavailable": True,
}  # fmt: skip
_OPENING_S: Final = 6.0


class Closed(Exception):
    """The server has closed.

    Attributes:
        code: why; None where it did not say.
    """

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code


class Gone(Exception):
    """It goes away.

    Attributes:
        told: whether it says so.
    """

    def __init__(self, *, told: bool) -> None:
        super().__init__(told)
        self.told = told


class Command(NamedTuple):
    """Something that was asked for and is not answered.

    Attributes:
        at: when.
        errors: codes of errors of which one may be the answer; None in place of an error.
    """

    id: int | None
    op: str
    at: float
    errors: tuple[str | None, ...]
    about: Any


class Told(NamedTuple):
    """Something that came.

    Attributes:
        at: when it was sent.
        answers: the command that it answers; None: nobody asked.
        renewing: a credential was shown before it came, and the answer comes after it.
    """

    event: dict[str, Any]
    at: float
    answers: Command | None
    renewing: bool


class Talk:
    """One connection.

    Attributes:
        due: what is not answered, in order.
        heard: when something came last; sent: when the last that came was sent.

    Args:
        who: names the client.
        caller: what carries it.
        rng: decides how it speaks.
        complain: told what a server must not do.
        disturbed: whether a fault has held since then that a server may answer "unavailable" for.
    """

    def __init__(
        self,
        who: str,
        caller: Caller,
        rng: random.Random,
        complain: Complain,
        disturbed: Callable[[float], bool],
    ) -> None:
        self.due: deque[Command] = deque()
        self.heard = self.sent = trio.current_time()
        self.msgpack = rng.random() < 0.4
        self._who = who
        self._caller = caller
        self._rng = rng
        self._complain = complain
        self._disturbed = disturbed
        self._frames = Frames()
        self._number = 0
        self._ready: deque[framing.Frame] = deque()

    async def open(self, credential: str | None) -> None:
        """Open the connection.

        Cancellation: it is open, or not.

        Raises:
            Unreachable: nobody answers.
        """
        packed = self._rng.random() < 0.3
        self._caller.send(
            framing.request(self._rng, msgpack=self.msgpack, packed=packed, credential=credential)
        )
        answer, at = b"", 0.0
        with trio.move_on_after(_OPENING_S):
            while b"\r\n\r\n" not in answer:
                data, at = await self._caller.read(1 << 16)
                if not data:
                    break
                answer += data
        head, _, rest = answer.partition(b"\r\n\r\n")
        if not answer:
            raise Unreachable("it does not answer")
        if not head.startswith(b"HTTP/1.1 101 "):
            self._complain("socket_refused", f"{self._who}: {head[:60]!r}")
            raise Unreachable("it refuses")
        self._ready.extend(self._frames.feed(rest, at))

    def say(self, op: str, *errors: str | None, about: Any = None, **fields: Any) -> None:
        """Ask for something.

        Args:
            errors: codes with which it may be refused; with None among them it may also be granted. None at
                all: it must be granted.
            about: kept with the command.

        Raises:
            Unreachable: nobody hears.
        """
        self._number += 1
        encode = msgspec.msgpack.encode if self.msgpack else msgspec.json.encode
        self._send(encode({"id": self._number, "op": op, **fields}))
        self.expect(self._number, op, errors, about)

    def expect(self, number: int | None, op: str, errors: tuple[str | None, ...], about: Any) -> None:
        """An answer is due, as to a command."""
        self.due.append(Command(number, op, trio.current_time(), errors, about))

    def babble(self, payload: bytes, *errors: str) -> None:
        """Send what is no command; raises as `say`."""
        self._send(payload)
        self.expect(None, "babble", errors, None)

    def _send(self, payload: bytes) -> None:
        """A message, in one frame or in two."""
        kind = framing.BINARY if self.msgpack else framing.TEXT
        if self._rng.random() < 0.1 and len(payload) > 1:
            cut = self._rng.randrange(1, len(payload))
            data = masked(self._rng, kind, payload[:cut], final=False) + masked(self._rng, 0, payload[cut:])
        else:
            data = masked(self._rng, kind, payload)
        self._caller.send(data)

    async def listen(self, most: int) -> list[Told]:
        """What comes next, once something does.

        Cancellation: nothing is lost.

        Raises:
            Closed: the server has closed.
        """
        if not self._ready:
            data, at = await self._caller.read(most)
            if not data:
                raise Closed(None)
            self.heard = trio.current_time()
            self.sent = at
            self._ready.extend(self._frames.feed(data, at))
        came: list[Told] = []
        while self._ready:
            frame = self._ready.popleft()
            if frame.opcode == framing.CLOSE:
                if came:
                    self._ready.appendleft(frame)
                    break
                raise self._closed(frame.payload)
            if frame.opcode == framing.PING:
                self._answer(frame.payload)
            elif frame.opcode in (framing.TEXT, framing.BINARY):
                came.append(self._told(frame))
        return came

    def _answer(self, payload: bytes) -> None:
        self._caller.send(masked(self._rng, framing.PONG, payload))

    def _closed(self, payload: bytes) -> Closed:
        code = int.from_bytes(payload[:2], "big")
        if code not in CODES:
            self._complain("socket_answer", f"{self._who}: closed with {code}")
        return Closed(code, payload[2:].decode())

    def _told(self, frame: framing.Frame) -> Told:
        decode: Any = msgspec.msgpack.decode if self.msgpack else msgspec.json.decode
        event = decode(frame.payload)
        if "id" not in event and event["event"] not in ("error", "connected"):
            return Told(event, frame.at, None, self._renews())
        command = self.due.popleft() if self.due else None
        kind, code = event["event"], event.get("code")
        if command is None or event.get("id") != command.id:
            self._complain("socket_answer", f"{self._who}: {event!r:.200} answers {command}")
        elif kind == "error":
            known = code in command.errors or (code == "unavailable" and self._disturbed(command.at))
            if not known or event["retryable"] != _AGAIN[code]:
                self._complain("socket_answer", f"{self._who}: {command.op} is answered with {event!r:.200}")
        elif kind != _ANSWERS.get(command.op) or (command.errors and None not in command.errors):
            self._complain("socket_answer", f"{self._who}: {command} is answered with {kind}")
        return Told(event, frame.at, command, self._renews())

    def _renews(self) -> bool:
        return any(command.op == "auth" for command in self.due)

    def hang_up(self) -> None:
        """Go, and tell."""
        self._caller.close()


def misanswered(event: dict[str, Any], rooms: Iterable[str], others: Iterable[str]) -> Iterator[str]:
    """What is wrong with the answer of who has asked for rooms, and for others that are none."""
    entered = [joined["room"] for joined in event["ok"]]
    refused = {one["room"]: one["code"] for one in event["err"]}
    if sorted([*entered, *refused]) != sorted({*rooms, *others}):
        yield f"{rooms} {others} are answered by {event!r:.300}"
    for room, code in refused.items():
        if code not in ("too_many_rooms", "unknown_room" if room in rooms else "bad_room"):
            yield f"{room} is refused: {code}"
