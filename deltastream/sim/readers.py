"""Readers: followers of the bus as gateways will be, with nothing but positions and latest state.

A reader follows some topics, takes them in batches, and keeps the latest message of each key by
(ts_event, seq). Through the death of a host it goes on from its positions. Where a new epoch has
made void what it had seen, it forgets that topic and reads it anew, as a gateway takes a snapshot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import trio

from deltastream.bus.protocol import Gap, Record
from deltastream.errors import BusClosed
from deltastream.messages import EnrichedChain, MarketStatus, Message, Position, encode
from deltastream.sim.history import Complain, History, digest_of
from deltastream.storage.protocol import Repository

if TYPE_CHECKING:
    from deltastream.sim.host import SimHost
    from deltastream.sim.world import World

__all__ = ["Reader", "Readers"]

_BATCH: Final = 512
_TOPICS: Final = ("market.tick.", "market.status.", "enriched.chain.", "analytics.surface.")

Key = tuple[str, str, str]
"""Topic, root and expiry; the latter are empty but for chains."""


class Obeyed(Protocol):
    """What makes readers misbehave; see `ReaderFaults`."""

    async def stall(self, reader: int) -> None: ...

    def leaves(self, reader: int) -> float | None: ...


class Reader:
    """One follower.

    Attributes:
        number: names it.
        patterns: what it follows.
        positions: the last one seen, by topic.
        latest: state: by key, the message with the greatest (ts_event, seq).
        seen: how many messages.
        missed: topics of which messages had left the journal before it came to them.
        gaps: what it was told that it will not see.
        absent_until: when it was there again after it last stalled or was away; infinite while it is not.

    Args:
        complain: told where its topics are not contiguous.
        interval_s: how long messages gather between two batches.
    """

    def __init__(
        self, number: int, patterns: tuple[str, ...], complain: Complain, interval_s: float = 0.0
    ) -> None:
        self.number = number
        self.patterns = patterns
        self.positions: dict[str, Position] = {}
        self.latest: dict[Key, Message] = {}
        self.gaps: list[Gap] = []
        self.seen = 0
        self.missed: set[str] = set()
        self._complain = complain
        self._interval_s = interval_s
        self._next: dict[str, int] = {}
        self._voided: list[str] = []
        self.absent_until = -math.inf
        self._away_until: float | None = None
        self._obeys: Obeyed | None = None
        self._presence = trio.CancelScope()

    async def run(self, world: World, obeys: Obeyed | None) -> None:
        """Follow each incarnation for as long as it lives, until cancelled."""
        self._obeys = obeys
        while True:
            self._away_until = None
            with trio.CancelScope() as self._presence:
                await world.attend(self._follow)
            if self._away_until is not None:
                await trio.sleep_until(self._away_until)
                self.absent_until = trio.current_time()

    async def _follow(self, host: SimHost) -> None:
        while host.alive:
            try:
                async with host.bus.follow(self.patterns, after=self.positions) as follower:
                    while not self._voided:
                        if self._obeys is not None:
                            await self._obey(self._obeys)
                        items = await follower.batch(_BATCH)
                        if not host.alive:
                            return
                        self.take(items)
                        if self._interval_s:
                            await trio.sleep(self._interval_s)
            except BusClosed:
                return
            self._forget()

    async def _obey(self, obeys: Obeyed) -> None:
        """Stall, or leave, where that is planned. Leaving is being cancelled: it begins at once."""
        self._away_until = obeys.leaves(self.number)
        if self._away_until is not None:
            self.absent_until = math.inf
            self._presence.cancel("the reader leaves")
        began = trio.current_time()
        absent, self.absent_until = self.absent_until, math.inf
        await obeys.stall(self.number)
        self.absent_until = absent if trio.current_time() == began else trio.current_time()

    def take(self, items: Sequence[Record | Gap]) -> None:
        """A batch has come."""
        positions, upcoming = self.positions, self._next
        for item in items:
            if isinstance(item, Gap):
                self._miss(item)
                continue
            topic, position = item.topic, item.position
            if position.seq != upcoming.get(topic, position.seq):
                self._complain(
                    "reader_gap",
                    f"reader {self.number}: {topic} {position.epoch}/{position.seq}"
                    f" came where {upcoming[topic]} was due",
                )
            positions[topic] = position
            upcoming[topic] = position.seq + 1
            self._keep(topic, item.message)
        self.seen += len(items)

    def _keep(self, topic: str, message: Message) -> None:
        key = (topic, message.root, message.expiry) if isinstance(message, EnrichedChain) else (topic, "", "")
        known = self.latest.get(key)
        if known is None or known.ts_event <= message.ts_event:  # type: ignore[attr-defined]
            self.latest[key] = message

    def _miss(self, gap: Gap) -> None:
        self.gaps.append(gap)
        self.positions[gap.topic] = gap.after
        self._next[gap.topic] = gap.after.seq + 1
        if gap.reason == "epoch_changed" and gap.last >= gap.first:
            self._voided.append(gap.topic)
        if gap.reason == "trimmed":
            self.missed.add(gap.topic)

    def _forget(self) -> None:
        """Begin anew with the topics of which something seen has become void."""
        voided, self._voided = set(self._voided), []
        self.latest = {key: message for key, message in self.latest.items() if key[0] not in voided}
        for topic in sorted(voided):
            self.positions.pop(topic, None)
            self._next.pop(topic, None)


class Readers:
    """All readers of a world: every other one follows everything, the rest one product each.

    Args:
        world: whose scenario tells how many, and of which products.
        complain: told of what they find.
        obeys: the faults of readers.
    """

    def __init__(self, world: World, complain: Complain, obeys: Obeyed | None = None) -> None:
        scenario = world.scenario
        self._complain = complain
        self.readers = [
            Reader(number, _patterns(scenario.products, number), complain, scenario.read_interval_s)
            for number in range(scenario.readers)
        ]
        for reader in self.readers:
            world.tasks.append(partial(reader.run, world, obeys))

    def look(self, now: float, ends: dict[str, tuple[str, int]], patience_s: float) -> None:
        """Nothing was wrong for a while: who has been there has seen what was published by then."""
        for reader in self.readers:
            if now - reader.absent_until < patience_s:
                continue
            for topic, (epoch, seq) in ends.items():
                position = reader.positions.get(topic, Position(epoch, 0))
                if position.epoch == epoch and position.seq < seq and _follows(reader, topic):
                    self._complain(
                        "reader_behind", f"reader {reader.number}: {topic} at {position.seq}, behind {seq}"
                    )

    def know_stale(self, product: str, now: float, patience_s: float) -> None:
        """The product has been told to be stale for a while: whoever has been there knows it."""
        for reader in self.readers:
            if f"market.status.{product}" in reader.missed:
                continue
            known = reader.latest.get((f"market.status.{product}", "", ""))
            status = known.status if isinstance(known, MarketStatus) else None
            if now - reader.absent_until >= patience_s and status not in (None, "stale"):
                self._complain("reader_not_stale", f"reader {reader.number}: {product} is {status}")

    async def compare(self, store: Repository, history: History) -> None:
        """All has settled: each reader's state is the store's, for what it follows.

        A topic of which messages are gone is left out: the store may have the effect of messages that
        no reader can see any more, or have lost it before it could have them again, and a reader in the
        act of reading anew has less. So is what a reader has missed because it had left the journal: it
        would ask the store.

        Cancellation: who was not compared yet is not.
        """
        answers: dict[Key, bytes | None] = {}
        for reader in self.readers:
            for key, message in sorted(reader.latest.items()):
                line = history.lines.get(key[0])
                if line is None or not line.whole or key[0] in reader.missed:
                    continue
                if key not in answers:
                    answers[key] = await _answer(store, key)
                if answers[key] != digest_of(encode(message)):
                    ts = getattr(message, "ts_event", None)
                    self._complain("reader_differs", f"reader {reader.number}: {key} stands at {ts}")
            for topic, line in history.lines.items():
                if line.live and _follows(reader, topic):
                    self._compare_end(reader, topic, line.last)

    def _compare_end(self, reader: Reader, topic: str, last: int) -> None:
        position = reader.positions.get(topic)
        if position is None or position.seq != last:
            self._complain(
                "reader_behind", f"reader {reader.number}: {topic} ends at {position}, the log at {last}"
            )


def _patterns(products: tuple[str, ...], number: int) -> tuple[str, ...]:
    if number % 2 == 0:
        return tuple(f"{topic}*" for topic in _TOPICS)
    product = products[(number // 2) % len(products)]
    return tuple(f"{topic}{product}" for topic in _TOPICS)


def _follows(reader: Reader, topic: str) -> bool:
    return any(
        topic.startswith(pattern[:-1]) if pattern.endswith("*") else topic == pattern
        for pattern in reader.patterns
    )


async def _answer(store: Repository, key: Key) -> bytes | None:
    topic, root, expiry = key
    product = topic.rsplit(".", 1)[1]
    found: Message | None
    if topic.startswith("market.tick."):
        found = await store.tick(product)
    elif topic.startswith("market.status."):
        found = await store.status(product)
    elif topic.startswith("analytics.surface."):
        found = await store.surface(product)
    else:
        found = await store.chain(product, root=root, expiry=expiry)
    return None if found is None else digest_of(encode(found))
