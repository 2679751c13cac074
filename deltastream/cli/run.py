"""``deltastream run``: a host in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deltastream.cli._options import configured, load_configuration

if TYPE_CHECKING:
    from deltastream.host.config import Flag, Settings

__all__ = ["run"]


@click.command()
@configured
@click.option("--feed", type=click.Choice(["synthetic", "replay"]), help="Where the market comes from.")
@click.option(
    "--replay",
    "paths",
    multiple=True,
    metavar="PATH",
    help="Recorded file or directory; implies --feed replay.",
)
@click.option(
    "--speed", metavar="N|max", help="Of the replay: times the original speed, or as fast as possible."
)
@click.option(
    "--session",
    type=click.Choice(["always", "real"]),
    help="Of the synthetic market: around the clock, or by the exchange's calendar.",
)
def run(
    config: str | None,
    data_dir: str | None,
    feed: str | None,
    paths: tuple[str, ...],
    speed: str | None,
    session: str | None,
) -> None:
    """Run a host: feed, analytics and storage, until Ctrl-C.

    In a terminal it shows one line per product; elsewhere it writes JSON log lines. Ctrl-C stops in
    order, a second one at once. A replay with --speed max ends by itself when all has taken effect,
    with exit code 1 if no file could be used.
    """
    if paths and feed == "synthetic":
        raise click.UsageError("--replay and --feed synthetic exclude each other.")
    settings = _settings(config, data_dir, _flags(feed, paths, speed, session), paths)
    if speed and settings.feed != "replay":
        raise click.UsageError("--speed is that of a replay: name one with --replay PATH.")
    if session and settings.feed != "synthetic":
        raise click.UsageError("--session is that of the synthetic market, not of a replay.")
    click.get_current_context().exit(_run(settings))


def _settings(
    config: str | None, data_dir: str | None, flags: tuple[Flag, ...], paths: tuple[str, ...]
) -> Settings:
    """The settings of the host, what it is to replay looked at before anything is made.

    Raises:
        ConfigurationError: with every problem.
    """
    from deltastream.errors import ConfigurationError
    from deltastream.feeds.replay import missing

    try:
        settings = load_configuration(config, data_dir, flags).settings
    except ConfigurationError as error:
        raise ConfigurationError([*error.problems, *(missing(paths) if paths else ())]) from None
    if settings.feed == "replay" and (problems := missing(settings.replay.paths)):
        raise ConfigurationError(problems)
    return settings


def _flags(
    feed: str | None, paths: tuple[str, ...], speed: str | None, session: str | None
) -> tuple[Flag, ...]:
    from deltastream.host.config import Flag

    flags = []
    if feed or paths:
        flags.append(Flag("--feed" if feed else "--replay", "feed", feed or "replay"))
    if paths:
        flags.append(Flag("--replay", "replay.paths", paths, lax=False))
    if speed:
        flags.append(Flag("--speed", "replay.speed", speed))
    if session:
        flags.append(Flag("--session", "synthetic.session", session))
    return tuple(flags)


def _run(settings: Settings) -> int:
    import trio

    from deltastream.cli._faces import face_for
    from deltastream.cli._foreground import supervise
    from deltastream.host.logs import Output
    from deltastream.host.tree import Host
    from deltastream.seams import Seams

    with Output(1) as output:
        seams = Seams.system()
        with face_for(settings, output, seams.clock) as face:
            return trio.run(supervise, Host(settings, seams), face)
