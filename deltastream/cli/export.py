"""``deltastream export``: any stored series as a table."""

from __future__ import annotations

import csv
import datetime
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal, Protocol

import click

from deltastream.cli._options import configured, load_configuration
from deltastream.errors import DeltaStreamError

if TYPE_CHECKING:
    from deltastream.cli._backend import Backend
    from deltastream.cli._rows import Kind

__all__ = ["export"]

Style = Literal["csv", "parquet"]

_BARS: Final = {"1m": 60, "5m": 300, "15m": 900}
_ROW_GROUP: Final = 20_000
_LONGEST_BAR_NS: Final = 900 * 1_000_000_000
_ENDINGS: Final[dict[str, Style]] = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
_EVER: Final = (-(2**63), 2**63 - 1)


def _instant(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """An ISO 8601 date or time as nanoseconds UTC."""
    if value is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is not a date or time in ISO 8601, such as 2026-11-20T09:15:00+05:30."
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (since.days * 86400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


def _date(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A date as YYYY-MM-DD, and nothing else."""
    try:
        if value is not None and datetime.date.fromisoformat(value).isoformat() != value:
            raise ValueError
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a date such as 2026-11-24.") from None
    return value


def _style(output: str, given: Style | None) -> Style:
    """The format that was asked for, else the one that the file's name says."""
    if given is None and output != "-":
        given = _ENDINGS.get(Path(output).suffix.lower())
        if given is None:
            endings = ", ".join(_ENDINGS)
            raise click.UsageError(
                f"The name {output!r} does not tell the format: end it in one of {endings}, "
                "or give --format csv or --format parquet."
            )
    if given == "parquet" and output == "-" and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: name a file with --output.")
    return given or "csv"


@click.command()
@click.argument("series", type=click.Choice(["ticks", "bars", "metrics", "chains", "surfaces", "status"]))
@click.option("--product", required=True, help="Such as NIFTY.")
@click.option(
    "--expiry", callback=_date, metavar="YYYY-MM-DD", help="Of chains and metrics; all unless given."
)
@click.option("--root", help="Of chains and metrics; all unless given.")
@click.option("--interval", type=click.Choice(list(_BARS)), default="1m", show_default=True, help="Of bars.")
@click.option(
    "--start", callback=_instant, metavar="TIME", help="From here on; UTC unless an offset is given."
)
@click.option("--end", callback=_instant, metavar="TIME", help="Up to here, exclusive.")
@click.option(
    "--format", "style", type=click.Choice(["csv", "parquet"]), help="Else what the file's name says."
)
@click.option("--output", "-o", default="-", metavar="FILE", help="Default: standard output, as CSV.")
@configured
def export(
    series: str,
    product: str,
    expiry: str | None,
    root: str | None,
    interval: str,
    start: int | None,
    end: int | None,
    style: Style | None,
    output: str,
    config: str | None,
    data_dir: str | None,
) -> None:
    """Write a stored series as CSV or Parquet.

    Chains become one row per option and instant, surfaces one per strike and instant. Times are
    UTC with nanoseconds; what is not there is empty. Flags of a chain, and why numbers of it are
    not there, stand in flags and reasons of chains: metrics are values only. FILE appears when it
    is complete, or not at all.
    """
    style = _style(output, style)
    if start is not None and end is not None and start >= end:
        raise click.UsageError("--start must be before --end.")
    if series not in ("chains", "metrics") and (expiry or root):
        raise click.UsageError(f"--expiry and --root do not apply to {series}.")
    from deltastream.cli._backend import open_backend, run
    from deltastream.cli._rows import COLUMNS, rows_of

    settings = load_configuration(config, data_dir).settings

    async def main() -> int:
        async with open_backend(settings) as backend:
            first, last, unknown = await _stored(backend, series, product, expiry, root)
            since = first if start is None else start
            until = last if end is None else end
            with ExitStack() as opened:
                writer: _Table | None = None
                progress = opened.enter_context(_progress())

                async def take(item: dict[str, Any]) -> None:
                    nonlocal writer
                    writer = writer or opened.enter_context(_table(style, output, COLUMNS[series]))
                    rows = list(rows_of(series, item))
                    writer.write(rows)
                    progress(len(rows), (rows[-1][0] - since) / max(until - since, 1))

                await backend.stream(
                    "series",
                    take,
                    kind=series,
                    product=product,
                    expiry=expiry,
                    root=root,
                    interval_s=_BARS[interval],
                    start=since,
                    end=until,
                )
                if writer is None and unknown is not None:
                    raise unknown
                writer = writer or opened.enter_context(_table(style, output, COLUMNS[series]))
            return writer.rows

    rows = run(main)
    where = "" if output == "-" else f" in {output}"
    click.echo(f"{rows:,} row{'' if rows == 1 else 's'}{where}", err=True)


async def _stored(
    backend: Backend, series: str, product: str, expiry: str | None, root: str | None
) -> tuple[int, int, DeltaStreamError | None]:
    """The span of a series, or what to say if it turns out to be empty.

    The span of a product is that of its prices; a status may lie outside of it, and may be all
    that there is of a product.

    Raises:
        DeltaStreamError: there is nothing of this product, expiry or root.
    """
    stored = await backend.call("products")
    known = next((known for known in stored if known["product"] == product), None)
    if known is None:
        unknown = _unknown(product, [known["product"] for known in stored])
        if series != "status":
            raise unknown
        return *_EVER, unknown
    there = known["expiries"]
    for name, asked in (("root", root), ("expiry", expiry)):
        if asked is not None:
            names = ", ".join(dict.fromkeys(one[name] for one in there)) or "none yet"
            there = [one for one in there if one[name] == asked]
            if not there:
                of = product if root is None or name == "root" else f"{product} (root {root})"
                raise DeltaStreamError(f"Of {of} no {name} {asked!r} is stored; there is: {names}.")
    if series == "status":
        return *_EVER, None
    first, last = known["first_ts"], known["last_ts"]
    return first - first % _LONGEST_BAR_NS, last + 1, None


def _unknown(product: str, names: list[str]) -> DeltaStreamError:
    meant = [name for name in names if name.casefold() == product.casefold()]
    hint = (
        f"did you mean {' or '.join(meant)}?" if meant else f"there is: {', '.join(names) or 'nothing yet'}."
    )
    return DeltaStreamError(f"Nothing is stored of {product!r}; {hint}")


class _Table(Protocol):
    rows: int

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None: ...


class _Csv:
    def __init__(self, stream: IO[bytes], columns: dict[str, Kind]) -> None:
        import io

        self.rows = 0
        self._text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(columns)
        self._times = [index for index, kind in enumerate(columns.values()) if kind == "time"]

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        from deltastream.cli._output import iso

        for row in rows:
            cells = list(row)
            for index in self._times:
                cells[index] = iso(cells[index])
            self._writer.writerow(cells)
        self.rows += len(rows)

    def close(self) -> None:
        self._text.detach()


class _Parquet:
    def __init__(self, stream: IO[bytes], columns: dict[str, Kind]) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ModuleNotFoundError:
            raise DeltaStreamError(
                "Parquet needs the package pyarrow: install deltastream[parquet], or export CSV."
            ) from None
        types = {
            "text": pa.string(),
            "time": pa.timestamp("ns", "UTC"),
            "number": pa.float64(),
            "count": pa.int64(),
        }
        self.rows = 0
        self._pa = pa
        self._schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
        self._writer = pq.ParquetWriter(stream, self._schema, compression="zstd")
        self._waiting: list[tuple[Any, ...]] = []

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._waiting += rows
        self.rows += len(rows)
        if len(self._waiting) >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            columns = [
                self._pa.array(values, type=field.type)
                for values, field in zip(zip(*self._waiting, strict=True), self._schema, strict=True)
            ]
            self._writer.write_table(self._pa.Table.from_arrays(columns, schema=self._schema))
            self._waiting.clear()

    def close(self) -> None:
        self._flush()
        self._writer.close()


@contextmanager
def _table(style: Style, output: str, columns: dict[str, Kind]) -> Iterator[_Table]:
    """The table to write to, closed at the end if nothing failed."""
    with _sink(output) as stream:
        table = _Parquet(stream, columns) if style == "parquet" else _Csv(stream, columns)
        yield table
        table.close()


@contextmanager
def _sink(output: str) -> Iterator[IO[bytes]]:
    """Standard output, or a file that takes its name when it is complete and on disk."""
    if output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    try:
        if _is_special(path):
            with path.open("wb") as stream:
                yield stream
            return
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with unfinished.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise DeltaStreamError(f"{output} cannot be written: {error.strerror or error}.") from error


def _is_special(path: Path) -> bool:
    """Whether it is a device or a pipe: written to, never replaced."""
    return path.exists() and not stat.S_ISREG(path.stat().st_mode)


@contextmanager
def _progress() -> Iterator[Any]:
    """How far the export is, on standard error where that is a terminal."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from deltastream.cli._output import console

    err = console(stderr=True)
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=1.0, rows=0)
        total = 0

        def advance(rows: int, fraction: float) -> None:
            nonlocal total
            total += rows
            bar.update(task, completed=min(fraction, 1.0), rows=total)

        yield advance
