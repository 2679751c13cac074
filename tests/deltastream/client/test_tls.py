"""By TLS to both ports, with a certificate that is trusted, and with one that is not."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deltastream.client import ChainUpdate, Disconnected, Reconnected, UnderlyingUpdate, Untrusted, connect
from deltastream.gateway.settings import GatewaySettings

Certificate = tuple[Path, Path]


@pytest.fixture
async def stand(open_stand: Any, which: str, certificate: Certificate) -> AsyncIterator[Any]:
    """On each of both ports, with a certificate."""
    gateway = GatewaySettings(certificate=str(certificate[0]), certificate_key=str(certificate[1]))
    async with open_stand(which=which, gateway=gateway) as opened:
        yield opened


@pytest.fixture
def trusting(certificate: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate[0]))


async def until(client: Any, kind: type) -> Any:
    async for event in client:
        if isinstance(event, kind):
            return event
    raise AssertionError("the client ended")


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_a_session(stand, backend, trusting, rng, encoding):
    await stand.tick(1.0)
    await stand.chain()
    assert stand.url.startswith("wss://")

    async def user():
        async with connect(
            stand.url, token=stand.token, context=trusting, encoding=encoding, deflate=True, rng=rng
        ) as client:
            await client.subscribe("product:NIFTY", "chain:NIFTY")
            await until(client, ChainUpdate)
            await backend.host(stand.cut)
            await until(client, Disconnected)
            await backend.host(stand.tick, 2.0)
            await until(client, Reconnected)
            update = await until(client, UnderlyingUpdate)
            assert (update.seq, update.price, update.snapshot) == (2, 2.0, False)

    await backend.run(user)
    await stand.settle()


async def test_a_certificate_that_nobody_knows(stand, backend):
    async def user():
        with pytest.raises(Untrusted, match=r"the certificate of 127\.0\.0\.1 is not trusted: self.signed"):
            async with connect(stand.url, token=stand.token):
                raise AssertionError("let in")

    await backend.run(user)
    await stand.settle()


async def test_a_certificate_of_somebody_else(
    open_stand, which, backend, make_certificate: Callable[..., Certificate]
):
    certificate, key = make_certificate("elsewhere", "DNS:elsewhere.example")
    gateway = GatewaySettings(certificate=str(certificate), certificate_key=str(key))
    async with open_stand(which=which, gateway=gateway) as stand:

        async def user():
            trusting = ssl.create_default_context(cafile=str(certificate))
            with pytest.raises(Untrusted, match="is not trusted: IP address mismatch"):
                async with connect(stand.url, token=stand.token, context=trusting):
                    raise AssertionError("let in")

        await backend.run(user)


async def test_a_server_that_comes_back_with_another_certificate_is_not_tried_for_ever(
    stand, backend, trusting, rng, make_certificate: Callable[..., Certificate]
):
    certificate, key = make_certificate("other")

    async def user():
        async with connect(stand.url, token=stand.token, context=trusting, rng=rng) as client:
            await backend.host(stand.stop)
            await until(client, Disconnected)
            stand.gateway = msgspec.structs.replace(
                stand.gateway, certificate=str(certificate), certificate_key=str(key)
            )
            await backend.host(stand.start)
            with pytest.raises(Untrusted, match="is not trusted"):
                await until(client, Reconnected)
            with pytest.raises(Untrusted):
                await client.ping()

    await backend.run(user)


async def test_a_port_without_tls_and_an_address_with(open_stand, backend, which):
    async with open_stand(which=which) as plain:

        async def user():
            with pytest.raises(OSError, match="SSL"):
                async with connect(plain.url.replace("ws:", "wss:"), token=plain.token):
                    raise AssertionError("let in")

        await backend.run(user)
