"""Whatever bytes come, `decode` and `decode_json` yield a message or say why not."""

from __future__ import annotations

import json
import struct

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings

from deltastream.errors import MessageDecodeError, NewerSchema
from deltastream.messages import Message, decode, decode_json, encode, encode_json, kind_of
from deltastream.messages.codec import KINDS

TAGS = [str(kind.__struct_config__.tag) for kind in KINDS]


def frame_of(kind: int, head: bytes, *, rows: int = 0, strikes: int = 0, matrix: bytes = b"") -> bytes:
    """A frame with a right header around any head."""
    fixed = struct.pack("<4sBBHII", b"DSM1", kind, 1, rows, strikes, len(head))
    return fixed + head + b"\0" * (-(16 + len(head)) % 8) + matrix


@pytest.mark.parametrize("tag", TAGS)
def test_newer_frame(tag: str, examples: dict[str, Message]):
    frame = bytearray(encode(examples[tag]))
    frame[5] += 1
    with pytest.raises(NewerSchema, match=f"^{tag} has schema 2; this version reads up to 1$"):
        decode(bytes(frame))


@pytest.mark.parametrize("tag", TAGS)
def test_newer_json(tag: str, examples: dict[str, Message]):
    plain = json.loads(encode_json(examples[tag])) | {"v": 2, "brand_new": 1}
    with pytest.raises(NewerSchema, match=f"^{tag} has schema 2; this version reads up to 1$"):
        decode_json(json.dumps(plain))


@pytest.mark.parametrize("read", [decode, kind_of])
def test_unknown_kind(read, examples: dict[str, Message]):
    frame = bytearray(encode(examples["bar"]))
    frame[4] = len(KINDS)
    with pytest.raises(NewerSchema, match=f"^message kind {len(KINDS)} is not known to this version$"):
        read(bytes(frame))


def test_every_truncation(examples: dict[str, Message]):
    for tag in TAGS:
        frame = encode(examples[tag])
        for length in range(len(frame)):
            with pytest.raises(MessageDecodeError):
                decode(frame[:length])
        with pytest.raises(MessageDecodeError):
            decode(frame + b"\0")


def test_other_magic(examples: dict[str, Message]):
    with pytest.raises(MessageDecodeError, match="begins with b'DSM0'"):
        decode(b"DSM0" + encode(examples["bar"])[4:])


def test_matrix_of_another_kind(examples: dict[str, Message]):
    head = msgspec.msgpack.encode({"type": "option_chain"})
    with pytest.raises(MessageDecodeError):
        decode(frame_of(2, head))
    chain = encode(examples["option_chain"])
    length = int.from_bytes(chain[12:16], "little")
    with pytest.raises(MessageDecodeError, match="22 rows, expected 23"):
        decode(frame_of(2, chain[16 : 16 + length], rows=22, strikes=1, matrix=b"\0" * 176))


DEEP = 100_000
HOSTILE_HEADS = {
    "nothing": b"",
    "no map": msgspec.msgpack.encode([1, 2, 3]),
    "another type": msgspec.msgpack.encode({"type": "bar"}),
    "no fields": msgspec.msgpack.encode({"type": "health"}),
    "wrong field": msgspec.msgpack.encode({"type": "health", "ts": "now", "actor": "a", "state": "s"}),
    "broken text": b"\x81\xa4type\xa2\xff\xfe",
    "broken text in a field": b"\x82\xa4type\xa6health\xa5actor\xa2\xff\xfe",
    "giant map": b"\xdf\xff\xff\xff\xff",
    "giant text": b"\x81\xa4type\xdb\xff\xff\xff\xff",
    "deep unknown field": b"\x82\xa4type\xa6health\xa3new" + b"\x91" * DEEP + b"\xc0",
    "huge integer": b"\x82\xa4type\xa6health\xa2ts\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    "extension": b"\x82\xa4type\xa6health\xa2ts\xd4\x01\x00",
}


@pytest.mark.parametrize("head", HOSTILE_HEADS.values(), ids=HOSTILE_HEADS)
def test_hostile_head(head: bytes):
    with pytest.raises(MessageDecodeError):
        decode(frame_of(8, head))


HOSTILE_JSON = {
    "nothing": "",
    "no object": "[]",
    "number": "1",
    "unfinished": '{"type":"health"',
    "no type": "{}",
    "type of another type": '{"type":[]}',
    "unknown type": '{"type":"rumour"}',
    "version of another type": '{"type":"health","v":"1"}',
    "null version": '{"type":"health","v":null}',
    "no fields": '{"type":"health"}',
    "broken text": b'{"type":"\xff\xfe"}',
    "lone surrogate": r'{"type":"\ud800"}',
    "deep": "[" * DEEP + "]" * DEEP,
    "deep field": '{"type":"health","new":' + "[" * DEEP + "]" * DEEP + "}",
    "no columns": '{"type":"option_chain"}',
    "columns of another type": '{"type":"option_chain","columns":7}',
    "unknown columns": '{"type":"option_chain","columns":{"strike":[]}}',
    "endless integer": '{"type":"health","ts":1' + "0" * 10_000 + ',"actor":"a","state":"s"}',
}


@pytest.mark.parametrize("text", HOSTILE_JSON.values(), ids=HOSTILE_JSON)
def test_hostile_json(text: str | bytes):
    with pytest.raises(MessageDecodeError):
        decode_json(text)


@pytest.mark.parametrize(
    "column",
    [[1.0], [1.0, 2.0, 3.0, 4.0], ["1.0", 1.0, 1.0], [[1.0], [1.0], [1.0]], [10**400, 1, 1], None, 7, {}],
    ids=["short", "long", "text", "nested", "huge", "null", "number", "object"],
)
def test_hostile_column(column: object, examples: dict[str, Message]):
    plain = json.loads(encode_json(examples["option_chain"]))
    plain["columns"]["put_oi"] = column
    with pytest.raises(MessageDecodeError):
        decode_json(json.dumps(plain))


def mutations(whole: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with up to four of them changed, a part taken out, or a part put in."""
    place = st.integers(0, len(whole))

    def change(spots: list[tuple[int, int]]) -> bytes:
        changed = bytearray(whole)
        for at, byte in spots:
            changed[at % len(whole)] = byte
        return bytes(changed)

    return (
        st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=4).map(change)
        | st.tuples(place, place).map(lambda cut: whole[: cut[0]] + whole[cut[1] :])
        | st.tuples(place, st.binary(max_size=16)).map(lambda put: whole[: put[0]] + put[1] + whole[put[0] :])
    )


@pytest.mark.parametrize("tag", TAGS)
def test_mutated_frames(tag: str, examples: dict[str, Message]):
    @settings(max_examples=150, deadline=None)
    @given(mutations(encode(examples[tag])))
    def check(frame: bytes) -> None:
        for read in (decode, kind_of):
            try:
                read(frame)
            except MessageDecodeError as refusal:
                assert str(refusal)  # noqa: PT017  # most mutations are refused, some are messages still

    check()


@pytest.mark.parametrize("tag", TAGS)
def test_mutated_json(tag: str, examples: dict[str, Message]):
    @settings(max_examples=150, deadline=None)
    @given(mutations(encode_json(examples[tag])))
    def check(text: bytes) -> None:
        try:
            decode_json(text)
        except MessageDecodeError as refusal:
            assert str(refusal)  # noqa: PT017  # most mutations are refused, some are messages still

    check()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_noise(noise: bytes):
    for frame in (noise, b"DSM1" + noise):
        with pytest.raises(MessageDecodeError):
            decode(frame)
    with pytest.raises(MessageDecodeError):
        decode_json(noise)
