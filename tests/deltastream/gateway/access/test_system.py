"""What the host shows of itself, and to whom."""

from __future__ import annotations

import re

import numpy as np
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from deltastream.bus import Entry
from deltastream.messages import CHAIN_ROWS, OptionChain, UnderlyingTick

pytestmark = pytest.mark.usefixtures("autojump_clock")

UNITS = ("seconds", "bytes", "messages", "rows", "total", "up", "degraded", "active", "requests", "restarts",
         "holds", "commits", "build", "fds", "sum", "count", "bucket")  # fmt: skip


@pytest.fixture
async def admin(site, bearer):
    return bearer(await site.session("admin"))


async def test_health_looks_at_nothing(site, client):
    await site.world.account_store.aclose()
    await site.world.store.aclose()
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_ready(client):
    answer = await client.get("/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "degraded": []})


async def test_a_store_that_is_closed_is_named_and_nothing_else_told(site, client):
    await site.world.store.aclose()
    answer = await client.get("/ready")
    assert answer.status_code == 503
    document = answer.json()
    assert document["type"] == "urn:deltastream:problem:not_ready"
    assert document["detail"] == "Not ready: store."
    assert int(answer.headers["retry-after"]) == 1
    assert str(site.world.data_dir.path) not in answer.text


async def test_an_actor_that_is_away_is_named(site, client):
    pipeline = site.world.tree.supervisor("host/pipeline")
    await pipeline.terminate_child("enricher")
    answer = await client.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "Not ready: host/pipeline/enricher."
    await pipeline.restart_child("enricher")
    assert (await client.get("/ready")).status_code == 200


async def test_no_tree_is_not_ready(site, client):
    site.world.tree = None
    answer = await client.get("/ready")
    assert (answer.status_code, answer.json()["detail"]) == (503, "Not ready: host.")


async def test_the_tree(site, client, admin):
    answer = await client.get("/api/system/tree", headers=admin)
    status = answer.json()
    tree = status["tree"]
    assert tree["path"] == "host"
    actors = {actor["path"]: actor for actor in _walk(tree)}
    assert {"host/bus", "host/pipeline/storage", "host/edge/auth"} <= actors.keys()
    assert all(actor["state"] == "running" and actor["restarts"] == 0 for actor in actors.values())
    assert {group["group"] for group in status["bus"]["groups"]} <= {"storage", "analytics", "enricher"}
    assert re.fullmatch(r"2026-11-20T\d\d:\d\d:\d\d(Z|\+00:00)", status["time"])
    assert status["chain_latency"] == {
        "samples": 0, "p50": None, "p99": None, "maximum": None, "window": 60.0
    }  # fmt: skip
    assert status["requests"].items() >= {"active": 1, "answered": 0, "limited": 0, "defects": 0}.items()
    assert "pid" not in status
    assert "data_dir" not in status


async def test_what_went_through_the_host_is_told(autojump_clock, site, client, admin):
    begun = (await client.get("/api/system/tree", headers=admin)).json()
    assert begun["tree"]["uptime_s"] is not None
    now = site.world.clock.now_ns()
    market = OptionChain(
        product="XYZ", root="XYZ", expiry="2026-11-27", expiry_ts=now + 7 * 86_400 * 10**9, ts_event=now,
        ts_recv=now - 250_000_000, spot=100.0, currency="USD", multiplier=100.0, exercise="american",
        settlement="physical", oi_unit="contracts", volume_unit="contracts", oi_cadence="daily",
        columns=np.full((CHAIN_ROWS, 3), np.nan), flags=(),
    )  # fmt: skip
    market.columns[0] = [90.0, 100.0, 110.0]
    await site.world.append(market)
    await site.world.settle()
    status = (await client.get("/api/system/tree", headers=admin)).json()
    latency = status["chain_latency"]
    assert latency["samples"] == 1
    assert 0.25 <= latency["p50"] == latency["p99"] == latency["maximum"] < 1.0
    assert status["requests"]["answered"] == 1
    assert status["requests"]["sent_bytes"] > 100
    (topic,) = [one for one in status["bus"]["topics"] if one["topic"] == "enriched.chain.XYZ"]
    assert topic["last_seq"] == 1
    text = (await client.get("/metrics", headers=admin)).text
    assert f"deltastream_chain_latency_p99_seconds {latency['p99']}" in text
    await trio.sleep(61)
    assert (await client.get("/api/system/tree", headers=admin)).json()["chain_latency"]["samples"] == 0


def _walk(actor):
    yield actor
    for child in actor["children"]:
        yield from _walk(child)


async def test_metrics_are_what_prometheus_reads(site, client, admin):
    for _ in range(3):
        await client.get("/health")
    await client.get("/no/such/path/at/all")
    answer = await client.get(
        "/metrics", headers={**admin, "Accept": "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"}
    )
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    for name, family in families.items():
        assert re.fullmatch(r"(deltastream|process)_[a-z0-9_]+", name)
        assert family.documentation
        assert name.rpartition("_")[2] in UNITS, name
        for sample in family.samples:
            assert (family.type == "counter") == sample.name.endswith("_total")
    requests = families["deltastream_http_requests"].samples
    counted = {tuple(sample.labels.values()): sample.value for sample in requests}
    assert counted[("GET", "/health", "200")] == 3
    assert counted[("GET", "", "404")] == 1
    up = {sample.labels["actor"]: sample.value for sample in families["deltastream_actor_up"].samples}
    assert up["host/pipeline/storage"] == 1
    assert families["deltastream_bus_up"].samples[0].value == 1
    (build,) = families["deltastream_build"].samples
    assert build.labels["version"]


async def test_what_strangers_ask_for_adds_no_labels(site, client, admin):
    for number in range(50):
        await client.request("BREW", f"/path{number}")
        await client.get(f"/api/user/keys/{number}")
    text = (await client.get("/metrics", headers=admin)).text
    assert "path1" not in text
    assert 'method="BREW"' not in text
    assert len(text.splitlines()) < 400


async def test_products_are_no_labels(site, client, admin):
    ticks = [f"market.tick.P{number}" for number in range(40)]
    tick = UnderlyingTick(product="P", ts_event=1, ts_recv=2, price=3.0)
    await site.world.bus.append_batch([Entry(topic, tick) for topic in ticks])
    text = (await client.get("/metrics", headers=admin)).text
    assert 'kind="market.tick"' in text
    assert "P1" not in text


async def test_parts_that_do_not_answer_are_down(autojump_clock, site, client, admin):
    async def never():
        await trio.sleep_forever()

    site.world.store.statistics = never
    text = (await client.get("/metrics", headers=admin)).text
    assert "deltastream_store_up 0.0" in text
    assert "deltastream_bus_up 1.0" in text
    status = (await client.get("/api/system/tree", headers=admin)).json()
    assert status["store"] is None
    assert "store" in status["errors"]
    assert (await client.get("/ready")).json()["detail"] == "Not ready: statistics."


async def test_dead_letters(site, client, admin):
    letter = await _dead_letter(site)
    listed = (await client.get("/api/system/dead-letters", headers=admin)).json()["dead_letters"]
    assert [each["id"] for each in listed] == [letter]
    nobody = await client.get("/api/system/dead-letters?group=nobody", headers=admin)
    assert nobody.json() == {"dead_letters": []}
    shown = (await client.get(f"/api/system/dead-letters/{letter}", headers=admin)).json()
    assert shown.items() >= listed[0].items()
    assert shown["message"]["product"] == "XYZ"
    assert "planted" in shown["trace"]
    again = await client.post(f"/api/system/dead-letters/{letter}/replay", headers=admin)
    assert (again.status_code, again.content) == (204, b"")
    letter = await _dead_letter(site)
    dropped = await client.delete(f"/api/system/dead-letters/{letter}", headers=admin)
    assert dropped.status_code == 204
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/replay")):
        gone = await client.request(method, f"/api/system/dead-letters/{letter}{path}", headers=admin)
        assert (gone.status_code, gone.json()["type"]) == (404, "urn:deltastream:problem:not_found")


async def _dead_letter(site) -> str:
    """A message that a group of our own cannot process; its id."""
    bus = site.world.bus
    tick = UnderlyingTick(product="XYZ", ts_event=1, ts_recv=2, price=3.0)
    async with bus.consume(["test.topic"], "testers") as consumer:
        await bus.append_batch([Entry("test.topic", tick)])
        with trio.fail_after(60):
            while True:
                for delivery in await consumer.batch():
                    try:
                        raise ValueError("planted")
                    except ValueError as error:
                        await consumer.fail(delivery, error)
                if letters := await bus.dead_letters("testers"):
                    return letters[-1].id
