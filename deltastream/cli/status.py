"""``deltastream status``: the tree of a running host, the bus in figures, sizes on disk."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import click

from deltastream.cli._options import as_json, configured, load_configuration

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.text import Text
    from rich.tree import Tree

    from deltastream.host.config import Settings

__all__ = ["render", "status"]

_WATCH_S: Final = 1.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@click.command()
@configured
@as_json
@click.option("--watch", is_flag=True, help="Show it anew every second, until Ctrl-C.")
def status(config: str | None, data_dir: str | None, as_json: bool, watch: bool) -> None:
    """Show the actors, the bus and the sizes of a host.

    Where no host runs, it says so and tells what the files hold.
    """
    from deltastream.cli._backend import ask
    from deltastream.cli._output import console, print_json

    settings = load_configuration(config, data_dir).settings
    if watch:
        _watch(settings, as_json)
    elif as_json:
        print_json(ask(settings, "status"))
    else:
        console().print(render(ask(settings, "status"), settings))


def _watch(settings: Settings, as_json: bool) -> None:
    """Show the host every second: on a screen of its own in a terminal, one after the other elsewhere."""
    import trio
    from rich.live import Live

    from deltastream.cli._backend import open_backend, run
    from deltastream.cli._output import console, print_json

    out = console()

    async def watch() -> None:
        async with open_backend(settings, need_host=True) as backend:
            plain = await backend.call("status")
            with ExitStack() as screen:
                live = None
                if out.is_terminal and not as_json:
                    live = screen.enter_context(Live(console=out, screen=True, auto_refresh=False))
                while True:
                    if as_json:
                        print_json(plain, indent=False)
                    elif live is None:
                        _write(out, render(plain, settings))
                    else:
                        live.update(render(plain, settings), refresh=True)
                    await trio.sleep(_WATCH_S)
                    plain = await backend.call("status")

    async def until_interrupted() -> None:
        async with trio.open_nursery() as nursery:
            with trio.open_signal_receiver(*_SIGNALS) as signals:
                nursery.start_soon(watch)
                await signals.__anext__()
                nursery.cancel_scope.cancel(reason="interrupted")

    run(until_interrupted)


def _write(out: Console, frame: Group) -> None:
    """Write a frame and an empty line at once; a reader that is gone raises BrokenPipeError."""
    with out.capture() as captured:
        out.print(frame)
    sys.stdout.write(captured.get() + "\n")
    sys.stdout.flush()


def render(plain: dict[str, Any], settings: Settings) -> Group:
    """The answer of the operation "status" for people."""
    from rich.console import Group
    from rich.text import Text

    from deltastream.cli._output import clean

    parts: list[Any] = [_headline(plain)]
    if plain["tree"] is not None:
        parts += [Text(), _tree(plain["tree"])]
    for name, error in plain["errors"].items():
        parts += [Text(), Text.assemble((f"{name}  ", "bold"), (clean(error).plain, "bold red"))]
    if plain["bus"] is not None:
        parts += [Text(), _bus(plain["bus"], plain["running"])]
        if plain["bus"]["groups"]:
            parts += [Text(), _groups(plain["bus"]["groups"])]
    if plain["sockets"] is not None:
        parts += [Text(), _sockets(plain["sockets"])]
    return Group(*parts, Text(), _sizes(plain, settings))


def _headline(plain: dict[str, Any]) -> Text:
    from rich.text import Text

    from deltastream.cli._output import age, clean, state_style

    text = Text.assemble(("DeltaStream ", "bold"), plain["version"], "  ")
    if plain["running"]:
        uptime = age(plain["tree"]["uptime_s"])
        text.append(f"running for {uptime}", state_style("running"))
        text.append(f", process {plain['pid']}, feed {plain['feed']}")
    else:
        text.append("no host is running; this is what its files hold", "yellow")
    text.append("\n").append_text(clean(plain["data_dir"]))
    if plain.get("gateway"):
        text.append("\n").append_text(clean(plain["gateway"]))
    if (sockets := plain.get("sockets")) and sockets["url"]:
        text.append("\n").append_text(clean(sockets["url"]))
    return text


def _tree(plain: dict[str, Any], above: Tree | None = None) -> Tree:
    from rich.tree import Tree

    node = Tree(_actor(plain), guide_style="dim") if above is None else above.add(_actor(plain))
    for child in plain.get("children", ()):
        _tree(child, node)
    return node


def _actor(plain: dict[str, Any]) -> Text:
    from rich.text import Text

    from deltastream.cli._output import age, clean, state_style

    text = Text.assemble((plain["name"], "bold"), "  ", (plain["state"], state_style(plain["state"])))
    text.append(f"  {age(plain['uptime_s'])}", "dim")
    if plain["reason"]:
        text.append("  ").append_text(clean(plain["reason"]))
    if plain["restart_in_s"] is not None:
        text.append(f"  again in {age(plain['restart_in_s'])}", "yellow")
    if plain["restarts"]:
        text.append(f"  {plain['restarts']} restarts", "yellow")
    for box in plain["mailboxes"]:
        lost = f", {box['dropped']} dropped" if box["dropped"] else ""
        text.append(f"  {box['name']} {box['depth']}/{box['capacity']}{lost}", "dim")
    if plain["last_error"]:
        error = plain["last_error"]
        text.append("  last error: ", "red").append_text(clean(f"{error['type']}: {error['message']}"[:160]))
    return text


def _bus(plain: dict[str, Any], running: bool) -> Text:
    from rich.text import Text

    from deltastream.cli._output import clean, state_style

    text = Text.assemble(("bus  ", "bold"))
    if running:
        text.append(f"{plain['state']}  ", state_style(plain["state"]))
        if plain["reason"]:
            text.append_text(clean(plain["reason"])).append("  ")
    last = sum(topic["last_seq"] for topic in plain["topics"])
    text.append(
        f"{len(plain['topics'])} topics, {last:,} messages so far, {plain['pending']:,} not yet committed"
    )
    return text


def _groups(groups: list[dict[str, Any]]) -> Any:
    from deltastream.cli._output import table

    counts = ("lag", "in_flight", "retrying", "dead", "lost")
    sums: dict[str, dict[str, int]] = {}
    for group in groups:
        total = sums.setdefault(group["group"], dict.fromkeys(("topics", *counts), 0))
        total["topics"] += 1
        for count in counts:
            total[count] += group[count]
    headings = ("topics", "lag", "in flight", "retrying", "dead letters", "lost")
    shown = table("group", *headings, right=headings)
    for name, total in sums.items():
        style = "yellow" if total["dead"] or total["lost"] else None
        shown.add_row(name, *(f"{count:,}" for count in total.values()), style=style)
    return shown


def _sockets(plain: dict[str, Any]) -> Text:
    from rich.text import Text

    text = Text.assemble(
        ("sockets  ", "bold"),
        f"{plain['connections']:,} connections in {plain['rooms']:,} rooms,"
        f" {plain['frames']:,} frames in {plain['writes']:,} writes",
    )
    if plain["passed"]:
        text.append(f", {plain['passed']:,} passed over slow clients", "yellow")
    return text


def _sizes(plain: dict[str, Any], settings: Settings) -> Text:
    from rich.text import Text

    from deltastream.cli._output import clean, size, state_style

    disk, store = plain["bytes_on_disk"], plain["store"]
    text = Text.assemble(("journal  ", "bold"), f"{size(disk['journal'])} of {size(settings.bus.max_bytes)}")
    text.append("   store  ", "bold").append(f"{size(disk['store'])} of {size(settings.store.max_bytes)}  ")
    if plain["running"] and store is not None:
        text.append(store["state"], state_style(store["state"]))
        if store["reason"]:
            text.append("  ").append_text(clean(store["reason"]))
    if lag := plain["loop_lag"]:
        p99, most = lag["p99"], lag["maximum"]
        if p99 is not None:
            text.append("   loop lag  ", "bold").append(f"p99 {p99 * 1e3:.1f} ms, most {most * 1e3:.1f} ms")
    return text
