"""Credentials end while a connection is open: renewed in time it goes on, else it is closed."""

from __future__ import annotations

from typing import Any

import pytest
import trio

LIFE_S = 3
ROOM = "product:NIFTY"


async def another(served: Any) -> str:
    """A newer token of the same user."""
    token: str = (await served.accounts.login("ann@example.org", "correct horse")).access
    return token


async def entered(client: Any) -> None:
    await client.send(id=2, op="subscribe", rooms=[ROOM])
    await client.until("underlying_update")


@pytest.mark.slow
async def test_a_token_that_is_renewed_in_time_keeps_the_connection(serving: Any):
    async with serving(token_s=LIFE_S) as served:
        began = trio.current_time()
        async with served.client(auth=False) as client:
            served.token = await another(served)
            await client.send(id=1, op="auth", token=served.token)
            expires = (await client.until("connected"))["expires"]
            assert (await client.until("token_expiring"))["expires"] == expires
            await entered(client)
            for number in range(3):
                await trio.sleep(LIFE_S / 2)
                await client.send(id=10 + number, op="auth", token=await another(served))
                renewed = await client.until("connected")
                assert renewed["id"] == 10 + number
                assert renewed["expires"] > expires
                expires = renewed["expires"]
            assert trio.current_time() - began > 1.4 * LIFE_S
            await served.tick(3.0)
            update = await client.until("underlying_update")
            assert (update["data"]["price"], update["first"]) == (3.0, update["seq"])
            assert (await client.end(LIFE_S + 2)) == (4001, "the credential has expired")


@pytest.mark.slow
async def test_what_is_no_newer_credential_of_the_same_user_changes_nothing(serving: Any):
    async with serving(token_s=LIFE_S) as served:
        stranger = (await served.accounts.register("bob@example.org", "correct horse")).access
        served.token = await another(served)
        async with served.client() as client, served.client(auth=False) as late:
            await client.send(id=5, op="auth", token=stranger)
            assert (await client.until("error"))["code"] == "forbidden"
            await client.send(id=6, op="auth", token="nonsense")
            assert (await client.until("error"))["code"] == "unauthenticated"
            await entered(client)
            began = trio.current_time()
            assert (await client.end(LIFE_S + 2)) == (4001, "the credential has expired")
            assert trio.current_time() - began < LIFE_S + 1
            await late.send(id=1, op="auth", token=served.token)
            assert (await late.end() or (0,))[0] == 4001


async def test_revoked_is_closed_within_a_second_and_nobody_else_is(serving: Any):
    async with serving(heartbeat_s=0.5) as served:
        identity = await served.accounts.authenticate(served.token)
        made = await served.accounts.create_key(identity, "script", ("read:market",))
        first, second = served.token, await another(served)
        async with (
            served.client(auth=False, headers=[(b"X-API-Key", made.text.encode())]) as by_key,
            served.client() as by_first,
            served.client(auth=False) as by_second,
        ):
            await by_key.until("connected")
            await by_second.send(id=1, op="auth", token=second)
            await by_second.until("connected")
            await served.accounts.revoke_key(identity, made.key.id)
            assert await by_key.end(1) == (4001, "the credential has been revoked")
            await entered(by_first)
            await served.accounts.logout(await served.accounts.authenticate(first))
            assert await by_first.end(1) == (4001, "the credential has been revoked")
            await entered(by_second)
