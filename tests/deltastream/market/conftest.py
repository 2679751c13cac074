"""Recorded data, where it lies beside the repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"


@pytest.fixture
def recorded() -> Callable[[str], Path]:
    """Path of a recorded file; skips the test where it is absent."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"recorded data absent: {name}")
        return path

    return find
