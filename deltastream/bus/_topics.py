"""The topics as the event loop sees them: their ends, their recent messages, who waits for more."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

import trio

from deltastream.bus._epochs import FORGOTTEN
from deltastream.bus._journal import StoredTopic
from deltastream.bus.protocol import Entry, Record, TopicStatistics, matches
from deltastream.messages import ChainHead, Message, Position, decode

__all__ = ["Topic", "Topics", "Wakeup", "check_entries", "check_topic", "freeze"]

_KEY_BYTES: Final = 512
_TOPIC: Final = re.compile(r"[A-Za-z0-9._:&-]{1,255}")


def check_topic(name: str) -> None:
    """Raise ValueError unless `name` can be a topic."""
    if not _TOPIC.fullmatch(name):
        raise ValueError(f"not a topic: {name!r} (1 to 255 characters of A-Z a-z 0-9 . _ - & :)")


def check_entries(entries: Iterable[Entry]) -> None:
    """Raise ValueError unless every entry's topic can be one, and its key one that SQLite can compare."""
    for entry in entries:
        check_topic(entry.topic)
        key = entry.key or ""
        try:
            valid = len(key.encode()) <= _KEY_BYTES and "\0" not in key
        except UnicodeEncodeError:
            valid = False
        if not valid:
            raise ValueError(f"not a key: {key[:40]!r} (at most {_KEY_BYTES} bytes of UTF-8, without NUL)")


def freeze(message: Message, frame: bytes) -> Message:
    """The message, made safe to share: its own columns read-only, or read out of its frame."""
    if isinstance(message, ChainHead) and message.columns.flags.writeable:
        if message.columns.base is not None:
            return decode(frame)
        message.columns.setflags(write=False)
    return message


class Wakeup:
    """What one reader sleeps on. Setting it before the reader sleeps is not lost."""

    def __init__(self) -> None:
        self._event: trio.Event | None = None
        self._set = False

    def set(self) -> None:
        """Wake the reader, or keep it from falling asleep the next time."""
        self._set = True
        if self._event is not None:
            self._event.set()

    def clear(self) -> None:
        """Forget what was set: the reader looks at everything now."""
        self._set = False

    async def wait(self, until: float = math.inf) -> None:
        """Sleep until woken, or until a Trio time. Cancellation: leaves it as it was."""
        if self._set:
            await trio.lowlevel.checkpoint()
            return
        self._event = trio.Event()
        try:
            if until == math.inf:
                await self._event.wait()
            else:
                with trio.move_on_at(until):
                    await self._event.wait()
        finally:
            self._event = None


class Topic:
    """One topic: first and last sequence number, size, and a run of its newest messages."""

    __slots__ = (
        "base", "first_ts", "last", "last_ts", "name", "number", "rank", "recent", "total", "trimmed",
        "wakeups",
    )  # fmt: skip

    def __init__(self, stored: StoredTopic, rank: int) -> None:
        self.number = stored.number
        self.name = stored.name
        self.rank = rank
        self.trimmed = stored.trimmed
        self.last = stored.last
        self.base = stored.base
        self.total = stored.total
        self.first_ts = stored.first_ts
        self.last_ts = stored.last_ts
        self.recent: deque[Record] = deque()
        self.wakeups: dict[Wakeup, None] = {}

    def cached(self, after: int, limit: int) -> Sequence[Record] | None:
        """Up to `limit` messages with seq > `after` from memory; None where the journal must be read."""
        recent, count = self.recent, self.last - after
        if count > len(recent):
            return None
        if count == 1 <= limit:  # readers are mostly at the last
            return (recent[-1],)
        if count <= limit:
            newest = list(islice(reversed(recent), count))
            newest.reverse()
            return newest
        return [recent[place - count] for place in range(limit)]

    def statistics(self, epoch: str) -> TopicStatistics:
        """Its extent and size."""
        return TopicStatistics(
            topic=self.name,
            epoch=epoch,
            first_seq=self.trimmed + 1,
            last_seq=self.last,
            bytes=self.total - self.base,
            last_ts=self.last_ts,
        )


class Topics:
    """All topics, and one cache for the newest messages of all together.

    Attributes:
        epoch: under which numbers are given at present.
        lineage: by earlier epoch and topic, the last seq that still means the same message.

    Args:
        cache_bytes: bound of the cache, in bytes of frames.
        priorities: see `BusSettings`.
    """

    def __init__(self, cache_bytes: int, priorities: tuple[tuple[str, ...], ...]) -> None:
        self.epoch = ""
        self.lineage: dict[tuple[str, str], int] = {}
        self.by_name: dict[str, Topic] = {}
        self.watchers: dict[Callable[[Topic], None], None] = {}
        self._priorities = priorities
        self._cache_bytes = cache_bytes
        self._cached: deque[tuple[Topic, int]] = deque()
        self._size = 0

    def rank(self, name: str) -> int:
        """How urgent a topic is; 0 is the most urgent."""
        topic = self.by_name.get(name)
        if topic is not None:
            return topic.rank
        for rank, patterns in enumerate(self._priorities):
            if any(matches(pattern, name) for pattern in patterns):
                return rank
        return len(self._priorities)

    @property
    def ranks(self) -> int:
        """How many ranks there are."""
        return len(self._priorities) + 1

    def load(self, epoch: str, stored: Iterable[StoredTopic], lineage: dict[tuple[str, str], int]) -> None:
        """Begin anew with what the journal tells."""
        self.epoch = epoch
        self.lineage = lineage
        self.by_name = {each.name: Topic(each, self.rank(each.name)) for each in stored}
        self._cached.clear()
        self._size = 0

    def agrees(self, epoch: str, stored: Iterable[StoredTopic]) -> bool:
        """Whether a journal just opened is the one these topics were loaded from, and no further."""
        theirs = {each.name: each.last for each in stored}
        return epoch == self.epoch and theirs == {topic.name: topic.last for topic in self.by_name.values()}

    def still(self, name: str, position: Position) -> bool:
        """Whether a topic's position means the message that has this seq now."""
        return position.epoch == self.epoch or position.seq <= self.lineage.get((position.epoch, name), 0)

    def knows(self, name: str, position: Position) -> bool:
        """Whether a topic's position is of an epoch that means something here."""
        return position.epoch == self.epoch or (position.epoch, name) in self.lineage

    def forgotten(self, name: str, position: Position) -> bool:
        """Whether a topic's position may be of the epoch whose name was lost with a damaged journal."""
        return not self.knows(name, position) and (FORGOTTEN, name) in self.lineage

    def create(self, name: str, number: int) -> Topic:
        """A topic that has just had its first message committed."""
        topic = Topic(StoredTopic(number, name, 0, 0, 0, 0, None, None), self.rank(name))
        self.by_name[name] = topic
        for watcher in list(self.watchers):
            watcher(topic)
        return topic

    def publish(self, topic: Topic, seq: int, message: Message, size: int, ts: int) -> None:
        """Show a committed message to readers in this process."""
        topic.last = seq
        topic.total += size
        topic.last_ts = ts
        if topic.first_ts is None:
            topic.first_ts = ts
        topic.recent.append(Record(topic.name, Position(self.epoch, seq), message))
        self._cached.append((topic, size))
        self._size += size
        while self._size > self._cache_bytes:
            oldest, freed = self._cached.popleft()
            oldest.recent.popleft()
            self._size -= freed

    def matching(self, patterns: Sequence[str]) -> list[Topic]:
        """The topics that match any of the patterns, in order of creation."""
        return [t for t in self.by_name.values() if any(matches(pattern, t.name) for pattern in patterns)]
