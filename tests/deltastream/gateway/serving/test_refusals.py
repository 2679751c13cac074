"""What the gateway cannot serve it refuses with one sentence; and TLS."""

from __future__ import annotations

import resource
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from deltastream.gateway._connection import Patience
from deltastream.gateway.listening import CannotListen, room_for
from deltastream.gateway.serving import DRAIN_S, serve
from deltastream.gateway.settings import GatewaySettings
from deltastream.seams import Seams


async def refusal(settings: GatewaySettings) -> str:
    with pytest.raises(CannotListen) as caught:
        await serve(None, settings, Seams.system())
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_port_in_use_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = await refusal(GatewaySettings(port=port))
    assert said == (
        f"The gateway cannot listen on 127.0.0.1:{port}: another process listens there;"
        " set gateway.port (DELTASTREAM_GATEWAY__PORT) to another port, or to 0 for any."
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"host": "0.0.0.0"}, "gateway.host: 0.0.0.0 can be reached from other machines"),
        ({"host": "nowhere.invalid"}, "gateway.host: 'nowhere.invalid' is not known here"),
        ({"path_prefix": "x/"}, "gateway.path_prefix"),
        (
            {"certificate": "/nowhere/c.pem", "certificate_key": "/nowhere/k.pem"},
            "/nowhere/c.pem cannot be read",
        ),
    ],
)
async def test_what_cannot_be_served_is_one_sentence(values: dict[str, Any], words: str):
    assert words in await refusal(GatewaySettings(port=0, **values))


async def test_an_address_of_another_machine_is_one_sentence(tmp_path: Path):
    said = await refusal(
        GatewaySettings(
            host="192.0.2.1",
            port=0,
            allowed_hosts=("a.example",),
            allowed_origins=("https://a.example",),
            signing_key_file=str(tmp_path / "keys"),
        )
    )
    assert said == "The gateway cannot listen on 192.0.2.1:0: this machine has no such address."


# TLS


def secured(certificate: Path, key: Path) -> GatewaySettings:
    return GatewaySettings(port=0, certificate=str(certificate), certificate_key=str(key))


async def test_tls(net: Any, app: Any, certificate: tuple[Path, Path]):
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    patience = Patience(handshake=0.3)
    async with net.running(app, secured(*certificate), patience) as (bound, stop, ended):
        assert bound.url == f"https://127.0.0.1:{bound.port}"
        silent = await net.connect(bound)
        plain = await net.connect(bound)
        await plain.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        async with httpx.AsyncClient(base_url=bound.url, verify=trusting) as client:
            assert (await client.get("/x")).text == "hello"
            assert (await client.post("/body", content=b"x" * 500_000)).text == "500000"
            assert {scope["scheme"] for scope in app.scopes} == {"https"}
            assert b"hello" not in await net.everything(plain)
            assert await net.everything(silent) == b""
            stalled = trio.SSLStream(await net.connect(bound), trusting, server_hostname="127.0.0.1")
            await stalled.send_all(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
            await trio.sleep(0.1)
            await net.ends_within(DRAIN_S + 3, stop, ended)


async def test_old_tls_is_refused(net: Any, app: Any, certificate: tuple[Path, Path]):
    old = ssl.create_default_context(cafile=str(certificate[0]))
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with net.running(app, secured(*certificate)) as (bound, *_):
        stream = trio.SSLStream(await net.connect(bound), old, server_hostname="127.0.0.1")
        with pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()


async def test_certificates_that_cannot_be_used_are_one_sentence(
    certificate: tuple[Path, Path], make_certificate: Callable[[str], tuple[Path, Path]], tmp_path: Path
):
    _, other = make_certificate("other")
    assert (await refusal(secured(certificate[0], other))).endswith("the key is not that of the certificate.")
    text = tmp_path / "text.pem"
    text.write_text("hello")
    assert (await refusal(secured(text, certificate[1]))).endswith("they are not in PEM form.")
    assert "cannot be used" in await refusal(secured(certificate[0], certificate[0]))
    assert "Is a directory" in await refusal(secured(tmp_path, certificate[1]))
    encrypted = tmp_path / "encrypted.pem"
    command = ["openssl", "ec", "-in", str(certificate[1]), "-aes128", "-passout", "pass:secret"]
    await trio.run_process([*command, "-out", str(encrypted)], capture_stderr=True)
    assert "the key is encrypted" in await refusal(secured(certificate[0], encrypted))


# Files


@pytest.mark.parametrize(
    ("limits", "connections", "room", "left"),
    [
        ((1024, 524288), 1000, 1000, 1256),
        ((65536, 65536), 1000, 1000, 65536),
        ((1024, 1024), 1000, 768, 1024),
        ((64, 64), 1000, 1, 64),
        ((1024, resource.RLIM_INFINITY), 5000, 5000, 5256),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 5000, 5000, resource.RLIM_INFINITY),
    ],
)
def test_there_are_files_enough_for_the_clients_or_fewer_clients(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], connections: int, room: int, left: int
):
    now = list(limits)
    monkeypatch.setattr(resource, "getrlimit", lambda which: tuple(now))
    monkeypatch.setattr(resource, "setrlimit", lambda which, given: now.__setitem__(slice(None), given))
    assert room_for(connections) == room
    assert now == [left, limits[1]]


def test_where_the_limit_may_not_be_raised_there_are_fewer_clients(monkeypatch: pytest.MonkeyPatch):
    def forbidden(which: int, limits: tuple[int, int]) -> None:
        raise ValueError("not allowed")

    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 524288))
    monkeypatch.setattr(resource, "setrlimit", forbidden)
    assert room_for(1000) == 768
