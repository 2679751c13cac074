"""Imports point downward only: cli → sim → host → actors → gateway → the parts → messages → errors and seams.

What a gateway shows of a host, its settings and what can be asked of it, lies between the gateway and
the parts: the tree, which runs the gateway, is above it. So do the words of the sockets' protocol, which
servers speak, clients speak and the gateway documents.
"""

from __future__ import annotations

import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

LAYERS = (
    {"errors", "latency", "seams", "_core"},
    {"messages", "sockets.commands", "sockets.events", "sockets.updates"},
    {"accounts", "analytics", "bus", "client", "feeds", "market", "pricing", "storage"},
    {"gateway.settings", "gateway.exposure", "sockets.settings", "sockets.statistics"},
    {"host.config", "host.layers", "host.data_dir", "host.operations"},
    {"gateway", "sockets", "client"},
    {"actors"},
    {"host"},
    {"sim"},
    {"cli"},
)
LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}


def part_of(name: str) -> str | None:
    """The part of `deltastream` that a dotted name belongs to; ``python -m`` is the command line."""
    parts = name.replace(".__main__", ".cli").split(".")
    if parts[0] != "deltastream" or len(parts) == 1:
        return None
    finer = ".".join(parts[1:3])
    return finer if finer in LEVEL else parts[1]


def dependencies(modules) -> dict[str, set[str]]:
    """Which part of `deltastream` imports which others."""
    uses: dict[str, set[str]] = {}
    for module in modules:
        if (user := part_of(module.name)) is not None:
            used = {part for name in module.imports if (part := part_of(name)) in LEVEL}
            uses.setdefault(user, set()).update(used - {user})
    return uses


def test_every_part_has_its_layer(modules):
    assert {part for module in modules if (part := part_of(module.name))} <= LEVEL.keys()


def test_imports_point_downward(modules):
    wrong = [
        f"{module.path} imports {name}"
        for module in modules
        for name in module.imports
        if (user := part_of(module.name)) and (used := part_of(name)) in LEVEL and LEVEL[used] > LEVEL[user]
    ]
    assert wrong == []


def test_parts_of_one_layer_do_not_import_in_a_circle(modules):
    uses = dependencies(modules)
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as error:
        pytest.fail(f"circle of imports: {' → '.join(error.args[1])}")
    assert "messages" in uses["bus"]  # the graph is not empty


def test_supervisors_knows_trio_and_the_standard_library_alone(modules):
    known = set(sys.stdlib_module_names) | {"supervisors", "trio"}
    wrong = [
        f"{module.path} imports {name}"
        for module in modules
        if module.name.split(".")[0] == "supervisors"
        for name in module.imports
        if name.split(".")[0] not in known
    ]
    assert wrong == []


def test_supervisors_knows_no_market_word(root: Path):
    """A supervisor is of use elsewhere: no market word in it."""
    market = re.compile(
        r"\b(deltastream|market|option|strike|quote|spot|expiry|nifty|tick)s?\b", re.IGNORECASE
    )
    wrong = [
        f"{path.relative_to(root)}:{number}: {line.strip()}"
        for path in sorted((root / "supervisors").rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (word := market.search(line)) and not line.strip().startswith(("import ", "from ")) and word
    ]
    assert wrong == []


def test_the_core_does_no_io(root: Path):
    doors = re.compile(r"\bstd::(fs|net|io|time|env|process|thread)\b")
    sources = sorted((root / "core_ext" / "src").rglob("*.rs"))
    assert sources
    wrong = [
        f"{path.relative_to(root)}:{number}: {line.strip()}"
        for path in sources
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if doors.search(line)
    ]
    assert wrong == []


def test_python_stays_in_the_bindings_of_the_core(root: Path):
    source = root / "core_ext" / "src"
    wrong = [
        str(path.relative_to(root))
        for path in sorted(source.rglob("*.rs"))
        if path.parent != source / "py" and path != source / "lib.rs" and "pyo3" in path.read_text()
    ]
    assert wrong == []
