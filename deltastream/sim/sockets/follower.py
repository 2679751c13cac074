"""A client by the rules of `docs/websocket.md`, written without looking at ours: what it makes of what comes.

It does what the page tells clients to do, and complains of whatever the page says will not come.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from deltastream.sim.history import Complain
from deltastream.sim.sockets.contents import Key, key_in
from deltastream.sim.sockets.facts import Facts, Held

__all__ = ["REASONS", "Follower", "Stream", "changed"]

REASONS: Final = ("epoch_changed", "trimmed", "lost", "undecodable")
"""What is missing for good when a snapshot says why it comes."""


@dataclass(slots=True)
class Stream:
    """Where a client stands in a stream, and what it knows.

    Attributes:
        reached: where it stands at least once all has come that it had missed.
        part: the part of a snapshot that came last, of how many; equal where all have come.
        asked: a snapshot is due, because it was asked for.
    """

    epoch: str
    seq: int
    reached: int = 0
    state: dict[Key, Held] = field(default_factory=dict)
    part: tuple[int, int] = (0, 0)
    asked: bool = False

    @property
    def whole(self) -> bool:
        """Whether what it knows is the state at a position."""
        return self.part[0] == self.part[1] and not self.asked


class Follower:
    """One client's knowledge, through all its connections.

    Attributes:
        rooms: those it is in, by name, and their streams.
        statuses: of markets, by room and product.
        asked: rooms that it has asked for and not been answered of: what comes of them is of an earlier stay.
        entered: when it was let into each of its rooms, on this connection.
        again: rooms that it must enter again.
        updates: how many it was given.

    Args:
        who: names it.
        facts: what it is given is compared with.
        complain: told what a server must not do.
    """

    def __init__(self, who: str, facts: Facts, complain: Complain) -> None:
        self.rooms: dict[str, dict[str, Stream]] = {}
        self.statuses: dict[tuple[str, str], str] = {}
        self.asked: dict[str, int] = {}
        self.again: dict[str, None] = {}
        self.updates = 0
        self._who = who
        self._facts = facts
        self._tell = complain
        self.entered: dict[str, float] = {}

    @property
    def inside(self) -> list[str]:
        """The rooms that it was let into on this connection."""
        return list(self.entered)

    def connected_anew(self) -> None:
        """A new connection is in no room; what is known stays, to go on from."""
        self.asked.clear()
        self.again.clear()
        self.entered.clear()
        self.statuses.clear()

    def ask(self, rooms: Iterable[str]) -> None:
        """It asks for rooms."""
        for room in rooms:
            self.asked[room] = self.asked.get(room, 0) + 1
            self.again.pop(room, None)

    def resume(self, room: str) -> dict[str, Any] | None:
        """What to send as the position of a room; None where a snapshot is needed."""
        streams = self.rooms.get(room)
        if not streams or not all(one.whole for one in streams.values()):
            return None
        places = {name: {"epoch": one.epoch, "seq": one.seq} for name, one in streams.items()}
        return {"streams": places} if room == "general" else places[room]

    def take(self, frame: dict[str, Any]) -> None:
        """An event of a room has come, or the answer that one was entered or left."""
        kind = frame["event"]
        if kind == "subscribed":
            for joined in frame["ok"]:
                self._joined(joined)
            for refused in frame["err"]:
                self._answered(refused["room"])
        elif kind == "unsubscribed":
            for left in frame["ok"]:
                self._left(left["room"])
        elif kind == "heartbeat":
            for room, told in frame["seqs"].items():
                self._told(room, told if isinstance(told, dict) else {room: told})
        elif self._is_in(frame["room"]):
            if kind == "market_status":
                self.statuses[frame["room"], frame["product"]] = frame["status"]
            else:
                self._update(frame)

    def _is_in(self, room: str) -> bool:
        if room in self.asked:
            return False
        if room not in self.entered:
            self._complain("socket_stray", f"{room}: it is in no such room")
            return False
        return True

    def _answered(self, room: str) -> None:
        left = self.asked.pop(room, 0) - 1
        if left > 0:
            self.asked[room] = left

    def _joined(self, joined: dict[str, Any]) -> None:
        room = joined["room"]
        self._answered(room)
        self.entered[room] = trio.current_time()
        places = joined.get("streams") or ({} if room == "general" else {room: joined})
        if joined["mode"] == "snapshot":
            self.rooms[room] = {
                name: Stream(one["epoch"], one["seq"], asked=True) for name, one in places.items()
            }
            return
        for name, one in places.items():
            stream = self.rooms.get(room, {}).get(name)
            if stream is None or stream.epoch != one["epoch"] or one["seq"] < stream.seq:
                self._complain("socket_answer", f"{room}: {name} is resumed at {one}, from {stream}")
                self.rooms.setdefault(room, {})[name] = stream = Stream(one["epoch"], one["seq"])
            stream.reached = one["seq"]

    def _left(self, room: str) -> None:
        self.entered.pop(room, None)
        if room not in self.asked:
            self.rooms.pop(room, None)
        for place in [place for place in self.statuses if place[0] == room]:
            del self.statuses[place]

    def _told(self, room: str, seqs: dict[str, int]) -> None:
        """A heartbeat: everything until there has been sent."""
        if room in self.asked:
            return
        for name, seq in seqs.items():
            stream = self.rooms.get(room, {}).get(name)
            if stream is None or room not in self.entered:
                self._complain("socket_ahead", f"{room}: told {seq} of {name}, of which nothing came")
            elif seq > max(stream.seq, stream.reached):
                self._complain("socket_ahead", f"{room}: told {seq} of {name}, was brought to {stream.seq}")
                self.again[room] = None
            elif stream.part[0] != stream.part[1]:
                self._complain("socket_gap", f"{room}: a snapshot of {name} ends with part {stream.part}")
            elif stream.asked:
                self._complain("socket_ahead", f"{room}: told {seq} of {name}, whose snapshot is due")
            else:
                at = max(stream.seq, stream.reached)
                self._facts.stands(self._who, room, _full(name), stream.epoch, at, stream.state)

    def _update(self, frame: dict[str, Any]) -> None:
        room = frame["room"]
        name = frame.get("stream", room) if room == "general" else room
        self.updates += 1
        if room in self.again:
            return
        if frame.get("kind") == "snapshot":
            self._snapshot(room, name, frame)
            return
        stream = self.rooms[room].get(name)
        if stream is None:
            self._complain("socket_gap", f"{room}: {name} begins with {frame['first']}, and no snapshot")
            self.again[room] = None
        elif frame["seq"] <= stream.seq:
            self._complain("socket_repeated", f"{room}: {name} {frame['seq']} comes again after {stream.seq}")
        elif frame["first"] > max(stream.seq, stream.reached) + 1 or stream.part[0] != stream.part[1]:
            self._complain("socket_gap", f"{room}: {name} goes on with {frame['first']} after {stream.seq}")
            self.again[room] = None
        else:
            self._change(room, name, stream, frame)

    def _snapshot(self, room: str, name: str, frame: dict[str, Any]) -> None:
        part, of = frame["part"]
        stream = self.rooms[room].get(name)
        if part <= 1:
            self._judge_reason(room, stream, frame)
            stream = self.rooms[room][name] = Stream(frame["epoch"], frame["seq"])
        place = (frame["epoch"], frame["seq"], max(part - 1, 0))
        if stream is None or (stream.epoch, stream.seq, stream.part[0]) != place:
            self._complain("socket_gap", f"{room}: part {part} of {of} of {name} comes out of turn")
            self.again[room] = None
            return
        stream.part = part, of
        if part == 0:
            return
        held = Held(frame.get("own", 0), frame["ts"], frame["data"])
        self._facts.part(self._who, room, _full(name), stream.epoch, key_in(held.data), held)
        _hold(stream, held)

    def _judge_reason(self, room: str, stream: Stream | None, frame: dict[str, Any]) -> None:
        """One that was not asked for says why it comes, or takes the place of superseded updates."""
        reason, place = frame.get("reason"), (frame["epoch"], frame["seq"])
        if reason is None:
            known = stream is None or stream.asked or (stream.epoch == place[0] and stream.seq <= place[1])
        else:
            known = reason in REASONS
        if not known:
            self._complain("socket_unasked", f"{room}: a snapshot to {place} comes to {stream}, for {reason}")

    def _change(self, room: str, name: str, stream: Stream, frame: dict[str, Any]) -> None:
        stream.seq, stream.asked = frame["seq"], False
        data = frame["data"]
        if frame.get("kind") == "delta":
            held = stream.state.get(key_in(data))
            if held is None or held.own != data["base"] or not held.own:
                own = None if held is None else held.own
                self._complain("socket_base", f"{room}: {frame['seq']} changes {data['base']}, it has {own}")
                self.rooms[room].pop(name)
                self.again[room] = None
                return
            data = changed(held.data, data)
        self._facts.update(self._who, room, _full(name), stream.epoch, frame["seq"], data)
        _hold(stream, Held(frame["seq"], frame["ts"], data))

    def _complain(self, code: str, detail: str) -> None:
        self._tell(code, f"{self._who}: {detail}")


def changed(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A chain after a change."""
    columns = {name: list(values) for name, values in base["columns"].items()}
    for name, values in change["columns"].items():
        for row, value in zip(change["rows"], values, strict=True):
            columns[name][row] = value
    return {**base, **change["head"], "columns": columns}


def _hold(stream: Stream, held: Held) -> None:
    known = stream.state.get(key_in(held.data))
    if known is None or held.ts >= known.ts:
        stream.state[key_in(held.data)] = held


def _full(name: str) -> str:
    """The stream that a room shows, where it names one by itself: a chain's without its expiry."""
    return ":".join(name.split(":")[:2])
