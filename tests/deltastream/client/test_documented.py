"""`docs/websocket.md` says what is so: its session, its tables, and its clients, too."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import trio
from websockets.asyncio.client import connect

from deltastream.gateway.asyncapi import document
from deltastream.sockets import commands
from deltastream.sockets.events import ERRORS, CloseCode
from deltastream.sockets.settings import SocketSettings

MANUAL = (Path(__file__).parents[3] / "docs" / "websocket.md").read_text()
ASYNCAPI = document(title="DeltaStream", version="1", base="http://127.0.0.1:8000")
SESSION = re.findall(r"^([→←]) ({.*})$", MANUAL, re.MULTILINE)


def table(name: str) -> list[list[str]]:
    """The rows of the table below a mark, without its heading."""
    lines = MANUAL.partition(f"<!-- {name} -->\n")[2].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return rows[: next(number for number, line in enumerate(lines[2:]) if not line.startswith("|"))]


def kind(frame: dict[str, Any]) -> tuple[str, str]:
    return frame["event"], frame.get("kind", "")


def fits(shown: Any, real: Any, path: str = "") -> list[str]:
    """Where a documented value is of another shape than a real one; it may show less of data."""
    if isinstance(shown, dict) and isinstance(real, dict):
        names = [f"{path}.{name}" for name in shown if name not in real and not free(path)]
        if not path.startswith(".data") and not free(path):
            names += [f"{path}.{name} is missing" for name in real if name not in shown]
        inside = [fits(shown[name], real[name], f"{path}.{name}") for name in shown if name in real]
        return names + [problem for each in inside for problem in each]
    if isinstance(shown, list) and isinstance(real, list):
        return fits(shown[0], real[0], f"{path}[]") if shown and real else []
    numbers = int | float
    same = type(shown) is type(real) or (isinstance(shown, numbers) and isinstance(real, numbers))
    return [] if same or None in (shown, real) else [f"{path}: {shown!r} but {real!r}"]


def free(path: str) -> bool:
    """Whether names in an object are data themselves."""
    return path.endswith((".seqs", ".products", ".reasons", ".head")) or ".products." in path


def schema(message: str) -> Any:
    payload = ASYNCAPI["components"]["messages"][message]["payload"]
    whole = {**payload, "components": {"schemas": ASYNCAPI["components"]["schemas"]}}
    return jsonschema_rs.Draft202012Validator(whole)


async def frames_of(stand: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """One real frame of each kind that the session shows."""
    await stand.tick(1.0)
    await stand.status("open", "around_the_clock")
    await stand.chain()
    found: dict[tuple[str, str], dict[str, Any]] = {}
    token = trio.lowlevel.current_trio_token()

    async def host(work: Any, **named: Any) -> None:
        async def done() -> None:
            await work(**named)

        await asyncio.to_thread(trio.from_thread.run, done, trio_token=token)

    async def user() -> None:
        async with connect(stand.url, subprotocols=["deltastream.v1"]) as socket, asyncio.timeout(10):

            async def until(*wanted: tuple[str, str]) -> None:
                while not set(wanted) <= found.keys():
                    frame = json.loads(await socket.recv())
                    found[kind(frame)] = frame

            for command in (
                {"id": 1, "op": "auth", "token": stand.token},
                {"id": 2, "op": "products"},
                {"id": 3, "op": "subscribe", "rooms": ["product:NIFTY", "chain:NIFTY", "product:NOPE"]},
            ):
                await socket.send(json.dumps(command))
            await until(("chain_update", "snapshot"), ("subscribed", ""), ("market_status", ""))
            await host(stand.tick, price=2.0)
            await host(stand.chain, call_bid=[19.0, 8.25, 8.0])
            await host(stand.chain, strikes=(90.0, 100.0))
            wanted = [("chain_update", "delta"), ("chain_update", "full"), ("underlying_update", "")]
            await until(*wanted, ("heartbeat", ""))
            for command in (
                {"id": 4, "op": "ping"},
                {"id": 5, "op": "dance"},
                {"id": 6, "op": "unsubscribe", "rooms": ["chain:NIFTY"]},
            ):
                await socket.send(json.dumps(command))
            await until(("pong", ""), ("error", ""), ("unsubscribed", ""))

    await trio.to_thread.run_sync(lambda: asyncio.run(user()))
    return found


async def test_the_session_is_like_a_real_one(stand):
    real = await frames_of(stand)
    shown = [json.loads(text) for arrow, text in SESSION if arrow == "←"]
    assert {kind(frame) for frame in shown} == real.keys()
    for frame in shown:
        assert fits(frame, real[kind(frame)]) == [], frame


async def test_real_frames_are_as_asyncapi_says(stand):
    for (event, _), frame in (await frames_of(stand)).items():
        validator = schema({"products": "products_list"}.get(event, event))
        assert [error.message for error in validator.iter_errors(frame)] == [], event


def test_the_commands_of_the_session_are_commands():
    sent = [text for arrow, text in SESSION if arrow == "→"]
    assert len(sent) > 6
    for text in sent:
        plain = json.loads(text)
        if plain["op"] == "dance":
            with pytest.raises(commands.BadCommand):
                commands.decode(text, "json")
            continue
        commands.decode(text, "json")
        schema(plain["op"]).validate(plain)


def test_errors_are_all_there():
    rows = {row[0].strip("`"): row[1] for row in table("errors")}
    assert rows == {code: "yes" if again else "no" for code, again in ERRORS.items()}


def test_closes_are_all_there():
    rows = {(int(row[0]), row[1].strip("`")) for row in table("closes")}
    assert rows == {(int(code), code.name) for code in CloseCode}
    told = ASYNCAPI["info"]["description"]
    assert all(str(int(code)) in told for code in CloseCode)


def test_limits_are_the_defaults():
    given = msgspec.structs.asdict(SocketSettings())
    rows = {row[0].strip("`"): float(row[1]) for row in table("limits")}
    assert rows == {name: given[name] for name in rows}


async def test_the_client_in_the_manual(stand, on_asyncio):
    """It starts, loses the connection, and misses nothing."""
    source = next(
        text for text in re.findall(r"```python\n(.*?)```", MANUAL, re.DOTALL) if "async def follow" in text
    )
    assert len(source.strip().splitlines()) <= 56
    names: dict[str, Any] = {}
    exec(compile(source, "docs/websocket.md", "exec"), names)
    await stand.tick(0.0)
    prices: list[float] = []

    async def user() -> None:
        come = asyncio.Queue[float]()

        def take(frame: dict[str, Any]) -> None:
            if frame["event"] == "underlying_update":
                come.put_nowait(frame["data"]["price"])

        task = asyncio.create_task(names["follow"](stand.url, stand.token, "product:NIFTY", take))
        prices.append(await come.get())
        await on_asyncio.host(stand.tick, 1.0)
        prices.append(await come.get())
        await on_asyncio.host(stand.cut)
        await on_asyncio.host(stand.tick, 2.0)
        await on_asyncio.host(stand.tick, 3.0)
        prices.extend([await come.get(), await come.get()])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    await on_asyncio.run(user)
    assert prices == [0.0, 1.0, 2.0, 3.0]


def test_the_script_in_the_manual_is_one(tmp_path):
    if (node := shutil.which("node")) is None:
        pytest.skip("no node to read it with")
    (source,) = re.findall(r"```js\n(.*?)```", MANUAL, re.DOTALL)
    (tmp_path / "client.mjs").write_text(source)
    subprocess.run([node, "--check", tmp_path / "client.mjs"], check=True)
