"""The accounts of a data directory, for the commands that change them.

They are opened as they lie there, whether a host runs or not: each step is a transaction of its own,
and what it revokes waits in the store for the host, which looks four times a second. So there is one
way and not two, it works while a host hangs, and no secret passes through another process.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import trio

from deltastream.accounts import Administration, KeyRing, SqliteAccountStore
from deltastream.cli._backend import run
from deltastream.errors import DataDirectoryError, DeltaStreamError
from deltastream.gateway.exposure import base_url
from deltastream.host.config import Settings
from deltastream.host.control_client import connect
from deltastream.host.data_dir import DataDirectory, open_data_directory
from deltastream.seams import Seams

__all__ = ["administer", "gateway_url", "make_signing_key", "operator_key", "rotate_signing_key"]

T = TypeVar("T")


def administer(
    settings: Settings, work: Callable[[Administration], Awaitable[T]], *, make: bool = False
) -> T:
    """What `work` gives, on the accounts of the data directory.

    Args:
        settings: tell where it is.
        work: is awaited.
        make: make the directory where there is none.

    Raises:
        DataDirectoryError: there is nothing, or it cannot be used.
    """

    async def main() -> T:
        async with _opened(settings, make) as (administration, _):
            return await work(administration)

    return run(main)


def rotate_signing_key(settings: Settings) -> None:
    """Let a new key sign the access tokens of the data directory.

    Raises:
        DataDirectoryError: there is nothing, or it cannot be used.
    """

    async def main() -> None:
        async with _opened(settings, make=False) as (_, ring):
            await ring.open()
            await ring.rotate()

    run(main)


@asynccontextmanager
async def _opened(settings: Settings, make: bool) -> AsyncIterator[tuple[Administration, KeyRing]]:
    directory, seams = DataDirectory(Path(settings.data_dir)), Seams.system()
    with ExitStack() as stack:
        if not directory.exists():
            if not make:
                directory.holder()  # says what is wrong with a path that cannot be a data directory
                raise DataDirectoryError(f"Nothing has been stored in {directory.path}.")
            stack.enter_context(open_data_directory(directory.path))
        async with SqliteAccountStore(directory.accounts, seams) as store:
            explicit = settings.gateway.signing_key_file
            path = directory.signing_keys if explicit is None else Path(explicit)
            ring = KeyRing(path, token_s=settings.accounts.access_s, seams=seams, make=explicit is None)
            yield Administration(store, seams), ring


@asynccontextmanager
async def operator_key(settings: Settings, name: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """What makes API keys that read the market, for whoever owns the data directory; they go with it.

    They are of the oldest administrator, and are good for a day at most. Each makes the one before void,
    and none stays in the list of keys: one that was left by a process that was killed goes with the next
    one of its name, once it has expired.

    Args:
        settings: tell where the accounts are.
        name: what the keys are for.

    Raises:
        DataDirectoryError: there is nothing, or it cannot be used.
    """
    async with _opened(settings, make=False) as (administration, _):
        made: list[str] = []

        async def end() -> None:
            while made:
                await administration.drop_key(made.pop())

        async def key() -> str:
            await end()
            owner = next(
                one for one in await administration.users() if one.role == "admin" and not one.disabled
            )
            new = await administration.create_key(owner.email, name, ("read:market",), days=1)
            made.append(new.key.id)
            return new.text

        try:
            await administration.begin()
            await _drop_ended(administration, name)
            yield key
        finally:
            with trio.CancelScope(shield=True):
                await end()


async def _drop_ended(administration: Administration, name: str) -> None:
    now = Seams.system().clock.now_ns()
    for _, key in await administration.keys():
        if key.name == name and (key.revoked is not None or now >= key.expires):
            await administration.drop_key(key.id)


def make_signing_key(path: Path) -> None:
    """Make a file of signing keys that a gateway can be told to use.

    Raises:
        DataDirectoryError: there is something already, or it cannot be made.
    """
    if os.path.lexists(path):
        raise DataDirectoryError(f"{path} is there already.")
    run(KeyRing(path, token_s=0, seams=Seams.system()).open)


def gateway_url(settings: Settings) -> str:
    """By what a browser reaches the gateway: that of the running host, or where the next one listens.

    Raises:
        DataDirectoryError: nobody knows before a host has started.
    """
    if (url := _running(settings)) is not None:
        return url
    if settings.gateway.port == 0:
        raise DataDirectoryError("The gateway gets its port when the host starts: start it first.")
    return base_url(settings.gateway, settings.gateway.port)


def _running(settings: Settings) -> str | None:
    async def asked() -> str | None:
        try:
            async with await connect(DataDirectory(Path(settings.data_dir)).control_socket) as client:
                url: str | None = (await client.call("status")).get("gateway")
                return url
        except (DeltaStreamError, trio.BrokenResourceError):  # a link is of use to a host that hangs, too
            return None

    return run(asked)
