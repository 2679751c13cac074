"""``deltastream sim``: the whole host in virtual time, with everything that goes wrong, from a seed."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path
from typing import Final

import click

from deltastream.cli._options import as_json

__all__ = ["sim"]

PROFILES: Final = ("none", "mild", "rough", "wild", "short")
_SESSION: Final = "session"
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LARGEST_SEED: Final = 2**63 - 1
_FOLDER: Final = "sim-failures"


def _span(ctx: click.Context, parameter: click.Parameter, text: str | None) -> float | str | None:
    """A span of time such as 90s, 10m or 1.5h in seconds; for --duration also a session."""
    if text is None or (text == _SESSION and parameter.name == "duration"):
        return text
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([smhd]?)", text)
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not seconds:
        also = f", or {_SESSION}" if parameter.name == "duration" else ""
        raise click.BadParameter(f"{text!r} is not a span of time such as 60s, 10m or 2h{also}.")
    return seconds


def _range(ctx: click.Context, parameter: click.Parameter, text: str | None) -> range | None:
    """Seeds from A up to and including B, as A..B."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,19})\.\.(\d{1,19})", text)
    if not found or not int(found[1]) <= int(found[2]) <= _LARGEST_SEED:
        raise click.BadParameter(f"{text!r} is not a range of seeds such as 1..500.")
    return range(int(found[1]), int(found[2]) + 1)


@click.command()
@click.option(
    "--seed", type=click.IntRange(0, _LARGEST_SEED), metavar="N", help="Everything is drawn from it."
)
@click.option(
    "--duration",
    callback=_span,
    metavar="SPAN|session",
    help="Virtual time, such as 60s or 2h, or a trading day in Mumbai, from before the opening until "
    "after the close. [default: 60s]",
)
@click.option(
    "--readers", type=click.IntRange(0, 1000), metavar="N", help="Followers of the bus, as gateways are."
)
@click.option(
    "--faults",
    type=click.Choice(PROFILES),
    help="What goes wrong: nothing, a bad day, worse, all at once; short: one to four faults of any "
    "kind. [default: short up to 2 minutes, else mild]",
)
@click.option("--plan", metavar="FILE", help="Run what a file from --shrink or a campaign holds.")
@click.option("--trace", metavar="FILE", help="Write a readable timeline; - for standard output.")
@click.option("--shrink", is_flag=True, help="Reduce a case that fails to a small one that still does.")
@click.option("--seeds", callback=_range, metavar="A..B", help="A campaign: all these seeds.")
@click.option("--for", "for_s", callback=_span, metavar="SPAN", help="A campaign of so long, from --seed on.")
@click.option(
    "--jobs", type=click.IntRange(1, 256), metavar="N", help="Processes of a campaign. [default: cores]"
)
@click.option(
    "--save", default=_FOLDER, show_default=True, metavar="DIR", help="Where cases that failed are written."
)
@as_json
def sim(
    seed: int | None,
    duration: float | str | None,
    readers: int | None,
    faults: str | None,
    plan: str | None,
    trace: str | None,
    shrink: bool,
    seeds: range | None,
    for_s: float | None,
    jobs: int | None,
    save: str,
    as_json: bool,
) -> None:
    """Simulate a host with everything that goes wrong, in virtual time, from one seed.

    The real tree, actors, codecs, core, journal and store run under a clock that jumps, with faults
    drawn from the seed; everything promised is checked meanwhile and at the end. The same seed gives
    the same bytes, and the same digest, everywhere.

    Exits with 0 if every promise was kept, 1 if not. Without --seed a fresh one is drawn, and told.
    """
    if as_json and trace == "-":
        raise click.UsageError("--json and --trace - both write to standard output.")
    options = (duration, readers, faults)
    if seeds is None and for_s is None:
        if jobs is not None:
            raise click.UsageError("--jobs is of a campaign: name its --seeds, or --for how long.")
        from deltastream.cli._sim_case import case_of, run_case, shrink_case

        run = shrink_case if shrink else run_case
        ok = run(*case_of(seed, options, plan), trace, Path(save), as_json=as_json)
    else:
        if plan or trace or shrink:
            raise click.UsageError("--plan, --trace and --shrink are of one seed, not of a campaign.")
        if seeds is not None and seed is not None:
            raise click.UsageError("--seed and --seeds exclude each other.")
        from deltastream.cli._sim_campaign import run_campaign
        from deltastream.cli._sim_case import fresh_seed

        chosen = seeds or count(fresh_seed() if seed is None else seed)
        ok = run_campaign(chosen, options, Path(save), for_s=for_s, jobs=jobs, as_json=as_json)
    click.get_current_context().exit(0 if ok else 1)
