"""The configuration: order of its layers, environment variables, files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deltastream.cli.config import toml
from deltastream.errors import ConfigurationError
from deltastream.host.config import Configuration, Flag, load

HOME = {"HOME": "/home/u"}


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "deltastream.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def problems(file: Path | None = None, flags: tuple[Flag, ...] = (), **environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(file, flags=flags, environ=HOME | environ)
    return caught.value.problems


def origin(configuration: Configuration, path: str) -> str:
    return str(configuration.origins[path])


def test_defaults_then_file_then_environment_then_flags(write):
    file = write('feed = "replay"\n[bus]\nmax_age_s = 1\nmax_pending_bytes = 1\ncache_bytes = 1\n')
    loaded = load(
        file,
        environ=HOME | {"DELTASTREAM_BUS__MAX_PENDING_BYTES": "2", "DELTASTREAM_BUS__CACHE_BYTES": "2"},
        flags=(Flag("--cache", "bus.cache_bytes", "3"),),
    )
    bus = loaded.settings.bus
    assert (bus.durability, bus.max_age_s, bus.max_pending_bytes, bus.cache_bytes) == ("process", 1.0, 2, 3)
    assert loaded.settings.feed == "replay"
    assert origin(loaded, "bus.durability") == "default"
    assert origin(loaded, "bus.max_age_s") == f"file {file}"
    assert origin(loaded, "bus.max_pending_bytes") == "env DELTASTREAM_BUS__MAX_PENDING_BYTES"
    assert origin(loaded, "bus.cache_bytes") == "flag --cache"


def test_every_setting_has_an_origin():
    rows = load(environ=HOME).rows()
    assert len(rows) > 25
    assert {str(where) for _, _, where in rows} == {"default"}


def test_problems_of_all_layers_come_together(write):
    file = write("[bus]\nmax_byte = 1\n[store]\nreaders = 0\n")
    assert problems(
        file,
        flags=(Flag("--speed", "replay.speed", "0"),),
        DELTASTREAM_FEED="tv",
        DELTASTREAM_BUS__RETRY__BASE_S="-1",
    ) == [
        "feed: expected 'synthetic' or 'replay', got 'tv' (env DELTASTREAM_FEED)",
        f"bus.max_byte: no such setting (file {file}); did you mean bus.max_bytes?",
        "bus.retry.base_s: expected `float` > 0.0, got '-1' (env DELTASTREAM_BUS__RETRY__BASE_S)",
        f"store.readers: expected `int` >= 1, got 0 (file {file})",
        "replay.speed: expected 'max' or `float` > 0.0, got '0' (flag --speed)",
    ]


def test_an_unreadable_file_does_not_hide_problems_of_the_environment(tmp_path: Path):
    missing = tmp_path / "no.toml"
    assert problems(missing, DELTASTREAM_FEED="tv") == [
        f"{missing}: cannot be read: No such file or directory",
        "feed: expected 'synthetic' or 'replay', got 'tv' (env DELTASTREAM_FEED)",
    ]


def test_the_file_may_be_named_by_the_environment(write):
    file = write('feed = "replay"')
    assert load(environ=HOME | {"DELTASTREAM_CONFIG": str(file)}).settings.feed == "replay"
    assert load(environ=HOME | {"DELTASTREAM_CONFIG": ""}).settings.feed == "synthetic"


def test_keys_of_free_tables_keep_their_spelling():
    loaded = load(environ=HOME | {"DELTASTREAM_ANALYTICS__RATES__EUR": "0.02"})
    assert loaded.settings.analytics.rates["EUR"] == 0.02
    assert set(loaded.settings.analytics.rates) > {"EUR", "INR"}


def test_lists_in_the_environment():
    assert load(
        environ=HOME | {"DELTASTREAM_SYNTHETIC__PRODUCTS": "NIFTY,SPY"}
    ).settings.synthetic.products == (
        "NIFTY",
        "SPY",
    )


def test_unknown_variables_are_refused_with_the_one_that_was_meant():
    assert problems(DELTASTREAM_SYNTHETIC__SEEED="1") == [
        "synthetic.seeed: no such setting (env DELTASTREAM_SYNTHETIC__SEEED); did you mean synthetic.seed?"
    ]


def test_what_would_be_passed_over_in_silence_is_refused(write):
    path = write(
        '[synthetic]\nproducts = ["NIFTY", "XYZ"]\n'
        "[analytics.rates]\ninr = 0.05\n"
        '[sockets]\nslow = "disconect"\n'
    )
    found = problems(path)
    assert found[0].startswith("synthetic.products: no synthetic market for XYZ; there are NIFTY, ")
    assert found[0].endswith(f" (file {path})")
    assert found[1:] == [
        "analytics: rates are by currencies in capitals: INR, not inr",
        "sockets.slow: expected 'conflate' or 'disconnect' (did you mean 'disconnect'?), got 'disconect'"
        f" (file {path})",
    ]


def test_variables_that_are_not_settings_are_left_alone():
    links = {
        "DELTASTREAM_SERVICE_HOST": "10.0.0.1",
        "DELTASTREAM_SERVICE_PORT": "80",
        "DELTASTREAM_SERVICE_PORT_HTTP": "80",
        "DELTASTREAM_PORT": "tcp://10.0.0.1:80",
        "DELTASTREAM_PORT_80_TCP_ADDR": "10.0.0.1",
        "DELTASTREAM_DEBUG": "1",
        "DELTASTREAM_FEED": "",
    }
    assert load(environ=HOME | links).settings == load(environ=HOME).settings


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (HOME, "/home/u/.local/share/deltastream"),
        (HOME | {"XDG_DATA_HOME": "/srv/data"}, "/srv/data/deltastream"),
        (HOME | {"XDG_DATA_HOME": "relative"}, "/home/u/.local/share/deltastream"),
        (HOME | {"DELTASTREAM_DATA_DIR": "/srv/../x"}, "/x"),
    ],
)
def test_where_the_data_directory_is(environ: dict[str, str], expected: str):
    assert load(environ=environ).settings.data_dir == expected


def test_a_home_in_the_path_is_expanded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/v")
    assert load(environ={"DELTASTREAM_DATA_DIR": "~/x"}).settings.data_dir == "/home/v/x"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a = ", "not TOML: "),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b"a = " + b"[" * 5000, "not TOML: "),
        (b"a = 1" + b"0" * 5000, "not TOML: "),
        (b"#" * (1 << 20) + b"#", "larger than 1048576 bytes"),
    ],
)
def test_files_that_are_no_configuration(write, content: bytes, reason: str):
    (problem,) = problems(write(content))
    assert reason in problem


def test_a_directory_is_no_configuration(tmp_path: Path):
    assert problems(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]


def test_a_name_that_cannot_be_a_file():
    assert problems(Path("a\0b"))[0].startswith("'a\\x00b': not a file name")


def test_what_is_shown_as_toml_loads_as_the_same(write):
    shown = load(
        environ=HOME
        | {"DELTASTREAM_ANALYTICS__RATES__odd key": "0.1", "DELTASTREAM_REPLAY__PATHS": 'a "b",\x7f\\é'}
    )
    again = load(write(toml(shown)), environ=HOME)
    assert again.settings == shown.settings


TOML_TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
TOML_VALUE = st.recursive(
    st.booleans() | st.integers() | st.floats() | TOML_TEXT | st.dates() | st.times() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)
SECTION = st.sampled_from(
    [
        "",
        "bus",
        "bus.retry",
        "store",
        "log",
        "synthetic",
        "replay",
        "analytics",
        "analytics.rates",
        "feed",
        "nope",
    ]
)
KEY = st.sampled_from(
    ["max_bytes", "priorities", "paths", "speed", "seed", "level", "products", "INR", "feed", "data_dir"]
)


def _toml_literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_literal, value)) + "]"
    if isinstance(value, float | int):
        return repr(value)
    return value.isoformat()  # type: ignore[attr-defined]  # dates only


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(SECTION, KEY, TOML_VALUE), max_size=4, unique_by=lambda entry: entry[0]))
def test_any_toml_is_a_configuration_or_has_problems(write, entries: list[tuple[str, str, object]]):
    lines = [
        f"{f'[{section}]' if section else ''}\n{key} = {_toml_literal(value)}"
        for section, key, value in entries
    ]
    lines.sort(key=lambda line: line.startswith("["))
    try:
        loaded = load(write("\n".join(lines)), environ=HOME)
    except ConfigurationError as error:
        told = error.problems
    else:
        told = [path for path, _, _ in loaded.rows()]
    assert told


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_configuration_or_have_problems(write, content: bytes):
    try:
        load(write(content), environ=HOME)
    except ConfigurationError as error:
        told = error.problems
    else:
        told = ["valid"]
    assert told
