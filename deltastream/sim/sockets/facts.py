"""What clients were sent, compared with the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from deltastream.messages import EnrichedChain
from deltastream.sim.history import Complain
from deltastream.sim.sockets.archive import Archive, Line, Log, topic_of
from deltastream.sim.sockets.contents import Key, shown_in

__all__ = ["Facts", "Held"]


_PROVISIONAL: Final = "~"


class Held(NamedTuple):
    """What a client has of a key.

    Attributes:
        own: the seq that changes of it refer to; 0: none can.
        ts: when it happened, microseconds UTC.
    """

    own: int
    ts: int
    data: Any


class Facts:
    """Knows what is true.

    Args:
        archive: the log.
        complain: told of what is not.
        lossy: whether a fault has struck that takes messages out of the log, or lets them be seen that were
            never in it for long.
    """

    def __init__(self, archive: Archive, complain: Complain, lossy: Callable[[], bool]) -> None:
        self.archive = archive
        self._complain = complain
        self.lossy = lossy
        self._unplaced: list[tuple[str, str, Key, Held, bool]] = []

    def update(self, who: str, room: str, stream: str, epoch: str, seq: int, data: Any) -> None:
        """Somebody was brought to a position by a message, or by what it changes."""
        topic, short = topic_of(stream), room == "general"
        epoch = epoch.removesuffix(_PROVISIONAL)

        def compare(line: Line | None) -> None:
            if line is None or line.data(short=short) != data:
                self._differs(who, topic, epoch, seq, line, data, short=short)

        self.archive.when_seen(topic, epoch, seq, compare)

    def _differs(
        self, who: str, topic: str, epoch: str, seq: int, line: Line | None, data: Any, *, short: bool
    ) -> None:
        log = self.archive.log(topic)
        where = f"{who}: {topic} {epoch}/{seq}"
        for other in log.epochs:
            found = log.find(other, seq)
            if other != epoch and found is not None and found is not line and found.data(short=short) == data:
                self._complain("socket_spliced", f"{where} is what {other} has there")
                return
        if line is not None:
            self._complain("socket_content", f"{where}: {_difference(line.data(short=short), data)}")
        elif not (log.damaged or self.lossy()):
            self._complain("socket_content", f"{where} was never in the log")

    def part(self, who: str, room: str, stream: str, epoch: str, key: Key, held: Held) -> None:
        """Somebody was given this as a part of the present state."""
        if held.own:
            self.update(who, room, stream, epoch, held.own, held.data)
            return
        topic, short = topic_of(stream), room == "general"
        if not self._placed(topic, key, held, short=short):
            self._unplaced.append((f"{who}: {room}", topic, key, held, short))

    def _placed(self, topic: str, key: Key, held: Held, *, short: bool) -> bool:
        return any(
            line.ts == held.ts and line.data(short=short) == held.data
            for line in self.archive.log(topic).all(key)
        )

    def stands(
        self, who: str, room: str, stream: str, epoch: str, seq: int, state: Mapping[Key, Held]
    ) -> None:
        """Somebody was told to have everything of a stream up to there; what they have must be the newest.

        Under a provisional epoch that is promised of the log alone, from which some has gone.
        """
        if epoch.endswith(_PROVISIONAL):
            return
        topic, have = topic_of(stream), dict(state)

        def compare(line: Line | None) -> None:
            log = self.archive.log(topic)
            if not log.damaged and not self.lossy():
                self._compare(f"{who}: {room} at {epoch}/{seq}", log, room, (epoch, seq), have)

        self.archive.when_seen(topic, epoch, seq, compare)

    def _compare(
        self, where: str, log: Log, room: str, place: tuple[str, int], have: Mapping[Key, Held]
    ) -> None:
        for key, line in self.newest(log, room, place).items():
            mine = have.get(key)
            if mine is None:
                self._complain("socket_state", f"{where}: nothing is there of {'/'.join(key)}")
            elif mine.ts != line.ts or mine.data != line.data(short=room == "general"):
                what = _difference(line.data(short=room == "general"), mine.data)
                self._complain("socket_state", f"{where}: of {line.ts}, not of {mine.ts}: {what}")

    def newest(self, log: Log, room: str, place: tuple[str, int]) -> dict[Key, Line]:
        """What everybody in a room has who stands there, but what has expired by then."""
        state = log.state(*place) or {}
        now = max((line.ts for line in state.values()), default=0)
        return {
            key: line
            for key, line in state.items()
            if shown_in(room, key, line.message.product)  # type: ignore[attr-defined]  # they have one
            and not (isinstance(line.message, EnrichedChain) and line.message.expiry_ts // 1000 <= now)
        }

    def finish(self) -> None:
        """Nothing more will be seen."""
        self.archive.finish()
        for where, topic, key, held, short in self._unplaced:
            if not (self.lossy() or self._placed(topic, key, held, short=short)):
                self._complain("socket_content", f"{where}: a state of {held.ts} is no message's")


def _difference(due: Any, came: Any) -> str:
    """Where two differ, in a few words."""
    if not isinstance(due, dict) or not isinstance(came, dict):
        return f"{came!r:.60} in place of {due!r:.60}"
    names = [name for name in {**due, **came} if due.get(name) != came.get(name)]
    if names[:1] == ["columns"]:
        return "columns: " + _difference(due.get("columns"), came.get("columns"))
    return "; ".join(
        f"{name}: {came.get(name)!r:.60} in place of {due.get(name)!r:.60}" for name in names[:3]
    )
