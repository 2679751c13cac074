"""`deltastream run` with both ports of sockets: who is let in, a death and a return, and how it stops."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio

ROOMS = ["general", "product:NIFTY", "chain:NIFTY", "surface:NIFTY"]


async def spoken(client: Any) -> None:
    """Until every room has spoken, beyond its snapshot where it speaks often."""
    with trio.fail_after(30):
        while not (
            set(client.model.rooms) == set(ROOMS)
            and all(stream.state for streams in client.model.rooms.values() for stream in streams.values())
            and client.model.updates > 40
        ):
            assert await client.frame() is not None, client.closed


async def entered(client: Any, *, rooms: list[str] | None = None) -> Any:
    """Enter rooms as soon as there are any."""
    with trio.fail_after(30):
        while True:
            resume = {room: place for room in ROOMS if (place := client.model.resume(room)) is not None}
            for room in rooms or ROOMS:
                client.model.ask(room)
            await client.send(id=1, op="subscribe", rooms=rooms or ROOMS, resume=resume)
            answer = await client.until("subscribed")
            if not answer["err"]:
                return {joined["room"]: joined["mode"] for joined in answer["ok"]}
            for refused in answer["err"]:
                client.model.refused(refused["room"])
            await trio.sleep(0.2)


async def alive(client: Any, work: Callable[[], Any]) -> Any:
    """Do something that takes a while; meanwhile the client reads, and answers pings."""

    async def read() -> None:
        while await client.frame() is not None:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        done = await trio.to_thread.run_sync(work)
        nursery.cancel_scope.cancel()
    return done


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1])
async def test_a_death_and_a_return(running: Any, token: str, client_of: Callable[..., Any], which: int):
    async with client_of(running.ports()[which], token) as client:
        await entered(client)
        await spoken(client)
        model = client.model
        status = (await alive(client, running.status))["sockets"]
        assert (status["connections"], status["rooms"]) == (1, 4)
        assert status["url"] == f"ws://127.0.0.1:{running.ports()[1]}/ws"
        running.end(signal.SIGKILL)
        await client.end()
    running.start()
    async with client_of(running.ports()[which], token, model=model) as client:
        before = client.model.updates
        modes = await entered(client)
        assert modes["product:NIFTY"] == modes["chain:NIFTY"] == "resumed"
        with trio.fail_after(30):
            while client.model.updates < before + 40:
                assert await client.frame() is not None
        assert all(reason is None for reason in client.model.snapshots)
        began = time.monotonic()
        assert running.process is not None
        running.process.send_signal(signal.SIGINT)
        ended = await client.end()
        assert ended is not None
        assert ended[0] == 4012
        assert running.process.wait(10) == 0
        assert time.monotonic() - began < 5
    assert '"level":"error"' not in running.log.read_text()


@pytest.mark.slow
async def test_the_apis_port(running: Any, token: str, client_of: Callable[..., Any]):
    api, _ = running.ports()
    bearer = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{api}") as http:
        ticket = (await http.post("/api/auth/ticket", headers=bearer)).json()["ticket"]
        assert (await http.post("/api/auth/ticket")).status_code == 401
        async with client_of(api, token, auth=False) as client, client_of(api, token, auth=False) as thief:
            await client.send(op="auth", ticket=ticket)
            await client.until("connected")
            await thief.send(op="auth", ticket=ticket)
            assert (await thief.end() or (0,))[0] == 4001
            await entered(client)
            with trio.fail_after(10):  # it lives by its pongs alone
                ends = trio.current_time() + 5
                while trio.current_time() < ends:
                    assert await client.frame() is not None, client.closed
            metrics = (await http.get("/metrics", headers=bearer)).text
            assert "deltastream_socket_connections 1.0" in metrics
            tree = (await http.get("/api/system/tree", headers=bearer)).json()
            assert tree["sockets"]["connections"] == 1
        async with client_of(api, token, auth=False, headers=[(b"Origin", b"http://evil.example")]) as evil:
            assert evil.answer.status_code == 403
        async with client_of(api, token, deflate=True) as client:
            assert [extension.enabled() for extension in client.answer.extensions] == [True]
            assert (await http.post("/api/auth/logout-everywhere", headers=bearer)).status_code == 200
            assert (await client.end(1) or (0,))[0] == 4001
    assert running.end(signal.SIGINT) == 0
    assert '"level":"error"' not in running.log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x05hello", 1002),
        (b"\x81\xfe\xff\xff\0\0\0\0" + b" " * 65_535 + b"\x81\x81\0\0\0\0{", None),
        (b"\x81\xff" + (65_537).to_bytes(8, "big") + b"\0\0\0\0" + b"[" * 65_537, 4013),
        (b"\x01\x81\0\0\0\0[" + b"\x00\x81\0\0\0\0[" * 2000, 4013),
        (b"\x8a\x80\0\0\0\0" * 500, 4010),
        (b"\x82\x82\0\0\0\0{}", 4013),
    ],
)
async def test_what_is_wrong_ends_a_connection_of_the_apis_port(
    running: Any, token: str, client_of: Callable[..., Any], data: bytes, code: int | None
):
    async with client_of(running.ports()[0], token) as client:
        await client.stream.send_all(data)
        if code is None:
            assert (await client.until("error"))["code"] == "bad_encoding"
            return
        ended = await client.end()
        assert ended is not None
        assert ended[0] == code
    assert '"level":"error"' not in running.log.read_text()
