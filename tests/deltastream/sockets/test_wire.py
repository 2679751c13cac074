"""Frames as we write them and what clients write, with wsproto's client as the independent other side."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason

from deltastream.sockets._deflate import Deflate
from deltastream.sockets.wire import FRAMED, close_frame, ping_frame, pong_frame

SIZES = (0, 1, 125, 126, 127, 255, 256, 65535, 65536, 200_000)


def client(*, deflate: bool = False) -> Connection:
    extension = PerMessageDeflate(client_no_context_takeover=True, server_no_context_takeover=True)
    if deflate:
        extension.finalize("permessage-deflate")
    return Connection(ConnectionType.CLIENT, [extension])


def read(connection: Connection, data: bytes) -> list[Any]:
    connection.receive_data(data)
    return list(connection.events())


def whole(events: list[Any]) -> bytes:
    assert all(isinstance(event, Message) for event in events)
    assert events[-1].message_finished
    parts = [event.data.encode() if isinstance(event.data, str) else event.data for event in events]
    return b"".join(parts)


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize("size", SIZES)
def test_a_message_of_any_length(size: int, encoding: Any, deflate: bool):
    payload = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    events = read(client(deflate=deflate), FRAMED[encoding, deflate].wrap(payload))
    assert whole(events) == payload
    assert isinstance(events[0], TextMessage if encoding == "json" else BytesMessage)


@given(st.lists(st.binary(max_size=3000), max_size=6))
def test_messages_one_after_another_need_nothing_of_those_before(payloads: list[bytes]):
    reader = client(deflate=True)
    frames = [FRAMED["msgpack", True].wrap(payload) for payload in payloads]
    for frame, payload in zip(frames, payloads, strict=True):
        assert whole(read(reader, frame)) == payload
    for frame, payload in zip(reversed(frames), reversed(payloads), strict=True):
        assert whole(read(client(deflate=True), frame)) == payload


def test_what_repeats_is_packed_and_what_is_short_is_not():
    assert len(FRAMED["json", True].wrap(b"a" * 10_000)) < 100
    assert FRAMED["json", True].wrap(b"a" * 100) == FRAMED["json", False].wrap(b"a" * 100)


@pytest.mark.parametrize("reason", ["", "too slow", "é" * 100, "x" * 200])
def test_a_close_frame(reason: str):
    (event,) = read(client(), close_frame(4009, reason))
    assert isinstance(event, CloseConnection)
    assert event.code == 4009
    assert reason.startswith(event.reason or "")
    assert len((event.reason or "").encode()) >= min(len(reason.encode()), 120)


def test_control_frames():
    first, second = read(client(), ping_frame() + pong_frame(b"x" * 125))
    assert isinstance(first, Ping)
    assert isinstance(second, Pong)
    assert bytes(second.payload) == b"x" * 125


# What comes in, unpacked within limits.


def server(most: int = 1 << 16, offer: str = "permessage-deflate") -> tuple[Connection, Deflate]:
    extension = Deflate(most)
    assert extension.accept(offer) is not None
    return Connection(ConnectionType.SERVER, [extension]), extension


def frame(first: int, payload: bytes) -> bytes:
    """A client's frame, masked with zeros."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first, 0xFF, size)
    return head + b"\0\0\0\0" + payload


def packed(payload: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


@given(st.binary(max_size=5000), st.lists(st.integers(1, 200), max_size=8), st.booleans())
def test_what_a_client_packs_is_read_however_it_comes(payload: bytes, cuts: list[int], pinged: bool):
    sender = client(deflate=True)
    half = len(payload) // 2
    data = sender.send(BytesMessage(data=payload[:half], message_finished=False))
    if pinged:
        data += sender.send(Ping(payload=b"amid"))
    data += sender.send(BytesMessage(data=payload[half:]))
    reader, _ = server()
    events: list[Any] = []
    for cut in cuts:
        events += read(reader, data[:cut])
        data = data[cut:]
    events += read(reader, data)
    assert [event for event in events if isinstance(event, Ping)] == [
        Ping(payload=bytearray(b"amid"))
    ] * pinged
    assert whole([event for event in events if not isinstance(event, Ping)]) == payload


def test_a_bomb_goes_off_before_it_is_unpacked():
    bomb = packed(b"\0" * 50_000_000)
    assert len(bomb) < 64_000
    reader, _ = server()
    unpacked = 0
    for at in range(0, len(frame(0xC2, bomb)), 4096):
        for event in read(reader, frame(0xC2, bomb)[at : at + 4096]):
            if isinstance(event, CloseConnection):
                assert event.code == CloseReason.MESSAGE_TOO_BIG
                assert unpacked <= 1 << 16
                return
            unpacked += len(event.data)
    pytest.fail("it was taken")


def test_a_bomb_in_many_fragments_is_one_message():
    reader, _ = server(1000)
    codes = []
    data = packed(b"\0" * 3000)
    for number in range(len(data)):
        first = (0x42 if number == 0 else 0x00) | (0x80 if number == len(data) - 1 else 0)
        codes += [
            event.code
            for event in read(reader, frame(first, data[number : number + 1]))
            if isinstance(event, CloseConnection)
        ]
    assert codes[:1] == [CloseReason.MESSAGE_TOO_BIG]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(0xC2, b"\xff\xff\xff"), CloseReason.INVALID_FRAME_PAYLOAD_DATA),
        (frame(0xC9, b"x"), CloseReason.PROTOCOL_ERROR),
        (frame(0x02, b"x") + frame(0xC0, b"x"), CloseReason.PROTOCOL_ERROR),
        (b"\x82\x01x", CloseReason.PROTOCOL_ERROR),
    ],
)
def test_what_is_wrong_ends_it(data: bytes, code: CloseReason):
    event = read(server()[0], data)[-1]
    assert isinstance(event, CloseConnection)
    assert event.code == code


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        ("permessage-deflate", True),
        ("permessage-deflate; client_max_window_bits", True),
        ("permessage-deflate; client_max_window_bits=10", True),
        ("permessage-deflate; server_max_window_bits=15", True),
        ("permessage-deflate; server_max_window_bits=10", False),
        ("permessage-deflate; client_max_window_bits=99", False),
    ],
)
def test_which_offers_are_agreed_to(offer: str, agreed: bool):
    extension = Deflate(1000)
    answer = extension.accept(offer)
    assert (answer is not None) is agreed
    assert extension.enabled() is agreed
    if agreed:
        assert "server_no_context_takeover" in str(answer)
        assert "client_no_context_takeover" in str(answer)
