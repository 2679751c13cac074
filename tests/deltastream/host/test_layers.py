"""Building a settings tree from layers: order, all errors at once, origins."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.errors import ConfigurationError
from deltastream.host.layers import Given, Origin, build, leaves

DEFAULT = Origin("default")
FILE = Origin("file", "f.toml")
ENV = Origin("env", "X")


class Inner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    attempts: Annotated[int, msgspec.Meta(gt=0)] = 5
    pause_s: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.5


class Outer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    mode: Literal["fast", "safe"] = "safe"
    speed: Annotated[float, msgspec.Meta(gt=0)] | Literal["max"] = 1.0
    on: bool = False
    maybe: str | None = None
    names: tuple[str, ...] = ()
    ranks: tuple[tuple[str, ...], ...] = ()
    rates: dict[str, Annotated[float, msgspec.Meta(gt=-1, lt=1)]] = msgspec.field(
        default_factory=lambda: {"INR": 0.05, "USD": 0.04}
    )
    inner: Inner = Inner(attempts=7)

    def __post_init__(self) -> None:
        if self.mode == "fast" and self.inner.attempts > 100:
            raise ValueError("fast allows at most 100 attempts")
        if "none" in self.names:
            raise ValueError("names: there is no none: name some")


def problems(*layers: Given) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        build(Outer, [Given({"name": "n"}, DEFAULT), *layers])
    return caught.value.problems


def built(*layers: Given) -> Outer:
    return build(Outer, [Given({"name": "n"}, DEFAULT), *layers])[0]


def test_later_layers_prevail_leaf_by_leaf():
    tree, origins = build(
        Outer,
        [
            Given({"name": "n", "inner": {"attempts": 1, "pause_s": 2}}, FILE),
            Given({"inner": {"attempts": "3"}}, ENV, lax=True),
        ],
    )
    assert tree == Outer(name="n", inner=Inner(attempts=3, pause_s=2.0))
    assert (origins["inner.attempts"], origins["inner.pause_s"], origins["mode"]) == (ENV, FILE, DEFAULT)


def test_a_default_struct_keeps_its_own_values_beside_those_given():
    assert built(Given({"inner": {"pause_s": 1}}, FILE)).inner == Inner(attempts=7, pause_s=1.0)


def test_free_tables_merge_by_key():
    tree, origins = build(
        Outer,
        [Given({"name": "n", "rates": {"USD": 0.1}}, FILE), Given({"rates": {"EUR": "0.2"}}, ENV, lax=True)],
    )
    assert tree.rates == {"INR": 0.05, "USD": 0.1, "EUR": 0.2}
    assert [origins[f"rates.{name}"] for name in tree.rates] == [DEFAULT, FILE, ENV]


def test_every_problem_of_every_layer_is_told_at_once():
    found = problems(
        Given(
            {
                "mode": "saef",
                "speeed": 1,
                "on": 1,
                "names": ["a", 2, 3],
                "rates": {"INR": 2.0, "USD": "x"},
                "inner": {"attempts": 0, "pause_s": float("inf"), "atempts": 1},
            },
            FILE,
        ),
        Given({"inner": {"attempts": "many"}}, ENV, lax=True),
    )
    assert found == [
        "speeed: no such setting (file f.toml); did you mean speed?",
        "mode: expected 'fast' or 'safe' (did you mean 'safe'?), got 'saef' (file f.toml)",
        "on: expected `bool`, got 1 (file f.toml)",
        "names[1]: expected `str`, got 2 (file f.toml)",
        "names[2]: expected `str`, got 3 (file f.toml)",
        "rates.INR: expected `float` < 1.0, got 2.0 (file f.toml)",
        "rates.USD: expected `float`, got 'x' (file f.toml)",
        "inner.atempts: no such setting (file f.toml); did you mean inner.attempts?",
        "inner.attempts: expected `int` >= 1, got 0 (file f.toml)",
        "inner.attempts: expected `int`, got 'many' (env X)",
        "inner.pause_s: expected `float` <= 10.0, got inf (file f.toml)",
    ]


def test_what_has_no_default_must_be_given():
    with pytest.raises(ConfigurationError, match=r"^name: must be given$"):
        build(Outer, [])


def test_rules_over_several_fields_are_told_with_the_path():
    assert problems(Given({"mode": "fast", "inner": {"attempts": 101}}, FILE)) == [
        "configuration: fast allows at most 100 attempts"
    ]


def test_a_rule_of_one_field_is_told_with_its_path_and_origin():
    assert problems(Given({"names": ["b", "none"]}, FILE)) == [
        "names: there is no none: name some (file f.toml)"
    ]


@pytest.mark.parametrize("junk", [1, "x", [], None, True])
def test_a_table_cannot_be_replaced_by_something_else(junk: Any):
    assert problems(Given({"inner": junk}, FILE))[0].startswith("inner: expected a table, got ")
    assert problems(Given({"rates": junk}, FILE))[0].startswith("rates: expected a table, got ")


@pytest.mark.parametrize(
    ("text", "names"),
    [("a,b", ("a", "b")), (" a , b ", ("a", "b")), ('["a,b", "c"]', ("a,b", "c")), ("a", ("a",)), ("[]", ())],
)
def test_a_list_as_text(text: str, names: tuple[str, ...]):
    assert built(Given({"names": text}, ENV, lax=True)).names == names


def test_text_stands_for_other_types_only_where_the_layer_is_text():
    lax = built(Given({"on": "true", "speed": "max", "ranks": '[["a"], ["b", "c"]]'}, ENV, lax=True))
    assert (lax.on, lax.speed, lax.ranks) == (True, "max", (("a",), ("b", "c")))
    assert built(Given({"speed": "2.5"}, ENV, lax=True)).speed == 2.5
    assert problems(Given({"speed": "2.5"}, FILE)) == [
        "speed: expected 'max' or `float`, got '2.5' (file f.toml)"
    ]
    assert problems(Given({"speed": "-1"}, ENV, lax=True)) == [
        "speed: expected 'max' or `float` > 0.0, got '-1' (env X)"
    ]


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 16**5000], ids=["above", "below", "endless"])
def test_numbers_beyond_64_bits_are_refused(number: int):
    assert problems(Given({"inner": {"attempts": number}}, FILE)) == [
        "inner.attempts: number out of range (file f.toml)"
    ]


def test_leaves_are_in_order_of_declaration():
    assert [path for path, _ in leaves(built())] == [
        *("name", "mode", "speed", "on", "maybe", "names", "ranks"),
        *("rates.INR", "rates.USD", "inner.attempts", "inner.pause_s"),
    ]


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates()
    | st.times()
    | st.datetimes(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYED = st.dictionaries(st.sampled_from([*Outer.__struct_fields__, "bogus"]), JUNK) | st.fixed_dictionaries(
    {"inner": st.dictionaries(st.sampled_from(["attempts", "pause_s", "x"]), JUNK)}
)


@given(st.lists(st.tuples(KEYED | JUNK, st.booleans()), max_size=3))
def test_whatever_is_given_a_valid_tree_or_its_problems_come_out(layers: list[tuple[Any, bool]]):
    given_layers = [Given(value, FILE, lax) for value, lax in layers]
    try:
        tree, origins = build(Outer, [Given({"name": "n"}, DEFAULT), *given_layers])
    except ConfigurationError as error:
        told = error.problems
    else:
        told = None
        assert msgspec.convert(msgspec.to_builtins(tree), Outer) == tree
        assert {path for path, _ in leaves(tree)} <= set(origins)
    assert told is None or (told and all(problem.partition(": ")[2] for problem in told))
