"""What most commands share: configuration, data directory, machine-readable output."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from deltastream.host.config import Configuration, Flag

__all__ = ["as_json", "configured", "load_configuration"]

F = TypeVar("F", bound=Callable[..., Any])


def configured(command: F) -> F:
    """Add ``--config`` and ``--data-dir``; the command takes `config` and `data_dir`."""
    config = click.option(
        "--config",
        metavar="FILE",
        help="Configuration in TOML; else the one that $DELTASTREAM_CONFIG names, if any.",
    )
    data_dir = click.option(
        "--data-dir",
        metavar="DIR",
        help="Where journal, store and control socket live; else data_dir of the configuration, "
        "else $XDG_DATA_HOME/deltastream (~/.local/share/deltastream).",
    )
    return config(data_dir(command))


def as_json(command: F) -> F:
    """Add ``--json``; the command takes `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")(command)


def load_configuration(
    config: str | None, data_dir: str | None, flags: tuple[Flag, ...] = ()
) -> Configuration:
    """The configuration with these flags on top.

    Raises:
        ConfigurationError: with every problem.
    """
    from deltastream.host.config import Flag, load

    if data_dir is not None:
        flags = (*flags, Flag("--data-dir", "data_dir", data_dir))
    return load(config, flags=flags)
