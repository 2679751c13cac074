"""The configuration: one frozen tree from defaults, file, environment and flags, in that order.

The file is TOML, named by ``--config`` or ``DELTASTREAM_CONFIG``; no file is looked for anywhere
else, so that what runs never depends on where it was started.

A setting ``bus.retry.max_attempts`` is the variable ``DELTASTREAM_BUS__RETRY__MAX_ATTEMPTS``: two
underscores for each dot. Keys of a table that is free in its keys keep their spelling
(``DELTASTREAM_ANALYTICS__RATES__INR``). A list is a JSON array or items separated by commas; an
empty variable counts as not set.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from deltastream.accounts.settings import AccountSettings
from deltastream.analytics.settings import AnalyticsSettings
from deltastream.bus.settings import BusSettings
from deltastream.errors import ConfigurationError
from deltastream.feeds.replay import ReplaySettings
from deltastream.feeds.synthetic import SyntheticSettings
from deltastream.gateway import exposure
from deltastream.gateway.settings import GatewaySettings
from deltastream.host.layers import Given, Origin, build, child_type, leaves
from deltastream.sockets.settings import SocketSettings
from deltastream.storage.settings import StoreSettings

__all__ = ["PIPELINE", "Actor", "Configuration", "Flag", "LogSettings", "Settings", "load"]

Actor = Literal["feed", "enricher", "storage", "analytics", "auth", "gateway", "sockets"]
PIPELINE: Final[tuple[Actor, ...]] = ("feed", "enricher", "storage", "analytics")
"""The actors that let no stranger in."""

PREFIX: Final = "DELTASTREAM_"
CONFIG_VARIABLE: Final = "DELTASTREAM_CONFIG"
_NOT_SETTINGS: Final = frozenset({CONFIG_VARIABLE, "DELTASTREAM_DEBUG"})
_SERVICE_LINK: Final = re.compile(r"DELTASTREAM_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP)(_\w+)?)?)")
"""What Kubernetes puts into the environment of every pod beside a service named `deltastream`."""
_MOST_FILE_BYTES: Final = 1 << 20


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is logged, and how.

    Attributes:
        level: the least severe lines that are written.
        format: "json" lines, "text" for people, or "auto": text in a terminal, JSON elsewhere.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set on one host.

    Attributes:
        data_dir: absolute path of the directory that holds journal, store and control socket;
            default ``$XDG_DATA_HOME/deltastream``, that is ``~/.local/share/deltastream``.
        actors: which run on this host; all of them unless given.
        feed: where market data comes from.
        log, bus, store, synthetic, replay, analytics, accounts, gateway, sockets: settings of the parts.
    """

    data_dir: Annotated[str, msgspec.Meta(min_length=1)]
    actors: tuple[Actor, ...] = (*PIPELINE, "auth", "gateway", "sockets")
    feed: Literal["synthetic", "replay"] = "synthetic"
    log: LogSettings = LogSettings()
    bus: BusSettings = BusSettings()
    store: StoreSettings = StoreSettings()
    synthetic: SyntheticSettings = SyntheticSettings()
    replay: ReplaySettings = ReplaySettings()
    analytics: AnalyticsSettings = AnalyticsSettings()
    accounts: AccountSettings = AccountSettings()
    gateway: GatewaySettings = GatewaySettings()
    sockets: SocketSettings = SocketSettings()


@dataclass(frozen=True, slots=True)
class Flag:
    """A setting given on the command line.

    Attributes:
        name: the flag as typed, for messages.
        path: dotted path of the setting.
        lax: the value is text as typed, to be read as the setting's type.
    """

    name: str
    path: str
    value: Any
    lax: bool = True


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings and where each came from.

    Attributes:
        settings: the tree.
        origins: by dotted path of every leaf.
    """

    settings: Settings
    origins: Mapping[str, Origin]

    def rows(self) -> list[tuple[str, Any, Origin]]:
        """Path, value and origin of every setting, in order of declaration."""
        return [(path, value, self.origins[path]) for path, value in leaves(self.settings)]


def load(
    file: str | Path | None = None,
    *,
    flags: tuple[Flag, ...] = (),
    environ: Mapping[str, str] | None = None,
) -> Configuration:
    """Put the layers together.

    Args:
        file: TOML; None: the one named by ``DELTASTREAM_CONFIG``, if any.
        flags: from the command line; they prevail over everything.
        environ: the process's own unless given.

    Raises:
        ConfigurationError: with one sentence for every problem in any layer.
    """
    environ = os.environ if environ is None else environ
    file = file or environ.get(CONFIG_VARIABLE) or None
    problems: list[str] = []
    layers = [Given({"data_dir": _default_data_dir(environ)}, Origin("default"))]
    if file is not None:
        try:
            layers.append(Given(_read(Path(file)), Origin("file", str(file))))
        except ConfigurationError as error:
            problems += error.problems
    layers += [
        _from_environment(name, environ[name]) for name in sorted(environ) if _is_setting(name, environ)
    ]
    layers += [_nested(f.path.split("."), Given(f.value, Origin("flag", f.name), f.lax)) for f in flags]
    try:
        settings, origins = build(Settings, layers)
    except ConfigurationError as error:
        raise ConfigurationError(problems + error.problems) from None
    if problems := [*problems, *_contradictions(settings)]:
        raise ConfigurationError(problems)
    return Configuration(_with_whole_paths(settings), origins)


def _with_whole_paths(settings: Settings) -> Settings:
    """Paths as they are from wherever somebody works."""
    files = {
        name: _whole(path)
        for name in ("certificate", "certificate_key", "signing_key_file")
        if (path := getattr(settings.gateway, name)) is not None
    }
    gateway = msgspec.structs.replace(settings.gateway, **files)
    return msgspec.structs.replace(settings, data_dir=_whole(settings.data_dir), gateway=gateway)


def _whole(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _contradictions(settings: Settings) -> Iterator[str]:
    """What is wrong with several settings together."""
    actors = settings.actors
    if not actors:
        yield "actors: a host without actors does nothing; name some, or leave it out for all of them"
    for name in dict.fromkeys(name for name in actors if actors.count(name) > 1):
        yield f"actors: {name} is named twice"
    for name in ("gateway", "sockets"):
        if name in actors and "auth" not in actors:
            yield f"actors: {name} needs auth, which tells it who may do what"
    wrong = exposure.problems(settings.gateway)
    if "gateway" in actors and not wrong:
        wrong = exposure.exposed(settings.gateway)
    yield from (f"gateway.{problem}" for problem in wrong)
    if "sockets" in actors:
        yield from _contradictions_of_sockets(settings, gateway_is_wrong=bool(wrong))


def _contradictions_of_sockets(settings: Settings, *, gateway_is_wrong: bool) -> Iterator[str]:
    """What is wrong with where sockets are served; who may open them is the gateway's to say."""
    sockets, gateway = settings.sockets, settings.gateway
    there = msgspec.structs.replace(gateway, host=sockets.host)
    wrong = [problem for problem in exposure.problems(there) if problem.startswith("host:")]
    if not wrong and not gateway_is_wrong:
        wrong = exposure.exposed(there)
    yield from (f"sockets.{problem}" for problem in wrong)
    if "gateway" in settings.actors and sockets.port == gateway.port != 0 and sockets.host == gateway.host:
        yield f"sockets.port: {sockets.port} is the gateway's as well; give another, or 0 for any"


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}"]) from error
    except ValueError as error:  # a NUL in the name
        raise ConfigurationError([f"{str(path)!r}: not a file name: {error}"]) from error
    if len(data) > _MOST_FILE_BYTES:
        raise ConfigurationError([f"{path}: larger than {_MOST_FILE_BYTES} bytes, not a configuration"])
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"{path}: not UTF-8 at byte {error.start}"]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError([f"{path}: not TOML: {error}"]) from error


def _is_setting(name: str, environ: Mapping[str, str]) -> bool:
    named = name.startswith(PREFIX) and name not in _NOT_SETTINGS and not _SERVICE_LINK.fullmatch(name)
    return named and environ[name] != ""


def _from_environment(name: str, text: str) -> Given:
    kind: Any = Settings
    path = []
    for part in name.removeprefix(PREFIX).split("__"):
        kind, key = child_type(kind, part)
        path.append(key)
    return _nested(path, Given(text, Origin("env", name), lax=True))


def _nested(path: list[str], given: Given) -> Given:
    value = given.value
    for key in reversed(path):
        value = {key: value}
    return Given(value, given.origin, given.lax)


def _default_data_dir(environ: Mapping[str, str]) -> str:
    base = environ.get("XDG_DATA_HOME", "")
    if not base.startswith("/"):  # the XDG specification: relative paths are to be ignored
        base = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local", "share")
    return os.path.join(base, "deltastream")
