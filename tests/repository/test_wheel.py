"""The wheel holds what it should, and works where the checkout is not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

USE = """
import deltastream, supervisors
from deltastream import market, messages
from deltastream.pricing import black76

for package in (deltastream, supervisors):
    print(package.__file__)
call, put = black76.price(100.0, 100.0, 0.25, 0.2, 0.0, [True, False])
assert call == put > 3.9, (call, put)
assert any(product.symbol == "NIFTY" for product in market.products())
tick = messages.UnderlyingTick(product="SPY", price=1.0, ts_event=1, ts_recv=2)
assert messages.decode(messages.encode(tick)) == tick
"""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=True)


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    maturin = [sys.executable, "-m", "maturin", "build", "--release", "--locked"]
    run(*maturin, "--interpreter", sys.executable, "--out", out, cwd=root)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with the wheel and, from here, what it depends on."""
    home = tmp_path_factory.mktemp("elsewhere")
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, home / "venv", cwd=home)
    python = home / "venv" / "bin" / "python"
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps"]
    run(*install, "--python", python, wheel, cwd=home)
    # A .pth brings the locked dependencies in; the editable install's own .pth is not read from there.
    (packages,) = (home / "venv" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_contents(wheel: Path, root: Path, tracked: list[Path]):
    names = set(zipfile.ZipFile(wheel).namelist())
    packaged = {str(path) for path in tracked if path.parts[0] in ("deltastream", "supervisors")}
    assert {"deltastream/_core.pyi", "deltastream/py.typed", "supervisors/py.typed"} <= packaged
    assert any(re.fullmatch(r"deltastream/market/tables/\w+\.toml", name) for name in packaged)
    assert packaged <= names
    assert "deltastream/_core.abi3.so" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"deltastream", "supervisors"}
    assert re.fullmatch(r"deltastream-[\d.]+-cp311-abi3-\w+\.whl", wheel.name)


def test_metadata(wheel: Path, root: Path):
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        about = archive.read(path).decode()
        assert f"{Path(path).parent}/licenses/LICENSE" in archive.namelist()
    assert "\nLicense-Expression: Apache-2.0\n" in about
    assert "\nRequires-Python: >=3.11\n" in about


def test_works_elsewhere(elsewhere: Path, root: Path):
    used = run(elsewhere, "-c", USE, cwd=elsewhere.parent)
    places = used.stdout.split()
    assert len(places) == 2
    assert all(Path(place).is_relative_to(elsewhere.parents[1]) for place in places)


def test_the_command_is_installed(elsewhere: Path):
    usage = run(elsewhere.parent / "deltastream", "--help", cwd=elsewhere.parent)
    assert "Usage: deltastream" in usage.stdout
    assert {"run", "analyze", "status", "doctor"} <= set(usage.stdout.split())
