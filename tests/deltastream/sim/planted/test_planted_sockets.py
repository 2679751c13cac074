"""Bugs planted in the sockets: hub, fan-out, sessions, desk and outboxes."""

from __future__ import annotations

import pytest

from deltastream.sockets._frames import Frames
from deltastream.sockets.fanout import Batch

pytestmark = pytest.mark.slow


def test_change_sent_to_who_lacks_its_base(planted):
    """Who has fallen behind is sent changes as everybody is."""

    def bug(original):
        def _several(self, channel, stream, entries, seen):
            frames = []
            for entry in entries:
                update = Frames(channel.room, stream, entry)
                frames.append(update.update(channel.form, seen + 1, whole=channel.full))
                seen = entry.seq
            return frames

        return _several

    planted({"deltastream.sockets.hub:Hub._several": bug}, seeds=20, caught="socket_base", clients=True)


def test_newest_dropped_by_conflation(planted):
    def bug(original):
        def _news(self, channel, stream, place, before):
            yield from list(original(self, channel, stream, place, before))[:-1]

        return _news

    planted(
        {"deltastream.sockets.hub:Hub._news": bug},
        seeds=10,
        caught="socket_ahead socket_gap socket_state",
        clients=True,
    )


def test_passed_over_and_not_remembered(planted):
    def bug(original):
        def _miss(member, one):
            pass

        return _miss

    planted({"deltastream.sockets.fanout:_miss": bug}, seeds=10, caught="socket_gap", clients=True)


def test_resumed_one_too_late(planted):
    """The first message that was missed is left out."""

    def bug(original):
        def _since(stream, seen, read):
            entries = original(stream, seen, read)
            return None if entries is None else entries[1:]

        return _since

    planted(
        {"deltastream.sockets._places:_since": bug}, seeds=10, caught="socket_gap socket_state", clients=True
    )


def test_resumed_one_too_early(planted):
    def bug(original):
        def _since(stream, seen, read):
            return original(stream, max(seen - 1, 0), read)

        return _since

    planted({"deltastream.sockets._places:_since": bug}, seeds=10, caught="socket_repeated", clients=True)


def test_new_epoch_not_told(planted):
    """What comes under it goes on from where the one before stood."""

    def bug(original):
        def _begin_anew(self, stream, after, reason):
            stream.epoch, stream.seq = after.epoch, after.seq

        return _begin_anew

    planted(
        {"deltastream.sockets.hub:Hub._begin_anew": bug},
        seeds=40,
        caught="socket_spliced socket_gap socket_repeated socket_state",
        faults="old_copy power_cut flipped_bytes",
        clients=True,
    )


def test_position_of_another_epoch_resumed(planted):
    def bug(original):
        def seen_by(room, stream, resume):
            place = resume.streams.get(stream.name) if str(room) == "general" else resume
            return None if place is None or place.seq > stream.seq else place.seq

        return seen_by

    planted(
        {"deltastream.sockets._places:seen_by": bug},
        seeds=60,
        caught="socket_answer socket_spliced socket_content",
        faults="old_copy power_cut flipped_bytes",
        clients=True,
    )


def test_heartbeat_ahead_of_what_was_sent(planted):
    """It tells where the topics stand."""

    def bug(original):
        def standing(self, member):
            told = original(self, member)
            for room, seq in told.items():
                if isinstance(seq, int):
                    kind, product = room.split(":")[:2]
                    told[room] = self.streams[f"{kind}:{product}"].seq + 1
            return told

        return standing

    planted({"deltastream.sockets.hub:Hub.standing": bug}, seeds=5, caught="socket_ahead", clients=True)


def test_heartbeats_do_not_come(planted):
    def bug(original):
        def elapsed(self, now):
            return [effect for effect in original(self, now) if type(effect).__name__ != "Beat"]

        return elapsed

    planted(
        {"deltastream.sockets.session:Session.elapsed": bug},
        seeds=20,
        caught="socket_mute socket_refused",
        clients=True,
    )


def test_stalled_client_held_for_without_end(planted):
    """Instead of being passed over it is kept everything for."""

    def bug(original):
        def offer(self, batch):
            if self.blocked:
                self._hold(memoryview(batch.joined))
                return True
            return original(self, batch)

        return offer

    def give(original):
        def _give(self, member, one):
            if member.upto < one.stamp and not member.gone:
                member.upto = one.stamp
                member.offer(Batch(one.batch.frames))

        return _give

    planted(
        {
            "deltastream.sockets.plain:PlainConnection.offer": bug,
            "deltastream.sockets.fanout:Fanout._give": give,
        },
        seeds=30,
        caught="socket_bound",
        faults="flood",
        clients=True,
    )


def test_expiry_not_enforced(planted):
    """A connection lives as long as its client likes."""

    def bug(original):
        def elapsed(self, now):
            effects = original(self, min(now, self._pass.expires - 1)) if self._pass else original(self, now)
            if self._pass and now > self._next_beat:
                self._next_beat = now + self._settings.heartbeat_s
            return effects

        return elapsed

    planted(
        {"deltastream.sockets.session:Session.elapsed": bug}, seeds=10, caught="socket_outlives", clients=True
    )


def test_revocation_does_not_reach_connections(planted):
    def bug(original):
        def _voided(self, revocations):
            pass

        return _voided

    planted({"deltastream.sockets.desk:Desk._voided": bug}, seeds=20, caught="socket_outlives", clients=True)


def test_status_told_to_nobody(planted):
    """It is known to who enters later."""

    def bug(original):
        def _publish_status(self, opened, status):
            pass

        return _publish_status

    planted(
        {"deltastream.sockets.hub:Hub._publish_status": bug},
        seeds=20,
        caught="socket_behind",
        faults="mute outage",
        clients=True,
    )


def test_desk_closed_for_good_by_its_server(planted):
    def bug(original):
        def let_go(self, connection):
            self._draining = True
            original(self, connection)

        return let_go

    planted(
        {"deltastream.sockets.desk:Desk.let_go": bug},
        seeds=60,
        caught="socket_behind",
        faults="crash crash_loop",
        clients=True,
    )


def test_room_left_open(planted):
    def bug(original):
        def _close(self, channels):
            pass

        return _close

    planted({"deltastream.sockets.hub:Hub._close": bug}, seeds=3, caught="leak_held", clients=True)


def test_places_of_a_room_that_shows_a_part(planted):
    """A room stands beyond where its stream does when it is opened."""

    def bug(original):
        def shown(room, stream):
            return stream.seq + 1

        return shown

    planted(
        {"deltastream.sockets.hub:shown": bug},
        seeds=5,
        caught="socket_ahead socket_gap socket_repeated",
        clients=True,
    )
