"""JSON schemas of what goes in and out, made from the types: one source for validation and documentation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

import msgspec

from deltastream.gateway.glossary import meaning
from deltastream.gateway.instants import Instant, instant_of

__all__ = ["FORMATS", "Schema", "Schemas", "convert", "docstring", "is_optional"]

Schema = dict[str, Any]

_REF: Final = "#/components/schemas/{name}"


class Schemas:
    """Schemas of types, with what they share under ``#/components/schemas``.

    Attributes:
        components: by name; descriptions come from the docstrings of the structs.
    """

    def __init__(self, types: Iterable[Any]) -> None:
        wanted = [_present(kind) for kind in types]
        objects = _objects(wanted)
        roots, components = msgspec.json.schema_components(
            [*wanted, *objects], schema_hook=_schema_hook, ref_template=_REF
        )
        self._types = dict(zip([*wanted, *objects], map(_tidied, roots), strict=True))
        self.components: dict[str, Schema] = {name: _tidied(each) for name, each in components.items()}
        for kind, info in objects.items():
            _describe(kind, info, self.resolved(self._types[kind]))

    def of(self, kind: Any) -> Schema:
        """The schema of one of the types given; of what it is beside None where it is optional."""
        schema: Schema = self._types[_present(kind)]
        return schema

    def resolved(self, schema: Schema) -> Schema:
        """The schema itself, or the component it refers to."""
        while (ref := schema.get("$ref")) is not None:
            schema = self.components[ref.rpartition("/")[2]]
        return schema

    def parameters(self, struct: type[msgspec.Struct]) -> Schema:
        """The schema of parameters, as of one object.

        Text in an address cannot be null: a parameter that may be None is one that may be left out.
        """
        schema = self.resolved(self.of(struct))
        return {
            "type": "object",
            "properties": {name: _without_null(each) for name, each in schema["properties"].items()},
            "required": schema.get("required", []),
            "additionalProperties": False,
        }


def _present(kind: Any) -> Any:
    """The type without None."""
    if not is_optional(kind):
        return kind
    return Union[tuple(part for part in get_args(kind) if part is not NoneType)]  # noqa: UP007 - made of parts


def is_optional(kind: Any) -> bool:
    """Whether the type is a union with None."""
    return get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind)


def convert(value: Any, kind: Any) -> Any:
    """A JSON value as the type.

    Raises:
        msgspec.ValidationError: it is none.
    """
    return msgspec.convert(value, kind, dec_hook=_dec_hook)


def docstring(thing: Any) -> tuple[str, str, dict[str, str]]:
    """Summary, description and what is said of each attribute, of a docstring in Google's style."""
    own = thing.__dict__.get("__doc__") if isinstance(thing, type) else thing.__doc__
    head, *sections = re.split(
        r"^(Attributes|Args|Raises|Returns):\n", _dedented(own or ""), flags=re.MULTILINE
    )
    summary, _, description = head.strip().partition("\n\n")
    attributes: dict[str, str] = {}
    for title, text in zip(sections[::2], sections[1::2], strict=True):
        if title == "Attributes":
            for names, said in re.findall(r"^    (\w[\w, ]*):\s+(.*(?:\n {8,}.*)*)", text, re.MULTILINE):
                attributes |= {name.strip(): _sentence(said) for name in names.split(",")}
    return _flowing(summary), "\n\n".join(map(_flowing, description.split("\n\n"))), attributes


def _is_format(read: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            read(text)
        except ValueError:
            return False
        return True

    return check


def _date(text: str) -> date:
    if len(text) != 10:
        raise ValueError("not as YYYY-MM-DD")
    return date.fromisoformat(text)


FORMATS: Final[Mapping[str, Callable[[str], bool]]] = {
    "date": _is_format(_date),
    "date-time": _is_format(instant_of),
}
"""What the validator asks about text of these formats: the functions that read it afterwards."""


def _schema_hook(kind: type) -> Schema:
    if kind is Instant:
        return {"type": "string", "format": "date-time"}
    raise NotImplementedError(kind)


def _dec_hook(kind: type, value: Any) -> Any:
    if kind is Instant and isinstance(value, str):
        return instant_of(value)
    raise NotImplementedError(f"{kind.__name__} cannot be read from {type(value).__name__}")


_Object = msgspec.inspect.StructType | msgspec.inspect.DataclassType


def _objects(types: Sequence[Any]) -> dict[Any, _Object]:
    """Every struct and dataclass that the types hold, in the order met."""
    found: dict[Any, _Object] = {}
    waiting: list[Any] = list(msgspec.inspect.multi_type_info(types))
    while waiting:
        info = waiting.pop(0)
        if isinstance(info, _Object):
            if info.cls in found:
                continue
            found[info.cls] = info
        if isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field):
            waiting += [getattr(info, name) for name in info.__struct_fields__]
        elif isinstance(info, tuple):
            waiting += info
    return found


def _describe(kind: Any, info: _Object, schema: Schema) -> None:
    """Describe an object and its fields by its docstring, those of its bases, and the glossary."""
    origin = get_origin(kind) or kind
    summary, description, _ = docstring(origin)
    schema.pop("description", None)
    if text := "\n\n".join(filter(None, (summary, description))):
        schema["description"] = text
    said: dict[str, str] = {}
    for base in reversed(origin.__mro__):
        said |= docstring(base)[2]
    for field in info.fields:
        if known := said.get(field.name) or meaning(field.name):
            schema["properties"][field.encode_name].setdefault("description", known)


def _tidied(schema: Any) -> Any:
    """Without what says nothing: empty lists of required fields, and defaults that are null."""
    if isinstance(schema, list):
        return [_tidied(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    tidied: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            tidied[key] = {name: _tidied(each) for name, each in value.items()}
        elif key in ("default", "examples", "enum", "const"):  # values, not schemas
            tidied[key] = msgspec.json.decode(msgspec.json.encode(value))
        else:
            tidied[key] = _tidied(value)
    if tidied.get("default", ...) is None:
        del tidied["default"]
    if tidied.get("required") == []:
        del tidied["required"]
    return tidied


def _without_null(schema: Schema) -> Schema:
    branches = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if not branches:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**branches[0], **rest} if len(branches) == 1 else {"anyOf": branches, **rest}


def _dedented(text: str) -> str:
    first, _, rest = text.partition("\n")
    lines = rest.expandtabs().splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join([first.strip(), *(line[indent:].rstrip() for line in lines)])


def _flowing(text: str) -> str:
    """One paragraph in one line."""
    return " ".join(text.split())


def _sentence(text: str) -> str:
    text = _flowing(text)
    return text[:1].upper() + text[1:]
