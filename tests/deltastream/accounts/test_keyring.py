"""The file of the signing keys: private, whole, of a version we know; old keys verify, then go."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from deltastream.accounts import KeyRing
from deltastream.errors import DataDirectoryError
from deltastream.seams import Seams


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.keys"


def ring_of(path: Path, seams: Seams, **more: Any) -> KeyRing:
    return KeyRing(path, token_s=900, seams=seams, **more)


async def opened(path: Path, seams: Seams) -> KeyRing:
    ring = ring_of(path, seams)
    await ring.open()
    return ring


async def test_it_is_made_for_its_owner_alone(path, seams: Seams):
    os.umask(0o022)
    ring = await opened(path, seams)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(ring.current.secret) == 32
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


async def test_it_stays_the_same(path, seams: Seams):
    first, second = await opened(path, seams), await opened(path, seams)
    assert first.current == second.current
    assert first.instance == second.instance


async def test_the_secret_is_not_shown(path, seams: Seams):
    key = (await opened(path, seams)).current
    assert key.secret.hex() not in repr(key)
    assert repr(key.secret) not in repr(key)
    assert key.id in repr(key)


async def test_an_explicit_file_is_not_made(path, seams: Seams):
    with pytest.raises(DataDirectoryError, match=r"cannot be used: No such file"):
        await ring_of(path, seams, make=False).open()
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
async def test_a_file_that_others_may_use_is_refused(path, seams: Seams, mode: int):
    await opened(path, seams)
    path.chmod(mode)
    with pytest.raises(DataDirectoryError, match="others than its owner may use it; chmod 600"):
        await opened(path, seams)


async def test_a_link_to_somewhere_else_is_refused(path, seams: Seams):
    other = path.with_name("other")
    await opened(other, seams)
    path.symlink_to(other)
    with pytest.raises(DataDirectoryError, match="cannot be used"):
        await opened(path, seams)


async def test_a_pipe_does_not_hold_the_start(path, seams: Seams):
    os.mkfifo(path, 0o600)
    with trio.fail_after(5), pytest.raises(DataDirectoryError, match="is not a file"):
        await opened(path, seams)


def written(**changed: Any) -> bytes:
    key = {"id": "0" * 16, "secret": "A" * 44, "created": 1, "retired": None}
    return msgspec.json.encode({"v": 1, "instance": "1" * 16, "keys": [key]} | changed)


KEY = {"id": "0" * 16, "secret": "A" * 43 + "=", "created": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b" " * 70_000,
        written(keys=[]),
        written(keys=[KEY | {"secret": "c2hvcnQ="}]),
        written(keys=[KEY | {"id": "../../etc/passwd"}]),
        written(keys=[KEY | {"id": "0" * 16 + "\n"}]),
        written(keys=[KEY, KEY]),
        written(keys=[KEY | {"more": 1}]),
        written(instance=None),
        written(v="1"),
    ],
    ids=str,
)
async def test_anything_else_is_refused_in_a_sentence(path, seams: Seams, data: bytes):
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(DataDirectoryError, match="does not hold signing keys"):
        await opened(path, seams)
    assert path.read_bytes() == data


async def test_a_newer_one_is_refused(path, seams: Seams):
    path.write_bytes(msgspec.json.encode({"v": 2, "ring": {}}))
    path.chmod(0o600)
    with pytest.raises(
        DataDirectoryError, match=r"newer version of DeltaStream \(version 2, this one knows 1\)"
    ):
        await opened(path, seams)


async def test_old_keys_verify_until_their_tokens_have_expired(path, seams: Seams, autojump_clock: Any):
    ring = await opened(path, seams)
    old = ring.current
    assert await ring.rotate()
    assert ring.current != old
    assert ring.find(old.id).secret == old.secret
    await trio.sleep(900)
    assert ring.find(old.id) is not None
    await trio.sleep(1)
    assert ring.find(old.id) is None
    await ring.rotate()
    assert old.secret not in [key.secret for key in ring._opened().keys]


async def test_rotation_by_age(path, seams: Seams, autojump_clock: Any):
    ring = await opened(path, seams)
    first = ring.current
    assert not await ring.rotate(older_than_s=3600)
    await trio.sleep(3600)
    assert await ring.rotate(older_than_s=3600)
    assert not await ring.rotate(older_than_s=3600)
    assert ring.current.id != first.id


async def test_another_process_is_seen(path, seams: Seams):
    here, there = await opened(path, seams), await opened(path, seams)
    await there.rotate()
    assert here.find(there.current.id) is None
    await here.refresh()
    assert here.current == there.current


async def test_what_spoils_the_file_does_not_spoil_a_running_host(path, seams: Seams):
    ring = await opened(path, seams)
    key = ring.current
    path.write_bytes(b"spoilt")
    with pytest.raises(DataDirectoryError):
        await ring.refresh()
    path.unlink()
    with pytest.raises(DataDirectoryError):
        await ring.refresh()
    assert ring.current == key


async def test_many_that_make_it_make_one(path):
    """Real threads, two rings each: nobody reads half a file, and all have the same key."""
    rings = [ring_of(path, Seams.system()) for _ in range(8)]
    async with trio.open_nursery() as nursery:
        for ring in rings:
            nursery.start_soon(ring.open)
    assert len({ring.current.id for ring in rings}) == 1


async def test_many_that_rotate_at_once_lose_no_key(path):
    rings = [ring_of(path, Seams.system()) for _ in range(6)]
    for ring in rings:
        await ring.open()
    async with trio.open_nursery() as nursery:
        for ring in rings:
            nursery.start_soon(ring.rotate)
    last = await opened(path, Seams.system())
    assert len(last._opened().keys) == 7
    assert all(last.find(ring.current.id) for ring in rings)


async def test_killed_while_writing_nothing_is_lost(path, seams: Seams, monkeypatch: pytest.MonkeyPatch):
    """At each step of replacing the file: what is read afterwards is the old one or the new one."""
    ring = await opened(path, seams)
    for step in ("write", "fsync"):
        before = ring.current

        def killed(*_: Any) -> Any:
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(f"deltastream.accounts.keyring.os.{step}", killed)
            with pytest.raises(BaseException):  # noqa: B017, PT011 (whatever the power cut raises)
                await ring.rotate()
        assert (await opened(path, seams)).current == before
        assert await ring.rotate()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("key_id", ["../../../etc/passwd", "/dev/null", "", "0" * 10_000, "' OR 1=1 --"])
async def test_a_key_id_is_never_a_path(path, seams: Seams, key_id: str):
    assert (await opened(path, seams)).find(key_id) is None
