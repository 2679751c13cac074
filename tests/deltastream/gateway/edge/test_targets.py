"""A path means one thing, or is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.gateway.problems import Problem
from deltastream.gateway.targets import decode_path, split_target


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"),
        (b"/api/data/products", "/api/data/products"),
        (b"/%61pi", "/api"),
        (b"/caf%C3%A9", "/café"),
        (b"/a%20b+c", "/a b+c"),
        (b"/%2e%2e/x", "/../x"),
        (b"/a%25b", "/a%b"),
    ],
)
def test_a_path_is_decoded_once(raw: bytes, path: str):
    assert decode_path(raw) == path


@pytest.mark.parametrize(
    "raw",
    [
        b"/%", b"/%4", b"/%zz", b"/%%41", b"/a%2Fb", b"/a%2fb", b"/a%5cb", b"/%00", b"/%0d%0ax", b"/%7f",
        b"/%ff", b"/%c3", b"/%c0%af", b"/%ed%a0%80", b"/\xff", b"/%c2%85",
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(raw: bytes):
    with pytest.raises(Problem) as refused:
        decode_path(raw)
    assert refused.value.code == "invalid_request"
    assert refused.value.errors[0].where == "path"


@given(st.binary(max_size=50))
def test_any_bytes_are_a_path_or_a_problem(raw: bytes):
    try:
        path = decode_path(b"/" + raw)
    except Problem as refused:
        path = refused.code
    assert path == "invalid_request" or (path.startswith("/") and not set(path) & set(map(chr, range(32))))


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        (b"/x", (None, b"/x")),
        (b"//evil.example/x", (None, b"//evil.example/x")),
        (b"*", (None, b"*")),
        (b"http://localhost:8000/x", (b"localhost:8000", b"/x")),
        (b"HTTPS://localhost", (b"localhost", b"/")),
        (b"http:///x", (b"", b"/x")),
    ],
)
def test_a_target_may_name_its_host(target: bytes, parts: tuple[bytes | None, bytes]):
    assert split_target(target) == parts


@pytest.mark.parametrize("target", [b"", b"x", b"ftp://localhost/x", b"localhost:8000", b"../x", b"\\x"])
def test_other_targets_are_none(target: bytes):
    with pytest.raises(Problem):
        split_target(target)
