"""The accounts of a data directory, for the commands that change them.

They are opened as they lie there, whether a host runs or not: each step is a transaction of its own,
and what it revokes waits in the store for the host, which looks four times a second. So there is one
way and not two, it works while a host hangs, and no secret passes through another process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from deltastream.accounts import Administration, KeyRing, NewLink, SqliteAccountStore
from deltastream.cli._backend import run
from deltastream.errors import DataDirectoryError
from deltastream.host.config import Settings
from deltastream.host.data_dir import DataDirectory, open_data_directory
from deltastream.seams import Seams

__all__ = ["administer", "link_text", "rotate_signing_key"]

T = TypeVar("T")

_LOGIN = "http://127.0.0.1:8000/login"


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
            ring = KeyRing(directory.signing_keys, token_s=settings.accounts.access_s, seams=seams)
            yield Administration(store, seams), ring


def link_text(link: NewLink) -> str:
    """What is opened in a browser. The token is in the fragment, which a browser sends nowhere."""
    return f"{_LOGIN}#token={link.token}"
