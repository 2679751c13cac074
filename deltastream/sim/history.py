"""The log as one observer saw it: what stands where, under which epoch, and what has become void.

Knows nothing of the bus but its promise: within a topic and epoch, numbers are contiguous and given
once; what a reader will not see is declared by a `Gap`; an epoch that has passed never returns.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from deltastream.bus.protocol import Gap, Record
from deltastream.errors import MessageDecodeError
from deltastream.messages import Message, Position, decode, encode

__all__ = ["Complain", "History", "Line", "Seen", "digest_of", "understood"]

Complain = Callable[[str, str], object]
"""Takes an invariant's code and what was found."""

_FINGERPRINT: Final = struct.Struct("<II")


def digest_of(frame: bytes) -> bytes:
    """A fingerprint of bytes, the same in every process: no secret, but quick to take of a chain."""
    return _FINGERPRINT.pack(zlib.crc32(frame), len(frame))


def understood(frame: bytes) -> tuple[bytes, Message | None]:
    """A message as anybody reads it from a journal: its frame, and itself; None where nobody can.

    One straight from memory may hold an int where the journal gives back a float.
    """
    try:
        read = decode(frame)
    except MessageDecodeError:
        return frame, None
    return encode(read), read


class Seen(msgspec.Struct, eq=False, gc=False):
    """One message of the log. There are many, and none is part of a cycle: no collector looks at them.

    Attributes:
        number: counts the messages of its topic in the order seen, over all epochs, from 0.
        epoch: place of its epoch among those of its topic, from 0; `seq` within it.
        digest: of its frame.
        ts_event: when it happened.
        note: what the model keeps of it.
        at: virtual seconds at which it was seen.
        sound: it is what its type says; only of such a message the full effect can be demanded.
        trimmed: it has left the journal, so that a store that has lost its effect cannot have it again, or it
            was lost from there before, and nobody can tell any more.
        gone: it does not stand in the log any more, at the end.
        void: its position was lost with a damaged journal: it may or may not have had its effect.
        dead: groups that gave it up; "lost" where one may have, and damage took the letter.
    """

    number: int
    epoch: int
    seq: int
    digest: bytes
    ts_event: int
    note: Any = None
    at: float = 0.0
    sound: bool = True
    trimmed: bool = False
    gone: bool = False
    void: bool = False
    dead: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[int, int, int]:
        """Its place in a series: by (ts_event, seq), a later epoch after an earlier one."""
        return self.ts_event, self.epoch, self.seq

    def shows(self, message: Message) -> bool:
        """Whether it is this message, as it is or as anybody reads it from a journal."""
        frame = encode(message)
        return self.digest == digest_of(frame) or self.digest == digest_of(understood(frame)[0])


class Line:
    """One topic.

    Attributes:
        epochs: those under which something was seen or is expected, in order; the last is the present one.
        cuts: by epoch but the first, the last seq before it that still means the same message.
        live: messages that stand in the log, by seq; `void` those that do not any more.
        last: the last seq seen or declared missing.
        missing: how many messages `Gap`s have declared missing.
        gone: numbers of messages found to be lost from the log, that are not void by a new epoch.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.epochs: list[str | None] = []
        self.cuts: list[int] = []
        self.live: dict[int, Seen] = {}
        self.void: dict[tuple[int, int], Seen] = {}
        self.last = 0
        self.missing = 0
        self.gone: set[int] = set()
        self.count = 0

    def __iter__(self) -> Iterator[Seen]:
        """All messages seen, in order."""
        return iter(sorted((*self.live.values(), *self.void.values()), key=lambda seen: seen.number))

    @property
    def whole(self) -> bool:
        """Whether all that was ever published of it is there, for whoever needs it again."""
        return not (self.void or self.missing or any(seen.trimmed for seen in self.live.values()))

    def find(self, position: Position) -> Seen | None:
        """The message that had this position, whatever it is called now."""
        if position.epoch not in self.epochs:
            return self.live.get(position.seq)
        for epoch in range(self.epochs.index(position.epoch), len(self.cuts)):
            if position.seq > self.cuts[epoch]:
                return self.void.get((epoch, position.seq))
        return self.live.get(position.seq) or self.void.get((len(self.cuts), position.seq))

    @property
    def end(self) -> Position | None:
        """The position of the newest message; None where there is none."""
        epoch = self.epochs[-1] if self.epochs else None
        return None if epoch is None else Position(epoch, self.last)

    def cut(self, seq: int) -> None:
        """The epoch has changed: only what is up to `seq` keeps its meaning.

        May be told again as long as nothing was seen under the new one: then that counts.
        """
        if self.epochs[-1] is not None:
            self.cuts.append(seq)
            self.epochs.append(None)
        self.cuts[-1] = seq
        for epoch, back in [
            place for place in self.void if place[0] == len(self.cuts) - 1 and place[1] <= seq
        ]:
            seen = self.live[back] = self.void.pop((epoch, back))
            seen.void = False
        for gone in [each for each in self.live if each > seq]:
            self._void(gone, len(self.cuts) - 1)
        self.last = seq

    def is_back(self, seq: int, digest: bytes) -> bool:
        """Whether a message given now is one that the last change of the epoch has made void.

        It says the same there. Of a source that says the same again and again, as one does that has
        been told an earlier time of day, that proves nothing.
        """
        epoch = len(self.epochs) - 2
        before = self.void.get((epoch, seq))
        if before is None or before.digest != digest:
            return False
        beside = (self.void.get((epoch, seq + 1)), self.void.get((epoch, seq - 1)), self.live.get(seq - 1))
        return all(other is None or other.digest != digest for other in beside)

    def lose(self, seq: int) -> None:
        """This message does not stand in the log any more, although its epoch holds."""
        self.gone.add(self.live[seq].number)
        self._void(seq, len(self.cuts))

    def _void(self, seq: int, epoch: int) -> None:
        seen = self.void[epoch, seq] = self.live.pop(seq)
        seen.void = True


class History:
    """Everything that one observer was given, checked for the bus's own promises.

    Args:
        complain: told of every broken promise.
        explained: whether the plan of faults accounts for a gap.

    Attributes:
        lines: by topic; epochs: all, in order; gaps: all that were told.
        back: topic, epoch and seq of what stands where its like stood that a new epoch has made void.
    """

    def __init__(self, complain: Complain, explained: Callable[[Gap], bool]) -> None:
        self._complain = complain
        self._explained = explained
        self.lines: dict[str, Line] = {}
        self.epochs: list[str] = []
        self.gaps: list[Gap] = []
        self.back: list[tuple[str, str, int]] = []

    def line(self, topic: str) -> Line:
        """The topic, begun where it is new."""
        found = self.lines.get(topic)
        if found is None:
            found = self.lines[topic] = Line(topic)
        return found

    def matching(self, prefix: str) -> list[Line]:
        """The topics with a prefix, by name."""
        return [self.lines[name] for name in sorted(self.lines) if name.startswith(prefix)]

    @property
    def forgotten(self) -> bool:
        """Whether a new epoch has taken over nothing of any topic."""
        begun = [line.cuts for line in self.lines.values() if line.cuts]
        return bool(begun) and all(0 in cuts for cuts in begun)

    def find(self, topic: str, position: Position) -> Seen | None:
        """The message that had this position."""
        line = self.lines.get(topic)
        return None if line is None else line.find(position)

    def declare(self, gap: Gap) -> None:
        """The observer was told that something is missing."""
        self.gaps.append(gap)
        if not self._explained(gap):
            self._complain("gap_unexplained", f"{gap}: no fault accounts for it")
        line = self.line(gap.topic)
        if gap.reason == "epoch_changed":
            if not line.epochs:
                line.epochs.append(gap.epoch)
            line.cut(gap.first - 1)
            if gap.new_epoch is not None:
                self._check_epoch(line, gap.new_epoch)
        elif gap.last >= gap.first:
            if gap.first != line.last + 1:
                self._complain("sequence_gap", f"{gap}: the last one seen is {line.last}")
            line.last = gap.last
            line.missing += gap.last - gap.first + 1

    def take(self, record: Record, digest: bytes, ts_event: int) -> Seen | None:
        """The observer was given a message; None where it had been given before."""
        line = self.line(record.topic)
        epoch, seq = record.position.epoch, record.position.seq
        self._check_epoch(line, epoch)
        if line.epochs[-1] != epoch:
            self._complain("epoch_returned", f"{record.topic} {epoch}/{seq}: the epoch had passed")
            return None
        if seq <= line.last:
            known = line.live.get(seq)
            if known is not None and known.digest != digest:
                self._complain("position_reissued", f"{record.topic} {epoch}/{seq} has two contents")
            else:
                self._complain("position_repeated", f"{record.topic} {epoch}/{seq} was given twice")
            return None
        if seq != line.last + 1:
            self._complain("sequence_gap", f"{record.topic} {epoch}/{seq} follows {line.last}, undeclared")
        if line.is_back(seq, digest):
            self.back.append((record.topic, epoch, seq))
        line.last = seq
        seen = Seen(line.count, len(line.epochs) - 1, seq, digest, ts_event)
        line.count += 1
        line.live[seq] = seen
        return seen

    def _check_epoch(self, line: Line, epoch: str) -> None:
        """Give the topic's present epoch its name; the bus has one epoch for all its topics."""
        if epoch not in self.epochs:
            self.epochs.append(epoch)
        if not line.epochs:
            line.epochs.append(epoch)
        elif line.epochs[-1] is None:
            line.epochs[-1] = epoch
        elif line.epochs[-1] != epoch and epoch not in line.epochs:
            self._complain("epoch_undeclared", f"{line.topic}: {epoch} follows {line.epochs[-1]}")
            line.cut(0)
            line.epochs[-1] = epoch
