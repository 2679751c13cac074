"""The same seed gives the same bytes, in whatever process and with whatever order of hashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import trio

from deltastream.sim import Scenario, simulate


def kills(world):
    """Kills the process now and then, at whatever step."""

    async def kill():
        rng = world.rng("kill")
        while True:
            await trio.sleep(rng.uniform(3, 12))
            world.kill(after_steps=rng.randrange(60), down_s=rng.uniform(0, 2))

    world.tasks.append(kill)


def summary(seed):
    """Everything about a simulation that must not differ, down to its log."""
    lines = []

    def part(world):
        kills(world)
        world.on_log.append(
            lambda line: lines.append(
                (world.now(), world.tidy(str({key: line[key] for key in line if key != "pid"})))
            )
        )

    verdict = simulate(Scenario.short(seed), parts=[part])
    assert verdict.ok
    assert verdict.counts.kills >= 3
    return [verdict.digest, verdict.virtual_s, verdict.counts.published, lines]


def elsewhere(seeds, hash_seed):
    """The summaries, out of a fresh process."""
    script = (
        "import importlib.util, json, sys\n"
        f"spec = importlib.util.spec_from_file_location('part', {__file__!r})\n"
        "part = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(part)\n"
        f"print(json.dumps([part.summary(seed) for seed in {seeds!r}]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_two_processes_agree_on_everything():
    seeds = list(range(8))
    first, second = elsewhere(seeds, 1), elsewhere(seeds[::-1], 2)[::-1]
    assert first == second
    assert first == json.loads(json.dumps([summary(seed) for seed in seeds]))
    assert len({digest for digest, *_ in first}) == len(seeds)


def test_a_second_run_agrees_on_everything():
    assert summary(11) == summary(11)
