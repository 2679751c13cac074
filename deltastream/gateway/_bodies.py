"""JSON bodies, read strictly: what two readers could understand in two ways is refused."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import msgspec

from deltastream.gateway.problems import Problem
from deltastream.gateway.routing import JSON

__all__ = ["decoded", "with_whole_numbers"]

_DEEPEST: Final = 32  # brackets within brackets
_TOO_LARGE: Final = "holds a number beyond those of 64-bit floating point"


def decoded(content_type: str | None, body: bytes, most: int) -> Any:
    """The JSON value of a body.

    Raises:
        Problem: malformed_body, body_too_large or unsupported_media_type.
    """
    if len(body) > most:
        raise Problem("body_too_large", f"The body of this operation must have at most {most:,} bytes.")
    if not body:
        raise _malformed("is empty, but this operation needs one in JSON")
    _check_media_type(content_type)
    try:
        value = msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise _malformed("is not UTF-8") from None
    except RecursionError:
        raise _malformed(f"nests deeper than {_DEEPEST} levels") from None
    except msgspec.ValidationError:
        raise _malformed(_TOO_LARGE) from None
    except msgspec.DecodeError as error:
        said = str(error).removeprefix("JSON is malformed: ")
        if said == "Input data was truncated":
            said = "it ends too early, or holds half of a surrogate pair"
        raise _malformed(f"is not JSON: {said}") from None
    keys, depth = _measured(value, body)
    if depth > _DEEPEST:
        raise _malformed(f"nests deeper than {_DEEPEST} levels")
    if body.count(b":") != keys:  # a colon within text, or a name that stands twice
        json.loads(body, object_pairs_hook=_without_repetition)
    return value


def with_whole_numbers(value: Any) -> Any:
    """The value with 3 for 3.0: the same number in JSON, but not the same Python type.

    Raises:
        Problem: malformed_body: a whole number is beyond those of 64-bit floating point.
    """
    if isinstance(value, dict):
        return {name: with_whole_numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [with_whole_numbers(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise _malformed(_TOO_LARGE)
    return value


def _check_media_type(content_type: str | None) -> None:
    media, _, rest = (content_type or "").partition(";")
    if media.strip().lower() != JSON:
        raise Problem("unsupported_media_type", f"The body must be of type {JSON}, told by Content-Type.")
    for parameter in rest.split(";"):
        name, _, charset = parameter.partition("=")
        if name.strip().lower() == "charset" and charset.strip().strip('"').lower() not in ("utf-8", "utf8"):
            raise Problem("unsupported_media_type", "The body must be encoded in UTF-8, as all JSON is.")


def _measured(value: Any, body: bytes) -> tuple[int, int]:
    """How many names the objects within have, and how deep it nests, or at the most could."""
    arrays = body.count(b"[")
    if isinstance(value, dict) and body.count(b"{") == 1 and arrays < _DEEPEST:
        return len(value), 1 + arrays  # one object with columns in it, however long: no need to walk them
    keys = depth = 0
    level = [value] if isinstance(value, dict | list) else []
    while level:
        depth += 1
        keys += sum(len(each) for each in level if isinstance(each, dict))
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
    return keys, depth


def _without_repetition(members: list[tuple[str, Any]]) -> None:
    names = {name for name, _ in members}
    if len(names) < len(members):
        seen: set[str] = set()
        for name, _ in members:
            if name in seen:
                raise _malformed(f"names {name[:80]!r} twice in one object")
            seen.add(name)


def _malformed(end: str) -> Problem:
    return Problem("malformed_body", f"The body {end}.")
