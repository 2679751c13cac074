"""``deltastream dlq``: the messages that a group could not process."""

from __future__ import annotations

from typing import Any, Literal

import click

from deltastream.cli._options import as_json, configured, load_configuration

__all__ = ["dlq"]


@click.group()
def dlq() -> None:
    """List, show, replay or drop dead letters.

    Works on a running host, and on the files where none runs: a letter replayed then is handed to
    its group when the next host starts.
    """


@dlq.command("list")
@click.option("--group", help="Only those of this group.")
@configured
@as_json
def list_letters(group: str | None, config: str | None, data_dir: str | None, as_json: bool) -> None:
    """List dead letters, oldest first."""
    from deltastream.cli._backend import ask
    from deltastream.cli._output import clean, console, instant, print_json, table

    letters = ask(load_configuration(config, data_dir).settings, "dlq.list", group=group)
    if as_json:
        return print_json(letters)
    if not letters:
        return click.echo("No dead letters.")
    shown = table("id", "since", "group", "message", "attempts", "error", right=("attempts",))
    for letter in letters:
        message = clean(f"{letter['topic']} #{letter['seq']}")
        cells = (letter["id"], instant(letter["ts"]), letter["group"], message, str(letter["attempts"]))
        shown.add_row(*cells, clean(letter["error"]))
    return console().print(shown)


@dlq.command()
@click.argument("letter")
@configured
@as_json
def show(letter: str, config: str | None, data_dir: str | None, as_json: bool) -> None:
    """Show one dead letter: the error, its traceback and the message."""
    import json

    from deltastream.cli._backend import ask
    from deltastream.cli._output import clean, instant, print_json

    plain = ask(load_configuration(config, data_dir).settings, "dlq.show", letter=letter)
    if as_json:
        return print_json(plain)
    click.echo(f"{plain['topic']} #{plain['seq']}, group {plain['group']}")
    click.echo(f"{plain['attempts']} attempts until {instant(plain['ts'])}\n")
    for line in (plain["trace"] or plain["error"]).splitlines():
        click.echo(clean(line).plain)
    click.echo()
    if plain["message"] is None:
        return click.echo(f"The message cannot be read: {plain['message_error']}")
    columns: dict[str, list[Any]] = plain["message"].pop("columns", {})
    for name, value in plain["message"].items():
        click.echo(f"{name}: {json.dumps(value)}")
    for name, values in columns.items():
        click.echo(f"{name}: {json.dumps(values)}")
    return None


def _each(
    operation: Literal["replay", "drop"],
    letters: tuple[str, ...],
    every: bool,
    config: str | None,
    data_dir: str | None,
    as_json: bool,
) -> None:
    from deltastream.cli._backend import open_backend, run
    from deltastream.cli._output import print_json

    if bool(letters) == every:
        raise click.UsageError("Name the letters, or give --all.")
    settings = load_configuration(config, data_dir).settings

    async def main() -> list[str]:
        async with open_backend(settings) as backend:
            ids = list(letters) or [letter["id"] for letter in await backend.call("dlq.list")]
            for letter in ids:
                await backend.call(f"dlq.{operation}", letter=letter)
            return ids

    done = run(main)
    past = "dropped" if operation == "drop" else "replayed"
    if as_json:
        print_json({past: done})
    else:
        click.echo(f"{len(done)} dead letter{'' if len(done) == 1 else 's'} {past}.")


@dlq.command()
@click.argument("letters", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All of them.")
@configured
@as_json
def replay(
    letters: tuple[str, ...], every: bool, config: str | None, data_dir: str | None, as_json: bool
) -> None:
    """Hand dead letters to their groups once more."""
    _each("replay", letters, every, config, data_dir, as_json)


@dlq.command()
@click.argument("letters", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All of them.")
@configured
@as_json
def drop(
    letters: tuple[str, ...], every: bool, config: str | None, data_dir: str | None, as_json: bool
) -> None:
    """Forget dead letters."""
    _each("drop", letters, every, config, data_dir, as_json)
