"""The Makefile's face, and what it says to a machine that lacks a tool."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


def run(*command: str, root: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    if path is not None:
        environment["PATH"] = path
    return subprocess.run(command, cwd=root, capture_output=True, text=True, env=environment)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A directory to serve as PATH, with the few ordinary tools that check-tools itself uses."""
    for name in ("sh", "dirname", "sed", "cut", "sort", "head"):
        found = next(p for d in os.get_exec_path() if (p := Path(d, name)).exists())
        (tmp_path / name).symlink_to(found)
    return tmp_path


def pretend(tools: Path, name: str, script: str) -> None:
    (tools / name).write_text(f"#!/bin/sh\n{script}\n")
    (tools / name).chmod(0o755)


def complete(tools: Path) -> None:
    pretend(tools, "python3", "exit 0")
    pretend(tools, "cc", "exit 0")
    pretend(tools, "cargo", "echo 'cargo 1.95.0 (abc 2026-01-01)'")


def test_make_alone_lists_the_commands(root: Path):
    listing = run("make", "--no-print-directory", root=root)
    assert listing.returncode == 0
    commands = {line.split()[0] for line in listing.stdout.splitlines()[1:]}
    expected = "setup run test test-slow soak sim lint format bench screenshots tables lock wheel clean"
    assert commands == {"help", *expected.split()}
    assert all(len(line.split()) > 2 for line in listing.stdout.splitlines()[1:])


def test_a_complete_machine_is_not_bothered(root: Path, tools: Path):
    complete(tools)
    check = run("sh", ".ci/check-tools", "python3", root=root, path=str(tools))
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("tool", "script", "sentence"),
    [
        ("python3", "exit 1", "Python 3.11 or newer is needed"),
        ("python3", 'case "$2" in *ensurepip*) exit 1 ;; esac', "install the package python3-venv"),
        ("cc", None, "A C compiler is needed"),
        ("cargo", None, "A Rust toolchain is needed"),
        ("cargo", "echo 'cargo 1.63.0'", "cargo is 1.63.0, 1."),
    ],
    ids=["old python", "no venv", "no cc", "no cargo", "old cargo"],
)
def test_a_missing_tool_is_one_sentence(
    tool: str, script: str | None, sentence: str, root: Path, tools: Path
):
    complete(tools)
    if script is None:
        (tools / tool).unlink()
    else:
        pretend(tools, tool, script)
    check = run("sh", ".ci/check-tools", "python3", root=root, path=str(tools))
    assert check.returncode == 1
    assert sentence in check.stderr
    assert len(check.stderr.splitlines()) == 1
    assert check.stdout == ""


def test_no_python_at_all(root: Path, tools: Path):
    complete(tools)
    check = run("sh", ".ci/check-tools", "", root=root, path=str(tools))
    assert check.returncode == 1
    assert check.stderr.startswith("Python 3.11 or newer is needed")
