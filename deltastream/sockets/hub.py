"""All rooms and who is in them: messages go in, frames for members come out.

It knows no socket and never waits. A message is encoded once for each form in which somebody in a
room wants it, however many there are; `fanout` carries the frames to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from deltastream.bus.protocol import Gap, Record
from deltastream.messages import EnrichedChain, MarketStatus, Message, Position
from deltastream.sockets import events as e
from deltastream.sockets._frames import Frames, status_frame
from deltastream.sockets.commands import Resume
from deltastream.sockets.events import Place
from deltastream.sockets.fanout import Channel, Fanout, Form, Member, Positions
from deltastream.sockets.rooms import GENERAL, Room
from deltastream.sockets.streams import Entry, Stream, stream_name

__all__ = ["Hub", "Missing", "NotThere"]

MOST_RESUMED: Final = {"product": 1000, "chain": 64, "surface": 64}
"""The most messages of a stream that are sent again; who has missed more is given a snapshot."""


class NotThere(LookupError):
    """There is no such room; the text says which there are."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What somebody has missed and the hub does not remember: to be read from the log.

    Attributes:
        stream, topic: of which.
        after, until: seqs, exclusive and inclusive.
    """

    stream: str
    topic: str
    after: int
    until: int


@dataclass(slots=True, eq=False)
class _Open:
    """A room that somebody is in.

    Attributes:
        positions: where it stands; replaced, never changed.
    """

    room: Room
    positions: Positions
    channels: dict[tuple[Form, bool], Channel] = field(default_factory=dict)


class Hub:
    """The rooms.

    Attributes:
        fanout: carries its frames.
        streams: by name.
    """

    def __init__(self) -> None:
        self.fanout = Fanout(self)
        self.streams: dict[str, Stream] = {}
        self._by_topic: dict[str, Stream] = {}
        self._statuses: dict[str, MarketStatus] = {}
        self._rooms: dict[Room, _Open] = {}
        self._readers: dict[str, dict[Room, _Open]] = {}

    @property
    def open_rooms(self) -> int:
        """How many rooms somebody is in."""
        return len(self._rooms)

    def recall(self, topic: str, position: Position, state: Sequence[tuple[int, Message]]) -> None:
        """Begin with a state that was read elsewhere.

        Args:
            topic: on the bus.
            position: where following it goes on.
            state: seqs (0 where they are not known) and messages of that topic.
        """
        for _, message in state:
            if isinstance(message, MarketStatus):
                self._statuses[message.product] = message
            elif (name := stream_name(message)) is not None:
                self._stream(name, topic).recall(position.epoch, position.seq, state)
                return

    def take(self, item: Record | Gap) -> None:
        """The next message of a topic, or word that some are missing."""
        if isinstance(item, Gap):
            if item.reason != "epoch_changed" and (stream := self._by_topic.get(item.topic)) is not None:
                self._begin_anew(stream, item.epoch, item.last, item.reason)
            return
        message = item.message
        if isinstance(message, MarketStatus):
            self._take_status(message)
        elif (name := stream_name(message)) is not None:
            stream, position = self._stream(name, item.topic), item.position
            if stream.epoch and stream.epoch != position.epoch:
                self._begin_anew(stream, position.epoch, position.seq - 1, "epoch_changed")
            stream.epoch = position.epoch
            entry = stream.take(position.seq, message)
            for opened in self._readers[name].values():
                if _takes(opened.room, entry):
                    self._publish(opened, stream, entry)

    def products(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """By product its roots and their live expiries, nearest first."""
        found: dict[str, dict[str, list[str]]] = {}
        for name in sorted(self.streams):
            roots = found.setdefault(self.streams[name].product, {})
            for entry in self.streams[name].state():
                if isinstance(entry.message, EnrichedChain):
                    roots.setdefault(entry.message.root, []).append(entry.message.expiry)
        return {
            product: {root: tuple(sorted(expiries)) for root, expiries in sorted(roots.items())}
            for product, roots in found.items()
        }

    def missing(self, room: Room, resume: Resume) -> list[Missing]:
        """What has to be read from the log before a room can be entered there.

        Raises:
            NotThere: there is no such room.
        """
        found = []
        for stream in self._streams_of(room):
            seen = _seen(room, stream, resume)
            if seen is not None and stream.past(seen) is None and stream.seq - seen <= _most(stream):
                found.append(Missing(stream.name, stream.topic, seen, stream.seq))
        return found

    def enter(
        self,
        member: Member,
        room: Room,
        *,
        full: bool = False,
        resume: Resume | None = None,
        read: Mapping[str, Sequence[tuple[int, Message]]] | None = None,
    ) -> tuple[e.Joined, Callable[[], None]]:
        """Let a member into a room.

        Args:
            full: it wants whole chains always.
            resume: what it has seen.
            read: what was read from the log, by stream, where something was `missing`.

        Returns:
            The answer, and what to call as soon as that has been handed over, before anything else is
            taken: it hands over what the member lacks, and everything from then on.

        Raises:
            NotThere: there is no such room.
        """
        streams = self._streams_of(room)
        opened = self._opened(room, streams)
        since: list[tuple[Stream, list[Entry], int]] = []
        for stream in streams if resume is not None else ():
            seen = _seen(room, stream, resume or Resume())
            entries = None if seen is None else _since(stream, seen, (read or {}).get(stream.name, ()))
            if seen is not None and entries is not None:
                since.append((stream, [entry for entry in entries if _takes(room, entry)], seen))
        resumed = bool(streams) and len(since) == len(streams)
        channel = self._channel(opened, member.form, full)

        def begin() -> None:
            frames: list[bytes] = []
            for stream, entries, seen in since if resumed else ():
                frames += self._several(channel, stream, entries, seen)
            for stream in () if resumed else streams:
                frames += self._snapshot(channel, opened, stream, None)
            frames += self._standing(channel, streams)
            self.fanout.tell(member, frames)
            self.fanout.enter(member, [channel])

        return _joined(opened, streams, "resumed" if resumed else "snapshot"), begin

    def leave(self, member: Member, room: Room) -> None:
        """Let a member out of a room; nothing where it is not in it."""
        left = [channel for channel in _channels(member) if channel.room == room]
        self.fanout.leave(member, left)
        self._close(left)

    def remove(self, member: Member) -> None:
        """A member has closed."""
        left = _channels(member)
        self.fanout.remove(member)
        self._close(left)

    def rooms(self, member: Member) -> list[Room]:
        """The rooms that a member is in."""
        return sorted((channel.room for channel in _channels(member)), key=str)

    def standing(self, member: Member) -> dict[str, int | dict[str, int]]:
        """Where a member stands in each of its rooms, by what has been handed over to it."""
        seqs: dict[str, int | dict[str, int]] = {}
        for channel in sorted(_channels(member), key=_room_name):
            places = self.fanout.standing(member, channel, self._rooms[channel.room].positions)
            by_stream = {name: place.seq for name, place in places.items()}
            several = channel.room == GENERAL
            seqs[str(channel.room)] = by_stream if several else next(iter(by_stream.values()), 0)
        return seqs

    def owed(self, channel: Channel, after: Positions) -> list[bytes]:
        """The newest state of whatever a channel has published after a position; see `fanout.Catchup`."""
        opened = self._rooms[channel.room]
        frames: list[bytes] = []
        for name, place in opened.positions.items():
            stream, before = self.streams[name], after.get(name)
            if before is None or before.epoch != place.epoch:
                frames += self._snapshot(channel, opened, stream, "epoch_changed" if before else None)
            else:
                changed = [entry for entry in stream.changed(before.seq) if _takes(channel.room, entry)]
                frames += self._several(channel, stream, changed, before.seq, whole=True)
        return frames

    def _stream(self, name: str, topic: str) -> Stream:
        stream = self.streams.get(name)
        if stream is None:
            stream = self.streams[name] = self._by_topic[topic] = Stream(name, topic)
            self._readers[name] = {}
            if (general := self._rooms.get(GENERAL)) is not None and _shown_in_general(stream):
                self._readers[name][GENERAL] = general
        return stream

    def _streams_of(self, room: Room) -> list[Stream]:
        """The streams that a room shows.

        Raises:
            NotThere: there are none.
        """
        if room == GENERAL:
            return [one for one in self.streams.values() if _shown_in_general(one)]
        stream = self.streams.get(f"{room.kind}:{room.symbol}")
        if stream is None and room.kind == "chain":
            stream = next((one for one in self.streams.values() if one.has_root(room.symbol)), None)
        if stream is None:
            known = sorted({one.product for one in self.streams.values()})
            raise NotThere(
                f"There is no {room.kind} of {room.symbol}; there are {', '.join(known) or 'none'}."
            )
        return [stream]

    def _opened(self, room: Room, streams: Sequence[Stream]) -> _Open:
        opened = self._rooms.get(room)
        if opened is None:
            positions = {stream.name: Place(stream.epoch, stream.seq) for stream in streams}
            opened = self._rooms[room] = _Open(room, positions)
            for stream in streams:
                self._readers[stream.name][room] = opened
        return opened

    def _channel(self, opened: _Open, form: Form, full: bool) -> Channel:
        channel = opened.channels.get((form, full))
        if channel is None:
            channel = opened.channels[form, full] = Channel(opened.room, form, full)
        return channel

    def _close(self, channels: Sequence[Channel]) -> None:
        """Forget channels and rooms that nobody is in any more."""
        for channel in channels:
            opened = self._rooms.get(channel.room)
            if opened is None or channel.groups:
                continue
            opened.channels.pop((channel.form, channel.full), None)
            if not opened.channels:
                del self._rooms[channel.room]
                for readers in self._readers.values():
                    readers.pop(channel.room, None)

    def _take_status(self, status: MarketStatus) -> None:
        known = self._statuses.get(status.product)
        if known is not None and known.ts_event > status.ts_event:
            return
        self._statuses[status.product] = status
        for opened in self._rooms.values():
            if status.product in {self.streams[name].product for name in opened.positions}:
                for channel in opened.channels.values():
                    frame = status_frame(opened.room, status, channel.form)
                    self.fanout.publish(channel, frame, opened.positions)

    def _publish(self, opened: _Open, stream: Stream, entry: Entry) -> None:
        before = opened.positions
        first = before[stream.name].seq + 1 if stream.name in before else entry.seq
        frames = Frames(opened.room, stream, entry)
        opened.positions = {**before, stream.name: Place(stream.epoch, entry.seq)}
        for channel in opened.channels.values():
            if channel.groups:
                frame = frames.update(channel.form, first, whole=channel.full)
                self.fanout.publish(channel, frame, before)

    def _begin_anew(self, stream: Stream, epoch: str, seq: int, reason: str) -> None:
        """Some messages will never be seen: everybody is given a snapshot that says why."""
        stream.begin(epoch, seq)
        for opened in self._readers[stream.name].values():
            before = opened.positions
            opened.positions = {**before, stream.name: Place(epoch, seq)}
            for channel in opened.channels.values():
                for frame in self._snapshot(channel, opened, stream, reason):
                    self.fanout.publish(channel, frame, before)

    def _snapshot(self, channel: Channel, opened: _Open, stream: Stream, reason: str | None) -> list[bytes]:
        """The state of a stream in a room, at the position of the room."""
        entries = [entry for entry in stream.state() if _takes(channel.room, entry)]
        place = opened.positions.get(stream.name, Place(stream.epoch, stream.seq))
        return [
            Frames(channel.room, stream, entry).snapshot(channel.form, place, (part, len(entries)), reason)
            for part, entry in enumerate(entries, start=1)
        ]

    def _several(
        self, channel: Channel, stream: Stream, entries: Sequence[Entry], seen: int, *, whole: bool = False
    ) -> list[bytes]:
        """Updates one after another, for somebody who has seen a position."""
        frames = []
        for entry in entries:
            update = Frames(channel.room, stream, entry)
            frames.append(update.update(channel.form, seen + 1, whole=whole or channel.full))
            seen = entry.seq
        return frames

    def _standing(self, channel: Channel, streams: Sequence[Stream]) -> list[bytes]:
        """The market status of every product of a room."""
        products = dict.fromkeys(stream.product for stream in streams)
        known = [self._statuses[product] for product in products if product in self._statuses]
        return [status_frame(channel.room, status, channel.form) for status in known]


def _joined(opened: _Open, streams: Sequence[Stream], mode: Literal["snapshot", "resumed"]) -> e.Joined:
    name = str(opened.room)
    if opened.room == GENERAL:
        return e.Joined(room=name, mode=mode, streams=dict(opened.positions))
    place = opened.positions[streams[0].name]
    return e.Joined(room=name, mode=mode, epoch=place.epoch, seq=place.seq)


def _seen(room: Room, stream: Stream, resume: Resume) -> int | None:
    """The seq of a stream that somebody has seen; None where it is void, or cannot be."""
    place = resume.streams.get(stream.name) if room == GENERAL else resume
    if place is None or place.epoch != stream.epoch or place.seq > stream.seq:
        return None
    return place.seq


def _since(stream: Stream, seen: int, read: Sequence[tuple[int, Message]]) -> list[Entry] | None:
    """Every message that somebody has not seen; None where there are too many, or some are not to be had."""
    if stream.seq - seen > _most(stream):
        return None
    if (entries := stream.past(seen)) is not None:
        return entries
    older = [Entry(seq, message, None) for seq, message in read if seq > seen]
    newer = stream.past(older[-1].seq) if older else None
    if newer is None or [entry.seq for entry in older] != list(range(seen + 1, older[-1].seq + 1)):
        return None
    return older + newer


def _takes(room: Room, entry: Entry) -> bool:
    """Whether a room shows a message of one of its streams."""
    message = entry.message
    if room.kind != "chain" or not isinstance(message, EnrichedChain):
        return True
    return room.symbol in (message.product, message.root) and room.expiry in (None, message.expiry)


def _shown_in_general(stream: Stream) -> bool:
    return not stream.name.startswith("surface:")


def _most(stream: Stream) -> int:
    return MOST_RESUMED[stream.name.partition(":")[0]]


def _channels(member: Member) -> list[Channel]:
    return [] if member.group is None else list(member.group.channels)


def _room_name(channel: Channel) -> str:
    return str(channel.room)
