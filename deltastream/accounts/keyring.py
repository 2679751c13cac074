"""The keys that sign access tokens: a file for its owner alone, made on first start.

The newest key signs; older ones go on verifying until every token they signed has expired. A key is
found by its id among those of the file and nowhere else, so that an id is never a path or an
address. The file is replaced as a whole, under a lock on its directory, so that a host and a command
line may both do it and nobody reads half of one.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, ClassVar, Final

import msgspec
import structlog
import trio

from deltastream.accounts.types import Discreet
from deltastream.errors import DataDirectoryError
from deltastream.seams import Seams

__all__ = ["KeyRing", "SigningKey"]

log = structlog.get_logger("deltastream.accounts")

_VERSION: Final = 1
_SECRET_BYTES: Final = 32
_MOST_BYTES: Final = 64 * 1024
_SECOND: Final = 1_000_000_000

Id = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}\Z")]


class SigningKey(Discreet, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key.

    Attributes:
        id: what tokens call it.
        secret: at least 32 bytes.
        created: nanoseconds UTC.
        retired: when a newer one took over, None for the newest.
    """

    HIDDEN: ClassVar[frozenset[str]] = frozenset({"secret"})

    id: Id
    secret: Annotated[bytes, msgspec.Meta(min_length=_SECRET_BYTES, max_length=1024)]
    created: int
    retired: int | None = None


class _File(Discreet, frozen=True, kw_only=True, forbid_unknown_fields=True):
    HIDDEN: ClassVar[frozenset[str]] = frozenset({"keys"})

    v: int
    instance: Id
    keys: Annotated[tuple[SigningKey, ...], msgspec.Meta(min_length=1, max_length=64)]


class KeyRing:
    """The signing keys of one installation. To be opened before anything else.

    Args:
        path: of the file; its directory exists.
        token_s: how long a token lives, and so a retired key.
        seams: clock, ids, secrets, and threads for the file.
        make: whether to make the file where there is none.
    """

    def __init__(self, path: Path, *, token_s: int, seams: Seams, make: bool = True) -> None:
        self._path = path
        self._token_s = token_s
        self._seams = seams
        self._make = make
        self._limiter = trio.CapacityLimiter(1)
        self._seen: tuple[int, int, int] | None = None
        self._file: _File | None = None
        self._by_id: dict[str, SigningKey] = {}

    async def open(self) -> None:
        """Read the file, or make it.

        Cancellation: an opening that has begun completes.

        Raises:
            DataDirectoryError: others may read or write it, it is not a key file, of a newer version,
                or cannot be read or made; one sentence says which.
        """
        await self._seams.threads.run(self._open, limiter=self._limiter)

    async def refresh(self) -> None:
        """Read the file again where it has been replaced.

        Cancellation: no effect on the file.

        Raises:
            DataDirectoryError: as `open`; the keys known so far stay.
        """
        await self._seams.threads.run(self._refresh, limiter=self._limiter)

    async def rotate(self, *, older_than_s: int = 0) -> bool:
        """Let a new key sign from now on, if the newest is as old as that; whether it was.

        Two that rotate at once make one new key where they ask for the same age.

        Cancellation: a rotation that has begun completes.

        Raises:
            DataDirectoryError: the file cannot be replaced.
        """
        return await self._seams.threads.run(self._rotate, older_than_s, limiter=self._limiter)

    @property
    def instance(self) -> str:
        """Names the installation: whom its tokens are for."""
        return self._opened().instance

    @property
    def current(self) -> SigningKey:
        """The key that signs."""
        return self._opened().keys[-1]

    def find(self, key_id: str) -> SigningKey | None:
        """The key of that id, None where the ring has none or its tokens have all expired."""
        key = self._by_id.get(key_id)
        return None if key is None or self._is_over(key, self._seams.clock.now_ns()) else key

    def _opened(self) -> _File:
        if self._file is None:
            raise RuntimeError("the key ring is not open")
        return self._file

    def _is_over(self, key: SigningKey, now: int) -> bool:
        return key.retired is not None and now > key.retired + self._token_s * _SECOND

    def _open(self) -> None:
        with self._explained():
            if self._make and not os.path.lexists(self._path):
                with _locked(self._path.parent):
                    if not os.path.lexists(self._path):
                        self._write(
                            _File(v=_VERSION, instance=self._seams.ids.new(), keys=(self._new_key(),))
                        )
                        log.info("signing_keys_made", path=str(self._path))
            self._read()

    def _refresh(self) -> None:
        with self._explained():
            if _identity(os.stat(self._path, follow_symlinks=False)) != self._seen:
                self._read()

    def _rotate(self, older_than_s: int) -> bool:
        with self._explained(), _locked(self._path.parent):
            self._read()
            file, now = self._opened(), self._seams.clock.now_ns()
            newest = file.keys[-1]
            if now < newest.created + older_than_s * _SECOND:
                return False
            kept = [key for key in file.keys[:-1] if not self._is_over(key, now)]
            kept.append(msgspec.structs.replace(newest, retired=now))
            self._write(msgspec.structs.replace(file, keys=(*kept[-63:], self._new_key())))
            self._read()
        log.info("signing_key_rotated", key=self.current.id)
        return True

    def _new_key(self) -> SigningKey:
        seams = self._seams
        secret = seams.secrets.draw(_SECRET_BYTES)
        return SigningKey(id=seams.ids.new(), secret=secret, created=seams.clock.now_ns())

    def _read(self) -> None:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise DataDirectoryError(f"{self._path} is not a file.")
            if status.st_mode & 0o077 or status.st_uid not in (0, os.geteuid()):
                raise DataDirectoryError(
                    f"{self._path} holds signing keys, and others than its owner may use it; chmod 600 it,"
                    " and rotate the keys if somebody may have read them."
                )
            data = os.read(descriptor, _MOST_BYTES + 1)
        finally:
            os.close(descriptor)
        file = self._decoded(data)
        self._file, self._seen = file, _identity(status)
        self._by_id = {key.id: key for key in file.keys}

    def _decoded(self, data: bytes) -> _File:
        try:
            plain = msgspec.json.decode(data) if len(data) <= _MOST_BYTES else None
            if isinstance(plain, dict) and isinstance(plain.get("v"), int) and plain["v"] > _VERSION:
                raise DataDirectoryError(
                    f"{self._path} was written by a newer version of DeltaStream "
                    f"(version {plain['v']}, this one knows {_VERSION})."
                )
            file = msgspec.convert(plain, _File)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            file = None
        if file is None or len({key.id for key in file.keys}) != len(file.keys):
            raise DataDirectoryError(f"{self._path} does not hold signing keys as DeltaStream writes them.")
        return file

    def _write(self, file: _File) -> None:
        unready = self._path.with_name(f"{self._path.name}.new")
        with suppress(FileNotFoundError):
            unready.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(unready, flags, 0o600)
        try:
            os.write(descriptor, msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        unready.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataDirectoryError(
                f"The signing keys {self._path} cannot be used: {error.strerror}."
            ) from error


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """The lock of whoever replaces the file; it goes with its process."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size
