"""What a client knows of its rooms: sans-IO, frames in and events out.

The rules by which positions are checked: an update whose ``seq`` has been seen is a repetition and
dropped; one whose ``first`` is greater than the last ``seq`` and 1 leaves something out that nobody
meant to; a snapshot needs nothing before it, and begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np

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

__all__ = ["RoomState", "Rooms"]


@dataclass(slots=True)
class _Stream:
    epoch: str
    seq: int
    chains: dict[tuple[str, str], tuple[int, Chain]] = field(default_factory=dict)


class RoomState:
    """One room.

    Attributes:
        name: of it.
        lost: something is missing that only the server can make good: enter it again.
        asked: that has been asked for.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.lost = False
        self.asked = False
        self._streams: dict[str, _Stream] = {}

    def entered(self, joined: Mapping[str, Any]) -> bool:
        """The server's answer; whether it goes on where we were."""
        self.lost = self.asked = False
        resumed: bool = joined["mode"] == "resumed"
        places = joined.get("streams") or {self.name: joined}
        if not resumed:
            self._streams = {name: _Stream(place["epoch"], place["seq"]) for name, place in places.items()}
        return resumed

    def resume(self) -> dict[str, Any] | None:
        """What to ask for when entering it again; None: everything."""
        places = {name: {"epoch": one.epoch, "seq": one.seq} for name, one in self._streams.items()}
        if not places or any(not place["epoch"] for place in places.values()):
            return None
        return places[self.name] if set(places) == {self.name} else {"streams": places}

    def take(self, frame: Mapping[str, Any]) -> list[Event]:
        """An update of this room."""
        name = frame.get("stream", self.name)
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = _Stream(frame.get("epoch", ""), frame["seq"] - 1)
        if frame.get("kind") == "snapshot":
            return self._snapshot(name, stream, frame)
        if frame["seq"] <= stream.seq:
            return []
        if frame["first"] > stream.seq + 1:
            self.lost = True
            return [Interrupted(room=self.name, stream=name, after=stream.seq, reason="gap")]
        conflated = frame["seq"] - frame["first"]
        event = self._event(name, stream, frame, conflated, snapshot=False)
        if event is None:
            self.lost = True
            return [Interrupted(room=self.name, stream=name, after=stream.seq, reason="gap")]
        stream.seq = frame["seq"]
        return [event]

    def heartbeat(self, seqs: int | Mapping[str, int]) -> list[Event]:
        """Where the server says it has brought us; a gap where that is not where we are."""
        by_stream = seqs if isinstance(seqs, Mapping) else {self.name: seqs}
        events: list[Event] = []
        for name, seq in by_stream.items():
            stream = self._streams.get(name)
            if stream is not None and stream.seq < seq and not self.lost:
                self.lost = True
                events.append(Interrupted(room=self.name, stream=name, after=stream.seq, reason="gap"))
        return events

    def _snapshot(self, name: str, stream: _Stream, frame: Mapping[str, Any]) -> list[Event]:
        events: list[Event] = []
        if frame["part"][0] == 1:
            if "reason" in frame:
                events.append(
                    Interrupted(room=self.name, stream=name, after=stream.seq, reason=frame["reason"])
                )
            stream.chains.clear()
        stream.epoch, stream.seq = frame["epoch"], frame["seq"]
        event = self._event(name, stream, frame, 0, snapshot=True)
        return events if event is None else [*events, event]

    def _event(
        self, name: str, stream: _Stream, frame: Mapping[str, Any], conflated: int, *, snapshot: bool
    ) -> Event | None:
        """The typed event; None where it changes a chain that we have not."""
        data = frame["data"]
        about: dict[str, Any] = {
            "room": self.name,
            "stream": name,
            "seq": frame["seq"],
            "ts": frame["ts"],
            "conflated": conflated,
            "snapshot": snapshot,
        }
        match frame["event"]:
            case "underlying_update":
                return UnderlyingUpdate(
                    **about, product=data["product"], price=data["price"], volume=data["volume"]
                )
            case "chain_summary":
                return ChainSummary(**about, head=MappingProxyType(data))
            case "surface_update":
                return SurfaceUpdate(**about, product=data["product"], slices=tuple(data["slices"]))
            case _:
                return _chain_update(stream, frame, about)


class Rooms:
    """All rooms of a client, by name."""

    def __init__(self) -> None:
        self._states: dict[str, RoomState] = {}

    def __iter__(self) -> Any:
        return iter(self._states.values())

    def state(self, name: str) -> RoomState:
        """The room of that name, made where there is none."""
        return self._states.setdefault(name, RoomState(name))

    def forget(self, name: str) -> None:
        """A room has been left."""
        self._states.pop(name, None)

    def take(self, frame: Mapping[str, Any]) -> list[Event]:
        """A frame that is no answer."""
        if frame["event"] == "heartbeat":
            return [
                event
                for name, seqs in frame["seqs"].items()
                if name in self._states
                for event in self._states[name].heartbeat(seqs)
            ]
        room = frame.get("room")
        if room not in self._states:
            return []  # left meanwhile
        if frame["event"] == "market_status":
            return [
                MarketStatus(
                    room=room,
                    product=frame["product"],
                    status=frame["status"],
                    reason=frame["reason"],
                    since=frame["since"],
                )
            ]
        return self._states[room].take(frame)


_NONE: Final = float("nan")


def _chain_update(stream: _Stream, frame: Mapping[str, Any], about: Mapping[str, Any]) -> ChainUpdate | None:
    data = frame["data"]
    key = (data["root"], data["expiry"])
    held = stream.chains.get(key)
    rows: tuple[int, ...] | None = None
    if frame["kind"] == "delta":
        if held is None or held[0] != data["base"]:
            return None
        rows = tuple(data["rows"])
        columns = dict(held[1].columns)
        for name, values in data["columns"].items():
            column = columns[name].copy()
            column[list(rows)] = _column(values)
            columns[name] = column
        chain = _chain({**held[1].head, **data["head"]}, columns, frame["ts"])
    else:
        head = {name: value for name, value in data.items() if name != "columns"}
        chain = _chain(head, {name: _column(values) for name, values in data["columns"].items()}, frame["ts"])
    if held is None or chain.ts >= held[1].ts:
        stream.chains[key] = (frame.get("own", 0) if frame["kind"] == "snapshot" else frame["seq"], chain)
    return ChainUpdate(**about, chain=chain, rows=rows)


def _chain(head: dict[str, Any], columns: dict[str, Any], ts: int) -> Chain:
    for column in columns.values():
        column.flags.writeable = False
    return Chain(head=MappingProxyType(head), columns=MappingProxyType(columns), ts=ts)


def _column(values: list[float | None]) -> Any:
    return np.array([_NONE if value is None else value for value in values], dtype=np.float64)
