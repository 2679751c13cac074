"""Every status that a route answers, with its headers and its schema."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from deltastream.gateway.problems import CODES, MEDIA_TYPE, Problem, ProblemDocument
from deltastream.gateway.routing import JSON, Route
from deltastream.gateway.schemas import Schema, Schemas

__all__ = ["HEADERS", "problems_of", "refusal", "refusals", "successes"]

HEADERS: Final[dict[str, Schema]] = {
    "X-Request-ID": {
        "description": "Names the request in the log: what was sent under this name, or made here.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    "ETag": {
        "description": "Names the state that was answered, to be sent back as `If-None-Match`.",
        "schema": {"type": "string", "pattern": '^(W/)?"[!#-~]*"$'},
    },
    "RateLimit": {
        "description": "What is left of the caller's bucket, and in how many seconds there is more.",
        "schema": {"type": "string", "examples": ['"user";r=599;t=1']},
    },
    "RateLimit-Policy": {
        "description": "The size of the caller's bucket, and in how many seconds it fills.",
        "schema": {"type": "string", "examples": ['"user";q=600;w=6']},
    },
    "Retry-After": {
        "description": "In how many seconds it is worth trying again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "The credential that is needed.",
        "required": True,
        "schema": {"type": "string", "examples": ['Bearer realm="deltastream"']},
    },
}

_ALWAYS: Final = (
    "invalid_request",
    "malformed_body",
    "unauthenticated",
    "origin_not_allowed",
    "not_acceptable",
    "request_timeout",
    "body_too_large",
    "target_too_long",
    "unsupported_media_type",
    "host_not_allowed",
    "too_many_requests",
    "headers_too_large",
    "internal",
    "store_unavailable",
    "overloaded",
)
"""What any route may answer: to a bad address, a body it cannot read, no credential, in bad times."""


def problems_of(route: Route) -> tuple[str, ...]:
    """The codes of every problem that the route may answer, in the order of `CODES`."""
    codes = {*_ALWAYS, *route.problems}
    if route.scope != "anyone":
        codes.add("forbidden")
    return tuple(code for code in CODES if code in codes)


def refusals(route: Route) -> dict[int, tuple[str, ...]]:
    """The codes of every problem that the route may answer, by status."""
    found: dict[int, tuple[str, ...]] = {}
    for code in problems_of(route):
        status = CODES[code][0]
        found[status] = (*found.get(status, ()), code)
    return found


def successes(route: Route, schemas: Schemas) -> dict[int, Schema]:
    """What the route answers when it does what was asked, by status."""
    found = {status: _success(route, status, kind, schemas) for status, kind in route.answers.items()}
    if route.method == "GET":
        found[304] = {
            "description": "What was answered under this `ETag` still holds.",
            "headers": _headers("X-Request-ID", "ETag", "RateLimit", "RateLimit-Policy"),
        }
    return found


def _success(route: Route, status: int, kind: Any, schemas: Schemas) -> Schema:
    names = ["X-Request-ID", "RateLimit", "RateLimit-Policy"]
    if route.method == "GET":
        names.insert(1, "ETag")
    response: Schema = {"description": f"{HTTPStatus(status).phrase}.", "headers": _headers(*names)}
    if kind is not None:
        response["content"] = {
            media: {"schema": schemas.of(kind)} if media == JSON else _other(media) for media in route.media
        }
    return response


def _other(media: str) -> Schema:
    """Text is text; what is no text has no schema."""
    return {"schema": {"type": "string"}} if media.startswith("text/") else {}


def refusal(status: int, codes: Sequence[str], schemas: Schemas) -> Schema:
    """The response with one of these problems, which have this status."""
    names = ["X-Request-ID", "RateLimit", "RateLimit-Policy"]
    names += {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(status, [])
    types = [f"urn:deltastream:problem:{code}" for code in codes]
    narrowed = {"properties": {"type": {"enum": types}, "status": {"const": status}}}
    return {
        "description": " ".join(f"`{code}`: {CODES[code][1]}" for code in codes),
        "headers": _headers(*names),
        "content": {
            MEDIA_TYPE: {
                "schema": {"allOf": [schemas.of(ProblemDocument), narrowed]},
                "examples": {code: {"value": _example(code)} for code in codes},
            }
        },
    }


def _example(code: str) -> Any:
    return msgspec.to_builtins(Problem(code).document("5f1c9b0a7d3e4c21"))


def _headers(*names: str) -> dict[str, Schema]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
