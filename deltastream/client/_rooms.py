"""What a client knows of its rooms: sans-IO, frames in and events out.

The rules by which positions are checked: an update whose ``seq`` has been seen is a repetition and
dropped; one whose ``first`` is greater than the last ``seq`` and 1 leaves something out that nobody
meant to; a snapshot needs nothing before it, and begins anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import msgspec
import numpy as np

from deltastream.client._link import Update
from deltastream.client.events import (
    Chain,
    ChainSummary,
    ChainUpdate,
    Event,
    Interrupted,
    MarketStatus,
    SurfaceUpdate,
    UnderlyingUpdate,
)
from deltastream.sockets import events as wire

__all__ = ["RoomState", "Rooms"]


@dataclass(slots=True)
class _Stream:
    """Attributes:
    whole: the snapshot that it begins with has come; else what we have is no place to go on from.
    """

    epoch: str
    seq: int
    whole: bool = False
    chains: dict[tuple[str, str], tuple[int, Chain]] = field(default_factory=dict)


class RoomState:
    """One room.

    Attributes:
        name: of it.
        standing: "out" must be asked for, "asked" has been, "refused" may be asked for later.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.standing: Literal["out", "asked", "in", "refused"] = "out"
        self._streams: dict[str, _Stream] = {}
        self._told = False
        self._void = False
        self._refused = False

    def entered(self, joined: wire.Joined) -> list[Event]:
        """The server's answer, after which what we lack comes."""
        self.standing, self._refused = "in", False
        told, self._told, self._void = self._told, False, False
        if joined.mode == "resumed":
            return []
        place = wire.Place(joined.epoch or "", joined.seq or 0)
        places = {self.name: place} if joined.streams is None else joined.streams
        before = self._streams
        self._streams = {name: _Stream(place.epoch, place.seq) for name, place in places.items()}
        if told:
            return []
        return [self._interrupted(name, one, "not_resumed") for name, one in before.items()]

    def refused(self) -> bool:
        """It could not be entered; whether that is news. The next heartbeat lets it be asked for again."""
        self.standing = "refused"
        told, self._refused = self._refused, True
        return not told

    def resume(self) -> dict[str, Any] | None:
        """What to ask for when entering it again; None: everything."""
        places = {name: {"epoch": one.epoch, "seq": one.seq} for name, one in self._streams.items()}
        if not all(one.whole for one in self._streams.values()):
            return None
        if not places or self._void or any(not place["epoch"] for place in places.values()):
            return None
        return places[self.name] if set(places) == {self.name} else {"streams": places}

    def take(self, frame: Update) -> list[Event]:
        """An update of this room."""
        name = frame.stream or self.name
        stream = self._streams.get(name)
        if frame.kind == "snapshot":
            if stream is None:
                stream = self._streams[name] = _Stream(frame.epoch or "", frame.seq)
            return self._snapshot(name, stream, frame)
        if self.standing != "in" or frame.first is None:
            return []
        if stream is None:
            stream = self._streams[name] = _Stream("", frame.first - 1)
        if frame.seq <= stream.seq:
            return []
        if frame.first > stream.seq + 1:
            return [self._lost(name, stream)]
        event = _event(frame, name, stream)
        if event is None:
            self._void = True
            return [self._lost(name, stream)]
        stream.seq, stream.whole = frame.seq, True
        return [event]

    def heartbeat(self, seqs: int | Mapping[str, int]) -> list[Event]:
        """Where the server says it has brought us; a gap where that is not where we are."""
        for name, seq in ({self.name: seqs} if isinstance(seqs, int) else seqs).items():
            stream = self._streams.get(name)
            if stream is not None and stream.seq < seq:
                return [self._lost(name, stream)]
        return []

    def _snapshot(self, name: str, stream: _Stream, frame: Update) -> list[Event]:
        events: list[Event] = []
        if frame.part is None or frame.part[0] <= 1:
            if frame.reason is not None:
                events.append(self._interrupted(name, stream, frame.reason))
            stream.chains.clear()
        stream.epoch, stream.seq = frame.epoch or "", frame.seq
        stream.whole = frame.part is None or frame.part[0] == frame.part[1]
        if frame.part == (0, 0):
            return events
        event = _event(frame, name, stream)
        return events if event is None else [*events, event]

    def _lost(self, name: str, stream: _Stream) -> Interrupted:
        """Something is missing, which only the server can make good."""
        self.standing, self._told = "out", True
        return self._interrupted(name, stream, "gap")

    def _interrupted(self, name: str, stream: _Stream, reason: str) -> Interrupted:
        return Interrupted(room=self.name, stream=name, after=stream.seq, reason=reason)


class Rooms:
    """All rooms of a client, by name."""

    def __init__(self) -> None:
        self._states: dict[str, RoomState] = {}

    def __iter__(self) -> Iterator[RoomState]:
        return iter(self._states.values())

    def state(self, name: str) -> RoomState:
        """The room of that name, made where there is none."""
        return self._states.setdefault(name, RoomState(name))

    def forget(self, name: str) -> None:
        """A room has been left."""
        self._states.pop(name, None)

    def disconnected(self) -> None:
        """Every room must be entered again."""
        for state in self:
            state.standing = "out"

    def subscribed(self, frame: wire.Subscribed) -> list[Event]:
        """Rooms have been entered; those that were left meanwhile do not count."""
        return [
            event
            for joined in frame.ok
            if joined.room in self._states
            for event in self._states[joined.room].entered(joined)
        ]

    def take(self, frame: Update | wire.Heartbeat | wire.MarketStatusEvent) -> list[Event]:
        """A frame that is no answer."""
        match frame:
            case wire.Heartbeat():
                for state in self:
                    if state.standing == "refused":
                        state.standing = "out"
                return [
                    event
                    for name, seqs in frame.seqs.items()
                    if name in self._states and self._states[name].standing == "in"
                    for event in self._states[name].heartbeat(seqs)
                ]
            case _ if frame.room not in self._states:
                return []  # left meanwhile
            case wire.MarketStatusEvent():
                return [
                    MarketStatus(
                        room=frame.room,
                        product=frame.product,
                        status=frame.status,
                        reason=frame.reason,
                        since=frame.since,
                    )
                ]
            case _:
                return self._states[frame.room].take(frame)


def _event(frame: Update, name: str, stream: _Stream) -> Event | None:
    """The typed event; None where it changes a chain that we have not."""
    about: dict[str, Any] = {
        "room": frame.room,
        "stream": name,
        "seq": frame.seq,
        "ts": frame.ts,
        "skipped": 0 if frame.first is None else frame.seq - frame.first,
        "snapshot": frame.kind == "snapshot",
    }
    data = _data(frame)
    match frame:
        case wire.UnderlyingUpdate():
            return UnderlyingUpdate(
                **about, product=data["product"], price=data["price"], volume=data["volume"]
            )
        case wire.ChainSummary():
            return ChainSummary(**about, head=MappingProxyType(data))
        case wire.SurfaceUpdate():
            return SurfaceUpdate(**about, product=data["product"], slices=tuple(data["slices"]))
        case wire.ChainUpdate():
            return _chain_update(stream, frame, data, about)


def _data(frame: Update) -> dict[str, Any]:
    """What is inside, which is encoded as the frame is."""
    raw = bytes(frame.data)
    data: dict[str, Any] = msgspec.json.decode(raw) if raw[:1] == b"{" else msgspec.msgpack.decode(raw)
    return data


def _chain_update(
    stream: _Stream, frame: wire.ChainUpdate, data: dict[str, Any], about: Mapping[str, Any]
) -> ChainUpdate | None:
    key = (data["root"], data["expiry"])
    held = stream.chains.get(key)
    rows: tuple[int, ...] | None = None
    if frame.kind == "delta":
        if held is None or held[0] != data["base"]:
            return None
        rows = tuple(data["rows"])
        columns = dict(held[1].columns)
        for name, values in data["columns"].items():
            column = columns[name].copy()
            column[list(rows)] = _column(values)
            columns[name] = column
        chain = _chain({**held[1].head, **data["head"]}, columns, frame.ts)
    else:
        head = {name: value for name, value in data.items() if name != "columns"}
        chain = _chain(head, {name: _column(values) for name, values in data["columns"].items()}, frame.ts)
    if held is None or chain.ts >= held[1].ts:
        own = frame.own or 0 if frame.kind == "snapshot" else frame.seq
        stream.chains[key] = (own, chain)
    return ChainUpdate(**about, chain=chain, rows=rows)


def _chain(head: dict[str, Any], columns: dict[str, Any], ts: int) -> Chain:
    for column in columns.values():
        column.flags.writeable = False
    return Chain(head=MappingProxyType(head), columns=MappingProxyType(columns), ts=ts)


def _column(values: list[float | None]) -> Any:
    return np.array(values, dtype=np.float64)  # None becomes NaN
