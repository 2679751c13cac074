"""Workers whose simulations do what a test has planted in them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deltastream.sim import worker


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have workers run this code instead of a simulation; it has `case`, `examine` and gives a verdict."""

    def planted(body: str) -> None:
        source = "\n".join(
            [
                "import os, signal, sys, time",
                "from deltastream.sim import Violation, worker",
                "from msgspec.structs import replace",
                "examine = worker.examine",
                "def planted(case):",
                "    seed = case.scenario.seed",
                *(f"    {line}" for line in body.splitlines()),
                "worker.examine = planted",
            ]
        )
        (tmp_path / "planted.py").write_text(source)
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        monkeypatch.setattr(worker, "_PROGRAM", worker._PROGRAM.replace("from", "import planted; from", 1))

    return planted
