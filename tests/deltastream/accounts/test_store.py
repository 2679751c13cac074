"""What every account store promises: whole steps, invariants, and word of every right taken away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
import trio

from deltastream.accounts import (
    AccountStore,
    EmailTaken,
    LastAdministrator,
    NotAllowed,
    NotFound,
    Outdated,
    TooMany,
)
from deltastream.accounts.types import ApiKey, Link, RefreshToken, Session, User
from deltastream.errors import StoreUnavailable

S = 1_000_000_000
FAR = 1 << 62
HOSTILE = [
    "' OR '1'='1",
    "'; DROP TABLE users; --",
    '" OR ""="',
    "%",
    "_",
    "\\",
    "\0",
    "a\0b",
    "{'$gt': ''}",
    "x" * 100_000,
    "\U0001f600",
]


@pytest.fixture
async def store(world: Any) -> AsyncIterator[AccountStore]:
    async with world.store() as opened:
        yield opened


def user(name: str = "root", **more: Any) -> User:
    fields = {"id": f"id-{name}", "email": f"{name}@example.org", "name": name, "role": "user", "created": 1}
    return User(**(fields | more))


@pytest.fixture
async def root(store: AccountStore) -> User:
    """The first administrator."""
    one = user(role="admin")
    await store.add_user(one)
    return one


@pytest.fixture
async def ann(store: AccountStore, root: User) -> User:
    one = user("ann", created=2, password_hash="old")
    await store.add_user(one)
    return one


@pytest.fixture
def begin(store: AccountStore, seams: Any) -> Callable[..., Any]:
    """Begins a session whose first token has the hash of its own name."""

    async def begun(of: User, name: str = "s", **more: Any) -> Session:
        session = Session(
            **(
                {
                    "id": name,
                    "user_id": of.id,
                    "version": of.session_version,
                    "origin": "password",
                    "created": seams.clock.now_ns(),
                    "expires": FAR,
                }
                | more
            )
        )
        await store.add_session(session, token(name), most=3)
        return session

    return begun


def token(name: str, expires: int = FAR) -> RefreshToken:
    return RefreshToken(hash=name.encode(), issued=1, expires=expires)


def key(of: User, name: str = "k", **more: Any) -> ApiKey:
    fields = {
        "id": name,
        "user_id": of.id,
        "name": name,
        "prefix": f"prefix-{name}",
        "hash": b"hash",
        "scopes": ("read:market", "admin"),
        "created": 1,
        "expires": FAR,
    }
    return ApiKey(**(fields | more))


async def reasons(store: AccountStore) -> list[str]:
    return [revocation.reason for revocation in await store.revocations()]


async def test_a_user_comes_back_as_it_was_given(store: AccountStore, root: User, ann: User):
    assert await store.user(ann.id) == await store.user_by_email(ann.email) == ann
    assert await store.users() == [root, ann]
    assert await store.user("nobody") is None
    assert await store.user_by_email("nobody@example.org") is None


async def test_the_first_user_administers(store: AccountStore):
    with pytest.raises(NotAllowed):
        await store.add_user(user("ann"))
    assert await store.users() == []
    assert await store.add_first_user(user(role="admin"))
    assert not await store.add_first_user(user("other", role="admin"))
    await store.add_user(user("ann"))


async def test_an_email_is_taken_once(store: AccountStore, ann: User):
    with pytest.raises(EmailTaken):
        await store.add_user(user("other", email=ann.email))


@pytest.mark.parametrize("change", ["delete", "demote", "disable"])
async def test_the_last_administrator_stays(store: AccountStore, root: User, ann: User, change: str):
    changes = {
        "delete": lambda one: store.delete_user(one),
        "demote": lambda one: store.set_role(one, "user"),
        "disable": lambda one: store.set_disabled(one, True),
    }
    await store.set_role(ann.id, "admin")
    await store.set_disabled(ann.id, True)
    with pytest.raises(LastAdministrator):  # the other one is disabled
        await changes[change](root.id)
    await store.set_disabled(ann.id, False)
    await changes[change](root.id)
    with pytest.raises(LastAdministrator):
        await changes[change](ann.id)
    assert [one.id for one in await store.users() if one.role == "admin" and not one.disabled] == [ann.id]


async def test_two_administrators_cannot_both_go_at_once(store: AccountStore, root: User, ann: User):
    await store.set_role(ann.id, "admin")
    left: list[str] = []

    async def leave(one: str) -> None:
        try:
            await store.delete_user(one)
        except LastAdministrator:
            left.append(one)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave, root.id)
        nursery.start_soon(leave, ann.id)
    assert len(left) == len(await store.users()) == 1


async def test_whoever_does_not_exist_is_not_found(store: AccountStore, root: User):
    for change in (
        store.set_role("x", "user"),
        store.set_disabled("x", True),
        store.delete_user("x"),
        store.end_sessions("x"),
        store.add_link(Link(hash=b"x", user_id="x", expires=FAR)),
        store.revoke_key("x"),
    ):
        with pytest.raises(NotFound):
            await change
    assert await store.end_session("x") == []
    assert await store.revocations() == []


async def test_a_new_password_ends_all_that_was(store: AccountStore, ann: User, begin: Any):
    await begin(ann)
    await store.add_link(Link(hash=b"l", user_id=ann.id, expires=FAR))
    revoked = await store.set_password(ann.id, 1, "new")
    assert [(r.user_id, r.reason, r.session, r.key) for r in revoked] == [
        (ann.id, "password_changed", None, None)
    ]
    assert await store.revocations() == revoked
    changed, session = await store.session("s")
    assert (changed.password_hash, changed.session_version) == ("new", 2)
    assert session.revoked is not None
    assert await store.take_link(b"l") is None


async def test_nothing_begins_for_who_has_changed_meanwhile(store: AccountStore, ann: User, begin: Any):
    await store.end_sessions(ann.id)
    with pytest.raises(Outdated):
        await store.set_password(ann.id, 1, "new")
    with pytest.raises(Outdated):
        await begin(ann)
    with pytest.raises(Outdated):
        await store.add_key(key(ann), version=1, most=9)
    await store.set_disabled(ann.id, True)
    with pytest.raises(Outdated):
        await begin(await store.user(ann.id))
    await store.delete_user(ann.id)
    with pytest.raises(Outdated):
        await begin(ann)
    assert await store.session("s") is None
    assert await store.keys() == []


async def test_a_hash_is_replaced_if_it_is_still_that_one(store: AccountStore, ann: User):
    await store.rehash(ann.id, "another", "new")
    assert (await store.user(ann.id)).password_hash == "old"
    await store.rehash(ann.id, "old", "new")
    assert (await store.user(ann.id)).password_hash == "new"
    assert await store.revocations() == []


async def test_a_link_lets_in_once(store: AccountStore, ann: User, seams: Any, autojump_clock: Any):
    soon = seams.clock.now_ns() + 600 * S
    await store.add_link(Link(hash=b"first", user_id=ann.id, expires=soon))
    await store.add_link(Link(hash=b"second", user_id=ann.id, expires=soon))
    assert await store.take_link(b"first") is None  # the second took its place
    assert await store.take_link(b"second") == ann
    assert await store.take_link(b"second") is None
    await store.add_link(Link(hash=b"late", user_id=ann.id, expires=seams.clock.now_ns() + 600 * S))
    await trio.sleep(600)
    assert await store.take_link(b"late") is None


async def test_of_many_who_take_a_link_one_gets_it(store: AccountStore, ann: User):
    await store.add_link(Link(hash=b"l", user_id=ann.id, expires=FAR))
    got: list[Any] = []

    async def take() -> None:
        got.append(await store.take_link(b"l"))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(take)
    assert [one for one in got if one is not None] == [ann]


async def test_a_disabled_user_has_no_link(store: AccountStore, ann: User):
    await store.set_disabled(ann.id, True)
    await store.add_link(Link(hash=b"l", user_id=ann.id, expires=FAR))
    assert await store.take_link(b"l") is None


async def test_sessions_have_a_most(store: AccountStore, ann: User, begin: Any, autojump_clock: Any):
    for name in "abcde":
        await trio.sleep(1)
        await begin(ann, name)
    alive = [name for name in "abcde" if (await store.session(name))[1].revoked is None]
    assert alive == ["c", "d", "e"]
    assert await reasons(store) == ["too_many_sessions"] * 2


async def test_a_token_is_rotated_and_repeats_its_successor(
    store: AccountStore, ann: User, begin: Any, autojump_clock: Any
):
    session = await begin(ann)
    first, none = await store.rotate(b"s", token("t", 99 * FAR // 100), b"sealed", grace_s=10)
    assert (first.outcome, first.user, first.session, none) == ("rotated", ann, session, [])
    await trio.sleep(10)
    again, none = await store.rotate(b"s", token("never"), b"other", grace_s=10)
    assert (again.outcome, again.seals, again.expires, none) == ("repeated", {b"s": b"sealed"}, FAR, [])
    assert (await store.rotate(b"never", token("x"), b"", grace_s=10))[0].outcome == "unknown"
    assert (await store.rotate(b"t", token("u"), b"next", grace_s=10))[0].outcome == "rotated"
    later, _ = await store.rotate(b"s", token("never"), b"other", grace_s=10)
    assert (later.outcome, later.seals) == ("repeated", {b"s": b"sealed", b"t": b"next"})
    assert await store.revocations() == []


async def test_a_token_used_again_later_ends_the_family(
    store: AccountStore, ann: User, begin: Any, autojump_clock: Any
):
    await begin(ann)
    await begin(ann, "other")
    await store.rotate(b"s", token("t"), b"sealed", grace_s=10)
    await trio.sleep(10.001)
    rotation, revoked = await store.rotate(b"s", token("thief"), b"", grace_s=10)
    assert rotation.outcome == "reused"
    assert [(r.session, r.reason) for r in revoked] == [("s", "refresh_reused")]
    assert (await store.rotate(b"t", token("u"), b"", grace_s=10))[0].outcome == "ended"
    assert (await store.rotate(b"s", token("u"), b"", grace_s=10)) == (
        (await store.rotate(b"s", token("u"), b"", grace_s=10))[0],
        [],
    )
    assert (await store.rotate(b"other", token("v"), b"", grace_s=10))[0].outcome == "rotated"
    assert await store.revocations() == revoked


async def test_a_clock_set_back_a_little_harms_nobody(store: AccountStore, ann: User, begin: Any, seams: Any):
    await begin(ann)
    await store.rotate(b"s", token("t"), b"sealed", grace_s=10)
    seams.clock.set_ahead(-3)
    assert (await store.rotate(b"s", token("u"), b"", grace_s=10))[0].outcome == "repeated"
    seams.clock.set_ahead(-3600)
    assert (await store.rotate(b"s", token("u"), b"", grace_s=10))[0].outcome == "reused"


async def test_a_clock_set_back_leaves_no_successor_without_the_next(
    store: AccountStore, ann: User, begin: Any, seams: Any, autojump_clock: Any
):
    """A token is not repeated once one that came after it can be repeated no more."""
    await begin(ann)
    seams.clock.set_ahead(12)
    await store.rotate(b"s", token("t"), b"to t", grace_s=10)
    seams.clock.set_ahead(-12)
    await trio.sleep(2)
    await store.rotate(b"t", token("u"), b"to u", grace_s=10)
    again, _ = await store.rotate(b"s", token("x"), b"", grace_s=10)
    assert (again.outcome, again.seals) == ("repeated", {b"s": b"to t", b"t": b"to u"})
    await trio.sleep(10.5)
    await store.rotate(b"u", token("v"), b"to v", grace_s=10)
    assert (await store.rotate(b"s", token("x"), b"", grace_s=10))[0].outcome == "reused"


async def test_tokens_and_sessions_expire(
    store: AccountStore, ann: User, begin: Any, seams: Any, autojump_clock: Any
):
    now = seams.clock.now_ns()
    session = await begin(ann, expires=now + 100 * S)
    rotation, _ = await store.rotate(b"s", token("t", now + 200 * S), b"", grace_s=10)
    assert rotation.expires == session.expires  # never after the session
    await trio.sleep(100)
    assert (await store.rotate(b"t", token("u"), b"", grace_s=10))[0].outcome == "ended"


async def test_a_token_leads_to_its_session(store: AccountStore, ann: User, begin: Any):
    session = await begin(ann)
    await store.rotate(b"s", token("t"), b"", grace_s=10)
    assert await store.session_of(b"s") == await store.session_of(b"t") == session
    assert await store.session_of(b"x") is None


async def test_a_session_ends_once(store: AccountStore, ann: User, begin: Any):
    await begin(ann)
    (revocation,) = await store.end_session("s")
    assert (revocation.user_id, revocation.session, revocation.reason) == (ann.id, "s", "logout")
    assert await store.end_session("s") == []


async def test_keys_come_back_as_they_were_given(store: AccountStore, root: User, ann: User):
    first, second = key(ann), key(root, "m", created=2)
    await store.add_key(first, version=1, most=2)
    await store.add_key(second, version=1, most=2)
    assert await store.key("prefix-k") == (ann, first)
    assert await store.key("prefix-x") is None
    assert await store.keys() == [first, second]
    assert await store.keys(ann.id) == [first]


async def test_keys_have_a_most_of_valid_ones(store: AccountStore, ann: User, seams: Any):
    await store.add_key(key(ann, "gone", expires=seams.clock.now_ns()), version=1, most=2)
    await store.add_key(key(ann, "a"), version=1, most=2)
    await store.add_key(key(ann, "b"), version=1, most=2)
    with pytest.raises(TooMany):
        await store.add_key(key(ann, "c"), version=1, most=2)
    await store.revoke_key("a")
    await store.add_key(key(ann, "c"), version=1, most=2)


async def test_a_key_ends_once_and_by_its_own_user(store: AccountStore, root: User, ann: User):
    await store.add_key(key(ann), version=1, most=9)
    with pytest.raises(NotFound):
        await store.revoke_key("k", root.id)
    (revocation,) = await store.revoke_key("k", ann.id)
    assert (revocation.user_id, revocation.key, revocation.reason) == (ann.id, "k", "key_revoked")
    assert await store.revoke_key("k") == []
    assert (await store.key("prefix-k"))[1].revoked is not None


async def test_a_key_that_is_dropped_has_ended_and_is_gone(store: AccountStore, ann: User):
    await store.add_key(key(ann), version=1, most=9)
    (revocation,) = await store.drop_key("k")
    assert (revocation.user_id, revocation.key, revocation.reason) == (ann.id, "k", "key_revoked")
    assert await store.revocations() == [revocation]
    assert await store.keys() == []
    assert await store.key("prefix-k") is None
    assert await store.drop_key("k") == []


async def test_a_key_that_was_revoked_is_dropped_without_another_word(store: AccountStore, ann: User):
    await store.add_key(key(ann), version=1, most=9)
    revoked = await store.revoke_key("k")
    assert await store.drop_key("k") == []
    assert (await store.keys(), await store.revocations()) == ([], revoked)


async def test_uses_are_recorded_forward(store: AccountStore, ann: User):
    await store.add_key(key(ann), version=1, most=9)
    for ts in (5, 9, 7):
        await store.record_use({"k": ts, "gone": ts})
    assert (await store.key("prefix-k"))[1].last_used == 9


async def test_whoever_goes_takes_all_along(store: AccountStore, ann: User, begin: Any):
    await begin(ann)
    await store.add_key(key(ann), version=1, most=9)
    await store.add_link(Link(hash=b"l", user_id=ann.id, expires=FAR))
    (revocation,) = await store.delete_user(ann.id)
    assert (revocation.user_id, revocation.reason) == (ann.id, "user_deleted")
    assert await store.session("s") is None
    assert await store.key("prefix-k") is None
    assert await store.take_link(b"l") is None
    assert (await store.rotate(b"s", token("t"), b"", grace_s=10))[0].outcome == "unknown"
    await store.add_user(msgspec.structs.replace(ann, id="another"))  # the email is free again


async def test_word_of_it_waits_until_it_is_forgotten(store: AccountStore, ann: User):
    made = [*await store.set_role(ann.id, "admin"), *await store.end_sessions(ann.id)]
    assert await store.revocations() == made
    assert await store.revocations(limit=1) == made[:1]
    await store.forget_revocations([made[0].id, "never was"])
    assert await store.revocations() == made[1:]


async def test_what_changes_nothing_revokes_nothing(store: AccountStore, ann: User):
    await store.set_role(ann.id, "user")
    await store.set_disabled(ann.id, False)
    assert await store.revocations() == []
    assert (await store.user(ann.id)).session_version == 1


async def test_what_is_over_is_dropped(
    store: AccountStore, ann: User, begin: Any, seams: Any, autojump_clock: Any
):
    await begin(ann, "short", expires=seams.clock.now_ns() + 50 * S)
    await begin(ann, "ended")
    await begin(ann, "lives")
    await store.end_session("ended")
    await store.rotate(b"lives", token("t"), b"sealed", grace_s=10)
    seams.clock.set_ahead(86_401)
    await store.purge(grace_s=10)
    assert await store.session("short") is None
    assert await store.session("ended") is None
    assert await store.session("lives") is not None
    assert (await store.rotate(b"lives", token("u"), b"", grace_s=1e6))[0].outcome == "reused"


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
async def test_hostile_text_is_text(store: AccountStore, ann: User, begin: Any, text: str):
    before = await store.users()
    assert await store.user(text) is None
    assert await store.user_by_email(text) is None
    assert await store.session(text) is None
    assert await store.key(text) is None
    assert await store.keys(text) == []
    assert await store.link(text.encode()) is None
    assert await store.take_link(text.encode()) is None
    assert await store.session_of(text.encode()) is None
    assert (await store.rotate(text.encode(), token("x"), b"", grace_s=10))[0].outcome == "unknown"
    assert await store.end_session(text) == []
    with pytest.raises(NotFound):
        await store.revoke_key(text)
    with pytest.raises(NotFound):
        await store.delete_user(text)
    assert await store.drop_key(text) == []
    await store.rehash(text, text, text)
    await store.record_use({text: 1})
    await store.forget_revocations([text])
    assert await store.users() == before
    odd = msgspec.structs.replace(user("odd"), id=text, email=text + "@x", name=text, created=3)
    await store.add_user(odd)
    assert await store.user(text) == odd


async def test_a_closed_store_is_away(world: Any, autojump_clock: Any):
    store = world.store()
    with pytest.raises(StoreUnavailable, match="is closed"):
        await store.users()
    async with store:
        assert await store.users() == []
    with pytest.raises(StoreUnavailable, match="is closed"):
        await store.add_user(user(role="admin"))
    await store.aclose()


async def test_a_step_that_has_begun_completes(store: AccountStore, ann: User):
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.delete_user(ann.id)
    assert await store.user(ann.id) == ann  # it had not begun
