"""The control socket under good, bad, slow, greedy and vanishing clients; real sockets, real files."""

from __future__ import annotations

import json
import os
import socket
import stat
from contextlib import asynccontextmanager
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import trio
from rich.console import Console

from deltastream.cli.status import render
from deltastream.errors import DataDirectoryError, StoreUnavailable
from deltastream.host.control import Limits, serve_control
from deltastream.host.control_client import ControlClient, HostNotRunning, connect
from deltastream.host.data_dir import DataDirectory
from deltastream.host.operations import OperationError, item_of

LIMITS = Limits(connections=4, line_bytes=1024, idle_s=0.2, call_s=0.2, write_s=0.2)


@asynccontextmanager
async def serving(parts: Any, limits: Limits = LIMITS):
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve_control, parts, limits=limits))
        with trio.fail_after(10):
            yield parts.data_dir.control_socket
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def raw(path: Path):
    async with await trio.open_unix_socket(str(path)) as stream:
        yield stream


async def answer(stream: trio.SocketStream) -> dict[str, Any]:
    data = b""
    while not data.endswith(b"\n"):
        chunk = await stream.receive_some()
        assert chunk, f"closed after {data!r}"
        data += chunk
    result: dict[str, Any] = json.loads(data)
    return result


async def cut_off(stream: trio.SocketStream) -> bool:
    """Whether the other side has ended the connection, with or without having read everything."""
    try:
        return await stream.receive_some() == b""
    except trio.BrokenResourceError:
        return True


async def pour(stream: trio.SocketStream, data: bytes, times: int) -> None:
    for _ in range(times):
        await stream.send_all(data)


async def still_works(path: Path) -> None:
    async with await connect(path) as client:
        assert (await client.call("status"))["running"] is True


async def test_status_of_the_whole_host(parts, tick):
    await parts.bus.append("market.tick.NIFTY", tick(1))
    async with serving(parts) as path, await connect(path) as client:
        status = await client.call("status")
    assert status["tree"]["state"] == "running"
    assert [child["name"] for child in status["tree"]["children"]] == ["idle"]
    assert status["tree"]["children"][0]["uptime_s"] >= 0
    assert status["bus"]["topics"][0]["topic"] == "market.tick.NIFTY"
    assert status["store"]["state"] == "running"
    assert status["bytes_on_disk"]["journal"] > 0
    assert (status["running"], status["pid"]) == (True, os.getpid())


async def test_status_tells_of_the_rest_when_a_part_does_not_answer(parts, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("deltastream.host.operations._PART_S", 0.05)

    async def refused() -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(parts.bus, "statistics", trio.sleep_forever)
    monkeypatch.setattr(parts.store, "statistics", refused)
    async with serving(parts) as path, await connect(path) as client:
        status = await client.call("status")
    assert (status["bus"], status["store"], status["tree"]["state"]) == (None, None, "running")
    assert status["errors"] == {"bus": "does not answer within 0.05 s", "store": "the disk is full"}
    out = StringIO()
    Console(file=out, width=120).print(render(status, parts.settings))
    assert "bus  does not answer within 0.05 s" in out.getvalue()


async def test_the_socket_is_for_its_owner_and_goes_with_the_host(parts):
    async with serving(parts) as path:
        assert stat.S_IMODE(path.stat().st_mode) & 0o177 == 0
    assert not path.exists()


async def test_the_socket_of_a_dead_host_is_replaced(parts):
    path = parts.data_dir.control_socket
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(HostNotRunning, match=r"^No host is running on .*\.$"):
        await connect(path)
    async with serving(parts):
        await still_works(path)


async def test_no_socket_no_host(tmp_path: Path):
    with pytest.raises(HostNotRunning):
        await connect(tmp_path / "control.sock")
    (tmp_path / "control.sock").touch()
    with pytest.raises(HostNotRunning):
        await connect(tmp_path / "control.sock")


async def test_a_directory_in_place_of_the_socket(parts):
    parts.data_dir.control_socket.mkdir()
    with pytest.raises(DataDirectoryError, match=r"control\.sock cannot be made"):
        await serve_control(parts)


async def test_a_path_longer_than_sockets_allow(parts, tmp_path: Path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    parts.data_dir = DataDirectory(deep)
    async with serving(parts) as path:
        assert len(str(path)) > 108
        await still_works(path)
    assert not path.exists()


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\x00",
        b"{",
        b"[]",
        b"1",
        b"null",
        b'{"id":1}',
        b'{"op":1}',
        b'{"op":"status","params":[]}',
        b'{"op":"status","id":{}}',
        b"[" * 1000,
        b"x" * 2000,
    ],
)
async def test_garbage_is_told_and_cut_off(parts, line: bytes):
    async with serving(parts) as path:
        async with raw(path) as stream:
            await stream.send_all(line + b"\n")
            told = await answer(stream)
            assert (told["ok"], told["error"]["code"]) == (False, "bad_request")
            assert await cut_off(stream)
        await still_works(path)


async def test_an_endless_line_is_cut_off_without_being_kept(parts):
    async with serving(parts) as path, raw(path) as stream:
        with pytest.raises(trio.BrokenResourceError):
            await pour(stream, b"x" * 65536, 1000)
        await still_works(path)


@pytest.mark.parametrize(
    ("operation", "params", "text"),
    [
        ("reboot", {}, "There is no operation 'reboot'."),
        ("status", {"x": 1}, "status: Object contains unknown field `x`"),
        ("bus.tail", {"last": -1}, "bus.tail: Expected `int` >= 0 - at `$.last`"),
        ("bus.tail", {"patterns": []}, "bus.tail: Expected `array` of length >= 1 - at `$.patterns`"),
        ("dlq.show", {}, "dlq.show: Object missing required field `letter`"),
        (
            "series",
            {"kind": "x", "product": "A", "start": 0, "end": 1},
            "series: Invalid enum value 'x' - at `$.kind`",
        ),
    ],
)
async def test_wrong_requests_leave_the_connection_open(
    parts, operation: str, params: dict[str, Any], text: str
):
    async with serving(parts) as path, await connect(path) as client:
        with pytest.raises(OperationError) as caught:
            await client.call(operation, **params)
        assert (caught.value.code, str(caught.value)) == ("bad_request", text)
        assert (await client.call("status"))["running"]


async def test_a_client_that_asks_nothing_is_let_go(parts):
    async with serving(parts) as path:
        async with raw(path) as stream:
            assert await cut_off(stream)
        await still_works(path)


async def test_a_client_that_takes_nothing_is_cut_off(parts, tick):
    await parts.bus.append_batch([_entry(tick(seq)) for seq in range(900)])
    async with serving(parts) as path, raw(path) as stream:
        requests = b'{"op":"bus.tail","params":{"last":900}}\n' * 20
        with pytest.raises(trio.BrokenResourceError):
            await pour(stream, requests, 200)
        await still_works(path)


async def test_clients_beyond_the_limit_are_told_to_come_later(parts):
    async with serving(parts, Limits(connections=2, idle_s=5)) as path:
        async with raw(path), raw(path):
            await trio.testing.wait_all_tasks_blocked()
            async with raw(path) as third:
                assert (await answer(third))["error"]["code"] == "busy"
        await trio.sleep(0.02)
        await still_works(path)


async def test_a_call_that_takes_too_long_ends(parts):
    async def never() -> None:
        await trio.sleep_forever()

    parts.bus.statistics = never
    async with serving(parts) as path, await connect(path) as client:
        with pytest.raises(OperationError, match=r"^bus\.stats took longer than 0\.2 s\.$") as caught:
            await client.call("bus.stats")
        assert caught.value.code == "timeout"
        assert await client.call("products") == []


async def test_a_defect_in_an_operation_hurts_nobody_else(parts):
    async def broken() -> None:
        raise RuntimeError("boom")

    parts.store.products = broken
    async with serving(parts) as path, await connect(path) as client:
        with pytest.raises(OperationError, match="products failed: RuntimeError: boom"):
            await client.call("products")
        assert (await client.call("status"))["running"]


async def test_tail_shows_the_newest_over_all_topics_in_order(parts, tick):
    for seq in range(1, 6):
        await parts.bus.append("market.tick.NIFTY", tick(2 * seq))
        await parts.bus.append("market.tick.SPY", tick(2 * seq + 1, "SPY"))
    items: list[Any] = []

    async def take(item: dict[str, Any]) -> None:
        items.append(item_of(item))

    async with serving(parts) as path, await connect(path) as client:
        await client.stream("bus.tail", take, patterns=("market.*",), last=3)
        assert [item.message for item in items] == [tick(9, "SPY"), tick(10), tick(11, "SPY")]
        items.clear()
        await client.stream("bus.tail", take, patterns=("market.tick.NIFTY",), last=1)
        assert [(item.topic, item.position.seq) for item in items] == [("market.tick.NIFTY", 5)]


async def test_tail_follows_from_where_it_began_without_loss_or_repetition(parts, tick):
    await parts.bus.append("market.tick.NIFTY", tick(1))
    seen: list[int] = []
    began = trio.Event()
    async with serving(parts) as path, trio.open_nursery() as nursery:

        async def follow() -> None:
            async def take(item: dict[str, Any]) -> None:
                began.set()
                seen.append(item_of(item).message.ts_event)
                if len(seen) == 50:
                    nursery.cancel_scope.cancel()

            async with await connect(path) as client:
                await client.stream("bus.tail", take, patterns=("*",), last=10, follow=True)

        nursery.start_soon(follow)
        await began.wait()
        for seq in range(2, 60):
            await parts.bus.append(f"market.tick.{'NIFTY' if seq % 2 else 'NEW'}", tick(seq))
    assert sorted(seen) == seen == list(range(1, 51))


async def test_a_client_that_leaves_a_stream_leaves_nothing_behind(parts):
    async with serving(parts, Limits(connections=1, idle_s=5)) as path:
        for _ in range(2):
            async with raw(path) as stream:
                await stream.send_all(b'{"op":"bus.tail","params":{"follow":true}}\n')
                await trio.sleep(0.02)
            await trio.sleep(0.02)
        await still_works(path)


async def test_anything_sent_during_a_stream_ends_it(parts):
    async with serving(parts, Limits(idle_s=5)) as path, raw(path) as stream:
        await stream.send_all(b'{"op":"bus.tail","params":{"follow":true}}\n')
        await trio.sleep(0.02)
        await stream.send_all(b"\n")
        assert await cut_off(stream)


async def test_many_requests_at_once_are_answered_in_order(parts):
    async with serving(parts) as path, raw(path) as stream:
        lines = b"".join(b'{"id":%d,"op":"dlq.list"}\n' % number for number in range(500))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, lines)
            data = b""
            while data.count(b"\n") < 500:
                data += await stream.receive_some()
    assert [json.loads(line)["id"] for line in data.splitlines()] == list(range(500))


async def test_dead_letters_over_the_socket(parts, tick):
    await parts.bus.append("market.tick.NIFTY", tick(1))
    async with parts.bus.consume(["market.*"], "storage") as consumer:
        for _ in range(parts.settings.bus.retry.max_attempts):
            (delivery,) = await consumer.batch()
            await consumer.fail(delivery, ValueError("no good"))
        async with serving(parts) as path, await connect(path) as client:
            (letter,) = await client.call("dlq.list")
            assert (letter["group"], letter["topic"], letter["seq"]) == ("storage", "market.tick.NIFTY", 1)
            assert await client.call("dlq.list", group="other") == []
            shown = await client.call("dlq.show", letter=letter["id"])
            assert shown["message"]["price"] == 101.0
            assert "no good" in shown["error"]
            await client.call("dlq.replay", letter=letter["id"])
            assert await client.call("dlq.list") == []
            (again,) = await consumer.batch()
            assert again.message == tick(1)
            for operation in ("dlq.show", "dlq.replay", "dlq.drop"):
                with pytest.raises(OperationError, match="There is no dead letter 'x'") as caught:
                    await client.call(operation, letter="x")
                assert caught.value.code == "not_found"


async def test_stop_is_passed_on(parts):
    async with serving(parts) as path, await connect(path) as client:
        assert await client.call("stop") == {"stopping": True}
    assert parts.stopped_for == ["asked for by command"]


async def test_the_client_tells_when_the_host_goes_away(parts):
    async with serving(parts, Limits(idle_s=0.05)) as path:
        client: ControlClient = await connect(path)
        async with client:
            await trio.sleep(0.15)
            with pytest.raises(OperationError, match="The host has closed the connection"):
                await client.call("status")


def _entry(message: Any) -> Any:
    from deltastream.bus import Entry

    return Entry("market.tick.NIFTY", message)
