"""Which messages have taken effect, exactly and for ever, in little room.

Per topic and epoch the store keeps the ranges of seq that were applied. As topics are contiguous
that is one row, plus one for each message that was left out (a dead letter, say). So repeats are
known however late they come, even when retention has long dropped what they wrote.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping

__all__ = ["claim", "earlier_positions", "move_positions", "positions"]


def claim(connection: sqlite3.Connection, stream: int, seqs: Iterable[int]) -> set[int]:
    """Mark messages of a stream as applied.

    Returns:
        Those that had not been.
    """
    fresh: set[int] = set()
    for first, last in _runs(sorted(set(seqs))):
        fresh.update(_claim_run(connection, stream, first, last))
    return fresh


def _runs(seqs: list[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for i in range(1, len(seqs) + 1):
        if i == len(seqs) or seqs[i] != seqs[i - 1] + 1:
            yield seqs[start], seqs[i - 1]
            start = i


def _claim_run(connection: sqlite3.Connection, stream: int, first: int, last: int) -> Iterable[int]:
    at_the_end = connection.execute(
        """UPDATE applied SET last = :last
           WHERE stream = :stream AND last = :first - 1
               AND first = (SELECT max(first) FROM applied WHERE stream = :stream)""",
        {"stream": stream, "first": first, "last": last},
    )
    if at_the_end.rowcount:
        return range(first, last + 1)
    touching = connection.execute(
        """SELECT first, last FROM applied
           WHERE stream = :stream AND last >= :first - 1 AND first BETWEEN
               coalesce((SELECT max(first) FROM applied WHERE stream = :stream AND first <= :first), :first)
               AND :last + 1
           ORDER BY first""",
        {"stream": stream, "first": first, "last": last},
    ).fetchall()
    fresh: list[int] = []
    todo = first
    for low, high in touching:
        fresh.extend(range(todo, low))
        todo = max(todo, high + 1)
    fresh.extend(range(todo, last + 1))
    if fresh:
        low = min(first, touching[0][0]) if touching else first
        high = max(last, touching[-1][1]) if touching else last
        connection.execute(
            "DELETE FROM applied WHERE stream = ? AND first > ? AND first <= ?", (stream, low, high)
        )
        connection.execute("INSERT OR REPLACE INTO applied VALUES (?, ?, ?)", (stream, low, high))
    return fresh


def move_positions(
    connection: sqlite3.Connection, group: str, reached: Mapping[str, tuple[int, int]]
) -> None:
    """Move a group forward to (stream, seq) per topic; never back, and never to an earlier epoch."""
    connection.executemany(
        """INSERT INTO positions VALUES (?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET stream = excluded.stream, seq = excluded.seq
           WHERE (excluded.stream, excluded.seq) > (positions.stream, positions.seq)""",
        [(group, topic, stream, seq) for topic, (stream, seq) in reached.items()],
    )


def positions(connection: sqlite3.Connection, group: str) -> list[tuple[str, str, int]]:
    """(topic, epoch, seq) of a group, by topic."""
    return connection.execute(
        """SELECT p.topic, s.epoch, p.seq FROM positions p JOIN streams s ON s.id = p.stream
           WHERE p.consumer = ? ORDER BY p.topic""",
        (group,),
    ).fetchall()


def earlier_positions(connection: sqlite3.Connection, group: str) -> list[tuple[str, str, int]]:
    """(topic, epoch, last seq applied) of epochs before a group's present one, by topic, newest first."""
    return connection.execute(
        """SELECT s.topic, s.epoch, max(a.last)
           FROM positions p JOIN streams s ON s.topic = p.topic AND s.id < p.stream
           JOIN applied a ON a.stream = s.id
           WHERE p.consumer = ? GROUP BY s.id ORDER BY s.topic, s.id DESC""",
        (group,),
    ).fetchall()
