"""``deltastream export``: any stored series as a table."""

from __future__ import annotations

import csv
import datetime
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal, Protocol

import click

from deltastream.cli._options import configured, load_configuration
from deltastream.errors import DeltaStreamError

if TYPE_CHECKING:
    from deltastream.cli._backend import Backend
    from deltastream.cli._rows import Kind

__all__ = ["export"]

_BARS: Final = {"1m": 60, "5m": 300, "15m": 900}
_ROW_GROUP: Final = 20_000
_LONGEST_BAR_NS: Final = 900 * 1_000_000_000


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


@click.command()
@click.argument("series", type=click.Choice(["ticks", "bars", "metrics", "chains", "surfaces", "status"]))
@click.option("--product", required=True, help="Such as NIFTY.")
@click.option("--expiry", metavar="YYYY-MM-DD", help="Of chains and metrics; all of them unless given.")
@click.option("--root", help="Of chains and metrics; all of them unless given.")
@click.option("--interval", type=click.Choice(list(_BARS)), default="1m", help="Of bars; default 1m.")
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
    style: Literal["csv", "parquet"] | None,
    output: str,
    config: str | None,
    data_dir: str | None,
) -> None:
    """Write a stored series as CSV or Parquet.

    Chains become one row per option and instant, surfaces one per strike and instant. Times are
    UTC with nanoseconds; what is not there is empty. FILE appears when it is complete, or not at
    all.
    """
    if style is None:
        style = "parquet" if output.endswith((".parquet", ".pq")) else "csv"
    if style == "parquet" and output == "-" and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: name a file with --output.")
    if series not in ("chains", "metrics") and (expiry or root):
        raise click.UsageError(f"--expiry and --root do not apply to {series}.")
    from deltastream.cli._backend import open_backend, run
    from deltastream.cli._rows import COLUMNS, rows_of

    settings = load_configuration(config, data_dir).settings

    async def main() -> int:
        async with open_backend(settings) as backend:
            first, last = await _span(backend, product)
            since = first - first % _LONGEST_BAR_NS if start is None else start
            until = last + 1 if end is None else end
            with (
                _sink(output) as stream,
                _writer(style, stream, COLUMNS[series]) as writer,
                _progress() as progress,
            ):

                async def take(item: dict[str, Any]) -> None:
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
            return writer.rows

    rows = run(main)
    where = "" if output == "-" else f" in {output}"
    click.echo(f"{rows:,} row{'' if rows == 1 else 's'}{where}", err=True)


async def _span(backend: Backend, product: str) -> tuple[int, int]:
    stored = await backend.call("products")
    for known in stored:
        if known["product"] == product:
            return known["first_ts"], known["last_ts"]
    names = ", ".join(known["product"] for known in stored) or "nothing yet"
    raise DeltaStreamError(f"Nothing is stored of {product!r}; there is: {names}.")


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
def _writer(style: str, stream: IO[bytes], columns: dict[str, Kind]) -> Iterator[_Table]:
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
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise DeltaStreamError(f"{output} cannot be written: {error.strerror or error}.") from error
    finally:
        unfinished.unlink(missing_ok=True)


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
