"""Samples in the formats of the exchanges' websites, with invented numbers."""

from pathlib import Path

import pytest

from deltastream.errors import FileRefused
from deltastream.feeds.recorded import read_bytes, read_file

SAMPLES = Path(__file__).parent / "samples"
NOW = 1_800_000_000_000_000_000


@pytest.fixture
def sample():
    """Reads one sample from its file."""
    return lambda name, **options: read_file(SAMPLES / name, ts_recv=NOW, **options)


@pytest.fixture
def text():
    """The text of one sample."""
    return lambda name: (SAMPLES / name).read_text(encoding="utf-8")


@pytest.fixture
def read():
    """Reads bytes or text as if it were a file."""

    def reader(data, **options):
        data = data if isinstance(data, bytes) else data.encode()
        return read_bytes(data, source="file", ts_recv=NOW, **options)

    return reader


@pytest.fixture
def refused(read):
    """The reason for which bytes are refused as a whole."""

    def reader(data, **options):
        with pytest.raises(FileRefused) as caught:
            read(data, **options)
        assert str(caught.value).startswith("file: ")
        return caught.value.reason

    return reader


@pytest.fixture
def chain_of():
    """The chain of a root and expiry."""

    def find(recorded, root, expiry):
        (chain,) = [c for c in recorded.chains if (c.root, c.expiry) == (root, expiry)]
        return chain

    return find
