"""The repository as its own tests see it: its files, its modules and who imports whom."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    """One Python source file of the two floors.

    Attributes:
        path: relative to the root of the repository.
        name: dotted, a package's without ``__init__``.
    """

    path: Path
    name: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse((ROOT / self.path).read_text(), str(self.path))

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def exported(self) -> list[str] | None:
        """What ``__all__`` lists; None where the module has none."""
        for node in self.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
                return [str(name) for name in ast.literal_eval(node.value)]
        return None

    @property
    def imports(self) -> list[str]:
        """Absolute names of everything imported anywhere in the module, also for types alone."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                parts = self.name.split(".")
                base = parts[: len(parts) - node.level + self.is_package] if node.level else []
                source = ".".join([*base, *([node.module] if node.module else [])])
                found += [f"{source}.{alias.name}" for alias in node.names]
        return found


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    """Every module of `supervisors` and `deltastream`."""
    found = []
    for floor in ("supervisors", "deltastream"):
        for path in sorted((ROOT / floor).rglob("*.py")):
            relative = path.relative_to(ROOT)
            parts = relative.with_suffix("").parts
            found.append(Module(relative, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)))
    assert len(found) > 20
    return found


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file under version control, relative to the root."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True
    )
    if listing.returncode != 0:
        pytest.skip(f"not a git checkout: {listing.stderr.strip()}")
    return [Path(name) for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]
