"""The log as clients may have seen it: every message by its position, and the state at each position.

It is told what the observer of a simulation is given. A gateway may be ahead of that: what a client
says of a position that nobody has seen yet waits, and is compared once it has been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from deltastream.bus.protocol import Gap, Record
from deltastream.messages import EnrichedChain, MarketStatus, Message, Position
from deltastream.sim.sockets.contents import Key, key_of, micros, plain, summary

__all__ = ["TOPICS", "Archive", "Line", "Log", "topic_of"]

_STATUS: Final = "market.status."
TOPICS: Final = {"product": "market.tick.", "chain": "enriched.chain.", "surface": "analytics.surface."}


def topic_of(stream: str) -> str:
    """The topic of the bus that a stream of clients shows."""
    kind, _, product = stream.partition(":")
    return TOPICS[kind] + product


class Line:
    """One message.

    Attributes:
        key: what it is the state of.
        ts: when it happened, as clients know it, who cannot tell apart what did within a microsecond.
    """

    __slots__ = ("_full", "_short", "key", "message", "ts")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.key = key_of(message)
        self.ts = micros(message.ts_event)  # type: ignore[attr-defined]  # all that rooms show has one
        self._full: Any = None
        self._short: Any = None

    def data(self, *, short: bool = False) -> Any:
        """What an update tells of it, made once for all who ask.

        Args:
            short: of a chain the head alone.
        """
        if short and isinstance(self.message, EnrichedChain):
            if self._short is None:
                self._short = summary(self.message)
            return self._short
        if self._full is None:
            self._full = plain(self.message)
        return self._full


State = dict[Key, Line]
Compare = Callable[[Line | None], object]


class Log:
    """One topic.

    Attributes:
        epochs: in order; cuts: by epoch but the first, the last seq before it that is still the same.
        last: the seq of the newest.
        damaged: something is missing, or was, and what follows from it nobody can tell.
    """

    def __init__(self) -> None:
        self.epochs: list[str] = []
        self.cuts: list[int] = []
        self.last = 0
        self.damaged = False
        self._lines: dict[tuple[int, int], Line] = {}
        self._states: dict[tuple[int, int], State] = {}

    @property
    def end(self) -> Position | None:
        """Where it ends; None where nothing has been seen of it."""
        return Position(self.epochs[-1], self.last) if self.epochs else None

    def knows(self, epoch: str) -> bool:
        """Whether anything has been seen of an epoch."""
        return epoch in self.epochs

    def find(self, epoch: str, seq: int) -> Line | None:
        """The message that has this position, also where it had it before the epoch began."""
        return self._lines.get(self._place(epoch, seq))

    def state(self, epoch: str, seq: int) -> State | None:
        """The newest message of each key when the topic stood there, by time and then by place."""
        return {} if seq == 0 else self._states.get(self._place(epoch, seq))

    def all(self, key: Key) -> Iterator[Line]:
        """Every message of a key there ever was."""
        return (line for line in self._lines.values() if line.key == key)

    def _place(self, epoch: str, seq: int) -> tuple[int, int]:
        number = self.epochs.index(epoch) if epoch in self.epochs else len(self.epochs)
        while 0 < number <= len(self.cuts) and seq <= self.cuts[number - 1]:
            number -= 1
        return number, seq

    def take(self, record: Record) -> None:
        """One more message."""
        epoch, seq = record.position.epoch, record.position.seq
        if not self.epochs:
            self.epochs.append(epoch)
        elif self.epochs[-1] != epoch:
            self._renew(epoch, 0)
        before = self.state(epoch, self.last) or {}
        self.damaged = self.damaged or seq != self.last + 1
        line = Line(record.message)
        held = before.get(line.key)
        place = len(self.epochs) - 1, seq
        self._lines[place] = line
        self._states[place] = {**before, line.key: line} if held is None or line.ts >= held.ts else before
        self.last = seq

    def miss(self, gap: Gap) -> None:
        """Word that some are missing."""
        self.damaged = self.damaged or gap.last >= gap.first
        if gap.new_epoch is None:
            self.last = max(self.last, gap.last)
        else:
            if not self.epochs:
                self.epochs.append(gap.epoch)
            self._renew(gap.new_epoch, gap.first - 1)

    def _renew(self, epoch: str, cut: int) -> None:
        self.damaged = self.damaged or cut < self.last
        self.epochs.append(epoch)
        self.cuts.append(cut)
        self.last = cut


class Archive:
    """Every topic of a market.

    Attributes:
        statuses: the newest status of each product, and when it was seen; none where that may have been
            lost, until there is one that is newer in any case.
        largest: bytes of the columns of the largest chain.
    """

    def __init__(self) -> None:
        self.statuses: dict[str, tuple[MarketStatus, float]] = {}
        self.largest = 0
        self._lost: dict[str, int] = {}
        self._logs: dict[str, Log] = {}
        self._waiting: dict[str, dict[tuple[str, int], list[Compare]]] = {}

    def log(self, topic: str) -> Log:
        """One topic, empty where nothing is known of it."""
        return self._logs.setdefault(topic, Log())

    def topics(self) -> list[str]:
        """Those that something is known of."""
        return list(self._logs)

    def see(self, item: Record | Gap, now: float) -> None:
        """The observer was given this."""
        if isinstance(item, Gap):
            self.log(item.topic).miss(item)
            if item.topic.startswith(_STATUS) and item.last >= item.first:
                self._lose_status(item.topic.removeprefix(_STATUS))
        elif isinstance(item.message, MarketStatus):
            self._see_status(item.message, now)
        elif item.topic.startswith(tuple(TOPICS.values())):
            self.log(item.topic).take(item)
            self._compare(item)
            if isinstance(item.message, EnrichedChain):
                self.largest = max(self.largest, item.message.columns.nbytes)

    def _see_status(self, status: MarketStatus, now: float) -> None:
        known = self.statuses.get(status.product)
        newest = self._lost.get(status.product, 0) if known is None else known[0].ts_event
        if status.ts_event >= newest:
            self.statuses[status.product] = status, now

    def _lose_status(self, product: str) -> None:
        """The newest may be lost, and known to the store alone: who asked it takes none that is older."""
        if (known := self.statuses.pop(product, None)) is not None:
            self._lost[product] = known[0].ts_event

    def _compare(self, record: Record) -> None:
        waiting = self._waiting.get(record.topic, {})
        for compare in waiting.pop((record.position.epoch, record.position.seq), ()):
            compare(self.log(record.topic).find(record.position.epoch, record.position.seq))

    def when_seen(self, topic: str, epoch: str, seq: int, compare: Compare) -> None:
        """Have something compared with the message of a position, now or once it has been seen."""
        line = self.log(topic).find(epoch, seq)
        if line is not None:
            compare(line)
        else:
            self._waiting.setdefault(topic, {}).setdefault((epoch, seq), []).append(compare)

    def finish(self) -> None:
        """Nothing more will be seen: what still waits is compared with what there is, if only None."""
        for topic, waiting in self._waiting.items():
            for (epoch, seq), compares in waiting.items():
                for compare in compares:
                    compare(self.log(topic).find(epoch, seq))
        self._waiting.clear()
