"""The observer: sees everything that is published, through every incarnation, and sums it up."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import trio

from deltastream.bus import Gap, Record
from deltastream.errors import BusClosed
from deltastream.messages import Position, encode

if TYPE_CHECKING:
    from deltastream.sim.host import SimHost
    from deltastream.sim.world import World

__all__ = ["Observer"]

_BATCH: Final = 1024


class Observer:
    """Follows every topic by its positions.

    Attributes:
        positions: the last one seen, by topic.
        seen: the seq up to which each topic is known, in the epoch that it has now.
        frame: the bytes of the record that hooks are being given.
        published, gaps, enriched: how many.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._digest = hashlib.sha256()
        self.positions: dict[str, Position] = {}
        self.seen: dict[str, int] = {}
        self.frame = b""
        self.published = self.gaps = self.enriched = 0

    @property
    def digest(self) -> str:
        """SHA-256 over topic, position and bytes of every record, in the order they were seen."""
        return self._digest.hexdigest()

    async def run(self) -> None:
        """Follow each incarnation for as long as it lives, from when its bus is there.

        One that fails to start may take a while, and a journal that keeps seconds forgets meanwhile.
        """
        await self._world.attend(self._follow, early=True)

    async def _follow(self, host: SimHost) -> None:
        try:
            async with host.bus.follow(("*",), after=self.positions) as follower:
                while True:
                    items = await follower.batch(_BATCH)
                    if not host.alive:
                        return
                    for item in items:
                        self._see(item)
                    if self._world.scenario.read_interval_s:
                        await trio.sleep(self._world.scenario.read_interval_s)
        except BusClosed:
            return

    def _see(self, item: Record | Gap) -> None:
        if isinstance(item, Gap):
            self.gaps += 1
            self.positions[item.topic] = item.after
            self.seen[item.topic] = item.after.seq
        else:
            position = item.position
            self.published += 1
            self.enriched += item.topic.startswith("enriched.")
            self.positions[item.topic] = position
            self.seen[item.topic] = position.seq
            self.frame = encode(item.message)
            self._digest.update(f"{item.topic}@{position.epoch}:{position.seq}\n".encode())
            self._digest.update(self.frame)
        for hook in self._world.on_record:
            hook(item)
