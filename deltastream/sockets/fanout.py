"""From rooms to sockets: each frame is made once and offered to every member without a task switch.

Members that are in exactly the same channels form a group. What is published gathers at the groups
concerned. A *lap* goes to each member of one group, and gives it all that the group has gathered since
it was last there, in one write: what is published amid a lap is given from there on, and to those
before in the next. So nothing waits for longer than a lap takes, however busy it is; and the busier,
the more frames leave together, and what each costs falls. Where members are few they are given it right
away.

A member whose socket takes nothing more is passed over, at no cost to anybody, and what it misses is
not kept: once it takes something again, `Catchup` gives it the newest state of one channel after the
other, each when what was given before has left.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

import trio

from deltastream.sockets.commands import Encoding
from deltastream.sockets.events import Place
from deltastream.sockets.rooms import Room

__all__ = ["Batch", "Catchup", "Channel", "Fanout", "Form", "Member", "Positions"]

Positions = Mapping[str, Place]
"""Where a room stands, by stream. Never changed once it has been handed out."""

BATCH_BYTES: Final = 256 << 10
"""What leaves in one write is no more, save by its last frame."""

BACKLOG_BYTES: Final = 16 << 20
"""With so much on its way no more is taken out of the log."""

_TURN_S: Final = 0.002
_LOOK_EVERY: Final = 8
_MOST_A_TURN: Final = 1024


class Form:
    """How members are spoken to; members of one form share every frame.

    Args:
        encoding: of payloads.
        wrap: makes what the transport sends out of a payload, such as a WebSocket frame.
    """

    __slots__ = ("encoding", "wrap")

    def __init__(self, encoding: Encoding, wrap: Callable[[bytes], bytes]) -> None:
        self.encoding: Encoding = encoding
        self.wrap = wrap


class Batch:
    """Frames that leave together."""

    __slots__ = ("_joined", "frames")

    def __init__(self, frames: Sequence[bytes]) -> None:
        self.frames = frames
        self._joined: bytes | None = None

    @property
    def joined(self) -> bytes:
        """All of them in one piece."""
        if self._joined is None:
            self._joined = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        return self._joined


class Channel:
    """One room in one form.

    Attributes:
        room: which.
        form: of its members.
        full: its members want whole chains always.
        groups: of those members.
    """

    __slots__ = ("form", "full", "groups", "room")

    def __init__(self, room: Room, form: Form, full: bool) -> None:
        self.room = room
        self.form = form
        self.full = full
        self.groups: dict[Group, None] = {}


class Member:
    """Who is in rooms. A transport derives its connections from it.

    Attributes:
        form: how it is spoken to.
        blocked: it is given nothing for now; once it holds nothing more, its transport calls
            `Fanout.catch_up`, until that says that it is blocked no more.
        gone: it has closed; nothing is offered to it any more.
        behind: where it stands in the channels of which it has missed something.
    """

    __slots__ = ("behind", "blocked", "form", "gone", "group", "upto")

    def __init__(self, form: Form) -> None:
        self.form = form
        self.blocked = False
        self.gone = False
        self.behind: dict[Channel, Positions] = {}
        self.group: Group | None = None
        self.upto = 0

    def offer(self, batch: Batch) -> bool:
        """Take a batch, at once.

        Returns:
            True if all of it has left or is held, False if nothing of it was taken. `blocked` is set
            where not all of it has left.
        """
        raise NotImplementedError

    def hold(self, batch: Batch) -> None:
        """Take a batch that must not be lost, such as an answer: what does not leave at once is held.

        Who holds too much already is closed.
        """
        raise NotImplementedError

    def block(self) -> None:
        """Become blocked, if it is not, and catch up soon."""
        raise NotImplementedError

    def missed(self) -> None:
        """It has been passed over."""


class Catchup(Protocol):
    """Tells what somebody who missed something is owed."""

    def owed(self, channel: Channel, after: Positions) -> tuple[list[bytes], Positions | None]:
        """Frames that bring a member of a channel from there to the present.

        Returns:
            The frames, and where they bring it to if that is not the present yet, so that no more wait
            for it at a time than may.
        """
        ...


class Group:
    """The members of exactly these channels, and what is on its way to them."""

    __slots__ = ("_due", "bytes", "channels", "members", "pending", "rounds", "stamp", "starts")

    def __init__(self, channels: frozenset[Channel]) -> None:
        self.channels = channels
        self.members: dict[Member, None] = {}
        self.pending: list[bytes] = []
        self.bytes = 0
        self.starts: dict[Channel, Positions] = {}
        self.rounds: list[Round] = []
        self.stamp = 0
        self._due: dict[int, Sequence[Round]] = {}

    def seal(self, stamp: int) -> Round:
        """Make a round of what has been gathered."""
        one = Round(stamp, self.pending, self.bytes, self.starts)
        self.pending, self.bytes, self.starts = [], 0, {}
        self.rounds.append(one)
        self.stamp = stamp
        self._due.clear()
        return one

    def due(self, upto: int) -> Sequence[Round]:
        """The rounds after a stamp, put together to as few as may be."""
        first = bisect_right(self.rounds, upto, key=_stamp)
        if (due := self._due.get(first)) is None:
            due = self._due[first] = _together(self.rounds[first:])
        return due

    def forget(self, upto: int) -> int:
        """Everybody has been given all up to a stamp; the bytes that this was."""
        count = bisect_right(self.rounds, upto, key=_stamp)
        given = sum(one.bytes for one in self.rounds[:count])
        del self.rounds[:count]
        self._due.clear()
        return given


class Round:
    """Frames for every member of a group that was there when they were sealed.

    Attributes:
        stamp: rises with every round.
        starts: where each channel stood before.
    """

    __slots__ = ("batch", "bytes", "stamp", "starts")

    def __init__(
        self, stamp: int, frames: Sequence[bytes], size: int, starts: Mapping[Channel, Positions]
    ) -> None:
        self.stamp = stamp
        self.batch = Batch(frames)
        self.bytes = size
        self.starts = starts


class Fanout:
    """Carries frames to members. `run` does the work; everything else returns at once.

    Attributes:
        frames, writes: offered to members since the start, and in how many batches.
        passed: batches that a blocked member did not get.

    Args:
        catchup: asked what members are owed.
    """

    def __init__(self, catchup: Catchup) -> None:
        self.frames = 0
        self.writes = 0
        self.passed = 0
        self._catchup = catchup
        self._groups: dict[frozenset[Channel], Group] = {}
        self._dirty: dict[Group, None] = {}
        self._stamp = 0
        self._work = trio.Event()
        self._turn = 0.0
        self._waiting_bytes = 0
        self._room = trio.Event()

    async def run(self) -> None:
        """Hand batches to members until cancelled; lets others have their turn every two milliseconds.

        Cancellation: what has not been offered is not.
        """
        while True:
            await self._work.wait()
            self._work = trio.Event()
            self._turn = trio.current_time() + _TURN_S
            while self._dirty:
                await self._lap(next(iter(self._dirty)))

    async def room(self) -> None:
        """Wait while more has been published than can be carried: what comes next waits in the log.

        Cancellation: no effect.
        """
        while self._waiting_bytes > BACKLOG_BYTES:
            await self._room.wait()

    def publish(self, channel: Channel, frame: bytes, before: Positions) -> None:
        """Gather a frame for all members of a channel, whose room stood at `before`."""
        for group in channel.groups:
            group.pending.append(frame)
            group.bytes += len(frame)
            group.starts.setdefault(channel, before)
            self._dirty[group] = None
            if group.bytes > BATCH_BYTES:
                self._seal(group)
        if channel.groups:
            self._work.set()

    def carry(self) -> None:
        """Hand over at once what has been published, where few are to have it: no turn is taken for it.

        What more than a few are to have is left to `run`.
        """
        few = _LOOK_EVERY
        for group in list(self._dirty):
            few -= len(group.members)
            if few < 0:
                return
            for member in list(group.members):
                self.settle(member)

    def tell(self, member: Member, frames: Sequence[bytes]) -> None:
        """Hand frames to one member, after all that has been published to it so far."""
        self.settle(member)
        if frames and not member.gone:
            member.hold(Batch(frames))

    def enter(self, member: Member, channels: Iterable[Channel]) -> None:
        """Let a member have what is published in these channels from now on."""
        known = member.group.channels if member.group is not None else frozenset()
        self._move(member, known.union(channels))

    def leave(self, member: Member, channels: Iterable[Channel]) -> None:
        """Let a member have no more of these channels."""
        if member.group is not None:
            left = frozenset(channels)
            self._move(member, member.group.channels - left)
            for channel in left:  # seam: removes each, in any order
                member.behind.pop(channel, None)

    def remove(self, member: Member) -> None:
        """A member has closed."""
        member.gone = True
        member.behind.clear()
        self._part(member)

    def put_behind(self, member: Member, channel: Channel, after: Positions) -> None:
        """Let a member that has just entered a channel catch up with it from there."""
        member.behind[channel] = after
        member.block()

    def catch_up(self, member: Member) -> bool:
        """Hand a blocked member that holds nothing the newest state of one channel of which it missed some.

        Returns:
            Whether it holds something now; False: it is blocked no more.
        """
        if member.gone:
            return False
        self._overtake(member)
        while member.behind:
            channel = next(iter(member.behind))
            frames, reached = self._catchup.owed(channel, member.behind.pop(channel))
            if reached is not None:
                member.behind[channel] = reached
            if frames:
                member.hold(Batch(frames))
                return True
        member.blocked = False
        return False

    def settle(self, member: Member) -> None:
        """Give a member now what its group has for it, ahead of the others."""
        if (group := member.group) is not None:
            self._seal_of(member)
            self._give_all(member, group)

    def _move(self, member: Member, channels: frozenset[Channel]) -> None:
        if member.group is not None and member.group.channels == channels:
            return
        self.settle(member)
        self._part(member)
        if channels and not member.gone:
            group = self._groups.get(channels)
            if group is None:
                group = self._groups[channels] = Group(channels)
                for channel in channels:  # seam: adds to each, in any order
                    channel.groups[group] = None
            elif group.pending:
                self._seal(group)
            group.members[member] = None
            member.group = group
            member.upto = self._stamp

    def _part(self, member: Member) -> None:
        group, member.group = member.group, None
        if group is None:
            return
        del group.members[member]
        if not group.members:
            del self._groups[group.channels]
            self._dirty.pop(group, None)
            self._forget(group, group.stamp)
            for channel in group.channels:
                del channel.groups[group]

    def _overtake(self, member: Member) -> None:
        """Take what is on its way to a member as missed: its newest state is given instead."""
        if (group := member.group) is not None and member.behind:
            self._seal_of(member)
            for one in group.due(member.upto):
                _miss(member, one)
            member.upto = self._stamp

    def _seal_of(self, member: Member) -> None:
        if member.group is not None and member.group.pending:
            self._seal(member.group)

    def _seal(self, group: Group) -> None:
        self._stamp += 1
        self._waiting_bytes += group.seal(self._stamp).bytes

    def _forget(self, group: Group, upto: int) -> None:
        self._waiting_bytes -= group.forget(upto)
        if self._waiting_bytes <= BACKLOG_BYTES:
            self._room.set()
            self._room = trio.Event()

    async def _lap(self, group: Group) -> None:
        """Give each member of a group what there is for it when its turn comes."""
        del self._dirty[group]  # what is published from now on takes another lap
        if group.pending:
            self._seal(group)
        upto, members = group.stamp, list(group.members)
        for number, member in enumerate(members, start=1):
            if member.upto < group.stamp and member.group is group:
                self._give_all(member, group)
            if number % _LOOK_EVERY == 0 and (number % _MOST_A_TURN == 0 or trio.current_time() > self._turn):
                await self._yield()
                if group.pending:
                    self._seal(group)
        self._forget(group, upto)
        if trio.current_time() > self._turn or len(members) >= _LOOK_EVERY:
            await self._yield()

    async def _yield(self) -> None:
        await trio.lowlevel.checkpoint()
        self._turn = trio.current_time() + _TURN_S

    def _give_all(self, member: Member, group: Group) -> None:
        for one in group.due(member.upto):
            self._give(member, one)

    def _give(self, member: Member, one: Round) -> None:
        if member.upto >= one.stamp or member.gone:
            return
        member.upto = one.stamp
        if not member.blocked and member.offer(one.batch):
            self.frames += len(one.batch.frames)
            self.writes += 1
            return
        self.passed += 1
        _miss(member, one)
        member.missed()


def _miss(member: Member, one: Round) -> None:
    for channel, before in one.starts.items():
        member.behind.setdefault(channel, before)


def _stamp(one: Round) -> int:
    return one.stamp


def _together(rounds: Sequence[Round]) -> list[Round]:
    """The same in fewer rounds, each of so many bytes that it begins none with more than `BATCH_BYTES`."""
    found: list[Round] = []
    for one in rounds:
        if found and found[-1].bytes + one.bytes <= BATCH_BYTES:
            last = found.pop()
            starts = {**one.starts, **last.starts}
            one = Round(one.stamp, [*last.batch.frames, *one.batch.frames], last.bytes + one.bytes, starts)
        found.append(one)
    return found
