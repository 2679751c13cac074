"""The generated tables are what their generator writes."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", ["XNSE", "XBOM", "XNYS"])
def test_regenerated_tables_are_the_same(name):
    pytest.importorskip("exchange_calendars", reason="a tool of the generator, not of the project")
    tool = runpy.run_path(str(ROOT / "deploy" / "make_tables.py"))
    table = tool["_united_states"]() if name == "XNYS" else tool["_india"](name, None)
    written = (ROOT / "deltastream" / "market" / "tables" / f"{name}.toml").read_text()
    assert table.toml() == written
