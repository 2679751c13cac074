"""Credentials that are renewed, rooms and connections that are refused, on both backends."""

from __future__ import annotations

from functools import partial

import anyio
import pytest
import trio

from deltastream.client import (
    ClientError,
    Closed,
    Disconnected,
    Reconnected,
    Refused,
    RoomRefused,
    Unauthenticated,
    connect,
)

ROOM = "product:NIFTY"


async def test_a_token_is_renewed_while_connected(script, backend):
    tokens = ["first", "second"]

    async def server(on):
        await on.greet(token="first")
        await on.say("token_expiring", expires=1)
        await on.greet(token="second")
        await on.enter("snapshot", 2)
        await on.price(3)
        await on.rest()

    script.handlers = [server]

    async def user():
        async with connect(script.url, token=lambda: tokens.pop(0)) as client:
            while tokens:  # noqa: ASYNC110  nothing tells of a renewal that went well
                await anyio.sleep(0.005)
            await client.subscribe(ROOM)
            assert (await anext(client)).seq == 3

    await backend.run(user)


async def test_a_token_that_is_no_better(script, backend):
    async def server(on):
        await on.greet()
        await on.say("token_expiring", expires=1)
        command = await on.hear("auth")
        await on.say("error", id=command["id"], code="unauthenticated", message="No.", retryable=False)
        await on.rest()

    script.handlers = [server]

    async def user():
        async with connect(script.url, token=lambda: "t") as client:
            assert isinstance(await anext(client), Disconnected)
            with pytest.raises(Unauthenticated, match=r"No\."):
                await anext(client)

    await backend.run(user)


async def test_nobody_can_tell_who_we_are_for_a_while(script, backend, rng):
    async def first(on):
        await on.greet()

    async def second(on):
        command = await on.hear("auth")
        await on.say("error", id=command["id"], code="unavailable", message="Later.", retryable=True)
        await on.rest()

    async def third(on):
        await on.greet()
        await on.rest()

    script.handlers = [first, second, third]

    async def user():
        async with connect(script.url, token="t", rng=rng) as client:
            assert isinstance(await anext(client), Disconnected)
            assert isinstance(await anext(client), Reconnected)

    await backend.run(user)


async def test_a_token_that_cannot_be_had_for_a_while(script, backend, rng):
    answers = [OSError("no network"), "b"]

    def token():
        if len(script.heard) == 0:
            return "a"
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def first(on):
        await on.greet(token="a")

    async def second(on):
        await on.greet(token="b")
        await on.rest()

    script.handlers = [first, second]

    async def user():
        async with connect(script.url, token=token, rng=rng) as client:
            assert isinstance(await anext(client), Disconnected)
            assert isinstance(await anext(client), Reconnected)

    await backend.run(user)
    assert answers == []


async def test_a_room_that_is_refused_after_a_reconnection(script, backend, rng):
    """It is told once, and asked for again with every heartbeat."""

    async def refuse(on, retryable):
        command = await on.hear("subscribe")
        why = {"room": ROOM, "code": "unknown_room", "message": "None.", "retryable": retryable}
        await on.say("subscribed", id=command["id"], ok=[], err=[why])

    async def first(on):
        await on.greet()
        await on.enter("snapshot", 2)

    async def second(on):
        await on.greet()
        for _ in range(2):
            await refuse(on, True)
            await on.say("heartbeat", ts=0, seqs={})
        await on.enter("resumed", 3)
        await on.price(3)

    async def third(on):
        await on.greet()
        await refuse(on, False)
        await on.say("heartbeat", ts=0, seqs={})
        await on.hear("ping")

    script.handlers = [first, second, third]

    async def user():
        async with connect(script.url, token="t", rng=rng) as client:
            await client.subscribe(ROOM)
            seen = [await anext(client) for _ in range(7)]
            refused = RoomRefused(room=ROOM, code="unknown_room", message="None.", retryable=True)
            assert seen[1:3] == [Reconnected(room=""), refused]
            assert seen[3].seq == 3
            assert seen[5:] == [
                Reconnected(room=""),
                RoomRefused(room=ROOM, code="unknown_room", message="None.", retryable=False),
            ]
            with pytest.raises(Closed):
                await client.ping()

    await backend.run(user, seconds=4)


@pytest.mark.parametrize(("code", "error"), [(4013, Closed), (4003, Closed), (4001, Unauthenticated)])
async def test_closes_after_which_nobody_should_come_back(script, backend, rng, code, error):
    async def server(on):
        await on.greet()
        await on.socket.aclose(code, "why")

    script.handlers = [server]

    async def user():
        async with connect(script.url, token="t", rng=rng) as client:
            assert isinstance(await anext(client), Disconnected)
            with pytest.raises(error, match="why"):
                await anext(client)

    await backend.run(user)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\n\r\nno\n", 403),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 0),
        (b"", 0),
    ],
)
async def test_no_websocket_there(backend, answer, status):
    async def serve(stream):
        await stream.receive_some(4096)
        if answer:
            await stream.send_all(answer)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]

        async def user():
            with pytest.raises(Refused) as refused:
                async with connect(f"ws://127.0.0.1:{port}/", token="t"):
                    raise AssertionError("connected")
            assert refused.value.status == status

        await backend.run(user)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "ws:///", "nothing"])
async def test_no_address_of_a_socket(backend, url):
    async def user():
        with pytest.raises(ClientError, match="not a ws"):
            async with connect(url, token="t"):
                raise AssertionError("connected")

    await backend.run(user)
