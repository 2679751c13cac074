"""Bugs planted in accounts and rate limits."""

from __future__ import annotations

import msgspec
import pytest

from deltastream.accounts.secret_texts import digest

pytestmark = pytest.mark.slow


def test_revocation_not_followed(planted):
    """A gateway goes on with what it remembers."""

    def bug(original):
        def void(self, revocations):
            pass

        return void

    planted(
        {"deltastream.accounts._principals:Principals.void": bug},
        seeds=5,
        caught="revoked_accepted",
        people=True,
    )


def test_revocation_voids_only_where_it_was_made(planted):
    """Neither the store is looked at nor the bus."""

    def bug(original):
        def __init__(self, store, void, clear):  # noqa: N807  the constructor is what is replaced
            original(self, store, lambda revocations: None, clear)

        return __init__

    planted(
        {"deltastream.accounts._revocations:Courier.__init__": bug},
        seeds=10,
        caught="revoked_accepted",
        people=True,
    )


def test_reuse_not_detected(planted):
    def bug(original):
        def rotate(step, presented, successor, sealed, grace):
            return original(step, presented, successor, sealed, 3600 * 10**9)

        return rotate

    planted(
        {"deltastream.accounts.sqlite._sessions:rotate": bug}, seeds=10, caught="reuse_unnoticed", people=True
    )


def test_reuse_does_not_end_the_session(planted):
    """The thief is refused, and the one who has the successor goes on."""

    def bug(original):
        def end(step, session_id, reason):
            if reason != "refresh_reused":
                original(step, session_id, reason)

        return end

    planted(
        {"deltastream.accounts.sqlite._sessions:end": bug}, seeds=10, caught="revoked_accepted", people=True
    )


def test_successor_drawn_anew(planted):
    def bug(original):
        def unseal(sealed, presented):
            return original(sealed[::-1], presented)

        return unseal

    planted(
        {"deltastream.accounts.secret_texts:unseal": bug}, seeds=5, caught="successor_differs", people=True
    )


def test_a_late_tab_is_given_a_used_token(planted):
    def bug(original):
        def _newest(token, seals):
            first = digest(token)
            return original(token, {first: seals[first]})

        return _newest

    planted({"deltastream.accounts.service:_newest": bug}, seeds=10, caught="successor_differs", people=True)


def test_logged_out_everywhere_but_the_session_stands(planted):
    def bug(original):
        def _new_version(step, user_id, reason):
            step.revoke(user_id, reason)

        return _new_version

    planted(
        {"deltastream.accounts.sqlite._users:_new_version": bug},
        seeds=10,
        caught="revoked_accepted",
        people=True,
    )


def test_guesses_counted_per_address_alone(planted):
    def bug(original):
        def _count(self, subject, delays, now):
            if not subject[0]:
                original(self, subject, delays, now)

        return _count

    planted(
        {"deltastream.accounts.lockout:Attempts._count": bug}, seeds=5, caught="lockout_bypassed", people=True
    )


def test_guesses_not_counted(planted):
    def bug(original):
        def failed(self, account, address):
            pass

        return failed

    planted(
        {"deltastream.accounts.lockout:Attempts.failed": bug}, seeds=5, caught="lockout_bypassed", people=True
    )


def test_link_lets_in_as_often_as_it_is_shown(planted):
    def bug(original):
        def take_link(step, link):
            found = step.db.execute("SELECT user_id FROM links WHERE hash = ?", (link,)).fetchone()
            user = original(step, link)
            if found is not None and user is not None:
                step.db.execute(
                    "INSERT OR REPLACE INTO links (hash, user_id, expires) VALUES (?, ?, ?)",
                    (link, found[0], step.now + 10**12),
                )
            return user

        return take_link

    planted(
        {"deltastream.accounts.sqlite._users:take_link": bug}, seeds=5, caught="link_used_twice", people=True
    )


def test_dear_requests_cost_as_little_as_others(planted):
    def bug(original):
        async def take(self, policy, owner, cost):
            return await original(self, policy, owner, 1)

        return take

    planted(
        {"deltastream.gateway.limits:LocalBuckets.take": bug}, seeds=5, caught="limit_exceeded", people=True
    )


def test_key_of_a_disabled_user_goes_on(planted):
    def bug(original):
        async def key(self, prefix):
            found = await original(self, prefix)
            return None if found is None else (msgspec.structs.replace(found[0], disabled=False), found[1])

        return key

    planted(
        {"deltastream.accounts.sqlite.store:SqliteAccountStore.key": bug}, seeds=20, caught="revoked_accepted"
    )
