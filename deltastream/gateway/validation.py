"""Requests are checked against the very schema that is published, and all that is wrong is told at once.

The validator judges JSON values; `msgspec` then makes structs of them. What it lets through converts:
formats are checked by the functions that read them, and whole numbers written as ``3.0`` become ``3``. A
rule that a schema cannot say stands in the ``__post_init__`` of the struct, as a ValueError with the end
of a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final, Literal

import jsonschema_rs
import msgspec

from deltastream.gateway._bodies import decoded, with_whole_numbers
from deltastream.gateway._parameters import pairs, reader
from deltastream.gateway._sentences import Finding, dotted, findings, pointer
from deltastream.gateway.problems import FieldProblem, Problem
from deltastream.gateway.routing import Route
from deltastream.gateway.schemas import FORMATS, Schema, Schemas, convert, is_optional

__all__ = ["Checker"]

_MOST: Final = 100  # mistakes told of one part of a request
_NOT_UTF8: Final = "must be UTF-8, percent-encoded"
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


class Checker:
    """Checks the requests of one route.

    Attributes:
        parameters: schema of all path and query parameters, as of one object.
        body: schema of the body; None where the route takes none.
    """

    def __init__(self, route: Route) -> None:
        types = [route.parameters] if route.body is None else [route.parameters, route.body]
        schemas = Schemas(types)
        shared = {"components": {"schemas": schemas.components}}
        self.parameters: Schema = {**schemas.parameters(route.parameters), **shared}
        self.body: Schema | None = None if route.body is None else {**schemas.of(route.body), **shared}
        self._route = route
        self._in_path = frozenset(route.in_path)
        self._reads = {
            name: reader(schema, schemas.resolved) for name, schema in self.parameters["properties"].items()
        }
        self._take_parameters = _Taker(self.parameters, route.parameters)
        self._take_body = None if self.body is None else _Taker(self.body, route.body)

    def check(
        self, path: Mapping[str, str], query: bytes | str, content_type: str | None, body: bytes
    ) -> tuple[Any, Any]:
        """The parameters as their struct, and the body as its type, None where there is none.

        Args:
            path: the parameters in the path, percent-decoded.
            query: what follows the question mark, as it came.
            content_type: the header's value.
            body: whole.

        Raises:
            Problem: invalid_request with all that is wrong, malformed_body, body_too_large or
                unsupported_media_type.
        """
        content, wrong = None, []
        if self._take_body is None:
            if body:
                raise Problem("malformed_body", "This operation takes no body.")
        elif body or not is_optional(self._route.body):
            content, found = self._take_body(decoded(content_type, body, self._route.body_bytes))
            wrong = [_problem("body", pointer(each[0]), each) for each in found]
        values, mistakes = self._read(path, query)
        parameters, found = self._take_parameters(values)
        if found or mistakes or wrong:
            raise _invalid([*mistakes, *map(self._of_parameter, found), *wrong])
        return parameters, content

    def _read(self, path: Mapping[str, str], query: bytes | str) -> tuple[dict[str, Any], list[FieldProblem]]:
        """The values of the parameters by name, and what is wrong with the query as such."""
        values = {name: self._reads[name](text) for name, text in path.items()}
        mistakes: list[FieldProblem] = []
        try:
            for name, text in pairs(query):
                read = self._reads.get(name)
                if read is None or name in self._in_path:
                    finding = (name,), "unknown", f"is no parameter of the query{self._like(name)}"
                    mistakes.append(_problem("query", name[:80], finding))
                elif name in values:
                    mistakes.append(_problem("query", name, ((name,), "repeated", "is given more than once")))
                else:
                    values[name] = read(text)
        except UnicodeDecodeError:
            mistakes.append(_problem("query", "", ((), "encoding", _NOT_UTF8)))
        return values, mistakes

    def _like(self, name: str) -> str:
        like = get_close_matches(name[:80], self._reads.keys() - self._in_path, n=1)
        return f"; did you mean {like[0]}?" if like else ""

    def _of_parameter(self, finding: Finding) -> FieldProblem:
        name = str(finding[0][0]) if finding[0] else ""
        return _problem("path" if name in self._in_path else "query", name, finding)


class _Taker:
    """Takes JSON values of one schema as its type."""

    def __init__(self, schema: Schema, kind: Any) -> None:
        self._schema = schema
        self._kind = kind
        self._validator = jsonschema_rs.Draft202012Validator(
            schema, formats=dict(FORMATS), validate_formats=True, offline=True
        )

    def __call__(self, value: Any) -> tuple[Any, list[Finding]]:
        """The value as the type, or what is wrong with it."""
        try:
            if not self._validator.is_valid(value):
                errors = islice(self._validator.iter_errors(value), _MOST)
                return None, [finding for error in errors for finding in findings(error, self._schema)]
            return convert(value, self._kind), []
        except UnicodeEncodeError:
            return None, [((), "encoding", _NOT_UTF8)]
        except msgspec.ValidationError:
            return self._once_more(with_whole_numbers(value))

    def _once_more(self, value: Any) -> tuple[Any, list[Finding]]:
        try:
            return convert(value, self._kind), []
        except msgspec.ValidationError as error:
            said, _, place = str(error).partition(" - at `$")
            path = tuple(name or int(index) for name, index in _STEP.findall(place))
            return None, [(path, "rule", said)]


def _problem(where: Literal["path", "query", "body"], field: str, finding: Finding) -> FieldProblem:
    path, code, end = finding
    subject = dotted(path) or ("The body" if where == "body" else "The address")
    mark = "" if end.endswith("?") else "."
    return FieldProblem(where=where, field=field, code=code, message=f"{subject} {end}{mark}")


def _invalid(wrong: list[FieldProblem]) -> Problem:
    more = f" And {len(wrong) - 1} more." if len(wrong) > 1 else ""
    return Problem("invalid_request", wrong[0].message + more, errors=wrong[:_MOST])
