"""What a mailbox keeps its items in: a plain queue, or one slot per key."""

from collections import deque
from collections.abc import Hashable
from itertools import islice
from typing import Generic, Protocol, TypeVar

__all__ = ["Buffer", "KeyedBuffer", "QueueBuffer"]

T = TypeVar("T")


class Buffer(Protocol[T]):
    """Items in the order in which they are to be received, each with the time it arrived."""

    def __len__(self) -> int: ...

    def push(self, key: Hashable, item: T, now: float) -> None:
        """Append an item; its key is not in the buffer."""

    def replace(self, key: Hashable, item: T) -> bool:
        """Put the item in the place of the one with the same key, if there is one."""

    def shift(self) -> T:
        """Remove and return the oldest item; the buffer is not empty."""

    def take(self, limit: int | None) -> list[T]:
        """Remove and return up to ``limit`` items (all with ``None``), oldest first."""

    def oldest(self) -> float:
        """Return when the oldest item arrived; the buffer is not empty."""


class QueueBuffer(Generic[T]):
    """First in, first out."""

    __slots__ = ("_items", "_stamps")

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._stamps: deque[float] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def push(self, key: Hashable, item: T, now: float) -> None:
        self._items.append(item)
        self._stamps.append(now)

    def replace(self, key: Hashable, item: T) -> bool:
        return False

    def shift(self) -> T:
        self._stamps.popleft()
        return self._items.popleft()

    def take(self, limit: int | None) -> list[T]:
        if limit is None or limit >= len(self._items):
            taken = list(self._items)
            self._items.clear()
            self._stamps.clear()
            return taken
        return [self.shift() for _ in range(limit)]

    def oldest(self) -> float:
        return self._stamps[0]


class KeyedBuffer(Generic[T]):
    """The latest item of every key, in the order in which the keys first arrived."""

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots: dict[Hashable, tuple[float, T]] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def push(self, key: Hashable, item: T, now: float) -> None:
        self._slots[key] = (now, item)

    def replace(self, key: Hashable, item: T) -> bool:
        slot = self._slots.get(key)
        if slot is None:
            return False
        self._slots[key] = (slot[0], item)
        return True

    def shift(self) -> T:
        return self._slots.pop(next(iter(self._slots)))[1]

    def take(self, limit: int | None) -> list[T]:
        if limit is None or limit >= len(self._slots):
            taken = [item for _, item in self._slots.values()]
            self._slots.clear()
            return taken
        keys = list(islice(self._slots, limit))
        return [self._slots.pop(key)[1] for key in keys]

    def oldest(self) -> float:
        return next(iter(self._slots.values()))[0]
