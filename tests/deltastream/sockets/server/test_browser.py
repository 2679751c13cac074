"""A browser runs the client of `docs/websocket.md` against a host that is killed and comes back."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

MANUAL = (Path(__file__).parents[4] / "docs" / "websocket.md").read_text()
ROOM = "product:NIFTY"
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]

PAGE = """<!doctype html><title>page</title><script type="module">
import { follow } from "/client.mjs";
window.begin = (api, urls, token, room) => {
  const ticket = async () => {
    const answer = await fetch(`${api}/api/auth/ticket`,
      { method: "POST", headers: { authorization: `Bearer ${token}` } });
    return (await answer.json()).ticket;
  };
  window.taken = urls.map(() => []);
  urls.forEach((url, number) => follow(url, ticket, room, (frame) => window.taken[number].push(frame)));
};
</script>"""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        (client,) = re.findall(r"```js\n(.*?)```", MANUAL, re.DOTALL)
        script = self.path == "/client.mjs"
        self.send_response(200)
        self.send_header("content-type", "text/javascript" if script else "text/html")
        self.end_headers()
        self.wfile.write((client if script else PAGE).encode())

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def origin() -> Iterator[str]:
    """A page of somebody else's, with the client of the manual."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def page() -> Iterator[Page]:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on the path")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        yield chromium.new_page()
        chromium.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def until(page: Page, what: str, seconds: float = 30) -> list[list[dict[str, Any]]]:
    """What has been taken at both ports, once an expression of JavaScript holds for each."""
    ends = time.monotonic() + seconds
    while not page.evaluate(f"taken.every((frames, number) => {what})"):
        assert time.monotonic() < ends, page.evaluate("taken.map((frames) => frames.slice(-3))")
        page.wait_for_timeout(50)
    found: list[list[dict[str, Any]]] = page.evaluate("taken")
    return found


def prices(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [frame for frame in frames if frame["event"] == "underlying_update"]


@pytest.mark.slow
def test_the_client_of_the_manual(page: Page, origin: str, run_host: Callable[..., Any]):
    api, port = free_port(), free_port()
    host = run_host(GATEWAY__PORT=str(api), SOCKETS__PORT=str(port), GATEWAY__ALLOWED_ORIGINS=f'["{origin}"]')
    told: list[str] = []
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(origin)
    urls = [f"ws://127.0.0.1:{number}/ws" for number in (api, port)]
    page.evaluate("(all) => begin(...all)", [f"http://127.0.0.1:{api}", urls, host.token(), ROOM])
    until(page, "frames.length > 20")
    host.end(signal.SIGKILL)
    before = page.evaluate("taken.map((frames) => frames.length)")
    host.start()
    both = until(page, f"frames.length > {before}[number] + 20")
    for frames, lost in zip(both, before, strict=True):
        entered = [frame["ok"][0] for frame in frames if frame["event"] == "subscribed"]
        assert [one["mode"] for one in entered] == ["snapshot", "resumed"]
        assert entered[0]["epoch"] == entered[1]["epoch"]
        first, *updates = prices(frames)
        assert first["kind"] == "snapshot"
        assert [update["first"] for update in updates] == [
            earlier["seq"] + 1 for earlier in (first, *updates[:-1])
        ]
        assert len(prices(frames[:lost])) > 5
        assert len(prices(frames[lost:])) > 5
    assert told == []
    assert host.end(signal.SIGINT) == 0


@pytest.mark.slow
def test_a_page_from_elsewhere_is_not_let_in(page: Page, origin: str, run_host: Callable[..., Any]):
    host = run_host()
    page.goto(origin)
    for port in host.ports():
        code = page.evaluate(
            """(url) => new Promise((done) => {
                const socket = new WebSocket(url, ["deltastream.v1"]);
                socket.onopen = () => done("open");
                socket.onclose = ({ code }) => done(code);
            })""",
            f"ws://127.0.0.1:{port}/ws",
        )
        assert code == 1006
    assert host.end(signal.SIGINT) == 0
