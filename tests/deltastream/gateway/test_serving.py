"""The gateway's own transport against real sockets: slow, stalled, rude, numerous and patient clients."""

from __future__ import annotations

import random
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import structlog.testing
import trio

from deltastream.gateway import serving
from deltastream.gateway._connection import Patience
from deltastream.gateway.listening import CannotListen
from deltastream.gateway.serving import DRAIN_S, Bound, serve
from deltastream.gateway.settings import GatewaySettings, LimitSettings
from deltastream.seams import Seams

LOCAL = GatewaySettings(port=0)
BIG = b"x" * (64 << 20)


class App:
    """Answers by path, and notes what it was asked."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []
        self.disconnected = 0
        self.release = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("HTTP only")
        self.scopes.append(scope)
        match scope["path"]:
            case "/big":
                await self._answer(send, BIG)
            case "/held":
                await self.release.wait()
                await self._answer(send, b"held")
            case "/deaf":
                await trio.sleep_forever()
            case "/fails":
                raise ValueError("a defect")
            case "/gone":
                while (await receive())["type"] != "http.disconnect":
                    pass
                self.disconnected += 1
            case "/early":
                await self._answer(send, b"no", status=413)
            case "/body":
                body = b""
                while True:
                    event = await receive()
                    body += event.get("body", b"")
                    if not event.get("more_body"):
                        break
                self.bodies.append(body)
                await self._answer(send, str(len(body)).encode())
            case _:
                await self._answer(send, b"hello")

    async def _answer(self, send: Any, body: bytes, status: int = 200) -> None:
        length = str(len(body)).encode()
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-length", length)]}
        )
        await send({"type": "http.response.body", "body": body})


@contextmanager
def captured() -> Iterator[list[Any]]:
    """The log lines, from debug on."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(0))
    with structlog.testing.capture_logs() as logs:
        yield logs


_connected: list[trio.SocketStream] = []


async def connect(bound: Bound) -> trio.SocketStream:
    stream = await trio.open_tcp_stream("127.0.0.1", bound.port)
    _connected.append(stream)
    return stream


@asynccontextmanager
async def running(
    app: Any, settings: GatewaySettings = LOCAL, patience: Patience | None = None
) -> AsyncIterator[tuple[Bound, trio.Event, trio.Event]]:
    """A server, what stops it, and what tells that it has ended."""
    stop, ended = trio.Event(), trio.Event()

    async def served(*, task_status: trio.TaskStatus[Bound]) -> None:
        await serve(app, settings, Seams.system(), stop=stop, patience=patience, task_status=task_status)
        ended.set()

    async with trio.open_nursery() as nursery:
        bound = await nursery.start(served)
        try:
            yield bound, stop, ended
        finally:
            stop.set()
            while _connected:
                _connected.pop().socket.close()


async def everything(stream: trio.abc.ReceiveStream) -> bytes:
    """What comes until the server closes."""
    data = b""
    with trio.fail_after(5):
        try:
            async for part in stream:
                data += part
        except trio.BrokenResourceError:
            pass
    return data


async def ends_within(seconds: float, stop: trio.Event, ended: trio.Event) -> float:
    began = trio.current_time()
    stop.set()
    with trio.fail_after(seconds):
        await ended.wait()
    return trio.current_time() - began


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def long_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who ends sooner than this was not cut off."""
    monkeypatch.setattr(serving, "DRAIN_S", 60.0)


async def test_clients_are_answered_and_their_connections_kept(app: App):
    async with running(app) as (bound, *_), httpx.AsyncClient(base_url=bound.url) as client:
        assert bound.url == f"http://127.0.0.1:{bound.port}"
        for _ in range(3):
            answer = await client.get("/x?y=1", headers={"x-own": "1"})
            assert (answer.status_code, answer.text) == (200, "hello")
        assert "server" not in answer.headers
        assert answer.headers["date"].endswith("GMT")
        ports = {scope["client"][1] for scope in app.scopes}
        assert len(ports) == 1
        scope = app.scopes[0]
        assert (scope["raw_path"], scope["query_string"], scope["scheme"]) == (b"/x", b"y=1", "http")
        assert scope["server"] == ("127.0.0.1", bound.port)


async def test_bodies_arrive_whole_and_in_order(app: App):
    body = random.Random(1).randbytes(3_000_000)
    async with running(app) as (bound, *_), httpx.AsyncClient(base_url=bound.url) as client:
        assert (await client.post("/body", content=body)).text == "3000000"
        assert app.bodies == [body]


async def test_a_stalled_reader_is_cut_off_and_holds_nobody_up(app: App):
    with captured() as logs:
        async with running(app, patience=Patience(write=0.3)) as (bound, *_):
            stalled = await connect(bound)
            await stalled.send_all(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
            async with httpx.AsyncClient(base_url=bound.url) as client:
                assert (await client.get("/x")).text == "hello"
            with trio.fail_after(3):
                while not any(line["event"] == "client_stalled" for line in logs):  # noqa: ASYNC110  a log has no event
                    await trio.sleep(0.02)
            assert len(await everything(stalled)) < len(BIG)


async def test_a_stalled_reader_does_not_delay_the_end(app: App):
    async with running(app) as (bound, stop, ended):
        for _ in range(5):
            stalled = await connect(bound)
            await stalled.send_all(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
        await trio.sleep(0.1)
        took = await ends_within(DRAIN_S + 3, stop, ended)
        assert took >= DRAIN_S - 0.1


async def test_who_waits_is_let_go_at_once_and_who_is_answered_gets_the_answer(app: App, long_drain: None):
    async with running(app) as (bound, stop, ended), httpx.AsyncClient(base_url=bound.url) as client:
        idle = [await connect(bound) for _ in range(20)]
        assert (await client.get("/x")).text == "hello"
        held: list[str] = []

        async def ask() -> None:
            held.append((await client.get("/held")).text)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            while not any(scope["path"] == "/held" for scope in app.scopes):  # noqa: ASYNC110  httpx tells nothing
                await trio.sleep(0.01)
            stop.set()
            for stream in idle:
                assert await everything(stream) == b""
            with pytest.raises(OSError, match="all attempts to connect"):
                await connect(bound)
            assert not ended.is_set()
            app.release.set()
        assert held == ["held"]
        with trio.fail_after(20):
            await ended.wait()


async def test_an_application_that_never_answers_is_cancelled_at_the_end(app: App):
    async with running(app) as (bound, stop, ended):
        stream = await connect(bound)
        await stream.send_all(b"GET /deaf HTTP/1.1\r\nhost: x\r\n\r\n")
        await trio.sleep(0.1)
        await ends_within(DRAIN_S + 3, stop, ended)


async def test_a_cancellation_from_outside_is_as_orderly(app: App):
    scope = trio.CancelScope()

    async def served(*, task_status: trio.TaskStatus[Bound]) -> None:
        with scope:
            await serve(app, LOCAL, Seams.system(), task_status=task_status)

    async with trio.open_nursery() as nursery:
        bound = await nursery.start(served)
        stream = await connect(bound)
        await stream.send_all(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")
        while not app.scopes:  # noqa: ASYNC110  nothing tells
            await trio.sleep(0.01)
        scope.cancel()
        await trio.sleep(0.05)
        app.release.set()
        assert (await everything(stream)).endswith(b"held")
    assert scope.cancelled_caught


async def test_slow_headers_have_a_limit_that_drips_do_not_extend(app: App):
    async with running(app, patience=Patience(head=0.3)) as (bound, *_):
        stream = await connect(bound)
        began = trio.current_time()
        with trio.fail_after(3):
            try:
                for byte in b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: " + b"a" * 1000:
                    await stream.send_all(bytes([byte]))
                    await trio.sleep(0.02)
            except trio.BrokenResourceError:
                pass
        assert 0.25 < trio.current_time() - began < 2
        assert app.scopes == []


async def test_silence_has_a_limit_before_and_between_requests(app: App):
    async with running(app, patience=Patience(idle=0.2)) as (bound, *_):
        silent = await connect(bound)
        assert await everything(silent) == b""
        once = await connect(bound)
        await once.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await everything(once)).endswith(b"hello")


async def test_hundreds_of_idle_connections_leave_room_and_end_at_once(app: App, long_drain: None):
    async with running(app) as (bound, stop, ended):
        idle = [await connect(bound) for _ in range(400)]
        async with httpx.AsyncClient(base_url=bound.url) as client:
            assert (await client.get("/x")).text == "hello"
        await ends_within(20, stop, ended)
        assert [await everything(stream) for stream in idle] == [b""] * 400


async def test_more_clients_than_allowed_are_told_to_come_later(app: App):
    settings = GatewaySettings(port=0, limits=LimitSettings(connections=3))
    with captured() as logs:
        async with running(app, settings) as (bound, *_):
            inside = [await connect(bound) for _ in range(3)]
            await trio.sleep(0.05)
            for _ in range(4):
                turned_away = await everything(await connect(bound))
                assert turned_away.startswith(b"HTTP/1.1 503 ")
                assert b"retry-after: 1\r\n" in turned_away
                assert b'"urn:deltastream:problem:overloaded"' in turned_away
            await inside.pop().aclose()
            await trio.sleep(0.05)
            stream = await connect(bound)
            await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert (await everything(stream)).endswith(b"hello")
    assert [line["event"] for line in logs].count("too_many_clients") == 1


@pytest.mark.parametrize("seed", range(4))
async def test_ten_thousand_random_bytes(app: App, seed: int):
    noise = random.Random(seed).randbytes(10_000)
    async with running(app) as (bound, *_):
        stream = await connect(bound)
        try:
            await stream.send_all(noise)
            await stream.send_eof()
        except trio.BrokenResourceError:
            pass
        answer = await everything(stream)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        async with httpx.AsyncClient(base_url=bound.url) as client:
            assert (await client.get("/x")).text == "hello"
    assert len(app.scopes) == 1


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GARBAGE\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 60_000, 431, "headers_too_large"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n", 400, "malformed_request"),
        (
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            400,
            "malformed_request",
        ),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400, "malformed_request"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9e9\r\n\r\n", 400, "malformed_request"),
    ],
)
async def test_what_is_no_http_gets_a_problem_document(app: App, request_: bytes, status: int, code: str):
    async with running(app) as (bound, *_):
        stream = await connect(bound)
        await stream.send_all(request_)
        answer = await everything(stream)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"content-type: application/problem+json" in head
    assert b"urn:deltastream:problem:" + code.encode() in body
    assert app.scopes == []


async def test_no_way_leads_to_http_2_over_plain_tcp(app: App):
    """A proxy that passes an upgrade on would not see the requests behind it."""
    async with running(app) as (bound, *_):
        stream = await connect(bound)
        await stream.send_all(
            b"GET /up HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings, close\r\nupgrade: h2c\r\n"
            b"http2-settings: AAMAAABkAAQAAP__\r\n\r\n"
        )
        assert (await everything(stream)).endswith(b"hello")
        prior = await connect(bound)
        await prior.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        assert (await everything(prior)).rpartition(b"HTTP/1.1 ")[2].startswith(b"400 ")
    assert [scope["http_version"] for scope in app.scopes] == ["1.1", "2.0"]


async def test_a_defect_of_the_application_costs_its_request_only(app: App):
    with captured() as logs:
        async with running(app) as (bound, *_), httpx.AsyncClient(base_url=bound.url) as client:
            assert (await client.get("/fails")).status_code == 500
            assert (await client.get("/x")).text == "hello"
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["application_failed"]


async def test_an_application_learns_that_its_client_has_gone(app: App):
    async with running(app) as (bound, *_):
        stream = await connect(bound)
        await stream.send_all(b"GET /gone HTTP/1.1\r\nhost: x\r\n\r\n")
        while not app.scopes:  # noqa: ASYNC110  nothing tells
            await trio.sleep(0.01)
        await stream.aclose()
        with trio.fail_after(2):
            while not app.disconnected:  # noqa: ASYNC110  the same
                await trio.sleep(0.01)


async def test_an_answer_before_the_end_of_the_body_is_read(app: App):
    """Closed at once, the connection would be reset, and the answer lost with it."""
    async with running(app) as (bound, *_), httpx.AsyncClient(base_url=bound.url) as client:

        async def slowly() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b"x" * 50_000
                await trio.sleep(0.005)

        answer = await client.post("/early", content=slowly())
        assert (answer.status_code, answer.text) == (413, "no")
        assert (await client.get("/x")).text == "hello"


async def test_pipelined_requests_are_answered_in_order(app: App):
    async with running(app) as (bound, *_):
        stream = await connect(bound)
        requests = [
            b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (n, b"b" * n)
            for n in range(9)
        ]
        await stream.send_all(b"".join(requests) + b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = await everything(stream)
        bodies = [part.rpartition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 ")[1:]]
        assert bodies == [*(b"%d" % n for n in range(9)), b"hello"]


async def test_an_open_file_too_many_delays_but_does_not_end_it(app: App, monkeypatch: pytest.MonkeyPatch):
    accept = trio.SocketListener.accept
    failing = [OSError(24, "Too many open files")] * 2

    async def failing_first(self: trio.SocketListener) -> trio.SocketStream:
        if failing:
            await trio.lowlevel.checkpoint()
            raise failing.pop()
        return await accept(self)

    monkeypatch.setattr(trio.SocketListener, "accept", failing_first)
    with captured() as logs:
        async with running(app) as (bound, *_), httpx.AsyncClient(base_url=bound.url) as client:
            assert (await client.get("/x")).text == "hello"
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["no_room_for_clients"]


async def test_ipv6(app: App):
    settings = GatewaySettings(host="::1", port=0)
    try:
        async with running(app, settings) as (bound, *_), httpx.AsyncClient(base_url=bound.url) as client:
            assert bound.url == f"http://[::1]:{bound.port}"
            assert (await client.get("/x")).text == "hello"
    except* CannotListen:
        pytest.skip("this machine has no IPv6")


async def test_an_application_begins_before_the_first_request_and_ends_after_the_last():
    lived: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        for phase in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{phase}"
            lived.append(phase)
            await send({"type": f"lifespan.{phase}.complete"})

    async with running(app) as (_, stop, ended):
        assert lived == ["startup"]
        await ends_within(1, stop, ended)
    assert lived == ["startup", "shutdown"]


async def test_an_application_that_cannot_begin_is_not_served():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="no database"), flatten_subgroups=True):
        async with running(app):
            pass


# Refusals at the start


async def refusal(settings: GatewaySettings) -> str:
    with pytest.raises(CannotListen) as caught:
        await serve(App(), settings, Seams.system())
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
        " set gateway.port to another port, or to 0 for any."
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


@pytest.fixture(scope="session")
def make_certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """Makes a self-signed certificate for 127.0.0.1 and its key."""

    def make(name: str) -> tuple[Path, Path]:
        directory = tmp_path_factory.mktemp(name)
        certificate, key = directory / "certificate.pem", directory / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += [
            "-nodes",
            "-keyout",
            str(key),
            "-out",
            str(certificate),
            "-days",
            "2",
            "-subj",
            "/CN=test",
        ]
        command += ["-addext", "subjectAltName=IP:127.0.0.1"]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("openssl is not on the path")
        return certificate, key

    return make


@pytest.fixture(scope="session")
def certificate(make_certificate: Callable[[str], tuple[Path, Path]]) -> tuple[Path, Path]:
    return make_certificate("tls")


def secured(certificate: Path, key: Path) -> GatewaySettings:
    return GatewaySettings(port=0, certificate=str(certificate), certificate_key=str(key))


async def test_tls(app: App, certificate: tuple[Path, Path]):
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    patience = Patience(handshake=0.3)
    async with running(app, secured(*certificate), patience) as (bound, stop, ended):
        assert bound.url == f"https://127.0.0.1:{bound.port}"
        silent = await connect(bound)
        plain = await connect(bound)
        await plain.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        async with httpx.AsyncClient(base_url=bound.url, verify=trusting) as client:
            assert (await client.get("/x")).text == "hello"
            assert (await client.post("/body", content=b"x" * 500_000)).text == "500000"
            assert {scope["scheme"] for scope in app.scopes} == {"https"}
            assert b"hello" not in await everything(plain)
            assert await everything(silent) == b""
            stalled = trio.SSLStream(await connect(bound), trusting, server_hostname="127.0.0.1")
            await stalled.send_all(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
            await trio.sleep(0.1)
            await ends_within(DRAIN_S + 3, stop, ended)


async def test_old_tls_is_refused(app: App, certificate: tuple[Path, Path]):
    old = ssl.create_default_context(cafile=str(certificate[0]))
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with running(app, secured(*certificate)) as (bound, *_):
        stream = trio.SSLStream(await connect(bound), old, server_hostname="127.0.0.1")
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
