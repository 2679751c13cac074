"""``deltastream config``: what is set, and where."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import click

from deltastream.cli._options import as_json, configured, load_configuration

if TYPE_CHECKING:
    from deltastream.host.config import Configuration

__all__ = ["config"]


@click.group()
def config() -> None:
    """Show the configuration and where it comes from."""


@config.command()
@configured
@click.option(
    "--format", "style", type=click.Choice(["table", "toml"]), default="table", help="Default: table."
)
@as_json
def show(config: str | None, data_dir: str | None, style: Literal["table", "toml"], as_json: bool) -> None:
    """Show every setting and where it comes from.

    That is: the default, a file, the environment or a flag.
    """
    configuration = load_configuration(config, data_dir)
    if as_json:
        _print_json(configuration)
    elif style == "toml":
        click.echo(toml(configuration), nl=False)
    else:
        _print_table(configuration)


def _print_json(configuration: Configuration) -> None:
    from deltastream.cli._output import print_json

    rows = configuration.rows()
    print_json(
        {path: {"value": value, "origin": origin.kind, "name": origin.name} for path, value, origin in rows}
    )


def _print_table(configuration: Configuration) -> None:
    from deltastream.cli._output import clean, console, table

    shown = table("setting", "value", "from")
    for path, value, origin in configuration.rows():
        style = "dim" if origin.kind == "default" else "bold"
        cells = [clean(path), clean(_toml_value(value)), clean(str(origin))]
        cells[2].stylize(style)
        shown.add_row(*cells)
    console().print(shown, soft_wrap=True)


def toml(configuration: Configuration) -> str:
    """The configuration as a TOML file; what has no value is a comment."""
    sections: dict[str, list[str]] = {"": []}
    for path, value, origin in configuration.rows():
        section, _, key = path.rpartition(".")
        line = f"{_key(key)} = {_toml_value(value)}"
        remark = "" if origin.kind == "default" else f"  # {str(origin)!r}"
        lines = sections.setdefault(section, [f"\n[{section}]"])
        lines.append(f"# {_key(key)} has no value" if value is None else f"{line}{remark}")
    return "\n".join(line for lines in sections.values() for line in lines) + "\n"


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("-", "_").isidentifier()
    return key if bare else json.dumps(key)


def _toml_value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    return repr(value)
