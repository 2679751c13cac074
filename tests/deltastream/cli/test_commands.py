"""Commands over the files of a host that has stopped, and everything that is wrong usage."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from deltastream.cli._output import size


def test_version_and_help(deltastream):
    assert re.fullmatch(r"DeltaStream \d+\.\d+\.\d+\S*\n", deltastream("--version").stdout)
    shown = deltastream("--help").stdout
    commands = re.findall(r"^  ([a-z]+)  ", shown.partition("Commands:")[2], re.MULTILINE)
    assert " ".join(commands) == "run analyze status watch bus dlq record export user key config sim doctor"
    for command in commands:
        assert "Usage: deltastream " in deltastream(command, "--help").stdout


def test_help_imports_nothing_heavy(start):
    process = start("--help", env={"PYTHONPROFILEIMPORTTIME": "1", "PATH": ""})
    imported = process.communicate(timeout=20)[1]
    assert "click" in imported
    assert not re.search(r"\| +(trio|numpy|rich|msgspec|structlog|sqlite3)$", imported, re.MULTILINE)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["statsu"], "There is no command 'statsu'. Did you mean 'status'?"),
        (["run", "--feed", "tv"], "'tv' is not one of 'synthetic', 'replay'"),
        (["run", "--feed", "synthetic", "--replay", "x"], "exclude each other"),
        (["run", "--speed", "2"], "--speed is that of a replay"),
        (["run", "--replay", "/", "--session", "real"], "--session is that of the synthetic market"),
        (["bus", "tail", "-n", "1001"], "is not in the range"),
        (["dlq", "replay"], "Name the letters, or give --all."),
        (["dlq", "drop", "x", "--all"], "Name the letters, or give --all."),
        (["export", "ticks"], "Missing option '--product'"),
        (["export", "ticks", "--product", "A", "--start", "monday"], "is not a date or time in ISO 8601"),
        (["export", "ticks", "--product", "A", "--expiry", "2026-11-24"], "do not apply to ticks"),
    ],
)
def test_wrong_usage(deltastream, args: list[str], text: str):
    result = deltastream(*args, code=2)
    assert text in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "args", [["status"], ["bus", "stats"], ["export", "bars", "--product", "A"], ["run"]]
)
def test_a_wrong_configuration_is_told_whole(deltastream, monkeypatch: pytest.MonkeyPatch, args: list[str]):
    monkeypatch.setenv("DELTASTREAM_FEED", "tv")
    monkeypatch.setenv("DELTASTREAM_BUS__X", "1")
    assert deltastream(*args, code=2).stderr == (
        "The configuration is not valid:\n"
        "  feed: expected 'synthetic' or 'replay', got 'tv' (env DELTASTREAM_FEED)\n"
        "  bus.x: no such setting (env DELTASTREAM_BUS__X)\n"
    )


@pytest.mark.parametrize(
    "args",
    [["status"], ["bus", "tail"], ["bus", "stats"], ["dlq", "list"], ["export", "ticks", "--product", "A"]],
)
def test_without_host_and_data(deltastream, own_environment: Path, args: list[str]):
    assert deltastream.refusal(*args) == (
        f"No host is running on {own_environment}, and nothing has been stored there."
    )
    assert not own_environment.exists()


@pytest.mark.parametrize("args", [["run"], ["status"], ["bus", "stats"], ["dlq", "list"]])
def test_a_file_in_place_of_the_data_directory(deltastream, tmp_path: Path, args: list[str]):
    (tmp_path / "file").write_text("")
    told = deltastream.refusal(*args, "--data-dir", str(tmp_path / "file"))
    assert told.startswith(f"The data directory {tmp_path / 'file'} cannot be used: ")
    assert "is a file, not a directory" in told


@pytest.mark.parametrize("args", [["bus", "tail", "--follow"], ["record", "x"], ["status", "--watch"]])
def test_what_needs_a_running_host(deltastream, filled: Path, args: list[str]):
    assert deltastream.refusal(*args) == f"No host is running on {filled}."
    assert not Path("x").exists()


def test_status_of_files(deltastream, filled: Path):
    text = deltastream("status").stdout
    assert "no host is running" in text
    assert str(filled) in text
    assert re.search(r"broken +1 +0 +0 +0 +1 +0", text)
    plain = deltastream.json("status")
    assert (plain["running"], plain["tree"], plain["pid"]) == (False, None, None)
    assert plain["bytes_on_disk"]["store"] > 0
    assert plain["bytes_on_disk"]["journal"] == plain["bus"]["bytes_on_disk"]
    assert plain["bytes_on_disk"]["store"] == plain["store"]["bytes_on_disk"]


def test_bus_stats_of_files_tells_what_the_journal_consists_of(deltastream, filled: Path):
    plain = deltastream.json("bus", "stats")
    file, log = (filled / "journal.db").stat().st_size, plain["log_bytes"]
    assert plain["bytes_on_disk"] == file + log
    kept = sum(topic["bytes"] for topic in plain["topics"])
    assert 0 < kept < plain["bytes_on_disk"]
    end = f"{size(kept)} of messages kept, {size(file + log)} on disk, {size(log)} of it log"
    assert end in " ".join(deltastream("bus", "stats").stdout.split())


def test_bus_tail_of_files(deltastream, filled: Path):
    lines = deltastream("bus", "tail", "-n", "2", "market.tick.*").stdout.splitlines()
    assert [line.split()[2:4] for line in lines] == [
        ["market.tick.NIFTY", "#1199"],
        ["market.tick.NIFTY", "#1200"],
    ]
    line = deltastream("bus", "tail", "-n", "1", "--json", "enriched.*").stdout
    told = json.loads(line)
    assert (told["topic"], told["seq"], told["message"]["expiry"]) == (
        "enriched.chain.NIFTY",
        4,
        "2026-12-01",
    )


def test_bus_tail_shows_values_as_they_are(deltastream, filled: Path):
    def last(pattern: str) -> str:
        return deltastream("bus", "tail", "-n", "1", pattern).stdout.rstrip("\n").partition("  ")[2]

    assert last("market.tick.NIFTY").endswith("  price 27200")
    chain = deltastream("bus", "tail", "-n", "1", "enriched.*").stdout
    assert chain.startswith("2026-11-18 11:06:43.000Z  enriched.chain.NIFTY #4 ")
    assert chain.endswith("  NIFTY 2026-12-01, 2 strikes, spot 26000, ATM IV 12.00%, PCR 0.90\n")
    assert last("market.status.NIFTY").endswith("status closed, reason test, since 2026-11-18 11:06:40.000Z")


def test_bus_tail_names_patterns_that_match_nothing(deltastream, filled: Path):
    result = deltastream("bus", "tail", "-n", "1", "nothing.*", "market.tick.SPY", "market.tick")
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr == "No topic matches 'nothing.*'.\nNo topic matches 'market.tick'.\n"


def test_bus_stats_of_files(deltastream, filled: Path):
    assert re.search(r"market\.tick\.NIFTY +1 +1,200 ", deltastream("bus", "stats").stdout)
    assert {topic["topic"] for topic in deltastream.json("bus", "stats")["topics"]} == {
        *("market.tick.NIFTY", "market.tick.SPY", "market.status.NIFTY", "market.status.BANKNIFTY"),
        *("enriched.chain.NIFTY", "analytics.surface.NIFTY"),
    }


def test_dead_letters_of_files(deltastream, filled: Path):
    (letter,) = deltastream.json("dlq", "list")
    shown = deltastream("dlq", "list").stdout
    assert letter["id"] in shown
    assert "\x1b" not in shown
    assert deltastream.json("dlq", "list", "--group", "other") == []
    text = deltastream("dlq", "show", letter["id"]).stdout
    assert "ValueError" in text
    assert "\x1b" not in text
    assert 'product: "SPY"' in text
    assert deltastream.json("dlq", "show", letter["id"])["message"]["product"] == "SPY"
    assert deltastream.refusal("dlq", "show", "x") == "There is no dead letter 'x'."
    assert deltastream("dlq", "replay", letter["id"]).stdout == "1 dead letter replayed.\n"
    assert deltastream("dlq", "list").stdout == "No dead letters.\n"
    assert deltastream.json("dlq", "drop", "--all") == {"dropped": []}


def test_config_show(deltastream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DELTASTREAM_LOG__LEVEL", "debug")
    told = deltastream.json("config", "show", "--data-dir", "/x")
    assert told["log.level"] == {"value": "debug", "origin": "env", "name": "DELTASTREAM_LOG__LEVEL"}
    assert told["data_dir"] == {"value": "/x", "origin": "flag", "name": "--data-dir"}
    assert told["log.format"]["origin"] == "default"
    assert re.search(
        r"log\.level +\"debug\" +env DELTASTREAM_LOG__LEVEL", deltastream("config", "show").stdout
    )
    file = tmp_path / "c.toml"
    file.write_text(deltastream("config", "show", "--format", "toml").stdout)
    monkeypatch.delenv("DELTASTREAM_LOG__LEVEL")
    assert deltastream.json("config", "show", "--config", str(file))["log.level"]["value"] == "debug"


def test_doctor(deltastream, own_environment: Path):
    findings = {finding["check"]: finding for finding in deltastream.json("doctor")}
    assert (
        findings["python"]["verdict"]
        == findings["sqlite"]["verdict"]
        == findings["time zones"]["verdict"]
        == "ok"
    )
    assert findings["data directory"]["found"] == f"{own_environment}, to be made at the first start"
    assert findings["host"]["found"] == "not running"
    assert not own_environment.exists()
    assert "sqlite" in deltastream("doctor").stdout


def test_doctor_finds_what_would_fail(deltastream, tmp_path: Path):
    (tmp_path / "file").touch()
    findings = json.loads(
        deltastream("doctor", "--json", "--data-dir", str(tmp_path / "file"), code=1).stdout
    )
    bad = [finding for finding in findings if finding["verdict"] == "fail"]
    assert [finding["check"] for finding in bad] == ["data directory", "host"]
    assert bad[0]["remedy"]
    (tmp_path / "VERSION").write_text("99\n")
    findings = json.loads(deltastream("doctor", "--json", "--data-dir", str(tmp_path), code=1).stdout)
    assert [f["found"] for f in findings if f["verdict"] == "fail"] == ["data of a newer version (layout 99)"]


def test_data_of_a_newer_version_is_refused_by_every_command(deltastream, filled: Path):
    (filled / "VERSION").write_text("99\n")
    for args in (["status"], ["run"], ["dlq", "list"]):
        assert "written by a newer version of DeltaStream (layout 99" in deltastream.refusal(*args)


def test_defects_are_told_without_traceback_unless_asked_for(deltastream, monkeypatch: pytest.MonkeyPatch):
    import deltastream.cli.status as module

    def broken(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(module, "load_configuration", broken)
    assert deltastream.refusal("status") == (
        "A defect of DeltaStream: RuntimeError: boom (--debug shows where)."
    )
    monkeypatch.setenv("DELTASTREAM_DEBUG", "1")
    from click.testing import CliRunner

    from deltastream.cli import cli

    assert "Traceback" in CliRunner().invoke(cli, ["status"]).stderr
