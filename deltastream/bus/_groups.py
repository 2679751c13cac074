"""Consumer groups: who reads which topic, what is in flight, what comes again and when."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from deltastream.bus._topics import Topic, Topics, Wakeup
from deltastream.bus.protocol import GroupStatistics, matches
from deltastream.bus.settings import RetrySettings
from deltastream.messages import Position

__all__ = ["Group", "Groups", "Member", "Retry", "Share", "backoff_s", "due_order", "next_due"]


def backoff_s(settings: RetrySettings, attempts: int, rng: random.Random) -> float:
    """Seconds until the attempt after the `attempts`-th: exponential, jittered down to its half."""
    whole: float = min(settings.cap_s, settings.base_s * 2.0 ** min(attempts - 1, 60))
    return whole * (0.5 + rng.random() / 2)


class Retry(NamedTuple):
    """A message out of line; `due` is a Trio time."""

    due: float
    number: int
    id: str
    position: Position
    attempts: int


class Member:
    """One consumer's place in a group."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self.patterns = patterns
        self.wakeup = Wakeup()
        self.shares: dict[Share, None] = {}
        self.active = True

    def wants(self, topic: str) -> bool:
        """Whether this member may be given the topic."""
        return any(matches(pattern, topic) for pattern in self.patterns)


class Share:
    """Where one group stands on one topic.

    Attributes:
        cursor: last seq handed out, or passed over.
        acked: last seq such that it and all before it are done, as the journal knows it.
        in_flight: handed out and not settled.
        returned: handed out to a member that left; a heap, to be handed out again.
        retries: waiting for their time, a heap.
        retrying: retries handed out.
        aside: beyond `acked`, but out of line already: not to be handed out from the log.
        owner: who reads it; target: who shall, once nothing is in flight.
        busy: the owner is reading the journal; settling: commits under way that settle deliveries.
        passed: how often it had something and others were served instead.
    """

    def __init__(self, topic: Topic, acked: int, lost: int) -> None:
        self.topic = topic
        self.acked = acked
        self.cursor = max(acked, topic.trimmed)
        self.lost = lost
        self.dead = 0
        self.in_flight: set[int] = set()
        self.returned: list[int] = []
        self.retries: list[Retry] = []
        self.retrying: dict[Position, Retry] = {}
        self.aside: set[int] = set()
        self.owner: Member | None = None
        self.target: Member | None = None
        self.busy = False
        self.settling = 0
        self.retried_last = False
        self.passed = 0

    def through(self) -> int:
        """The last seq such that it and all before it are settled, or out of line."""
        if not self.in_flight and not self.returned:
            return self.cursor
        return min((*self.in_flight, *self.returned[:1])) - 1

    def lag(self) -> int:
        """How many messages are not settled, nor out of line."""
        return self.topic.last - (self.acked if self.settling else self.through())

    def holds(self, position: Position) -> bool:
        """Whether this message is handed out and not settled."""
        return position in self.retrying or position.seq in self.in_flight

    def due(self, now: float) -> bool:
        """Whether a retry's time has come."""
        return bool(self.retries) and self.retries[0].due <= now

    def ready(self, now: float) -> bool:
        """Whether there is something to hand out."""
        if self.cursor < self.topic.last or self.returned:
            return True
        return bool(self.retries) and self.due(now)

    def idle(self) -> bool:
        """Whether it can change hands."""
        return not (self.busy or self.settling or self.in_flight or self.retrying)

    def give_back(self, seqs: Iterable[int], retries: Iterable[Retry] = ()) -> None:
        """Hand these out again."""
        for seq in seqs:
            heapq.heappush(self.returned, seq)
        for retry in retries:
            heapq.heappush(self.retries, retry)
        if self.owner is not None:
            self.owner.wakeup.set()

    def place(self, seq: int, lost: int, aside: set[int]) -> None:
        """Go on after `seq`, wherever it stood; `lost` more messages are not to be had any more."""
        self.acked = self.cursor = seq
        self.lost += lost
        self.aside = aside
        self.returned.clear()

    def skip_to(self, seq: int, lost: int) -> None:
        """Pass over what retention took up to `seq`; `lost` of it had not been acknowledged."""
        self.returned = [each for each in self.returned if each > seq]
        heapq.heapify(self.returned)
        self.cursor = max(self.cursor, seq)
        self.acked = max(self.acked, seq)
        self.lost += lost


@dataclass(eq=False)
class Group:
    """A group's members and its standing on every topic it has subscribed to."""

    name: str
    patterns: tuple[str, ...] = ()
    shares: dict[str, Share] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)

    def wants(self, topic: str) -> bool:
        """Whether the group has subscribed to the topic."""
        return any(matches(pattern, topic) for pattern in self.patterns)

    def add(self, topic: Topic, acked: int | None = None, lost: int = 0) -> Share:
        """Begin a topic, at its first message where the group has not been there."""
        share = Share(topic, topic.trimmed if acked is None else acked, lost)
        self.shares[topic.name] = share
        return share

    def subscribe(self, patterns: tuple[str, ...], topics: Iterable[Topic]) -> None:
        """Take over new patterns; topics that none of them matches are no more the group's."""
        self.patterns = patterns
        for name in [name for name in self.shares if not self.wants(name)]:
            del self.shares[name]
        for topic in topics:
            if self.wants(topic.name) and topic.name not in self.shares:
                self.add(topic)

    def join(self, member: Member) -> None:
        """Give the member its part."""
        self.members.append(member)
        self.spread()

    def leave(self, member: Member) -> None:
        """Take the member out; what it had in flight goes to the others."""
        member.active = False
        self.members.remove(member)
        for share in list(member.shares):
            self._hand_over(share, None)
            seqs, share.in_flight = share.in_flight, set()
            retries, share.retrying = share.retrying, {}
            share.give_back(seqs, retries.values())
            share.busy = False
        self.spread()

    def spread(self) -> None:
        """Divide the topics evenly, rank by rank, moving as few as possible."""
        by_rank: dict[int, list[Share]] = {}
        for share in self.shares.values():
            by_rank.setdefault(share.topic.rank, []).append(share)
        total = dict.fromkeys(self.members, 0)
        for rank in sorted(by_rank):
            self._spread_rank(by_rank[rank], total)
        for share in self.shares.values():
            self.settle(share)
        for member in self.members:
            member.wakeup.set()

    def _spread_rank(self, shares: list[Share], total: dict[Member, int]) -> None:
        held: dict[Member, list[Share]] = {member: [] for member in self.members}
        for share in shares:
            if share.target in held and share.target.wants(share.topic.name):
                held[share.target].append(share)
            else:
                share.target = None
        for share in shares:
            able = [member for member in self.members if member.wants(share.topic.name)]
            if share.target is None and able:
                share.target = min(able, key=lambda m: (len(held[m]), total[m]))
                held[share.target].append(share)
        for poorest in sorted(self.members, key=lambda m: len(held[m])):
            for richest in sorted(self.members, key=lambda m: -len(held[m])):
                for share in list(held[richest]):
                    if len(held[richest]) <= len(held[poorest]) + 1:
                        break
                    if poorest.wants(share.topic.name):
                        held[richest].remove(share)
                        held[poorest].append(share)
                        share.target = poorest
        for member, mine in held.items():
            total[member] += len(mine)

    def settle(self, share: Share) -> None:
        """Hand the topic over if it shall be and can be."""
        if share.owner is not share.target and share.idle():
            self._hand_over(share, share.target)

    def _hand_over(self, share: Share, member: Member | None) -> None:
        if share.owner is not None:
            share.owner.shares.pop(share, None)
            share.topic.wakeups.pop(share.owner.wakeup, None)
        share.owner = member
        if member is None:
            share.target = None
        else:
            member.shares[share] = None
            share.topic.wakeups[member.wakeup] = None
            member.wakeup.set()

    def statistics(self) -> list[GroupStatistics]:
        """How far it is on every topic."""
        return [
            GroupStatistics(
                group=self.name,
                topic=share.topic.name,
                acked=share.acked,
                lag=share.lag(),
                in_flight=len(share.in_flight) + len(share.retrying),
                retrying=len(share.retries) + len(share.retrying),
                dead=share.dead,
                lost=share.lost,
            )
            for share in self.shares.values()
        ]


class Groups:
    """All groups the journal knows, present or not."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self.by_name: dict[str, Group] = {}
        self._numbers = 0
        topics.watchers[self._begin] = None

    def load(
        self,
        subscriptions: Sequence[tuple[str, str]],
        progress: Sequence[tuple[str, str, int, int]],
        failures: Sequence[tuple[str, str, str, str, int, int, float | None]],
    ) -> None:
        """Begin anew with what the journal tells. Members of before are out.

        Args:
            subscriptions: (group, pattern).
            progress: (group, topic, acked, lost).
            failures: (id, group, topic, epoch, seq, attempts, due as Trio time or None).
        """
        for group in self.by_name.values():
            for member in list(group.members):
                group.leave(member)
                member.wakeup.set()
        patterns: dict[str, list[str]] = {}
        for name, pattern in subscriptions:
            patterns.setdefault(name, []).append(pattern)
        stood = {(name, topic): (acked, lost) for name, topic, acked, lost in progress}
        self.by_name = {name: Group(name, tuple(each)) for name, each in patterns.items()}
        for group in self.by_name.values():
            for topic in self._topics.matching(group.patterns):
                group.add(topic, *stood.get((group.name, topic.name), (None, 0)))
        for id_, name, topic_name, epoch, seq, attempts, due in failures:
            share = self.share(name, topic_name)
            if share is None:
                continue
            if seq > share.acked and self._topics.still(topic_name, Position(epoch, seq)):
                share.aside.add(seq)
            if due is None:
                share.dead += 1
            else:
                self.retry(share, id_, Position(epoch, seq), attempts, due)

    def share(self, group: str, topic: str) -> Share | None:
        """A group's standing on a topic, where it has one."""
        found = self.by_name.get(group)
        return None if found is None else found.shares.get(topic)

    def retry(self, share: Share, id_: str, position: Position, attempts: int, due: float) -> None:
        """Have a message handed out again at a Trio time."""
        self._numbers += 1
        share.give_back((), [Retry(due, self._numbers, id_, position, attempts)])

    def floor(self, topic: Topic) -> int:
        """The last seq that every group has done with; the topic's last where there is no group."""
        return min((share.acked for _, share in self.on(topic)), default=topic.last)

    def on(self, topic: Topic) -> list[tuple[str, Share]]:
        """The groups that have subscribed to a topic, by name, with their standing on it."""
        found = ((group.name, group.shares.get(topic.name)) for group in self.by_name.values())
        return [(name, share) for name, share in found if share is not None]

    def _begin(self, topic: Topic) -> None:
        for group in self.by_name.values():
            if group.wants(topic.name):
                group.add(topic)
                group.spread()


def due_order(shares: Iterable[Share], now: float) -> list[Share]:
    """The shares that have something, most urgent first; one passed over eight times rises a rank."""
    ready = [share for share in shares if share.owner is share.target and share.ready(now)]
    return sorted(ready, key=lambda share: (8 * share.topic.rank - share.passed, share.topic.number))


def next_due(shares: Iterable[Share]) -> float:
    """Trio time of the earliest retry of a share that is not to be handed over."""
    return min(
        (share.retries[0].due for share in shares if share.retries and share.owner is share.target),
        default=math.inf,
    )
