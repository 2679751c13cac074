"""Whatever a client sends, it is told what is wrong with it, and nothing breaks here."""

from __future__ import annotations

import random
from typing import Any

from deltastream.gateway.problems import CODES

METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "TRACE", "BREW", "get", "*")
PATHS = ("/public", "/free", "/market/NIFTY", "/market/", "/dear", "/session", "/order", "/chain", "/", "*")
PIECES = (
    b"%", b"%00", b"%ff", b"%2f", b"%2e%2e/", b"..", b"//", b";", b"?", b"&", b"=", b"#", b"\xff", b"\\",
    b"'", b'"', b"n=1", b"n=2", b"product=X", b"\x00", b"\r\n", b"a" * 300, b"http://", b"@", b":", b"{}",
    b"[", b"<",
)  # fmt: skip
NAMES = (
    "host", "origin", "authorization", "x-api-key", "accept", "accept-encoding", "if-none-match",
    "content-type", "content-length", "content-encoding", "transfer-encoding", "cookie", "x-request-id",
    "x-forwarded-for", "x-forwarded-proto", "range", "expect", "connection", "upgrade", "x",
    "access-control-request-method",
)  # fmt: skip
VALUES = (
    "", " ", "*", "*/*", "null", "127.0.0.1:8000", "localhost", "http://127.0.0.1:8000", "Bearer x", "bearer",
    "gzip", "identity;q=0", "gzip;q=0", "text/csv", "text/*;q=x", '"e1-7"', 'W/"e1-7", *', "application/json",
    "application/json; charset=utf-16", "0", "5", "-1", "1" * 40, "chunked", "a=b; c", "\xff\xfe",
    ",,,;;;===", "q=1", "10.0.0.1, ::1, x", "https", "bytes=0-", "x" * 200, "\x00", "2001:db8::1",
)  # fmt: skip
BODIES = (
    None, b"", b"{}", b'{"size":1}', b'{"size":1e999}', b'{"size":"\\ud800"}', b"[" * 5000, b"\xff", b"null",
    b"x" * 20_000,
)  # fmt: skip


async def test_nothing_a_client_sends_is_a_defect_of_ours(edge: Any, autojump_clock: Any):
    rng = random.Random(11)
    ask = edge.client(trusted_proxies=("127.0.0.0/8",), limits={"strangers_burst": 10_000, "burst": 10_000})
    statuses = set()
    for turn in range(1500):
        target = rng.choice(PATHS).encode() + b"".join(rng.choices(PIECES, k=rng.choice((0, 0, 1, 3))))
        headers = [(rng.choice(NAMES), rng.choice(VALUES)) for _ in range(rng.choice((0, 1, 2, 5)))]
        if rng.random() < 0.5:
            headers.append(edge.bearer)
        body: Any = rng.choice(BODIES)
        if body and rng.random() < 0.3:
            body = [body[:5], body[5:]]
        reply = await ask(rng.choice(METHODS), target, headers, body)
        statuses.add(reply.status)
        sent = f"turn {turn}: {target!r} {headers} {body!r:.80}"
        assert reply.status < 500, sent
        if reply.status >= 400 and reply.body:
            assert CODES[reply.code][0] == reply.status, sent
        assert reply.headers["x-content-type-options"] == "nosniff"
    assert {200, 204, 400, 401, 403, 404, 405, 406, 413, 415, 421} <= statuses
    assert edge.logged("defect") == []
    assert len(edge.logged("request")) == 1500
