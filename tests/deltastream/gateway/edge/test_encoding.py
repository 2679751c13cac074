"""What is kept of compressed bodies is bounded, and what is large does not hold the event loop."""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import Any

import pytest

from deltastream.gateway import encoding
from deltastream.gateway.encoding import Encoder
from deltastream.gateway.exchange import Exchange
from deltastream.gateway.routing import JSON, Answer, Call, NoParameters, Route, route
from deltastream.seams import InlineThreads


@route("GET", "/x", scope="anyone", tag="t", answers=dict[str, Any], media=(JSON, "image/png"))
async def x(call: Call[NoParameters, None]) -> Answer:
    """Not called."""
    return Answer(body=None)


class CountedThreads(InlineThreads):
    runs = 0

    async def run(self, fn: Any, *args: Any, limiter: Any = None) -> Any:
        self.runs += 1
        return await super().run(fn, *args, limiter=limiter)


def exchange(**headers: str) -> Exchange:
    scope = {
        "method": "GET",
        "raw_path": b"/x",
        "query_string": b"",
        "http_version": "1.1",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> Any:
        raise AssertionError("there is no body")

    return Exchange(scope, receive)


@pytest.fixture
def threads() -> CountedThreads:
    return CountedThreads()


@pytest.fixture
def encoder(threads: CountedThreads) -> Encoder:
    return Encoder(threads, "")


PACKED = {"accept_encoding": "gzip"}


async def packed(encoder: Encoder, body: bytes, key: object, chosen: Route = x) -> bytes:
    response = await encoder.encode(exchange(**PACKED), chosen, Answer(body=body, cache_key=key), JSON)
    assert gzip.decompress(response.body) == body
    return response.body


async def test_what_is_long_is_compressed_in_a_thread(encoder: Encoder, threads: CountedThreads):
    await packed(encoder, b"x" * (32 << 10), None)
    assert threads.runs == 0
    await packed(encoder, b"x" * ((32 << 10) + 1), None)
    assert threads.runs == 1


async def test_the_compressed_form_is_made_once(encoder: Encoder, monkeypatch: pytest.MonkeyPatch):
    body = b"x" * 5000
    first = await packed(encoder, body, 1)
    monkeypatch.setattr(encoding.zlib, "compress", None)
    assert await packed(encoder, body, 1) is first
    with pytest.raises(TypeError):
        await packed(encoder, body, 2)
    with pytest.raises(TypeError):  # another route's key is another key
        await packed(encoder, body, 1, replace(x, path="/y"))


async def test_a_value_is_encoded_once(encoder: Encoder):
    answer = Answer(body={"a": 1}, cache_key=1)
    first = await encoder.encode(exchange(), x, answer, JSON)
    assert first.body == b'{"a":1}'
    assert (await encoder.encode(exchange(), x, answer, JSON)).body is first.body


async def test_what_is_kept_is_bounded(threads: CountedThreads, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(encoding, "_CACHE_BYTES", 1000)
    encoder = Encoder(threads, "")

    async def one(size: int, key: object) -> bytes:
        return (await encoder.encode(exchange(), x, Answer(body="x" * size, cache_key=key), JSON)).body

    first = await one(198, 0)
    assert await one(198, 0) is first
    for key in range(1, 6):
        await one(198, key)
    assert await one(198, 0) is not first  # the longest unused was forgotten
    assert await one(198, 5) is await one(198, 5)
    large = await one(300, "large")  # would push out all others
    assert await one(300, "large") is not large


async def test_no_number_is_null_in_json(encoder: Encoder):
    response = await encoder.encode(exchange(), x, Answer(body={"iv": float("nan")}), JSON)
    assert response.body == b'{"iv":null}'


async def test_what_is_dense_is_not_compressed(encoder: Encoder):
    response = await encoder.encode(exchange(**PACKED), x, Answer(body=b"x" * 5000), "image/png")
    assert response.body == b"x" * 5000


async def test_only_what_is_read_is_compressed(encoder: Encoder):
    """What answers a POST may hold a token beside what its sender chose, whose length must not tell."""
    posted = replace(x, method="POST")
    response = await encoder.encode(exchange(**PACKED), posted, Answer(body=b"x" * 5000, etag="a"), JSON)
    assert response.body == b"x" * 5000
    assert not {"etag", "content-encoding"} & {name.decode() for name, _ in response.headers}


async def test_a_handler_says_how_long_its_answer_keeps(encoder: Encoder):
    headers = (("cache-control", "public, max-age=3600"), ("content-type", "text/css"))
    answer = Answer(body=b"a{}", etag="v1", headers=headers)
    response = await encoder.encode(exchange(), x, answer, JSON)
    assert dict(response.headers)[b"cache-control"] == b"public, max-age=3600"
    assert dict(response.headers)[b"content-type"] == b"text/css"
    assert len({name for name, _ in response.headers}) == len(response.headers)
