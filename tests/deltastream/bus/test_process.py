"""Processes killed at random instants, and disk syncs counted from outside."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest
import trio

from deltastream.bus import BusSettings, open_bus
from deltastream.seams import Seams

CHILD = Path(__file__).with_name("child.py")


def killed(path, seed, seconds):
    """What a child promised before it was killed, `seconds` after it was ready."""
    child = subprocess.Popen(
        [sys.executable, CHILD, "kill", path, str(seed)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    lines = child.stdout.read().splitlines(keepends=True)
    child.wait()
    child.stdout.close()
    return [line.split() for line in lines if line.endswith("\n")]


async def everything(bus, topic):
    records = []
    while batch := await bus.read(topic, after=records[-1].position.seq if records else 0, limit=1000):
        records += batch
    return records


async def check(path, promises):
    """Every promise is kept, nothing is there twice, and numbers were never given again."""
    settings = BusSettings(max_bytes=64 << 20)
    with trio.fail_after(30):
        async with open_bus(path, settings, Seams.system()) as bus:
            assert bus.salvage is None
            topics = {t.topic: t for t in (await bus.statistics()).topics}
            stored = {name: await everything(bus, name) for name in topics}
            for name, records in stored.items():
                first, last = topics[name].first_seq, topics[name].last_seq
                assert [r.position.seq for r in records] == list(range(first, last + 1))
            appended = defaultdict(dict)
            for kind, topic, seq, *rest in promises:
                if kind == "append":
                    assert appended[topic].setdefault(int(seq), int(rest[0])) == int(rest[0])
            for topic, numbers in appended.items():
                found = {r.position.seq: r.message.ts_event for r in stored[topic]}
                assert max(numbers) <= topics[topic].last_seq
                for seq, number in numbers.items():
                    assert seq < topics[topic].first_seq or found[seq] == number
            acked = {(g.group, g.topic): g for g in (await bus.statistics()).groups}
            for kind, topic, seq, *_ in promises:
                if kind == "ack":
                    assert acked["deriver", topic].acked >= int(seq)
            for topic in appended:
                derived = [r.message.ts_event for r in stored[f"out.{topic}"]]
                assert len(derived) == len(set(derived))
                group = acked["deriver", topic]
                assert group.lost == 0
                assert topics[f"out.{topic}"].last_seq == group.acked


@pytest.mark.parametrize("kills", [3, pytest.param(25, marks=pytest.mark.slow)])
def test_killed_at_random_instants(tmp_path, kills):
    rng = random.Random(kills)
    promises = []
    for number in range(kills):
        promises += killed(tmp_path / "journal.db", number, rng.uniform(0.02, 0.25))
        trio.run(check, tmp_path / "journal.db", promises)
    assert len(promises) > 10 * kills


@pytest.mark.slow
def test_numbers_are_not_given_again_after_retention_and_a_kill(tmp_path):
    """The journal is small, so that trimming and killing meet."""
    promises = []
    for number in range(6):
        promises += killed(tmp_path / "journal.db", 100 + number, 1.5)
        trio.run(check, tmp_path / "journal.db", promises)

    async def trimmed():
        async with open_bus(tmp_path / "journal.db", BusSettings(), Seams.system()) as bus:
            return max(t.first_seq for t in (await bus.statistics()).topics)

    assert trio.run(trimmed) > 1


def syncs(tmp_path, durability, count):
    """Syncs of the write-ahead log, and commits, of a child that appends `count` messages singly and
    `count` at once."""
    trace = tmp_path / f"{durability}.trace"
    command = ["strace", "-f", "-qq", "-y", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-o", str(trace)]
    child = [sys.executable, str(CHILD), "power", str(tmp_path / f"{durability}.db"), durability, str(count)]
    done = subprocess.run([*command, *child], capture_output=True, text=True, check=True, timeout=60)
    return len(re.findall(r"sync\(\d+<[^>]*-wal>\)", trace.read_text())), int(done.stdout)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_one_sync_per_commit_with_durability_power(tmp_path):
    """Opening and closing commit a few times themselves."""
    found, commits = syncs(tmp_path, "power", 30)
    assert 30 < commits < 45
    assert commits <= found <= commits + 8
    found, _ = syncs(tmp_path, "process", 30)
    assert found <= 5
