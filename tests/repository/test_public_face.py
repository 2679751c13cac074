"""What a module shows it lists and describes."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

FLOORS = ("deltastream", "supervisors")


@pytest.fixture(scope="session")
def shown(modules) -> dict[str, Any]:
    """Dotted name → function or class that a public module lists and that is ours."""
    found = {}
    for module in modules:
        if any(part.startswith("_") for part in module.name.split(".")):
            continue
        loaded = importlib.import_module(module.name)
        for name in module.exported or ():
            thing = getattr(loaded, name)
            ours = getattr(thing, "__module__", "").split(".")[0] in FLOORS
            if ours and (inspect.isclass(thing) or inspect.isfunction(thing)):
                found[f"{thing.__module__}.{thing.__qualname__}"] = thing
    return found


def public_methods(cls: type) -> Iterator[tuple[str, Any]]:
    """Methods and properties of its own; not the properties of a protocol, which are typed names."""
    for name, member in vars(cls).items():
        plain = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if not name.startswith("_") and (
            inspect.isfunction(plain) or (isinstance(plain, property) and not is_protocol(cls))
        ):
            yield name, plain


def is_protocol(cls: Any) -> bool:
    return bool(getattr(cls, "_is_protocol", False))


def description(name: str, cls: type, promises: list[type]) -> str:
    """What is said of a method or property, with what its class and protocols say of cancellation."""
    classes = [cls, *promises]
    texts = [inspect.getdoc(getattr(c, name)) for c in classes if hasattr(c, name)]
    said = "\n".join(text for text in texts if text)
    return said and "\n".join([said, *map(cancellation, classes)])


def cancellation(cls: type) -> str:
    """The line of a class's docstring that holds for all its methods, if there is one."""
    lines = (cls.__doc__ or "").splitlines()
    return next((line for line in lines if line.strip().startswith("Cancellation:")), "")


@pytest.fixture(scope="session")
def described(shown) -> dict[str, tuple[Any, str]]:
    """Dotted name → what it is and its description.

    A method may leave its description to a base class or to a protocol that its class implements.
    """
    protocols = [thing for thing in shown.values() if is_protocol(thing)]
    found = {}
    for path, thing in shown.items():
        found[path] = (thing, thing.__doc__ or "")
        if not inspect.isclass(thing):
            continue
        promises = [
            protocol
            for protocol in protocols
            if (names := dict(public_methods(protocol))) and all(hasattr(thing, name) for name in names)
        ]
        for name, method in public_methods(thing):
            found[f"{path}.{name}"] = (method, description(name, thing, promises))
    return found


def test_every_module_says_what_it_is(modules):
    assert [str(module.path) for module in modules if not ast.get_docstring(module.tree)] == []


def test_every_public_module_lists_what_it_shows(modules):
    wrong = [
        str(module.path)
        for module in modules
        if not module.name.split(".")[-1].startswith("_")
        and any(not isinstance(node, ast.Expr) for node in module.tree.body)
        and module.exported is None
    ]
    assert wrong == []


def test_every_listed_name_exists(modules):
    wrong = [
        f"{module.name}.{name}"
        for module in modules
        for name in module.exported or ()
        if not hasattr(importlib.import_module(module.name), name)
    ]
    assert wrong == []


def test_everything_shown_is_described(described):
    assert len(described) > 50
    assert [path for path, (_, text) in described.items() if not text] == []


def test_everything_async_says_what_cancellation_does(described):
    wrong = [
        path
        for path, (thing, text) in described.items()
        if (inspect.iscoroutinefunction(thing) or inspect.isasyncgenfunction(thing))
        and "cancel" not in text.lower()
    ]
    assert wrong == []
