"""Sentences about what is wrong with a request, from what the validator found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from jsonschema_rs import ValidationError, ValidationErrorKind

from deltastream.gateway.instants import instant_of

__all__ = ["Finding", "dotted", "findings", "pointer"]

Path = tuple[str | int, ...]
Finding = tuple[Path, str, str]
"""Where it is, the code of the rule, and the end of a sentence that begins with the name."""

_TYPES: Final = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "text",
}
_LIMITS: Final = {
    "exclusiveMaximum": ("maximum", "must be less than {}"),
    "exclusiveMinimum": ("minimum", "must be more than {}"),
    "maximum": ("maximum", "must be at most {}"),
    "maxItems": ("max_items", "must have at most {} items"),
    "maxLength": ("max_length", "must have at most {} characters"),
    "maxProperties": ("max_properties", "must have at most {} members"),
    "minimum": ("minimum", "must be at least {}"),
    "minItems": ("min_items", "must have at least {} items"),
    "minLength": ("min_length", "must have at least {} characters"),
    "minProperties": ("min_properties", "must have at least {} members"),
    "multipleOf": ("multiple_of", "must be a multiple of {}"),
}


def findings(error: ValidationError, schema: Any) -> Iterator[Finding]:
    """What one error of the validator says, in the order of the fields it is about.

    Args:
        schema: the whole one, which the error's path leads into.
    """
    path, kind = tuple(error.instance_path), error.kind
    rule, value = kind.name, kind.value
    if rule == "required":
        yield (*path, value), "required", "is required"
    elif rule == "additionalProperties" and value:
        for name in value:
            yield (*path, name), "unknown", "is not known here"
    elif rule == "type":
        yield path, "type", f"must be {_either([_TYPES[each] for each in value])}"
    elif rule in ("enum", "const"):
        yield path, "enum", f"must be {_options(value if rule == 'enum' else [value])}"
    elif rule in _LIMITS:
        code, end = _LIMITS[rule]
        limit = int(value) if isinstance(value, float) and value.is_integer() else value
        yield path, code, _singular(end.format(limit))
    elif rule == "format":
        yield path, "format", _format(value, str(error.instance))
    elif rule == "pattern":
        yield path, "pattern", f"must {_form(error, schema)}"
    elif rule == "uniqueItems":
        yield path, "unique", "must not hold the same item twice"
    elif isinstance(kind, ValidationErrorKind.AnyOf):
        yield from _none_of(path, kind.context, schema)
    else:
        yield path, rule, f"breaks the rule {rule} of the published schema"


def dotted(path: Sequence[str | int]) -> str:
    """The place as people write it, such as ``options[3].spot``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{_clipped(step)}" for step in path)
    return text.removeprefix(".")


def pointer(path: Sequence[str | int]) -> str:
    """The place as JSON pointer (RFC 6901)."""
    return "".join("/" + _clipped(str(step)).replace("~", "~0").replace("/", "~1") for step in path)


def _none_of(path: Path, branches: Sequence[Sequence[ValidationError]], schema: Any) -> Iterator[Finding]:
    """The value fits none of several schemas: what is wrong by the one it was meant for."""
    meant = [branch for branch in branches if not any(_is_other(error, path) for error in branch)]
    if len(meant) == 1:
        for error in meant[0]:
            yield from findings(error, schema)
        return
    ends = [end for branch in branches for error in branch[:1] for _, _, end in findings(error, schema)]
    yield path, "any_of", " or ".join(dict.fromkeys(ends))


def _is_other(error: ValidationError, path: Path) -> bool:
    """Whether the error shows that another schema was meant: another type, or another tag."""
    here = tuple(error.instance_path)
    rule = error.kind.name
    return (here == path and rule in ("type", "enum", "const")) or (
        here == (*path, "type") and rule in ("enum", "const")
    )


def _format(name: str, text: str) -> str:
    if name == "date":
        return "must be a date such as 2026-11-24"
    try:
        instant_of(text)
    except ValueError as error:
        return str(error)
    return f"must be a {name}"


def _form(error: ValidationError, schema: Any) -> str:
    """What text that breaks a pattern should look like: by example where the schema has one."""
    place = schema
    for step in error.schema_path[:-1]:
        place = place[step]
    if examples := place.get("examples"):
        return f"have the form of {' or '.join(map(str, examples))}"
    return f"match the pattern {error.kind.value}"


def _options(values: Sequence[Any]) -> str:
    said = [str(value) for value in values]
    return said[0] if len(said) == 1 else f"one of {', '.join(said)}"


def _either(words: Sequence[str]) -> str:
    return " or ".join(words)


def _singular(text: str) -> str:
    return text[:-1] if text.endswith((" 1 items", " 1 characters")) else text


def _clipped(name: str) -> str:
    return name if len(name) <= 80 else name[:79] + "…"
