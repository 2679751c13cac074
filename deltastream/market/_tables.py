"""The dated tables as they lie in the package, read once and lazily."""

from __future__ import annotations

import datetime as dt
import functools
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

__all__ = ["applicable", "contracts", "read"]


@functools.cache
def read(name: str) -> Mapping[str, Any]:
    """The table `name` (without ``.toml``).

    Raises:
        KeyError: there is no such table.
    """
    path = resources.files(__package__) / "tables" / f"{name}.toml"
    if not path.is_file():
        raise KeyError(f"no table named {name!r}")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def contracts() -> Mapping[str, Any]:
    """The table of venues, products and roots."""
    return read("contracts")


def applicable(rows: Iterable[Mapping[str, Any]], day: dt.date) -> Mapping[str, Any] | None:
    """The first row, newest first, whose `from`..`until` contains `day`."""
    for row in rows:
        if row["from"] <= day <= row.get("until", dt.date.max):
            return row
    return None
