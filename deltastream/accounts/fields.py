"""What users type: emails, names and passwords, brought into one form or refused with a reason.

An email is ASCII, as HTML's ``<input type="email">`` takes it, in lower case; an internationalised
domain is written in its xn-- form. That is stricter than the mail RFCs on purpose: no two emails
that look alike, and none that changes with somebody's idea of Unicode, name different users.

A password is taken as RFC 8265 says (OpaqueString): every space is U+0020, and NFC, so that the same
keys pressed on two machines are the same bytes; case and width stay as they are. bcrypt reads at
most 72 bytes, so a longer one is refused, never cut.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from deltastream.accounts.errors import InvalidFields, Problem

__all__ = ["MAX_PASSWORD_BYTES", "MIN_PASSWORD", "Fields", "email_of", "password_bytes"]

MIN_PASSWORD: Final = 8
MAX_PASSWORD_BYTES: Final = 72

_MOST_EMAIL: Final = 254
_MOST_NAME: Final = 100
_MOST_TYPED: Final = 4 * MAX_PASSWORD_BYTES  # NFC never makes one byte of more characters than four
_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL: Final = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})*")


def email_of(text: str) -> str | None:
    """The email in the form that is stored, None where it is none."""
    if len(text) > _MOST_EMAIL + 64 or not (text := text.strip(" \t\r\n")).isascii():
        return None
    email = text.lower()
    return email if len(email) <= _MOST_EMAIL and _EMAIL.fullmatch(email) else None


def password_bytes(text: str) -> bytes | None:
    """The bytes that bcrypt is given, None where there are more than it reads, or no text at all."""
    if len(text) > _MOST_TYPED:
        return None
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    try:
        data = unicodedata.normalize("NFC", spaced).encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    return data if len(data) <= MAX_PASSWORD_BYTES and b"\0" not in data else None


class Fields:
    """Gathers what is wrong with several fields, so that all of it is told at once."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def email(self, text: str) -> str:
        """A new user's email."""
        email = email_of(text)
        if email is None:
            return self._wrong("email", "invalid_email", "The email must look like name@example.org.")
        return email

    def name(self, text: str, instead: str, field: str = "name") -> str:
        """A name as it is shown; `instead` where it is empty."""
        if len(text) > 4 * _MOST_NAME:
            return self._wrong(field, "too_long", f"The {field} has more than {_MOST_NAME} characters.")
        name = unicodedata.normalize("NFC", text).strip() or instead
        if len(name) > _MOST_NAME:
            return self._wrong(field, "too_long", f"The {field} has more than {_MOST_NAME} characters.")
        if not name:
            return self._wrong(field, "too_short", f"The {field} is empty.")
        if not name.isprintable():
            return self._wrong(field, "not_printable", f"The {field} has characters that cannot be shown.")
        return name

    def password(self, text: str, email: str) -> bytes:
        """A new password."""
        data = password_bytes(text)
        if any(unicodedata.category(c) in ("Cc", "Cs") for c in text[:_MOST_TYPED]):
            message = "The password has control characters, which cannot be typed everywhere."
            self._wrong("password", "not_printable", message)
        elif data is None:
            message = (
                f"The password is longer than {MAX_PASSWORD_BYTES} bytes in UTF-8, all that bcrypt reads;"
                " letters outside ASCII take two to four."
            )
            self._wrong("password", "too_long", message)
        elif len(data.decode()) < MIN_PASSWORD:
            message = f"The password has less than {MIN_PASSWORD} characters."
            self._wrong("password", "too_short", message)
        elif data.decode().casefold() in (email, email.partition("@")[0]):
            self._wrong("password", "too_weak", "The password must not be the email.")
        return data or b""

    def wrong(self, field: str, code: str, message: str) -> None:
        """Note a problem that the caller found."""
        self._wrong(field, code, message)

    def check(self) -> None:
        """Raise InvalidFields with all that was found, if anything was."""
        if self._problems:
            raise InvalidFields(self._problems)

    def _wrong(self, field: str, code: str, message: str) -> str:
        self._problems.append(Problem(field, code, message))
        return ""
