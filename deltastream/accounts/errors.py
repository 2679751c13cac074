"""What accounts refuse, and why. Every text may be shown to whoever asked: none holds a secret."""

from __future__ import annotations

from typing import NamedTuple

from deltastream.errors import DeltaStreamError

__all__ = [
    "AccountError",
    "EmailTaken",
    "InvalidCredentials",
    "InvalidFields",
    "InvalidToken",
    "LastAdministrator",
    "NotAllowed",
    "NotFound",
    "Outdated",
    "Problem",
    "TooMany",
    "TooManyAttempts",
]


class AccountError(DeltaStreamError):
    """Base of what accounts refuse."""


class InvalidCredentials(AccountError):
    """No such user, a wrong password, no password or a disabled user: which of them is not told."""

    def __init__(self) -> None:
        super().__init__("The email or the password is wrong.")


class InvalidToken(AccountError):
    """A token, key or link that gives no rights.

    Attributes:
        reason: "malformed", "unknown", "expired", "revoked" or "reused".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"The credential is not valid: {reason}.")
        self.reason = reason


class TooManyAttempts(AccountError):
    """Too many failures lately; this one was not looked at.

    Attributes:
        retry_after_s: when to try again, in seconds.
    """

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"Too many attempts; try again in {retry_after_s:.0f} s.")
        self.retry_after_s = retry_after_s


class Problem(NamedTuple):
    """What is wrong with one field: its name, a code, and a sentence for people."""

    field: str
    code: str
    message: str


class InvalidFields(AccountError):
    """What was given cannot be used.

    Attributes:
        problems: all of them.
    """

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(" ".join(problem.message for problem in problems))
        self.problems = problems


class EmailTaken(AccountError):
    """Somebody is registered with this email."""

    def __init__(self) -> None:
        super().__init__("There is a user with this email already.")


class NotAllowed(AccountError):
    """Whoever asks has not the right to it; the text says which is missing."""


class NotFound(AccountError):
    """No such user, key or session."""


class LastAdministrator(AccountError):
    """Without this administrator nobody could administer any more."""

    def __init__(self) -> None:
        super().__init__("This is the last administrator; make somebody else one first.")


class TooMany(AccountError):
    """A user has as many of these as one may have."""


class Outdated(InvalidToken):
    """The user has changed since whoever asks was let in; nothing was done."""

    def __init__(self) -> None:
        super().__init__("revoked")
