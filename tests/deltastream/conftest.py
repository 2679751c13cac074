"""Seams for virtual time, where Trio's clock tells the time of day, and a certificate for real ports."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from deltastream.seams import InlineThreads, Seams


class VirtualClock:
    """A time of day that begins at `start` and goes on with Trio's clock."""

    def __init__(self, start: int) -> None:
        self._start = start

    def now_ns(self) -> int:
        return self._start + round(trio.current_time() * 1e9)


class CountingIds:
    def __init__(self) -> None:
        self._count = 0

    def new(self) -> str:
        self._count += 1
        return f"{self._count:016x}"


@pytest.fixture
def virtual_seams():
    """Makes seams for a host whose virtual day begins at `start`, nanoseconds UTC."""

    def make(start: int, *, seed: int = 1) -> Seams:
        clock, ids = VirtualClock(start), CountingIds()
        return Seams(clock=clock, rng=random.Random(seed), ids=ids, threads=InlineThreads())

    return make


@pytest.fixture(scope="session")
def make_certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, Path]]:
    """Makes a self-signed certificate and its key, for this machine's names unless given."""

    def make(name: str, names: str = "IP:127.0.0.1,DNS:localhost") -> tuple[Path, Path]:
        directory = tmp_path_factory.mktemp(name)
        certificate, key = directory / "certificate.pem", directory / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "2"]
        command += ["-subj", "/CN=test", "-addext", f"subjectAltName={names}"]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("openssl is not on the path")
        return certificate, key

    return make


@pytest.fixture(scope="session")
def certificate(make_certificate: Callable[..., tuple[Path, Path]]) -> tuple[Path, Path]:
    """A self-signed certificate for this machine's names, and its key."""
    return make_certificate("tls")
