"""Standard output that takes nothing: a full disk is told in a sentence, a closed pipe is no error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SAMPLE = str(Path(__file__).parents[1] / "feeds" / "recorded" / "samples" / "nse_legacy.json")
FULL = Path("/dev/full")
COMMANDS = [
    ["--help"],
    ["--version"],
    ["export", "--help"],
    ["analyze", SAMPLE],
    ["analyze", SAMPLE, "--json"],
    ["config", "show"],
    ["bus", "tail"],
    ["export", "ticks", "--product", "NIFTY"],
    ["export", "ticks", "--product", "NIFTY", "--format", "parquet"],
]


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_a_full_disk(start, filled: Path, args: list[str]):
    with FULL.open("wb") as full:
        process = start(*args, stdout=full)
        _, err = process.communicate(timeout=20)
    assert err == "The output cannot be written: No space left on device.\n"
    assert process.returncode == 1


@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_a_reader_that_has_gone(start, filled: Path, args: list[str]):
    ours, theirs = os.pipe()
    os.close(ours)
    process = start(*args, stdout=theirs)
    os.close(theirs)
    _, err = process.communicate(timeout=20)
    assert err == ""
    assert process.returncode == 0
