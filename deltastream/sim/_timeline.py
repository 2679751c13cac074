"""The lines of a trace: told at once, summed up, or only remembered for when something goes wrong."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from deltastream.sim.plan import Fault, Plan
from deltastream.sim.words import describe_fault, describe_scenario, local, zone_of

if TYPE_CHECKING:
    from deltastream.sim.world import World

__all__ = ["Message", "Timeline", "faults_of"]

Message: TypeAlias = tuple[str, int]
"""Topic and seq."""

_SHORTEST_STRETCH_S: Final = 5.0
_STRETCHES: Final = 100
"""At most so many summaries of a kind, however long the simulation."""

_ALIKE: Final = 3
"""So many alike events in a stretch are told one by one."""

_TOPICS: Final = 4
_BEFORE: Final = 20
_AROUND: Final = 8
_PAST: Final = 50_000
"""So many lines are remembered, to be told where a violation is about one of them."""


class Timeline:
    """The lines themselves: told at once, once in a stretch, or only remembered."""

    def __init__(self, world: World, write: Callable[[str], object]) -> None:
        self._world = world
        self._write = write
        self._zone = zone_of(world.scenario)
        self._stretch = max(_SHORTEST_STRETCH_S, world.scenario.duration_s / _STRETCHES)
        self._until = self._stretch
        self._topics: dict[str, dict[str, _Run]] = {}
        self._alike: Counter[tuple[str, str]] = Counter()
        self._past: deque[tuple[str, Message | None]] = deque(maxlen=_PAST)
        self._stored = 0
        self._checking = False
        self._number = self._told_to = 0

    def begin(self) -> None:
        """The head: what is simulated, and the plan."""
        self._write(f"{describe_scenario(self._world.scenario)}\n")
        for fault in faults_of(self._world):
            self._write(f"  planned at {fault.at:10.3f} s  #{fault.id} {describe_fault(fault)}\n")
        self._write(f"{'seconds':>16}  {'time':8}  {'who':18}  what\n")

    def tell(self, who: str, what: str, kind: str | None = None) -> None:
        """A line; of those of one kind and actor the first few in a stretch."""
        self._turn_over()
        if kind is not None:
            self._alike[who, kind] += 1
            if self._alike[who, kind] > _ALIKE:
                self._keep(self._line(who, what))
                return
        self._sum_up()
        line = self._line(who, what)
        self._keep(line)
        self._write(line)

    def cry(self, what: str) -> None:
        """A violation; it is no part of what came before the next one."""
        self._turn_over()
        self._sum_up()
        self._write(self._line("VIOLATION", what))

    def count(self, who: str, verb: str, topic: str, seq: int) -> None:
        """A message: summed up with others of its topic."""
        self._turn_over()
        runs = self._topics.setdefault(f"{who}\0{verb}", {})
        runs.setdefault(topic, _Run(seq)).take(seq)
        self._keep(self._line(who, f"{verb} {topic} #{seq}"), (topic, seq))

    def remember(self, who: str, what: str) -> None:
        """Something that is told only where it came right before a violation."""
        if not self._checking:
            self._keep(self._line(who, what))

    def check(self) -> None:
        """From here on only what the checks find is of interest, not their own reading."""
        self._checking = True

    def before(self, about: Message | None) -> None:
        """What came last, in full; and what came before and after a message that this is about."""
        self._sum_up()
        past = list(self._past)
        place = next((n for n in reversed(range(len(past))) if about and past[n][1] == about), None)
        first = max(len(past) - _BEFORE, self._told_to - (self._number - len(past)), 0)
        if place is not None and place < first:
            self._excerpt(past[max(place - _AROUND, 0) : min(place + _AROUND + 1, first)], "…")
        self._excerpt(past[first:])
        self._told_to = self._number

    def stored(self, count: int) -> None:
        """So many effects in the store since it was last asked."""
        self._stored += count
        self._turn_over()

    def flush(self) -> None:
        """Sum up what has gathered."""
        self._sum_up()
        for (who, kind), count in self._alike.items():
            if count > _ALIKE:
                self._write(self._line(who, f"… and {count - _ALIKE} times more: {kind}"))
        self._alike.clear()

    def _excerpt(self, past: Sequence[tuple[str, Message | None]], end: str = "") -> None:
        for line, _ in past:
            self._write(f" | {line.removeprefix('   ')}")
        if end:
            self._write(f" | {end}\n")

    def _keep(self, line: str, message: Message | None = None) -> None:
        self._past.append((line, message))
        self._number += 1

    def _turn_over(self) -> None:
        now = self._world.now()
        if now >= self._until:
            self.flush()
            self._until = now - now % self._stretch + self._stretch

    def _sum_up(self) -> None:
        for name, runs in self._topics.items():
            who, verb = name.split("\0")
            count = sum(run.count for run in runs.values())
            self._write(self._line(who, f"{verb} {count}: {', '.join(_topics(runs))}"))
        if self._stored:
            self._write(self._line("store", f"stored {self._stored}"))
        self._topics.clear()
        self._stored = 0

    def _line(self, who: str, what: str) -> str:
        now = self._world.now()
        time = local(self._world.scenario.start + round(now * 1e9), self._zone)
        return f"   {now:13.6f}  {time:%H:%M:%S}  {who:18}  {self._world.tidy(what)}\n"


@dataclass(slots=True)
class _Run:
    """The numbers of a topic's messages in a stretch."""

    first: int
    last: int = 0
    count: int = 0

    def take(self, seq: int) -> None:
        self.first, self.last = min(self.first, seq), max(self.last, seq)
        self.count += 1


def _topics(runs: dict[str, _Run]) -> Iterator[str]:
    """The topics with their numbers; where there are many, their kinds."""
    if len(runs) <= _TOPICS:
        for topic, run in runs.items():
            yield f"{topic} #{run.first}" if run.first == run.last else f"{topic} #{run.first}-{run.last}"
        return
    kinds: Counter[str] = Counter()
    for topic, run in runs.items():
        kinds[topic.rpartition(".")[0]] += run.count
    for kind, count in kinds.items():
        yield f"{count} of {kind}.*"


def faults_of(world: World) -> tuple[Fault, ...]:
    """The faults that are planned for a world."""
    return world.plan.faults if isinstance(world.plan, Plan) else ()
