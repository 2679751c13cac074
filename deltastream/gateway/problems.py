"""Problem documents (RFC 9457): what the gateway answers when it does not do what was asked.

Every problem is of type ``urn:deltastream:problem:<code>``; the codes and the status of each stand in
one table, from which the documentation is made as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

__all__ = ["CODES", "MEDIA_TYPE", "FieldProblem", "Problem", "ProblemDocument"]

MEDIA_TYPE: Final = "application/problem+json"

CODES: Final[Mapping[str, tuple[int, str]]] = {
    "invalid_request": (400, "The request does not match the published schema."),
    "malformed_request": (400, "This cannot be read as HTTP."),
    "malformed_body": (400, "The body cannot be read."),
    "unauthenticated": (401, "A valid credential is needed."),
    "invalid_credentials": (401, "The email or the password is wrong."),
    "forbidden": (403, "The credential does not give this right."),
    "origin_not_allowed": (403, "Requests from this origin are not allowed."),
    "registration_closed": (403, "Nobody can register here."),
    "not_found": (404, "There is no such thing."),
    "method_not_allowed": (405, "This method is not offered here."),
    "not_acceptable": (406, "None of the accepted media types is offered here."),
    "request_timeout": (408, "The request did not arrive in time."),
    "conflict": (409, "This contradicts what there is."),
    "body_too_large": (413, "The body is too large."),
    "target_too_long": (414, "The address is too long."),
    "unsupported_media_type": (415, "The body's media type is not understood here."),
    "host_not_allowed": (421, "This host name is not served here."),
    "too_many_requests": (429, "Too many requests."),
    "too_many_attempts": (429, "Too many attempts."),
    "headers_too_large": (431, "The headers are too large."),
    "internal": (500, "A defect of this server."),
    "store_unavailable": (503, "The store is away for now."),
    "not_ready": (503, "This server is not ready."),
    "overloaded": (503, "This server has too much to do."),
}
"""Status and title of every problem, by code."""


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one part of a request.

    Attributes:
        where: "path", "query", "body" or "header".
        field: name of the parameter, or JSON pointer into the body.
        code: of the rule it breaks, such as "required", "type", "unknown" or "maximum".
        message: a sentence for people.
    """

    where: str
    field: str
    code: str
    message: str


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem as it is answered.

    Attributes:
        type: ``urn:deltastream:problem:<code>``.
        title: the same for every problem of this type.
        status: the HTTP status.
        detail: what is wrong this time.
        request_id: names the request in the log.
        errors: all that is wrong with the request, where it does not match the schema.
        retry_after_s: when to try again, where that helps.
    """

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: tuple[FieldProblem, ...] = ()
    retry_after_s: float | None = None


class Problem(Exception):
    """Raised by whatever handles a request; answered as its document.

    Args:
        code: one of `CODES`.
        detail: a sentence; the title again where none is given. Never holds a secret.
        errors: all that is wrong with the request.
        retry_after_s: when to try again; becomes the header ``Retry-After`` as well.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: Sequence[FieldProblem] = (),
        retry_after_s: float | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.code = code
        self.status, self.title = CODES[code]
        self.detail = detail or self.title
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s
        self.headers = tuple(headers)
        super().__init__(f"{code}: {self.detail}")

    def document(self, request_id: str) -> ProblemDocument:
        """The document that is answered."""
        return ProblemDocument(
            type=f"urn:deltastream:problem:{self.code}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            request_id=request_id,
            errors=self.errors,
            retry_after_s=self.retry_after_s,
        )
