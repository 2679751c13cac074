"""Keys and tokens come from the operating system everywhere but in the simulation."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest


def chosen_secrets(tree: ast.Module) -> Iterator[int]:
    """Lines that put something else in the place of the operating system's secrets."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            given = {keyword.arg for keyword in node.keywords}
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            unseen = name == "Seams" and (None in given or len(node.args) > 4)
            if unseen or (name in ("Seams", "replace") and "secrets" in given):
                yield node.lineno


def test_only_the_simulation_chooses_secrets(modules):
    found = [
        f"{module.path}:{line}"
        for module in modules
        if module.name.split(".")[:2] != ["deltastream", "sim"]
        for line in chosen_secrets(module.tree)
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "Seams(clock=c, rng=r, ids=i, threads=t, secrets=s)",
        "seams.Seams(c, r, i, t, s)",
        "Seams(**doors)",
        "dataclasses.replace(seams, secrets=s)",
    ],
)
def test_chosen_secrets_are_found(source: str):
    assert list(chosen_secrets(ast.parse(source)))
