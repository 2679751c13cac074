"""Bugs planted in the actors and the store: in what messages bring about."""

from __future__ import annotations

import pytest
import trio

from deltastream.storage.sqlite._reader import _PRODUCT, _TICK, _ticks

pytestmark = pytest.mark.slow


def test_ack_before_effect(planted):
    def bug(original):
        async def ack(self, deliveries, *, emit=()):
            await original(self, deliveries)
            return await original(self, (), emit=emit)

        return ack

    planted(
        {"deltastream.bus._consumer:EmbeddedConsumer.ack": bug},
        seeds=30,
        caught="derived_missing surface_behind",
        faults="kill_at_statement torn_commit",
    )


def test_torn_commit_half_visible(planted):
    def bug(original):
        def _claim(self, group, records, passed):
            fresh = original(self, group, records, passed)
            self.connection.execute("COMMIT")
            self.connection.execute("BEGIN IMMEDIATE")
            return fresh

        return _claim

    planted({"deltastream.storage.sqlite._writer:Writer._claim": bug}, seeds=20, caught="store_missing")


def test_store_begins_anew(planted):
    """Its ranges would still know what was applied: the second line falls with the first."""

    def bug(original):
        async def positions(self, group):
            return {}

        return positions

    def also(original):
        def claim(connection, stream, seqs):
            return set(seqs)

        return claim

    planted(
        {
            "deltastream.storage.sqlite.repository:SqliteRepository.positions": bug,
            "deltastream.storage.sqlite._writer:claim": also,
        },
        seeds=10,
        caught="store_extra dead_unearned",
    )


def test_bars_begin_a_second_early(planted):
    def bug(original):
        def add(self, product, ts_event, ordinal, price, volume):
            original(self, product, ts_event + 10**9, ordinal, price, volume)

        return add

    planted({"deltastream.storage.sqlite._bars:BarMerge.add": bug}, seeds=2, caught="bars")


def test_instant_excluded_from_the_past(planted):
    def bug(original):
        def _instant(at):
            return original(at if at is None else at - 1)

        return _instant

    planted({"deltastream.storage.sqlite.repository:_instant": bug}, seeds=2, caught="latest")


def test_latest_is_what_came_last(planted):
    def bug(original):
        def tick(self, product, at):

            row = self.connection.execute(
                f"SELECT {_TICK} FROM ticks WHERE {_PRODUCT} AND ts_event <= ? ORDER BY ordinal DESC LIMIT 1",
                (product, at),
            ).fetchone()
            return None if row is None else _ticks(product, (row,))[0]

        return tick

    planted(
        {"deltastream.storage.sqlite._reader:Reader.tick": bug},
        seeds=10,
        caught="latest reader_differs",
        faults="late reorder",
    )


def test_surface_of_what_came_last(planted):
    def bug(original):
        def add(self, chain):
            series = self._by_product.setdefault(chain.product, {})
            series.pop((chain.root, chain.expiry), None)
            original(self, chain)

        return add

    planted(
        {"deltastream.actors.analytics:_Latest.add": bug},
        seeds=30,
        caught="surface_of_no_moment surface_behind",
        faults="late reorder",
    )


def test_silence_never_told(planted):
    def bug(original):
        def fallen_silent(self):
            return []

        return fallen_silent

    planted(
        {"deltastream.actors._silence:SilenceWatch.fallen_silent": bug},
        seeds=5,
        caught="stale_as_live",
        faults="mute",
    )


def test_resumption_never_told(planted):
    def bug(original):
        def heard(self, message):
            original(self, message)

        return heard

    planted(
        {"deltastream.actors._silence:SilenceWatch.heard": bug},
        seeds=5,
        caught="live_as_stale",
        faults="mute",
    )


def test_feed_takes_all_at_once(planted):
    def bug(original):
        async def _append_all(self, take):
            async def append(entry):
                await self._bus.append_batch([entry])
                self.accepted += 1

            async with trio.open_nursery() as nursery:
                with take:
                    async for entry in take:
                        nursery.start_soon(append, entry)

        return _append_all

    planted({"deltastream.actors.feed:Feed._append_all": bug}, seeds=4, caught="queue_bound", faults="flood")
