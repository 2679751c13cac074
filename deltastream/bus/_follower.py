"""A broadcast reader: a cursor on every topic, and nothing kept for it anywhere else."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Final

import structlog
import trio

from deltastream.bus._core import Core, decoded
from deltastream.bus._journal import Frame, Reader
from deltastream.bus._topics import Topic, Wakeup
from deltastream.bus.protocol import Gap, Record, matches
from deltastream.errors import BusClosed, MessageDecodeError
from deltastream.messages import Position

__all__ = ["EmbeddedFollower"]

_ITER_BATCH: Final = 256

_log = structlog.get_logger("deltastream.bus")


class _Cursor:
    """Where the follower is on one topic; `passed` counts turns in which others were served."""

    def __init__(self, topic: Topic, seq: int) -> None:
        self.topic = topic
        self.seq = seq
        self.passed = 0


class EmbeddedFollower:
    """See `protocol.Follower`."""

    def __init__(
        self, core: Core, patterns: tuple[str, ...], after: Mapping[str, Position], *, live: bool
    ) -> None:
        self._core = core
        self._patterns = patterns
        self._wakeup = Wakeup()
        self._cursors: dict[str, _Cursor] = {}
        self._gaps: list[Gap] = []
        self._epoch = core.topics.epoch
        self._topics = core.topics.by_name
        self._left = False
        for topic in core.topics.matching(patterns):
            known = after.get(topic.name)
            if known is not None:
                self._place(topic, known)
            else:
                self._begin(topic, topic.last if live else 0)
        self._miss_topics(after)
        core.topics.watchers[self._appear] = None
        core.followers[self._wakeup] = None

    def leave(self) -> None:
        """Be told nothing more."""
        self._left = True
        self._core.topics.watchers.pop(self._appear, None)
        self._core.followers.pop(self._wakeup, None)
        for cursor in self._cursors.values():
            cursor.topic.wakeups.pop(self._wakeup, None)
        self._wakeup.set()

    def _appear(self, topic: Topic) -> None:
        if any(matches(pattern, topic.name) for pattern in self._patterns):
            self._begin(topic, 0)

    def _begin(self, topic: Topic, seq: int) -> None:
        self._cursors[topic.name] = _Cursor(topic, seq)
        topic.wakeups[self._wakeup] = None

    def _place(self, topic: Topic, known: Position) -> None:
        """Go on after a position, wherever it now is."""
        seq = self._core.resolve(topic, known)
        if known.epoch != self._epoch:
            self._gaps.append(self._renewed(topic.name, known, seq))
        self._begin(topic, seq)

    def _miss_topics(self, stood: Mapping[str, Position]) -> None:
        """Declare void what was seen of topics that the present epoch does not have, or not yet."""
        for name, known in stood.items():
            wanted = any(matches(pattern, name) for pattern in self._patterns)
            if wanted and name not in self._topics and known.epoch != self._epoch:
                self._gaps.append(self._renewed(name, known, 0))

    def _renewed(self, topic: str, known: Position, still: int) -> Gap:
        return Gap(topic, known.epoch, still + 1, known.seq, "epoch_changed", self._epoch)

    def _replaced(self) -> bool:
        return self._topics is not self._core.topics.by_name

    def _replace(self) -> None:
        """The journal was replaced: find the cursors' places in the new one."""
        stood = {name: Position(self._epoch, cursor.seq) for name, cursor in self._cursors.items()}
        self._epoch = self._core.topics.epoch
        self._topics = self._core.topics.by_name
        self._cursors.clear()
        for topic in self._core.topics.matching(self._patterns):
            if topic.name in stood:
                self._place(topic, stood[topic.name])
            else:
                self._begin(topic, 0)
        self._miss_topics(stood)

    async def batch(self, max_messages: int = 256) -> list[Record | Gap]:
        """See `protocol.Follower.batch`."""
        if max_messages < 1:
            raise ValueError(f"max_messages must be positive, got {max_messages}")
        rested = False  # whether others have had a turn, as they have in every call
        while True:
            if self._core.closed or self._left:
                raise BusClosed("The bus is closed." if self._core.closed else "This follower has left.")
            self._wakeup.clear()
            if self._replaced():
                self._replace()
            behind = [cursor for cursor in self._cursors.values() if cursor.seq < cursor.topic.last]
            if not (behind or self._gaps):
                await self._wakeup.wait()
                rested = True
                continue
            if not rested:
                await trio.lowlevel.checkpoint()
                rested = True
                continue
            if self._gaps:
                gaps, self._gaps = self._gaps[:max_messages], self._gaps[max_messages:]
                return list(gaps)
            behind.sort(key=lambda cursor: (8 * cursor.topic.rank - cursor.passed, cursor.topic.number))
            taken = self._from_memory(behind, max_messages) or await self._from_journal(
                behind[0], max_messages
            )
            if taken:
                return taken

    def __aiter__(self) -> AsyncIterator[Record | Gap]:
        """Every item, one by one, until the bus is closed (BusClosed)."""
        return _Items(self)

    def _from_memory(self, behind: list[_Cursor], limit: int) -> list[Record | Gap]:
        taken: list[Record | Gap] = []
        for cursor in behind:
            records = None
            if limit > len(taken):
                records = cursor.topic.cached(cursor.seq, limit - len(taken))
            if records is None:
                if not taken:
                    return taken
                cursor.passed += 1
                continue
            cursor.passed = 0
            cursor.seq = records[-1].position.seq
            taken.extend(records)
        return taken

    async def _from_journal(self, cursor: _Cursor, limit: int) -> list[Record | Gap]:
        topic = cursor.topic
        if cursor.seq < topic.trimmed:
            gap = Gap(topic.name, self._epoch, cursor.seq + 1, topic.trimmed, "trimmed")
            cursor.seq = topic.trimmed
            return [gap]
        last = topic.last
        frames = await self._core.read(Reader.frames, topic.number, cursor.seq, limit)
        if self._replaced():
            return []
        if not frames:
            gap = Gap(
                topic.name, self._epoch, cursor.seq + 1, last, "trimmed" if topic.trimmed >= last else "lost"
            )
            cursor.seq = last
            return [gap]
        cursor.passed = 0
        taken: list[Record | Gap] = []
        for frame in frames:
            if frame.seq > cursor.seq + 1:
                reason = "trimmed" if topic.trimmed >= frame.seq - 1 else "lost"
                taken.append(Gap(topic.name, self._epoch, cursor.seq + 1, frame.seq - 1, reason))
            taken.append(self._item(topic, frame))
            cursor.seq = frame.seq
        return taken

    def _item(self, topic: Topic, frame: Frame) -> Record | Gap:
        try:
            return Record(topic.name, Position(self._epoch, frame.seq), decoded(frame))
        except MessageDecodeError as error:
            _log.error("undecodable_message", topic=topic.name, seq=frame.seq, error=str(error))
            return Gap(topic.name, self._epoch, frame.seq, frame.seq, "undecodable")


class _Items:
    def __init__(self, follower: EmbeddedFollower) -> None:
        self._follower = follower
        self._items: deque[Record | Gap] = deque()

    def __aiter__(self) -> AsyncIterator[Record | Gap]:
        return self

    async def __anext__(self) -> Record | Gap:
        if self._items:
            await trio.lowlevel.checkpoint()
        else:
            self._items.extend(await self._follower.batch(_ITER_BATCH))
        return self._items.popleft()
