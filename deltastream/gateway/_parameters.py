"""The text of an address, read as what the schema of each parameter says it is."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import unquote_plus

from deltastream.gateway.schemas import Schema

__all__ = ["Read", "pairs", "reader"]

Read = Callable[[str], Any]

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,39})")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,399})(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,4})?")
_BOOLEANS: Final = {"true": True, "false": False}
_TYPES: Final = {bool: "boolean", int: "integer", float: "number", str: "string"}


def pairs(query: bytes | str) -> Iterator[tuple[str, str]]:
    """Names and values of a query, percent-decoded.

    Raises:
        UnicodeDecodeError: one of them is not UTF-8.
    """
    text = query.decode() if isinstance(query, bytes) else query
    for piece in text.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            if "%" in piece or "+" in piece:
                name, value = unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")
            yield name, value


def reader(schema: Schema, resolved: Callable[[Schema], Schema]) -> Read:
    """What reads the text of one parameter.

    Text that is not of the parameter's type stays text: the validator then says what it should be.
    """
    schema = resolved(schema)
    if schema.get("type") == "array":
        item = reader(schema.get("items", {}), resolved)
        return lambda text: [item(piece) for piece in text.split(",")] if text else []
    if schema.get("format") == "date-time":
        return _instant
    reads = [_READS[kind] for kind in _READS if kind in _kinds(schema, resolved)]
    if not reads:
        return str
    if len(reads) == 1:
        return reads[0]
    return lambda text: next((value for read in reads if (value := read(text)) is not text), text)


def _kinds(schema: Schema, resolved: Callable[[Schema], Schema]) -> set[str]:
    """The JSON types that the schema admits."""
    schema = resolved(schema)
    if "anyOf" in schema:
        return set().union(*(_kinds(branch, resolved) for branch in schema["anyOf"]))
    if "type" in schema:
        return {schema["type"]}
    return {_TYPES[type(value)] for value in schema.get("enum", ())}


def _integer(text: str) -> int | str:
    return int(text) if _INTEGER.fullmatch(text) else text


def _number(text: str) -> float | str:
    return value if _NUMBER.fullmatch(text) and math.isfinite(value := float(text)) else text


def _boolean(text: str) -> bool | str:
    return _BOOLEANS.get(text, text)


def _instant(text: str) -> str:
    """The text; a plus sign that stood in the query as it is has arrived as a space."""
    return f"{text[:-6]}+{text[-5:]}" if text[-6:-5] == " " else text


_READS: Final[dict[str, Read]] = {"integer": _integer, "number": _number, "boolean": _boolean}
