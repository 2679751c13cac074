"""``deltastream doctor``: whether this machine has what a host needs, and what to do where not."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from deltastream.cli._options import as_json, configured, load_configuration
from deltastream.errors import DeltaStreamError

if TYPE_CHECKING:
    from deltastream.host.config import Settings

__all__ = ["checks", "doctor"]

Verdict = Literal["ok", "warn", "fail"]
Finding = tuple[str, Verdict, str, str]
"""Name, verdict, what was found, and what to do about it."""

_OLDEST_PYTHON: Final = (3, 11)
_OLDEST_SQLITE: Final = (3, 35, 0)
_LITTLE_SPACE: Final = 1 << 30
_OWN_FILES: Final = 200
"""About what a host opens beside its clients."""
_ZONES: Final = ("Asia/Kolkata", "America/New_York")
_OPTIONAL: Final = {"pyarrow": ("Parquet export", "pip install 'deltastream[parquet]'")}


@click.command()
@configured
@as_json
def doctor(config: str | None, data_dir: str | None, as_json: bool) -> None:
    """Check whether this machine has what a host needs.

    Exit code 1 if something is missing without which a host cannot run.
    """
    from rich.text import Text

    from deltastream.cli._output import clean, console, print_json, state_style, table

    settings = load_configuration(config, data_dir).settings
    findings = list(checks(settings))
    if as_json:
        print_json([dict(zip(("check", "verdict", "found", "remedy"), f, strict=True)) for f in findings])
    else:
        shown = table("", "check", "found")
        for name, verdict, found, remedy in findings:
            text = clean(found)
            if remedy:
                text.append("\n").append_text(clean(remedy)).stylize("dim", len(found))
            shown.add_row(Text(verdict, state_style(verdict)), name, text)
        console().print(shown)
    if any(verdict == "fail" for _, verdict, _, _ in findings):
        click.get_current_context().exit(1)


def checks(settings: Settings) -> Iterator[Finding]:
    """Every finding, in order; a check that breaks is itself a failure."""
    for name, check in (
        ("python", _python),
        ("core", _core),
        ("sqlite", _sqlite),
        ("data directory", lambda: _data_directory(Path(settings.data_dir))),
        ("host", lambda: _host(Path(settings.data_dir))),
        ("gateway", lambda: _gateway(settings)),
        ("sockets", lambda: _sockets(settings)),
        ("disk space", lambda: _space(settings)),
        ("time zones", _time_zones),
        ("terminal", _terminal),
        *((package, _optional(package)) for package in _OPTIONAL),
    ):
        try:
            yield name, *check()
        except Exception as error:
            yield name, "fail", f"the check itself failed: {type(error).__name__}: {error}", ""


Outcome = tuple[Verdict, str, str]


def _python() -> Outcome:
    found = f"{platform.python_implementation()} {platform.python_version()} on {platform.platform()}"
    if sys.version_info < _OLDEST_PYTHON:
        return "fail", found, "Install Python 3.11 or newer."
    return "ok", found, ""


def _core() -> Outcome:
    try:
        from deltastream import _core
    except ImportError as error:
        return "fail", f"the compiled core cannot be imported: {error}", "Build it: make setup"
    found = f"deltastream._core {_core.__version__}, {_core.build_profile} build"
    if _core.build_profile != "release":
        return "warn", found, "It is many times slower than a release build: make setup"
    return "ok", found, ""


def _sqlite() -> Outcome:
    import sqlite3

    found = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        return "fail", found, "Install a Python with SQLite 3.35 or newer."
    with tempfile.TemporaryDirectory() as directory:
        connection = sqlite3.connect(Path(directory) / "try.db")
        try:
            mode = connection.execute("pragma journal_mode = wal").fetchone()[0]
        finally:
            connection.close()
    if mode != "wal":
        return "fail", f"{found}, without write-ahead log", "Use a local file system for temporary files."
    return "ok", f"{found}, write-ahead log, threading mode {sqlite3.threadsafety}", ""


def _data_directory(path: Path) -> Outcome:
    if not path.exists():
        above = next(parent for parent in path.parents if parent.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            return "fail", f"{path} does not exist and cannot be made", "Choose another with --data-dir."
        return "ok", f"{path}, to be made at the first start", ""
    if not path.is_dir():
        return "fail", f"{path} is a file, not a directory", "Choose another with --data-dir."
    try:
        with tempfile.TemporaryFile(dir=path) as probe:
            probe.write(b"\0" * 4096)
    except OSError as error:
        return "fail", f"{path}: {error.strerror}", "Choose another with --data-dir, or correct its rights."
    if path.stat().st_mode & 0o077:
        return "warn", f"{path}, open to other users", f"chmod 700 {path}"
    return "ok", f"{path}, writable", ""


def _host(path: Path) -> Outcome:
    from deltastream.host.data_dir import LAYOUT, DataDirectory

    directory = DataDirectory(path)
    try:
        holder = directory.holder()
    except DeltaStreamError as error:
        return "fail", str(error), "Correct the data directory, or choose another with --data-dir."
    if holder is not None:
        return "ok", f"running, process {holder or 'unknown'}", ""
    if directory.exists():
        text = directory.version.read_text(errors="replace").strip()
        if text.isdigit() and int(text) > LAYOUT:
            return "fail", f"data of a newer version (layout {text})", "Install the newer DeltaStream."
    return "ok", "not running", ""


def _gateway(settings: Settings) -> Outcome:
    """Whether the gateway could begin to listen now; its files, its address, its port."""
    import trio

    from deltastream.accounts import KeyRing
    from deltastream.gateway.exposure import base_url, is_private
    from deltastream.gateway.listening import addresses_of, listening, tls_context
    from deltastream.host.data_dir import DataDirectory
    from deltastream.seams import Seams

    gateway = settings.gateway
    if "gateway" not in settings.actors:
        return "ok", "not among the actors of this host", ""
    seams = Seams.system()
    try:
        addresses = trio.run(addresses_of, gateway, seams)
        tls_context(gateway)
        if gateway.signing_key_file is not None:
            trio.run(KeyRing(Path(gateway.signing_key_file), token_s=0, seams=seams, make=False).open)
        if DataDirectory(Path(settings.data_dir)).holder() is None:
            with listening(addresses[0], gateway.port):
                pass
    except DeltaStreamError as error:
        return "fail", str(error), "`deltastream config show` tells where each setting comes from."
    who = "this machine alone" if is_private(gateway, addresses) else "other machines, too"
    return "ok", f"{base_url(gateway, gateway.port, addresses[0])}, for {who}", ""


def _sockets(settings: Settings) -> Outcome:
    """Whether the socket gateway could begin to listen now, and whether there are files enough for it."""
    import resource

    import msgspec
    import trio

    from deltastream.gateway.exposure import is_private
    from deltastream.gateway.listening import addresses_of, listening
    from deltastream.host.data_dir import DataDirectory
    from deltastream.seams import Seams

    sockets = settings.sockets
    if "sockets" not in settings.actors:
        return "ok", "not among the actors of this host", ""
    there = msgspec.structs.replace(settings.gateway, host=sockets.host)
    try:
        addresses = trio.run(partial(addresses_of, there, Seams.system(), part="sockets"))
        if DataDirectory(Path(settings.data_dir)).holder() is None:
            with listening(addresses[0], sockets.port, part="sockets"):
                pass
    except DeltaStreamError as error:
        return "fail", str(error), "`deltastream config show` tells where each setting comes from."
    who = "this machine alone" if is_private(there, addresses) else "other machines, too"
    found = f"port {sockets.port} of {addresses[0]}, for {who}"
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    wanted = sockets.connections + _OWN_FILES
    if resource.RLIM_INFINITY != files < wanted:
        room = f"{found}; {files:,} open files are room for {max(files - _OWN_FILES, 0):,} clients"
        return "warn", room, f"For sockets.connections of them: ulimit -n {wanted}, or LimitNOFILE."
    return "ok", found, ""


def _space(settings: Settings) -> Outcome:
    from deltastream.cli._output import size

    path = Path(settings.data_dir)
    there = next(p for p in (path, *path.parents) if p.exists())
    free = shutil.disk_usage(there).free
    wanted = settings.bus.max_bytes + settings.store.max_bytes
    found = f"{size(free)} free; journal and store may take {size(wanted)}"
    if free < _LITTLE_SPACE:
        return "fail", found, "Free some space, or choose another disk with --data-dir."
    if free < wanted:
        return "warn", found, "Lower bus.max_bytes and store.max_bytes, or choose another disk."
    return "ok", found, ""


def _time_zones() -> Outcome:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        for zone in _ZONES:
            ZoneInfo(zone)
    except ZoneInfoNotFoundError as error:
        return "fail", f"not found: {error}", "Install tzdata, of the system or from PyPI."
    return "ok", f"{' and '.join(_ZONES)} found", ""


def _terminal() -> Outcome:
    from deltastream.cli._output import console

    out = console()
    if not out.is_terminal:
        return "ok", "standard output is not a terminal: `run` writes JSON lines", ""
    found = f"{out.width} × {out.height}, colours: {out.color_system or 'none'}"
    if out.width < 80:
        return "warn", found, "The live view wants 80 columns."
    return "ok", found, ""


def _optional(package: str) -> Callable[[], Outcome]:
    def look() -> Outcome:
        from importlib.metadata import PackageNotFoundError, version

        purpose, remedy = _OPTIONAL[package]
        try:
            return "ok", f"{package} {version(package)}, for {purpose}", ""
        except PackageNotFoundError:
            return "warn", f"not installed; needed only for {purpose}", remedy

    return look
