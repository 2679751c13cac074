"""The bytes of every kind of message are pinned: journals on disk are read by later versions.

A line of golden.json is never edited. A kind whose schema grows gets a further line, and the old
one goes on being read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from deltastream.messages import (
    CHAIN_COLUMNS,
    ENRICHED_COLUMNS,
    ChainHead,
    Message,
    decode,
    decode_json,
    encode,
    encode_json,
    kind_of,
)
from deltastream.messages.codec import KINDS

GOLDEN: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("golden.json").read_text())
TAGS = [str(kind.__struct_config__.tag) for kind in KINDS]


def assert_same(left: Message, right: Message) -> None:
    """Equal type and fields; the columns bit for bit but for the sign of NaN."""
    assert type(left) is type(right)
    for field in left.__struct_fields__:
        a, b = getattr(left, field), getattr(right, field)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, strict=True)
        else:
            assert a == b, field


def test_every_kind_is_pinned():
    assert list(GOLDEN) == TAGS


def test_the_numbers_of_the_kinds_do_not_change():
    assert TAGS == [
        "underlying_tick",
        "option_quote",
        "option_chain",
        "enriched_chain",
        "bar",
        "volatility_surface",
        "market_status",
        "log_record",
        "health",
        "dead_letter",
        "revocation",
    ]


@pytest.mark.parametrize("tag", TAGS)
def test_frame_is_as_pinned(tag: str, examples: dict[str, Message]):
    assert encode(examples[tag]).hex() == GOLDEN[tag]["frame"]


@pytest.mark.parametrize("tag", TAGS)
def test_json_is_as_pinned(tag: str, examples: dict[str, Message]):
    assert encode_json(examples[tag]).decode() == GOLDEN[tag]["json"]


@pytest.mark.parametrize("tag", TAGS)
def test_pinned_frame_is_read(tag: str, examples: dict[str, Message]):
    frame = bytes.fromhex(GOLDEN[tag]["frame"])
    assert kind_of(frame) == tag
    assert_same(decode(frame), examples[tag])


@pytest.mark.parametrize("tag", TAGS)
def test_pinned_json_is_read(tag: str, examples: dict[str, Message]):
    assert_same(decode_json(GOLDEN[tag]["json"]), examples[tag])


def test_header_stands_as_documented(examples: dict[str, Message]):
    chain = examples["option_chain"]
    assert isinstance(chain, ChainHead)
    frame = encode(chain)
    length = int.from_bytes(frame[12:16], "little")
    start = -(-(16 + length) // 8) * 8
    assert frame[:4] == b"DSM1"
    assert frame[4] == 2  # third of KINDS
    assert frame[5] == 1  # schema
    assert int.from_bytes(frame[6:8], "little") == 23
    assert int.from_bytes(frame[8:12], "little") == 3
    assert msgspec.msgpack.decode(frame[16 : 16 + length])["product"] == "NIFTY"
    assert not any(frame[16 + length : start])
    assert frame[start:] == chain.columns.astype("<f8").tobytes()


@pytest.mark.parametrize(
    ("tag", "names"), [("option_chain", CHAIN_COLUMNS), ("enriched_chain", ENRICHED_COLUMNS)]
)
def test_json_names_its_columns_and_writes_nan_as_null(
    tag: str, names: tuple[str, ...], examples: dict[str, Message]
):
    columns = json.loads(GOLDEN[tag]["json"])["columns"]
    assert list(columns) == list(names)
    assert columns["strike"][1] is not None
    assert all(columns[name][1] is None for name in names if name != "strike")
    assert "NaN" not in GOLDEN[tag]["json"]
