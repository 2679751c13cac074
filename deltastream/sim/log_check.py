"""The log read back at the end, against what the observer was given while it was written."""

from __future__ import annotations

from typing import Final

from deltastream.bus.protocol import Bus, BusStatistics
from deltastream.sim.history import Complain, History, Line

__all__ = ["check_log", "check_trimmed"]

_PAGE: Final = 512


async def check_log(
    bus: Bus, history: History, complain: Complain, *, lost: bool = False, share: float = 1.0
) -> None:
    """Every message seen stands where it was seen, unchanged, and nothing else does.

    Cancellation: what was not read yet is not judged.

    Args:
        bus: all is settled.
        history: what the observer was given; what is lost for good becomes void there.
        complain: told of every difference.
        lost: a fault accounts for messages missing anywhere.
        share: of the pages that are read of each topic, evenly spread, the last one always.
    """
    for topic in (await bus.statistics()).topics:
        line = history.lines.get(topic.topic)
        if line is None:
            if topic.last_seq >= topic.first_seq:
                complain("unobserved", f"{topic.topic} holds messages that the observer was not given")
            continue
        if line.last != topic.last_seq:
            complain("unobserved", f"{topic.topic} ends at {topic.last_seq}, the observer at {line.last}")
        every = max(1, round(1 / share))
        for page, after in enumerate(range(topic.first_seq - 1, topic.last_seq, _PAGE)):
            if page % every == 0 or after + _PAGE >= topic.last_seq:
                await _check_page(bus, line, after, min(after + _PAGE, topic.last_seq), complain, lost)


def check_trimmed(
    bus: BusStatistics, history: History, complain: Complain, kept_since: float, behind: bool
) -> None:
    """Nothing has left the log that was seen after `kept_since`.

    Args:
        behind: the store may have needed again what has left the log; that is marked.
    """
    for topic in bus.topics:
        line = history.lines.get(topic.topic)
        for seen in () if line is None else line.live.values():
            gone = seen.seq < topic.first_seq
            seen.trimmed = gone and behind
            if gone and seen.at > kept_since:
                complain(
                    "log_lost", f"{topic.topic} {seen.seq} has left the log {seen.at:.3f} s after the start"
                )


async def _check_page(bus: Bus, line: Line, after: int, through: int, complain: Complain, lost: bool) -> None:
    found = set()
    at = after
    while at < through:
        records = await bus.read(line.topic, after=at, limit=through - at)
        for record in records:
            seq = record.position.seq
            if seq > through:
                break
            found.add(seq)
            seen = line.live.get(seq)
            if seen is None:
                if not lost:
                    complain("unobserved", f"{line.topic} {seq} stands in the log, and was not given")
            elif not seen.shows(record.message):
                complain("log_changed", f"{line.topic} {seq} is another message now")
        if not records or records[-1].position.seq >= through:
            break
        at = records[-1].position.seq
    kept = next(each.first_seq for each in (await bus.statistics()).topics if each.topic == line.topic)
    for seq in range(max(after + 1, kept), through + 1):  # it may have been trimmed meanwhile
        seen = line.live.get(seq)
        if seen is None or seq in found or not seen.sound:
            continue
        if not lost:
            complain("log_lost", f"{line.topic} {seq} does not stand in the log any more")
        line.lose(seq)
