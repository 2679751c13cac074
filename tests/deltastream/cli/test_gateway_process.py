"""`deltastream run` with its gateway: first contact, who is let in, how it ends. Real HTTP, real signals."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

LINK = re.compile(r"(http://127\.0\.0\.1:\d+[/\w]*)/login#token=(dsl_[0-9a-f]{64})")
FAST = {
    "DELTASTREAM_GATEWAY__PORT": "0",
    "DELTASTREAM_SOCKETS__PORT": "0",
    "DELTASTREAM_SYNTHETIC__PRODUCTS": "NIFTY",
    "DELTASTREAM_SYNTHETIC__STRIKES": "9",
    "DELTASTREAM_SYNTHETIC__CHAIN_INTERVAL_S": "0.2",
}


@pytest.fixture(autouse=True)
def gateway(own_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All actors, and a port of the gateway's own choice."""
    monkeypatch.delenv("DELTASTREAM_ACTORS")
    for name, value in FAST.items():
        monkeypatch.setenv(name, value)


def wait_for(condition: Callable[[], Any], seconds: float = 40.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("it did not happen")


@pytest.fixture
def running(start: Any, tmp_path: Path) -> Callable[..., Any]:
    """Starts a host and waits until it stands; its output is in two files."""

    def run(*args: str) -> subprocess.Popen[str]:
        out, err = (tmp_path / "out").open("w"), (tmp_path / "err").open("w")
        with out, err:
            process: subprocess.Popen[str] = start("run", *args, stdout=out, stderr=err)
        wait_for(lambda: process.poll() is not None or '"event":"started"' in (tmp_path / "out").read_text())
        return process

    return run


def told(path: Path) -> re.Match[str]:
    """The link on standard error."""
    found = wait_for(lambda: LINK.search(path.read_text()))
    assert isinstance(found, re.Match)
    return found


def events(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]


def test_the_first_contact(running: Any, deltastream: Any, own_environment: Path, tmp_path: Path):
    process = running()
    url, token = told(tmp_path / "err").groups()
    assert deltastream.json("status")["gateway"] == url
    assert url in deltastream("status").stdout
    with httpx.Client(base_url=url) as client:
        assert client.get("/health").json() == {"status": "ok"}
        assert client.get("/api/data/products").status_code == 401
        assert client.get("/health", headers={"host": "evil.example"}).status_code == 421
        assert client.get("/login").status_code == 200
        answer = client.post("/api/auth/link", json={"token": token})
        assert answer.status_code == 200, answer.text
        bearer = {"Authorization": f"Bearer {answer.json()['token']}"}
        assert client.post("/api/auth/link", json={"token": token}).status_code == 401, "once"
        chain = wait_for(
            lambda: (got := client.get("/api/data/chain/NIFTY", headers=bearer)).status_code == 200 and got
        ).json()
        assert chain["product"] == "NIFTY"
        assert chain["chains"][0]["calls"]
        changed = client.post("/api/auth/password", json={"password": "correct horse 7"}, headers=bearer)
        assert changed.status_code == 200, changed.text
        made = deltastream("key", "create", "admin@localhost", "--name", "t", "--scope", "read:market")
        key = {"X-API-Key": made.stdout.strip()}
        assert client.get("/api/data/products", headers=key).json()["products"]
        other = LINK.search(deltastream("user", "link").stdout)
        assert other is not None
        assert other[1] == url
        assert client.post("/api/auth/link", json={"token": other[2]}).status_code == 200

    process.send_signal(signal.SIGINT)
    assert process.wait(8) == 0
    log = (tmp_path / "out").read_text()
    for secret in (token, "correct horse", key["X-API-Key"], bearer["Authorization"].split()[1], "dsl_"):
        assert secret not in log
    stopped = [line["actor"] for line in events(tmp_path) if line["event"] == "stopped"]
    order = ["host/edge/gateway", "host/edge/live", "host/edge/auth", "host/pipeline/feed", "host/store"]
    assert [actor for actor in stopped if actor in order] == order
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in own_environment.glob("accounts*")}
    assert modes == {"accounts.db": 0o600, "accounts.keys": 0o600}

    again = running()
    assert again.poll() is None
    time.sleep(0.3)
    assert (tmp_path / "err").read_text() == "", "an administrator has a password: there is no link"
    again.send_signal(signal.SIGTERM)
    assert again.wait(8) == 0


def test_clients_that_do_not_read_do_not_delay_the_end(running: Any, tmp_path: Path):
    process = running()
    url, token = told(tmp_path / "err").groups()
    bearer = httpx.post(f"{url}/api/auth/link", json={"token": token}).json()["token"]
    size = len(httpx.get(f"{url}/api/docs", headers={"Authorization": f"Bearer {bearer}"}).content)
    asked = f"GET /api/docs HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {bearer}\r\n\r\n"
    with contextlib.ExitStack() as clients:
        for _ in range(3):
            client = clients.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", int(url.rpartition(":")[2])))
            client.sendall(asked.encode() * ((16 << 20) // size))  # more than the kernel holds for us
        time.sleep(0.25)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(8) == 0
        assert time.monotonic() - began < 5
    assert not any(line["event"] == "stuck" for line in events(tmp_path))


def test_a_port_in_use_is_one_sentence(start: Any, monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        monkeypatch.setenv("DELTASTREAM_GATEWAY__PORT", port)
        process = start("run")
        _, err = process.communicate(timeout=40)
    assert process.returncode == 1
    assert err == (
        f"The gateway cannot listen on 127.0.0.1:{port}: another process listens there;"
        " set gateway.port (DELTASTREAM_GATEWAY__PORT) to another port, or to 0 for any.\n"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_an_open_address_is_refused_before_anything_is_made(
    start: Any, own_environment: Path, monkeypatch: pytest.MonkeyPatch, host: str
):
    monkeypatch.setenv("DELTASTREAM_GATEWAY__HOST", host)
    process = start("run")
    out, err = process.communicate(timeout=40)
    assert (process.returncode, out) == (2, "")
    assert err.splitlines()[-1] == (
        f"  gateway.host: {host} can be reached from other machines; give signing_key_file,"
        " allowed_hosts and allowed_origins as well, or bind 127.0.0.1"
    )
    assert not own_environment.exists()


def test_an_open_address_with_all_that_it_needs(
    running: Any, deltastream: Any, monkeypatch: pytest.MonkeyPatch, own_environment: Path, tmp_path: Path
):
    keys = tmp_path / "signing.keys"
    assert deltastream("key", "make-signing", str(keys)).stdout == (f'gateway.signing_key_file = "{keys}"\n')
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert deltastream.refusal("key", "make-signing", str(keys)) == f"{keys} is there already."
    for name, value in {
        "HOST": "0.0.0.0",
        "SIGNING_KEY_FILE": str(keys),
        "ALLOWED_HOSTS": "localhost",
        "ALLOWED_ORIGINS": "https://desk.example.org",
    }.items():
        monkeypatch.setenv(f"DELTASTREAM_GATEWAY__{name}", value)
    process = running()
    url = deltastream.json("status")["gateway"]
    assert url.startswith("http://localhost:")
    port = int(url.rpartition(":")[2])
    assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 421
    assert httpx.get(f"http://127.0.0.1:{port}/health", headers={"host": "localhost"}).status_code == 200
    register = {"email": "a@b.example", "password": "correct horse 7", "name": "A"}
    answer = httpx.post(
        f"http://127.0.0.1:{port}/api/auth/register", json=register, headers={"host": "localhost"}
    )
    assert (answer.status_code, answer.json()["type"][-19:]) == (403, "registration_closed")
    process.send_signal(signal.SIGINT)
    assert process.wait(8) == 0
    assert (tmp_path / "err").read_text() == "", "no link where others can read it"
    assert any(line["event"] == "no_administrator" for line in events(tmp_path))
    assert not (own_environment / "accounts.keys").exists()
    keys.unlink()
    refused = running()
    assert refused.wait(8) == 1
    assert (tmp_path / "err").read_text() == (
        f"The signing keys {keys} cannot be used: No such file or directory.\n"
    )


def test_the_link_in_the_live_view(start: Any, own_environment: Path, monkeypatch: pytest.MonkeyPatch):
    ours, theirs = pty.openpty()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm-256color")
    process = start("run", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = ""

    def look() -> str:
        nonlocal seen
        while select.select([ours], [], [], 0)[0]:
            seen += os.read(ours, 65536).decode(errors="replace")
        return re.sub(r"\x1b\][^\x1b]*\x1b\\|\x1b\[[\d;?]*[a-zA-Z]", "", seen).replace("\r\n", "")

    def newest() -> str:
        return look().rpartition("Ctrl-C stops")[0].rpartition("Ctrl-C stops")[2]

    found = wait_for(lambda: LINK.search(newest()))
    assert httpx.post(f"{found[1]}/api/auth/link", json={"token": found[2]}).status_code == 200
    wait_for(lambda: "The link has been used or replaced" in newest())
    assert "deltastream user link makes another" in newest()
    assert "dsl_" not in newest()
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):
        while data := os.read(ours, 65536):
            seen += data.decode(errors="replace")
    assert process.wait(8) == 0
    assert "dsl_" not in seen.partition("\x1b[?1049l")[2]
    os.close(ours)


def test_the_doctor_looks_at_the_gateway(deltastream: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def found(code: int = 0) -> tuple[str, str]:
        findings = json.loads(deltastream("doctor", "--json", code=code).stdout)
        (one,) = [finding for finding in findings if finding["check"] == "gateway"]
        return one["verdict"], one["found"]

    assert found() == ("ok", "http://127.0.0.1:0, for this machine alone")
    monkeypatch.setenv("DELTASTREAM_GATEWAY__PATH_PREFIX", "/desk")
    monkeypatch.setenv("DELTASTREAM_GATEWAY__TRUSTED_PROXIES", "127.0.0.1")
    assert found() == ("ok", "http://127.0.0.1/desk, for other machines, too")
    monkeypatch.setenv("DELTASTREAM_GATEWAY__SIGNING_KEY_FILE", str(tmp_path / "none"))
    assert found(1) == (
        "fail",
        f"The signing keys {tmp_path}/none cannot be used: No such file or directory.",
    )
    monkeypatch.delenv("DELTASTREAM_GATEWAY__SIGNING_KEY_FILE")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("DELTASTREAM_GATEWAY__PORT", str(taken.getsockname()[1]))
        assert "another process listens there" in found(1)[1]
    monkeypatch.setenv("DELTASTREAM_ACTORS", "feed")
    assert found() == ("ok", "not among the actors of this host")
