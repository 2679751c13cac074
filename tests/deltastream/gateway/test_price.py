"""The pricer over HTTP: against the golden tables (mpmath) and QuantLib, and against whatever may come in."""

import csv
import json
import math
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
import QuantLib as ql  # noqa: N813 - the name all its documentation uses
import trio
from hypothesis import given
from hypothesis import strategies as st

from deltastream.gateway import definitions, openapi
from deltastream.gateway.problems import Problem
from deltastream.gateway.routes.price import ROUTES
from deltastream.gateway.routing import JSON, Call, NoParameters
from deltastream.gateway.validation import Checker
from deltastream.pricing import STATUSES

(PRICE,) = ROUTES
GOLDEN = Path(__file__).parents[2] / "core_ext" / "golden"
FIRST = ("price", "delta", "gamma", "vega", "theta", "rho")
HIGHER = ("vanna", "charm", "vomma", "veta", "speed", "zomma", "color", "ultima", "forward_delta")
SCALE = {"vega": 100, "theta": 365, "rho": 100, "vanna": 100, "charm": 365, "vomma": 1e4, "veta": 36500}
SCALE |= {"zomma": 100, "color": 365, "ultima": 1e6}
"""From the plain derivatives of the golden tables to the units of answers."""

checker = Checker(PRICE)
_API = openapi.document(ROUTES, title="t", version="0", base="")
conforms = jsonschema_rs.Draft202012Validator(
    {"$ref": "#/components/schemas/PriceAnswer", "components": _API["components"]}
).is_valid


def post(body):
    """The JSON answer to a JSON body, through the validation of the gateway."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    parameters, content = checker.check({}, b"", JSON, sent)

    async def handled():
        call = Call(
            services=None,
            identity=None,
            parameters=parameters,
            body=content,
            media=JSON,
            address="127.0.0.1",
            request_id="r",
            cookies={},
            base="",
        )
        return await PRICE.handler(call)

    assert isinstance(parameters, NoParameters)
    answer = trio.run(handled)
    assert answer.status == 200
    shown = json.loads(msgspec.json.encode(answer.body))
    assert conforms(shown)
    return shown


def golden(name, model, count):
    with (GOLDEN / name).open() as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == model]
    return rows[:: max(1, len(rows) // count)]


def columns(model, rows):
    found = {name: [float(row[name]) for row in rows] for name in ("strike", "t", "sigma", "rate")}
    found["forward" if model == "black76" else "spot"] = [float(row["underlying"]) for row in rows]
    if model == "bsm":
        found["dividend_yield"] = [float(row["dividend_yield"]) for row in rows]
    return found | {"model": model}


@pytest.mark.parametrize("model", ["black76", "bsm"])
def test_greeks_are_those_of_the_golden_table(model):
    rows = golden("greeks.csv", model, 150)
    sides = ["C" if row["is_call"] == "1" else "P" for row in rows]
    shown = post(columns(model, rows) | {"option_type": sides, "greeks": "all"})
    assert shown["count"] == len(rows) > 100
    assert set(shown["status"]) == {"ok"}
    for name in (*FIRST, *HIGHER):
        expected = [float(row[name]) / SCALE.get(name, 1) for row in rows]
        scale = max(map(abs, expected))
        assert shown[name] == pytest.approx(expected, rel=1e-8, abs=1e-12 * scale), name
        assert shown["meta"]["definitions"][name] == definitions.DEFINITIONS[f"{model}.{name}"].id


@pytest.mark.parametrize("model", ["black76", "bsm"])
def test_prices_give_their_volatilities_back(model):
    rows = golden("greeks.csv", model, 150)
    sides = ["C" if row["is_call"] == "1" else "P" for row in rows]
    given_columns = columns(model, rows) | {"option_type": sides}
    sigma = given_columns.pop("sigma")
    shown = post(given_columns | {"price": [float(row["price"]) for row in rows]})
    solved = [at for at, status in enumerate(shown["status"]) if status == "converged"]
    assert len(solved) > len(rows) // 2
    assert set(shown["status"]) <= set(STATUSES)
    for at, row in enumerate(rows):
        if at not in solved:
            assert shown["iv"][at] is shown["delta"][at] is None
            continue
        digits = (
            float(row["price"]) * 2e-15 / max(abs(float(row["vega"])), 1e-300)
        )  # what the price's last bits tell
        assert shown["iv"][at] == pytest.approx(sigma[at], rel=1e-9, abs=50 * digits)
    assert "price" not in shown
    assert shown["meta"]["definitions"]["iv"] == f"iv.{model}/1"


def test_single_numbers_are_answered_as_such_and_agree_with_quantlib():
    asked = {"model": "bsm", "spot": 100, "strike": 95.0, "t": 0.5, "rate": 0.03, "dividend_yield": 0.01}
    shown = post(asked | {"option_type": "P", "sigma": 0.25})
    forward, discount = 100 * math.exp(0.02 * 0.5), math.exp(-0.03 * 0.5)
    black = ql.BlackCalculator(
        ql.PlainVanillaPayoff(ql.Option.Put, 95.0), forward, 0.25 * math.sqrt(0.5), discount
    )
    assert shown["price"] == pytest.approx(black.value(), rel=1e-12)
    assert shown["delta"] == pytest.approx(black.delta(100.0), rel=1e-12)
    assert shown["gamma"] == pytest.approx(black.gamma(100.0), rel=1e-12)
    assert shown["vega"] == pytest.approx(black.vega(0.5) / 100, rel=1e-12)
    assert shown["theta"] == pytest.approx(black.theta(100.0, 0.5) / 365, rel=1e-12)
    assert shown["rho"] == pytest.approx(black.rho(0.5) / 100, rel=1e-12)
    assert (shown["count"], shown["status"], shown["model"]) == (1, "ok", "bsm")
    assert set(shown) == {*FIRST, "count", "status", "model", "meta"}
    back = post(asked | {"option_type": "P", "price": shown["price"], "greeks": "none"})
    assert back["iv"] == pytest.approx(0.25, rel=1e-12)
    assert set(back) == {"iv", "count", "status", "model", "meta"}


BASE = {"forward": 100.0, "strike": 100.0, "t": 0.5, "rate": 0.03, "option_type": "C"}


def test_one_column_makes_columns_of_all():
    shown = post(BASE | {"sigma": 0.2, "strike": [90, 100, 110], "option_type": ["C", "P", "C"]})
    alone = [
        post(BASE | {"sigma": 0.2, "strike": strike, "option_type": side})["price"]
        for strike, side in ((90, "C"), (100, "P"), (110, "C"))
    ]
    assert shown["price"] == alone
    assert post(BASE | {"sigma": [0.2]})["price"] == [post(BASE | {"sigma": 0.2})["price"]]


def test_what_cannot_be_priced_is_null_with_a_status():
    asked = {"sigma": [0.2, None, -0.2, 0.0, 0.2], "t": [0.5, 0.5, 0.5, 0.5, 0.0]}
    shown = post(BASE | asked)
    assert shown["status"] == ["ok", "missing_input", "invalid_input", "undefined_limit", "undefined_limit"]
    assert [value is None for value in shown["price"]] == [False, True, True, False, False]
    assert [value is None for value in shown["gamma"]] == [False, True, True, True, True]
    assert post(BASE | {"sigma": 0.2, "forward": -5})["status"] == "invalid_input"
    assert post(BASE | {"sigma": 0.2, "forward": -5})["price"] is None


def test_what_has_no_volatility_is_null_with_a_status():
    prices = [5.5, None, 0.0, 1e9, 5.5]
    shown = post(BASE | {"strike": [100, 100, 90, 100, 100], "price": prices, "t": [0.5, 0.5, 0.5, 0.5, 0]})
    assert shown["status"] == ["converged", "no_price", "below_intrinsic", "above_maximum", "expired"]
    assert [value is None for value in shown["iv"]] == [False, True, True, True, True]
    assert [value is None for value in shown["vega"]] == [False, True, True, True, True]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (BASE, {"/sigma"}),
        (BASE | {"sigma": 0.2, "price": 5.0}, {"/sigma"}),
        (BASE | {"sigma": 0.2, "spot": 100.0, "dividend_yield": 0.0}, {"/spot", "/dividend_yield"}),
        ({**BASE, "model": "bsm"}, {"/forward", "/spot", "/sigma"}),
        (BASE | {"sigma": [0.2, 0.3], "strike": [1.0, 2.0, 3.0], "t": [1.0]}, {"/sigma", "/t"}),
        (BASE | {"sigma": []}, {"/sigma"}),
        (BASE | {"sigma": "0.2", "greeks": "some", "vol": 1}, {"/sigma", "/greeks", "/vol"}),
        (BASE | {"sigma": [0.2] * 10_001}, {"/sigma"}),
        (BASE | {"sigma": 0.2, "option_type": ["C", "X"]}, {"/option_type/1"}),
        ({"sigma": 0.2}, {"/strike", "/t", "/rate", "/option_type"}),
        ([], {""}),
    ],
)
def test_everything_that_is_wrong_is_told_at_once(body, fields):
    with pytest.raises(Problem) as raised:
        post(body)
    assert raised.value.code == "invalid_request"
    assert {one.field for one in raised.value.errors} == fields
    assert raised.value.detail.startswith(raised.value.errors[0].message)


@pytest.mark.parametrize("count", [1_000, 1_001, 10_000])
def test_a_large_batch_is_what_its_parts_are(count):
    strikes = [80.0 + 40.0 * at / count for at in range(count)]
    shown = post(BASE | {"strike": strikes, "sigma": 0.2, "greeks": "all"})
    assert len(shown["price"]) == len(shown["status"]) == shown["count"] == count
    for at in (0, 1, count // 2, count - 1):
        one = post(BASE | {"strike": strikes[at], "sigma": 0.2, "greeks": "all"})
        assert {name: shown[name][at] for name in (*FIRST, *HIGHER)} == {
            name: one[name] for name in (*FIRST, *HIGHER)
        }


async def test_a_large_batch_lets_others_have_their_turn():
    body = {**BASE, "strike": [100.0] * 10_000, "price": [5.5] * 10_000, "greeks": "all"}
    _, content = checker.check({}, b"", JSON, json.dumps(body).encode())
    turns = 0

    async def count_turns(task_status):
        nonlocal turns
        task_status.started()
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    call = Call(None, None, NoParameters(), content, JSON, "", "", {}, "")
    async with trio.open_nursery() as nursery:
        await nursery.start(count_turns)
        before = turns
        await PRICE.handler(call)
        assert turns - before >= 15  # a turn for each column that came or goes
        nursery.cancel_scope.cancel()


number = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(10**300), 10**300),
    st.sampled_from([0, -0.0, 5e-324, 1e308, 100, 0.2]),
)
column = st.one_of(number, st.lists(st.one_of(st.none(), number), min_size=3, max_size=3))
sides = st.one_of(st.sampled_from("CP"), st.lists(st.sampled_from("CP"), min_size=3, max_size=3))


@given(
    model=st.sampled_from(["black76", "bsm"]),
    values=st.fixed_dictionaries(dict.fromkeys(("underlying", "strike", "t", "rate", "last"), column)),
    option_type=sides,
    last=st.sampled_from(["sigma", "price"]),
    greeks=st.sampled_from(["none", "first", "all"]),
)
def test_any_numbers_are_answered(model, values, option_type, last, greeks):
    body = {name: values[name] for name in ("strike", "t", "rate")}
    body |= {"forward" if model == "black76" else "spot": values["underlying"], last: values["last"]}
    body |= {"model": model, "option_type": option_type, "greeks": greeks}
    shown = post(body)
    single = not any(isinstance(value, list) for value in body.values())
    statuses = [shown["status"]] if single else shown["status"]
    known = shown["price" if last == "sigma" else "iv"]
    for status, value in zip(statuses, [known] if single else known, strict=True):
        if last == "price":
            assert (value is not None) == (status == "converged")
        else:
            assert (value is not None) == (status in ("ok", "undefined_limit"))


@given(
    st.recursive(
        st.none() | st.booleans() | number | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*BASE, "sigma", "x"]), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_any_json_is_answered_or_refused(body):
    status = 200
    try:
        post(body)
    except Problem as problem:
        status = problem.status
    assert status in (200, 400)
