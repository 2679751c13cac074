"""Where rooms and their members stand: what a room shows of a stream, and what somebody has missed of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from deltastream.messages import EnrichedChain, Message
from deltastream.sockets import events as e
from deltastream.sockets.commands import Resume
from deltastream.sockets.rooms import GENERAL, Room
from deltastream.sockets.streams import Entry, Stream

__all__ = ["Since", "joined", "missed", "most", "seen_by", "shown", "takes"]

MOST_RESUMED: Final = {"product": 1000, "chain": 64, "surface": 64}
"""The most messages of a stream that are sent again; who has missed more is given a snapshot."""

RESUMED_BYTES: Final = 4 << 20
"""The most that is sent again, as sizes of columns."""

Since = list[tuple[Stream, list[Entry], int]]
"""By stream what somebody has missed, and since when."""


def joined(room: Room, streams: Sequence[Stream], since: Since | None) -> e.Joined:
    places = {stream.name: stream.at(stream.seq) for stream in streams}
    for stream, entries, seen in since or ():
        places[stream.name] = stream.at(entries[-1].seq if entries else seen)
    mode: Literal["snapshot", "resumed"] = "snapshot" if since is None else "resumed"
    if room == GENERAL:
        return e.Joined(room=str(room), mode=mode, streams=places)
    place = places[streams[0].name]
    return e.Joined(room=str(room), mode=mode, epoch=place.epoch, seq=place.seq)


def missed(
    room: Room,
    streams: Sequence[Stream],
    resume: Resume | None,
    read: Mapping[str, Sequence[tuple[int, Message]]],
) -> Since | None:
    """What somebody who resumes has missed; None where it must be given a snapshot."""
    if resume is not None and room == GENERAL and not resume.streams.keys() <= {one.name for one in streams}:
        return None  # nobody knows what is missing of a stream that is not there any more
    found: Since = []
    for stream in streams if resume is not None else ():
        assert resume is not None  # else there is no stream here
        seen = seen_by(room, stream, resume)
        entries = None if seen is None else _since(stream, seen, read.get(stream.name, ()))
        if seen is None or entries is None:
            return None
        found.append((stream, [entry for entry in entries if takes(room, entry)], seen))
    return found or None


def seen_by(room: Room, stream: Stream, resume: Resume) -> int | None:
    """The seq of a stream that somebody has seen; None where it is void, or cannot be."""
    place = resume.streams.get(stream.name) if room == GENERAL else resume
    if place is None or not stream.epoch or place.epoch != stream.at(place.seq).epoch:
        return None
    return place.seq if stream.floor <= place.seq <= stream.seq else None


def shown(room: Room, stream: Stream) -> int:
    """The seq of the last message of a stream that a room has shown, or would have, as far as is known.

    Whoever has seen more of the stream has missed nothing: no message in between is of the room.
    """
    if room.kind != "chain" or (room.expiry is None and room.symbol == stream.product):
        return stream.seq
    known = [entry.seq for entry in stream.state() if takes(room, entry)]
    return max([stream.floor, *known])


def _since(stream: Stream, seen: int, read: Sequence[tuple[int, Message]]) -> list[Entry] | None:
    """Every message that somebody has not seen; None where there are too many, or some are not to be had."""
    if stream.seq - seen > most(stream):
        return None
    entries = stream.past(seen)
    if entries is None:
        entries = _read_again(stream, seen, read)
    too_much = entries is None or sum(entry.size for entry in entries) > RESUMED_BYTES
    return None if too_much else entries


def _read_again(stream: Stream, seen: int, read: Sequence[tuple[int, Message]]) -> list[Entry] | None:
    """What was read from the log, and what has come since; None where something is missing between."""
    older = [Entry(seq, message, None) for seq, message in read if seq > seen]
    newer = stream.past(older[-1].seq) if older else None
    if newer is None or [entry.seq for entry in older] != list(range(seen + 1, older[-1].seq + 1)):
        return None
    return older + newer


def takes(room: Room, entry: Entry) -> bool:
    """Whether a room shows a message of one of its streams."""
    message = entry.message
    if room.kind != "chain" or not isinstance(message, EnrichedChain):
        return True
    return room.symbol in (message.product, message.root) and room.expiry in (None, message.expiry)


def most(stream: Stream) -> int:
    return MOST_RESUMED[stream.kind]
