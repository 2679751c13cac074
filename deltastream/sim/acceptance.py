"""No accepted message is lost, nor twice in the log: what the feed was told against what stands there."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from deltastream.accounts import TOPIC as REVOCATIONS
from deltastream.messages import Message, Position
from deltastream.sim.history import Complain, History, Seen

__all__ = ["Acceptance"]

Place = tuple[str, str, int]
"""Topic, epoch and seq."""


class Acceptance:
    """Waits for the observer to see every accepted message where it was accepted.

    Args:
        history: what the observer has seen.
        complain: told of what is not there, or not the same.
    """

    def __init__(self, history: History, complain: Complain) -> None:
        self._history = history
        self._complain = complain
        self._unseen: dict[Place, Message] = {}
        self._keyed: dict[tuple[str, str], list[Position]] = {}
        self._renewed: set[Place] = set()

    def accept(self, topic: str, position: Position, message: Message, key: str | None = None) -> None:
        """An append was acknowledged."""
        if position.epoch not in self._history.epochs[:1]:
            self._renewed.add((topic, position.epoch, position.seq))
        if key is not None:
            self._keyed.setdefault((topic, key), []).append(position)
        line = self._history.lines.get(topic)
        # The feed may be told before the observer is that there is a new epoch.
        seen = line.find(position) if line is not None and position.epoch in line.epochs else None
        if seen is None:
            self._unseen[topic, position.epoch, position.seq] = message
        else:
            self._compare(topic, position, seen, message)

    def see(self, topic: str, position: Position, seen: Seen, given: Message | None = None) -> None:
        """The observer was given a message; if it is the very one that was accepted, it cannot differ."""
        message = self._unseen.pop((topic, position.epoch, position.seq), None)
        if message is not None and message is not given:
            self._compare(topic, position, seen, message)

    def unseen(self) -> list[tuple[str, Position, Message]]:
        """What was accepted and is nowhere in the log, under whatever epoch; complains of what differs."""
        missing = []
        for (topic, epoch, seq), message in self._unseen.items():
            position = Position(epoch, seq)
            seen = self._history.find(topic, position)
            if seen is None or not seen.shows(message):
                missing.append((topic, position, message))
        return missing

    def back(self) -> list[str]:
        """What was declared void by a new epoch, and stands under it where it stood.

        What the feed was told to be accepted there is another message, though it may say the same: a
        source whose clock was set back repeats itself. Accounts tell a revocation until they know it stands.
        """
        return [
            f"{topic} {epoch}/{seq}"
            for topic, epoch, seq in self._history.back
            if (topic, epoch, seq) not in self._renewed and topic != REVOCATIONS
        ]

    def complete(self, forgotten: Callable[[float, float], bool] = lambda first, last: False) -> None:
        """Nothing more will come: what was appended under one key stands in the log once.

        Args:
            forgotten: whether what was seen at one moment, and has left the log, may have done so before
                another, and its key with it; both in virtual seconds.
        """
        for (topic, key), positions in self._keyed.items():
            found = [self._history.find(topic, position) for position in positions]
            standing = {seen.number: seen for seen in found if seen is not None and not seen.void}
            same = [standing[number] for number in sorted(standing)]
            if not all(first.gone and forgotten(first.at, second.at) for first, second in pairwise(same)):
                places = [seen.seq for seen in same]
                self._complain("accepted_twice", f"{topic} {places} have the key {key!r}")

    def _compare(self, topic: str, position: Position, seen: Seen, message: Message) -> None:
        if not seen.shows(message):
            where = f"{topic} {position.epoch}/{position.seq}"
            self._complain("lost_accepted", f"{where}: another message stands there than was accepted")
