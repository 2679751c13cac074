"""The host as its page shows it: the tree, what flows, what died, and that it cannot be reached."""

from __future__ import annotations

import json
import re
import signal
from typing import Any

import pytest
import trio

from deltastream.bus import Entry, open_bus
from deltastream.host.config import load
from deltastream.host.data_dir import open_data_directory
from deltastream.messages import UnderlyingTick
from deltastream.seams import Seams

pytestmark = pytest.mark.slow

ADMIN = "admin@localhost"
TREE = "**/api/system/tree"


@pytest.fixture
def page(host, visit):
    visitor = visit(host)
    visitor.log_in()
    visitor.open("system")
    visitor.page.locator("[data-path='host/pipeline/feed']").wait_for()
    return visitor.page


def paths(tree: dict[str, Any]) -> list[str]:
    return [tree["path"], *(path for child in tree["children"] for path in paths(child))]


def test_every_actor_is_shown_as_the_api_tells_it(host, page):
    told = host.get("/api/system/tree", ADMIN)
    rows = page.locator("tr[data-path]")
    assert rows.evaluate_all("rows => rows.map(row => row.dataset.path)") == paths(told["tree"])
    assert rows.evaluate_all("rows => rows.map(row => row.ariaLevel)") == [
        str(path.count("/") + 1) for path in paths(told["tree"])
    ]
    feed = page.locator("[data-path='host/pipeline/feed']")
    assert feed.locator("td").nth(0).inner_text() == "● running"
    assert feed.locator("td").nth(1).inner_text().strip() == "0"
    assert re.fullmatch(r"\d+ (s|min)", feed.locator("td").nth(2).inner_text())
    assert f"DeltaStream {told['version']} · synthetic feed" in page.locator("#system-state").inner_text()


def test_rates_sizes_and_lags(host, page):
    expect = pytest.importorskip("playwright.sync_api", reason="needs playwright").expect
    messages = page.locator("[data-figure=Messages] .number")
    expect(messages).to_have_text(re.compile(r"^[1-9]\d*\.\d /s$"), timeout=15_000)
    expect(page.locator("[data-figure='Event loop'] .number")).to_have_text(re.compile(r"p99 \d+\.\d ms"))
    expect(page.locator("[data-figure='Chain latency'] .number")).to_have_text(re.compile(r"p99 \d+\.\d ms"))
    requests = page.locator("[data-figure=Requests]")
    expect(requests.locator(".number")).to_have_text(re.compile(r"^\d\.\d /s$"))
    expect(requests).to_contain_text(re.compile(r"\d\.\d ms each; active: 1; limited: 0; defects: 0"))
    expect(page.locator("[data-figure=Sockets] .number")).to_have_text(re.compile(r"^[1-9]"))
    journal = page.locator("[data-figure=Journal]")
    expect(journal.locator(".number")).to_have_text(re.compile(r"iB$"))
    expect(journal.locator(".soft")).to_have_text(
        re.compile(r"iB of messages, .*iB of log; \d+ topics, running$")
    )
    expect(page.locator("[data-figure=Store] .number")).to_have_text(re.compile(r"iB$"))
    ticks = page.locator("[data-sum='market.tick'] td")
    expect(ticks.nth(0)).to_have_text("2")
    # Two products, each twice a second.
    assert 2.0 < float(ticks.nth(1).inner_text()) < 6.0
    groups = page.locator("[data-sum]").evaluate_all("rows => rows.map(row => row.dataset.sum)")
    assert {"enricher", "storage", "analytics"} <= set(groups)


def test_what_actors_have_in_hand(page):
    def answer(route: Any) -> None:
        response = route.fetch()
        told = response.json()
        told["bus"].update(pending=5, pending_bytes=2048)
        for group in told["bus"]["groups"]:
            group.update(lag=0, in_flight=0)
        first, second = (each for each in told["bus"]["groups"] if each["topic"].startswith("market.chain."))
        first.update(lag=9, in_flight=3)
        second.update(lag=1, in_flight=1)
        route.fulfill(response=response, body=json.dumps(told))

    expect = pytest.importorskip("playwright.sync_api", reason="needs playwright").expect
    page.route(TREE, answer)
    head = page.locator(".actors thead th")
    assert head.all_inner_texts()[4:6] == ["In hand", "Behind"]
    for path, told in {
        "host/pipeline/enricher": ("4", "10"),
        "host/pipeline/storage": ("0", "0"),
        "host/bus": ("5", "–"),
        "host/pipeline": ("–", "–"),
    }.items():
        cells = page.locator(f"[data-path='{path}'] td")
        expect(cells.nth(3)).to_have_text(told[0])
        expect(cells.nth(4)).to_have_text(told[1])
    bus = page.locator("[data-path='host/bus'] td").nth(3)
    assert bus.get_attribute("title") == "messages accepted and not written yet, 2.0 KiB"


def test_the_tree_by_keyboard(page):
    def focused() -> str:
        found: str = page.evaluate("() => document.activeElement.dataset.path")
        return found

    page.locator("[data-path=host]").focus()
    page.keyboard.press("ArrowDown")
    assert focused() == "host/loop-lag"
    page.locator("[data-path='host/pipeline']").focus()
    page.keyboard.press("ArrowLeft")
    pipeline = page.locator("[data-path='host/pipeline']")
    assert pipeline.get_attribute("aria-expanded") == "false"
    assert page.locator("[data-path='host/pipeline/feed']").is_hidden()
    page.keyboard.press("ArrowDown")
    assert focused() == "host/edge"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    assert page.locator("[data-path='host/pipeline/feed']").is_visible()
    page.keyboard.press("ArrowRight")
    assert focused().startswith("host/pipeline/")
    page.keyboard.press("ArrowLeft")
    assert focused() == "host/pipeline"
    page.keyboard.press("End")
    assert focused() == "host/control"
    page.keyboard.press("Home")
    assert focused() == "host"
    page.wait_for_timeout(2500)
    assert focused() == "host"
    assert page.locator("tr[data-path][tabindex='0']").count() == 1


def test_a_restart_is_seen_and_its_error_can_be_read(page):
    broken: dict[str, Any] = {}

    def answer(route: Any) -> None:
        response = route.fetch()
        told = response.json()
        (pipeline,) = (each for each in told["tree"]["children"] if each["name"] == "pipeline")
        (feed,) = (each for each in pipeline["children"] if each["name"] == "feed")
        feed.update(broken)
        route.fulfill(response=response, body=json.dumps(told))

    page.route(TREE, answer)
    feed = page.locator("[data-path='host/pipeline/feed']")
    page.wait_for_timeout(2500)
    assert feed.get_attribute("data-restarted") is None
    error = {"type": "builtins.ValueError", "message": "<b>no</b> good", "traceback": "  feed.py:7 in run"}
    box = {
        "name": "inbox",
        "capacity": 64,
        "depth": 7,
        "peak": 9,
        "received": 1,
        "dropped": 0,
        "conflated": 0,
    }
    broken.update(
        restarts=1, incarnation=2, state="degraded", reason="no data", last_error=error, uptime_s=0.5
    )
    broken["mailboxes"] = [box]
    page.locator("tr[data-restarted]").wait_for()
    assert feed.get_attribute("data-restarted") == ""
    assert [text.strip() for text in feed.locator("td").all_inner_texts()] == [
        *("▲ degraded", "just now 1", "0 s", "7/64", "–", "no data ValueError: <b>no</b> good")
    ]
    assert page.locator("#notice").inner_text() == "feed was started again."
    feed.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Last error of feed")
    assert "feed.py:7 in run" in dialog.inner_text()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert page.evaluate("() => document.activeElement.dataset.path") == "host/pipeline/feed"


def test_whoever_may_not_see_the_host_is_told_so_once(host, visit):
    host.register("user-of-the-system-view@example.org")
    visitor = visit(host, expected=["status of 403"])
    visitor.log_in("user-of-the-system-view@example.org")
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    visitor.open("system")
    visitor.page.get_by_text("shown to administrators").wait_for()
    visitor.page.wait_for_timeout(4500)
    assert len([url for url in asked if "api/system" in url]) == 1
    assert visitor.page.get_by_text("Dead letters").is_hidden()


async def _let_die(host: Any, count: int) -> None:
    """Before the host runs, let its group "storage" fail at messages."""
    settings, seams = load(host.config, environ={}).settings, Seams.system()
    now = seams.clock.now_ns()
    with open_data_directory(host.data_dir) as directory:
        async with open_bus(directory.journal, settings.bus, seams) as bus:
            for number in range(count):
                ts = now - 3600 * 10**9 + number
                tick = UnderlyingTick(product="SPY", price=700.0 + number, ts_event=ts, ts_recv=ts)
                await bus.append_batch([Entry("market.tick.SPY", tick)])
            async with bus.consume(["market.tick.SPY"], "storage") as consumer:
                failed = 0
                while failed < count:
                    for delivery in await consumer.batch():
                        await consumer.fail(delivery, ValueError("<i>no</i> good"))
                        failed += 1


def test_dead_letters_are_shown_replayed_and_dropped(own_host, visit):
    host = own_host()
    host.data_dir.mkdir()
    trio.run(_let_die, host, 3)
    host.start()
    letters = host.get("/api/system/dead-letters", ADMIN)["dead_letters"]
    assert len(letters) == 3
    visitor = visit(host)
    visitor.log_in()
    page = visitor.open("system")
    rows = page.locator("tr[data-letter]")
    rows.first.wait_for()
    newest_first = [letter["id"] for letter in reversed(letters)]
    assert rows.evaluate_all("rows => rows.map(row => row.dataset.letter)") == newest_first
    first, second, third = (page.locator(f"tr[data-letter='{id_}']") for id_ in newest_first)

    first.get_by_role("button", name="Show").click()
    dialog = page.get_by_role("dialog", name="Dead letter")
    text = dialog.inner_text()
    assert "ValueError: <i>no</i> good" in text
    assert '"price": 702' in text
    dialog.get_by_role("button", name="Close").click()

    first.get_by_role("button", name="Drop").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").wait_for(state="detached")
    assert rows.count() == 3

    first.get_by_role("button", name="Drop").click()
    page.get_by_role("dialog").get_by_role("button", name="Drop").click()
    first.wait_for(state="detached")
    page.get_by_text("was dropped").wait_for()
    second.get_by_role("button", name="Replay").click()
    page.get_by_role("dialog").get_by_role("button", name="Replay").click()
    second.wait_for(state="detached")
    left = host.get("/api/system/dead-letters", ADMIN)["dead_letters"]
    assert [letter["id"] for letter in left] == [newest_first[2]]

    visitor.expect("status of 404")
    third.get_by_role("button", name="Replay").click()
    host.call("DELETE", f"/api/system/dead-letters/{newest_first[2]}", email=ADMIN)
    page.get_by_role("dialog").get_by_role("button", name="Replay").click()
    page.get_by_text("There is no dead letter").wait_for()
    page.get_by_text("None: every message was processed.").wait_for()


def test_a_host_that_cannot_be_reached(own_host, visit):
    host = own_host()
    host.start()
    visitor = visit(
        host, expected=["ERR_CONNECTION_REFUSED", "WebSocket connection to", "ERR_EMPTY_RESPONSE"]
    )
    visitor.expect("ERR_CONNECTION_RESET|ERR_SOCKET_NOT_CONNECTED|status of 503")
    visitor.log_in()
    page = visitor.open("system")
    page.locator("[data-path='host/pipeline/feed']").wait_for()
    host.stop(signal.SIGKILL)
    page.get_by_text("The host cannot be reached. What stands here is old.").wait_for()
    assert page.locator(".system").get_attribute("data-level") == "lost"
    assert " ago" in page.locator("#system-state").inner_text()
    host.start()
    page.locator("#system-problem").wait_for(state="hidden", timeout=30_000)
    assert page.locator(".system").get_attribute("data-level") == "live"
    assert " ago" not in page.locator("#system-state").inner_text()
