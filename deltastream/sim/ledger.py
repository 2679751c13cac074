"""The ledger: what the bus has accepted, as the feed was told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from deltastream.bus import Bus, Entry
from deltastream.messages import Message, Position

__all__ = ["Accepted", "Ledger", "WitnessedBus"]


class Accepted(NamedTuple):
    """A message whose append was acknowledged.

    Attributes:
        incarnation: of the host that acknowledged it.
        at: virtual seconds since the start.
    """

    topic: str
    position: Position
    key: str | None
    message: Message
    incarnation: int
    at: float


class Ledger:
    """Everything that feeds were told is accepted, in that order.

    Attributes:
        accepted: the entries; all of them, or where `keep` is false none.
        count: how many there were.
        hooks: called with each.
    """

    def __init__(self, *, keep: bool = True) -> None:
        self.accepted: list[Accepted] = []
        self.count = 0
        self.hooks: list[Callable[[Accepted], object]] = []
        self._keep = keep

    def enter(self, entry: Accepted) -> None:
        """One more."""
        self.count += 1
        if self._keep:
            self.accepted.append(entry)
        for hook in self.hooks:
            hook(entry)


class WitnessedBus:
    """A bus as the feed of one incarnation has it: what is acknowledged to a living one is entered.

    Args:
        bus: the real one.
        enter: given the entries and their positions once the append has returned.
    """

    def __init__(self, bus: Bus, enter: Callable[[Sequence[Entry], Sequence[Position]], None]) -> None:
        self._bus = bus
        self._enter = enter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def append(self, topic: str, message: Message, *, key: str | None = None) -> Position:
        """See `Bus.append`; cancellation too."""
        return (await self.append_batch((Entry(topic, message, key),)))[0]

    async def append_batch(self, entries: Sequence[Entry]) -> list[Position]:
        """See `Bus.append_batch`; cancellation too."""
        positions = await self._bus.append_batch(entries)
        self._enter(entries, positions)
        return positions
