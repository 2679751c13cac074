"""Bytes over a real socket: what a client that means no good can write."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio

HOST = b"Host: 127.0.0.1\r\n"


async def said(stream: trio.SocketStream, data: bytes, *, within: float = 3.0) -> bytes:
    """Everything that comes back until the server closes."""
    got = b""
    with trio.fail_after(within):
        try:
            if data:
                await stream.send_all(data)
            while part := await stream.receive_some(65536):
                got += part
        except trio.BrokenResourceError:
            pass
    return got


async def answer(stream: trio.SocketStream, data: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """One answer with a declared length."""
    got = b""
    with trio.fail_after(3):
        await stream.send_all(data)
        while b"\r\n\r\n" not in got:
            part = await stream.receive_some(65536)
            assert part, got
            got += part
        head, _, body = got.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(b": ")
            headers[name.lower()] = value
        while len(body) < int(headers.get(b"content-length", b"0")):
            part = await stream.receive_some(65536)
            assert part
            body += part
    return int(first.split()[1]), headers, body


def statuses(data: bytes) -> list[int]:
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]


async def test_answers_follow_each_other_on_one_connection(serving: Any):
    async with serving() as connect, await connect() as stream:
        for _ in range(3):
            status, headers, body = await answer(stream, b"GET /free HTTP/1.1\r\n" + HOST + b"\r\n")
            assert status == 200
            assert headers[b"content-type"] == b"application/json"
            assert headers[b"x-content-type-options"] == b"nosniff"
            assert body.startswith(b'{"user":null,"address":"127.0.0.1"')


async def test_head_sends_no_body_and_the_connection_goes_on(serving: Any):
    async with serving() as connect, await connect() as stream:
        both = b"HEAD /free HTTP/1.1\r\n%b\r\nGET /free HTTP/1.1\r\n%bConnection: close\r\n\r\n" % (
            HOST,
            HOST,
        )
        data = await said(stream, both)
        assert statuses(data) == [200, 200]
        assert data.count(b'{"user"') == 1


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /free HTTP/1.1\r\n\r\n", 400),  # no host
        (b"GET /free HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (b"GET /free HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET /free HTTP/1.0\r\n\r\n", 421),
        (b"GET http://127.0.0.1/free HTTP/1.1\r\n" + HOST + b"\r\n", 200),
        (b"GET http://evil.example/free HTTP/1.1\r\n" + HOST + b"\r\n", 421),
        (b"GET free HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /%ff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /%00 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /free HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", 200),  # folded: one value
        (b"GET /free HTTP/1.1\r\n" + HOST + b"X : a\r\n\r\n", 400),
        (b"GET /free HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n", 400),
        (b"GET /free HTTP/1.1\r\n" + HOST + b": a\r\n\r\n", 400),
        (b"TRACE /free HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"BREW /free HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"CONNECT 127.0.0.1:8000 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET /free HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 12000 + b"\r\n\r\n", 431),
        (b"GET /free HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 20000 + b"\r\n\r\n", 431),
        (b"\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
    ],
)
async def test_one_line_after_another(serving: Any, head: bytes, status: int):
    async with serving(limits={"header_bytes": 8192}) as connect, await connect() as stream:
        data = await said(stream, head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        assert statuses(data) == [status]


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 4\r\nContent-Length: 5\r\n",
        b"Content-Length: 4, 5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: +4\r\n",
        b"Content-Length: 0x4\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
    ],
)
async def test_a_body_whose_end_is_unclear_ends_the_connection(serving: Any, framing: bytes):
    smuggled = b"0\r\n\r\nGET /admin HTTP/1.1\r\n" + HOST + b"\r\n"
    async with serving() as connect, await connect() as stream:
        data = await said(stream, b"POST /order HTTP/1.1\r\n" + HOST + framing + b"\r\n" + smuggled)
        assert len(statuses(data)) == 1
        assert statuses(data)[0] in (400, 413, 501)


@pytest.mark.parametrize(
    ("version", "framing"),
    [
        (b"1.1", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        (b"1.1", b"Transfer-Encoding: chunked\r\nContent-Length: 60\r\n"),
        (b"1.0", b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n"),
    ],
)
async def test_in_two_framings_no_request_is_hidden(serving: Any, edge: Any, version: bytes, framing: bytes):
    """What a proxy takes for the body, and we for the next request, is neither.

    There may be no answer at all: the connection is closed as soon as the server sees what follows.
    """
    head = b"POST /order HTTP/" + version + b"\r\n" + HOST + framing + b"\r\n"
    async with serving() as connect, await connect() as stream:
        data = await said(stream, head + b"0\r\n\r\nGET /hidden HTTP/1.1\r\n" + HOST + b"\r\n")
    assert statuses(data) in ([400], [])
    assert all(line["path"] != "/hidden" for line in edge.logged("request"))
    assert edge.logged("defect") == []


async def test_a_line_may_end_without_return_but_means_the_same(serving: Any):
    async with serving() as connect, await connect() as stream:
        data = await said(stream, b"GET /free HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n\n")
        assert statuses(data) in ([200], [400])


async def test_a_client_that_waits_to_be_asked_is_asked(serving: Any):
    head = b"POST /order HTTP/1.1\r\n%bContent-Type: application/json\r\nContent-Length: 10\r\n" % HOST
    async with serving() as connect, await connect() as stream:
        await stream.send_all(head + b"Expect: 100-continue\r\n\r\n")
        with trio.fail_after(3):
            assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 100 ")
        status, _, body = await answer(stream, b'{"size":1}')
        assert (status, body) == (200, b'{"size":1,"kind":"a"}')


async def test_a_body_that_trickles_is_given_up(serving: Any):
    async with serving(limits={"body_s": 0.2}) as connect, await connect() as stream:
        head = b"POST /order HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\n{"
        data = await said(stream, head, within=5)
        assert statuses(data) == [408]
        assert b"request_timeout" in data


@pytest.mark.parametrize("path", [b"/order", b"/nowhere", b"/session"])
@pytest.mark.parametrize("framing", [b"Content-Length: 50000000", b"Transfer-Encoding: chunked"])
async def test_who_sends_too_much_gets_the_answer_and_is_let_go(
    serving: Any, edge: Any, path: bytes, framing: bytes
):
    """The server hands the body over in parts and waits until they are taken: not for ever."""
    head = b"POST " + path + b" HTTP/1.1\r\n" + HOST + framing + b"\r\n\r\n"
    got = b""
    async with serving(limits={"body_bytes": 4096}) as connect, await connect() as stream:

        async def write() -> None:
            try:
                await stream.send_all(head)
                while True:
                    await stream.send_all(b"1000\r\n" + b" " * 4096 + b"\r\n")
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

        with trio.fail_after(8):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                while b"\r\n\r\n{" not in got:
                    got += await stream.receive_some(65536)
                try:
                    while await stream.receive_some(65536):
                        pass
                except trio.BrokenResourceError:
                    pass
                nursery.cancel_scope.cancel()
    assert statuses(got) in ([413], [404], [401])
    assert b"connection: close" in got.lower()
    assert edge.logged("defect") == []


@pytest.mark.parametrize("path", [b"/free", b"/chain", b"/does"])
async def test_a_client_that_does_not_wait_for_its_answer_is_no_defect(serving: Any, edge: Any, path: bytes):
    async def pause() -> None:
        await trio.sleep(0.05)

    edge.failing.does = pause
    async with serving() as connect:
        for _ in range(5):
            stream = await connect()
            await stream.send_all(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
            await stream.aclose()
        with trio.fail_after(3):
            while len(edge.logged("request")) < 5:  # noqa: ASYNC110  the log has no event
                await trio.sleep(0.01)
        async with await connect() as stream:
            assert (await answer(stream, b"GET /free HTTP/1.1\r\n" + HOST + b"\r\n"))[0] == 200
    assert [line for line in edge.lines if line["event"] != "request"] == []


async def test_a_websocket_is_refused(serving: Any):
    async with serving() as connect, await connect() as stream:
        data = await said(
            stream,
            b"GET /ws HTTP/1.1\r\n%bConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % HOST,
        )
        assert statuses(data) == [403]


async def test_ten_thousand_random_bytes_are_the_clients_mistake(serving: Any, edge: Any):
    rng = random.Random(5)
    async with serving() as connect:
        for size in (1, 10, 100, 10_000):
            async with await connect() as stream:
                await stream.send_all(rng.randbytes(size))
                await stream.send_eof()
                data = await said(stream, b"")
            assert all(status < 500 for status in statuses(data))
        async with await connect() as stream:
            assert (await answer(stream, b"GET /free HTTP/1.1\r\n" + HOST + b"\r\n"))[0] == 200
    assert edge.logged("defect") == []
