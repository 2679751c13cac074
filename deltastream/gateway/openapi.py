"""The API's documentation (OpenAPI 3.1), made from the route table and the types that validate."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

from deltastream.gateway._responses import HEADERS, refusal, refusals, successes
from deltastream.gateway.problems import ProblemDocument
from deltastream.gateway.routing import JSON, Route
from deltastream.gateway.schemas import Schema, Schemas, docstring, is_optional

__all__ = ["document"]

_ABOUT: Final = """\
Live option chains, implied volatilities, Greeks and what is computed from them, and their history.

**Credentials.** Send an access token or an API key as `Authorization: Bearer …`, or an API key as
`X-API-Key: …`; never both. Logging in gives an access token for a quarter of an hour and a refresh token
for the next one.

**Times** are ISO-8601 with an offset, in and out. In an address a plus sign is written `%2B`.

**Mistakes** are answered as problem documents (RFC 9457): `type` names the kind, and `errors` lists
everything that is wrong with the request, not the first mistake alone. Unknown parameters and fields are
mistakes.

**Limits.** Every credential, and every address without one, has a bucket of tokens; `RateLimit` tells what
is left, and 429 comes with `Retry-After`.

**Every path** answers HEAD where it answers GET, and OPTIONS; other methods get 405 with `Allow`. Every
answer has an `X-Request-ID`: yours where you send one, of at most 64 letters, digits, dots, dashes and
underscores.
"""
_SECURITY: Final[dict[str, Schema]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token from `/api/auth/login`, or an API key.",
    },
    "api_key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key from `/api/user/keys`.",
    },
}


def document(routes: Sequence[Route], *, title: str, version: str, base: str) -> dict[str, Any]:
    """The OpenAPI document of these routes.

    Args:
        title, version: of the API.
        base: the address before every path, without a final slash.

    Raises:
        ValueError: two routes have one name, or one method and path.
    """
    _check_names(routes)
    schemas = Schemas([ProblemDocument, *(kind for route in routes for kind in _types(route))])
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    refused = {
        ".".join(codes): refusal(status, codes, schemas)
        for route in routes
        for status, codes in refusals(route).items()
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version,
            "description": _ABOUT,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base or "/"}],
        "tags": _tags(routes),
        "paths": paths,
        "components": {
            "schemas": dict(sorted(_used([paths, refused], schemas.components, {}).items())),
            "responses": refused,
            "headers": HEADERS,
            "securitySchemes": _SECURITY,
        },
    }


def _check_names(routes: Sequence[Route]) -> None:
    for kind, names in (
        ("name", [route.name for route in routes]),
        ("method and path", [f"{route.method} {route.path}" for route in routes]),
    ):
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two routes have one {kind}: {', '.join(twice)}")


def _types(route: Route) -> list[Any]:
    answers = [kind for kind in route.answers.values() if kind is not None]
    return [route.parameters, *([] if route.body is None else [route.body]), *answers]


def _used(node: Any, components: dict[str, Schema], found: dict[str, Schema]) -> dict[str, Schema]:
    """The components that what is documented refers to, and what these refer to."""
    if isinstance(node, dict):
        name = str(node.get("$ref", "")).removeprefix("#/components/schemas/")
        if name in components and name not in found:
            found[name] = components[name]
            _used(components[name], components, found)
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _used(each, components, found)
    return found


def _tags(routes: Sequence[Route]) -> list[Schema]:
    """The chapters, described by the modules their routes stand in."""
    chapters = {route.tag: docstring(sys.modules[route.handler.__module__])[0] for route in reversed(routes)}
    return [{"name": tag, "description": chapters[tag]} for tag in dict.fromkeys(r.tag for r in routes)]


def _operation(route: Route, schemas: Schemas) -> Schema:
    head, description, _ = docstring(route.handler)
    summary, _, rest = head.partition(". ")
    operation: Schema = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": summary.removesuffix("."),
        "description": "\n\n".join(filter(None, (rest, description, _terms(route)))),
        "security": _security(route),
    }
    if parameters := _parameters(route, schemas):
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "description": f"At most {route.body_bytes:,} bytes.",
            "required": not is_optional(route.body),
            "content": {JSON: {"schema": schemas.of(route.body)}},
        }
    responses: dict[int, Schema] = successes(route, schemas)
    for status, codes in refusals(route).items():
        responses[status] = {"$ref": f"#/components/responses/{'.'.join(codes)}"}
    operation["responses"] = {str(status): responses[status] for status in sorted(responses)}
    return operation


def _terms(route: Route) -> str:
    """Who may ask, and what it costs."""
    who = {
        "anyone": "Anyone may ask.",
        "session": "Needs an access token; an API key will not do.",
    }.get(route.scope, f"Needs the scope `{route.scope}`.")
    return who if route.cost == 1 else f"{who} Takes {route.cost} tokens of the rate limit."


def _security(route: Route) -> list[dict[str, list[str]]]:
    if route.scope == "anyone":
        return []
    if route.scope == "session":
        return [{"bearer": []}]
    return [{"bearer": [route.scope]}, {"api_key": [route.scope]}]


def _parameters(route: Route, schemas: Schemas) -> list[Schema]:
    schema = schemas.parameters(route.parameters)
    found = []
    for name, each in schema["properties"].items():
        parameter: Schema = {
            "name": name,
            "in": "path" if name in route.in_path else "query",
            "required": name in schema["required"],
        }
        if text := each.get("description"):
            parameter["description"] = text
        if schemas.resolved(each).get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        parameter["schema"] = {key: value for key, value in each.items() if key != "description"}
        found.append(parameter)
    return found
