"""What every request passes, whatever it asks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio

from deltastream.errors import StoreUnavailable
from deltastream.gateway.problems import Problem
from deltastream.gateway.shell import SECURITY_HEADERS
from deltastream.storage.protocol import BadCursor

ORIGIN = "https://desk.example.org"


@pytest.fixture
def ask(edge: Any) -> Any:
    return edge.client()


# names of requests


async def test_a_request_keeps_the_name_that_its_client_gave_it(autojump_clock: Any, edge: Any, ask: Any):
    reply = await ask("GET", "/public", [("x-request-id", "Trace-1.a_b")])
    assert reply.headers["x-request-id"] == reply.json["request_id"] == "Trace-1.a_b"
    assert edge.logged("request")[0]["request_id"] == "Trace-1.a_b"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "ü", "a\tb", "a,b", 'a"b', "../a"])
async def test_a_name_that_could_do_harm_is_replaced(autojump_clock: Any, ask: Any, given: str):
    reply = await ask("GET", "/public", [("x-request-id", given)])
    made = reply.headers["x-request-id"]
    assert made != given
    assert len(made) == 16


async def test_two_names_are_none(autojump_clock: Any, ask: Any):
    reply = await ask("GET", "/public", [("x-request-id", "a"), ("x-request-id", "b")])
    assert len(reply.headers["x-request-id"]) == 16


async def test_every_line_of_a_request_has_its_name(autojump_clock: Any, edge: Any, ask: Any):
    def fails() -> None:
        raise RuntimeError("broken")

    edge.failing.does = fails
    reply = await ask("GET", "/does")
    assert {line["request_id"] for line in edge.lines} == {reply.headers["x-request-id"]}
    assert len(edge.lines) == 2


# hosts and origins


async def test_a_foreign_host_is_not_served(autojump_clock: Any, ask: Any):
    assert (await ask("GET", "/free", host="evil.example")).code == "host_not_allowed"
    assert (await ask("GET", "/free", host="")).code == "host_not_allowed"
    assert (await ask("GET", "/free", host="LocalHost.:8000")).status == 200


async def test_two_hosts_are_none(autojump_clock: Any, ask: Any):
    hosts = [("host", "localhost"), ("host", "localhost")]
    assert (await ask("GET", "/free", hosts)).code == "invalid_request"


async def test_a_target_that_names_a_host_must_name_the_same(autojump_clock: Any, ask: Any):
    assert (await ask("GET", "http://127.0.0.1:8000/free")).status == 200
    assert (await ask("GET", "http://localhost/free")).code == "host_not_allowed"
    assert (await ask("GET", "http://evil.example/free")).code == "host_not_allowed"
    assert (await ask("GET", "http://a@127.0.0.1:8000/free")).code == "invalid_request"
    assert (await ask("CONNECT", "127.0.0.1:8000")).code == "invalid_request"


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "https://127.0.0.1:8000", "http://127.0.0.1:8001", "", "*"]
)
async def test_pages_of_others_may_not_ask(autojump_clock: Any, ask: Any, origin: str):
    reply = await ask("GET", "/free", [("origin", origin)])
    assert (reply.status, reply.code) == (403, "origin_not_allowed")
    assert not any(name.startswith("access-control") for name in reply.headers)
    preflight = [("origin", origin), ("access-control-request-method", "GET")]
    assert (await ask("OPTIONS", "/free", preflight)).code == "origin_not_allowed"


async def test_our_own_pages_may(autojump_clock: Any, ask: Any):
    for host, origin in (("127.0.0.1:8000", "http://127.0.0.1:8000"), ("localhost:80", "http://localhost")):
        reply = await ask("GET", "/free", [("origin", origin)], host=host)
        assert reply.status == 200
        assert not any(name.startswith("access-control") for name in reply.headers)
    assert (await ask("GET", "/free", [("origin", "http://a"), ("origin", "http://b")])).status == 403


async def test_a_page_that_was_configured_may_ask_across_origins(autojump_clock: Any, edge: Any):
    ask = edge.client(allowed_origins=(ORIGIN,))
    wanted = [("origin", ORIGIN), ("access-control-request-method", "GET")]
    preflight = await ask("OPTIONS", "/market/NIFTY", wanted)
    assert (preflight.status, preflight.body) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in preflight.headers
    reply = await ask("GET", "/market/NIFTY", [("origin", ORIGIN), edge.bearer])
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert "etag" in reply.headers["access-control-expose-headers"]
    assert "origin" in reply.headers["vary"]
    refused = await ask("GET", "/market/NIFTY", [("origin", ORIGIN)])  # a page may read why
    assert (refused.code, refused.headers["access-control-allow-origin"]) == ("unauthenticated", ORIGIN)
    other = await ask("GET", "/free", [("origin", "https://other.example.org")])
    assert other.code == "origin_not_allowed"
    assert "origin" in other.headers["vary"]


# proxies


async def test_a_trusted_proxy_tells_who_calls(autojump_clock: Any, edge: Any):
    settings = {"trusted_proxies": ("10.0.0.0/8",), "allowed_hosts": ("desk.example.org",)}
    ask = edge.client(**settings)
    told = [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-for", "198.51.100.1"),
        ("x-forwarded-proto", "https"),
    ]
    reply = await ask("GET", "/public", told, host="desk.example.org", peer="10.0.0.1")
    assert reply.json["address"] == "198.51.100.1"
    assert reply.json["base"] == "https://desk.example.org"
    assert reply.headers["strict-transport-security"].startswith("max-age=")
    reply = await ask("GET", "/public", told, host="desk.example.org", peer="203.0.113.1")
    assert reply.json["address"] == "203.0.113.1"
    assert reply.json["base"] == "http://desk.example.org"
    assert "strict-transport-security" not in reply.headers


async def test_a_path_prefix_may_come_or_have_been_taken_away(autojump_clock: Any, edge: Any):
    ask = edge.client(path_prefix="/deltastream")
    reply = await ask("GET", "/deltastream/public")
    assert reply.json["base"] == "http://127.0.0.1:8000/deltastream"
    assert (await ask("GET", "/public")).status == 200
    assert (await ask("GET", "/deltastreampublic")).code == "not_found"
    assert (await ask("GET", "/deltastream/deltastream/public")).code == "not_found"
    assert (await ask("GET", "/deltastream/")).code == "not_found"
    assert (await ask("POST", "/deltastream")).code == "not_found"
    set_cookies = (await ask("DELETE", "/deltastream/order")).headers["set-cookie"]
    assert "Path=/deltastream/order" in set_cookies


async def test_the_prefix_alone_leads_on_to_what_is_below_it(autojump_clock: Any, edge: Any):
    ask = edge.client(path_prefix="/deltastream")
    for method in ("GET", "HEAD"):
        reply = await ask(method, "/deltastream?a=b")
        assert (reply.status, reply.headers["location"]) == (308, "/deltastream/?a=b")
    assert (await ask("GET", "/deltastream")).headers["location"] == "/deltastream/"
    assert (await edge.client()("GET", "/")).status == 404


# sizes and times


async def test_a_long_address_and_long_headers_are_refused(autojump_clock: Any, edge: Any):
    ask = edge.client(limits={"target_bytes": 256, "header_bytes": 1024})
    assert (await ask("GET", "/free?" + "a" * 250)).code == "invalid_request"
    assert (await ask("GET", "/free?" + "a" * 300)).code == "target_too_long"
    assert (await ask("GET", "/" + "a" * 300)).code == "target_too_long"
    assert (await ask("GET", "/free", [("x-a", "b" * 900)])).status == 200
    assert (await ask("GET", "/free", [("x-a", "b" * 1024)])).code == "headers_too_large"
    assert (await ask("GET", "/free", [(f"x-{n}", "") for n in range(500)])).code == "headers_too_large"


async def test_a_body_is_refused_by_its_declared_length_before_it_comes(autojump_clock: Any, edge: Any):
    ask = edge.client(limits={"body_bytes": 1024})
    reply = await ask("POST", "/order", [("content-length", "1025")], [b"x" * 10, b""], late_s=1)
    assert (reply.status, reply.code) == (413, "body_too_large")
    assert reply.headers["connection"] == "close"


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "9" * 30, "1, 1", "", "+5", "٣"])
async def test_a_length_that_is_none_is_refused(autojump_clock: Any, edge: Any, length: str):
    headers = [("content-length", length.encode().decode("latin1"))]
    reply = await edge.client()("POST", "/order", headers, [b"{}"])
    assert reply.status in (400, 413)


async def test_a_body_without_a_length_is_cut_off_where_it_gets_too_long(autojump_clock: Any, edge: Any):
    ask = edge.client(limits={"body_bytes": 1024})
    reply = await ask("POST", "/order", body=[b"x" * 600, b"y" * 600, b"z" * 600])
    assert (reply.status, reply.code) == (413, "body_too_large")
    assert reply.headers["connection"] == "close"


async def test_a_body_that_takes_too_long_is_refused(autojump_clock: Any, edge: Any):
    ask = edge.client(limits={"body_s": 5.0})
    slow = [b"{", b'"size"', b":", b"1", b"}"]
    reply = await ask("POST", "/order", [("content-type", "application/json")], slow, late_s=0.9)
    assert reply.status == 200
    reply = await ask("POST", "/order", [("content-type", "application/json")], slow, late_s=1.1)
    assert (reply.status, reply.code) == (408, "request_timeout")
    assert reply.headers["connection"] == "close"


async def test_an_answer_that_takes_too_long_is_given_up(autojump_clock: Any, edge: Any):
    edge.failing.does = trio.sleep_forever
    reply = await edge.client(limits={"answer_s": 3.0})("GET", "/does")
    assert (reply.status, reply.code) == (503, "overloaded")
    assert int(reply.headers["retry-after"]) >= 1
    assert trio.current_time() == pytest.approx(3.0)
    assert edge.logged("defect") == []


async def test_more_at_once_than_allowed_are_refused(autojump_clock: Any, edge: Any):
    ask = edge.client(limits={"connections": 2})
    edge.failing.does = partial(trio.sleep, 1)
    codes = []

    async def one() -> None:
        reply = await ask("GET", "/does")
        codes.append(reply.status)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(one)
    assert sorted(codes) == [200, 200, 503, 503, 503]
    assert (await ask("GET", "/free")).status == 200


async def test_a_client_that_goes_away_is_no_defect(autojump_clock: Any, edge: Any):
    ask = edge.client()
    ask.goes_after_s = 1.0
    ask.late_s = 3.0
    assert await ask.ask("POST", "/order", (), [b"x", b"y"]) is None
    assert [line["status"] for line in edge.logged("request")] == [499]
    assert edge.logged("defect") == []
    assert ask.app.counters.statistics().active == 0


@pytest.mark.parametrize("error", [OSError, trio.BrokenResourceError, trio.BusyResourceError])
@pytest.mark.parametrize("after", range(2))
@pytest.mark.parametrize("body", [(), (b"x", b"y")])
async def test_a_connection_that_breaks_while_we_answer_is_no_defect(
    autojump_clock: Any, edge: Any, error: type[Exception], after: int, body: tuple[bytes, ...]
):
    app, sent = edge.gateway(), []

    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        async def send_it(message: Any) -> None:
            if len(sent) == after:
                raise error("the connection is gone")
            sent.append(message)
            await send(message)

        await app(scope, receive, send_it)

    ask = edge.client()
    ask.app, ask.late_s = breaks, 0.1
    with suppress(AssertionError):  # of the client, which waits for the end
        await ask.ask("POST", "/nowhere", (), body)
    assert edge.logged("defect") == []
    assert len(edge.logged("request")) == 1
    assert app.counters.statistics().active == 0


async def test_cancellation_passes_through(autojump_clock: Any, edge: Any):
    edge.failing.does = trio.sleep_forever
    ask = edge.client()
    with trio.move_on_after(2) as scope:
        await ask("GET", "/does")
    assert scope.cancelled_caught
    assert edge.logged("defect") == []
    assert ask.app.counters.statistics().active == 0


# failures


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("the password is hunter2"),
        ExceptionGroup("several", [ValueError("secret"), KeyError("secret")]),
        ExceptionGroup("one is a problem", [Problem("conflict"), KeyError("secret")]),
        AssertionError("secret"),
        RecursionError("secret"),
        MemoryError("secret"),
        type("PanicException", (BaseException,), {})("secret"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_defect_is_told_in_the_log_once_and_to_nobody_else(
    autojump_clock: Any, edge: Any, ask: Any, error: BaseException
):
    def fails() -> None:
        raise error

    edge.failing.does = fails
    reply = await ask("GET", "/does")
    assert (reply.status, reply.code) == (500, "internal")
    assert b"secret" not in reply.body
    assert b"hunter2" not in reply.body
    defects = edge.logged("defect")
    assert len(defects) == 1
    assert type(error).__name__ in defects[0]["exception"]
    assert defects[0]["level"] == "error"
    assert [line["status"] for line in edge.logged("request")] == [500]
    assert ask.app.counters.statistics().defects == 1


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (Problem("conflict"), "conflict", 409),
        (ExceptionGroup("g", [Problem("conflict")]), "conflict", 409),
        (ExceptionGroup("g", [ExceptionGroup("h", [Problem("not_found")])]), "not_found", 404),
        (StoreUnavailable("the disk at /srv is full"), "store_unavailable", 503),
        (ExceptionGroup("g", [StoreUnavailable("x"), StoreUnavailable("y")]), "store_unavailable", 503),
        (BadCursor("x"), "invalid_request", 400),
    ],
)
async def test_what_is_no_defect_is_not_logged_as_one(
    autojump_clock: Any, edge: Any, ask: Any, error: Exception, code: str, status: int
):
    def fails() -> None:
        raise error

    edge.failing.does = fails
    reply = await ask("GET", "/does")
    assert (reply.status, reply.code) == (status, code)
    assert ("retry-after" in reply.headers) == (status == 503)
    assert b"/srv" not in reply.body
    assert edge.logged("defect") == []


async def test_a_cancellation_among_failures_still_cancels(autojump_clock: Any, edge: Any):
    async def both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("while it was cancelled")

    edge.failing.does = both
    ask = edge.client()
    with trio.move_on_after(2) as scope:
        await ask("GET", "/does")
    assert scope.cancelled_caught
    assert len(edge.logged("defect")) == 1


# what every answer has


@pytest.mark.parametrize(
    ("method", "target", "changed"),
    [
        ("GET", "/public", {}),
        ("HEAD", "/public", {}),
        ("OPTIONS", "/public", {}),
        ("DELETE", "/order", {}),
        ("GET", "/nowhere", {}),
        ("PATCH", "/public", {}),
        ("GET", "/market/NIFTY", {}),
        ("GET", "/%ff", {}),
        ("GET", "/x", {"host": "evil.example"}),
        ("GET", "/" + "x" * 5000, {}),
    ],
)
async def test_every_answer_is_safe_and_named(
    autojump_clock: Any, ask: Any, method: str, target: str, changed: dict[str, Any]
):
    reply = await ask(method, target, **changed)
    for name, value in SECURITY_HEADERS:
        assert reply.headers[name.decode()] == value.decode()
    assert reply.headers["x-request-id"]
    assert "server" not in reply.headers
    names = [name for name, _ in reply.fields if name not in ("set-cookie", "vary")]
    assert len(names) == len(set(names))


async def test_the_log_tells_of_a_request_what_may_be_told(autojump_clock: Any, edge: Any, ask: Any):
    query = "/market/NIFTY?n=2"
    await ask("GET", query, [edge.bearer, ("cookie", "s=hunter2")], peer="203.0.113.4")
    (line,) = edge.logged("request")
    assert line["level"] == "info"
    assert (line["method"], line["path"], line["route"]) == ("GET", "/market/NIFTY", "/market/{product}")
    assert (line["status"], line["address"], line["key"]) == (200, "203.0.113.4", None)
    assert line["user"] is not None
    assert line["bytes"] > 0
    assert line["ms"] == 0.0
    assert "hunter2" not in str(line)
    assert edge.token not in str(line)
    assert "n=2" not in str(line)


async def test_requests_are_counted(autojump_clock: Any, edge: Any, ask: Any):
    edge.failing.does = partial(trio.sleep, 0.02)
    for method, target in (
        ("GET", "/does"), ("GET", "/does"), ("GET", "/nowhere"), ("BREW", "/does"), ("BREW" * 9, "/does"),
    ):  # fmt: skip
        await ask(method, target)
    statistics = ask.app.counters.statistics()
    assert statistics.requests == {
        ("GET", "/does", 200): 2,
        ("GET", "", 404): 1,
        ("other", "", 405): 2,
    }
    durations = statistics.durations["/does"]
    assert durations.total_s == pytest.approx(0.04)
    assert sum(durations.counts) == 2
    assert durations.counts[4] == 2  # up to 25 ms
    assert statistics.sent_bytes > 0


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (b"/ws", {}, 403),  # nobody serves sockets here
        (b"/other", {}, 404),
        (b"/ws", {b"host": b"evil.example"}, 421),
        (b"/ws", {b"origin": b"http://evil.example"}, 403),
        (b"/%zz", {}, 400),
    ],
)
async def test_a_websocket_is_refused(
    autojump_clock: Any, edge: Any, path: bytes, headers: dict[bytes, bytes], status: int
):
    sent = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "scheme": "ws",
        "http_version": "1.1",
        "raw_path": path,
        "query_string": b"",
        "client": ("127.0.0.1", 4711),
        "headers": list({b"host": b"127.0.0.1:8000", **headers}.items()),
    }
    await edge.gateway()(scope, receive, send)
    assert [message["type"] for message in sent] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert sent[0]["status"] == status
    assert json.loads(sent[1]["body"])["status"] == status


async def test_the_store_being_away_is_no_reason_to_let_anybody_in(
    autojump_clock: Any,
    edge: Any,
    ask: Any,
    monkeypatch: pytest.MonkeyPatch,
    store_is_away: Callable[[], Any],
):
    async def away(credential: str) -> None:
        store_is_away()

    monkeypatch.setattr(edge.accounts, "authenticate", away)
    reply = await ask("GET", "/market/NIFTY", [edge.bearer])
    assert (reply.status, reply.code) == (503, "store_unavailable")
    assert reply.headers["retry-after"] == "2"
