"""`deltastream sim`: one seed, its trace, its shrinking, and campaigns."""

from __future__ import annotations

import inspect
import json
import re
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from deltastream.cli import _sim_campaign, _sim_case
from deltastream.sim import worker
from deltastream.sim.case import Case, examine, scenario_of
from deltastream.sim.plan import Plan
from deltastream.sim.promises import PROMISES

SHORT = ("--duration", "8s", "--readers", "1")
QUIET = (*SHORT, "--faults", "none")


def plant(whole):
    """A bug that bites odd seeds: faults 2 and 3 lose a message."""

    def examine(case, parts=()):
        def strikes(world):
            def strike(fault, detail):
                if world.scenario.seed % 2 and fault.id in (2, 3):
                    world.violate("lost_accepted", f"fault {fault.id} of {world.directory}\nand what it said")

            world.on_struck.append(strike)

        return whole(case, [*parts, strikes])

    return examine


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files are written that nobody has named."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Simulations with the bug, here and in workers; the file of a plan that it bites."""
    monkeypatch.setattr(_sim_case, "examine", plant(examine))
    install = "from deltastream.sim import worker\nworker.examine = plant(worker.examine)\n"
    (tmp_path / "planted.py").write_text(f"{inspect.getsource(plant)}\n{install}")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(worker, "_PROGRAM", worker._PROGRAM.replace("from", "import planted; from", 1))
    faults = [
        {"kind": "crash", "id": 1, "at": 1.5, "child": "host/pipeline/enricher"},
        {"kind": "kill", "id": 2, "at": 3.3},
        {"kind": "crash", "id": 3, "at": 5.5, "child": "host/pipeline/analytics"},
        {"kind": "reorder", "id": 4, "at": 6.5, "duration": 1.0, "window": 3},
    ]
    plan = tmp_path / "plan.json"
    plan.write_bytes(msgspec.json.encode({"faults": faults}))
    return plan


def test_a_seed_tells_what_ran_and_that_all_is_well(deltastream):
    text = deltastream("sim", "--seed", "3", *QUIET).stdout
    rows = dict(re.findall(r"^(\w+) +(.*?) *$", text, re.MULTILINE))
    assert rows["scenario"].startswith("seed 3: ")
    assert rows["plan"] == "nothing goes wrong"
    assert rows["faults"] == "0 planned, 0 struck: none"
    assert re.fullmatch(r"\d+ accepted, \d+ enriched, \d+ stored, 0 gaps told to readers", rows["messages"])
    assert rows["process"] == "started 1 time: 0 processes killed, 0 gave up"
    assert rows["checked"] == f"{len(PROMISES)} invariants, each second and at the end"
    assert re.fullmatch("[0-9a-f]{64}", rows["digest"])
    assert re.fullmatch(r"\d+\.\d s for 8\.\d s of virtual time, [\d,]+ times as fast", rows["took"])
    assert text.endswith("Every promise was kept.\n")


def test_a_seed_for_machines(deltastream):
    told = deltastream.json("sim", "--seed", "3", *QUIET)
    case = Case.of(scenario_of(3, 8.0, 1, "none"))
    verdict = examine(case)
    assert (told["ok"], told["seed"], told["digest"]) == (True, 3, verdict.digest)
    assert told["command"] == "deltastream sim --seed 3 --duration 8s --readers 1 --faults none"
    assert msgspec.convert(told["scenario"], type(case.scenario)) == case.scenario
    assert told["plan"] == {"faults": []}
    assert told["counts"]["accepted"] == verdict.counts.accepted > 10
    again = deltastream.json("sim", "--seed", "3", *QUIET)
    assert again | {"real_s": 0} == told | {"real_s": 0}


def test_without_a_seed_a_fresh_one_is_drawn(deltastream):
    first, second = (deltastream.json("sim", *QUIET)["seed"] for _ in range(2))
    assert first != second


def test_the_reproducing_line_reproduces(deltastream, planted: Path):
    result = deltastream("sim", "--seed", "7", *SHORT, "--plan", str(planted), code=1)
    assert "lost_accepted: fault 2 of ~\n                and what it said\n" in result.stdout
    assert f"promised: {PROMISES['lost_accepted']}\n" in result.stdout
    line = result.stdout.splitlines()[-1]
    assert line == "Again: deltastream sim --plan sim-failures/7.json"
    again = deltastream(*line.split()[2:], code=1).stdout
    assert re.search("digest.*", again)[0] == re.search("digest.*", result.stdout)[0]
    assert again.splitlines()[-1] == line


def test_a_seed_that_fails_is_had_again_by_its_options(deltastream, planted: Path, monkeypatch):
    drawn = Plan.read(planted)
    monkeypatch.setattr("deltastream.sim.case.draw", lambda scenario: drawn)
    result = deltastream("sim", "--seed", "7", *SHORT, code=1)
    assert result.stdout.splitlines()[-1] == "Again: deltastream sim --seed 7 --duration 8s --readers 1"
    assert not Path("sim-failures").exists()


def test_a_trace_goes_to_a_file_or_to_the_terminal(deltastream, somewhere: Path):
    result = deltastream("sim", "--seed", "3", *QUIET, "--trace", "trace.txt")
    lines = (somewhere / "trace.txt").read_text().splitlines()
    assert lines[0].startswith("seed 3: ")
    assert lines[-1].endswith("the end")
    both = deltastream("sim", "--seed", "3", *QUIET, "--trace", "-").stdout
    assert both.startswith("\n".join(lines))
    assert both.endswith("Every promise was kept.\n")
    digest = re.search("digest.*", result.stdout)
    assert digest
    assert digest[0] in both


def test_a_trace_that_cannot_be_written(deltastream):
    told = deltastream.refusal("sim", "--seed", "3", *QUIET, "--trace", "no/such/directory")
    assert told == "no/such/directory cannot be written: No such file or directory."


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_trace_on_a_full_disk_does_not_disturb_what_it_shows(deltastream):
    told = deltastream.refusal("sim", "--seed", "3", "--duration", "40s", "--trace", "/dev/full")
    assert told == "/dev/full cannot be written: No space left on device."


def test_shrinking(deltastream, planted: Path, somewhere: Path):
    result = deltastream(
        "sim", "--seed", "7", *SHORT, "--plan", str(planted), "--shrink", "--trace", "trace.txt", code=1
    )
    file = Path("sim-failures/7-lost_accepted.json")
    case, whole = Case.read(file, scenario_of(1))
    assert whole
    assert [fault.id for fault in case.plan.faults] in ([2], [3])
    assert len(case.scenario.products) == 1
    assert case.scenario.readers == 0
    assert case.scenario.duration_s < 8
    assert re.search(
        rf"\nReduced in \d+ runs to 1 fault, 1 product, 0 readers, [567] s: {file}\n", result.stdout
    )
    assert result.stdout.splitlines()[-1] == f"Again: deltastream sim --plan {file}"
    assert "Shrinking lost_accepted: " in result.stderr
    again = deltastream("sim", "--plan", str(file), code=1).stdout
    assert re.findall("digest.*", again) == re.findall("digest.*", result.stdout)[1:]
    trace = (somewhere / "trace.txt").read_text()
    assert "lost_accepted" in trace
    assert len(re.findall("planned at", trace)) == 1


def test_shrinking_for_machines(deltastream, planted: Path):
    args = ("sim", "--seed", "7", *SHORT, "--plan", str(planted), "--shrink", "--json")
    told = json.loads(deltastream(*args, code=1).stdout)
    assert told["command"] == "deltastream sim --plan sim-failures/7-lost_accepted.json"
    assert len(told["plan"]["faults"]) == 1
    again = json.loads(deltastream(*told["command"].split()[1:], "--json", code=1).stdout)
    assert again | {"real_s": 0} == told | {"real_s": 0}


def test_there_is_nothing_to_shrink_in_a_good_seed(deltastream):
    result = deltastream("sim", "--seed", "3", *QUIET, "--shrink")
    assert "There is nothing to shrink.\n" in result.stderr
    assert result.stdout.endswith("Every promise was kept.\n")


def test_a_campaign(deltastream):
    text = deltastream("sim", "--seeds", "1..4", *QUIET, "--jobs", "2").stdout
    rows = dict(re.findall(r"^(\w+) +(.*?) *$", text, re.MULTILINE))
    assert rows["seeds"] == "4, from 1 to 4"
    assert re.fullmatch(
        r"3[2-9]\.\d s simulated in \d+\.\d s on 2 processes, [\d,]+ times as fast; [\d,]+ seeds a minute",
        rows["time"],
    )
    assert rows["digests"] == "4 different"
    assert re.fullmatch(r"seed [1-4]: \d+\.\d s", rows["slowest"])
    assert text.endswith("Every promise was kept.\n")


def test_two_campaigns_laid_side_by_side(deltastream):
    def seeds(*more: str):
        told = deltastream.json("sim", "--seeds", "1..4", *QUIET, *more)
        return [row | {"real_s": 0} for row in told["seeds"]]

    first = seeds("--jobs", "1")
    assert first == seeds("--jobs", "2")
    assert [row["seed"] for row in first] == [1, 2, 3, 4]
    assert [row["digest"] for row in first] == [
        deltastream.json("sim", "--seed", str(seed), *QUIET)["digest"] for seed in (1, 2, 3, 4)
    ]


def test_failures_of_a_campaign_are_told_and_saved(deltastream, planted: Path, monkeypatch):
    drawn = Plan.read(planted)
    monkeypatch.setattr("deltastream.sim.case.draw", lambda scenario: drawn)
    result = deltastream("sim", "--seeds", "1..3", *SHORT, "--jobs", "2", "--save", "found", code=1)
    assert result.stdout.endswith(
        "2 seeds failed:\n"
        "  deltastream sim --seed 1 --duration 8s --readers 1  lost_accepted (found/1.json)\n"
        "  deltastream sim --seed 3 --duration 8s --readers 1  lost_accepted (found/3.json)\n"
    )
    assert "seed 3 fails: " in result.stderr
    assert sorted(path.name for path in Path("found").iterdir()) == ["1.json", "3.json"]
    assert Case.read(Path("found/3.json"), scenario_of(9))[0].plan == drawn
    told = json.loads(deltastream("sim", "--seeds", "3..3", *SHORT, "--json", code=1).stdout)
    (failure,) = told["failures"]
    assert (failure["seed"], failure["file"]) == (3, "sim-failures/3.json")
    assert failure["violations"][0]["invariant"] == "lost_accepted"


def test_a_campaign_for_a_time_begins_at_a_seed(deltastream):
    told = deltastream.json("sim", "--for", "0.2s", "--seed", "40", *QUIET, "--jobs", "1")
    seeds = [row["seed"] for row in told["seeds"]]
    assert seeds == list(range(40, 40 + len(seeds)))
    assert seeds
    assert told["real_s"] >= 0.2
    fresh = deltastream.json("sim", "--for", "0.1s", *QUIET, "--jobs", "1")
    assert fresh["seeds"][0]["seed"] != 40


def test_progress_where_there_is_no_terminal_is_a_line_now_and_then(deltastream, monkeypatch):
    monkeypatch.setattr(_sim_campaign, "_LINE_S", 0.1)
    err = deltastream("sim", "--for", "0.3s", *QUIET, "--jobs", "1").stderr
    assert re.search(r"^ *\d+%  \d+ seeds?, \S.* simulated$", err, re.MULTILINE)
    assert "\x1b" not in err


def workers(pid: int) -> list[Path]:
    """The worker processes that a process has started, from whatever thread."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [Path("/proc", child) for child in children.read_text().split()]
    return [path for path in found if b"deltastream.sim.worker" in (path / "cmdline").read_bytes()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_campaign_with_what_was_done(start, number: signal.Signals):
    process = start("sim", "--for", "10m", *QUIET, "--jobs", "1", "--json", cwd=Path(__file__).parents[3])
    end = time.monotonic() + 30
    while not (there := workers(process.pid)):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    told = json.loads(out)
    assert (told["interrupted"], told["ok"], process.returncode) == (True, True, 0)
    assert err == ""
    assert not there[0].exists()


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--seed", "-1"], "-1 is not in the range"),
        (["--seed", str(2**63)], "is not in the range"),
        (["--duration", "soon"], "'soon' is not a span of time such as 60s, 10m or 2h, or session."),
        (["--duration", "0s"], "'0s' is not a span of time"),
        (["--for", "session"], "'session' is not a span of time such as 60s, 10m or 2h."),
        (["--seeds", "9..1"], "'9..1' is not a range of seeds such as 1..500."),
        (["--seeds", "all"], "'all' is not a range of seeds"),
        (["--faults", "worse"], "'worse' is not one of 'none', 'mild'"),
        (["--seed", "1", "--seeds", "1..2"], "--seed and --seeds exclude each other"),
        (["--seeds", "1..2", "--shrink"], "are of one seed, not of a campaign"),
        (["--for", "1s", "--trace", "-"], "are of one seed, not of a campaign"),
        (["--seed", "1", "--jobs", "2"], "--jobs is of a campaign"),
        (["--seed", "1", "--json", "--trace", "-"], "both write to standard output"),
    ],
)
def test_wrong_usage(deltastream, args: list[str], text: str):
    result = deltastream("sim", *args, code=2)
    assert text in result.stderr
    assert result.stdout == ""


def test_a_file_tells_all_or_only_the_faults(deltastream, somewhere: Path):
    case = Case.of(scenario_of(5, 8.0, 1, "none"))
    (somewhere / "case.json").write_text(case.to_json())
    (somewhere / "plan.json").write_text(case.plan.to_json())
    result = deltastream("sim", "--plan", "case.json", "--readers", "3", code=2)
    assert "case.json tells what is simulated: give no seed, duration, readers or faults." in result.stderr
    result = deltastream("sim", "--plan", "plan.json", code=2)
    assert "plan.json holds faults alone: give the --seed of what they strike." in result.stderr
    first = deltastream.json("sim", "--plan", "case.json")
    second = deltastream.json("sim", "--plan", "plan.json", "--seed", "5", *QUIET)
    assert first["digest"] == second["digest"] == examine(case).digest
    assert deltastream.refusal("sim", "--plan", "none.json").startswith("none.json cannot be read: ")
