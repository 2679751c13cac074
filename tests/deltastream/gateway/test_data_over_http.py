"""Market data over the whole gateway: what is answered is what is published, in every media type."""

from __future__ import annotations

import csv
import io

import httpx
import pyarrow as pa
import pytest

from deltastream.gateway.api import ROUTES
from deltastream.gateway.app import make_app
from deltastream.gateway.problems import MEDIA_TYPE
from deltastream.gateway.routing import ARROW, CSV, JSON


@pytest.fixture
async def client(world):
    """Somebody who may read the present and the past."""
    app = make_app(world.services, ROUTES)
    await world.user()
    key = await world.key("read:market", "read:history")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://127.0.0.1:8000",
        headers={"Authorization": f"Bearer {key}"},
    ) as opened:
        yield opened


def addresses(world):
    """Every route of market data, with parameters that are answered."""
    message = world.live.chain("SPY").message
    symbol = f"SPY-{message.expiry.replace('-', '')}-{message.atm_strike:g}-P"
    past = "2026-11-20T01:30:12-05:00"
    return [
        ("/api/data/products", {}),
        ("/api/data/expiries/spy", {}),
        ("/api/data/expiries/SPY", {"expired": "true"}),
        ("/api/data/underlying/SPY", {"limit": "3"}),
        ("/api/data/underlying/SPY", {"at": past}),
        ("/api/data/underlying/NIFTY", {"start": past, "limit": "2"}),
        ("/api/data/bars/SPY", {"interval": "5m"}),
        ("/api/data/chain/SPY", {}),
        ("/api/data/chain/SPY", {"layout": "columns", "window": "2"}),
        ("/api/data/chain/NIFTY", {"delta_min": "0.2", "delta_max": "0.5"}),
        ("/api/data/chain/SPY", {"at": past, "expiry": message.expiry}),
        ("/api/data/chain/SPY", {"start": past, "expiry": message.expiry}),
        (f"/api/data/quotes/{symbol}", {}),
        (f"/api/data/quotes/{symbol}", {"at": past}),
    ]


async def test_answers_are_as_published(world, client, published, autojump_clock):
    for address, parameters in addresses(world):
        answer = await client.get(address, params=parameters)
        assert answer.status_code == 200, answer.text
        published.check("GET", address, 200, answer.headers, answer.content)


async def test_who_has_it_is_not_sent_it_again(world, client, autojump_clock):
    for address, parameters in addresses(world):
        first = await client.get(address, params=parameters)
        tag = first.headers["etag"]
        assert not tag.startswith("W/")
        again = await client.get(address, params=parameters, headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
    before = await client.get("/api/data/chain/SPY")
    await world.feed()
    after = await client.get("/api/data/chain/SPY", headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200


async def test_each_media_type_is_told_apart(world, client, autojump_clock):
    for address in ("/api/data/chain/NIFTY", "/api/data/underlying/NIFTY", "/api/data/bars/NIFTY"):
        answers = {
            media: await client.get(address, headers={"Accept": media}) for media in (JSON, CSV, ARROW)
        }
        for media, answer in answers.items():
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith(media)
        assert len({answer.headers["etag"] for answer in answers.values()}) == 3
        rows = list(csv.DictReader(io.StringIO(answers[CSV].text, newline="")))
        assert len(rows) == pa.ipc.open_stream(answers[ARROW].content).read_all().num_rows
    refused = await client.get("/api/data/products", headers={"Accept": CSV})
    assert refused.status_code == 406


async def test_the_next_page_of_a_table_is_in_a_header(client, autojump_clock):
    start = {"start": "2026-11-20T01:30:00-05:00", "limit": "4"}
    page = await client.get("/api/data/underlying/SPY", params=start, headers={"Accept": CSV})
    rows = list(csv.DictReader(io.StringIO(page.text, newline="")))
    cursor = page.headers["x-next-cursor"]
    rest = await client.get("/api/data/underlying/SPY", params={"cursor": cursor})
    whole = await client.get("/api/data/underlying/SPY", params={"start": start["start"]})
    ids = [row["tick_id"] for row in rows] + [row["tick_id"] for row in rest.json()["ticks"]]
    assert ids == [row["tick_id"] for row in whole.json()["ticks"]]


async def test_mistakes_are_all_told_at_once(client, autojump_clock):
    answer = await client.get(
        "/api/data/chain/NIFTY",
        params={
            "window": "-1",
            "expiry": "soon",
            "layout": "sideways",
            "at": "2026-11-20T12:00:00",
            "strike": "1",
        },
    )
    assert answer.status_code == 400
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert {error["field"] for error in answer.json()["errors"]} == {
        "window", "expiry", "layout", "at", "strike",
    }  # fmt: skip


async def test_what_is_not_there_is_no_server_error(client, autojump_clock):
    for address, status in (
        ("/api/data/chain/NOPE", 404),
        ("/api/data/chain/%00", 400),
        ("/api/data/chain/'%20OR%201=1", 404),
        (f"/api/data/chain/{'N' * 65}", 400),
        ("/api/data/chain/NIFTY?expiry=2031-01-01", 404),
        ("/api/data/chain/NIFTY?at=1950-01-01T00:00:00Z", 404),
        ("/api/data/chain/NIFTY?at=9999-01-01T00:00:00Z", 400),
        ("/api/data/underlying/NIFTY?start=9999-01-01T00:00:00Z", 400),
        ("/api/data/underlying/NIFTY?start=0001-01-01T00:00:00Z&limit=1", 200),
        ("/api/data/bars/NIFTY?start=0001-01-01T00:00:00Z&end=9999-01-01T00:00:00Z", 200),
        ("/api/data/quotes/NIFTY", 400),
        ("/api/data/quotes/NIFTY-20261123-7-C", 404),
        ("/api/data/underlying/NIFTY?cursor=.", 400),
    ):
        answer = await client.get(address)
        assert answer.status_code == status, (address, answer.text)
