"""`deltastream analyze`: the metrics of recorded chains, without a host.

Standard output carries the metrics and nothing else; what is to be said of a file goes to standard
error. Time to expiry runs from a chain's own timestamp; `--as-of` judges its age and, where the file
does not tell its time, stands in for it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from deltastream.analytics import AnalyticsSettings, enrich
from deltastream.cli._options import as_json, load_configuration
from deltastream.errors import FileRefused
from deltastream.feeds.protocol import Refusal
from deltastream.feeds.recorded import FORMATS, Format, Recorded, RowCounts, list_files, read_file
from deltastream.messages import EnrichedChain
from deltastream.seams import Seams

__all__ = ["analyze"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROWS_TOLD = 20


def _instant(ctx: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """An ISO 8601 instant with an offset, as nanoseconds UTC."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time such as 2025-12-05T13:05:00+05:30.") from None
    if at.tzinfo is None:
        shown = at.isoformat()
        raise click.BadParameter(f"{text!r} has no offset; write {shown}Z or {shown}+05:30.")
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


@dataclass(frozen=True, slots=True)
class _Analysed:
    """One chain with where it came from."""

    recorded: Recorded
    counts: RowCounts
    chain: EnrichedChain


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "--format", type=click.Choice(FORMATS), default="auto", help="Whose format; else told by content."
)
@click.option(
    "--as-of",
    callback=_instant,
    metavar="TIME",
    help="Judge age and expiry by this instant (ISO 8601 with offset), not by the file's own.",
)
@click.option("--config", metavar="FILE", help="Configuration in TOML, for interest rates and staleness.")
@as_json
def analyze(
    paths: tuple[str, ...], format: Format, as_of: int | None, config: str | None, as_json: bool
) -> None:
    """Compute the metrics of recorded option chains.

    PATH is an NSE option chain (JSON), a Cboe quote table (CSV) or Cboe delayed quotes (JSON), plain or
    gzip, or a directory of them. With --json, one object per line and per product, root and expiry.

    In a narrow terminal the table leaves columns out, and says which; --json always has everything.

    Exits with 0 if at least one chain was analysed, 1 if none.
    """
    settings = load_configuration(config, None).settings.analytics
    now = Seams.system().clock.now_ns()
    found = 0
    for path in _files(paths):
        try:
            recorded = read_file(path, format=format, ts_recv=now)
        except FileRefused as refused:
            _say(str(refused))
            continue
        _say_remarks(recorded, as_of)
        analysed = _analysed(recorded, settings, as_of, now)
        found += len(analysed)
        if as_json:
            _print_lines(analysed)
        else:
            _print_table(recorded, analysed)
    if not found:
        raise click.exceptions.Exit(1)


def _files(paths: tuple[str, ...]) -> Iterator[str]:
    for path in paths:
        try:
            files = list_files(path)
        except FileRefused as refused:
            _say(str(refused))
            continue
        if not files:
            _say(f"{path}: holds no files")
        yield from files


def _analysed(
    recorded: Recorded, settings: AnalyticsSettings, as_of: int | None, now: int
) -> list[_Analysed]:
    return [
        _Analysed(
            recorded,
            recorded.counts[chain.product, chain.root, chain.expiry],
            enrich(chain, settings, as_of=as_of, ts_recv=now),
        )
        for chain in recorded.chains
    ]


def _say(sentence: str) -> None:
    text = "".join(c if c.isprintable() else "\ufffd" for c in sentence)
    click.echo(text, err=True)


def _say_remarks(recorded: Recorded, as_of: int | None) -> None:
    for remark in recorded.remarks:
        _say(f"{recorded.source}: {remark}")
    if as_of is not None and recorded.ts_event is not None and as_of < recorded.ts_event:
        _say(f"{recorded.source}: was taken after the instant of --as-of; its own time counts")
    by_reason: dict[str, list[Refusal]] = {}
    for refusal in recorded.refusals:
        by_reason.setdefault(refusal.reason, []).append(refusal)
    for reason, refusals in by_reason.items():
        count = sum(refusal.count for refusal in refusals)
        rows = [str(refusal.row) for refusal in refusals if refusal.row is not None]
        told = ", ".join(rows[:_ROWS_TOLD]) + (", ..." if count > _ROWS_TOLD else "")
        what = "1 row" if count == 1 else f"{count} rows"
        _say(f"{recorded.source}: {what} dropped: {reason}: {refusals[0].detail} (row {told})")


def _print_lines(analysed: list[_Analysed]) -> None:
    import msgspec

    lines = msgspec.json.Encoder().encode_lines([_as_row(one) for one in analysed])
    click.echo(lines, nl=False)


def _as_row(one: _Analysed) -> dict[str, Any]:
    chain, recorded = one.chain, one.recorded
    reasons = {"spot_price" if name == "spot" else name: code for name, code in chain.reasons.items()}
    if recorded.ts_event is None:
        reasons["timestamp"] = "timestamp_unknown"
    if math.isnan(chain.multiplier):
        reasons["multiplier"] = "unknown_contract"
    return {
        "product": chain.product,
        "root": chain.root,
        "expiry": chain.expiry,
        "expiry_time": _local(chain.expiry_ts, recorded.tz),
        "timestamp": _local(recorded.ts_event, recorded.tz),
        "spot_price": chain.spot,
        "forward": chain.forward,
        "forward_error": chain.forward_error,
        "forward_source": chain.forward_source,
        "strikes": len(chain.strikes),
        "total_call_oi": chain.total_call_oi,
        "total_put_oi": chain.total_put_oi,
        "pcr_oi": chain.pcr_oi,
        "total_call_volume": chain.total_call_volume,
        "total_put_volume": chain.total_put_volume,
        "pcr_volume": chain.pcr_volume,
        "call_oi_change": chain.call_oi_change,
        "put_oi_change": chain.put_oi_change,
        "max_pain_strike": chain.max_pain_strike,
        "max_pain_interval": chain.max_pain_interval,
        "atm_strike": chain.atm_strike,
        "atm_straddle_price": chain.atm_straddle_price,
        "atm_iv": chain.atm_iv,
        "avg_iv": chain.avg_iv,
        "t": chain.t,
        "rate": chain.rate,
        "rate_source": chain.rate_source,
        "currency": chain.currency,
        "multiplier": None if math.isnan(chain.multiplier) else chain.multiplier,
        "oi_unit": chain.oi_unit,
        "volume_unit": chain.volume_unit,
        "oi_cadence": chain.oi_cadence,
        "rows_read": one.counts.read,
        "rows_dropped": [{"reason": reason, "count": count} for reason, count in one.counts.dropped.items()],
        "flags": chain.flags,
        "reasons": reasons,
        "file": os.fsencode(recorded.source).decode(errors="replace"),
    }


def _local(ts: int | None, tz: str) -> str | None:
    """An instant as ISO 8601 in the exchange's own time, with its offset."""
    if ts is None:
        return None
    return (_EPOCH + timedelta(microseconds=ts // 1000)).astimezone(ZoneInfo(tz)).isoformat()


def _print_table(recorded: Recorded, analysed: list[_Analysed]) -> None:
    from deltastream.cli._chain_table import Line, print_chains
    from deltastream.cli._output import console

    taken = _local(recorded.ts_event, recorded.tz) or "time unknown"
    lines = [Line(one.chain, sum(one.counts.dropped.values())) for one in analysed]
    print_chains(console(), Path(recorded.source).name, taken, lines)
