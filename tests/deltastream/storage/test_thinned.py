"""Metrics of which only the last of each interval is asked for."""

from __future__ import annotations

import pytest

from deltastream.storage import BadCursor

T0 = 1_790_000_000_000_000_000
ALL = {"start": 0, "end": 1 << 62}


async def test_metrics_may_be_thinned_out(repository_factory, make):
    """Of each interval since the epoch the last row, whichever pages they come in."""
    chains = [make.chain(T0 + i, seed=i, atm_iv=0.1 + i / 1000) for i in (0, 1, 4, 4, 5, 9, 10, 30, 31, 33)]
    series = {"expiry": "2026-11-24"}
    async with repository_factory() as store:
        await store.apply("g", make.records(*chains))
        whole = (await store.metrics("NIFTY", **series, **ALL)).items
        for every in (1, 2, 5, 7, 1000, 1 << 62):
            for span in (ALL, {"start": T0 + 1, "end": T0 + 31}):
                inside = [row for row in whole if span["start"] <= row.ts_event < span["end"]]
                expected = list({row.ts_event // every: row for row in inside}.values())
                for limit in (1, 2, len(expected), 5000):
                    rows, cursor = [], None
                    while not rows or cursor is not None:
                        page = await store.metrics(
                            "NIFTY", **series, **span, every=every, limit=limit, cursor=cursor
                        )
                        assert 0 < len(page.items) <= limit
                        rows += page.items
                        cursor = page.cursor
                    assert rows == expected, (every, limit)
        cursor = (await store.metrics("NIFTY", **series, **ALL, every=5, limit=1)).cursor
        with pytest.raises(BadCursor):
            await store.metrics("NIFTY", **series, **ALL, every=6, cursor=cursor)
        with pytest.raises(ValueError, match="every must be positive, got 0"):
            await store.metrics("NIFTY", **series, **ALL, every=0)
        none = await store.metrics("NIFTY", expiry="2030-01-01", **ALL, every=5)
        assert (none.items, none.cursor) == ([], None)
