"""What a bus is: a durable log of typed messages with consumer groups.

Two implementations stand behind this protocol and pass one conformance suite: the embedded one
(memory in front of an append-only SQLite journal) and Redis Streams. Code above never knows which.

A *topic* holds messages of one kind and product (``market.chain.NIFTY``); its messages carry a
contiguous ``seq`` from 1, given once, at append. A *position* is ``(epoch, seq)``; the epoch
changes when earlier positions have become void. A *pattern* is a topic or a prefix ending in ``*``.

Delivery is at least once; together with idempotent keys (`append`) and positions stored with the
effect (`Bus.consume`), every accepted message takes effect exactly once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from deltastream.messages import DeadLetter, Message, Position

__all__ = [
    "Bus",
    "BusStatistics",
    "Consumer",
    "Delivery",
    "Entry",
    "Follower",
    "Gap",
    "GroupStatistics",
    "Record",
    "TopicStatistics",
    "matches",
]


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic is meant by a pattern: equal, or with its prefix before a final ``*``."""
    return topic.startswith(pattern[:-1]) if pattern.endswith("*") else topic == pattern


@dataclass(frozen=True, slots=True)
class Entry:
    """A message to append.

    Attributes:
        key: makes the append idempotent: an entry whose (topic, key) is already in the log
            appends nothing and yields the position it has. At most 512 bytes of UTF-8, without NUL.
        frame: what `encode` makes of the message, where that was called already; it is not called again.
    """

    topic: str
    message: Message
    key: str | None = None
    frame: bytes | None = field(default=None, repr=False, compare=False)


class Record(msgspec.Struct, frozen=True):
    """A message in the log, as followers see it."""

    topic: str
    position: Position
    message: Message


class Delivery(Record, frozen=True):
    """A message handed to a group, to be acknowledged or failed.

    Attributes:
        attempt: 1 for the first delivery, more for retries (which come out of line).
    """

    attempt: int = 1


class Gap(msgspec.Struct, frozen=True):
    """Messages a reader will not see: trimmed by retention, or void because the epoch changed.

    Attributes:
        first, last: the missing sequence numbers, inclusive, of `epoch`; `last` < `first` where it
            is not known that any are missing.
        reason: "trimmed", "epoch_changed", "lost" (damaged where it was kept) or "undecodable".
        new_epoch: the one that has begun where the epoch has changed; None where it has not.
    """

    topic: str
    epoch: str
    first: int
    last: int
    reason: str
    new_epoch: str | None = None

    @property
    def after(self) -> Position:
        """Where the reader stands now: the next message of the topic is the one after this position."""
        if self.new_epoch is None:
            return Position(self.epoch, self.last)
        return Position(self.new_epoch, self.first - 1)


class TopicStatistics(msgspec.Struct, frozen=True):
    """One topic: its extent and size.

    Attributes:
        topic: its name.
        epoch: the present one.
        first_seq, last_seq: of the messages that are kept.
        bytes: of these messages.
        last_ts: when the newest was appended, in nanoseconds UTC; None where there is none.
    """

    topic: str
    epoch: str
    first_seq: int
    last_seq: int
    bytes: int
    last_ts: int | None


class GroupStatistics(msgspec.Struct, frozen=True):
    """One group on one topic: how far it is and what it still owes.

    Attributes:
        group, topic: whose and where.
        acked: the sequence number up to which everything is settled, or retried out of line.
        lag: messages after that.
        in_flight: messages handed out and not yet settled.
        retrying: messages that have failed and are tried again, or will be.
        dead: its dead letters.
        lost: messages that were gone before it had them.
    """

    group: str
    topic: str
    acked: int
    lag: int
    in_flight: int
    retrying: int
    dead: int
    lost: int


class BusStatistics(msgspec.Struct, frozen=True):
    """The whole bus.

    Attributes:
        state: "running", "degraded" (see `reason`; appends wait) or "closed".
        reason: why it is degraded.
        pending: entries accepted from callers, not yet committed.
        pending_bytes: their size.
        commits, appended, duplicates: since the bus was opened.
        bytes_on_disk: the journal's files together: its log and the file, which has beside the messages
            of the topics what finds them, dead letters, and room that is free again.
        log_bytes: of these the log, of pages that are to be copied into the file, or have been.
        topics: each.
        groups: each on each of its topics.
    """

    state: str
    reason: str | None
    pending: int
    pending_bytes: int
    commits: int
    appended: int
    duplicates: int
    bytes_on_disk: int
    log_bytes: int
    topics: tuple[TopicStatistics, ...] = ()
    groups: tuple[GroupStatistics, ...] = ()


class Consumer(Protocol):
    """One member of a group. Each topic has one active member at a time, so order per topic holds."""

    async def batch(self, max_messages: int = 64) -> list[Delivery]:
        """Wait for at least one delivery and return up to `max_messages`.

        Topics of higher priority come first, without starving the others; within a topic, order
        is that of the log, and retries that are due come between. Everything returned stays in
        flight until acknowledged or failed.

        Cancellation: either returns deliveries or raises Cancelled with none of them taken.

        Raises:
            BusClosed: the bus was closed.
        """
        ...

    async def ack(self, deliveries: Sequence[Delivery], *, emit: Sequence[Entry] = ()) -> list[Position]:
        """Append what was derived and acknowledge what it was derived from, in one transaction.

        Returns the positions of `emit`, in order, when everything is durable.

        Cancellation: may take effect or not; deliveries not acknowledged come again, and keys
        make repeated entries append nothing.
        """
        ...

    async def fail(self, delivery: Delivery, error: BaseException) -> None:
        """Record that handling this delivery failed.

        It is retried out of line after a jittered, exponentially growing delay, and moved to the
        dead letters after the last attempt; its neighbours go on. Durable when it returns.

        Cancellation: may take effect or not; a delivery of which nothing was recorded comes again.
        """
        ...


class Follower(Protocol):
    """A broadcast reader: sees every message from its start on, or a `Gap` in its place."""

    async def batch(self, max_messages: int = 256) -> list[Record | Gap]:
        """Wait for at least one item and return up to `max_messages`, each topic in order.

        A follower that falls behind reads from the journal; it costs nobody else anything.

        Cancellation: either returns items or raises Cancelled with none of them taken.

        Raises:
            BusClosed: the bus was closed.
        """
        ...

    def __aiter__(self) -> AsyncIterator[Record | Gap]: ...


class Bus(Protocol):
    """The log. Opened and closed by its implementation's own context manager.

    Cancellation: a write may have taken effect or not; a read has no effect.
    """

    async def append(self, topic: str, message: Message, *, key: str | None = None) -> Position:
        """Append one message; it is accepted, that is durable, when this returns.

        Waits while the bus is full or degraded.

        Cancellation: the message may have been accepted or not; with a key, appending it again
        is harmless.

        Raises:
            BusClosed: the bus was closed before the message was accepted.
            ValueError: not a topic (empty, or with characters other than ``A-Z a-z 0-9 . _ - & :``),
                or not a key.
        """
        ...

    async def append_batch(self, entries: Sequence[Entry]) -> list[Position]:
        """Append several messages in one transaction; as `append` otherwise."""
        ...

    def consume(
        self,
        patterns: Sequence[str],
        group: str,
        *,
        positions: Mapping[str, Position] | None = None,
        earlier: Mapping[str, Sequence[Position]] | None = None,
    ) -> AbstractAsyncContextManager[Consumer]:
        """Join a group as one of its members.

        A group new to a topic begins at its first message. Topics that appear later and match
        are consumed as they come. Messages in flight when a member leaves go to another.

        Args:
            patterns: topics and prefixes.
            group: its name.
            positions: where the group stands by topic, where the effect's own store knows better
                than the bus (position and effect committed together). None means: where the bus's
                record says. Given, it overrides that record for every topic: one it does not name
                begins at its first message, for the store has nothing of it, and so does one whose
                position is of an unknown epoch. Messages between a position and the first one
                retained are counted and logged as lost. A position beyond the end of its topic
                tells that the log is older than the store: a new epoch begins.
            earlier: where that store stood at the end of earlier epochs, by topic, newest first. It
                counts where the log, put back from a copy, does not know the epoch of `positions`.
        """
        ...

    def follow(
        self, patterns: Sequence[str], *, after: Mapping[str, Position] | None = None, live: bool = False
    ) -> AbstractAsyncContextManager[Follower]:
        """Read topics without a group.

        Args:
            patterns: topics and prefixes.
            after: positions already seen; a topic not named begins at its first message.
            live: begin topics not named in `after` with the next message appended instead.
        """
        ...

    async def read(self, topic: str, *, after: int = 0, limit: int = 100) -> list[Record]:
        """Up to `limit` messages of a topic with seq > `after`, in order, from the log.

        Fewer, but at least one, where they are more than a few megabytes together.
        """
        ...

    async def last(self, topic: str, *, limit: int = 1) -> list[Record]:
        """The newest `limit` messages of a topic, oldest first; fewer where they exceed 64 MiB together."""
        ...

    async def statistics(self) -> BusStatistics:
        """A snapshot of every topic and group."""
        ...

    async def dead_letters(self, group: str | None = None, *, limit: int = 1000) -> list[DeadLetter]:
        """The newest `limit` dead letters, oldest first, of one group or of all.

        Fewer where their messages exceed 64 MiB together; `statistics` tells how many there are.
        """
        ...

    async def dead_letter(self, letter_id: str) -> DeadLetter:
        """One dead letter.

        Raises:
            KeyError: no such letter.
        """
        ...

    async def replay_dead_letter(self, letter_id: str) -> None:
        """Hand the letter to its group once more, with a fresh count of attempts.

        Raises:
            KeyError: no such letter.
        """
        ...

    async def drop_dead_letter(self, letter_id: str) -> None:
        """Forget the letter.

        Raises:
            KeyError: no such letter.
        """
        ...
