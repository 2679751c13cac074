"""Requests: all that is wrong is told at once, and what the published schema admits becomes a struct."""

from __future__ import annotations

import datetime
import json
from typing import Annotated, Any, Literal
from urllib.parse import quote

import jsonschema_rs
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deltastream.gateway.instants import Instant, instant_of
from deltastream.gateway.problems import Problem
from deltastream.gateway.routing import NoParameters, Route
from deltastream.gateway.schemas import FORMATS
from deltastream.gateway.validation import Checker


class Which(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which chain.

    Attributes:
        product: the underlying.
        at: the last state at that time.
    """

    product: Annotated[str, msgspec.Meta(pattern="^[A-Z]{1,10}$", examples=["NIFTY"])]
    expiry: datetime.date | None = None
    at: Instant | None = None
    window: Annotated[int, msgspec.Meta(ge=1, le=200)] | None = None
    delta: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    strikes: Annotated[tuple[float, ...], msgspec.Meta(max_length=3)] = ()
    layout: Literal["rows", "columns"] = "rows"
    fresh: bool = False
    hours: int | Literal["all"] = 24


class Option(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One option."""

    spot: Annotated[float, msgspec.Meta(gt=0, le=1e9)]
    kind: Literal["call", "put"] = "call"
    lots: Annotated[int, msgspec.Meta(ge=-10, le=10)] = 1
    version: Literal[1, 2] = 1
    at: Instant | None = None
    expiry: datetime.date | None = None
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=5, pattern=r"^[a-z\d]+$")] | None = None
    tags: Annotated[frozenset[str], msgspec.Meta(max_length=3)] = frozenset()
    pair: tuple[int, str] | None = None
    either: int | str | list[int] = 0
    free: dict[str, int] = {}

    def __post_init__(self) -> None:
        if self.lots == 0:
            raise ValueError("must hold at least one lot")


class Circle(msgspec.Struct, frozen=True, tag="circle", forbid_unknown_fields=True):
    """Round."""

    radius: float


class Square(msgspec.Struct, frozen=True, tag="square", forbid_unknown_fields=True):
    """Not round."""

    side: int


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several options."""

    options: Annotated[tuple[Option, ...], msgspec.Meta(max_length=500)]
    shape: Circle | Square | None = None


async def handler(call):
    """Never called."""


def route_of(path="/api/chain/{product}", parameters=Which, body=None, **rest) -> Route:
    return Route(
        method="POST",
        path=path,
        scope="anyone",
        handler=handler,
        parameters=parameters,
        body=body,
        tag="x",
        **rest,
    )


@pytest.fixture(scope="module")
def chain() -> Checker:
    return Checker(route_of())


@pytest.fixture(scope="module")
def batch() -> Checker:
    return Checker(route_of("/api/price", NoParameters, Batch))


def refused(checker: Checker, path=None, query="", content_type=None, body=b"") -> Problem:
    with pytest.raises(Problem) as caught:
        checker.check(path or {}, query, content_type, body)
    return caught.value


def outcome(checker: Checker, path=None, query="", content_type="application/json", body=b""):
    """What is taken, or the problem; one of them is None."""
    try:
        return checker.check(path or {}, query, content_type, body), None
    except Problem as problem:
        return None, problem


def told(problem: Problem) -> list[tuple[str, str, str]]:
    return sorted((each.where, each.field, each.code) for each in problem.errors)


def messages(problem: Problem) -> set[str]:
    return {each.message for each in problem.errors}


def test_text_becomes_what_the_struct_says(chain):
    query = (
        "expiry=2026-11-24&at=2026-11-24T09:15:00.5%2B05:30&window=5&delta=2.5e-1&strikes=1,-2.5"
        "&layout=columns&fresh=true&hours=all"
    )
    parameters, body = chain.check({"product": "NIFTY"}, query.encode(), None, b"")
    assert parameters == Which(
        product="NIFTY",
        expiry=datetime.date(2026, 11, 24),
        at=Instant(1_795_491_900_500_000_000),
        window=5,
        delta=0.25,
        strikes=(1.0, -2.5),
        layout="columns",
        fresh=True,
        hours="all",
    )
    assert body is None
    assert type(parameters.window) is int
    assert type(parameters.strikes[0]) is float


def test_what_is_left_out_has_its_default(chain):
    assert chain.check({"product": "SPY"}, "", None, b"")[0] == Which(product="SPY")
    assert chain.check({"product": "SPY"}, b"&&", None, b"")[0] == Which(product="SPY")


def test_everything_wrong_is_told_at_once(chain):
    query = (
        "expriy=1&at=2026-11-24T09:15:00&window=500&window=1&delta=NaN&strikes=1,x,3,4&layout=row"
        "&fresh=yes&hours=q&expiry=20261124&product=SPY"
    )
    problem = refused(chain, {"product": "nifty"}, query)
    assert (problem.code, problem.status) == ("invalid_request", 400)
    assert told(problem) == [
        ("path", "product", "pattern"),
        ("query", "at", "format"),
        ("query", "delta", "type"),
        ("query", "expiry", "format"),
        ("query", "expriy", "unknown"),
        ("query", "fresh", "type"),
        ("query", "hours", "any_of"),
        ("query", "layout", "enum"),
        ("query", "product", "unknown"),
        ("query", "strikes", "max_items"),
        ("query", "strikes", "type"),
        ("query", "window", "maximum"),
        ("query", "window", "repeated"),
    ]
    assert messages(problem) == {
        "at has no offset from UTC: end it with Z or with one such as +05:30.",
        "delta must be a number.",
        "expiry must be a date such as 2026-11-24.",
        "expriy is no parameter of the query; did you mean expiry?",
        "fresh must be true or false.",
        "hours must be a whole number or must be all.",
        "layout must be one of columns, rows.",
        "product is no parameter of the query.",
        "product must have the form of NIFTY.",
        "strikes must have at most 3 items.",
        "strikes[1] must be a number.",
        "window is given more than once.",
        "window must be at most 200.",
    }
    assert problem.detail == "expriy is no parameter of the query; did you mean expiry? And 12 more."


@pytest.mark.parametrize(
    "text",
    ["", "5.0", "+5", "05", "0x5", "1e1", " 5", "5 ", "٥", "５", "1" * 41, "--5", "true", "null"],
)
def test_whole_numbers_have_one_form(chain, text):
    problem = refused(chain, {"product": "NIFTY"}, f"window={quote(text)}")
    assert told(problem) == [("query", "window", "type")]


@pytest.mark.parametrize(
    "text", ["", "nan", "NaN", "inf", "-Infinity", "1e999", "-1e999", ".5", "5.", "1_000", "0x1p3", "٠.٥"]
)
def test_numbers_are_finite_and_as_in_json(chain, text):
    problem = refused(chain, {"product": "NIFTY"}, f"delta={quote(text)}")
    assert told(problem) == [("query", "delta", "type")]


def test_a_plus_sign_that_was_not_encoded_is_still_an_offset(chain):
    parameters, _ = chain.check({"product": "NIFTY"}, b"at=2026-11-24T09:15:00+05:30", None, b"")
    assert parameters.at == instant_of("2026-11-24T03:45:00Z")


@pytest.mark.parametrize("query", ["at=%ff", "%ff=1", b"at=\xff", "window=%ed%a0%80"])
def test_an_address_that_is_not_utf8(chain, query):
    assert told(refused(chain, {"product": "NIFTY"}, query)) == [("query", "", "encoding")]


def test_half_a_surrogate_pair_in_the_path(chain):
    assert told(refused(chain, {"product": "\ud800"})) == [("query", "", "encoding")]


def test_names_and_numbers_that_are_very_long_are_told_in_short(chain):
    problem = refused(chain, {"product": "NIFTY"}, f"{'x' * 5000}=1&window={'9' * 40}")
    assert told(problem) == [("query", "window", "maximum"), ("query", "x" * 80, "unknown")]
    assert all(len(each.message) < 200 for each in problem.errors)


JSON = "application/json"


def test_a_body_becomes_its_struct(batch):
    body = {
        "options": [
            {"spot": 5, "lots": 3.0, "version": 1.0, "at": "2026-11-24T03:45:00Z", "pair": [1.0, "a"]},
            {"spot": 0.5, "expiry": "2026-11-24", "tags": ["a", "b"], "free": {"a": 2}},
        ],
        "shape": {"type": "square", "side": 4},
    }
    _, content = batch.check({}, b"", "application/json; charset=UTF-8", json.dumps(body).encode())
    assert content == Batch(
        options=(
            Option(spot=5.0, lots=3, at=instant_of("2026-11-24T03:45:00Z"), pair=(1, "a")),
            Option(spot=0.5, expiry=datetime.date(2026, 11, 24), tags=frozenset({"a", "b"}), free={"a": 2}),
        ),
        shape=Square(4),
    )


def test_everything_wrong_with_a_body_is_told_at_once(batch):
    body = {
        "options": [
            {"spot": 0, "kind": "both", "lots": 2.5, "at": "2026-11-24T09:15:00", "zz/~x": 1},
            {"expiry": "2026-02-30", "name": "TOO LONG", "tags": ["a", "a"], "pair": [1], "free": {"a": "b"}},
            3,
            {"spot": 1, "either": {}},
        ],
        "shape": {"type": "square", "side": "x"},
    }
    problem = refused(batch, body=json.dumps(body).encode(), content_type=JSON, query="page=2")
    assert told(problem) == [
        ("body", "/options/0/at", "format"),
        ("body", "/options/0/kind", "enum"),
        ("body", "/options/0/lots", "type"),
        ("body", "/options/0/spot", "minimum"),
        ("body", "/options/0/zz~1~0x", "unknown"),
        ("body", "/options/1/expiry", "format"),
        ("body", "/options/1/free/a", "type"),
        ("body", "/options/1/name", "max_length"),
        ("body", "/options/1/name", "pattern"),
        ("body", "/options/1/pair", "min_items"),
        ("body", "/options/1/spot", "required"),
        ("body", "/options/1/tags", "unique"),
        ("body", "/options/2", "type"),
        ("body", "/options/3/either", "any_of"),
        ("body", "/shape/side", "type"),
        ("query", "page", "unknown"),
    ]
    assert {
        "options[0].spot must be more than 0.",
        "options[0].zz/~x is not known here.",
        "options[1].spot is required.",
        "options[1].tags must not hold the same item twice.",
        "options[3].either must be a whole number or must be text or must be a list.",
        "shape.side must be a whole number.",
    } < messages(problem)


def test_no_value_of_a_body_is_repeated_in_an_answer(batch):
    body = {"options": [{"spot": "hunter2", "name": "hunter2hunter2", "kind": "hunter2"}]}
    problem = refused(batch, body=json.dumps(body).encode(), content_type=JSON)
    assert len(problem.errors) == 3
    assert "hunter2" not in problem.detail + "".join(messages(problem))


def test_a_rule_that_no_schema_can_say(batch):
    problem = refused(batch, body=b'{"options":[{"spot":1},{"spot":1,"lots":0}]}', content_type=JSON)
    assert told(problem) == [("body", "/options/1", "rule")]
    assert messages(problem) == {"options[1] must hold at least one lot."}


def test_a_shape_of_no_known_kind(batch):
    for shape in ({"type": "line"}, {"side": 1}, [], {"type": 1}):
        body = json.dumps({"options": [], "shape": shape}).encode()
        assert all(
            each.field.startswith("/shape") for each in refused(batch, body=body, content_type=JSON).errors
        )


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "The body is empty, but this operation needs one in JSON."),
        (b"{", "The body is not JSON: it ends too early, or holds half of a surrogate pair."),
        (b'{"a":1,}', "The body is not JSON: trailing comma in object (byte 7)."),
        (b"{} {}", "The body is not JSON: trailing characters (byte 4)."),
        (b"\xef\xbb\xbf{}", "The body is not JSON: invalid character (byte 0)."),
        (b'{"a":NaN}', "The body is not JSON: invalid character (byte 5)."),
        (b'{"a":-Infinity}', "The body is not JSON: invalid character (byte 6)."),
        (b'{"a":1e999}', "The body holds a number beyond those of 64-bit floating point."),
        (b'{"a":%s}' % (b"9" * 5000), "The body holds a number beyond those of 64-bit floating point."),
        (
            b'{"options":[],"shape":{"type":"circle","radius":%s}}' % (b"9" * 400),
            "The body holds a number beyond those of 64-bit floating point.",
        ),
        (b'{"a":"\xff"}', "The body is not UTF-8."),
        (b'{"a":"\xed\xa0\x80"}', "The body is not UTF-8."),
        (b'{"options":[],"options":[]}', "The body names 'options' twice in one object."),
        (b'{"options":[{"at":"x:y","at":1}]}', "The body names 'at' twice in one object."),
        (b'{"opti\\u006fns":[],"options":[]}', "The body names 'options' twice in one object."),
        (b"[" * 16000, "The body nests deeper than 32 levels."),
        (b"[" * 40 + b"]" * 40, "The body nests deeper than 32 levels."),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "The body nests deeper than 32 levels."),
    ],
)
def test_malformed_bodies(batch, body, detail):
    problem = refused(batch, body=body, content_type=JSON)
    assert (problem.code, problem.detail) == ("malformed_body", detail)


@pytest.mark.parametrize("body", [b'"\\ud800"', b'{"a":"\\udfff"}', b'{"options":[],"\\ud800x":1}'])
def test_half_a_surrogate_pair(batch, body):
    assert refused(batch, body=body, content_type=JSON).code == "malformed_body"


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/jsonx", "application/json; charset=latin-1", "multipart/form-data"],
)
def test_other_media_types(batch, content_type):
    problem = refused(batch, body=b'{"options":[]}', content_type=content_type)
    assert (problem.code, problem.status) == ("unsupported_media_type", 415)


@pytest.mark.parametrize(
    "content_type",
    [JSON, "Application/JSON", "application/json;charset=utf-8", 'application/json; charset="UTF8"; a=b'],
)
def test_ways_to_say_json(batch, content_type):
    assert batch.check({}, b"", content_type, b'{"options":[]}')[1] == Batch(options=())


def test_a_body_has_its_size():
    checker = Checker(route_of("/x", NoParameters, Batch, body_bytes=100))
    assert checker.check({}, b"", JSON, b'{"options":[]}'.ljust(100))[1] == Batch(options=())
    problem = refused(checker, body=b'{"options":[]}'.ljust(101), content_type=JSON)
    assert (problem.code, problem.status) == ("body_too_large", 413)
    assert problem.detail == "The body of this operation must have at most 100 bytes."


def test_a_body_nobody_asked_for(chain):
    assert refused(chain, {"product": "SPY"}, body=b"{}", content_type=JSON).code == "malformed_body"


def test_a_body_that_may_be_left_out():
    checker = Checker(route_of("/x", NoParameters, Batch | None))
    assert checker.check({}, b"", None, b"") == (NoParameters(), None)
    assert checker.check({}, b"", JSON, b'{"options":[]}')[1] == Batch(options=())
    assert told(refused(checker, body=b"null", content_type=JSON)) == [("body", "", "type")]


def test_at_most_a_hundred_mistakes_are_told(batch):
    body = json.dumps({"options": [{"spot": 0}] * 300}).encode()
    problem = refused(batch, body=body, content_type=JSON)
    assert len(problem.errors) == 100


wild = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-12, 12).map(float)
    | st.text(st.characters(codec="utf-8"), max_size=8)
    | st.sampled_from(
        ["2026-11-24", "2026-02-30", "0000-01-01", "2026-11-24T09:15:00Z", "2016-12-31T23:59:60Z"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
option = st.fixed_dictionaries(
    {"spot": st.floats(0.1, 1e9) | st.integers(1, 100) | wild},
    optional={
        "kind": st.sampled_from(["call", "put"]) | wild,
        "lots": st.integers(1, 11) | st.integers(-12, 12).map(float) | wild,
        "version": st.sampled_from([1, 2, 1.0, 2.0, True, 3]) | wild,
        "at": st.datetimes().map(lambda at: at.isoformat() + "Z") | st.none() | wild,
        "expiry": st.dates().map(str) | wild,
        "name": st.from_regex(r"^[a-z\d]+$") | wild,
        "tags": st.lists(st.text(max_size=2), max_size=4) | wild,
        "pair": st.tuples(st.integers() | st.floats(-5, 5), st.text(max_size=3)).map(list) | wild,
        "either": wild,
        "free": st.dictionaries(st.text(max_size=3), st.integers() | st.floats(-5, 5)) | wild,
        "other": wild,
    },
)
shape = st.fixed_dictionaries(
    {"type": st.sampled_from(["circle", "square"]) | wild},
    optional={"radius": st.integers() | wild, "side": st.sampled_from([1, 2.0, 2.5, 1e300]) | wild},
)
bodies = st.fixed_dictionaries(
    {"options": st.lists(option, max_size=3) | wild}, optional={"shape": st.none() | shape}
)


@given(body=bodies | wild)
@example(body={"options": [{"spot": 1, "lots": 1e0, "either": 1e300}]})
@example(body={"options": [{"spot": 1, "name": "abc\n"}]})
@example(body={"options": [{"spot": 1, "name": "\u0661"}]})
@example(body={"options": [{"spot": 1, "expiry": "0000-01-01"}]})
@example(body={"options": [{"spot": 1, "free": {"a": 10**30}}]})
def test_what_the_schema_admits_converts_and_nothing_else(batch, body: Any):
    """The published schema and the structs agree about every JSON value."""
    admitted = jsonschema_rs.Draft202012Validator(
        batch.body, formats=dict(FORMATS), validate_formats=True
    ).is_valid(body)
    taken, problem = outcome(batch, body=json.dumps(body).encode())
    if problem is None:
        assert admitted
        assert isinstance(taken[1], Batch)
    else:
        assert problem.code == "invalid_request"
        assert not admitted or {each.code for each in problem.errors} == {"rule"}
        assert all(each.message.endswith((".", "?")) for each in problem.errors)


query_text = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    [
        "5",
        "0.25",
        "all",
        "true",
        "1,2",
        "rows",
        "2026-11-24",
        "2026-11-24T09:15:00Z",
        "2026-11-24T09:15:00",
        "-1",
    ]
)


@given(
    product=st.sampled_from(["NIFTY", "SPY"]) | query_text,
    pairs=st.lists(st.tuples(st.sampled_from([*Which.__struct_fields__, "x"]) | query_text, query_text)),
)
def test_any_query_is_taken_or_refused_with_sentences(chain, product, pairs):
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    taken, problem = outcome(chain, {"product": product}, query, None)
    if problem is not None:
        assert problem.code == "invalid_request"
        assert problem.errors
    else:
        assert taken[0].product == product
        assert len({name for name, _ in pairs if name}) == len([name for name, _ in pairs if name])


@given(
    body=st.binary(max_size=60) | wild.map(lambda value: json.dumps(value).encode()), cut=st.integers(0, 60)
)
def test_any_bytes_are_taken_or_refused(batch, body, cut):
    _, problem = outcome(batch, body=body[:cut])
    assert problem.status == 400 if problem else "options" in json.loads(body[:cut])
