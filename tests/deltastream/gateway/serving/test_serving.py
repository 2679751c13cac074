"""The gateway's own transport against real sockets: slow, stalled, rude, numerous and patient clients."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import trio

from deltastream.gateway._connection import Patience
from deltastream.gateway.listening import CannotListen
from deltastream.gateway.serving import DRAIN_S, Bound, serve
from deltastream.gateway.settings import GatewaySettings, LimitSettings
from deltastream.seams import Seams

LOCAL = GatewaySettings(port=0)
BIG = 64 << 20


async def test_clients_are_answered_and_their_connections_kept(net: Any, app: Any):
    async with net.running(app) as (bound, *_), httpx.AsyncClient(base_url=bound.url) as client:
        assert bound.url == f"http://127.0.0.1:{bound.port}"
        for _ in range(3):
            answer = await client.get("/x?y=1", headers={"x-own": "1"})
            assert (answer.status_code, answer.text) == (200, "hello")
        assert "server" not in answer.headers
        assert answer.headers["date"].endswith("GMT")
        ports = {scope["client"][1] for scope in app.scopes}
        assert len(ports) == 1
        scope = app.scopes[0]
        assert (scope["raw_path"], scope["query_string"], scope["scheme"]) == (b"/x", b"y=1", "http")
        assert scope["server"] == ("127.0.0.1", bound.port)


async def test_bodies_arrive_whole_and_in_order(net: Any, app: Any):
    body = random.Random(1).randbytes(3_000_000)
    async with net.running(app) as (bound, *_), httpx.AsyncClient(base_url=bound.url) as client:
        assert (await client.post("/body", content=body)).text == "3000000"
        assert app.bodies == [body]


async def test_a_stalled_reader_is_cut_off_and_holds_nobody_up(net: Any, app: Any):
    with net.captured() as logs:
        async with net.running(app, patience=Patience(write=0.3)) as (bound, *_):
            stalled = await net.connect(bound)
            await stalled.send_all(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
            async with httpx.AsyncClient(base_url=bound.url) as client:
                assert (await client.get("/x")).text == "hello"
            with trio.fail_after(3):
                while not any(line["event"] == "client_stalled" for line in logs):  # noqa: ASYNC110  a log has no event
                    await trio.sleep(0.02)
            assert len(await net.everything(stalled)) < BIG


async def test_a_stalled_reader_does_not_delay_the_end(net: Any, app: Any):
    async with net.running(app) as (bound, stop, ended):
        for _ in range(5):
            stalled = await net.connect(bound)
            await stalled.send_all(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
        await trio.sleep(0.1)
        took = await net.ends_within(DRAIN_S + 3, stop, ended)
        assert took >= DRAIN_S - 0.1


async def test_who_waits_is_let_go_at_once_and_who_is_answered_gets_the_answer(
    net: Any, app: Any, long_drain: None
):
    async with net.running(app) as (bound, stop, ended), httpx.AsyncClient(base_url=bound.url) as client:
        idle = [await net.connect(bound) for _ in range(20)]
        assert (await client.get("/x")).text == "hello"
        held: list[str] = []

        async def ask() -> None:
            held.append((await client.get("/held")).text)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            while not any(scope["path"] == "/held" for scope in app.scopes):  # noqa: ASYNC110  httpx tells nothing
                await trio.sleep(0.01)
            stop.set()
            for stream in idle:
                assert await net.everything(stream) == b""
            with pytest.raises(OSError, match="all attempts to connect"):
                await net.connect(bound)
            assert not ended.is_set()
            app.release.set()
        assert held == ["held"]
        with trio.fail_after(20):
            await ended.wait()


async def test_an_application_that_never_answers_is_cancelled_at_the_end(net: Any, app: Any):
    async with net.running(app) as (bound, stop, ended):
        stream = await net.connect(bound)
        await stream.send_all(b"GET /deaf HTTP/1.1\r\nhost: x\r\n\r\n")
        await trio.sleep(0.1)
        await net.ends_within(DRAIN_S + 3, stop, ended)


async def test_a_cancellation_from_outside_is_as_orderly(net: Any, app: Any):
    scope = trio.CancelScope()

    async def served(*, task_status: trio.TaskStatus[Bound]) -> None:
        with scope:
            await serve(app, LOCAL, Seams.system(), task_status=task_status)

    async with trio.open_nursery() as nursery:
        bound = await nursery.start(served)
        async with await net.connect(bound) as stream:
            await stream.send_all(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")
            while not app.scopes:  # noqa: ASYNC110  nothing tells
                await trio.sleep(0.01)
            scope.cancel()
            await trio.sleep(0.05)
            app.release.set()
            assert (await net.everything(stream)).endswith(b"held")
    assert scope.cancelled_caught


async def test_slow_headers_have_a_limit_that_drips_do_not_extend(net: Any, app: Any):
    async with net.running(app, patience=Patience(head=0.3)) as (bound, *_):
        stream = await net.connect(bound)
        began = trio.current_time()
        with trio.fail_after(3):
            try:
                for byte in b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: " + b"a" * 1000:
                    await stream.send_all(bytes([byte]))
                    await trio.sleep(0.02)
            except trio.BrokenResourceError:
                pass
        assert 0.25 < trio.current_time() - began < 2
        assert app.scopes == []


async def test_silence_has_a_limit_before_and_between_requests(net: Any, app: Any):
    async with net.running(app, patience=Patience(idle=0.2)) as (bound, *_):
        silent = await net.connect(bound)
        assert await net.everything(silent) == b""
        once = await net.connect(bound)
        await once.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await net.everything(once)).endswith(b"hello")


async def test_hundreds_of_idle_connections_leave_room_and_end_at_once(net: Any, app: Any, long_drain: None):
    async with net.running(app) as (bound, stop, ended):
        idle = [await net.connect(bound) for _ in range(400)]
        async with httpx.AsyncClient(base_url=bound.url) as client:
            assert (await client.get("/x")).text == "hello"
        await net.ends_within(20, stop, ended)
        assert [await net.everything(stream) for stream in idle] == [b""] * 400


async def test_more_clients_than_allowed_are_told_to_come_later(net: Any, app: Any):
    settings = GatewaySettings(port=0, limits=LimitSettings(connections=3))
    with net.captured() as logs:
        async with net.running(app, settings) as (bound, *_):
            inside = [await net.connect(bound) for _ in range(3)]
            await trio.sleep(0.05)
            for _ in range(4):
                turned_away = await net.everything(await net.connect(bound))
                assert turned_away.startswith(b"HTTP/1.1 503 ")
                assert b"retry-after: 1\r\n" in turned_away
                assert b'"urn:deltastream:problem:overloaded"' in turned_away
            await inside.pop().aclose()
            await trio.sleep(0.05)
            stream = await net.connect(bound)
            await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert (await net.everything(stream)).endswith(b"hello")
    assert [line["event"] for line in logs].count("too_many_clients") == 1


@pytest.mark.parametrize("seed", range(4))
async def test_ten_thousand_random_bytes(net: Any, app: Any, seed: int):
    noise = random.Random(seed).randbytes(10_000)
    async with net.running(app) as (bound, *_):
        stream = await net.connect(bound)
        try:
            await stream.send_all(noise)
            await stream.send_eof()
        except trio.BrokenResourceError:
            pass
        answer = await net.everything(stream)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        async with httpx.AsyncClient(base_url=bound.url) as client:
            assert (await client.get("/x")).text == "hello"
    assert len(app.scopes) == 1


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GARBAGE\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 60_000, 431, "headers_too_large"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n", 400, "malformed_request"),
        (
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            400,
            "malformed_request",
        ),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400, "malformed_request"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9e9\r\n\r\n", 400, "malformed_request"),
    ],
)
async def test_what_is_no_http_gets_a_problem_document(
    net: Any, app: Any, request_: bytes, status: int, code: str
):
    async with net.running(app) as (bound, *_):
        stream = await net.connect(bound)
        await stream.send_all(request_)
        answer = await net.everything(stream)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"content-type: application/problem+json" in head
    assert b"urn:deltastream:problem:" + code.encode() in body
    assert app.scopes == []


async def test_no_way_leads_to_http_2_over_plain_tcp(net: Any, app: Any):
    """A proxy that passes an upgrade on would not see the requests behind it."""
    async with net.running(app) as (bound, *_):
        stream = await net.connect(bound)
        await stream.send_all(
            b"GET /up HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings, close\r\nupgrade: h2c\r\n"
            b"http2-settings: AAMAAABkAAQAAP__\r\n\r\n"
        )
        assert (await net.everything(stream)).endswith(b"hello")
        prior = await net.connect(bound)
        await prior.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        assert (await net.everything(prior)).rpartition(b"HTTP/1.1 ")[2].startswith(b"400 ")
    assert [scope["http_version"] for scope in app.scopes] == ["1.1", "2.0"]


async def test_a_defect_of_the_application_costs_its_request_only(net: Any, app: Any):
    with net.captured() as logs:
        async with net.running(app) as (bound, *_), httpx.AsyncClient(base_url=bound.url) as client:
            assert (await client.get("/fails")).status_code == 500
            assert (await client.get("/x")).text == "hello"
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["application_failed"]


async def test_an_application_learns_that_its_client_has_gone(net: Any, app: Any):
    async with net.running(app) as (bound, *_):
        stream = await net.connect(bound)
        await stream.send_all(b"GET /gone HTTP/1.1\r\nhost: x\r\n\r\n")
        while not app.scopes:  # noqa: ASYNC110  nothing tells
            await trio.sleep(0.01)
        await stream.aclose()
        with trio.fail_after(2):
            while not app.disconnected:  # noqa: ASYNC110  the same
                await trio.sleep(0.01)


async def test_an_answer_before_the_end_of_the_body_is_read(net: Any, app: Any):
    """Closed at once, the connection would be reset, and the answer lost with it."""
    async with net.running(app) as (bound, *_), httpx.AsyncClient(base_url=bound.url) as client:

        async def slowly() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b"x" * 50_000
                await trio.sleep(0.005)

        answer = await client.post("/early", content=slowly())
        assert (answer.status_code, answer.text) == (413, "no")
        assert (await client.get("/x")).text == "hello"


async def test_pipelined_requests_are_answered_in_order(net: Any, app: Any):
    async with net.running(app) as (bound, *_):
        stream = await net.connect(bound)
        requests = [
            b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (n, b"b" * n)
            for n in range(9)
        ]
        await stream.send_all(b"".join(requests) + b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = await net.everything(stream)
        bodies = [part.rpartition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 ")[1:]]
        assert bodies == [*(b"%d" % n for n in range(9)), b"hello"]


async def test_an_open_file_too_many_delays_but_does_not_end_it(
    net: Any, app: Any, monkeypatch: pytest.MonkeyPatch
):
    accept = trio.SocketListener.accept
    failing = [OSError(24, "Too many open files")] * 2

    async def failing_first(self: trio.SocketListener) -> trio.SocketStream:
        if failing:
            await trio.lowlevel.checkpoint()
            raise failing.pop()
        return await accept(self)

    monkeypatch.setattr(trio.SocketListener, "accept", failing_first)
    with net.captured() as logs:
        async with net.running(app) as (bound, *_), httpx.AsyncClient(base_url=bound.url) as client:
            assert (await client.get("/x")).text == "hello"
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["no_room_for_clients"]


async def test_ipv6(net: Any, app: Any):
    settings = GatewaySettings(host="::1", port=0)
    try:
        async with net.running(app, settings) as (bound, *_), httpx.AsyncClient(base_url=bound.url) as client:
            assert bound.url == f"http://[::1]:{bound.port}"
            assert (await client.get("/x")).text == "hello"
    except* CannotListen:
        pytest.skip("this machine has no IPv6")


async def test_an_application_begins_before_the_first_request_and_ends_after_the_last(net: Any):
    lived: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        for phase in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{phase}"
            lived.append(phase)
            await send({"type": f"lifespan.{phase}.complete"})

    async with net.running(app) as (_, stop, ended):
        assert lived == ["startup"]
        await net.ends_within(1, stop, ended)
    assert lived == ["startup", "shutdown"]


async def test_an_application_that_cannot_begin_is_not_served(net: Any):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="no database"), flatten_subgroups=True):
        async with net.running(app):
            pass
