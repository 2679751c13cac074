"""A replay at full speed ends the host by itself: always, and not before all has taken effect."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from deltastream.errors import ConfigurationError, DeltaStreamError, StoreUnavailable
from deltastream.host.config import PIPELINE, Flag, load
from deltastream.host.tree import Host
from deltastream.storage import SqliteRepository
from supervisors import StartFailed

SAMPLES = Path(__file__).parents[1] / "feeds" / "recorded" / "samples"
START = 1_795_147_200 * 10**9
EVER = {"start": 0, "end": 2**62}


class LateStore(SqliteRepository):
    """A store whose positions cannot be read at first."""

    refusals = 4

    async def positions(self, group):
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable("not yet")
        return await super().positions(group)


class LateHost(Host):
    def make_store(self) -> SqliteRepository:
        return LateStore(self.data_dir.store, self.settings.store, self.seams)


@pytest.fixture
def make_host(tmp_path, virtual_seams):
    """Makes a host that replays files at full speed, with a data directory of its own name."""

    def make(*paths: Path, name: str = "data", host_type: type[Host] = Host) -> Host:
        values = {
            "data_dir": str(tmp_path / name),
            "actors": PIPELINE,
            "feed": "replay",
            "replay.paths": [str(path) for path in paths],
            "replay.speed": "max",
        }
        flags = tuple(Flag("--test", path, value, lax=False) for path, value in values.items())
        return host_type(load(flags=flags, environ={}).settings, virtual_seams(START))

    return make


async def effects(host: Host) -> tuple[int, int]:
    """Accepted market chains, and chains in the store, after the host has ended."""
    async with SqliteRepository(host.data_dir.store, host.settings.store, host.seams) as store:
        stored = 0
        for product in await store.products():
            for series in await store.expiries(product.product):
                page = await store.metrics(
                    product.product, root=series.root, expiry=series.expiry, limit=5000, **EVER
                )
                stored += len(page.items)
    return host.feed.accepted, stored


@pytest.mark.parametrize("host_type", [Host, LateHost])
async def test_it_ends_when_all_has_taken_effect(make_host, autojump_clock, host_type):
    host = make_host(*sorted(SAMPLES.iterdir()), host_type=host_type)
    with trio.fail_after(120):
        await host.run()
    accepted, stored = await effects(host)
    assert accepted > stored > 0


async def test_the_same_again_adds_nothing(make_host, autojump_clock):
    files = [path for path in sorted(SAMPLES.iterdir()) if path.name.startswith("nse")]
    first = make_host(*files)
    with trio.fail_after(120):
        await first.run()
    before = await effects(first)
    second = make_host(*files)
    with trio.fail_after(120):
        await second.run()
    assert (await effects(second))[1] == before[1] > 0


@pytest.mark.parametrize("content", ["", "no chain at all", '{"records": {}}'])
async def test_it_ends_when_every_file_is_refused(tmp_path, make_host, autojump_clock, content):
    file = tmp_path / "bad.json"
    file.write_text(content)
    for number in range(5):
        host = make_host(file, name=f"data{number}")
        with trio.fail_after(120), pytest.raises(DeltaStreamError, match="Nothing was replayed; 1 of 1 file"):
            await host.run()
        assert host.feed.refused
        assert host.feed.accepted == 0


@pytest.fixture
def informed():
    """Log lines from info on can be captured."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    yield
    structlog.configure(**before)


async def test_it_is_summed_up(informed, tmp_path, make_host, autojump_clock):
    bad = tmp_path / "bad.json"
    bad.write_text("no chain at all")
    good = SAMPLES / "nse_legacy.json"
    for known in (0, 3):
        host = make_host(bad, good)
        with trio.fail_after(120), capture_logs() as lines:
            await host.run()
        assert host.replayed is not None
        told = [line for line in lines if line["event"] == "replay_finished"]
        assert [line | {"first_refusal": ""} for line in told] == [
            {
                "event": "replay_finished",
                "log_level": "info",
                "files_read": 1,
                "files_refused": 1,
                "accepted": 3,
                "known": known,
                "rows_refused": {},
                "first_refusal": "",
            }
        ]


async def test_a_start_is_told_in_one_line(informed, make_host, autojump_clock):
    for messages in (0, 3):
        host = make_host(SAMPLES / "nse_legacy.json")
        with trio.fail_after(120), capture_logs() as lines:
            await host.run()
        (line,) = [line for line in lines if line["event"] == "started" and line["log_level"] == "info"]
        assert (line["feed"], line["data_dir"]) == ("replay", str(host.data_dir.path))
        assert host.began is not None
        market = sum(end.seq for topic, end in host.began.items() if topic.startswith("market."))
        assert (market, line["messages"] >= messages, "epoch" in line) == (messages, True, bool(messages))


async def test_an_expected_failure_to_start_is_one_sentence_and_no_log_line(
    informed, make_host, autojump_clock
):
    host = make_host(Path("/nowhere"))
    with capture_logs() as lines, pytest.raises(ConfigurationError, match="/nowhere"):
        await host.run()
    assert [line for line in lines if line["log_level"] != "debug"] == []


async def test_a_defect_at_the_start_is_logged_with_its_traceback(informed, make_host, autojump_clock):
    class Broken(Host):
        async def _feed(self, ctx, /, *, task_status):
            raise ZeroDivisionError

    host = make_host(SAMPLES / "nse_legacy.json", host_type=Broken)
    with capture_logs() as lines, pytest.raises(StartFailed):
        await host.run()
    (line,) = [line for line in lines if line["log_level"] != "debug"]
    assert (line["event"], type(line["exc_info"])) == ("start_failed", StartFailed)
