"""Whatever a file holds: chains that can be believed, or a refusal; never another exception."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deltastream.analytics import AnalyticsSettings, enrich
from deltastream.errors import FileRefused
from deltastream.feeds.recorded import read_bytes
from deltastream.messages import decode, encode

SAMPLES = Path(__file__).parent / "samples"
TABLES = sorted(path.name for path in SAMPLES.glob("*.csv"))
DOCUMENTS = sorted(path.name for path in SAMPLES.glob("*.json"))
SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

ODD_TEXTS = st.sampled_from(
    [
        "",
        "-",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "1e400",
        "-1",
        "0",
        "-0.0",
        "9" * 5000,
        "1,5",
        "٣",
        "null",
        '"',
        "\0",
        "\r",
    ]
)
ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    ODD_TEXTS,
    st.sampled_from(
        [10**400, {}, [], {"strikePrice": 1}, "09-Dec-2025", "31-Feb-2026", "SPY260821C00640000"]
    ),
)


def read(data):
    """Read, and check everything that must hold of what was read."""
    try:
        recorded = read_bytes(data, source="file", ts_recv=10**18)
    except FileRefused as error:
        refused = error
    else:
        check_recorded(recorded)
        return
    assert str(refused).startswith("file: ")
    assert refused.reason


def check_recorded(recorded):
    assert recorded.chains
    assert len({(c.root, c.expiry) for c in recorded.chains}) == len(recorded.chains)
    for chain in recorded.chains:
        check(chain)
        counts = recorded.counts[chain.product, chain.root, chain.expiry]
        assert counts.read - sum(counts.dropped.values()) > 0
        assert bool(counts.dropped) == ("rows_dropped" in chain.flags)
    assert all(refusal.reason and refusal.detail for refusal in recorded.refusals)


def check(chain):
    strikes, columns = chain.strikes, chain.columns
    assert np.isfinite(strikes).all()
    assert (strikes > 0).all()
    assert (np.diff(strikes) > 0).all()
    assert not np.isinf(columns).any()
    assert not (columns < 0).any()
    assert chain.spot is None or 0 < chain.spot <= 1e9
    decode(encode(chain))
    enrich(chain, AnalyticsSettings(), ts_recv=10**18)


@SETTINGS
@given(st.binary(max_size=2000))
def test_any_bytes(data):
    read(data)


@SETTINGS
@given(st.text(max_size=500))
def test_any_text(text):
    read(text.encode(errors="surrogatepass"))


@SETTINGS
@given(
    st.recursive(ODD_VALUES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner))
)
def test_any_json_in_the_right_places(value):
    for document in (
        {"records": {"data": [value]}},
        {"records": value},
        {"options": [value]},
        {"data": value},
    ):
        read(json.dumps(document).encode())


@pytest.mark.parametrize("name", TABLES)
@SETTINGS
@given(data=st.data())
def test_tables_with_altered_fields(name, data):
    lines = (SAMPLES / name).read_bytes().split(b"\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        fields = lines[at].split(b",")
        column = data.draw(st.integers(0, len(fields) - 1))
        value = data.draw(st.one_of(ODD_TEXTS, st.text(max_size=12)))
        fields[column] = value.encode(errors="surrogatepass")
        lines[at] = b",".join(fields)
    read(b"\n".join(lines))


@pytest.mark.parametrize("name", TABLES)
@SETTINGS
@given(data=st.data())
def test_tables_with_lines_lost_repeated_and_moved(name, data):
    lines = (SAMPLES / name).read_bytes().split(b"\n")
    order = data.draw(st.lists(st.integers(0, len(lines) - 1), max_size=2 * len(lines)))
    read(b"\n".join(lines[at] for at in order))


@pytest.mark.parametrize("name", [*TABLES, *DOCUMENTS])
@SETTINGS
@given(data=st.data())
def test_bytes_changed_lost_and_cut(name, data):
    whole = bytearray((SAMPLES / name).read_bytes())
    for _ in range(data.draw(st.integers(0, 5))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    read(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


def places(value, path=()):
    """Paths to everything in a document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@pytest.mark.parametrize("name", DOCUMENTS)
@SETTINGS
@given(data=st.data())
def test_documents_with_altered_values(name, data):
    document = json.loads((SAMPLES / name).read_text())
    for _ in range(data.draw(st.integers(1, 4))):
        *path, key = data.draw(st.sampled_from([place for place in places(document) if place]))
        holder = document
        for step in path:
            holder = holder[step]
        if data.draw(st.booleans()):
            holder[key] = data.draw(ODD_VALUES)
        else:
            del holder[key]
        if not document:
            break
    read(json.dumps(document).encode())
