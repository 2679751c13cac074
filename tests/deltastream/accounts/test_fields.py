"""Emails, names and passwords: one form, or a reason."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.accounts.errors import InvalidFields
from deltastream.accounts.fields import MAX_PASSWORD_BYTES, Fields, email_of, password_bytes


@pytest.mark.parametrize(
    ("typed", "email"),
    [
        ("ann@example.org", "ann@example.org"),
        ("  Ann.B+tag@Example.ORG\n", "ann.b+tag@example.org"),
        ("admin@localhost", "admin@localhost"),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("o'hara@example.org", "o'hara@example.org"),
    ],
)
def test_emails_have_one_form(typed: str, email: str):
    assert email_of(typed) == email == email_of(email)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ann",
        "@example.org",
        "ann@",
        "a@b@c",
        "ann@-example.org",
        "ann@example..org",
        "ann smith@example.org",
        "ann@exam\nple.org",
        "ann@example.org\0",
        "\u0430nn@example.org",  # a Cyrillic a
        "ann@example.org\u200b",
        "K\u212a@example.org",  # the Kelvin sign, whose lower case is an ASCII k
        "\ud800@example.org",
        "a" * 65 + "@example.org",
        "a@" + ("b" * 60 + ".") * 5 + "org",
        "a" * 1_000_000 + "@example.org",
    ],
)
def test_what_is_no_email(typed: str):
    assert email_of(typed) is None


@given(st.text(max_size=80))
def test_an_email_is_ascii_in_lower_case_and_stays_itself(text: str):
    email = email_of(text)
    if email is not None:
        assert email.isascii()
        assert email == email.lower() == email_of(email)


def test_a_password_may_have_72_bytes_and_no_more():
    assert password_bytes("p" * 72) == b"p" * 72
    assert password_bytes("p" * 73) is None
    assert password_bytes("\u20ac" * 24) == "\u20ac".encode() * 24
    assert password_bytes("\u20ac" * 24 + "x") is None
    assert password_bytes("x" * 10_000_000) is None


def test_one_password_typed_on_two_machines_is_the_same_bytes():
    assert password_bytes("Zo\u0065\u0308 1234") == password_bytes("Zo\u00eb 1234")
    assert password_bytes("two words\u00a0here") == password_bytes("two words here")
    assert password_bytes("\uff21bcdefgh") != password_bytes("Abcdefgh")  # width is the user's choice
    assert password_bytes("Abcdefgh") != password_bytes("abcdefgh")


@pytest.mark.parametrize("text", ["abc\0defgh", "\ud800 password", "\udfff" * 9])
def test_what_bcrypt_could_not_be_given(text: str):
    assert password_bytes(text) is None


@given(st.text(max_size=400))
def test_nothing_is_ever_cut_off(text: str):
    data = password_bytes(text)
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    whole = unicodedata.normalize("NFC", spaced).encode("utf-8", "surrogatepass")
    assert data == whole if data is not None else True
    usable = len(whole) <= MAX_PASSWORD_BYTES and "\0" not in text
    assert (data is not None) == (usable and not any(0xD800 <= ord(c) < 0xE000 for c in text))


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("1234567", "too_short"),
        ("\u00e9" * 7, "too_short"),
        ("x" * 73, "too_long"),
        ("\u20ac" * 25, "too_long"),
        ("x" * 1_000_000, "too_long"),
        ("with\ttab in it", "not_printable"),
        ("with\0nul in it", "not_printable"),
        ("half\ud83d a smiley", "not_printable"),
        ("Ann@Example.org", "too_weak"),
    ],
)
def test_passwords_that_are_refused_and_why(password: str, code: str):
    fields = Fields()
    fields.password(password, "ann@example.org")
    with pytest.raises(InvalidFields) as refused:
        fields.check()
    assert [(problem.field, problem.code) for problem in refused.value.problems] == [("password", code)]
    assert password not in str(refused.value)


def test_all_problems_are_told_at_once():
    fields = Fields()
    fields.email("nobody")
    fields.password("short", "")
    fields.name("\x1b[2J", instead="x")
    with pytest.raises(InvalidFields) as refused:
        fields.check()
    assert [problem.field for problem in refused.value.problems] == ["email", "password", "name"]
    assert str(refused.value).count(".") >= 3


@pytest.mark.parametrize("name", ["x" * 101, "x" * 10_000_000, "a\nb", "\u202eevil", "\ud800"])
def test_names_that_would_spoil_a_terminal_or_a_page(name: str):
    fields = Fields()
    fields.name(name, instead="x")
    with pytest.raises(InvalidFields):
        fields.check()
    assert Fields().name("  Zoe\u0308 ", instead="x") == "Zo\u00eb"
    assert Fields().name("  ", instead="x") == "x"
