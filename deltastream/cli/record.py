"""``deltastream record``: the messages of a running host's bus in a file, to be replayed."""

from __future__ import annotations

import base64
import signal
from typing import Any, Final

import click

from deltastream.cli._options import configured, load_configuration

__all__ = ["record"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@click.command()
@click.argument("file", type=click.Path())
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@configured
def record(file: str, patterns: tuple[str, ...], config: str | None, data_dir: str | None) -> None:
    """Write messages of a running host's bus to a new FILE, until Ctrl-C.

    A PATTERN is a topic or a prefix with a final asterisk; without one, everything the market said
    ('market.*') is recorded. Replay it with: deltastream run --replay FILE
    """
    import trio

    from deltastream.cli._backend import open_backend, run
    from deltastream.cli._output import age, console, size
    from deltastream.feeds.recording import RecordingWriter

    settings = load_configuration(config, data_dir).settings
    err = console(stderr=True)
    missing = 0

    async def main() -> None:
        async with open_backend(settings, need_host=True) as backend:
            with RecordingWriter(file) as writer, err.status(f"Recording to {file}; Ctrl-C ends") as shown:

                async def take(item: dict[str, Any]) -> None:
                    nonlocal missing
                    if gap := item.get("gap"):
                        missing += gap["last"] - gap["first"] + 1
                    else:
                        writer.write([(item["topic"], base64.b64decode(item["frame"]))])

                async def show() -> None:
                    start = trio.current_time()
                    while True:
                        await trio.sleep(0.5)
                        took = age(trio.current_time() - start)
                        shown.update(f"{writer.records:,} messages, {size(writer.size)}, {took}; Ctrl-C ends")

                async with trio.open_nursery() as nursery:
                    with trio.open_signal_receiver(*_SIGNALS) as signals:
                        nursery.start_soon(_cancel_on, signals, nursery.cancel_scope)
                        nursery.start_soon(show)
                        chosen = patterns or ("market.*",)
                        await backend.stream("bus.tail", take, patterns=chosen, last=0, follow=True)
            lost = f"; {missing:,} were gone before they could be recorded" if missing else ""
            click.echo(f"{writer.records:,} messages in {file} ({size(writer.size)}){lost}", err=True)

    run(main)


async def _cancel_on(signals: Any, scope: Any) -> None:
    async for _ in signals:
        scope.cancel(reason="interrupted")
