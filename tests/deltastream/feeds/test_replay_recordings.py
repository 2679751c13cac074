"""DeltaStream's own recordings: written, damaged, read and replayed."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deltastream.errors import DeltaStreamError, FileRefused
from deltastream.feeds.protocol import Delivered
from deltastream.feeds.recorded import read_file
from deltastream.feeds.recording import RecordedFrame, RecordingReader, RecordingWriter, is_recording
from deltastream.messages import Bar, UnderlyingTick, encode

SECOND = 10**9
START = 1_700_000_000 * SECOND
NOW = 1_800_000_000 * SECOND


def tick(n, price=None):
    return UnderlyingTick(
        product="SPY", price=price or 600.0 + n, ts_event=START + n * SECOND, ts_recv=START + n * SECOND
    )


def frames(*numbers):
    return [RecordedFrame("market.tick.SPY", encode(tick(n))) for n in numbers]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "session.dsrec"


def read(path):
    with RecordingReader(path) as reader:
        return list(reader), reader.damaged, reader.torn


def write(path, batches):
    with RecordingWriter(path) as writer:
        for batch in batches:
            writer.write(batch)
    return writer


def test_round_trip(path):
    writer = write(path, [frames(1, 2), [], frames(3)])
    assert read(path) == (frames(1, 2, 3), 0, False)
    assert (writer.records, writer.size) == (3, path.stat().st_size)


def test_an_empty_recording(path):
    write(path, [])
    assert read(path) == ([], 0, False)
    assert is_recording(path.read_bytes())


def test_the_layout_is_pinned(path):
    write(path, [[("t", b"frame")]])
    head = b"DSREC\r\n\x1a" + struct.pack("<I", 1)
    body = struct.pack("<H", 1) + b"tframe"
    length = struct.pack("<I", len(body))
    assert path.read_bytes() == (
        head
        + struct.pack("<I", zlib.crc32(head))
        + b"\xd5REC"
        + length
        + struct.pack("<I", zlib.crc32(length + body))
        + body
    )


def test_what_is_written_can_be_read_before_the_file_is_closed(path):
    with RecordingWriter(path) as writer:
        writer.write(frames(1))
        assert read(path) == (frames(1), 0, False)


def test_a_recording_is_a_new_file(path, tmp_path):
    path.write_bytes(b"precious")
    with pytest.raises(DeltaStreamError, match="exists already"):
        RecordingWriter(path)
    assert path.read_bytes() == b"precious"
    with pytest.raises(DeltaStreamError, match="cannot be written"):
        RecordingWriter(tmp_path / "no" / "such" / "place")


def test_a_record_too_large_is_refused_before_it_is_written(path):
    with RecordingWriter(path) as writer:
        writer.write(frames(1))
        with pytest.raises(ValueError, match="larger than"):
            writer.write([*frames(2), ("t", bytes(17 * 1024 * 1024))])
        writer.write(frames(3))
    assert read(path) == (frames(1, 3), 0, False)


def test_a_full_disk_is_a_sentence_and_leaves_whole_records(path):
    with RecordingWriter(path) as writer:
        writer.write(frames(1))
        real = writer._file

        class Full:
            """Takes ten bytes, then has no more room."""

            def write(self, data):
                if len(data) > 10:
                    return real.write(data[:10])
                raise OSError(28, "No space left on device")

            def __getattr__(self, name):
                return getattr(real, name)

        writer._file = Full()
        with pytest.raises(DeltaStreamError, match="No space left"):
            writer.write(frames(2))
        writer._file = real
        writer.write(frames(3))
    assert read(path) == (frames(1, 3), 0, False)


def test_every_torn_tail_keeps_the_records_before_it(path):
    write(path, [frames(1, 2, 3)])
    whole = path.read_bytes()
    ends = [16]
    for record in frames(1, 2, 3):
        ends.append(ends[-1] + 12 + 2 + len(record.topic) + len(record.frame))
    assert ends[-1] == len(whole)
    for length in range(16, len(whole)):
        path.write_bytes(whole[:length])
        complete = sum(end <= length for end in ends) - 1
        assert read(path) == (frames(1, 2, 3)[:complete], 0, length not in ends)


def test_every_damaged_byte_costs_one_record_at_most(path):
    write(path, [frames(1, 2, 3)])
    whole = path.read_bytes()
    first, second = 16, 16 + (len(whole) - 16) // 3
    for at in range(first, second):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        assert read(path) == (frames(2, 3), 1, False)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=300), at=st.integers(0, 400), lost=st.integers(0, 50))
def test_damage_never_invents_a_message(tmp_path, noise, at, lost):
    path = tmp_path / "damaged.dsrec"
    path.unlink(missing_ok=True)
    write(path, [frames(1, 2, 3)])
    whole = path.read_bytes()
    at = 16 + at % (len(whole) - 16)
    path.write_bytes(whole[:at] + noise + whole[at + lost :])
    got, _, _ = read(path)
    assert got == [record for record in frames(1, 2, 3) if record in got]


def test_a_false_marker_inside_a_record_is_no_record(path):
    inner = b"\xd5REC" + struct.pack("<II", 5, 12345) + b"hello"
    write(path, [[("t", inner)], frames(2)])
    data = bytearray(path.read_bytes())
    data[17] ^= 1  # the true marker before it
    path.write_bytes(data)
    assert read(path) == (frames(2), 1, False)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "unknown_format"),
        (b"DSREC", "unknown_format"),
        (b"something else altogether", "unknown_format"),
        (b"DSREC\r\n\x1a", "damaged_header"),
        (b"DSREC\r\n\x1a" + bytes(8), "damaged_header"),
        (b"DSREC\n\x1a" + bytes(9), "unknown_format"),
    ],
)
def test_what_is_no_recording(path, data, reason):
    path.write_bytes(data)
    with pytest.raises(FileRefused) as caught:
        RecordingReader(path)
    assert caught.value.reason == reason


def test_a_newer_version_is_refused(path):
    head = b"DSREC\r\n\x1a" + struct.pack("<I", 2)
    path.write_bytes(head + struct.pack("<I", zlib.crc32(head)))
    with pytest.raises(FileRefused, match="version 2; this program reads up to 1"):
        RecordingReader(path)


def test_a_missing_recording(path):
    with pytest.raises(FileRefused, match="cannot be read"):
        RecordingReader(path)


def test_analysing_a_recording_says_what_it_is(path):
    write(path, [frames(1)])
    with pytest.raises(FileRefused) as caught:
        read_file(path, ts_recv=0)
    assert caught.value.reason == "recording"


async def test_replayed_at_the_pace_of_receipt_and_keyed_by_content(path, collect, autojump_clock):
    write(path, [frames(0, 2, 5), frames(0)])
    got = await collect(path, speed=2.0)
    assert [round(at, 9) for at, _ in got] == [0.0, 1.0, 2.5, 2.5]
    assert [item.message.price for _, item in got] == [600.0, 602.0, 605.0, 600.0]
    assert [item.message.ts_event for _, item in got] == [START + n * SECOND for n in (0, 2, 5, 0)]
    assert all(item.message.ts_recv >= NOW for _, item in got)
    keys = [item.key for _, item in got]
    assert keys[0] == keys[3]
    assert len(set(keys)) == 3


async def test_recordings_and_files_are_merged_by_time(tmp_path, collect, autojump_clock):
    write(tmp_path / "odd", [frames(1, 3, 5)])
    write(tmp_path / "even", [frames(0, 2, 4)])
    got = await collect(tmp_path)
    assert [item.message.price for _, item in got] == [600.0, 601.0, 602.0, 603.0, 604.0, 605.0]


async def test_a_long_recording_is_read_in_pieces(path, collect, autojump_clock):
    write(path, [frames(*range(1000))])
    assert [item.message.price for _, item in await collect(path)] == [600.0 + n for n in range(1000)]


async def test_what_is_derived_is_left_out_and_damage_is_told(path, collect, autojump_clock):
    bar = Bar(product="SPY", interval_s=60, start=0, open=1, high=1, low=1, close=1, ticks=1)
    write(
        path,
        [
            [("enriched.bar.SPY", encode(bar))],
            frames(1),
            [("market.tick.SPY", b"no frame"), ("market.tick.SPY", encode(bar))],
            frames(2),
            frames(3),
        ],
    )
    data = path.read_bytes()
    path.write_bytes(data.replace(frames(2)[0].frame, frames(2)[0].frame[:-1] + b"!") + b"\xd5REC\x99")
    got = [item for _, item in await collect(path)]
    assert [item.message.price for item in got if isinstance(item, Delivered)] == [601.0, 603.0]
    refusals = [item for item in got if not isinstance(item, Delivered)]
    assert [(refusal.reason, refusal.count) for refusal in refusals] == [
        ("bad_frame", 1),
        ("bad_frame", 1),
        ("damaged_record", 1),
        ("torn_tail", 1),
    ]


def test_numbers_survive_to_the_last_bit(path):
    message = tick(1, float(np.nextafter(600.0, 601.0)))
    write(path, [[("market.tick.SPY", encode(message))]])
    assert read(path)[0] == [("market.tick.SPY", encode(message))]
