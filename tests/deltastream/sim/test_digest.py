"""The digest of a simulation: of the seed alone, not of the process, nor of the order of its hashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from deltastream.sim.plan import draw, kind_of
from deltastream.sim.scenario import Scenario

PROGRAM = """
import json, sys
import msgspec
from deltastream.sim import Scenario
from deltastream.sim.case import Case, examine

def verdict(seed, profile, duration_s):
    scenario = msgspec.structs.replace(Scenario.short(seed, profile), duration_s=duration_s)
    return msgspec.to_builtins(examine(Case.of(scenario))) | {"hash": hash("order")}

profile, duration_s, seeds = json.loads(sys.argv[1])
print(json.dumps([verdict(seed, profile, duration_s) for seed in seeds]))
"""

DEATHS = ("kill", "kill_at_statement", "torn_commit")
DAMAGE = ("flipped_bytes", "power_cut", "old_copy", "ruined_store")


def begun(seeds, hash_seed, profile="short", duration_s=60.0):
    """A process that simulates these seeds."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps([profile, duration_s, list(seeds)])],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    """What it has found: everything that a verdict says, by seed; and a hash that only it has."""
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    verdicts = json.loads(output)
    hashes = {verdict.pop("hash") for verdict in verdicts}
    return {verdict["scenario"]["seed"]: verdict for verdict in verdicts}, hashes


def twice(seeds):
    """Verdicts of two processes, which take the seeds in opposite orders and hash differently."""
    processes = begun(seeds, 1), begun(list(seeds)[::-1], 2)
    (one, its), (other, others) = map(ended, processes)
    assert its != others
    return one, other


def with_any(kinds, count):
    """The first seeds whose plans have a fault of these kinds."""
    found = []
    seed = 0
    while len(found) < count:
        if any(kind_of(fault) in kinds for fault in draw(Scenario.short(seed)).faults):
            found.append(seed)
        seed += 1
    return found


def struck(verdicts, kinds):
    return {kind for verdict in verdicts.values() for kind in verdict["counts"]["struck"]}.intersection(kinds)


def test_two_processes_agree_on_kills_and_damaged_files():
    deaths, damage = with_any(DEATHS, 5), with_any(DAMAGE, 5)
    one, other = twice(sorted({*deaths, *damage}))
    assert one == other
    assert len(struck(one, DEATHS)) >= 2
    assert len(struck(one, DAMAGE)) >= 2
    assert sum(verdict["counts"]["kills"] for verdict in one.values()) >= 8


def test_two_processes_agree_on_clients_of_sockets():
    one, other = twice([seed for seed in range(40) if Scenario.short(seed).clients][:4])
    assert one == other


def test_a_hundred_seeds_give_a_hundred_digests():
    found, _ = ended(begun(range(100), 0, "none", 6.0))
    assert len({verdict["digest"] for verdict in found.values()}) == 100


@pytest.mark.slow
def test_two_processes_agree_on_a_hundred_seeds():
    one, other = twice(range(100))
    assert one == other
    assert len({verdict["digest"] for verdict in one.values()}) == 100
