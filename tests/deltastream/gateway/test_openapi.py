"""The documentation says what the gateway does: of every route, every status and every field."""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from deltastream.gateway.api import ROUTES
from deltastream.gateway.definitions import DEFINITIONS
from deltastream.gateway.glossary import GLOSSARY
from deltastream.gateway.openapi import document
from deltastream.gateway.problems import CODES, MEDIA_TYPE, Problem
from deltastream.gateway.routing import Answer, Call, NoParameters, Route, route
from deltastream.gateway.validation import Checker


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    return document(ROUTES, title="DeltaStream", version="1", base="http://127.0.0.1:8000")


def operation_of(api, each: Route) -> dict[str, Any]:
    return api["paths"][each.path][each.method.lower()]


def schemas_in(node: Any, path: str = ""):
    """Every property of every component, with where it stands."""
    if isinstance(node, dict):
        for name, each in node.get("properties", {}).items():
            yield f"{path}.{name}", each
            yield from schemas_in(each, f"{path}.{name}")
        for key, each in node.items():
            if key != "properties":
                yield from schemas_in(each, path)
    elif isinstance(node, list):
        for each in node:
            yield from schemas_in(each, path)


def whole(schema: Any, components: dict[str, Any], within: tuple[str, ...] = ()) -> Any:
    """The schema with what it refers to in its place, once in each line of descent."""
    if isinstance(schema, list):
        return [whole(each, components, within) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return name if name in within else whole(components[name], components, (*within, name))
    return {key: whole(each, components, within) for key, each in schema.items()}


@pytest.mark.parametrize("each", ROUTES, ids=lambda each: f"{each.method} {each.path}")
def test_every_status_is_documented(api, each):
    """Not by the code that writes the document: by what layers a request passes."""
    expected = {
        *each.answers,
        *(CODES[code][0] for code in each.problems),
        *(400, 401, 403, 406, 408, 413, 414, 415, 421, 429, 431, 500, 503),
    }
    if each.method == "GET":
        expected.add(304)
    assert operation_of(api, each)["responses"].keys() == {str(status) for status in expected}


def test_every_route_is_documented_and_nothing_else(api):
    documented = {(method.upper(), path) for path, item in api["paths"].items() for method in item}
    assert documented == {(each.method, each.path) for each in ROUTES}
    names = [operation_of(api, each)["operationId"] for each in ROUTES]
    assert len(set(names)) == len(names)


def test_every_code_of_a_problem_is_documented_with_its_status(api):
    for each in ROUTES:
        responses = operation_of(api, each)["responses"]
        for code in each.problems:
            reference = responses[str(CODES[code][0])]["$ref"]
            assert code in reference.rpartition("/")[2].split(".")
    assert all(code in CODES for name in api["components"]["responses"] for code in name.split("."))


def test_the_example_of_a_problem_is_one(api):
    for name, response in api["components"]["responses"].items():
        content = response["content"][MEDIA_TYPE]
        validator = jsonschema_rs.Draft202012Validator(
            {**content["schema"], "components": {"schemas": api["components"]["schemas"]}}
        )
        assert content["examples"].keys() == set(name.split("."))
        for code, example in content["examples"].items():
            assert validator.is_valid(example["value"])
            assert not validator.is_valid({**example["value"], "status": 200})
            assert example["value"] == msgspec.to_builtins(Problem(code).document("5f1c9b0a7d3e4c21"))


def test_everything_is_described(api):
    for each in ROUTES:
        operation = operation_of(api, each)
        assert operation["summary"]
        assert not operation["summary"].endswith(".")
        assert [p["name"] for p in operation.get("parameters", ()) if not p.get("description")] == []
    silent = [path for path, each in schemas_in(api["components"]["schemas"]) if not each.get("description")]
    assert silent == []
    assert [tag for tag in api["tags"] if not tag["description"]] == []


def test_the_glossary_explains_fields_that_there_are(api):
    names = {
        name for schema in api["components"]["schemas"].values() for name in schema.get("properties", ())
    }
    assert set(GLOSSARY) - names == set()
    assert set(GLOSSARY) & set(DEFINITIONS) == set()
    assert all(text.endswith(".") for text in GLOSSARY.values())


def test_what_is_published_is_what_validates(api):
    components = api["components"]["schemas"]
    for each in ROUTES:
        operation, checker = operation_of(api, each), Checker(each)
        own = checker.parameters["components"]["schemas"]
        published = {
            parameter["name"]: whole(
                {**parameter["schema"], "description": parameter.get("description")}, components
            )
            for parameter in operation.get("parameters", ())
        }
        assert published == {
            name: whole({"description": None, **schema}, own)
            for name, schema in checker.parameters["properties"].items()
        }
        required = [p["name"] for p in operation.get("parameters", ()) if p["required"]]
        assert sorted(required) == sorted(checker.parameters["required"])
        if each.body is None:
            assert "requestBody" not in operation
        else:
            content = operation["requestBody"]["content"]["application/json"]
            body = {key: value for key, value in checker.body.items() if key != "components"}
            assert whole(content["schema"], components) == whole(body, own)


def test_parameters_in_the_path_are_those_of_the_path(api):
    for each in ROUTES:
        names = [p["name"] for p in operation_of(api, each).get("parameters", ()) if p["in"] == "path"]
        assert sorted(names) == sorted(re.findall(r"{(\w+)}", each.path))
        assert all(p["required"] for p in operation_of(api, each).get("parameters", ()) if p["in"] == "path")


@pytest.mark.parametrize("text", ["", "a/b", "a\\b", "a\nb", "a\x00", "\x7f", "\x85", "\x9f"])
def test_no_part_of_a_path_may_be_what_no_path_can_hold(api, text):
    for each in ROUTES:
        for parameter in operation_of(api, each).get("parameters", ()):
            if parameter["in"] == "path" and parameter["schema"].get("type") == "string":
                assert not jsonschema_rs.Draft202012Validator(parameter["schema"]).is_valid(text)


def test_every_schema_is_one_and_every_reference_leads_somewhere(api):
    def references(node):
        if isinstance(node, dict):
            if "$ref" in node:
                yield node["$ref"]
            for each in node.values():
                yield from references(each)
        elif isinstance(node, list):
            for each in node:
                yield from references(each)

    found = set(references(api))
    assert found
    for reference in found:
        place = api
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    used = {reference.removeprefix("#/components/") for reference in found}
    there = {
        f"{kind}/{name}" for kind in ("schemas", "responses", "headers") for name in api["components"][kind]
    }
    assert used == there
    for schema in api["components"]["schemas"].values():
        assert jsonschema_rs.meta.is_valid(schema)


def test_who_may_ask_is_documented(api):
    for each in ROUTES:
        security = operation_of(api, each)["security"]
        if each.scope == "anyone":
            assert security == []
        elif each.scope == "session":
            assert security == [{"bearer": []}]
        else:
            assert security == [{"bearer": [each.scope]}, {"api_key": [each.scope]}]


class Shown(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is shown.

    More about it, over
    two lines.

    Attributes:
        first_field, second_field: of two,
            in two lines.
        unsaid: told by `Meta` alone.
    """

    first_field: int
    second_field: tuple[int, ...] = ()
    unsaid: bool = False


async def show(call: Call[Shown, None]) -> Answer:
    """Show it. It is worth it.

    And more.

    Raises:
        Problem: never.
    """
    raise NotImplementedError


def test_descriptions_come_from_docstrings():
    shown = route("GET", "/x", scope="read:market", tag="x", parameters=Shown, answers=list[Shown], cost=3)(
        show
    )
    api = document([shown], title="T", version="1", base="")
    operation = api["paths"]["/x"]["get"]
    assert operation["summary"] == "Show it"
    assert operation["description"] == (
        "It is worth it.\n\nAnd more.\n\nNeeds the scope `read:market`. Takes 3 tokens of the rate limit."
    )
    assert operation["parameters"] == [
        {
            "name": "firstField",
            "in": "query",
            "required": True,
            "description": "Of two, in two lines.",
            "schema": {"type": "integer"},
        },
        {
            "name": "secondField",
            "in": "query",
            "required": False,
            "description": "Of two, in two lines.",
            "style": "form",
            "explode": False,
            "schema": {"type": "array", "items": {"type": "integer"}, "default": []},
        },
        {
            "name": "unsaid",
            "in": "query",
            "required": False,
            "description": "Told by `Meta` alone.",
            "schema": {"type": "boolean", "default": False},
        },
    ]
    assert operation["responses"]["200"]["content"] == {
        "application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Shown"}}}
    }
    assert (
        api["components"]["schemas"]["Shown"]["description"]
        == "What is shown.\n\nMore about it, over two lines."
    )
    assert api["servers"] == [{"url": "/"}]


def test_two_routes_of_one_name_are_refused():
    one = route("GET", "/x", scope="anyone", tag="x")(show)
    with pytest.raises(ValueError, match=r"^two routes have one name: show$"):
        document([one, route("GET", "/y", scope="anyone", tag="x")(show)], title="", version="", base="")


def test_nothing_to_take_is_no_parameter():
    assert NoParameters.__struct_fields__ == ()
    api = document([route("GET", "/x", scope="anyone", tag="x")(show)], title="", version="", base="")
    assert "parameters" not in api["paths"]["/x"]["get"]
