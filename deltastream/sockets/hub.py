"""All rooms and who is in them: messages go in, frames for members come out.

It knows no socket and never waits. A message is encoded once for each form in which somebody in a
room wants it, however many there are; `fanout` carries the frames to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from deltastream.bus.protocol import Gap, Record
from deltastream.messages import EnrichedChain, MarketStatus, Message, Position
from deltastream.sockets import events as e
from deltastream.sockets._frames import Frames, nothing_frame, status_frame
from deltastream.sockets._places import joined, missed, most, seen_by, shown, takes
from deltastream.sockets.commands import Resume
from deltastream.sockets.events import Place
from deltastream.sockets.fanout import Channel, Fanout, Form, Member, Positions
from deltastream.sockets.rooms import GENERAL, Room
from deltastream.sockets.streams import Entry, Stream, stream_name

__all__ = ["Hub", "Missing", "NotThere"]

ANSWER_BYTES: Final = 1 << 20
"""Of what somebody lacks so much is handed over at once; the rest when that has left."""


class NotThere(LookupError):
    """There is no such room; the text says which there are."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What somebody has missed and the hub does not remember: to be read from the log.

    Attributes:
        stream, topic, epoch: of which.
        after, until: seqs, exclusive and inclusive.
    """

    stream: str
    topic: str
    epoch: str
    after: int
    until: int


@dataclass(slots=True, eq=False)
class _Open:
    """A room that somebody is in.

    Attributes:
        positions: where it stands: the last message of each stream that it has shown, or would have;
            replaced, never changed.
    """

    room: Room
    positions: Positions
    channels: dict[tuple[Form, bool], Channel] = field(default_factory=dict)


class Hub:
    """The rooms.

    Attributes:
        fanout: carries its frames.
        streams: by name.
        whole: all that is known elsewhere of the state it began with is known to it.

    Args:
        answer_bytes: the most that is handed to somebody at once of what it lacks, save that a message or
            the snapshot of a stream goes as a whole.
    """

    def __init__(self, answer_bytes: int = ANSWER_BYTES) -> None:
        self._answer_bytes = answer_bytes
        self.fanout = Fanout(self)
        self.streams: dict[str, Stream] = {}
        self.whole = True
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

    def complete(self, state: Iterable[tuple[str, Message]]) -> None:
        """What could not be asked for at the beginning has come: topics and messages without a position.

        Streams of which some may have been missing begin anew.
        """
        self.whole = True
        missed = dict[Stream, None]()
        for topic, message in state:
            if isinstance(message, MarketStatus):
                self._take_status(message)
            elif (name := stream_name(message)) is not None and self._stream(name, topic).learn(message):
                missed[self.streams[name]] = None
        for stream in self.streams.values():
            if not stream.whole or stream in missed:
                stream.whole = True
                self._begin_anew(stream, Position(stream.epoch, stream.seq), "trimmed")

    def take(self, item: Record | Gap) -> None:
        """The next message of a topic, or word that some are missing."""
        if isinstance(item, Gap):
            if (stream := self._by_topic.get(item.topic)) is not None:
                self._begin_anew(stream, item.after, item.reason)
            return
        message = item.message
        if isinstance(message, MarketStatus):
            self._take_status(message)
        elif (name := stream_name(message)) is not None:
            stream, position = self._stream(name, item.topic), item.position
            before = Position(position.epoch, position.seq - 1)
            if not (stream.epoch or stream.state()):
                stream.epoch, stream.seq = before.epoch, before.seq
            elif stream.epoch != position.epoch:
                self._begin_anew(stream, before, "epoch_changed")
            elif position.seq <= stream.seq:
                return  # seen
            elif position.seq != stream.seq + 1:
                self._begin_anew(stream, before, "lost")
            entry = stream.take(position.seq, message)
            for opened in self._readers[name].values():
                if takes(opened.room, entry):
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
            seen = seen_by(room, stream, resume)
            if seen is not None and stream.past(seen) is None and stream.seq - seen <= most(stream):
                found.append(Missing(stream.name, stream.topic, stream.epoch, seen, stream.seq))
        return found

    def enter(
        self,
        member: Member,
        room: Room,
        *,
        full: bool = False,
        resume: Resume | None = None,
        read: Mapping[str, Sequence[tuple[int, Message]]] | None = None,
    ) -> tuple[e.Joined, Callable[[bool], None]]:
        """Let a member into a room that it is not in.

        Args:
            full: it wants whole chains always.
            resume: what it has seen.
            read: what was read from the log, by stream, where something was `missing`.

        Returns:
            The answer, and what to call as soon as that has been handed over, before anything else is
            taken: it hands over what the member lacks, and everything from then on. With True, or where
            the member is blocked, or lacks too much, what it lacks is handed over later, as of who has
            fallen behind.

        Raises:
            NotThere: there is no such room.
        """
        streams = self._streams_of(room)
        opened = self._opened(room, streams)
        since = missed(room, streams, resume, read or {})
        channel = self._channel(opened, member.form, full)

        def begin(later: bool) -> None:
            if member.gone:
                pass  # closed, for what it was told of other rooms was too much
            elif later or member.blocked or (frames := lacking()) is None:
                after = {stream.name: stream.at(seen) for stream, _, seen in since or ()}
                self.fanout.enter(member, [channel])
                self.fanout.put_behind(member, channel, after)
            else:
                self.fanout.tell(member, frames + self._standing(channel, streams))
                self.fanout.enter(member, [channel])
            if member.gone:
                self._close([channel])

        def lacking() -> list[bytes] | None:
            frames: list[bytes] = []
            room = self._answer_bytes
            for stream, entries, seen in since or ():
                for frame in self._several(channel, stream, entries, seen):
                    room -= len(frame)
                    if room < 0:
                        return None
                    frames.append(frame)
            for stream in streams if since is None else ():
                frames += self._snapshot(channel, stream, None)
            return frames

        return joined(room, streams, since), begin

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
        """Where a member stands in each of its rooms, once it has been given what is on its way to it."""
        self.fanout.settle(member)
        seqs: dict[str, int | dict[str, int]] = {}
        for channel in sorted(_channels(member), key=_room_name):
            places = member.behind.get(channel, self._rooms[channel.room].positions)
            by_stream = {name: place.seq for name, place in places.items()}
            if channel.room == GENERAL:
                seqs[str(channel.room)] = by_stream
            elif by_stream:
                (seqs[str(channel.room)],) = by_stream.values()
        return seqs

    def owed(self, channel: Channel, after: Positions) -> tuple[list[bytes], Positions | None]:
        """The newest state of whatever a channel has published after a position; see `fanout.Catchup`."""
        frames: list[bytes] = []
        opened, reached = self._rooms[channel.room], dict(after)
        streams = [self.streams[name] for name in opened.positions]
        room = self._answer_bytes
        for stream in streams:
            present = opened.positions[stream.name]
            for place, some in self._news(channel, stream, present, after.get(stream.name)):
                room -= sum(map(len, some))
                if room < 0 and frames:
                    return frames, reached
                frames += some
                reached[stream.name] = place
        return frames + self._standing(channel, streams), None

    def _news(
        self, channel: Channel, stream: Stream, place: Place, before: Place | None
    ) -> Iterator[tuple[Place, list[bytes]]]:
        """What brings somebody who has fallen behind in a stream from there to the present, and how far."""
        if before is None:
            yield place, self._snapshot(channel, stream, None)
        elif before.epoch != place.epoch or before.seq < stream.floor:
            yield place, self._snapshot(channel, stream, stream.reason)
        elif before.seq < place.seq:
            changed = [entry for entry in stream.changed(before.seq) if takes(channel.room, entry)]
            if changed and changed[-1].seq == place.seq:
                frames = self._several(channel, stream, changed, before.seq)
                for entry, frame in zip(changed, frames, strict=True):
                    yield Place(place.epoch, entry.seq), [frame]
            else:  # the last that came has changed no state, or has expired
                yield place, self._snapshot(channel, stream, None)

    def _stream(self, name: str, topic: str) -> Stream:
        stream = self.streams.get(name)
        if stream is None:
            whole = self.whole or not name.startswith("chain:")
            stream = self.streams[name] = self._by_topic[topic] = Stream(name, topic, whole=whole)
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
            positions = {stream.name: stream.at(shown(room, stream)) for stream in streams}
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
                self._publish_status(opened, status)

    def _publish_status(self, opened: _Open, status: MarketStatus) -> None:
        for channel in opened.channels.values():
            if channel.groups:
                frame = status_frame(opened.room, status, channel.form)
                self.fanout.publish(channel, frame, opened.positions)

    def _publish(self, opened: _Open, stream: Stream, entry: Entry) -> None:
        before = opened.positions
        place = before.get(stream.name)
        if place is None:
            self._show(opened, stream)
        else:
            frames = Frames(opened.room, stream, entry)
            opened.positions = {**before, stream.name: stream.at(entry.seq)}
            for channel in opened.channels.values():
                if channel.groups:
                    frame = frames.update(channel.form, place.seq + 1, whole=channel.full)
                    self.fanout.publish(channel, frame, before)

    def _show(self, opened: _Open, stream: Stream) -> None:
        """Begin with a stream that nobody in a room has heard of."""
        self._publish_state(opened, stream, None)
        if stream.product in self._statuses:
            self._publish_status(opened, self._statuses[stream.product])

    def _publish_state(self, opened: _Open, stream: Stream, reason: str | None) -> None:
        """Give everybody in a room the state of a stream, which needs nothing before it."""
        before = opened.positions
        opened.positions = {**before, stream.name: stream.at(stream.seq)}
        for channel in opened.channels.values():
            if channel.groups:
                for frame in self._snapshot(channel, stream, reason):
                    self.fanout.publish(channel, frame, before)

    def _begin_anew(self, stream: Stream, after: Position, reason: str) -> None:
        """Some messages will never be seen: everybody is given a snapshot that says why."""
        stream.begin(after.epoch, after.seq, reason)
        for opened in self._readers[stream.name].values():
            if stream.name in opened.positions:
                self._publish_state(opened, stream, reason)
            else:
                self._show(opened, stream)

    def _snapshot(self, channel: Channel, stream: Stream, reason: str | None) -> list[bytes]:
        """The state of a stream in a room, which is complete up to where the stream stands."""
        entries = [entry for entry in stream.state() if takes(channel.room, entry)]
        place = stream.at(stream.seq)
        if not entries:
            return [nothing_frame(channel.room, stream, channel.form, place, reason)]
        return [
            Frames(channel.room, stream, entry).snapshot(channel.form, place, (part, len(entries)), reason)
            for part, entry in enumerate(entries, start=1)
        ]

    def _several(
        self, channel: Channel, stream: Stream, entries: Sequence[Entry], seen: int
    ) -> Iterator[bytes]:
        """Updates one after another, for somebody who has seen a position.

        A chain is sent as what it changes only where that is among them: who was lost while it caught up
        may stand at a position without all that led there.
        """
        sent = set[int]()
        for entry in entries:
            update = Frames(channel.room, stream, entry)
            whole = channel.full or entry.base not in sent
            yield update.update(channel.form, seen + 1, whole=whole)
            sent.add(entry.seq)
            seen = entry.seq

    def _standing(self, channel: Channel, streams: Sequence[Stream]) -> list[bytes]:
        """The market status of every product of a room."""
        products = dict.fromkeys(stream.product for stream in streams)
        known = [self._statuses[product] for product in products if product in self._statuses]
        return [status_frame(channel.room, status, channel.form) for status in known]


def _shown_in_general(stream: Stream) -> bool:
    return not stream.name.startswith("surface:")


def _channels(member: Member) -> list[Channel]:
    return [] if member.group is None else list(member.group.channels)


def _room_name(channel: Channel) -> str:
    return str(channel.room)
