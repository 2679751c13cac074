"""The repository on SQLite: one writing connection, a few reading ones, all in worker threads."""

from __future__ import annotations

import queue
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Concatenate, Final, Self, TypeVar

import trio

from deltastream.bus.protocol import Record
from deltastream.errors import StoreError, StoreUnavailable
from deltastream.market import parse_contract_symbol
from deltastream.messages import (
    Bar,
    EnrichedChain,
    MarketStatus,
    OptionQuote,
    Position,
    UnderlyingTick,
    VolatilitySurface,
)
from deltastream.seams import Seams
from deltastream.storage._blobs import Packer
from deltastream.storage._paging import Cursors, Key, Query, checked_limit
from deltastream.storage.protocol import (
    MetricRow,
    Page,
    StoredExpiry,
    StoredProduct,
    StoreStatistics,
)
from deltastream.storage.settings import StoreSettings
from deltastream.storage.sqlite._bars import INTERVALS
from deltastream.storage.sqlite._errors import translated
from deltastream.storage.sqlite._reader import NEWEST, Reader
from deltastream.storage.sqlite._retention import HIGH, LOW, prune, shrink, used_bytes
from deltastream.storage.sqlite._schema import connect_reader, connect_writer, secret_of
from deltastream.storage.sqlite._writer import Writer

__all__ = ["SqliteRepository"]

T = TypeVar("T")

_OLDEST: Final = -NEWEST - 1


class SqliteRepository:
    """`Repository` in one SQLite database (with ``-wal`` and ``-shm`` beside it while it is open).

    Opened by ``async with`` or by `open` and `aclose`. Run `run` beside it to keep it under its
    size limit.

    Args:
        path: of the database; its directory exists. The store has it to itself.
        settings: of the store.
        seams: ids for a new store, threads for all blocking work.
    """

    def __init__(self, path: Path, settings: StoreSettings, seams: Seams) -> None:
        self._path = path
        self._settings = settings
        self._seams = seams
        self._writing = trio.CapacityLimiter(1)
        self._reading = trio.CapacityLimiter(settings.readers)
        self._readers: queue.SimpleQueue[Reader] = queue.SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._grown = trio.Event()
        self._away: str | None = None
        self._crowded: str | None = None
        self._applied = 0
        self._duplicates = 0
        self._pruned: Counter[str] = Counter()

    async def open(self) -> None:
        """Open the store, creating or migrating it where needed. Takes as long at any size.

        Cancellation: an opening that has begun completes.

        Raises:
            DataDirectoryError: written by a newer version.
            StoreUnavailable: it cannot be reached or written now.
            StoreError: the file is damaged or not a store, or the store is open already.
        """
        if self._connection is not None:
            raise StoreError(f"store {self._path} is open already")
        secret = self._seams.ids.new() + self._seams.ids.new()
        await self._seams.threads.run(self._open, secret, limiter=self._writing)

    def _open(self, secret: str) -> None:
        with translated(self._path), ExitStack() as failed:
            connection = failed.enter_context(closing(connect_writer(self._path, self._settings, secret)))
            self._cursors = Cursors(secret_of(connection))
            self._writer = Writer(connection, Packer(self._settings.compression_level))
            readers = [
                Reader(failed.enter_context(closing(connect_reader(self._path, self._settings))))
                for _ in range(self._settings.readers)
            ]
            failed.pop_all()
        for reader in readers:
            self._readers.put(reader)
        self._connection = connection

    async def aclose(self) -> None:
        """Close the store after what is under way. Closing a closed store does nothing.

        Cancellation: not honoured; this takes as long as one write.
        """
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with trio.CancelScope(shield=True):
            for _ in range(self._settings.readers):
                await self._seams.threads.run(
                    lambda: self._readers.get().connection.close(), limiter=self._reading
                )
            await self._seams.threads.run(connection.close, limiter=self._writing)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the store under its limit, for as long as it is open. A service for a supervisor.

        Looks every `maintenance_s`, and at once when writing has passed the high mark; drops
        detail in small transactions between which others write. A store that is away is looked at
        again later.

        Cancellation: stops between two steps.

        Raises:
            StoreError: the store is closed or damaged.
        """
        self._opened()
        task_status.started()
        while True:
            with trio.move_on_after(self._settings.maintenance_s):
                await self._grown.wait()
            self._grown = trio.Event()
            try:
                settled = await self._maintain()
            except StoreUnavailable:
                settled = False
            if not settled:
                await trio.sleep(self._settings.maintenance_s)

    async def apply(self, group: str, records: Sequence[Record], *, passed: Sequence[Record] = ()) -> int:
        """See `Repository.apply`. Keeps ticks, enriched chains, surfaces and market status."""
        new, used = await self._write(partial(self._apply, group, records, passed))
        self._applied += new
        self._duplicates += len(records) - new
        if used > HIGH * self._settings.max_bytes:
            self._grown.set()
        return new

    def _apply(self, group: str, records: Sequence[Record], passed: Sequence[Record]) -> tuple[int, int]:
        return self._writer.apply(group, records, passed), self._writer.used

    async def _maintain(self) -> bool:
        """Whether the store is under its limit now."""
        limit = self._settings.max_bytes
        used, cut = await self._write(self._cut)
        if used > HIGH * limit:
            while used > LOW * limit:
                dropped, used = await self._write(self._prune)
                if dropped is None:
                    self._crowded = f"store {self._path} is over its limit with no detail left to drop"
                    return False
                table, rows = dropped
                self._pruned[table] += rows
            cut = True
        while cut:
            _, cut = await self._write(self._cut)
        self._crowded = None
        return True

    def _cut(self) -> tuple[int, bool]:
        """Bytes in use, and whether there may be more of the file to give back than was given now."""
        connection = self._writer.connection
        return used_bytes(connection), shrink(connection, int(HIGH * self._settings.max_bytes))

    def _prune(self) -> tuple[tuple[str, int] | None, int]:
        connection = self._writer.connection
        return prune(connection), used_bytes(connection)

    async def positions(self, group: str) -> dict[str, Position]:
        """See `Repository.positions`."""
        rows = await self._read(partial(Reader.positions, group=group))
        return {topic: Position(epoch, seq) for topic, epoch, seq in rows}

    async def earlier_positions(self, group: str) -> dict[str, list[Position]]:
        """See `Repository.earlier_positions`."""
        found: dict[str, list[Position]] = {}
        for topic, epoch, seq in await self._read(partial(Reader.earlier_positions, group=group)):
            found.setdefault(topic, []).append(Position(epoch, seq))
        return found

    async def products(self) -> list[StoredProduct]:
        """See `Repository.products`."""
        return await self._read(Reader.products)

    async def expiries(self, product: str, *, at: int | None = None) -> list[StoredExpiry]:
        """See `Repository.expiries`."""
        return await self._read(partial(Reader.expiries, product=product, at=_instant(at)))

    async def tick(self, product: str, *, at: int | None = None) -> UnderlyingTick | None:
        """See `Repository.tick`."""
        return await self._read(partial(Reader.tick, product=product, at=_instant(at)))

    async def ticks(
        self, product: str, *, start: int, end: int, limit: int = 1000, cursor: str | None = None
    ) -> Page[UnderlyingTick]:
        """See `Repository.ticks`."""
        ask = partial(Reader.ticks, product=product, limit=checked_limit(limit, 5000))
        return await self._page(("ticks", product), start, end, cursor, ask)

    async def chain(
        self, product: str, *, expiry: str | None = None, root: str | None = None, at: int | None = None
    ) -> EnrichedChain | None:
        """See `Repository.chain`."""
        return await self._read(
            partial(Reader.chain, product=product, expiry=expiry, root=root, at=_instant(at))
        )

    async def latest_chains(self, product: str, *, at: int | None = None) -> list[EnrichedChain]:
        """See `Repository.latest_chains`."""
        return await self._read(partial(Reader.latest_chains, product=product, at=_instant(at)))

    async def chains(
        self,
        product: str,
        *,
        expiry: str,
        root: str | None = None,
        start: int,
        end: int,
        limit: int = 20,
        cursor: str | None = None,
    ) -> Page[EnrichedChain]:
        """See `Repository.chains`."""
        ask = partial(
            Reader.chains, product=product, expiry=expiry, root=root, limit=checked_limit(limit, 20)
        )
        return await self._page(("chains", product, expiry, root), start, end, cursor, ask)

    async def metrics(
        self,
        product: str,
        *,
        expiry: str,
        root: str | None = None,
        start: int,
        end: int,
        every: int | None = None,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> Page[MetricRow]:
        """See `Repository.metrics`."""
        if every is not None and every <= 0:
            raise ValueError(f"every must be positive, got {every}")
        ask = partial(
            Reader.metrics,
            product=product,
            expiry=expiry,
            root=root,
            every=every,
            limit=checked_limit(limit, 5000),
        )
        return await self._page(("metrics", product, expiry, root, every), start, end, cursor, ask)

    async def bars(
        self,
        product: str,
        *,
        interval_s: int,
        start: int,
        end: int,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> Page[Bar]:
        """See `Repository.bars`."""
        if interval_s not in INTERVALS:
            raise ValueError(f"interval_s must be one of {', '.join(map(str, INTERVALS))}, got {interval_s}")
        ask = partial(Reader.bars, product=product, interval_s=interval_s, limit=checked_limit(limit, 5000))
        return await self._page(("bars", product, interval_s), start, end, cursor, ask)

    async def quote(self, symbol: str, *, at: int | None = None) -> OptionQuote | None:
        """See `Repository.quote`."""
        root, expiry, strike, side = parse_contract_symbol(symbol)
        return await self._read(
            partial(Reader.quote, root=root, expiry=expiry, strike=strike, side=side, at=_instant(at))
        )

    async def surface(self, product: str, *, at: int | None = None) -> VolatilitySurface | None:
        """See `Repository.surface`."""
        return await self._read(partial(Reader.surface, product=product, at=_instant(at)))

    async def status(self, product: str, *, at: int | None = None) -> MarketStatus | None:
        """See `Repository.status`."""
        return await self._read(partial(Reader.status, product=product, at=_instant(at)))

    async def surfaces(
        self, product: str, *, start: int, end: int, limit: int = 100, cursor: str | None = None
    ) -> Page[VolatilitySurface]:
        """See `Repository.surfaces`."""
        ask = partial(Reader.surfaces, product=product, limit=checked_limit(limit, 500))
        return await self._page(("surfaces", product), start, end, cursor, ask)

    async def statuses(
        self, product: str, *, start: int, end: int, limit: int = 1000, cursor: str | None = None
    ) -> Page[MarketStatus]:
        """See `Repository.statuses`."""
        ask = partial(Reader.statuses, product=product, limit=checked_limit(limit, 5000))
        return await self._page(("statuses", product), start, end, cursor, ask)

    async def statistics(self) -> StoreStatistics:
        """See `Repository.statistics`. `state` is "running", "degraded" or "closed"."""
        size = await self._seams.threads.run(_bytes_on_disk, self._path)
        reason = self._away or self._crowded
        state = "degraded" if reason else "running"
        return StoreStatistics(
            state="closed" if self._connection is None else state,
            reason=reason,
            bytes_on_disk=size,
            applied=self._applied,
            duplicates=self._duplicates,
            pruned=dict(self._pruned),
        )

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreUnavailable(f"store {self._path} is closed")
        return self._connection

    async def _write(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            with translated(self._path):
                return work()

        self._opened()
        try:
            result = await self._seams.threads.run(guarded, limiter=self._writing)
        except StoreUnavailable as error:
            self._away = str(error)
            raise
        self._away = None
        return result

    async def _read(self, ask: Callable[[Reader], T]) -> T:
        def asked() -> T:
            try:
                reader = self._readers.get_nowait()  # as many as the limiter lets in, while it is open
            except queue.Empty:
                raise StoreUnavailable(f"store {self._path} was closed") from None
            try:
                with translated(self._path):
                    return ask(reader)
            finally:
                self._readers.put(reader)

        self._opened()
        return await self._seams.threads.run(asked, limiter=self._reading)

    async def _page(
        self,
        query: Query,
        start: int,
        end: int,
        cursor: str | None,
        ask: Callable[Concatenate[Reader, ...], tuple[list[T], Key | None]],
    ) -> Page[T]:
        self._opened()
        query = (*query, start, end)
        after = (_instant(start), -1) if cursor is None else self._cursors.read(query, cursor)
        items, last = await self._read(partial(ask, after=after, end=_instant(end)))
        return Page(items, None if last is None else self._cursors.make(query, last))


def _instant(at: int | None) -> int:
    """Within what SQLite can compare; None is after everything."""
    return NEWEST if at is None else max(_OLDEST, min(at, NEWEST))


def _bytes_on_disk(path: Path) -> int:
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
