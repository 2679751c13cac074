"""Frames of one message in one room, each made once for all who want it alike."""

from __future__ import annotations

from typing import Final

from deltastream.messages import MarketStatus
from deltastream.sockets import events as e
from deltastream.sockets.events import Place, encode
from deltastream.sockets.fanout import Form
from deltastream.sockets.rooms import GENERAL, Room
from deltastream.sockets.streams import Entry, Stream
from deltastream.sockets.updates import Body, microseconds, status_data

__all__ = ["Frames", "nothing_frame", "status_frame"]

_UPDATE: Final[dict[str, type[e.Update]]] = {
    "product": e.UnderlyingUpdate,
    "chain": e.ChainUpdate,
    "surface": e.SurfaceUpdate,
}
_NOTHING: Final = Body(lambda: None)


class Frames:
    """One message of a stream, as it is sent to a room."""

    __slots__ = ("_entry", "_made", "_room", "_stream")

    def __init__(self, room: Room, stream: Stream, entry: Entry) -> None:
        self._room = room
        self._stream = stream
        self._entry = entry
        self._made: dict[tuple[Form, bool], bytes] = {}

    def update(self, form: Form, first: int, *, whole: bool) -> bytes:
        """The message, or for a chain what it changes, unless the whole is wanted."""
        if (frame := self._made.get((form, whole))) is None:
            body, kind = self._body(whole)
            event = self._event(form, body, kind=kind, first=first, seq=self._entry.seq)
            frame = self._made[form, whole] = event
        return frame

    def snapshot(self, form: Form, place: Place, part: tuple[int, int], reason: str | None) -> bytes:
        """The message as a part of the state at a position."""
        body = self._body(True)[0]
        return self._event(
            form,
            body,
            kind="snapshot",
            first=None,
            seq=place.seq,
            epoch=place.epoch,
            part=part,
            own=self._entry.seq or None,
            reason=reason,
        )

    def _body(self, whole: bool) -> tuple[Body, str | None]:
        entry = self._entry
        if entry.summary is None:
            return entry.full, None
        if self._room == GENERAL:
            return entry.summary, None
        if not whole and (delta := entry.delta()) is not None:
            return delta, "delta"
        return entry.full, "full"

    def _event(self, form: Form, body: Body, **fields: object) -> bytes:
        return _event(self._room, self._stream, form, ts=self._entry.ts, body=body, **fields)


def nothing_frame(room: Room, stream: Stream, form: Form, place: Place, reason: str | None) -> bytes:
    """The state at a position where there is nothing that a room shows of a stream."""
    return _event(
        room,
        stream,
        form,
        ts=stream.newest,
        body=_NOTHING,
        kind="snapshot",
        first=None,
        seq=place.seq,
        epoch=place.epoch,
        part=(0, 0),
        reason=reason,
    )


def _event(room: Room, stream: Stream, form: Form, *, ts: int, body: Body, **fields: object) -> bytes:
    several = room == GENERAL
    kind = _UPDATE[stream.kind]
    event = (e.ChainSummary if several and kind is e.ChainUpdate else kind)(
        room=str(room),
        stream=stream.name if several else None,
        ts=microseconds(ts),
        data=body.raw(form.encoding),
        **fields,  # type: ignore[arg-type]  # as named by the three above
    )
    return form.wrap(encode(event, form.encoding))


def status_frame(room: Room, status: MarketStatus, form: Form) -> bytes:
    """Word of a market's status."""
    event = e.MarketStatusEvent(room=str(room), **status_data(status))
    return form.wrap(encode(event, form.encoding))
