"""What has been rendered of the present state, so that many who ask are answered with the same bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Memo"]

T = TypeVar("T")


class Memo(Generic[T]):
    """Values by key, those used least recently forgotten first.

    Args:
        limit: the most that the sizes of all values may add up to.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._held: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        """The value, None where it is not held (any more)."""
        found = self._held.get(key)
        if found is None:
            return None
        self._held.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: T, size: int) -> None:
        """Hold a value; one larger than the limit is not held."""
        self._size -= self._held.pop(key, (None, 0))[1]
        if size > self._limit:
            return
        self._held[key] = (value, size)
        self._size += size
        while self._size > self._limit:
            _, (_, freed) = self._held.popitem(last=False)
            self._size -= freed
