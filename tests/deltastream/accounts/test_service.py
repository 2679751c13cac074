"""Accounts as a gateway uses them: register, log in, refresh, change, leave; keys and links."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from deltastream.accounts import (
    AccountSettings,
    EmailTaken,
    Identity,
    InvalidCredentials,
    InvalidFields,
    InvalidToken,
    LastAdministrator,
    NotAllowed,
    TooManyAttempts,
)

S = 1_000_000_000
ANN = "ann@example.org"


async def identity(accounts: Any, signed_in: Any) -> Identity:
    found: Identity = await accounts.service.authenticate(signed_in.access)
    return found


async def reason(accounts: Any, credential: str) -> str | None:
    """Why it gives no rights; None where it does."""
    try:
        await accounts.service.authenticate(credential)
    except InvalidToken as refused:
        return refused.reason
    return None


async def refresh_reason(accounts: Any, token: str) -> str | None:
    try:
        await accounts.service.refresh(token)
    except InvalidToken as refused:
        return refused.reason
    return None


async def test_register_is_a_login(accounts: Any, seams: Any):
    ann = await accounts.ann()
    assert (ann.user.email, ann.user.name, ann.user.role) == (ANN, "Ann", "user")
    who = await identity(accounts, ann)
    assert (who.user_id, who.email, who.session, who.key) == (ann.user.id, ANN, ann.session, None)
    assert who.scopes == {"read:market", "read:history", "write:alerts"}
    assert who.expires == ann.access_expires
    assert 899 * S <= ann.access_expires - seams.clock.now_ns() <= 900 * S
    assert await accounts.service.profile(who) == ann.user


async def test_closed_registration_is_closed(world: Any, bcrypt_calls: list[Any]):
    async with world.gateway(open_registration=False) as accounts:
        with pytest.raises(NotAllowed):
            await accounts.ann()
        assert bcrypt_calls == []
        assert len(await accounts.administration.users()) == 1


async def test_whoever_registers_is_never_an_administrator(world: Any):
    async with world.gateway() as accounts:
        await accounts.ann()
        roles = {user.email: user.role for user in await accounts.administration.users()}
    assert roles == {"admin@localhost": "admin", ANN: "user"}


async def test_an_email_is_the_same_however_it_is_typed(accounts: Any, password: str):
    await accounts.ann()
    with pytest.raises(EmailTaken):
        await accounts.service.register(" ANN@Example.ORG ", password)
    assert (await accounts.service.login("Ann@EXAMPLE.org", password)).user.email == ANN


async def test_all_that_is_wrong_is_told(accounts: Any):
    with pytest.raises(InvalidFields) as refused:
        await accounts.service.register("nobody", "x", "\x07")
    assert [problem.field for problem in refused.value.problems] == ["email", "password", "name"]


async def test_of_many_who_register_one_email_one_does(accounts: Any, password: str):
    made, taken = [], []

    async def register() -> None:
        try:
            made.append(await accounts.service.register(ANN, password))
        except EmailTaken:
            taken.append(1)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(register)
    assert (len(made), len(taken)) == (1, 19)
    assert [user.email for user in await accounts.administration.users()].count(ANN) == 1


@pytest.mark.parametrize("typed", ["wrong password", "", "x" * 73, "x" * 5_000_000, "nul\0\0\0\0\0"])
async def test_every_refused_login_is_alike(
    accounts: Any, bcrypt_calls: list[Any], password: str, typed: str
):
    """Unknown, disabled, without a password, wrong, malformed: one sentence, one bcrypt of one cost."""
    await accounts.ann()
    await accounts.administration.add_user("bob@example.org", "", "user")
    disabled = await accounts.service.register("eve@example.org", password)
    await accounts.administration.set_disabled("eve@example.org", True)
    assert disabled.user.email == "eve@example.org"
    seen = set()
    for email in (ANN, "nobody@example.org", "bob@example.org", "eve@example.org", "no email", "x" * 99_999):
        bcrypt_calls.clear()
        attempt = password if email == "eve@example.org" else typed
        with pytest.raises(InvalidCredentials) as refused:
            await accounts.service.login(email, attempt)
        seen.add((type(refused.value), str(refused.value), tuple(bcrypt_calls)))
    assert seen == {(InvalidCredentials, "The email or the password is wrong.", (("check", 4),))}


async def test_guessing_gets_slower_and_costs_no_bcrypt(
    accounts: Any, bcrypt_calls: list[Any], password: str, autojump_clock: Any
):
    await accounts.ann()
    for email in (ANN, "nobody@example.org"):  # who does not exist is not told apart by this either
        bcrypt_calls.clear()
        for _ in range(6):
            with pytest.raises(InvalidCredentials):
                await accounts.service.login(email, "wrong password")
        with pytest.raises(TooManyAttempts) as refused:
            await accounts.service.login(email, password)
        assert refused.value.retry_after_s == pytest.approx(1, abs=0.01)
        assert len(bcrypt_calls) == 6
    await trio.sleep(1)
    await accounts.service.login(ANN, password)


async def test_guesses_sent_at_once_are_made_one_after_the_other(
    accounts: Any, bcrypt_calls: list[Any], password: str
):
    await accounts.ann()
    bcrypt_calls.clear()
    refused = []

    async def guess(number: int) -> None:
        try:
            await accounts.service.login(ANN, f"guess {number}", address="192.0.2.1")
        except (InvalidCredentials, TooManyAttempts) as error:
            refused.append(type(error))

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(guess, number)
    assert refused.count(InvalidCredentials) == len(bcrypt_calls) == 6
    assert refused.count(TooManyAttempts) == 44


async def test_a_crowd_from_one_address_gets_in(accounts: Any, password: str):
    """Fifty at once with the right password: bcrypt lets them through one by one."""
    for number in range(50):
        await accounts.service.register(f"user{number}@example.org", password)
    inside = []

    async def login(number: int) -> None:
        inside.append(
            await accounts.service.login(f"user{number}@example.org", password, address="192.0.2.1")
        )

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(login, number)
    assert len({one.user.id for one in inside}) == 50


async def test_the_line_for_bcrypt_has_an_end(accounts: Any, autojump_clock: Any, monkeypatch: Any):
    async def slow(*_: Any) -> bool:
        await trio.sleep(100)
        return False

    monkeypatch.setattr(accounts.service._passwords, "verify", slow)
    refused = []

    async def guess(number: int, address: str) -> None:
        try:
            await accounts.service.login(f"user{number}@example.org", "password", address=address)
        except TooManyAttempts:
            refused.append(address)

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(guess, number, "192.0.2.1")
        await trio.sleep(1)
        assert refused == ["192.0.2.1"] * 36
        for number in range(300):
            nursery.start_soon(guess, number, f"198.51.100.{number % 250}")
        await trio.sleep(1)
        assert len(refused) == 36 + 300 - (256 - 64)
        nursery.cancel_scope.cancel()


async def test_an_attempt_cut_off_counts(accounts: Any, autojump_clock: Any, monkeypatch: Any):
    async def slow(*_: Any) -> bool:
        await trio.sleep(100)
        return True

    await accounts.ann()
    monkeypatch.setattr(accounts.service._passwords, "verify", slow)
    for _ in range(6):
        with trio.move_on_after(0.01):
            await accounts.service.login(ANN, "a guess")
    with pytest.raises(TooManyAttempts):
        await accounts.service.login(ANN, "a guess")


async def test_a_higher_cost_is_taken_up_at_the_next_login(
    world: Any, password: str, bcrypt_calls: list[Any]
):
    async with world.gateway() as accounts:
        await accounts.ann()
    world.settings = AccountSettings(bcrypt_cost=5)
    async with world.gateway() as accounts:
        await accounts.service.login(ANN, password)
        bcrypt_calls.clear()
        await accounts.service.login(ANN, password)
        assert bcrypt_calls == [("check", 5)]


async def test_refresh_gives_new_tokens_of_the_same_session(accounts: Any, autojump_clock: Any):
    ann = await accounts.ann()
    await trio.sleep(600)
    again = await accounts.service.refresh(ann.refresh)
    assert (again.session, again.user) == (ann.session, ann.user)
    assert len({ann.refresh, again.refresh, ann.access, again.access}) == 4
    await trio.sleep(600)
    assert await reason(accounts, ann.access) == "expired"
    assert await reason(accounts, again.access) is None


async def test_two_tabs_share_a_successor(accounts: Any, autojump_clock: Any):
    ann = await accounts.ann()
    got = []

    async def tab(after: float) -> None:
        await trio.sleep(after)
        got.append(await accounts.service.refresh(ann.refresh))

    async with trio.open_nursery() as nursery:
        for after in (0, 0, 3, 9.9):
            nursery.start_soon(tab, after)
    assert len({one.refresh for one in got}) == 1
    assert [await reason(accounts, one.access) for one in got] == [None] * 4
    await trio.sleep(60)
    await accounts.service.refresh(got[0].refresh)


async def test_a_late_tab_gets_the_token_that_the_session_has_by_then(accounts: Any, autojump_clock: Any):
    """All tabs share one cookie: an answer that comes last must not leave a used token in it."""
    ann = await accounts.ann()
    cookie = ann.refresh
    for _ in range(3):  # the page to log in on, the page that it leads to, which is loaded again
        cookie = (await accounts.service.refresh(cookie)).refresh
        await trio.sleep(0.3)
    late = await accounts.service.refresh(ann.refresh)
    assert late.refresh == cookie
    await trio.sleep(900)
    again = await accounts.service.refresh(late.refresh)
    assert await reason(accounts, again.access) is None


async def test_a_replay_after_ten_seconds_kills_the_family(accounts: Any, autojump_clock: Any, password: str):
    ann = await accounts.ann()
    elsewhere = await accounts.service.login(ANN, password)
    second = await accounts.service.refresh(ann.refresh)
    third = await accounts.service.refresh(second.refresh)
    await trio.sleep(10.1)
    assert await refresh_reason(accounts, ann.refresh) == "reused"
    for one in (ann, second, third):
        assert await reason(accounts, one.access) == "revoked"
        assert await refresh_reason(accounts, one.refresh) == "revoked"
    assert await reason(accounts, elsewhere.access) is None
    await accounts.service.refresh(elsewhere.refresh)


async def test_a_thief_who_is_first_loses_with_the_owner(accounts: Any, autojump_clock: Any):
    ann = await accounts.ann()
    thief = await accounts.service.refresh(ann.refresh)
    await trio.sleep(300)
    assert await refresh_reason(accounts, ann.refresh) == "reused"
    assert await reason(accounts, thief.access) == "revoked"
    assert await refresh_reason(accounts, thief.refresh) == "revoked"


async def test_a_session_left_alone_expires(accounts: Any, seams: Any):
    ann = await accounts.ann()
    seams.clock.set_ahead(30 * 86_400)
    assert await refresh_reason(accounts, ann.refresh) == "expired"


async def test_a_session_ends_in_any_case(accounts: Any, seams: Any):
    token = (await accounts.ann()).refresh
    for _ in range(5):
        seams.clock.set_ahead(17 * 86_400)
        last = await accounts.service.refresh(token)
        token = last.refresh
    assert last.refresh_expires - seams.clock.now_ns() <= 5 * 86_400 * S
    seams.clock.set_ahead(5 * 86_400)
    assert await refresh_reason(accounts, token) == "expired"


@pytest.mark.parametrize(
    "token", ["", "dsr_", "dsr_" + "0" * 64, "dsl_" + "0" * 64, "x" * 1_000_000, "\ud800"]
)
async def test_what_is_no_refresh_token(accounts: Any, token: str):
    await accounts.ann()
    assert await refresh_reason(accounts, token) in ("malformed", "unknown")
    await accounts.service.logout_with_refresh(token)


async def test_logout_ends_one_session(accounts: Any, password: str):
    ann, other = await accounts.ann(), await accounts.service.login(ANN, password)
    await accounts.service.logout(await identity(accounts, ann))
    assert await reason(accounts, ann.access) == "revoked"
    assert await refresh_reason(accounts, ann.refresh) == "revoked"
    assert await reason(accounts, other.access) is None
    await accounts.service.logout_with_refresh(other.refresh)
    assert await reason(accounts, other.access) == "revoked"


async def test_logout_everywhere_ends_all_but_keys(accounts: Any, password: str):
    ann, other = await accounts.ann(), await accounts.service.login(ANN, password)
    who = await identity(accounts, ann)
    key = await accounts.service.create_key(who, "robot", ["read:market"])
    await accounts.service.logout_everywhere(who)
    for one in (ann, other):
        assert await reason(accounts, one.access) == "revoked"
        assert await refresh_reason(accounts, one.refresh) == "revoked"
    assert await reason(accounts, key.text) is None
    with pytest.raises(InvalidToken):
        await accounts.service.logout_everywhere(who)
    await accounts.service.login(ANN, password)


async def test_a_token_of_another_version_or_user_is_none_of_the_session(accounts: Any, password: str):
    """Genuine in every other way: our own key has signed it, and the session lives."""
    ann = await accounts.ann()
    bob = await accounts.service.register("bob@example.org", password)
    issue = accounts.service._tokens.issue
    assert await reason(accounts, issue(ann.user.id, ann.session, 1, until=1 << 62)[0]) is None
    assert await reason(accounts, issue(ann.user.id, ann.session, 2, until=1 << 62)[0]) == "revoked"
    assert await reason(accounts, issue(bob.user.id, ann.session, 1, until=1 << 62)[0]) == "revoked"
    assert await reason(accounts, issue(ann.user.id, "none", 1, until=1 << 62)[0]) == "revoked"


async def test_a_new_password_lets_in_and_the_old_does_not(accounts: Any, password: str):
    ann, other = await accounts.ann(), await accounts.service.login(ANN, password)
    changed = await accounts.service.change_password(
        await identity(accounts, ann), "battery staple", current=password
    )
    assert await reason(accounts, changed.access) is None
    for one in (ann, other):
        assert await reason(accounts, one.access) == "revoked"
        assert await refresh_reason(accounts, one.refresh) == "revoked"
    with pytest.raises(InvalidCredentials):
        await accounts.service.login(ANN, password)
    await accounts.service.login(ANN, "battery staple")


async def test_a_stolen_session_cannot_change_the_password(accounts: Any, password: str):
    who = await identity(accounts, await accounts.ann())
    for current in (None, "", "a guess"):
        with pytest.raises(InvalidCredentials):
            await accounts.service.change_password(who, "battery staple", current=current)
        with pytest.raises(InvalidCredentials):
            await accounts.service.delete(who, current=current)
    with pytest.raises(TooManyAttempts):
        await accounts.service.delete(who, current=password)


async def test_a_new_password_must_be_good(accounts: Any, password: str):
    who = await identity(accounts, await accounts.ann())
    with pytest.raises(InvalidFields):
        await accounts.service.change_password(who, "x" * 73, current=password)


async def test_whoever_leaves_is_gone(accounts: Any, password: str):
    ann = await accounts.ann()
    who = await identity(accounts, ann)
    key = await accounts.service.create_key(who, "robot", ["read:market"])
    await accounts.service.delete(who, current=password)
    assert await reason(accounts, ann.access) == "revoked"
    assert await reason(accounts, key.text) == "unknown"
    assert await refresh_reason(accounts, ann.refresh) == "unknown"
    with pytest.raises(InvalidToken):
        await accounts.service.profile(who)
    with pytest.raises(InvalidCredentials):
        await accounts.service.login(ANN, password)
    assert (await accounts.ann()).user.id != ann.user.id


async def test_first_contact(accounts: Any, password: str, autojump_clock: Any):
    """One link until somebody administers with a password; it sets one without an old one."""
    stale = await accounts.administration.first_contact()
    assert await accounts.administration.lets_in(stale.token)
    link = await accounts.administration.first_contact()
    assert not await accounts.administration.lets_in(stale.token)
    with pytest.raises(InvalidToken):
        await accounts.service.login_with_link(stale.token)
    assert await accounts.administration.lets_in(link.token)
    admin = await accounts.service.login_with_link(link.token)
    assert not await accounts.administration.lets_in(link.token)
    with pytest.raises(InvalidToken):
        await accounts.service.login_with_link(link.token)
    who = await identity(accounts, admin)
    assert (who.role, who.email, "admin" in who.scopes) == ("admin", "admin@localhost", True)
    await accounts.service.change_password(who, password)
    assert await accounts.administration.first_contact() is None
    who = await identity(accounts, await accounts.service.login("admin@localhost", password))
    with pytest.raises(LastAdministrator):
        await accounts.service.delete(who, current=password)


async def test_a_link_is_good_for_ten_minutes(accounts: Any, autojump_clock: Any):
    link = await accounts.administration.link()
    await trio.sleep(599.9)
    assert await accounts.administration.lets_in(link.token)
    await trio.sleep(0.1)
    assert not await accounts.administration.lets_in(link.token)
    with pytest.raises(InvalidToken):
        await accounts.service.login_with_link(link.token)


async def test_who_forgot_the_password_sets_another_soon_after_a_link(
    accounts: Any, password: str, autojump_clock: Any
):
    await accounts.ann()
    late = await accounts.service.login_with_link((await accounts.administration.link(ANN)).token)
    await trio.sleep(601)
    with pytest.raises(InvalidCredentials):
        await accounts.service.change_password(await identity(accounts, late), "battery staple")
    soon = await accounts.service.login_with_link((await accounts.administration.link(ANN)).token)
    await accounts.service.change_password(await identity(accounts, soon), "battery staple")
    await accounts.service.login(ANN, "battery staple")


async def test_nothing_secret_is_shown_or_logged(
    accounts: Any, password: str, capsys: pytest.CaptureFixture[str], autojump_clock: Any
):
    link = await accounts.administration.link()
    admin = await accounts.service.login_with_link(link.token)
    ann = await accounts.ann()
    again = await accounts.service.refresh(ann.refresh)
    made = await accounts.service.create_key(await identity(accounts, ann), "robot", ["read:market"])
    with pytest.raises(InvalidCredentials):
        await accounts.service.login(password, password)  # a password typed in the wrong field
    await trio.sleep(11)
    assert await refresh_reason(accounts, ann.refresh) == "reused"
    stored = await accounts.store.user_by_email(ANN)
    found = await accounts.store.key(made.key.prefix)
    shown = "".join(map(repr, (link, admin, ann, again, made, stored, found, accounts.ring.current)))
    shown += capsys.readouterr().out
    assert "refresh_token_reused" in shown
    secrets = [link.token, admin.access, ann.access, ann.refresh, again.refresh, made.text, password]
    secrets += [stored.password_hash, repr(found[1].hash), repr(accounts.ring.current.secret)]
    assert [secret for secret in secrets if secret in shown] == []


async def test_a_run_from_one_seed_is_the_same_twice(tmp_path: Any, fresh_world: Any):
    texts = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        async with fresh_world(tmp_path / name).gateway() as accounts:
            ann = await accounts.ann()
            stored = await accounts.store.user(ann.user.id)
            texts.append((ann.refresh, ann.session, accounts.ring.current.secret, stored.password_hash))
    assert texts[0] == texts[1]
