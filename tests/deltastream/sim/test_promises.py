"""Every invariant has a name, a promise in words, and a line in the documentation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import deltastream.sim
from deltastream.sim.plan import Fault
from deltastream.sim.promises import PROMISES

SOURCES = sorted(Path(deltastream.sim.__file__).parent.rglob("*.py"))
PAGE = Path(__file__).parents[3] / "docs" / "simulation.md"


def told(tree: ast.AST) -> Iterator[str]:
    """The codes that a module complains with: the first argument of `complain`, `violate`, `Violation`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called.lstrip("_") in ("complain", "violate", "Violation", "failed"):
                yield str(node.args[0].value)


@pytest.fixture(scope="module")
def codes() -> set[str]:
    return {code for source in SOURCES for code in told(ast.parse(source.read_text()))}


def test_every_invariant_that_is_checked_has_a_promise(codes: set[str]):
    assert len(codes) > 30
    assert codes - PROMISES.keys() == set()


def test_every_promise_is_checked(codes: set[str]):
    texts = "".join(source.read_text() for source in SOURCES if source.name != "promises.py")
    absent = {code for code in PROMISES.keys() - codes if f'"{code}"' not in texts}
    assert absent <= {"store_missing", "store_extra"}
    assert 'f"store_{what}"' in texts


def test_the_documentation_lists_every_fault_and_every_promise():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE))
    kinds = {str(kind.__struct_config__.tag) for kind in get_args(Fault)}
    assert len(kinds) > 20
    assert rows.keys() == kinds | PROMISES.keys()
    assert {code: rows[code] for code in PROMISES} == PROMISES
