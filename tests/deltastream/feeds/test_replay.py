"""The replay of files of exchanges' websites."""

import shutil
from pathlib import Path

import msgspec
import pytest
import trio

from deltastream.errors import ConfigurationError
from deltastream.feeds.protocol import Delivered, Refusal
from deltastream.feeds.replay import ReplayProvider, ReplaySettings, missing
from deltastream.messages import OptionChain, UnderlyingTick

SAMPLES = Path(__file__).parent / "recorded" / "samples"
START = 1_800_000_000 * 10**9
JULY_12 = 1_657_641_300 * 10**9


def stamped(path, stamp):
    """The NSE sample taken at another time."""
    text = (SAMPLES / "nse_legacy.json").read_text()
    path.write_text(text.replace("05-Dec-2025 13:01:51", stamp))
    return path


def kinds(got):
    return [type(item.message).__name__ if isinstance(item, Delivered) else item.reason for _, item in got]


async def test_a_file_is_a_tick_and_a_chain_per_expiry(collect, autojump_clock):
    got = await collect(SAMPLES / "nse_legacy.json")
    assert kinds(got) == ["UnderlyingTick", "OptionChain", "OptionChain"]
    assert [item.message.expiry for _, item in got[1:]] == ["2025-12-09", "2025-12-30"]
    assert {item.message.ts_event for _, item in got} == {1_764_919_911 * 10**9}
    assert {item.message.ts_recv for _, item in got} == {START}


async def test_keys_are_of_the_content_not_of_the_name(collect, tmp_path, autojump_clock):
    copy = tmp_path / "other.name"
    shutil.copy(SAMPLES / "nse_legacy.json", copy)
    first, again = await collect(SAMPLES / "nse_legacy.json"), await collect(copy)
    keys = [item.key for _, item in first]
    assert keys == [item.key for _, item in again]
    assert len(set(keys)) == 3
    other = await collect(stamped(tmp_path / "later", "05-Dec-2025 13:04:51"))
    assert not set(keys) & {item.key for _, item in other}


@pytest.mark.parametrize(("speed", "wait"), [(1.0, 180.0), (10.0, 18.0), (0.5, 360.0), ("max", 0.0)])
async def test_pace(collect, tmp_path, autojump_clock, speed, wait):
    stamped(tmp_path / "b", "05-Dec-2025 13:01:51")
    stamped(tmp_path / "a", "05-Dec-2025 13:04:51")
    got = await collect(tmp_path, speed=speed)
    assert [round(at, 6) for at, _ in got] == [0.0] * 3 + [wait] * 3
    assert [item.message.ts_event for _, item in got] == sorted(item.message.ts_event for _, item in got)
    assert [item.message.ts_recv for _, item in got] == [START] * 3 + [START + round(wait * 1e9)] * 3


async def test_files_of_one_instant_come_in_order_of_their_names(collect, tmp_path, autojump_clock):
    stamped(tmp_path / "fetched_1129", "05-Dec-2025 15:30:00")
    revised = stamped(tmp_path / "fetched_1402", "05-Dec-2025 15:30:00")
    revised.write_text(revised.read_text().replace("20013.4", "20020.5"))
    prices = [i.message.price for _, i in await collect(tmp_path) if isinstance(i.message, UnderlyingTick)]
    assert prices == [20013.4, 20020.5]


async def test_a_file_without_a_time_happens_now_and_first(collect, autojump_clock):
    got = await collect(SAMPLES / "cboe_english.csv", SAMPLES / "cboe_unreadable_date.csv", speed=1.0)
    untimed = [item.message for _, item in got[:3]]
    assert all(isinstance(message, OptionChain) for message in untimed)
    assert {message.ts_event for message in untimed} == {START}
    assert all("timestamp_unknown" in message.flags for message in untimed)
    assert got[3][1].message.ts_event == JULY_12


async def test_refusals_are_told_and_the_rest_goes_on(collect, tmp_path, autojump_clock):
    stamped(tmp_path / "c.json", "05-Dec-2025 13:01:51")
    (tmp_path / "a.html").write_text("<html>")
    damaged = stamped(tmp_path / "b.json", "05-Dec-2025 12:00:00")
    damaged.write_text(damaged.read_text().replace('"bidprice": 46', '"bidprice": -46'))
    cut = stamped(tmp_path / "d.json", "05-Dec-2025 14:00:00")
    cut.write_text(cut.read_text()[:-100])
    got = await collect(tmp_path)
    assert kinds(got) == [
        "html",
        "negative_price",
        *["UnderlyingTick", "OptionChain", "OptionChain"] * 2,
        "truncated",
    ]
    refusal = got[1][1]
    assert isinstance(refusal, Refusal)
    assert (refusal.source, refusal.row) == (str(tmp_path / "b.json"), 4)


async def test_a_slow_consumer_delays_the_replay_and_loses_nothing(replay_seams, tmp_path, autojump_clock):
    for minute in range(4):
        stamped(tmp_path / str(minute), f"05-Dec-2025 13:0{minute}:00")
    settings = ReplaySettings(paths=(str(tmp_path),), speed=1.0)
    times = []
    async with ReplayProvider(settings, replay_seams).stream() as items:
        async for item in items:
            times.append((trio.current_time(), item.message.ts_event))
            await trio.sleep(25)
    assert len(times) == 12
    assert [ts for _, ts in times] == sorted(ts for _, ts in times)


async def test_cancelled_in_a_wait_it_begins_anew(replay_seams, tmp_path, autojump_clock):
    stamped(tmp_path / "a", "05-Dec-2025 13:00:00")
    stamped(tmp_path / "b", "05-Dec-2025 14:00:00")
    provider = ReplayProvider(ReplaySettings(paths=(str(tmp_path),)), replay_seams)
    for _ in range(2):
        got = []
        with trio.move_on_after(60):
            async with provider.stream() as items:
                async for item in items:
                    got.append(item.key)  # noqa: PERF401  what came before the cancellation counts
        assert len(got) == 3


async def test_nothing_to_replay_is_a_sentence(collect, tmp_path, autojump_clock):
    with pytest.raises(ConfigurationError, match=r"replay\.paths"):
        await collect()
    with pytest.raises(ConfigurationError, match="no such file"):
        await collect(tmp_path / "missing")
    assert [(item.reason, item.detail) for _, item in await collect(tmp_path)] == [
        ("empty", "holds no files")
    ]


def test_what_is_missing_is_said_for_every_path(tmp_path):
    assert missing([str(tmp_path)]) == []
    assert missing([]) == ["replay.paths: names no file to replay (--replay PATH)"]
    problems = missing([str(tmp_path / "a"), "\0", str(tmp_path), str(tmp_path / "b")])
    assert [problem.rpartition(": ")[2] for problem in problems] == [
        "there is no such file or directory",
        "embedded null byte",
        "there is no such file or directory",
    ]


async def test_files_and_rows_are_counted_anew_with_every_pass(replay_seams, tmp_path, autojump_clock):
    (tmp_path / "a.html").write_text("<html>")
    damaged = stamped(tmp_path / "b.json", "05-Dec-2025 12:00:00")
    damaged.write_text(damaged.read_text().replace('"bidprice": 46', '"bidprice": -46'))
    cut = stamped(tmp_path / "d.json", "05-Dec-2025 14:00:00")
    cut.write_text(cut.read_text()[:-100])
    provider = ReplayProvider(ReplaySettings(paths=(str(tmp_path),), speed="max"), replay_seams)
    for _ in range(2):
        async with provider.stream() as items:
            async for _ in items:
                pass
        tally = provider.tally
        assert (tally.files, tally.rows) == (3, {"negative_price": 1})
        assert [Path(refusal.partition(": ")[0]).name for refusal in tally.refused] == ["a.html", "d.json"]


async def test_a_file_named_twice_is_replayed_once(collect, autojump_clock):
    assert len(await collect(SAMPLES / "nse_legacy.json", SAMPLES / "nse_legacy.json")) == 3


async def test_a_format_can_be_demanded(collect, autojump_clock):
    assert kinds(await collect(SAMPLES / "nse_legacy.json", format="cboe")) == ["unknown_format"]


@pytest.mark.parametrize("speed", [0, -1, "fast", float("nan"), float("inf"), None])
def test_impossible_speeds(speed):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"speed": speed}, ReplaySettings)


@pytest.mark.parametrize("speed", [1, 0.25, 1000.0, "max"])
def test_possible_speeds(speed):
    assert msgspec.convert({"speed": speed, "paths": ["a"]}, ReplaySettings).speed == speed
