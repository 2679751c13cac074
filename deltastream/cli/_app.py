"""The root command: finds commands lazily and turns errors into sentences and exit codes.

0 done; 1 failed, with one sentence on standard error; 2 wrong usage or configuration; 130 interrupted.
"""

from __future__ import annotations

import difflib
import errno
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

import click

from deltastream.errors import ConfigurationError, DeltaStreamError

__all__ = ["DEBUG", "App", "cli", "main"]

DEBUG: Final = "deltastream.debug"
"""Key in the context's shared `meta`: tracebacks are shown."""

_COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "run": ("run:run", "Run a host: feed, analytics, storage."),
    "analyze": ("analyze:analyze", "Compute the metrics of recorded chains, without a host."),
    "status": ("status:status", "Show the actors, the bus and the sizes of a host."),
    "watch": ("watch:watch", "Watch rooms of a running host: prices, chains, surfaces."),
    "bus": ("bus:bus", "Look at the messages on the bus."),
    "dlq": ("dlq:dlq", "List, show, replay or drop dead letters."),
    "record": ("record:record", "Write messages of a running host's bus to a file."),
    "export": ("export:export", "Write a stored series as CSV or Parquet."),
    "user": ("user:user", "List, add and change users, and let them in."),
    "key": ("key:key", "List, create and revoke API keys."),
    "config": ("config:config", "Show the configuration and where it comes from."),
    "sim": ("sim:sim", "Simulate a host with everything that goes wrong."),
    "doctor": ("doctor:doctor", "Check whether this machine has what a host needs."),
}


_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a full or failing disk answers."""


class App(click.Group):
    """A group whose commands live in modules of their own."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse; help and version are written meanwhile, or cannot be."""
        try:
            return super().make_context(*args, **extra)
        except OSError as error:
            sys.exit(_explained(error))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which a newcomer meets them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        if name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[name][0].partition(":")
        command: click.Command = getattr(import_module(f"deltastream.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or propose the one that was meant."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever it raises becomes a sentence and an exit code."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except (click.exceptions.Exit, click.Abort, click.ClickException):
            raise
        except BaseException as error:
            if ctx.meta.get(DEBUG):
                traceback.print_exc()
            ctx.exit(_explained(error))
        return result


def _explained(error: BaseException) -> int:
    """Say on standard error what went wrong; the exit code."""
    leaves = list(_leaves(error))
    if any(isinstance(leaf, BrokenPipeError) for leaf in leaves):  # `… | head` has seen enough
        _give_up_output()
        return 0
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return 130
    for leaf in leaves:
        if not isinstance(leaf, Exception):
            raise error
    wrong = [leaf for leaf in leaves if isinstance(leaf, ConfigurationError)]
    if wrong:
        problems = [problem for leaf in wrong for problem in leaf.problems]
        click.echo("The configuration is not valid:", err=True)
        click.echo("\n".join(f"  {problem}" for problem in problems), err=True)
        return 2
    for leaf in leaves:
        if isinstance(leaf, OSError) and leaf.errno in _NO_ROOM:
            _give_up_output()
            click.echo(f"{leaf.filename or 'The output'} cannot be written: {leaf.strerror}.", err=True)
            return 1
    known = dict.fromkeys(str(leaf) for leaf in leaves if isinstance(leaf, DeltaStreamError))
    if known and len(known) == len({str(leaf) for leaf in leaves}):
        click.echo(" ".join(known), err=True)
        return 1
    unknown = next(leaf for leaf in leaves if not isinstance(leaf, DeltaStreamError))
    text = f"{type(unknown).__name__}: {unknown}".rstrip(": ")
    click.echo(f"A defect of DeltaStream: {text} (--debug shows where).", err=True)
    return 1


def _give_up_output() -> None:
    """Let what is still buffered for standard output go nowhere when the process ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _leaves(member)
    else:
        yield error


def _show_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"DeltaStream {version('deltastream')}")
        ctx.exit()


def _remember_debug(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[DEBUG] = True


@click.group(cls=App, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=_remember_debug,
    envvar="DELTASTREAM_DEBUG",
    show_envvar=True,
    help="Show tracebacks of errors.",
)
def cli() -> None:
    """Real-time option analytics on this machine.

    `deltastream run` starts a host on a synthetic market; the other commands look at it.
    """


def main() -> None:
    """Run the command line; exits the process."""
    cli(prog_name="deltastream")
