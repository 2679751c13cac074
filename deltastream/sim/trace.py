"""The trace: one simulation as a timeline to be read by people.

A line says when (virtual seconds since the start, and the time of day at the first product's
exchange), who, and what. What happens by the thousand is summed up: the messages of a stretch of
time in a line per actor, and events that come again and again. Before the first violation of an
invariant stands in full what came last, and what happened around the message that it is about.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from deltastream.bus import Gap, Record
from deltastream.sim._timeline import Message, Timeline, faults_of
from deltastream.sim.ledger import Accepted
from deltastream.sim.plan import Fault
from deltastream.sim.seams import Work
from deltastream.sim.verdict import Violation
from deltastream.sim.words import describe_fault, plain
from supervisors import Event, EventKind

if TYPE_CHECKING:
    from deltastream.sim.world import World

__all__ = ["Trace"]

_VIOLATIONS: Final = 5
"""Of each invariant: how many violations are told; only the first with what came before it."""

_TOPIC: Final = re.compile(r"\b(?:market|enriched|analytics)\.\w+\.\w+")
_POSITION: Final = re.compile(r"\b\w+/(\d+)")
_NUMBER: Final = re.compile(r" #?(\d+)")
_MAKERS: Final = {"enriched": "enricher", "analytics": "analytics"}
_QUIET: Final = (EventKind.STARTED, EventKind.STOPPED)


class Trace:
    """Writes one simulation's timeline; attach it to the world first of all parts.

    Args:
        write: takes each line, with its end.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def attach(self, world: World) -> None:
        """Follow a world from its beginning; see `deltastream.sim.Part`."""
        timeline = Timeline(world, self._write)
        timeline.begin()
        told = _Told(world, timeline)
        world.on_accept.append(told.accepted)
        world.on_record.append(told.seen)
        world.on_event.append(told.event)
        world.on_log.append(told.logged)
        world.on_up.append(told.up)
        world.on_down.append(told.down)
        world.on_struck.append(told.struck)
        world.on_violation.append(told.violated)
        world.on_thread.append(_Threads(timeline))
        world.every_second.append(told.each_second)
        world.at_end.append(told.settled)
        world.after_stop.append(told.ended)


class _Told:
    """What the world tells, put into words."""

    def __init__(self, world: World, timeline: Timeline) -> None:
        self._world = world
        self._timeline = timeline
        self._stored = 0
        self._struck: set[int] = set()
        self._violations: Counter[str] = Counter()

    def accepted(self, entry: Accepted) -> None:
        self._timeline.count("feed", "accepted", entry.topic, entry.position.seq)

    def seen(self, item: Record | Gap) -> None:
        if isinstance(item, Gap):
            reach = f"#{item.first}-{item.last}" if item.last >= item.first else f"from #{item.first} on"
            self._timeline.tell(
                "observer", f"gap in {item.topic}: {reach} of epoch {item.epoch}: {item.reason}"
            )
            return
        maker = _MAKERS.get(item.topic.partition(".")[0])
        if maker is not None:
            self._timeline.count(maker, "published", item.topic, item.position.seq)

    def event(self, event: Event) -> None:
        who = event.path.rpartition("/")[2]
        about = [event.detail] if event.detail else []
        if event.error is not None:
            about.append(f"{event.error.type}: {event.error.message}")
        what = f"{event.kind.value}, incarnation {event.incarnation}"
        what = ": ".join((what, "; ".join(about).replace("\n", " "))) if about else what
        if event.kind in _QUIET:
            self._timeline.remember(who, what)
        else:
            self._timeline.tell(who, what, event.kind.value)

    def logged(self, line: dict[str, Any]) -> None:
        if line["level"] not in ("debug", "info") and "actor" not in line:
            fields = {
                k: v for k, v in line.items() if k not in ("level", "logger", "event", "exception", "pid")
            }
            told = " ".join(f"{name}={plain(value)}" for name, value in fields.items())
            who = line["logger"].rpartition(".")[2]
            self._timeline.tell(who, f"{line['event']} {told}".replace("\n", " ").rstrip(), line["event"])

    def up(self, number: int) -> None:
        self._stored = 0
        self._timeline.tell("process", f"incarnation {number} is up")

    def down(self, number: int, how: str) -> None:
        error = self._world.failure
        why = f": {type(error).__name__}: {error}".replace("\n", " ") if error is not None else ""
        self._timeline.tell("process", f"incarnation {number} {_FATES.get(how, how)}{why}")

    def struck(self, fault: Fault, detail: str) -> None:
        self._struck.add(fault.id)
        strikes = f"{describe_fault(fault)} strikes"
        self._timeline.tell(f"fault #{fault.id}", f"{strikes}: {detail}" if detail else strikes, "strikes")

    def violated(self, violation: Violation) -> None:
        self._violations[violation.invariant] += 1
        if (number := self._violations[violation.invariant]) > _VIOLATIONS:
            return
        if number == 1:
            self._timeline.before(_message_in(violation.detail))
        self._timeline.cry(f"{violation.invariant}: {violation.detail}".replace("\n", " "))

    async def each_second(self) -> None:
        host = self._world.host
        if host is not None and host.stored > self._stored:
            self._timeline.stored(host.stored - self._stored)
            self._stored = host.stored

    async def settled(self) -> None:
        self._timeline.flush()
        self._timeline.tell("world", "the feed has ended, what it brought is done with; checking")
        self._timeline.check()

    def ended(self) -> None:
        self._timeline.flush()
        for fault in faults_of(self._world):
            if fault.id not in self._struck:
                self._timeline.tell("world", f"fault #{fault.id} {describe_fault(fault)} has struck nothing")
        for invariant, count in self._violations.items():
            if count > _VIOLATIONS:
                self._timeline.tell("world", f"{invariant} was violated {count} times in all")
        self._timeline.tell("world", "the end")


_FATES: Final = {
    "killed": "was killed",
    "gave_up": "gave up",
    "ended": "has ended by itself",
    "stopped": "has stopped in order",
}


def _message_in(detail: str) -> Message | None:
    """The message that a violation is about, where it names one: "market.tick.SPY ...: 0/31"."""
    topic = _TOPIC.search(detail)
    number = topic and (_POSITION.search(detail, topic.end()) or _NUMBER.match(detail, topic.end()))
    return (topic[0], int(number[1])) if topic and number else None


class _Threads:
    """Work in threads is remembered, for what comes before a violation."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    async def before(self, work: Work) -> None:
        """Nothing is told before."""

    async def after(self, work: Work) -> None:
        self._timeline.remember(work.area, f"{work.name.replace('.<locals>', '')} done")
