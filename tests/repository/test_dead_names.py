"""No module defines a name that nobody uses."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any


def test_every_name_of_a_module_is_used_or_exported(modules: list[Any]):
    dead = [
        f"{module.path}: {name}"
        for module in modules
        for name in set(defined(module.tree)).difference(read(module.tree), module.exported or ())
    ]
    assert dead == []


def test_what_is_dead_is_found():
    tree = ast.parse("A: Final = 1\nB = 2\n\ndef f() -> int:\n    return B\n\n@command\ndef g(): ...\n")
    assert set(defined(tree)) - read(tree) == {"A", "f"}


def defined(tree: ast.Module) -> Iterator[str]:
    """Names that a module binds; whoever decorates a function may keep it."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=targets):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if not node.decorator_list:
                names = [node.name]
            case _:
                names = []
        yield from (name for name in names if not name.startswith("__"))


def read(tree: ast.Module) -> set[str]:
    return {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
