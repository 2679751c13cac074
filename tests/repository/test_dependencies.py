"""Every dependency has a reason, is pinned with hashes, and may be passed on under Apache-2.0."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
    "CC0-1.0", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Python-2.0", "Unicode-3.0", "Unlicense", "Zlib",
}  # fmt: skip
CLASSIFIERS = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}
WORDS = {
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "MIT License": "MIT",
}


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression can be met with allowed licences: all of AND, one of OR."""
    expression = expression.strip().replace("/", " OR ")
    while True:  # innermost parentheses first
        simpler = re.sub(r"\(([^()]*)\)", lambda m: "MIT" if is_allowed(m[1]) else "refused", expression)
        if simpler == expression:
            break
        expression = simpler
    return any(
        all(licence.strip() in ALLOWED for licence in option.split(" AND "))
        for option in expression.split(" OR ")
    )


def licence_of(distribution: metadata.Distribution) -> str:
    """SPDX expression from the metadata, newest field first; empty where there is none."""
    about = distribution.metadata
    if expression := about.get("License-Expression"):
        return str(expression)
    classified = [CLASSIFIERS[c] for c in about.get_all("Classifier") or () if c in CLASSIFIERS]
    if classified:
        return " OR ".join(classified)
    words = str(about.get("License") or "").strip()
    return WORDS.get(words, words)


def runtime_distributions(name: str, seen: dict[str, metadata.Distribution]) -> None:
    """Add to `seen` what an installation of `name` brings along, every extra of ours included."""
    distribution = metadata.distribution(name)
    extras = distribution.metadata.get_all("Provides-Extra") or [] if name == "deltastream" else []
    for line in distribution.requires or ():
        requirement = Requirement(line)
        wanted = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in ["", *extras]
        )
        key = canonicalize_name(requirement.name)
        if wanted and key not in seen:
            seen[key] = metadata.distribution(key)
            runtime_distributions(key, seen)


def pins(lock: Path) -> dict[str, tuple[str, int]]:
    """Package → version and number of hashes."""
    found = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock.read_text()):
        if match := re.match(r"([\w.-]+)==(\S+)", block):
            found[canonicalize_name(match[1])] = (match[2], block.count("--hash=sha256:"))
    return found


def test_python_licences_allow_redistribution():
    distributions: dict[str, metadata.Distribution] = {}
    runtime_distributions("deltastream", distributions)
    assert {"trio", "numpy", "msgspec", "attrs"} <= distributions.keys()
    licences = {name: licence_of(distribution) for name, distribution in sorted(distributions.items())}
    assert {name: licence for name, licence in licences.items() if not is_allowed(licence)} == {}


def test_rust_licences_allow_redistribution(root: Path):
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not on the path")
    listing = subprocess.run(
        [
            "cargo",
            "tree",
            "--workspace",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}|{l}",
            "--locked",
            "--offline",
        ],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    licences = {line.split()[0]: line.split("|")[1] for line in listing.stdout.splitlines()}
    assert {"pyo3", "numpy"} <= licences.keys()
    assert {name: licence for name, licence in licences.items() if not is_allowed(licence)} == {}


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR AGPL-3.0) AND Zlib", True),
        ("(MIT AND AGPL-3.0) OR GPL-3.0", False),
        ("", False),
        ("Proprietary", False),
    ],
)
def test_expressions(expression: str, allowed: bool):
    assert is_allowed(expression) is allowed


@pytest.mark.parametrize(
    "lock",
    [
        "requirements.lock",
        "deploy/runtime.lock",
        "benches/tutorial/requirements.lock",
        "benches/peers/requirements.lock",
        "benches/peers/2023.lock",
    ],
)
def test_locks_are_pinned_with_hashes(lock: str, root: Path):
    found = pins(root / lock)
    assert len(found) > 10
    assert {name: hashes for name, (_, hashes) in found.items() if hashes == 0} == {}


def test_the_lock_fits_what_is_asked_for(root: Path):
    """Everything asked for is locked, in a version that is allowed; and it is what is installed."""
    found = pins(root / "requirements.lock")
    project = tomllib.loads((root / "pyproject.toml").read_text())
    asked = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    asked += [line for extra in project["project"]["optional-dependencies"].values() for line in extra]
    for requirement in map(Requirement, asked):
        version, _ = found[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, requirement
        assert metadata.version(requirement.name) == version, requirement


def test_what_is_deployed_is_what_was_tested(root: Path):
    tested, deployed = pins(root / "requirements.lock"), pins(root / "deploy" / "runtime.lock")
    assert "pytest" not in deployed
    assert deployed.items() <= tested.items()


def test_every_dependency_has_its_reason(root: Path):
    text = (root / "pyproject.toml").read_text()
    project = tomllib.loads(text)
    asked = list(project["project"]["dependencies"])
    for group in (project["project"]["optional-dependencies"], project["dependency-groups"]):
        asked += [line for lines in group.values() for line in lines]
    without = [line for line in asked if not re.search(rf'"{re.escape(line)}"\]?,? *# \S+', text)]
    assert without == []
