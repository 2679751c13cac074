"""The model: what a store must hold and answer, worked out from the log in the plainest way.

It shares nothing with the store it judges but the types of the messages. Everything is kept and
compared as it stands in the log: one effect for each message, in order of (ts_event, seq).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from deltastream.analytics import AnalyticsSettings
from deltastream.bus.protocol import Gap, Record
from deltastream.messages import DeadLetter, EnrichedChain, Message, OptionChain, encode
from deltastream.sim.derivation import Derivations
from deltastream.sim.history import Complain, History, Seen, digest_of, understood
from deltastream.sim.notes import note_of

__all__ = ["Model"]

STORED: Final = ("market.tick.", "market.status.", "enriched.chain.", "analytics.surface.")
"""Topics whose messages take effect in the store."""

LOST: Final = "lost"
"""In the place of a group: the message may have been given up, and its letter is lost."""


class Model:
    """Follows the log and knows what must have come of it.

    Args:
        settings: of the analytics.
        complain: told of everything that is not as it must be.
        explained: whether the plan of faults accounts for a gap.
        every: compute every so-manieth enriched chain again; 1: all, and make sure that everything
            can be read as it stands in the journal.
    """

    def __init__(
        self,
        settings: AnalyticsSettings,
        complain: Complain,
        explained: Callable[[Gap], bool] = lambda gap: False,
        *,
        every: int = 1,
    ) -> None:
        self.history = History(complain, explained)
        self.derivations = Derivations(self.history, settings, complain, every=every)
        self._complain = complain
        self._trusting = every > 1

    def observe(self, item: Record | Gap, frame: bytes | None = None) -> Seen | None:
        """What the observer was given, in that order; the message's entry where it is a new one.

        Args:
            item: a record or a gap.
            frame: what `encode` makes of the record's message, where somebody has called it.
        """
        if isinstance(item, Gap):
            self.history.declare(item)
            return None
        message: Message | None = item.message
        if frame is None:
            frame = encode(item.message)
        if not self._trusting:
            frame, message = understood(frame)
        seen = self.history.take(item, digest_of(frame), _ts_of(item.message))
        if seen is None:
            return None
        if message is None:
            seen.sound = False
            return seen
        seen.note, seen.sound = note_of(message)
        if isinstance(message, OptionChain):
            self.derivations.market(item.topic, seen)
        elif isinstance(message, EnrichedChain):
            self.derivations.enriched(item.topic, seen, message)
        return seen

    def bury(self, letters: Iterable[DeadLetter], excused: bool, *, lost: bool = False) -> None:
        """The dead letters at the end. Only a message that is not what its type says earns one.

        Args:
            excused: the plan accounts for dead letters of good messages.
            lost: it accounts for letters that are gone with the journal's end, or from anywhere in it.
        """
        for letter in letters:
            where = f"{letter.topic} {letter.position.epoch}/{letter.position.seq} of {letter.group}"
            seen = self.history.find(letter.topic, letter.position)
            if seen is None:
                if not excused:
                    self._complain("dead_unknown", f"{where} was never seen in the log")
                continue
            seen.dead = (*seen.dead, letter.group)
            # A journal of before an epoch has messages back under names that its letters do not know.
            twin = self.history.lines[letter.topic].live.get(letter.position.seq)
            if twin is not None and twin is not seen and twin.digest == seen.digest:
                twin.dead = (*twin.dead, letter.group)
            if seen.sound and not excused:
                self._complain("dead_unearned", f"{where} is sound: {letter.error[:200]}")
        if lost:
            for line in self.history.lines.values():
                for seen in line:
                    if not seen.sound and not seen.dead:
                        seen.dead = (LOST,)

    def suppose(self, topic: str, message: Message) -> None:
        """A message was accepted and lost before the observer saw it; it may have had its effect."""
        frame, read = understood(encode(message))
        line = self.history.line(topic)
        seen = Seen(line.count, len(line.epochs), -1 - line.count, digest_of(frame), _ts_of(message))
        seen.note, seen.sound = (None, False) if read is None else note_of(read)
        seen.void = True
        line.void[seen.epoch, seen.seq] = seen
        line.count += 1

    def effects(self, product: str, topic: str) -> list[Seen]:
        """The messages that may have taken effect, in the order of a series."""
        line = self.history.lines.get(f"{topic}{product}")
        return [] if line is None else sorted(line, key=lambda seen: seen.order)

    @property
    def products(self) -> list[str]:
        """Every product of which something is stored, by symbol."""
        lines = (line for prefix in STORED for line in self.history.matching(prefix))
        return sorted({line.topic.rsplit(".", 1)[1] for line in lines if line.live or line.void})


def _ts_of(message: Message) -> int:
    ts = getattr(message, "ts_event", 0)
    return ts if isinstance(ts, int) else 0
