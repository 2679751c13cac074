"""The types that the page's comments tell of, checked by TypeScript's compiler."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import deltastream

pytestmark = pytest.mark.slow

APP = Path(deltastream.__file__).parent / "gateway" / "pages" / "app"
OPTIONS = {
    "allowJs": True,
    "checkJs": True,
    "noEmit": True,
    "strict": True,
    "target": "ES2024",
    "lib": ["ES2024", "DOM", "DOM.Iterable"],
    "module": "ES2022",
    "moduleResolution": "bundler",
    "skipLibCheck": True,
    "types": [],
}
COMPILER = ["npm", "exec", "--yes", "--package=typescript@5", "--", "tsc"]


def test_every_module_has_the_types_it_tells_of(tmp_path):
    if shutil.which("npm") is None:
        pytest.skip("no npm on the path, which brings TypeScript's compiler")
    if (asked := run([*COMPILER, "--version"], tmp_path)).returncode != 0:
        pytest.skip(f"npm brings no TypeScript: {asked.stderr[-200:]}")
    project = {"compilerOptions": OPTIONS, "include": [f"{APP}/**/*.js"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(project))
    checked = run([*COMPILER, "-p", str(tmp_path)], tmp_path)
    assert checked.stdout == ""
    assert checked.returncode == 0


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
