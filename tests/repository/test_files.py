"""What stands under version control: short sources, and nothing of the machine they were made on."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

from deltastream import _core

LONGEST = 500
MACHINE = re.compile(r"(^|[^\w./-])/(work|root|farm)/")
CRATES = "registry+https://github.com/rust-lang/crates.io-index"


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def test_no_source_is_longer_than_one_idea(root: Path, tracked: list[Path]):
    long = {
        str(path): lines
        for path in tracked
        if path.suffix in (".py", ".pyi", ".rs", ".sh")
        and (lines := text_of(root / path).count("\n")) > LONGEST
    }
    assert long == {}


def test_no_path_of_one_machine(root: Path, tracked: list[Path]):
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path in tracked
        for number, line in enumerate(text_of(root / path).splitlines(), 1)
        if MACHINE.search(line)
    ]
    assert found == []


def test_no_address_of_a_registry(root: Path, tracked: list[Path]):
    """Locks and settings name packages; where those come from is the machine's business."""
    settings = [path for path in tracked if path.suffix in (".lock", ".txt", ".cfg", ".toml", ".ini")]
    assert Path("requirements.lock") in settings
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path in settings
        for number, line in enumerate(text_of(root / path).splitlines(), 1)
        if re.search(r"index-url|find-links|trusted-host|registr|replace-with|\bresolved\b", line)
        and line.strip() != f'source = "{CRATES}"'
    ]
    assert found == []
    locks = [path for path in settings if path.suffix == ".lock"]
    assert [str(p) for p in locks if "://" in text_of(root / p).replace(CRATES, "")] == []


def test_the_version_is_one(root: Path):
    cargo = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    assert cargo == metadata.version("deltastream") == _core.__version__
    headings = re.findall(r"^## (\S+)", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert cargo in headings


def test_what_is_tested_is_a_release_build():
    assert _core.build_profile == "release"
