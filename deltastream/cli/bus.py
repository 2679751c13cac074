"""``deltastream bus``: the messages, as they come or in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from deltastream.cli._options import as_json, configured, load_configuration

if TYPE_CHECKING:
    from deltastream.bus.protocol import Gap, Record
    from deltastream.messages import Message

__all__ = ["bus"]


@click.group()
def bus() -> None:
    """Look at the messages on the bus."""


@bus.command()
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option(
    "-n",
    "last",
    type=click.IntRange(0, 1000),
    default=10,
    show_default=True,
    help="Begin with the newest so many.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@configured
@as_json
def tail(
    patterns: tuple[str, ...],
    last: int,
    follow: bool,
    config: str | None,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Show messages: of all topics, or of those that a PATTERN names.

    A PATTERN is a topic (market.tick.NIFTY) or a prefix with a final asterisk ('enriched.*').
    Times are UTC. With --json a line is {"topic", "epoch", "seq", "message"}, or "gap" in place of
    "message".
    """
    import sys

    from deltastream.bus.protocol import matches
    from deltastream.cli._backend import open_backend, run
    from deltastream.host.operations import item_of

    settings = load_configuration(config, data_dir).settings
    line = _json_line if as_json else _text_line

    async def take(item: dict[str, Any]) -> None:
        sys.stdout.write(line(item_of(item)) + "\n")
        sys.stdout.flush()

    async def main() -> None:
        async with open_backend(settings, need_host=follow) as backend:
            topics = [topic["topic"] for topic in (await backend.call("bus.stats"))["topics"]]
            for pattern in patterns:
                if not any(matches(pattern, topic) for topic in topics):
                    click.echo(f"No topic matches {pattern!r}{' yet' if follow else ''}.", err=True)
            await backend.stream("bus.tail", take, patterns=patterns or ("*",), last=last, follow=follow)

    try:
        run(main)
    except KeyboardInterrupt:
        if not follow:
            raise


def _json_line(item: Record | Gap) -> str:
    import msgspec

    from deltastream.bus.protocol import Gap
    from deltastream.messages import to_builtins

    if isinstance(item, Gap):
        gap = {"first": item.first, "last": item.last, "reason": item.reason, "new_epoch": item.new_epoch}
        return msgspec.json.encode({"topic": item.topic, "epoch": item.epoch, "gap": gap}).decode()
    head = {"topic": item.topic, "epoch": item.position.epoch, "seq": item.position.seq}
    return msgspec.json.encode({**head, "message": to_builtins(item.message)}).decode()


def _text_line(item: Record | Gap) -> str:
    from deltastream.bus.protocol import Gap
    from deltastream.cli._output import clean

    if isinstance(item, Gap):
        missing = f"{item.first} to {item.last} are missing" if item.last >= item.first else "none is missing"
        return f"{item.topic}  {missing}: {item.reason}"
    head = f"{_time(item.message)}  {item.topic} #{item.position.seq}"
    return clean(f"{head:<56}  {_summary(item.message)}").plain


def _time(message: Message) -> str:
    from deltastream.cli._output import instant

    stamp = next(
        (getattr(message, name) for name in ("ts_event", "ts", "start") if hasattr(message, name)), 0
    )
    return instant(stamp)


def _summary(message: Message) -> str:
    from deltastream.cli._output import number, percent
    from deltastream.messages import EnrichedChain, OptionChain, VolatilitySurface

    if isinstance(message, OptionChain | EnrichedChain):
        spot = "-" if message.spot is None else _value("spot", message.spot)
        text = f"{message.root} {message.expiry}, {len(message.strikes)} strikes, spot {spot}"
        if isinstance(message, EnrichedChain):
            text += f", ATM IV {percent(message.atm_iv)}, PCR {number(message.pcr_oi)}"
        return text
    if isinstance(message, VolatilitySurface):
        return f"{len(message.slices)} expiries"
    hidden = {"type", "v", "product", "ts_event", "ts_recv", "ts", "frame", "trace"}
    fields = {name: getattr(message, name) for name in message.__struct_fields__ if name not in hidden}
    return ", ".join(f"{name} {_value(name, value)}" for name, value in fields.items() if value is not None)


def _value(name: str, value: Any) -> str:
    from deltastream.cli._output import exact, instant

    if name == "since":
        return instant(value)
    return exact(value) if isinstance(value, float) else str(value)


@bus.command()
@configured
@as_json
def stats(config: str | None, data_dir: str | None, as_json: bool) -> None:
    """Show every topic and every group with its lag."""
    from deltastream.cli._backend import ask
    from deltastream.cli._output import age, console, print_json, size, table
    from deltastream.seams import Seams

    plain = ask(load_configuration(config, data_dir).settings, "bus.stats")
    if as_json:
        return print_json(plain)
    now = Seams.system().clock.now_ns()
    numbers = ("first", "last", "size", "newest")
    topics = table("topic", *numbers, right=numbers)
    for topic in plain["topics"]:
        ago = "-" if topic["last_ts"] is None else f"{age((now - topic['last_ts']) / 1e9)} ago"
        topics.add_row(
            topic["topic"], f"{topic['first_seq']:,}", f"{topic['last_seq']:,}", size(topic["bytes"]), ago
        )
    counts = ("acked", "lag", "in_flight", "retrying", "dead", "lost")
    groups = table("group", "topic", *counts, right=counts)
    for group in plain["groups"]:
        style = "yellow" if group["dead"] or group["lost"] else None
        groups.add_row(
            group["group"], group["topic"], *(f"{group[count]:,}" for count in counts), style=style
        )
    kept = sum(topic["bytes"] for topic in plain["topics"])
    out = console()
    out.print(topics, "", groups, "", sep="\n", end="")
    out.print(
        f"{plain['state']}, {plain['appended']:,} appended in {plain['commits']:,} commits, "
        f"{plain['duplicates']:,} duplicates, {plain['pending']:,} not yet committed, "
        f"{size(kept)} of messages kept, {size(plain['bytes_on_disk'])} on disk, "
        f"{size(plain['log_bytes'])} of it log"
    )
    return None
