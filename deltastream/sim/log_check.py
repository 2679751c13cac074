"""The log read back at the end, against what the observer was given while it was written."""

from __future__ import annotations

import math
from typing import Final

from deltastream.bus.protocol import Bus, BusStatistics, Record
from deltastream.sim.history import Complain, History, Line

__all__ = ["check_log", "check_trimmed"]

_PAGE: Final = 512


async def check_log(
    bus: Bus,
    history: History,
    complain: Complain,
    *,
    lost: bool = False,
    share: float = 1.0,
    kept_since: float = -math.inf,
) -> None:
    """Every message seen stands where it was seen, unchanged, and nothing else does.

    Cancellation: what was not read yet is not judged.

    Args:
        bus: all is settled.
        history: what the observer was given; what is lost for good becomes void there.
        complain: told of every difference.
        lost: a fault accounts for messages missing anywhere.
        share: of the pages that are read of each topic, evenly spread, the last one always.
        kept_since: what was seen until then may leave the log meanwhile.
    """
    page = _Page(bus, complain, lost, kept_since)
    for topic in (await bus.statistics()).topics:
        line = history.lines.get(topic.topic)
        if line is None:
            if topic.last_seq >= topic.first_seq:
                complain("unobserved", f"{topic.topic} holds messages that the observer was not given")
            continue
        if line.last != topic.last_seq:
            complain("unobserved", f"{topic.topic} ends at {topic.last_seq}, the observer at {line.last}")
        every = max(1, round(1 / share))
        for number, after in enumerate(range(topic.first_seq - 1, topic.last_seq, _PAGE)):
            if number % every == 0 or after + _PAGE >= topic.last_seq:
                await page.check(line, after, min(after + _PAGE, topic.last_seq))


def check_trimmed(
    bus: BusStatistics, history: History, complain: Complain, kept_since: float, doubtful_until: float
) -> None:
    """Nothing has left the log that was seen after `kept_since`.

    Args:
        doubtful_until: what was seen until then, and has left the log, may have been lost from it before the
            store had its effect, or the store may have needed it again: it is marked.
    """
    for topic in bus.topics:
        line = history.lines.get(topic.topic)
        for seen in () if line is None else line.live.values():
            seen.gone = seen.seq < topic.first_seq
            seen.trimmed = seen.gone and seen.at <= doubtful_until
            if seen.gone and seen.at > kept_since:
                complain(
                    "log_lost", f"{topic.topic} {seen.seq} has left the log {seen.at:.3f} s after the start"
                )


class _Page:
    def __init__(self, bus: Bus, complain: Complain, lost: bool, kept_since: float) -> None:
        self._bus = bus
        self._complain = complain
        self._lost = lost
        self._kept_since = kept_since

    async def check(self, line: Line, after: int, through: int) -> None:
        found = set()
        at = after
        while at < through:
            records = await self._bus.read(line.topic, after=at, limit=through - at)
            for record in records:
                seq = record.position.seq
                if seq > through:
                    break
                found.add(seq)
                self._compare(line, seq, record)
            if not records or records[-1].position.seq >= through:
                break
            at = records[-1].position.seq
        for seq in range(after + 1, through + 1):
            seen = line.live.get(seq)
            if seen is None or seq in found or not seen.sound or seen.at <= self._kept_since:
                continue
            if not self._lost:
                self._complain("log_lost", f"{line.topic} {seq} does not stand in the log any more")
            line.lose(seq)

    def _compare(self, line: Line, seq: int, record: Record) -> None:
        seen = line.live.get(seq)
        if seen is None:
            if not self._lost:
                self._complain("unobserved", f"{line.topic} {seq} stands in the log, and was not given")
        elif not seen.shows(record.message):
            self._complain("log_changed", f"{line.topic} {seq} is another message now")
