"""The ranges of applied messages: the right answer, in the least room."""

from __future__ import annotations

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from deltastream.storage.sqlite import _schema
from deltastream.storage.sqlite._applied import claim


def ranges_of(seqs: set[int]) -> list[tuple[int, int]]:
    """The fewest inclusive ranges that hold exactly these numbers."""
    firsts = sorted(seq for seq in seqs if seq - 1 not in seqs)
    lasts = sorted(seq for seq in seqs if seq + 1 not in seqs)
    return list(zip(firsts, lasts, strict=True))


@given(st.lists(st.tuples(st.integers(1, 2), st.lists(st.integers(1, 30), max_size=12)), max_size=8))
def test_claims_equal_a_set(claims):
    connection = sqlite3.connect(":memory:")
    for statement in _schema.MIGRATIONS[0]:
        connection.execute(statement)
    known: dict[int, set[int]] = {1: set(), 2: set()}
    for stream, seqs in claims:
        assert claim(connection, stream, seqs) == set(seqs) - known[stream]
        known[stream] |= set(seqs)
    rows = connection.execute("SELECT stream, first, last FROM applied ORDER BY stream, first").fetchall()
    assert rows == [(stream, *both) for stream, seqs in known.items() for both in ranges_of(seqs)]
    connection.close()
