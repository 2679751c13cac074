"""Joining a group: what the journal must know before the first delivery."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from deltastream.bus._core import Core
from deltastream.bus._groups import Group, Member
from deltastream.bus._journal import Batch
from deltastream.bus._topics import Topic
from deltastream.bus._writer import Request
from deltastream.messages import Position

__all__ = ["subscribe"]

_PLACE: Final = "INSERT INTO progress VALUES (?, ?, ?, 0) ON CONFLICT DO UPDATE SET acked = excluded.acked"


async def subscribe(
    core: Core, patterns: tuple[str, ...], name: str, positions: Mapping[str, Position]
) -> tuple[Group, Member]:
    """Record the group's patterns and positions; then take a place in it.

    The patterns of a group without members are replaced, those of a living one are joined.

    Cancellation: may have recorded them; no place is taken.

    Raises:
        BusClosed: the bus was closed.
    """
    await core.ready()
    joining = _Joining(core, patterns, name, positions)
    await core.writer.submit(Request(join=joining.join, operation=joining.store, done=joining.done))
    member = Member(patterns)
    group = core.groups.by_name[name]
    group.join(member)
    return group, member


class _Joining:
    def __init__(
        self, core: Core, patterns: tuple[str, ...], name: str, positions: Mapping[str, Position]
    ) -> None:
        self._core = core
        self._patterns = patterns
        self._name = name
        self._positions = positions
        self._places: dict[Topic, int] = {}
        self._dropped: list[int] = []

    def join(self, _: Batch) -> None:
        group = self._core.groups.by_name.get(self._name, Group(self._name))
        if group.members:
            self._patterns = tuple(dict.fromkeys((*group.patterns, *self._patterns)))
        topics = self._core.topics
        kept = topics.matching(self._patterns)
        self._dropped = [share.topic.number for share in group.shares.values() if share.topic not in kept]
        for topic in kept:
            share = group.shares.get(topic.name)
            if topic.name in self._positions and (share is None or share.owner is None):
                self._places[topic] = self._core.resolve(topic, self._positions[topic.name])

    def store(self, db: sqlite3.Connection) -> None:
        name = self._name
        db.execute("DELETE FROM subscription WHERE consumer = ?", (name,))
        db.executemany("INSERT INTO subscription VALUES (?, ?)", [(name, each) for each in self._patterns])
        db.executemany(
            "DELETE FROM progress WHERE consumer = ? AND topic = ?", [(name, each) for each in self._dropped]
        )
        db.executemany(_PLACE, [(name, topic.number, seq) for topic, seq in self._places.items()])

    def done(self, _: object) -> None:
        group = self._core.groups.by_name.setdefault(self._name, Group(self._name))
        group.subscribe(self._patterns, self._core.topics.by_name.values())
        for topic, seq in self._places.items():
            share = group.shares[topic.name]
            if share.owner is None:
                share.acked = share.cursor = seq
                share.returned.clear()
