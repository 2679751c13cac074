"""Joining a group: what the journal must know before the first delivery."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import structlog

from deltastream.bus._core import Core
from deltastream.bus._epochs import renew
from deltastream.bus._groups import Group, Member, Share
from deltastream.bus._journal import Batch
from deltastream.bus._salvage import SalvageReport
from deltastream.bus._topics import Topic
from deltastream.bus._writer import Request
from deltastream.errors import BusClosed
from deltastream.messages import Position

__all__ = ["subscribe"]

_PLACE: Final = (
    "INSERT INTO progress VALUES (?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET acked = excluded.acked, lost = lost + excluded.lost"
)

_log = structlog.get_logger("deltastream.bus")


async def subscribe(
    core: Core,
    patterns: tuple[str, ...],
    name: str,
    positions: Mapping[str, Position] | None,
    earlier: Mapping[str, Sequence[Position]],
) -> tuple[Group, Member]:
    """Record the group's patterns and positions; then take a place in it.

    The patterns of a group without members are replaced, those of a living one are joined. Where a
    position lies beyond its topic's end, a new epoch begins first.

    Cancellation: may have recorded them; no place is taken.

    Raises:
        BusClosed: the bus was closed.
    """
    while True:
        await core.ready()
        stands = None if positions is None else _known(core, positions, earlier)
        beyond = _beyond(core, stands or {})
        try:
            if beyond is None:
                joining = _Joining(core, patterns, name, stands)
                await core.writer.submit(
                    Request(join=joining.join, operation=joining.store, done=joining.done)
                )
                break
            await _renew(core, name, beyond)
        except BusClosed:
            if core.closed:
                raise
            # the journal was replaced first, as by another group's new epoch
    member = Member(patterns)
    group = core.groups.by_name[name]
    group.join(member)
    return group, member


def _known(
    core: Core, positions: Mapping[str, Position], earlier: Mapping[str, Sequence[Position]]
) -> dict[str, Position]:
    """The group's positions, each of the newest epoch that the journal knows, if it knows any."""
    topics = core.topics
    found = {}
    for name, given in positions.items():
        older = () if topics.forgotten(name, given) else earlier.get(name, ())
        found[name] = next((each for each in (given, *older) if topics.knows(name, each)), given)
    return found


def _beyond(core: Core, positions: Mapping[str, Position]) -> str | None:
    """A topic of which the group has seen more than there is."""
    topics = core.topics.by_name
    for name, position in positions.items():
        last = topics[name].last if name in topics else 0
        if position.epoch == core.topics.epoch and position.seq > last:
            return name
    return None


async def _renew(core: Core, group: str, topic: str) -> None:
    """Begin a new epoch; what was there when the journal was opened keeps its meaning."""
    old, ends = core.topics.epoch, core.opened
    reason = f"the group {group} has seen more of {topic} than there is: the journal is an older copy"
    report = SalvageReport(None, reason, core.seams.ids.new())

    def operation(db: sqlite3.Connection) -> bool:
        return renew(db, old, report.epoch, ends)

    def done(begun: bool) -> None:
        if begun:
            core.begin_anew(report)

    await core.writer.submit(Request(operation=operation, done=done))


class _Place(NamedTuple):
    """Where a group goes on, and what is missing before it; `lost` of that was not counted before."""

    seq: int
    missing: int
    lost: int


class _Joining:
    def __init__(
        self, core: Core, patterns: tuple[str, ...], name: str, positions: Mapping[str, Position] | None
    ) -> None:
        self._core = core
        self._patterns = patterns
        self._name = name
        self._positions = positions
        self._places: dict[Topic, _Place] = {}
        self._dropped: list[int] = []

    def join(self, _: Batch) -> None:
        group = self._core.groups.by_name.get(self._name, Group(self._name))
        if group.members:
            self._patterns = tuple(dict.fromkeys((*group.patterns, *self._patterns)))
        kept = self._core.topics.matching(self._patterns)
        self._dropped = [share.topic.number for share in group.shares.values() if share.topic not in kept]
        for topic in kept:
            share = group.shares.get(topic.name)
            if self._positions is not None and (share is None or share.owner is None):
                self._find(topic, self._positions.get(topic.name), share)

    def _find(self, topic: Topic, given: Position | None, share: Share | None) -> None:
        if given is None:
            self._places[topic] = _Place(topic.trimmed, 0, 0)
        elif not self._core.topics.forgotten(topic.name, given):
            seq = self._core.resolve(topic, given)
            lost = missing = max(topic.trimmed - seq, 0)
            if share is not None and share.acked <= topic.trimmed:  # retention may have counted them
                lost = max(missing - share.lost, 0)
            self._places[topic] = _Place(max(seq, topic.trimmed), missing, lost)

    def store(self, db: sqlite3.Connection) -> list[tuple[int, str, int]]:
        """Returns topic, epoch and seq of what the group has out of line."""
        name = self._name
        db.execute("DELETE FROM subscription WHERE consumer = ?", (name,))
        db.executemany("INSERT INTO subscription VALUES (?, ?)", [(name, each) for each in self._patterns])
        db.executemany(
            "DELETE FROM progress WHERE consumer = ? AND topic = ?", [(name, each) for each in self._dropped]
        )
        places = [(name, topic.number, place.seq, place.lost) for topic, place in self._places.items()]
        db.executemany(_PLACE, places)
        return db.execute("SELECT topic, epoch, seq FROM failure WHERE consumer = ?", (name,)).fetchall()

    def done(self, failed: list[tuple[int, str, int]]) -> None:
        group = self._core.groups.by_name.setdefault(self._name, Group(self._name))
        group.subscribe(self._patterns, self._core.topics.by_name.values())
        out_of_line: dict[int, list[Position]] = {}
        for number, epoch, seq in failed:
            out_of_line.setdefault(number, []).append(Position(epoch, seq))
        for topic, place in self._places.items():
            share = group.shares[topic.name]
            if share.owner is not None:
                continue
            aside = [p for p in out_of_line.get(topic.number, ()) if self._core.topics.still(topic.name, p)]
            share.place(place.seq, place.lost, {p.seq for p in aside if p.seq > place.seq})
            if place.missing:
                self._report(topic, place)

    def _report(self, topic: Topic, place: _Place) -> None:
        _log.error(
            "messages_lost",
            group=self._name,
            topic=topic.name,
            lost=place.missing,
            reason="the group's own store stands before the first message retained",
        )
