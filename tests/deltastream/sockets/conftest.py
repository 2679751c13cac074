"""Chains to send, and what a client is to make of what it gets: a model that knows the rules alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from deltastream.messages import (
    ENRICHED_COLUMNS,
    EnrichedChain,
    MarketStatus,
    Message,
    SurfaceSlice,
    UnderlyingTick,
    VolatilitySurface,
)
from deltastream.sim.sockets.follower import changed

S = 1_000_000_000
T0 = 1_795_156_200 * S
"""Friday 2026-11-20, 12:00 in Kolkata."""
DAY = 86_400 * S
EXPIRIES = {"2026-11-24": T0 + 4 * DAY, "2026-12-01": T0 + 11 * DAY, "2026-12-29": T0 + 39 * DAY}


def make_chain(
    ts: int = T0,
    *,
    product: str = "NIFTY",
    root: str | None = None,
    expiry: str = "2026-11-24",
    strikes: int = 3,
    columns: Any = None,
    **head: Any,
) -> EnrichedChain:
    """A chain of small whole numbers; `columns` is the matrix itself."""
    matrix = np.zeros((len(ENRICHED_COLUMNS), strikes)) if columns is None else columns
    if columns is None:
        matrix[0] = np.arange(1, strikes + 1)
    about: dict[str, Any] = {
        "product": product,
        "root": root or product,
        "expiry": expiry,
        "expiry_ts": EXPIRIES.get(expiry, T0 + DAY),
        "ts_event": ts,
        "ts_recv": ts,
        "currency": "INR",
        "multiplier": 1.0,
        "exercise": "european",
        "settlement": "cash",
        "oi_unit": "contracts",
        "volume_unit": "contracts",
        "oi_cadence": "3min",
        "spot": 2.0,
        "rate": 0.06,
        "rate_source": "configured",
    }
    return EnrichedChain(**{**about, **head}, columns=matrix)


def make_tick(ts: int = T0, price: float = 1.0, product: str = "NIFTY") -> UnderlyingTick:
    return UnderlyingTick(product=product, price=price, ts_event=ts, ts_recv=ts)


def make_status(ts: int = T0, status: str = "open", product: str = "NIFTY") -> MarketStatus:
    return MarketStatus(product=product, status=status, reason="because", since=ts, ts_event=ts, ts_recv=ts)


@dataclass
class _Stream:
    epoch: str
    seq: int
    state: dict[Any, tuple[int, int, Any]] = field(default_factory=dict)
    """By key: own seq, time, data."""
    whole: bool = False
    """Whether all of the snapshot that it began with has come."""
    amid: bool = False
    """Whether some of it has, and more is to come."""


class ModelClient:
    """A client by the rules of the protocol, written without looking at ours.

    Anything that a server must not do is an AssertionError.

    Attributes:
        rooms: by room and stream.
        statuses: by room and product.
        told: positions of heartbeats, as they came.
    """

    def __init__(self) -> None:
        self.rooms: dict[str, dict[str, _Stream]] = {}
        self.statuses: dict[tuple[str, str], str] = {}
        self.updates = 0
        self.snapshots: list[str | None] = []
        self.asked: dict[str, None] = {}
        """Rooms that it has asked for: it asks for none again before the answer has come."""

    def ask(self, room: str) -> None:
        """It asks to enter a room: what comes of it before the answer is of an earlier stay."""
        self.asked[room] = None

    def refused(self, room: str) -> None:
        """It was not let into a room, in which it was not."""
        self.asked.pop(room, None)

    def resume(self, room: str) -> dict[str, Any] | None:
        """What to send as the position of a room."""
        streams = self.rooms.get(room)
        if not streams or not all(one.whole for one in streams.values()):
            return None
        places = {name: {"epoch": one.epoch, "seq": one.seq} for name, one in streams.items()}
        return places[room] if list(places) == [room] else {"streams": places}

    def take(self, frame: dict[str, Any]) -> None:
        """A frame has come."""
        kind = frame["event"]
        if kind == "subscribed":
            for joined in frame["ok"]:
                self._joined(joined)
        elif kind == "market_status":
            self.statuses[frame["room"], frame["product"]] = frame["status"]
        elif kind == "heartbeat":
            self._heartbeat(frame["seqs"])
        elif kind.endswith(("_update", "_summary")):
            self._update(frame)

    def _joined(self, joined: dict[str, Any]) -> None:
        room = joined["room"]
        self.asked.pop(room, None)
        if joined["mode"] == "snapshot":
            places = joined.get("streams", {room: joined})
            self.rooms[room] = {name: _Stream(one["epoch"], one["seq"]) for name, one in places.items()}
        else:
            assert room in self.rooms

    def _heartbeat(self, seqs: dict[str, Any]) -> None:
        for room, told in seqs.items():
            for name, seq in (told if isinstance(told, dict) else {room: told}).items():
                if room in self.asked:
                    continue
                assert seq <= self.rooms[room][name].seq, f"{room}: told {seq}, was brought less far"

    def _update(self, frame: dict[str, Any]) -> None:
        room, name = frame["room"], frame.get("stream", frame["room"])
        if room in self.asked:
            return
        streams = self.rooms[room]
        self.updates += 1
        if frame.get("kind") == "snapshot":
            part, of = frame["part"]
            assert 1 <= part <= of or (part, of, frame["data"]) == (0, 0, None)
            if part <= 1:
                streams[name] = _Stream(frame["epoch"], frame["seq"])
                self.snapshots.append(frame.get("reason"))
            stream = streams[name]
            assert (stream.epoch, stream.seq) == (frame["epoch"], frame["seq"])
            stream.whole, stream.amid = part == of, part != of
            if part == 0:
                return
            self._hold(stream, frame, frame.get("own", 0), frame["data"])
            return
        stream = streams[name]
        assert not stream.amid, "an update amid a snapshot"
        stream.whole = True
        assert frame["seq"] > stream.seq, f"{room}: {frame['seq']} comes again after {stream.seq}"
        assert frame["first"] <= stream.seq + 1, f"{room}: {frame['first']} after {stream.seq}: a gap"
        assert frame["first"] <= frame["seq"]
        stream.seq = frame["seq"]
        data = frame["data"]
        if frame.get("kind") == "delta":
            own, _, base = stream.state[data["root"], data["expiry"]]
            assert own == data["base"], f"{room}: changes {data['base']}, has {own}"
            data = changed(base, data)
        self._hold(stream, frame, frame["seq"], data)

    def _hold(self, stream: _Stream, frame: dict[str, Any], own: int, data: Any) -> None:
        key = (data["root"], data["expiry"]) if "expiry" in data else ()
        held = stream.state.get(key)
        if held is None or frame["ts"] >= held[1]:
            stream.state[key] = (own, frame["ts"], data)


@pytest.fixture(scope="session")
def chain() -> Callable[..., EnrichedChain]:
    return make_chain


@pytest.fixture(scope="session")
def tick() -> Callable[..., UnderlyingTick]:
    return make_tick


@pytest.fixture(scope="session")
def status() -> Callable[..., MarketStatus]:
    return make_status


@pytest.fixture(scope="session")
def surface() -> Callable[..., Message]:
    def make(ts: int = T0, product: str = "NIFTY", iv: float = 0.2) -> VolatilitySurface:
        one = SurfaceSlice(
            root=product,
            expiry="2026-11-24",
            t=0.01,
            forward=2.0,
            atm_iv=iv,
            avg_iv=None,
            ts_event=ts,
            strikes=(1.0, 2.0),
            ivs=(None, iv),
        )
        return VolatilitySurface(product=product, slices=(one,), ts_event=ts, ts_recv=ts)

    return make


@pytest.fixture(scope="session")
def model_client() -> type[ModelClient]:
    return ModelClient


@pytest.fixture(scope="session")
def apply_change() -> Callable[..., Any]:
    return changed
