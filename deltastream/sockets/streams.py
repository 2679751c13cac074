"""One stream: a topic as rooms see it, its present state and its recent past."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Final

from deltastream.messages import EnrichedChain, Message, UnderlyingTick, VolatilitySurface
from deltastream.sockets.events import Place
from deltastream.sockets.updates import (
    Body,
    chain_change,
    chain_data,
    microseconds,
    summary_data,
    surface_data,
    tick_data,
)

__all__ = ["Entry", "Key", "Stream", "stream_name"]

Key = tuple[str, str]
"""Root and expiry of a chain; empty for what has one state a product."""

PAST_BYTES: Final = 8 << 20
"""The most that a stream keeps of its past, as sizes of columns."""

PAST_MESSAGES: Final = 1024

PROVISIONAL: Final = "~"
"""Ends the name of an epoch under which not all may be known."""

_ONLY: Final[Key] = ("", "")
_SMALL: Final = 200
_KINDS: Final = {UnderlyingTick: "product", EnrichedChain: "chain", VolatilitySurface: "surface"}


def stream_name(message: Message) -> str | None:
    """The name of the stream that a message is of; None where rooms do not show it."""
    kind = _KINDS.get(type(message))
    return None if kind is None else f"{kind}:{message.product}"  # type: ignore[attr-defined]  # those have one


class Entry:
    """One message of a stream, with what is sent of it.

    Attributes:
        seq: its own; 0 where it came out of the store and its position is not known.
        key: what it is the state of.
        full: its data.
        summary: a chain's head; None of anything else.
        base: seq of the chain that it follows; 0 where there is none whose seq is known.
    """

    __slots__ = ("_base", "_delta", "base", "full", "key", "message", "seq", "summary")

    def __init__(self, seq: int, message: Message, base: Entry | None) -> None:
        self.seq = seq
        self.message = message
        self.key = _ONLY
        self.summary: Body | None = None
        self.base = 0
        self._base: tuple[EnrichedChain, int] | None = None
        self._delta: Body | None = None
        if isinstance(message, EnrichedChain):
            self.key = (message.root, message.expiry)
            self.full = Body(partial(chain_data, message))
            self.summary = Body(partial(summary_data, message))
            if base is not None and isinstance(base.message, EnrichedChain) and base.seq:
                self.base, self._base = base.seq, (base.message, base.seq)
        elif isinstance(message, UnderlyingTick):
            self.full = Body(partial(tick_data, message))
        elif isinstance(message, VolatilitySurface):
            self.full = Body(partial(surface_data, message))
        else:
            raise TypeError(f"rooms do not show a {type(message).__name__}")

    def delta(self) -> Body | None:
        """What differs from the chain it follows; None where a whole chain is to be sent."""
        if self._base is not None:
            assert isinstance(self.message, EnrichedChain)
            change = chain_change(*self._base, self.message)
            self._base = None
            self._delta = None if change is None else Body(lambda: change)
        return self._delta

    @property
    def ts(self) -> int:
        """When it happened, nanoseconds UTC."""
        return self.message.ts_event  # type: ignore[attr-defined,no-any-return]  # of every kind here

    @property
    def size(self) -> int:
        """About the memory it takes."""
        return self.message.columns.nbytes if isinstance(self.message, EnrichedChain) else _SMALL


class Stream:
    """The state of one topic.

    Attributes:
        name: as clients know it, such as ``chain:NIFTY``.
        topic: on the bus.
        kind: of what is shown: "product", "chain" or "surface".
        product: whose it is.
        epoch, seq: where it stands; the epoch is empty before its first message.
        whole: all that was known when it began is known to it. Until then its positions are told under a
            provisional epoch: from there nobody can go on where all is known.
        floor: what was sent up to there must not be gone on from: something is missing before it.
        reason: what is missing, or why.
        newest: the time of its newest message, nanoseconds UTC.
    """

    def __init__(self, name: str, topic: str, *, whole: bool = True) -> None:
        self.whole = whole
        self.name = name
        self.topic = topic
        self.kind, _, self.product = name.partition(":")
        self.epoch = ""
        self.seq = 0
        self.floor = 0
        self.reason: str | None = None
        self._state: dict[Key, Entry] = {}
        self._past: deque[Entry] = deque()
        self._past_bytes = 0
        self.newest = 0

    def recall(self, epoch: str, seq: int, messages: Iterable[tuple[int, Message]]) -> None:
        """Begin with a state that was read elsewhere: seqs (0: not known) and messages."""
        self._forget_past(epoch, seq)
        for number, message in messages:
            self._hold(Entry(number, message, None))

    def at(self, seq: int) -> Place:
        """A position as clients are told it."""
        return Place(self.epoch if self.whole or not self.epoch else self.epoch + PROVISIONAL, seq)

    def learn(self, message: Message) -> bool:
        """A message of before it began, without a position, is heard of late; whether it was missing."""
        entry = Entry(0, message, None)
        if self._outdated(entry):
            return False
        self._hold(entry)
        return entry in self._state.values()

    def begin(self, epoch: str, seq: int, reason: str) -> None:
        """Earlier positions have become void, or are no longer to be had; the state stays."""
        self._forget_past(epoch, seq)
        self.floor, self.reason = seq, reason

    def _forget_past(self, epoch: str, seq: int) -> None:
        self.epoch, self.seq = epoch, seq
        self._past.clear()
        self._past_bytes = 0
        for entry in self._state.values():
            entry.seq = 0

    def take(self, seq: int, message: Message) -> Entry:
        """The next message."""
        entry = Entry(seq, message, None if isinstance(message, UnderlyingTick) else self._base(message))
        self.seq = seq
        self._hold(entry)
        self._past.append(entry)
        self._past_bytes += entry.size
        while self._past_bytes > PAST_BYTES or len(self._past) > PAST_MESSAGES:
            self._past_bytes -= self._past.popleft().size
        return entry

    def state(self) -> list[Entry]:
        """The present state, in the order it came about."""
        return sorted(self._state.values(), key=_seq)

    def has_root(self, root: str) -> bool:
        """Whether chains of a root are among its state."""
        return any(key[0] == root for key in self._state)

    def changed(self, after: int) -> list[Entry]:
        """The present state of what has changed after a position, in the order it came about."""
        return [entry for entry in self.state() if entry.seq > after]

    def past(self, after: int) -> list[Entry] | None:
        """Every message after a position; None where that is not remembered."""
        if after >= self.seq:
            return []
        if not self._past or self._past[0].seq > after + 1:
            return None
        return [entry for entry in self._past if entry.seq > after]

    def _base(self, message: Message) -> Entry | None:
        key = (message.root, message.expiry) if isinstance(message, EnrichedChain) else _ONLY
        return self._state.get(key)

    def _outdated(self, entry: Entry) -> bool:
        held = self._state.get(entry.key)
        return held is not None and (microseconds(held.ts), held.seq) > (microseconds(entry.ts), entry.seq)

    def _hold(self, entry: Entry) -> None:
        """The latest wins, by time and then by position; what has expired by then is dropped.

        Times are compared as clients see them, who come to the same state.
        """
        if not self._outdated(entry):
            self._state[entry.key] = entry
        self.newest = max(self.newest, entry.ts)
        if isinstance(entry.message, EnrichedChain):
            for key, old in list(self._state.items()):
                if isinstance(old.message, EnrichedChain) and old.message.expiry_ts <= self.newest:
                    del self._state[key]


def _seq(entry: Entry) -> int:
    return entry.seq
