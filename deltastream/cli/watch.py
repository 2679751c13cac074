"""``deltastream watch``: rooms of a running host, as a live view or as one JSON object per event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from deltastream.cli._options import as_json, configured, load_configuration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from rich.console import Console

    from deltastream.client import Client, Event
    from deltastream.host.config import Settings

__all__ = ["watch"]

_REFRESH_S = 0.25
_KEY_NAME = "deltastream watch"


@click.command()
@click.argument("rooms", nargs=-1, metavar="ROOM…")
@click.option("--url", help="Of the sockets, as in wss://desk.example/ws; else those of the running host.")
@click.option(
    "--key",
    envvar="DELTASTREAM_KEY",
    show_envvar=True,
    help="An API key or an access token; needed with --url. For the running host one is made meanwhile.",
)
@configured
@as_json
def watch(
    rooms: tuple[str, ...],
    url: str | None,
    key: str | None,
    config: str | None,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Watch rooms until Ctrl-C.

    A ROOM is general (which is watched where none is named), product:NIFTY, chain:NIFTY,
    chain:NIFTY:2026-11-24 or surface:NIFTY. In a terminal they are shown as they are; elsewhere, and
    with --json, every event is one line of JSON.
    """
    from deltastream.cli._backend import run
    from deltastream.cli._interrupt import until_interrupted
    from deltastream.cli._output import console

    if url is not None and key is None:
        raise click.UsageError("--url needs --key, or DELTASTREAM_KEY.")
    settings = load_configuration(config, data_dir).settings
    out = console()
    live = out.is_terminal and not as_json
    names = tuple(dict.fromkeys(rooms)) or ("general",)

    async def main() -> None:
        async with _connected(settings, url, key) as client:
            await _enter(client, names)
            await (_show(client, names, out) if live else _print(client))

    async def interruptible() -> None:
        await until_interrupted(main)

    run(interruptible)


def _connected(settings: Settings, url: str | None, key: str | None) -> AbstractAsyncContextManager[Client]:
    """A client of that address, or of the running host."""
    from contextlib import asynccontextmanager, nullcontext

    from deltastream.cli._accounts import operator_key
    from deltastream.cli._backend import open_backend
    from deltastream.client import ClientError, connect

    @asynccontextmanager
    async def opened() -> AsyncIterator[Client]:
        where = url
        if where is None:
            async with open_backend(settings, need_host=True) as backend:
                sockets = (await backend.call("status")).get("sockets") or {}
            where = sockets.get("url")
        if where is None:
            raise ClientError('The host serves no sockets; its setting "actors" leaves them out.')
        given: AbstractAsyncContextManager[str | Callable[[], Awaitable[str]]]
        given = operator_key(settings, _KEY_NAME) if key is None else nullcontext(key)
        async with given as token, connect(where, token=token, encoding="msgpack") as client:
            yield client

    @asynccontextmanager
    async def explained() -> AsyncIterator[Client]:
        inside = False
        try:
            async with opened() as client:
                inside = True
                yield client
        except (OSError, TimeoutError) as error:
            if inside:
                raise
            raise ClientError(f"Nobody answers at {url or 'the address of the sockets'}: {error}.") from None

    return explained()


async def _enter(client: Client, rooms: tuple[str, ...]) -> None:
    """Enter the rooms; those that are refused are told, and it is an error where that is all of them."""
    from deltastream.client import ClientError

    entered = await client.subscribe(*rooms)
    told = [f"{room}: {message}" for room, message in entered.refused.items()]
    if not entered.ok:
        raise ClientError("\n".join(told))
    for line in told:
        click.echo(line, err=True)


async def _print(client: Client) -> None:
    """One line per event. A reader that is gone raises BrokenPipeError."""
    from deltastream.cli._output import print_json

    async for event in client:
        print_json(_plain(event), indent=False)


def _plain(event: Event) -> dict[str, Any]:
    """An event as JSON has it: columns with null where a number is not there."""
    import re
    from dataclasses import fields

    from deltastream.client import Chain

    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()
    plain: dict[str, Any] = {"event": name}
    for one in fields(event):
        value = getattr(event, one.name)
        if isinstance(value, Chain):
            columns = {name: column.tolist() for name, column in value.columns.items()}
            plain |= {"chain": {**value.head, "ts": value.ts, "columns": columns}}  # NaN is written as null
        elif one.name == "head":
            plain["head"] = dict(value)
        else:
            plain[one.name] = value
    return plain


async def _show(client: Client, rooms: tuple[str, ...], out: Console) -> None:
    """A screen that follows the events, four times a second at most."""
    import trio
    from rich.live import Live

    from deltastream.cli._watch_view import Screen
    from deltastream.seams import Seams

    clock = Seams.system().clock
    screen = Screen(rooms)

    async def draw(live: Live) -> None:
        while True:
            live.update(screen.lines(clock.now_ns(), out.width, out.height), refresh=True)
            await trio.sleep(_REFRESH_S)

    with Live(console=out, screen=True, auto_refresh=False) as live:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(draw, live)
            async for event in client:
                screen.take(event, clock.now_ns())
