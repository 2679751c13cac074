"""API keys as their users make and use them."""

from __future__ import annotations

from typing import Any

import pytest

from deltastream.accounts import Identity, InvalidFields, InvalidToken, NotAllowed, NotFound, TooMany

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


async def test_a_key_does_what_it_was_made_for(accounts: Any, seams: Any):
    who = await identity(accounts, await accounts.ann())
    made = await accounts.service.create_key(who, " robot ", ["write:alerts", "read:market"], days=30)
    robot = await accounts.service.authenticate(made.text)
    assert robot.scopes == {"read:market", "write:alerts"}
    assert (robot.user_id, robot.session, robot.key) == (who.user_id, None, made.key.id)
    assert made.key.scopes == ("read:market", "write:alerts")
    assert made.key.name == "robot"
    assert robot.expires == made.key.expires
    seams.clock.set_ahead(30 * 86_400)
    assert await reason(accounts, made.text) == "expired"


async def test_a_key_of_another_text_gives_nothing(accounts: Any):
    who = await identity(accounts, await accounts.ann())
    text = (await accounts.service.create_key(who, "robot", ["read:market"])).text
    last = "0" if text[-1] != "0" else "1"
    assert await reason(accounts, text[:-1] + last) == "unknown"
    assert await reason(accounts, "ds_" + "0" * 12 + text[15:]) == "unknown"
    for wrong in (text + "0", text[:-1], text.upper(), "ds_", text + "\n"):
        assert await reason(accounts, wrong) == "malformed"


async def test_a_key_makes_nothing_of_itself(accounts: Any, password: str):
    await accounts.ann()
    await accounts.administration.set_role(ANN, "admin")
    signed_in = await accounts.service.login(ANN, password)
    made = await accounts.service.create_key(await identity(accounts, signed_in), "root", ["admin"])
    robot = await accounts.service.authenticate(made.text)
    service = accounts.service
    for forbidden in (
        service.create_key(robot, "child", ["admin"]),
        service.keys(robot),
        service.revoke_key(robot, made.key.id),
        service.change_password(robot, "battery staple", current=password),
        service.delete(robot, current=password),
        service.logout_everywhere(robot),
    ):
        with pytest.raises(NotAllowed):
            await forbidden
    await service.logout(robot)
    assert await reason(accounts, made.text) is None


async def test_nobody_gives_what_they_have_not(accounts: Any, password: str):
    who = await identity(accounts, await accounts.ann())
    for scope in ("admin", "read:system"):
        with pytest.raises(NotAllowed):
            await accounts.service.create_key(who, "robot", ["read:market", scope])
    with pytest.raises(InvalidFields) as refused:
        await accounts.service.create_key(who, "", ["everything"], days=0)
    assert [problem.field for problem in refused.value.problems] == ["name", "scopes", "days"]
    with pytest.raises(InvalidFields):
        await accounts.service.create_key(who, "robot", [])


async def test_a_key_loses_what_its_user_loses(accounts: Any, password: str):
    await accounts.ann()
    await accounts.administration.set_role(ANN, "admin")
    who = await identity(accounts, await accounts.service.login(ANN, password))
    made = await accounts.service.create_key(who, "root", ["read:market", "admin"])
    await accounts.administration.set_role(ANN, "user")
    assert (await accounts.service.authenticate(made.text)).scopes == {"read:market"}
    await accounts.administration.set_disabled(ANN, True)
    assert await reason(accounts, made.text) == "revoked"
    await accounts.administration.set_disabled(ANN, False)
    assert await reason(accounts, made.text) is None


async def test_keys_are_listed_and_revoked_by_their_own_user(accounts: Any, password: str):
    ann = await identity(accounts, await accounts.ann())
    bob = await identity(accounts, await accounts.service.register("bob@example.org", password))
    made = await accounts.service.create_key(ann, "robot", ["read:market"])
    assert await accounts.service.keys(bob) == []
    for hostile in (made.key.id, "x", "' OR 1=1 --", "\ud800", "x" * 1_000_000):
        with pytest.raises(NotFound):
            await accounts.service.revoke_key(bob, hostile)
    await accounts.service.authenticate(made.text)
    (listed,) = await accounts.service.keys(ann)
    assert listed.last_used is not None
    await accounts.service.revoke_key(ann, made.key.id)
    await accounts.service.revoke_key(ann, made.key.id)
    assert await reason(accounts, made.text) == "revoked"


async def test_keys_have_a_most(accounts: Any):
    who = await identity(accounts, await accounts.ann())
    for number in range(50):
        await accounts.service.create_key(who, f"robot {number}", ["read:market"])
    with pytest.raises(TooMany):
        await accounts.service.create_key(who, "one more", ["read:market"])
