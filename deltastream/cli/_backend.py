"""Whom a command asks: the running host, or, where none runs, the files themselves."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import trio

from deltastream.bus import Bus, open_bus
from deltastream.errors import DataDirectoryError
from deltastream.host import logs
from deltastream.host.config import Settings
from deltastream.host.control_client import HostNotRunning, connect
from deltastream.host.data_dir import DataDirectory, open_data_directory
from deltastream.host.operations import CALLS, STREAMS, OperationError, Send, TreeView, checked
from deltastream.seams import Seams
from deltastream.storage import SqliteRepository
from deltastream.storage.protocol import Repository
from supervisors import LagStatistics

__all__ = ["Backend", "ask", "open_backend", "run"]

T = TypeVar("T")


class Backend(Protocol):
    """Operations by name, see `deltastream.host.operations`."""

    async def call(self, operation: str, **params: Any) -> Any:
        """The answer of an operation."""
        ...

    async def stream(self, operation: str, take: Send, **params: Any) -> None:
        """Hand each item of an operation to `take`."""
        ...


@dataclass(frozen=True)
class _Files:
    """A host that does not run: its parts, opened over its files; also the backend over them."""

    settings: Settings
    seams: Seams
    bus: Bus
    store: Repository
    data_dir: DataDirectory
    tree: TreeView | None = None
    gateway_url: str | None = None

    def loop_lag(self) -> LagStatistics | None:
        return None

    def chain_latency(self) -> None:
        return None

    def socket_statistics(self) -> None:
        return None

    def request_stop(self, reason: str) -> None:
        raise OperationError("not_running", "No host is running.")

    async def call(self, operation: str, **params: Any) -> Any:
        return await CALLS[operation].run(self, checked(operation, params))

    async def stream(self, operation: str, take: Send, **params: Any) -> None:
        await STREAMS[operation].run(self, checked(operation, params), take)


@asynccontextmanager
async def open_backend(settings: Settings, *, need_host: bool = False) -> AsyncIterator[Backend]:
    """The running host of the data directory, or its files, locked for as long.

    Raises:
        HostNotRunning: none runs and `need_host`.
        DataDirectoryError: there is nothing, or it cannot be used.
    """
    directory = DataDirectory(Path(settings.data_dir))
    try:
        client = await connect(directory.control_socket)
    except HostNotRunning:
        if need_host:
            raise
    else:
        async with client:
            yield client
        return
    directory.holder()  # says what is wrong with a path that cannot be a data directory
    if not directory.exists():
        raise DataDirectoryError(
            f"No host is running on {directory.path}, and nothing has been stored there."
        )
    seams = Seams.system()
    with open_data_directory(directory.path):
        async with (
            open_bus(directory.journal, settings.bus, seams) as bus,
            SqliteRepository(directory.store, settings.store, seams) as store,
        ):
            yield _Files(settings, seams, bus, store, directory)


def ask(settings: Settings, operation: str, *, need_host: bool = False, **params: Any) -> Any:
    """The answer of one operation."""

    async def asked() -> Any:
        async with open_backend(settings, need_host=need_host) as backend:
            return await backend.call(operation, **params)

    return run(asked)


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run an async command; what is logged meanwhile goes to standard error, from warnings on."""
    text = partial(logs.render_text, colour=False)
    with logs.configure(sys.stderr.write, Seams.system().clock, level="warning", render=text):
        return trio.run(main)
