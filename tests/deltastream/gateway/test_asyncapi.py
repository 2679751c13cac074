"""The sockets' documentation: whole, without a reference into nothing, and served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import jsonschema_rs
import pytest

from deltastream.gateway.asyncapi import document
from deltastream.sockets import commands as c
from deltastream.sockets import events as e
from deltastream.sockets._frames import nothing_frame
from deltastream.sockets.events import Place
from deltastream.sockets.fanout import Form
from deltastream.sockets.rooms import parse
from deltastream.sockets.streams import Stream


@pytest.fixture(scope="module")
def asyncapi() -> dict[str, Any]:
    return json.loads(
        json.dumps(document(title="DeltaStream", version="1.2.3", base="https://desk.example/ds"))
    )


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(each)


def at(root: Any, reference: str) -> Any:
    for step in reference.removeprefix("#/").split("/"):
        root = root[step]
    return root


def test_the_shape_of_asyncapi_3(asyncapi):
    assert asyncapi["asyncapi"] == "3.0.0"
    assert asyncapi["info"]["version"] == "1.2.3"
    assert set(asyncapi) == {
        "asyncapi", "info", "defaultContentType", "servers", "channels", "operations", "components",
    }  # fmt: skip
    (server,) = asyncapi["servers"].values()
    assert (server["host"], server["pathname"], server["protocol"]) == ("desk.example", "/ds/ws", "wss")
    for operation in asyncapi["operations"].values():
        assert operation["action"] in ("send", "receive")
        assert operation["channel"] == {"$ref": "#/channels/socket"}
        for message in [*operation["messages"], *operation.get("reply", {}).get("messages", ())]:
            assert message["$ref"].startswith("#/channels/socket/messages/")


def test_every_reference_leads_somewhere(asyncapi):
    references = [node["$ref"] for node in nodes(asyncapi) if isinstance(node.get("$ref"), str)]
    assert len(references) > 50
    for reference in references:
        assert isinstance(at(asyncapi, reference), dict)


def test_every_command_and_event_is_there(asyncapi):
    """Each once, by its name in frames; commands are received and answered, the rest is sent."""
    kinds = [*get_args(c.Command), *events(e._Event)]
    tags = [(kind.__struct_config__.tag_field, kind.__struct_config__.tag) for kind in kinds]
    payloads = [at(asyncapi, one["payload"]["$ref"]) for one in asyncapi["components"]["messages"].values()]
    told = [
        (field, payload["properties"][field]["enum"][0])
        for payload in payloads
        for field in ("op", "event")
        if field in payload["properties"]
    ]
    assert sorted(told) == sorted(tags)
    received = {name for name, one in asyncapi["operations"].items() if one["action"] == "receive"}
    assert received == {kind.__struct_config__.tag for kind in get_args(c.Command)}


def events(base: type) -> Iterator[type]:
    for kind in base.__subclasses__():
        if kind.__subclasses__():
            yield from events(kind)
        else:
            yield kind


def test_schemas_are_schemas_and_said_in_words(asyncapi):
    schemas = asyncapi["components"]["schemas"]
    for name, schema in schemas.items():
        jsonschema_rs.Draft202012Validator({**schema, "components": {"schemas": schemas}})
        assert "Raw" not in name
    for kind in (e.UnderlyingUpdate, e.ChainUpdate, e.ChainSummary, e.SurfaceUpdate):
        assert schemas[kind.__name__]["properties"]["data"] != {}
    for one in asyncapi["components"]["messages"].values():
        assert one["summary"].endswith(".")


@pytest.mark.parametrize(
    ("room", "stream", "kind"),
    [
        ("product:SPX", "product:SPX", "UnderlyingUpdate"),
        ("chain:SPX:2026-11-24", "chain:SPX", "ChainUpdate"),
        ("surface:SPX", "surface:SPX", "SurfaceUpdate"),
        ("general", "chain:SPX", "ChainSummary"),
    ],
)
def test_a_snapshot_of_nothing_is_as_documented(asyncapi, room, stream, kind):
    schemas = asyncapi["components"]["schemas"]
    form = Form("json", bytes)
    frame = json.loads(nothing_frame(parse(room), Stream(stream, "a"), form, Place("e", 3), "lost"))
    assert (frame["part"], frame["data"]) == ([0, 0], None)
    jsonschema_rs.Draft202012Validator({**schemas[kind], "components": {"schemas": schemas}}).validate(frame)


async def test_it_is_served(world):
    from deltastream.gateway.api import ROUTES

    (route,) = [one for one in ROUTES if one.path == "/api/docs/asyncapi"]
    answer = await world.call(route)
    plain = json.loads(answer.body)
    assert plain["servers"]["api"]["host"] == "127.0.0.1:8000"
    assert answer.etag
    assert (await world.call(route)).etag == answer.etag
