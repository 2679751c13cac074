"""Whose time has come: sessions in the order of their deadlines, so that nobody looks at all of them."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count

from deltastream.sockets.connection import Connection

__all__ = ["Deadlines"]


class Deadlines:
    """Deadlines of connections. One that has moved later, as most do, is seen when the former has come."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Connection]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    def watch(self, connection: Connection) -> None:
        """Look at a connection when its deadline has come: a new one, or one whose has moved earlier."""
        if connection.session.deadline < connection.looked_at:
            self._push(connection)

    def due(self, now: float) -> Iterator[Connection]:
        """Those whose deadlines have come, each once; it is looked at again at its next."""
        looked: list[Connection] = []
        try:
            while self._heap and self._heap[0][0] <= now:
                at, _, connection = heappop(self._heap)
                if at != connection.looked_at or connection.session.closed:
                    continue
                looked.append(connection)
                if connection.session.deadline <= now:
                    yield connection
        finally:
            for connection in looked:
                if not connection.session.closed:
                    self._push(connection)

    def _push(self, connection: Connection) -> None:
        connection.looked_at = connection.session.deadline
        heappush(self._heap, (connection.looked_at, next(self._numbers), connection))
