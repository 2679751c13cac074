"""The peers of the core: where each comes from, and how it is made to measure the work handed to it.

Each runs in a process and an environment of its own, on one thread, and is asked for times and results alike.
A peer that cannot be run is a sentence that says why, never an end of the benchmark.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _environment import environment, from_source
from numpy.typing import NDArray

__all__ = ["Measured", "Peers"]

BENCHES = Path(__file__).resolve().parent
ROOT = BENCHES.parent
SCRIPTS = BENCHES / "peers"
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
NATIVE = {"RUSTFLAGS": "-C target-cpu=native", "CARGO_TARGET_DIR": str(ROOT / "target" / "native")}


@dataclass(frozen=True)
class Measured:
    """A work, measured.

    Attributes:
        work: its key.
        who: has done it.
        seconds: of a call, a sample each.
        options: of a call.
        values: results, ``float64[columns, options]`` or another shape that the work fixes.
    """

    work: str
    who: str
    seconds: list[float]
    options: int
    values: NDArray[np.float64]


class Peers:
    """All peers, made ready; after `ready` nothing is compiled or installed any more.

    Attributes:
        absent: peer → why it cannot be run.
        notes: what a reader must know of the others.
        versions: of those measured.
    """

    def __init__(self) -> None:
        self.absent: dict[str, str] = {}
        self.notes: list[str] = []
        self.versions: list[str] = []
        self._pythons: dict[str, Path] = {}
        self._crate = False

    def ready(self) -> None:
        """Make the environments and compile what must be compiled."""
        lock, old = SCRIPTS / "requirements.lock", SCRIPTS / "2023.lock"
        self._made("vectorised", "peers", lock)
        self._made("vollib_fast", "peers", lock)
        self._made("double_loop", "tutorial", BENCHES / "tutorial" / "requirements.lock")
        self._made("greeks_open", "peers", lock, compiled="opengreeks")
        python = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
        if python is None:
            self.absent["vollib_numba"] = "its Numba needs Python 3.11, and there is no python3.11 here"
        else:
            self._made("vollib_numba", "peers-2023", old, python)
        try:
            for variables in ({}, NATIVE):
                self._cargo("--no-run", variables=variables)
            self._crate = True
        except (OSError, subprocess.CalledProcessError) as error:
            self.absent["implied-vol"] = str(error)

    def measure(self, directory: Path) -> list[Measured]:
        """All peers, one after another, on the inputs in `directory`."""
        found = []
        for script, python in self._pythons.items():
            command: list[str | Path] = [python, "-W", "ignore", SCRIPTS / f"{script}.py", directory]
            run = subprocess.run(command, capture_output=True, text=True, env=os.environ | ONE_THREAD)
            if run.returncode:
                self.absent[script] = run.stderr.strip().rpartition("\n")[2]
                continue
            published = json.loads(run.stdout)
            self.versions += [published["versions"]] if published["versions"] else []
            for row in published["rows"]:
                values = np.atleast_2d(_read(directory / row.pop("values")))
                found.append(Measured(**row, values=values))
        if self._crate:
            found += self._implied_vol(directory)
        return found

    def _made(
        self, script: str, name: str, lock: Path, python: str = sys.executable, *, compiled: str | None = None
    ) -> None:
        try:
            made = environment(name, lock, python)
            if compiled and (reason := from_source(made, lock, compiled)):
                self.notes.append(f"{compiled} was compiled from its source, for its wheel fails: {reason}")
            self._pythons[script] = made
        except (OSError, subprocess.CalledProcessError) as error:
            self.absent[script] = str(error)

    def _implied_vol(self, directory: Path) -> list[Measured]:
        locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
        crates = {crate["name"]: crate["version"] for crate in locked}
        self.versions.append(f"implied-vol {crates['implied-vol']}")
        found = []
        for solver, variables, who in (
            ("hybrid", {}, "implied-vol, called from Rust"),
            ("experimental", NATIVE, "implied-vol, its experimental solver, target-cpu=native"),
        ):
            seconds = json.loads(self._cargo("--", str(directory), solver, variables=variables))
            values = np.fromfile(directory / "implied_vol.out")
            found.append(Measured("iv", who, seconds, values.size, values[np.newaxis]))
        return found

    def _cargo(self, *arguments: str, variables: dict[str, str]) -> str:
        """What the bench of the crate prints. It links no libpython, as the Makefile's builds."""
        command = ["cargo", "bench", "--quiet", "--locked", "--bench", "implied_vol", *arguments]
        python = {"PYO3_BUILD_EXTENSION_MODULE": "1", "PYO3_PYTHON": sys.executable}
        run = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=os.environ | python | variables,
        )
        return run.stdout


def _read(path: Path) -> Any:
    return np.load(path) if path.suffix == ".npy" else json.loads(path.read_text())
