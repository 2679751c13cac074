"""What a client accepts, and what it has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.gateway.negotiation import Codings, best_media, codings, known_tag
from deltastream.gateway.routing import ARROW, CSV, JSON

OFFERED = (JSON, CSV, ARROW)


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, JSON),
        (b"", JSON),
        (b"*/*", JSON),
        (b"text/csv", CSV),
        (b"TEXT/CSV", CSV),
        (b"text/*", CSV),
        (b"text/csv, application/json", JSON),  # alike: ours first
        (b"text/csv;q=0.9, application/json;q=0.8", CSV),
        (b"application/json;q=0.5, */*;q=0.9", CSV),
        (b"application/json;q=0, */*", CSV),
        (b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),
        (b"application/vnd.apache.arrow.stream", ARROW),
        (b"text/csv;header=present", CSV),
        (b"text/csv ; q=1.000", CSV),
        (b"image/png", None),
        (b"application/json;q=0", None),
        (b"*/*;q=0", None),
        (b"application/json;q=2, text/csv;q=0.1", CSV),  # no weight: not looked at
        (b",, ,text/csv,", CSV),
        (b"\xff\xfe", None),
    ],
)
def test_the_best_of_what_is_offered(accept: bytes | None, media: str | None):
    assert best_media(accept, OFFERED) == media


def test_what_is_offered_may_have_parameters():
    offered = ("text/plain; version=0.0.4; charset=utf-8",)
    assert best_media(b"text/plain", offered) == offered[0]
    assert best_media(b"text/*;q=0.1", offered) == offered[0]
    assert best_media(b"application/json", offered) is None


@pytest.mark.parametrize(
    ("header", "gzip", "identity"),
    [
        (None, False, True),
        (b"", False, True),
        (b"gzip", True, True),
        (b"GZip, deflate, br", True, True),
        (b"x-gzip", True, True),
        (b"br", False, True),
        (b"gzip;q=0", False, True),
        (b"gzip;q=0.001", True, True),
        (b"*", True, True),
        (b"*;q=0", False, False),
        (b"*;q=0, identity", False, True),
        (b"*, gzip;q=0", False, True),
        (b"identity;q=0", False, False),
        (b"identity;q=0, gzip", True, False),
        (b"gzip;q=1.5", False, True),
        (b"gzip;q=", False, True),
    ],
)
def test_codings(header: bytes | None, gzip: bool, identity: bool):
    assert codings(header) == Codings(gzip, identity)


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (b'"a"', b'"a"'),
        (b'W/"a"', b'"a"'),
        (b'"a-gzip"', b'"a-gzip"'),
        (b'"x", W/"y" , "a"', b'"a"'),
        (b'"x,y","a"', b'"a"'),
        (b"*", b'"a"'),
        (b" * ", b'"a"'),
        (b'"b"', None),
        (b"a", None),
        (b'"a', None),
        (b"", None),
        (b'""', None),
    ],
)
def test_tags_are_compared_weakly(header: bytes, known: bytes | None):
    assert known_tag(header, (b'"a"', b'"a-gzip"')) == known


@given(st.binary(max_size=80))
def test_any_bytes_are_understood_somehow(header: bytes):
    assert best_media(header, OFFERED) in (*OFFERED, None)
    assert isinstance(codings(header), Codings)
    known_tag(header, (b'"a"',))
