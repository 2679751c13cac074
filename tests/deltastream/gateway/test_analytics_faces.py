"""What the routes of analytics answer besides numbers: media, times, absence, and what it all means."""

import csv
import io
import json
import math
from datetime import date, datetime

import jsonschema_rs
import msgspec
import pyarrow as pa
import pytest

from deltastream.gateway import definitions, openapi
from deltastream.gateway.instants import instant_of
from deltastream.gateway.problems import Problem
from deltastream.gateway.routes.analytics import ROUTES
from deltastream.gateway.routing import ARROW, CSV, Call
from deltastream.messages import OptionChain

PCR, MAX_PAIN, STRADDLE, SURFACE, OI, GREEKS, DEFINITIONS = ROUTES
SHOWN = (PCR, MAX_PAIN, STRADDLE, SURFACE, OI, GREEKS)
COORDINATES = {"strike", "strikes", "data_points", "series", "contracts", "seq"}
"""Numbers that are no metrics."""


async def asked(world, route, **given):
    return json.loads((await world.call(route, **given)).body)


def instant(ts):
    """The moment as a request names it, to the microsecond, in whatever zone."""
    moment = datetime.fromtimestamp(ts // 10**9).astimezone()
    return instant_of(moment.replace(microsecond=ts % 10**9 // 1000).isoformat(timespec="microseconds"))


def rows_of(route, shown):
    """What the table of an answer must hold."""
    if route is PCR:
        return shown["pcr_trend"]
    if route is OI:
        return shown["strikes"]
    if route is not SURFACE:
        return shown["expiries"]
    return [
        {"strike": k, "iv": iv, "log_moneyness": x, "forward": part["forward"], "expiry": part["expiry"]}
        for part in shown["expiries"]
        for k, iv, x in zip(part["strikes"], part["ivs"], part["log_moneyness"], strict=True)
    ]


def undefined(value, name, defined):
    """Names of the numbers within that are neither metrics with a definition nor coordinates."""
    if isinstance(value, dict):
        return {lack for key, inner in value.items() for lack in undefined(inner, key, defined)}
    if isinstance(value, list):
        return {lack for inner in value for lack in undefined(inner, name, defined)}
    known = {name, name.removeprefix("call_"), name.removeprefix("put_")} & (COORDINATES | defined)
    number = isinstance(value, float | int) and not isinstance(value, bool)
    return {name} if number and not known else set()


async def test_the_past_is_answered_as_it_was(autojump_clock, world):
    for route in SHOWN:
        before = await asked(world, route, product="NIFTY")
        moment = world.live.newest("NIFTY")
        await world.feed(2)
        after = await asked(world, route, product="NIFTY", at=instant(moment))
        assert after["meta"]["source"] == "store"
        assert before["meta"]["source"] == "live"
        assert before["meta"]["position"]["topic"].endswith(".NIFTY")
        for shown in (before, after):
            del shown["meta"]
        assert after == before
        assert await asked(world, route, product="NIFTY") != before


async def test_tables_say_what_json_says(autojump_clock, world):
    for route in SHOWN:
        given = {"product": "NIFTY"}
        shown = await asked(world, route, **given)
        rows = rows_of(route, shown)
        table = list(csv.DictReader(io.StringIO((await world.call(route, media=CSV, **given)).body.decode())))
        stream = pa.ipc.open_stream((await world.call(route, media=ARROW, **given)).body).read_all()
        assert len(table) == len(rows) == stream.num_rows
        assert json.loads(stream.schema.metadata[b"meta"])["definitions"] == shown["meta"]["definitions"]
        for row, line, cells in zip(rows, table, stream.to_pylist(), strict=True):
            assert list(line) == list(cells)
            for name, value in row.items():
                if name in ("max_pain_interval", "expected_move"):
                    assert [float(line[f"{name}_low"]), cells[f"{name}_high"]] == value
                elif not isinstance(value, list | dict):
                    assert cells[name] == value
                    assert line[name] == ("" if value is None else str(value))


async def test_an_answer_is_named_by_its_content(autojump_clock, world):
    for route in SHOWN:
        first, again = [await world.call(route, product="SPY") for _ in range(2)]
        assert first.etag == again.etag
        await world.feed(1)
        assert (await world.call(route, product="SPY")).etag != first.etag


async def test_what_is_not_there_is_not_found(autojump_clock, world):
    for route in SHOWN:
        wrong = [
            {"product": "BANANA"},
            {"product": "NIFTY", "at": instant(world.live.newest("NIFTY") - 10**12)},
        ]
        if route is not SURFACE:
            wrong += [{"product": "NIFTY", "expiry": date(2026, 11, 24)}, {"product": "NIFTY", "root": "SPX"}]
        for given in wrong:
            with pytest.raises(Problem) as raised:
                await world.call(route, **given)
            assert raised.value.code == "not_found", given


async def test_an_empty_host_has_nothing(autojump_clock, empty_world):
    for route in SHOWN:
        with pytest.raises(Problem) as raised:
            await empty_world.call(route, product="NIFTY")
        assert raised.value.code == "not_found"


async def test_the_future_cannot_be_asked_for(autojump_clock, world):
    for route in SHOWN:
        with pytest.raises(Problem) as raised:
            await world.call(route, product="NIFTY", at=instant(world.clock.now_ns() + 10**11))
        assert raised.value.code == "invalid_request"


async def test_while_the_store_is_away_the_present_goes_on(autojump_clock, world):
    for route in SHOWN:
        async with world.store_away():
            if route is PCR:
                with pytest.raises(Problem) as raised:
                    await world.call(route, product="NIFTY")
                assert raised.value.code == "store_unavailable"
            else:
                shown = await asked(world, route, product="NIFTY")
                assert "store_away" in shown["meta"]["flags"]
            with pytest.raises(Problem) as raised:
                await world.call(route, product="NIFTY", at=instant(world.live.newest("NIFTY")))
            assert raised.value.code == "store_unavailable"
            assert raised.value.retry_after_s > 0


async def test_what_cannot_be_computed_is_null_with_a_reason(autojump_clock, world):
    chain = [one for one in world.sent if isinstance(one, OptionChain) and one.product == "SPY"][-1]
    columns = chain.columns.copy()
    bare = msgspec.structs.replace(
        chain, columns=columns, spot=None, ts_event=chain.ts_event + 10**9, future=None
    )
    for name in (
        "call_oi",
        "put_oi",
        "call_volume",
        "put_volume",
        "call_bid",
        "put_bid",
        "call_last",
        "put_last",
    ):
        bare[name][:] = math.nan
    await world.append(bare)
    await world.settle()
    for route in (PCR, MAX_PAIN, OI, GREEKS):
        shown = await asked(world, route, product="SPY", expiry=date.fromisoformat(chain.expiry))
        (one,) = shown["expiries"]
        nulls = {name for name, value in one.items() if value is None}
        assert nulls == set(one["reasons"]) & set(one), route.name
        assert len(nulls) >= 4
        assert set(one["reasons"].values()) & {"no_call_open_interest", "no_open_interest"}


async def test_every_id_is_in_the_table(autojump_clock, world):
    shown = await asked(world, DEFINITIONS)
    ids = {one["id"]: one for one in shown["definitions"]}
    assert len(ids) == len(shown["definitions"]) == len(definitions.DEFINITIONS)
    assert {"forward", "year", "greeks", "rate", "open_interest"} <= set(shown["conventions"])
    for route in SHOWN:
        meta = (await asked(world, route, product="NIFTY"))["meta"]
        assert meta["definitions"]
        assert set(meta["definitions"].values()) <= set(ids)


async def test_every_number_has_a_definition(autojump_clock, world):
    """Numbers in answers are metrics with an id, counts, or coordinates."""
    for route in SHOWN:
        given = (
            {"hours": 1.0} if route in (MAX_PAIN, STRADDLE) else {"profile": True} if route is GREEKS else {}
        )
        shown = await asked(world, route, product="NIFTY", **given)
        defined = set(shown.pop("meta")["definitions"])
        assert undefined(shown, "", defined) == set(), route.name


async def test_the_same_question_of_the_same_state_is_answered_from_memory(autojump_clock, world):
    for route in (MAX_PAIN, STRADDLE, SURFACE, OI, GREEKS):
        first = await world.call(route, product="NIFTY")
        assert await world.call(route, product="NIFTY") is first
        assert (await world.call(route, product="NIFTY", media=CSV)).body != first.body
        assert (await world.call(route, product="SPY")).body != first.body
    greeks = await world.call(GREEKS, product="NIFTY")
    assert (await world.call(GREEKS, product="NIFTY", convention="inverse")).body != greeks.body
    assert len({(await world.call(OI, product="NIFTY", window=n)).body for n in (1, 2)}) == 2
    world.clock.advance(1000)
    for route in (MAX_PAIN, STRADDLE, SURFACE, OI, GREEKS):
        assert "stale" in (await asked(world, route, product="NIFTY"))["meta"]["flags"]


async def test_the_past_needs_a_right_of_its_own(autojump_clock, world):
    async def refused(route, **given):
        call = Call(
            services=world.services,
            identity=await world.identity("read:market"),
            parameters=route.parameters(product="NIFTY", **given),
            body=None,
            media=route.media[0],
            address="127.0.0.1",
            request_id="r",
            cookies={},
            base="",
        )
        try:
            await route.handler(call)
        except Problem as problem:
            return problem.code
        return None

    then = instant(world.live.newest("NIFTY"))
    for route in SHOWN:
        assert await refused(route, at=then) == "forbidden"
    assert await refused(PCR) == "forbidden"
    assert await refused(PCR, hours=0.0) is None
    for route in (MAX_PAIN, STRADDLE):
        assert await refused(route, hours=1.0) == "forbidden"
        assert await refused(route, cursor="0.1.x") == "forbidden"
    assert await refused(OI, since=then) == "forbidden"
    for route in (MAX_PAIN, STRADDLE, SURFACE, OI, GREEKS):
        assert await refused(route) is None


async def test_ratios_of_now_need_no_store(autojump_clock, world):
    async with world.store_away():
        shown = await asked(world, PCR, product="NIFTY", hours=0.0)
    assert shown["pcr_trend"] == []
    assert shown["data_points"] == 0
    assert shown["all"]["pcr_oi"] > 0


async def test_every_answer_is_of_the_published_schema(autojump_clock, world):
    api = openapi.document(ROUTES, title="t", version="0", base="")
    more = {
        "pcr": {"hours": 0.0},
        "max_pain": {"hours": 1.0},
        "straddle": {"hours": 1.0},
        "open_interest": {"since": instant(world.live.newest("NIFTY"))},
        "greeks": {"profile": True},
    }
    for route in ROUTES:
        answers = api["paths"][route.path]["get"]["responses"]["200"]["content"]["application/json"]
        validator = jsonschema_rs.Draft202012Validator({**answers["schema"], "components": api["components"]})
        product = {} if route is DEFINITIONS else {"product": "NIFTY"}
        for given in (product, product | more.get(route.name, {})):
            shown = await asked(world, route, **given)
            assert [str(error) for error in validator.iter_errors(shown)] == []
            assert not validator.is_valid({**shown, "meta": 1, "definitions": 1})
