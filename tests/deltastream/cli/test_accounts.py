"""`deltastream user` and `deltastream key`, beside a running host and without one."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
import trio

from deltastream.accounts import AccountService, InvalidToken, KeyRing, SqliteAccountStore
from deltastream.bus import open_bus
from deltastream.cli._accounts import operator_key
from deltastream.host.config import load
from deltastream.host.data_dir import open_data_directory
from deltastream.seams import Seams


@pytest.fixture
def directory(own_environment: Path, deltastream: Any) -> Path:
    deltastream("user", "link")
    return own_environment


def as_service(work: Any) -> Any:
    """Do something with the accounts of the data directory, as a gateway would."""

    async def main() -> Any:
        settings, seams = load().settings, Seams.system()
        path = Path(settings.data_dir)
        ring = KeyRing(path / "accounts.keys", token_s=900, seams=seams)
        await ring.open()
        async with SqliteAccountStore(path / "accounts.db", seams) as store:
            return await work(AccountService(store, ring, settings.accounts, seams))

    return trio.run(main)


def test_a_link_is_enough_to_begin(deltastream: Any, own_environment: Path):
    text = deltastream("user", "link").stdout
    assert "For admin@localhost, once, within ten minutes:" in text
    token = text.split("#token=")[1].split()[0]
    signed_in = as_service(lambda service: service.login_with_link(token))
    assert signed_in.user.role == "admin"
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in own_environment.glob("accounts*")}
    assert modes == {"accounts.db": 0o600, "accounts.keys": 0o600}
    assert stat.S_IMODE(own_environment.stat().st_mode) == 0o700


def test_users(deltastream: Any, directory: Path):
    link = deltastream.json("user", "add", "Ann@Example.org", "--name", "Ann")
    assert link["email"] == "ann@example.org"
    assert link["link"].startswith("http://127.0.0.1:8000/login#token=dsl_")
    deltastream("user", "add", "bob@example.org", "--admin")
    users = {user["email"]: user for user in deltastream.json("user", "list")}
    assert [user["role"] for user in users.values()] == ["admin", "user", "admin"]
    assert "password_hash" not in users["ann@example.org"]
    assert deltastream("user", "role", "ann@example.org", "admin").stdout == (
        "ann@example.org is an administrator now.\n"
    )
    deltastream("user", "disable", "bob@example.org")
    deltastream("user", "logout", "ann@example.org")
    assert deltastream("user", "delete", "admin@localhost", "--yes").exit_code == 0
    table = deltastream("user", "list").stdout
    assert table.splitlines()[1].split()[:3] == ["ann@example.org", "Ann", "admin"]
    assert table.splitlines()[2].split()[-1] == "disabled"
    deltastream("user", "enable", "bob@example.org")
    assert "disabled" not in deltastream("user", "list").stdout


def test_what_cannot_be_is_one_sentence(deltastream: Any, directory: Path):
    refusal = deltastream.refusal
    last = "This is the last administrator; make somebody else one first."
    assert refusal("user", "delete", "admin@localhost", "--yes") == last
    assert refusal("user", "role", "admin@localhost", "user") == last
    assert refusal("user", "disable", "admin@localhost") == last
    assert refusal("user", "link", "nobody@example.org") == "There is no such user."
    assert refusal("user", "link", "' OR 1=1 --") == "There is no such user."
    assert refusal("user", "add", "nobody") == "The email must look like name@example.org."
    assert refusal("user", "add", "ADMIN@localhost") == "There is a user with this email already."
    assert refusal("key", "revoke", "ds_nothing") == "There is no such API key."
    deltastream("user", "add", "ann@example.org")
    deltastream("user", "disable", "ann@example.org")
    assert refusal("user", "link", "ann@example.org") == (
        "ann@example.org is disabled; enable the user first."
    )


def test_nothing_is_made_by_looking(deltastream: Any, own_environment: Path):
    for command in (("user", "list"), ("key", "list"), ("key", "rotate-signing"), ("user", "logout", "a@b")):
        assert deltastream.refusal(*command) == f"Nothing has been stored in {own_environment}."
    assert not own_environment.exists()


def test_who_is_asked_twice_does_not_delete(deltastream: Any, directory: Path):
    deltastream("user", "add", "ann@example.org")
    deltastream("user", "delete", "ann@example.org", code=1)
    assert len(deltastream.json("user", "list")) == 2


def test_keys(deltastream: Any, directory: Path):
    create = ("key", "create", "admin@localhost", "--name", "robot")
    made = deltastream(*create, "--scope", "read:market", "--scope", "admin", "--days", "7")
    text = made.stdout.strip()
    assert made.stderr == "Keep it: it cannot be shown again.\n"
    who = as_service(lambda service: service.authenticate(text))
    assert who.scopes == {"read:market", "admin"}
    (listed,) = deltastream.json("key", "list", "--user", "admin@localhost")
    assert (listed["state"], listed["scopes"]) == ("valid", ["read:market", "admin"])
    assert text.startswith(listed["prefix"])
    for shown in (deltastream("key", "list").stdout, str(listed)):
        assert text not in shown
        assert text[16:] not in shown
    assert deltastream("key", "revoke", listed["prefix"]).stdout == f"{listed['prefix']} is revoked.\n"
    assert deltastream.json("key", "list")[0]["state"] == "revoked"
    deltastream("user", "add", "ann@example.org")
    assert deltastream.refusal("key", "create", "ann@example.org", "--name", "x", "--scope", "admin") == (
        "The user may not admin, so no key of theirs may."
    )


def test_a_newer_file_is_refused(deltastream: Any, directory: Path):
    import sqlite3

    with sqlite3.connect(directory / "accounts.db") as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    assert "has schema 7" in deltastream.refusal("user", "list")


def test_the_signing_key_changes_under_a_running_host(deltastream: Any, directory: Path):
    before = as_service(_current)
    deltastream("key", "rotate-signing")
    assert as_service(_current) != before


async def _current(service: AccountService) -> str:
    return service._ring.current.id


def test_keys_made_for_a_command_leave_nothing(deltastream: Any, directory: Path):
    """Nor do those of a command that was killed, once they have ended; what is valid is not touched."""
    for name in ("a command", "a command", "another"):
        deltastream("key", "create", "admin@localhost", "--name", name, "--scope", "read:market")
    killed, beside, another = (key["id"] for key in deltastream.json("key", "list"))
    deltastream("key", "revoke", killed, another)
    shown: list[list[str]] = []

    async def main() -> None:
        async with operator_key(load().settings, "a command") as make:
            texts = [await make(), await make()]
            assert len(set(texts)) == 2
            shown.append(await ids())
        shown.append(await ids())

    async def ids() -> list[str]:
        async with SqliteAccountStore(directory / "accounts.db", Seams.system()) as store:
            return [key.id for key in await store.keys()]

    trio.run(main)
    assert shown[0][:2] == [beside, another]
    assert len(shown[0]) == 3
    assert shown[1] == [beside, another]


def test_beside_a_running_host_a_right_is_gone_within_a_second(deltastream: Any, directory: Path, start: Any):
    """Two processes for real: this one holds the directory and follows revocations, the other revokes."""
    token = deltastream.json("user", "link")["link"].split("token=")[1]

    async def host() -> float:
        settings, seams = load().settings, Seams.system()
        ring = KeyRing(directory / "accounts.keys", token_s=900, seams=seams)
        await ring.open()
        async with (
            open_bus(directory / "journal.db", settings.bus, seams) as bus,
            SqliteAccountStore(directory / "accounts.db", seams) as store,
            trio.open_nursery() as nursery,
        ):
            service = AccountService(store, ring, settings.accounts, seams)
            await nursery.start(service.run, bus)
            signed_in = await service.login_with_link(token)
            await service.authenticate(signed_in.access)
            async with bus.follow(["system.revocation"], live=True) as follower:
                with trio.fail_after(20):
                    process = start("user", "logout", "admin@localhost")
                    await trio.to_thread.run_sync(process.wait)
                    began = trio.current_time()
                    assert process.returncode == 0
                    await follower.batch()
            late = trio.current_time() - began
            with pytest.raises(InvalidToken, match="not valid: revoked"):
                await service.authenticate(signed_in.access)
            nursery.cancel_scope.cancel()
        return late

    with open_data_directory(directory):
        assert trio.run(host) < 1
