"""The examples of the page and of the docstrings are what they say."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from deltastream import pricing

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "pricing.md"
MODULES = [
    f"deltastream.pricing.{path.stem}" for path in sorted(Path(pricing.__file__).parent.glob("[a-z_]*.py"))
]


def blocks(text: str) -> list[tuple[int, str]]:
    """Examples in fences, each with the line it begins at."""
    fences = re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in fences]


def failures(examples: list[doctest.DocTest]) -> str:
    runner, said = doctest.DocTestRunner(), []
    for example in examples:
        runner.run(example, out=said.append, clear_globs=False)
    return "".join(said)


def test_the_page() -> None:
    names: dict[str, Any] = {}
    parser = doctest.DocTestParser()
    found = []
    for line, text in blocks(PAGE.read_text()):
        block = parser.get_doctest(text, {}, PAGE.name, str(PAGE), line)
        block.globs = names
        found.append(block)
    assert len(found) >= 8
    assert sum(len(block.examples) for block in found) >= 30
    assert not (said := failures(found)), said


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    module = importlib.import_module(name.removesuffix(".__init__"))
    assert not (said := failures(doctest.DocTestFinder().find(module))), said


def test_the_models_show_examples() -> None:
    for model in (pricing.black76, pricing.bsm):
        for name in ("price", "greeks", "implied_volatility"):
            assert ">>> " in getattr(model, name).__doc__


def test_the_page_names_every_field_and_status() -> None:
    page = PAGE.read_text()
    for name in (*pricing.AllGreeks.__struct_fields__, *pricing.STATUSES):
        assert f"`{name}`" in page, name
