"""Files as a whole: what is refused, and how a format is told."""

import gzip
import json
import os

import pytest

from deltastream.errors import FileRefused
from deltastream.feeds.recorded import _file as file_module
from deltastream.feeds.recorded import list_files, peek, read_file

NAMES = ("nse_legacy.json", "nse_v3.json", "cboe_english.csv", "cboe_reply.json", "cboe_inner.json")


def reason_of(path, **options):
    with pytest.raises(FileRefused) as caught:
        read_file(path, ts_recv=0, **options)
    assert str(caught.value) == f"{os.fspath(path)}: {caught.value.detail}"
    return caught.value.reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n\t\n", "empty"),
        (b"\x00\x01\x02", "binary"),
        (b"PK\x03\x04\x00\x00", "binary"),
        (b"\x1f\x8bnot gzip at all", "damaged_gzip"),
        (b"<!DOCTYPE html><html></html>", "html"),
        (b"hello", "unknown_format"),
        (b"\xff\xfe\xfd", "unknown_format"),
        (b"{}", "unknown_format"),
        (b"[]", "unknown_format"),
        (b"[1, 2]", "unknown_format"),
        (b'{"records": {}}', "no_rows"),
        (b'{"records": {"data": []}}', "no_rows"),
        (b'{"records": {"data": [1, 2]}}', "no_usable_row"),
        (b'{"options": []}', "no_rows"),
        (b'{"data": {"options": [null]}}', "no_usable_row"),
        (b'{"records": {"data": [', "truncated"),
        (b'{"records": {"data": [{"strikePr', "truncated"),
        (b'{"records": {"data": [1, tru', "truncated"),
        (b'{"records": oops, "data": []}', "not_json"),
        (b"[" * 100_000, "nested_too_deeply"),
        (b'{"a":' * 100_000, "nested_too_deeply"),
    ],
)
def test_refused_as_a_whole(tmp_path, data, reason):
    path = tmp_path / "file"
    path.write_bytes(data)
    assert reason_of(path) == reason


@pytest.mark.parametrize("name", ["nse_legacy.json", "cboe_reply.json"])
def test_json_cut_off_anywhere_is_refused(text, refused, name):
    whole = text(name).rstrip()
    reasons = {refused(whole[:length]) for length in range(1, len(whole), 7)}
    assert reasons <= {"truncated", "not_json"}
    assert "truncated" in reasons


def test_places_without_a_file(tmp_path):
    assert reason_of(tmp_path) == "unreadable"
    assert reason_of(tmp_path / "missing") == "not_found"
    assert reason_of("a\0b") == "unreadable"
    os.mkfifo(tmp_path / "pipe")
    assert reason_of(tmp_path / "pipe") == "not_a_file"
    assert reason_of("/dev/zero") == "not_a_file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_permissions(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"{}")
    path.chmod(0)
    assert reason_of(path) == "unreadable"


def test_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(file_module, "MAX_FILE_BYTES", 1000)
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1001)
    assert reason_of(path) == "too_large"
    path.write_bytes(gzip.compress(b" " * 1001))
    assert reason_of(path) == "too_large"


@pytest.mark.parametrize("name", NAMES)
def test_gzip_is_transparent(tmp_path, text, sample, name):
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(text(name).encode()))
    assert read_file(path, ts_recv=0).digest == sample(name).digest
    path.write_bytes(path.read_bytes()[:-20])
    assert reason_of(path) in {"truncated", "damaged_gzip"}


@pytest.mark.parametrize("name", NAMES)
def test_format_is_told_by_content(tmp_path, text, sample, name):
    path = tmp_path / "anything.at.all"
    path.write_text(text(name))
    assert read_file(path, ts_recv=0).format == sample(name).format
    wanted, other = ("nse", "cboe") if name.startswith("nse") else ("cboe", "nse")
    assert read_file(path, format=wanted, ts_recv=0).format == sample(name).format
    assert reason_of(path, format=other) == "unknown_format"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", NAMES)
def test_byte_order_marks(text, read, sample, name, encoding):
    recorded = read(text(name).encode(encoding))
    assert [len(c.strikes) for c in recorded.chains] == [len(c.strikes) for c in sample(name).chains]


@pytest.mark.parametrize(
    "name", [*NAMES, "cboe_padded.csv", "cboe_russian_bom.csv", "cboe_unreadable_date.csv"]
)
def test_peek_tells_the_time_that_reading_tells(sample, name):
    recorded = sample(name)
    assert peek(recorded.source) == recorded.ts_event


def test_peek_refuses_what_reading_refuses(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"{}")
    with pytest.raises(FileRefused):
        peek(path)


def test_list_files(tmp_path):
    for name in ("b.json", "a.csv", ".hidden", "below/c.json", ".git/config"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [os.path.relpath(f, tmp_path) for f in list_files(tmp_path)] == ["a.csv", "b.json", "below/c.json"]
    assert list_files(tmp_path / ".hidden") == [str(tmp_path / ".hidden")]
    with pytest.raises(FileRefused, match="no such file"):
        list_files(tmp_path / "missing")


def test_many_refusals_are_counted_not_all_listed(text, read):
    document = json.loads(text("nse_legacy.json"))
    document["records"]["data"] += [None] * 5000
    refusals = read(json.dumps(document)).refusals
    assert len(refusals) == 201
    assert sum(refusal.count for refusal in refusals) == 5000
