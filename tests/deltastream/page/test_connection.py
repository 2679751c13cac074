"""The connection lost and found: said at once, old numbers marked, and nothing missing afterwards."""

from __future__ import annotations

import json
import signal
import time
from itertools import pairwise
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"
AWAY = "ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|WebSocket connection to|status of 503"
FADED = """() => {
  const colour = (path) => getComputedStyle(document.querySelector(path)).color;
  return colour("#metrics [data-metric=forward] .value") === colour("#metrics dt");
}"""


class Frames:
    """What came through every socket of a page, in order.

    Attributes:
        connections: frames by connection.
    """

    def __init__(self, page: Any) -> None:
        self.connections: list[list[dict[str, Any]]] = []
        page.on("websocket", self._come)

    def _come(self, socket: Any) -> None:
        frames: list[dict[str, Any]] = []
        self.connections.append(frames)
        socket.on("framereceived", lambda payload: frames.append(json.loads(payload)))

    def modes(self) -> list[set[str]]:
        """How rooms were entered, by connection."""
        return [
            {ok["mode"] for frame in frames if frame["event"] == "subscribed" for ok in frame["ok"]}
            for frames in self.connections
        ]

    def seqs(self, room: str) -> dict[str, list[tuple[int, int]]]:
        """The first and the last seq of each update that is no snapshot, by stream."""
        found: dict[str, list[tuple[int, int]]] = {}
        for frame in (each for frames in self.connections for each in frames):
            if frame.get("room") == room and "first" in frame:
                found.setdefault(frame.get("stream", ""), []).append((frame["first"], frame["seq"]))
        return found


def lost_within(visitor: Any, seconds: float) -> None:
    began = time.monotonic()
    visitor.page.locator("#connection-lost").wait_for(timeout=1000 * seconds)
    assert time.monotonic() - began < seconds
    assert visitor.page.locator("#metrics").get_attribute("data-level") == "lost"
    assert visitor.page.locator("#market-status .word").inner_text() == "Disconnected"
    assert visitor.page.evaluate(FADED)


def found_again(visitor: Any) -> None:
    visitor.page.locator("#connection-lost").wait_for(state="hidden", timeout=40_000)
    assert visitor.page.locator("#metrics").get_attribute("data-level") == "live"
    assert not visitor.page.evaluate(FADED)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_host_that_dies_and_comes_back(own_host, visit, how):
    host = own_host(chain_interval_s=3.0)  # so that fewer are missed than a room brings again
    host.start()
    visitor = visit(host, expected=[AWAY])
    visitor.log_in()
    frames = Frames(visitor.page)
    page = visitor.open("chain/NIFTY")
    visitor.eventually(lambda: len(frames.seqs("general").get("product:NIFTY", [])) > 3)
    host.stop(how)
    lost_within(visitor, 3)
    shown = page.locator("#metrics").inner_text()
    page.wait_for_timeout(500)
    assert page.locator("#metrics").inner_text() == shown
    host.start()
    found_again(visitor)
    before = len(frames.seqs("general")["product:NIFTY"])
    visitor.eventually(lambda: len(frames.seqs("general")["product:NIFTY"]) > before + 3)
    assert frames.modes()[-1] == {"resumed"}
    for stream, seqs in frames.seqs("general").items():
        for (_, last), (first, _) in pairwise(seqs):
            assert first <= last + 1, (stream, seqs)


def test_a_connection_that_breaks_is_made_again_by_itself(host, visit):
    visitor = visit(host)
    visitor.log_in()
    through: list[Any] = []
    refused: list[bool] = []

    def come(socket: Any) -> None:
        if refused:
            socket.close(code=4012, reason="The server stops.")
            return
        through.append(socket)
        socket.connect_to_server()

    visitor.context.route_web_socket("**/ws", come)
    page = visitor.open("chain/NIFTY")
    visitor.eventually(lambda: page.locator("#metrics[data-level=live]").count() == 1)
    refused.append(True)
    through[-1].close(code=4012, reason="The server stops.")
    lost_within(visitor, 2)
    assert "The server stops." in page.locator("#connection-lost").inner_text()
    page.locator("#try-now").wait_for()
    refused.clear()
    page.locator("#try-now").click()
    found_again(visitor)
    assert len(through) == 2


def test_a_refusal_is_final_and_says_so(host, visit):
    visitor = visit(host)
    visitor.log_in()
    through: list[Any] = []
    visitor.context.route_web_socket(
        "**/ws", lambda socket: (through.append(socket), socket.connect_to_server())
    )
    page = visitor.open("chain/NIFTY")
    visitor.eventually(lambda: page.locator("#metrics[data-level=live]").count() == 1)
    through[-1].close(code=4003, reason="No right to market data.")
    lost_within(visitor, 2)
    assert "No right to market data." in page.locator("#connection-lost").inner_text()
    assert page.locator("#try-now").is_hidden()
    page.wait_for_timeout(1500)
    assert len(through) == 1


def test_a_view_that_could_not_be_loaded_is_loaded_when_it_is_chosen_again(host, visit):
    visitor = visit(host, expected=["ERR_FAILED"])
    visitor.log_in()
    page = visitor.open("chain/NIFTY")
    visitor.context.route("**/app/views/system.js", lambda route: route.abort())
    page.locator("[data-view=system]").click()
    page.locator("#problem", has_text="cannot be shown").wait_for()
    visitor.context.unroute("**/app/views/system.js")
    page.locator("[data-view=chain]").click()
    page.locator("#chain-view").wait_for()
    page.locator("[data-view=system]").click()
    page.locator("section.system").wait_for()
    assert page.locator("#problem").is_hidden()


def test_the_drawing_of_charts_is_loaded_again(host, visit):
    visitor = visit(host, expected=["ERR_FAILED", "dynamically imported module"])
    visitor.log_in()
    visitor.context.route("**/vendor/plotly.min.js", lambda route: route.abort())
    page = visitor.open("charts/NIFTY")
    page.locator("[data-chart=price]", has_text="cannot be drawn").wait_for()
    visitor.context.unroute("**/vendor/plotly.min.js")
    page.locator("[data-chart=price] .main-svg").first.wait_for()


def test_a_room_that_is_not_there_yet_is_asked_for_again_by_charts_too(host, visit):
    visitor = visit(host)
    visitor.log_in()
    refused: list[Any] = []

    def come(socket: Any) -> None:
        server = socket.connect_to_server()

        def hear(text: str) -> None:
            command = json.loads(text)
            if command["op"] != "subscribe" or "chain:NIFTY" not in command["rooms"] or refused:
                server.send(text)
                return
            refused.append(command)
            err = [
                {"room": room, "code": "unknown_room", "message": "Not yet.", "retryable": True}
                for room in command["rooms"]
            ]
            socket.send(json.dumps({"event": "subscribed", "id": command["id"], "ok": [], "err": err}))

        socket.on_message(hear)

    visitor.context.route_web_socket("**/ws", come)
    visitor.context.add_init_script('localStorage.deltastream = \'{"charts":["interest"]}\'')
    page = visitor.open("charts/NIFTY")
    page.locator("[data-chart=interest] .main-svg").first.wait_for(timeout=30_000)
    assert refused


def test_a_session_that_ends_leads_to_the_login_and_back(host, visit):
    host.register("ended@example.org")
    visitor = visit(host, expected=["status of 40[01]"])
    visitor.log_in("ended@example.org")
    page = visitor.open("chain/SPY")
    visitor.eventually(lambda: page.locator("#metrics[data-level=live]").count() == 1)
    place = page.url
    host.call("POST", "/api/auth/logout-everywhere", email="ended@example.org")
    page.wait_for_url("**/login#next=%2Fchain%2FSPY*", timeout=15_000)
    page.reload()
    form = page.locator("#login")
    form.get_by_label("Email").fill("ended@example.org")
    form.get_by_label("Password").fill(PASSWORD)
    form.get_by_role("button", name="Log in").click()
    page.wait_for_url(place)
    visitor.eventually(lambda: page.locator("#metrics[data-level=live]").count() == 1)
