"""Bugs planted in the bus."""

from __future__ import annotations

import sqlite3

import pytest
import trio

from deltastream.bus._journal import Appended, Batch, Outcome

pytestmark = pytest.mark.slow


def test_failed_commit_acknowledged(planted):
    def bug(original):
        def commit(self, batch):
            try:
                return original(self, batch)
            except sqlite3.OperationalError:
                if batch.operations or any(topic not in self.topics for topic, *_ in batch.entries):
                    raise
                appended = []
                for name, *_ in batch.entries:
                    topic = self.topics[name]
                    topic.last += 1
                    appended.append(Appended(topic.number, topic.last, True))
                return Outcome(appended, [])

        return commit

    planted(
        {"deltastream.bus._journal:Journal.commit": bug},
        seeds=20,
        caught="lost_accepted log_lost position_reissued position_repeated sequence_gap",
    )


def test_key_of_an_append_ignored(planted):
    def bug(original):
        def _append(self, batch):
            return original(
                self, Batch(batch.ts, [(topic, None, frame) for topic, _, frame in batch.entries])
            )

        return _append

    planted(
        {"deltastream.bus._journal:Journal._append": bug}, seeds=10, caught="accepted_twice", faults="repeat"
    )


def test_wakeup_of_a_follower_lost(planted):
    def bug(original):
        def _begin(self, topic, seq):
            original(self, topic, seq)
            del topic.wakeups[self._wakeup]

        return _begin

    planted(
        {"deltastream.bus._follower:EmbeddedFollower._begin": bug},
        seeds=2,
        caught="reader_behind not_settled hung",
    )


def test_wakeup_of_a_consumer_lost(planted):
    def bug(original):
        def _hand_over(self, share, member):
            original(self, share, member)
            if member is not None:
                del share.topic.wakeups[member.wakeup]

        return _hand_over

    planted({"deltastream.bus._groups:Group._hand_over": bug}, seeds=2, caught="lag not_settled hung")


def test_position_moved_back(planted):
    def bug(original):
        def resolve(self, topic, position):
            return max(original(self, topic, position) - 1, 0)

        return resolve

    planted({"deltastream.bus._core:Core.resolve": bug}, seeds=10, caught="position_repeated")


def test_position_moved_past_the_next(planted):
    def bug(original):
        def join(self, batch):
            original(self, batch)
            for where in batch.progress:
                batch.progress[where] += 1

        return join

    planted(
        {"deltastream.bus._settlement:Settlement.join": bug}, seeds=40, caught="derived_missing store_missing"
    )


def test_lineage_of_an_epoch_lost(planted):
    def bug(original):
        def renew(db, old, new, ends):
            return False

        return renew

    planted(
        {"deltastream.bus._opening:renew": bug},
        seeds=10,
        caught="void_needlessly",
        faults="power_cut old_copy flipped_bytes",
    )


def test_new_epoch_not_told(planted):
    def bug(original):
        def _place(self, topic, known):
            self._begin(topic, self._core.resolve(topic, known))

        return _place

    planted(
        {"deltastream.bus._follower:EmbeddedFollower._place": bug},
        seeds=10,
        caught="epoch_undeclared",
        faults="power_cut old_copy flipped_bytes",
    )


def test_retry_forgotten(planted):
    def bug(original):
        def retry(self, share, id_, position, attempts, due):
            return None

        return retry

    planted(
        {"deltastream.bus._groups:Groups.retry": bug},
        seeds=10,
        caught="derived_missing store_missing",
        faults="garbage",
    )


def test_retention_that_takes_what_is_not_old(planted):
    def bug(original):
        def _trim(db, topic, trimmed, limit, before, standing):
            return original(db, topic, trimmed, limit, None, standing)

        return _trim

    planted({"deltastream.bus._retention:_trim": bug}, seeds=25, caught="log_lost")


def test_journal_that_does_not_know_a_cut_log(planted):
    def bug(original):
        def _doubt(journal, whole):
            return None

        return _doubt

    planted(
        {"deltastream.bus._opening:_doubt": bug},
        seeds=10,
        caught="position_reissued lost_accepted sequence_gap position_repeated unobserved",
        faults="power_cut old_copy",
    )


def test_dead_letter_lost(planted):
    def bug(original):
        def _row(self, group, id_, now, delay):
            return original(self, group, id_, now, delay) | {"due": now}

        return _row

    planted(
        {"deltastream.bus._failures:Failure._row": bug},
        seeds=10,
        caught="derived_missing store_missing",
        faults="garbage",
    )


def test_cancellation_shielded_off(planted):
    def bug(original):
        async def batch(self, max_messages=64):
            with trio.CancelScope(shield=True):
                return await original(self, max_messages)

        return batch

    planted(
        {"deltastream.bus._consumer:EmbeddedConsumer.batch": bug},
        seeds=4,
        caught="stop_late not_recovered hung",
    )


def test_follower_stays(planted):
    def bug(original):
        def leave(self):
            self._left = True

        return leave

    planted({"deltastream.bus._follower:EmbeddedFollower.leave": bug}, seeds=4, caught="leak_held")


def test_member_stays_after_a_crash(planted):
    def bug(original):
        def leave(self, member):
            member.active = False

        return leave

    planted({"deltastream.bus._groups:Group.leave": bug}, seeds=10, caught="leak_held lag not_settled")


def test_descriptor_stays_open(planted):
    def bug(original):
        def close(self):
            self.db.close()

        return close

    planted({"deltastream.bus._journal:Journal.close": bug}, seeds=2, caught="leak_file")
