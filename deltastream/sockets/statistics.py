"""What the sockets have done, counted for status and metrics."""

from __future__ import annotations

import msgspec

__all__ = ["SocketStatistics"]


class SocketStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Sockets of one host at one instant; counts are since its desk began.

    Attributes:
        url: of the socket gateway, as its clients write it; null where it does not listen.
        connections: open, on both ports together.
        rooms: that somebody is in.
        frames: offered to clients and taken.
        writes: in which they left; the busier, the fewer for as many frames.
        passed: batches that a client did not get because it took nothing at that time.
        closed: connections that we closed, by code.
    """

    url: str | None
    connections: int
    rooms: int
    frames: int
    writes: int
    passed: int
    closed: dict[int, int]
