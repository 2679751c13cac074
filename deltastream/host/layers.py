"""Builds one settings struct out of layers of plain data, and lists every problem at once.

msgspec stops at the first error; an operator wants them all. This walks the struct's types, takes
each leaf from the highest layer that gives it, and remembers where every value came from.
"""

from __future__ import annotations

import difflib
import json
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from deltastream.errors import ConfigurationError

__all__ = ["Given", "Origin", "build", "child_type", "leaves"]

S = TypeVar("S", bound=msgspec.Struct)

_INVALID: Final = object()
_INT64: Final = 2**63


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from.

    Attributes:
        kind: the layer.
        name: file, variable or flag; empty for defaults.
    """

    kind: Literal["default", "file", "env", "flag"]
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class Given:
    """A plain value (scalar, list or table) from one layer.

    Attributes:
        lax: the value is text that may stand for a number, a boolean or a list.
    """

    value: Any
    origin: Origin
    lax: bool = False

    def child(self, key: str) -> Given:
        """The value under a key of this table."""
        return Given(self.value[key], self.origin, self.lax)


def build(struct: type[S], layers: Sequence[Given]) -> tuple[S, dict[str, Origin]]:
    """The struct, and the origin of each of its leaves by dotted path.

    Tables are merged key by key, everything else is replaced as a whole by the later layer.

    Args:
        struct: the root of the settings tree.
        layers: tables, the later ones prevailing.

    Raises:
        ConfigurationError: with one sentence for every problem in any layer.
    """
    walk = _Walk()
    value = walk.struct(struct, layers, "", None)
    if walk.problems:
        raise ConfigurationError(walk.problems)
    return value, walk.origins


def leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Every leaf of a settings tree with its dotted path, in order of declaration."""
    if isinstance(value, msgspec.Struct):
        items = [(name, getattr(value, name)) for name in value.__struct_fields__]
    elif isinstance(value, Mapping) and value:
        items = list(value.items())
    else:
        return [(path, value)]
    return [leaf for name, item in items for leaf in leaves(item, _join(path, name))]


def child_type(kind: Any, key: str) -> tuple[Any, str]:
    """The type under a key as an environment variable spells it, and the key's own spelling.

    Fields of structs are looked up in lower case, keys of tables as they are written; below a
    leaf or an unknown key the type is None.
    """
    if (struct := _struct_type(kind)) is not None:
        name = key.lower()
        return _fields(struct).get(name), name
    if get_origin(_bare(kind)) is dict:
        return get_args(_bare(kind))[1], key
    return None, key.lower()


class _Walk:
    def __init__(self) -> None:
        self.problems: list[str] = []
        self.origins: dict[str, Origin] = {}

    def struct(self, struct: type[S], layers: Sequence[Given], path: str, default: S | None) -> Any:
        tables = self._tables(layers, path)
        fields = _fields(struct)
        for table in tables:
            for key in table.value:
                if key not in fields:
                    self._unknown(key, list(fields), path, table.origin)
        values: dict[str, Any] = {}
        for info in msgspec.structs.fields(struct):
            standard = getattr(default, info.name) if default is not None else _default(info)
            given = [table.child(info.name) for table in tables if info.name in table.value]
            values[info.name] = self.value(info.type, given, _join(path, info.name), standard)
        if any(value is _INVALID for value in values.values()):
            return _INVALID
        try:
            return struct(**values)
        except (ValueError, TypeError) as error:  # what __post_init__ says, of "field: …" or of several
            name, _, rest = str(error).partition(": ")
            if (origin := self.origins.get(_join(path, name))) is None:
                return self._problem(path or "configuration", str(error))
            return self._problem(_join(path, name), f"{rest} ({origin})")

    def value(self, kind: Any, layers: Sequence[Given], path: str, default: Any) -> Any:
        if (struct := _struct_type(kind)) is not None:
            base = default if isinstance(default, struct) else None
            if base is None and not layers and default is not _INVALID:
                return self._standing(default, path)
            return self.struct(struct, layers, path, base)
        if get_origin(_bare(kind)) is dict:
            return self._dict(kind, layers, path, default)
        if not layers:
            return self._standing(default, path)
        result = [self._leaf(kind, given, path) for given in layers]
        self.origins[path] = layers[-1].origin
        return _INVALID if any(value is _INVALID for value in result) else result[-1]

    def _standing(self, default: Any, path: str) -> Any:
        if default is _INVALID:
            return self._problem(path, "must be given")
        self.origins[path] = Origin("default")
        return default

    def _dict(self, kind: Any, layers: Sequence[Given], path: str, default: Any) -> Any:
        key_kind, item_kind = get_args(_bare(kind))
        merged: dict[Any, Any] = {} if default is _INVALID else dict(default)
        tables = self._tables(layers, path)
        names = dict.fromkeys([*merged, *(key for table in tables for key in table.value)])
        if not names:
            self.origins[path] = tables[-1].origin if tables else Origin("default")
        valid = True
        for name in names:
            given = [table.child(name) for table in tables if name in table.value]
            where = _join(path, name)
            if given and self._leaf(key_kind, Given(name, given[-1].origin), where) is _INVALID:
                valid = False
                continue
            merged[name] = self.value(item_kind, given, where, merged.get(name, _INVALID))
            valid = valid and merged[name] is not _INVALID
        return merged if valid else _INVALID

    def _tables(self, layers: Sequence[Given], path: str) -> list[Given]:
        for given in layers:
            if not isinstance(given.value, Mapping):
                self._problem(path or "configuration", f"expected a table, got {_shown(given)}")
        return [given for given in layers if isinstance(given.value, Mapping)]

    def _leaf(self, kind: Any, given: Given, path: str) -> Any:
        bare = _bare(kind)
        if get_origin(bare) in (list, tuple):
            return self._sequence(kind, given, path)
        value = given.value
        if isinstance(value, int) and not isinstance(value, bool) and not -_INT64 <= value < _INT64:
            return self._problem(path, f"number out of range ({given.origin})")
        try:
            result = msgspec.convert(value, kind, strict=not given.lax)
        except (msgspec.ValidationError, ValueError, TypeError, OverflowError) as error:
            return self._problem(path, f"{_expectation(kind, given, error)}, got {_shown(given)}")
        if isinstance(result, float) and not math.isfinite(result):
            return self._problem(path, f"expected a finite number, got {_shown(given)}")
        return result

    def _sequence(self, kind: Any, given: Given, path: str) -> Any:
        items = _list_from_text(given.value) if given.lax and isinstance(given.value, str) else given.value
        if not isinstance(items, list | tuple):
            return self._problem(path, f"expected a list, got {_shown(given)}")
        item_kinds = get_args(_bare(kind))
        same = len(item_kinds) == 1 or (len(item_kinds) == 2 and item_kinds[1] is Ellipsis)
        if not same and len(items) != len(item_kinds):
            return self._problem(path, f"expected {len(item_kinds)} items, got {_shown(given)}")
        kinds = [item_kinds[0]] * len(items) if same else item_kinds
        values = [
            self.value(item_kind, [Given(item, given.origin, given.lax)], f"{path}[{index}]", _INVALID)
            for index, (item_kind, item) in enumerate(zip(kinds, items, strict=True))
        ]
        for index in range(len(items)):
            self.origins.pop(f"{path}[{index}]", None)
        if any(value is _INVALID for value in values):
            return _INVALID
        try:
            return msgspec.convert(values, kind)
        except msgspec.ValidationError as error:
            return self._problem(path, f"{_lower(str(error))}, got {_shown(given)}")

    def _unknown(self, key: str, known: list[str], path: str, origin: Origin) -> None:
        close = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.5)
        hint = f"; did you mean {_join(path, close[0])}?" if close else ""
        self._problem(_join(path, key), f"no such setting ({origin}){hint}")

    def _problem(self, path: str, sentence: str) -> Any:
        self.problems.append(f"{path}: {sentence}")
        return _INVALID


def _expectation(kind: Any, given: Given, error: Exception) -> str:
    value = given.value
    choices = _choices(kind)
    if not choices or not isinstance(value, str):
        return _lower(str(error).partition(" - at `$")[0].partition(", got ")[0])
    wanted = [repr(choice) for choice in choices]
    for member in _members(kind):
        if member is not type(None) and not _choices(member):
            try:
                msgspec.convert(value, member, strict=not given.lax)
            except (msgspec.ValidationError, ValueError, OverflowError) as told:
                wanted.append(str(told).partition(", got ")[0].removeprefix("Expected "))
    close = difflib.get_close_matches(value, choices, n=1, cutoff=0.5)
    return f"expected {' or '.join(wanted)}" + (f" (did you mean {close[0]!r}?)" if close else "")


def _choices(kind: Any) -> list[str]:
    bare = _bare(kind)
    if get_origin(bare) is Literal:
        return [choice for choice in get_args(bare) if isinstance(choice, str)]
    members = _members(kind)
    return [choice for member in members for choice in _choices(member)] if len(members) > 1 else []


def _members(kind: Any) -> tuple[Any, ...]:
    """The types in a union; the type itself where it is none."""
    bare = _bare(kind)
    return get_args(bare) if get_origin(bare) in (Union, types.UnionType) else (kind,)


def _list_from_text(text: str) -> Any:
    """A list in an environment variable: a JSON array, or items separated by commas."""
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return [item.strip() for item in text.split(",")]


def _shown(given: Given) -> str:
    value = given.value
    if isinstance(value, Mapping):
        text = "a table"
    elif isinstance(value, list | tuple):
        text = f"a list of {len(value)}"
    else:
        try:
            text = repr(value)
        except ValueError:  # integers of more than 4,300 digits have no repr
            text = "a number too long to show"
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return f"{text} ({given.origin})"


def _fields(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {info.name: info.type for info in msgspec.structs.fields(struct)}


def _default(info: msgspec.structs.FieldInfo) -> Any:
    if info.default is not msgspec.NODEFAULT:
        return info.default
    if info.default_factory is not msgspec.NODEFAULT:
        return info.default_factory()
    return _INVALID


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _struct_type(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that a type is, or the struct in a union with None."""
    members = [_bare(member) for member in _members(kind)]
    structs = [m for m in members if isinstance(m, type) and issubclass(m, msgspec.Struct)]
    return structs[0] if structs else None


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
