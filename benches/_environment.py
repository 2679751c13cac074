"""Virtual environments for what is measured beside DeltaStream and does not belong into its own."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

__all__ = ["environment", "from_source"]

BENCHES = Path(__file__).resolve().parent


def environment(name: str, lock: Path, python: str = sys.executable) -> Path:
    """The Python of the environment `benches/.venv-NAME`, made or renewed where its lock has changed.

    Args:
        name: of the environment.
        lock: pinned requirements with hashes.
        python: the interpreter to make it with.

    Raises:
        subprocess.CalledProcessError: the environment cannot be made or filled; the reason is on stderr.
    """
    venv = BENCHES / f".venv-{name}"
    made, stamp = venv / "bin" / "python", venv / "lock.sha256"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"Making {venv.name} from {lock.relative_to(BENCHES)} …", file=sys.stderr)
        subprocess.run([python, "-m", "venv", "--clear", venv], check=True)
        _install(made, ["--requirement", lock])
        stamp.write_text(digest)
    return made


def from_source(python: Path, lock: Path, package: str) -> str:
    """Make sure that `package` of an environment can be imported, if need be by compiling its source.

    Returns:
        Why the wheel could not be imported; empty where it could.

    Raises:
        subprocess.CalledProcessError: nor can it be compiled, or what was compiled be imported.
    """
    reason = python.parent.parent / f"{package}-wheel.txt"
    probe: list[str | Path] = [python, "-c", f"import {package}"]
    tried = subprocess.run(probe, capture_output=True, text=True)
    if tried.returncode:
        reason.write_text(re.sub(r"\S*/", "", tried.stderr.strip().rpartition("\n")[2]))
        print(f"The wheel of {package} cannot be imported; compiling its source …", file=sys.stderr)
        pinned = reason.with_name(f"{package}.txt")
        match = re.search(rf"^{package}==.*?(?=^\S|\Z)", lock.read_text(), re.MULTILINE | re.DOTALL)
        if match is None:
            raise ValueError(f"{lock} does not hold {package}")
        pinned.write_text(match[0])
        anew: list[str | Path] = ["--no-deps", "--force-reinstall", "--no-cache-dir", "--no-build-isolation"]
        _install(python, [*anew, "--no-binary", package, "--requirement", pinned])
        subprocess.run(probe, check=True)
    return reason.read_text() if reason.exists() else ""


def _install(python: Path, arguments: list[str | Path]) -> None:
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--require-hashes"]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYO3_")}
    variables["PATH"] = f"{python.parent}{os.pathsep}{variables.get('PATH', os.defpath)}"
    variables["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    subprocess.run([*pip, *arguments], check=True, stdout=sys.stderr, env=variables)
