"""Logging in and out: ``/api/auth``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec

from deltastream.accounts import InvalidToken, NotAllowed, Scope
from deltastream.accounts.fields import MAX_PASSWORD_BYTES, MIN_PASSWORD
from deltastream.accounts.types import SCOPES
from deltastream.gateway.problems import FieldProblem, Problem
from deltastream.gateway.routes._accounts import (
    GUESSED,
    KEPT,
    Tokens,
    cookie_gone,
    cookie_of,
    instant,
    signed_in,
    who,
)
from deltastream.gateway.routing import Answer, Call, NoParameters, Route, route

__all__ = ["ROUTES"]

_PASSWORD_COST: Final = 5
"""bcrypt has one thread for everybody."""

Email = Annotated[
    str,
    msgspec.Meta(
        max_length=254,
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
        r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$",
        examples=["ann@example.org"],
    ),
]
NewPassword = Annotated[
    str,
    msgspec.Meta(
        min_length=MIN_PASSWORD,
        max_length=4 * MAX_PASSWORD_BYTES,
        description=f"{MIN_PASSWORD} characters or more, at most {MAX_PASSWORD_BYTES} bytes in UTF-8,"
        " no control characters, not the email.",
        examples=["correct horse battery"],
    ),
]
Typed = Annotated[str, msgspec.Meta(max_length=1024)]
Secret = Annotated[str, msgspec.Meta(max_length=4096)]


class Registration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody new.

    Attributes:
        email: ASCII, in whatever case; a domain of other letters in its ``xn--`` form.
        password: to log in with.
        name: as they are addressed; empty: the email's first part.
        cookie: keep the refresh token in a cookie that no script can read.
    """

    email: Email
    password: NewPassword
    name: Annotated[str, msgspec.Meta(max_length=100)] = ""
    cookie: bool = False


class Credentials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who logs in.

    Attributes:
        email: in whatever case.
        password: theirs.
        cookie: keep the refresh token in a cookie that no script can read.
    """

    email: Typed
    password: Typed
    cookie: bool = False


class OneTimeLink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a login link holds.

    Attributes:
        token: what stands behind ``#token=``.
        cookie: keep the refresh token in a cookie that no script can read.
    """

    token: Secret
    cookie: bool = False


class Presented(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A credential to look at.

    Attributes:
        token: an access token or an API key; left out: the one in ``Authorization``.
    """

    token: Secret | None = None


class Refresh(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The session that is meant.

    Attributes:
        refresh_token: its newest; left out: the one in the cookie.
    """

    refresh_token: Secret | None = None


class NewPasswordBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of password.

    Attributes:
        password: the new one.
        current_password: the present one; whoever has none yet, or came by a link within the last ten
            minutes, leaves it out.
        cookie: keep the refresh token in a cookie that no script can read.
    """

    password: NewPassword
    current_password: Typed | None = None
    cookie: bool = False


class PasswordRule(msgspec.Struct, frozen=True, kw_only=True):
    """What a new password must be.

    Attributes:
        minimum: characters that it has at least.
        maximum_bytes: that it has at most, in UTF-8; letters outside ASCII take two to four.
    """

    minimum: int
    maximum_bytes: int


class RegistrationRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a page has to know of who comes.

    Attributes:
        open: whether strangers may register.
        password: what a new one must be, of whoever sets one.
        cookie: whether a refresh token came as a cookie; without one there is nothing to refresh.
    """

    open: bool
    password: PasswordRule
    cookie: bool


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What a credential is good for.

    Attributes:
        valid: whether it gives any rights.
        user_id: whose it is; null where it is not valid, as the rest.
        email: theirs.
        expires: when it does.
        scopes: what it may do.
        kind: an access token's ``session`` or an API ``key``.
    """

    valid: bool
    user_id: str | None = None
    email: str | None = None
    expires: datetime | None = None
    scopes: tuple[Scope, ...] = ()
    kind: str | None = None


class SocketTicket(msgspec.Struct, frozen=True, kw_only=True):
    """What a page shows a socket.

    Attributes:
        ticket: for ``{"op": "auth", "ticket": …}``; good once.
        expires: when it is good no more.
    """

    ticket: str
    expires: datetime


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing more to tell.

    Attributes:
        message: a sentence for people.
    """

    message: str


@route("GET", "/api/auth/registration", scope="anyone", tag="auth", answers=RegistrationRules)
async def registration(call: Call[NoParameters, None]) -> Answer:
    """Tell whether somebody new may register, what a password must be, and whether a cookie came.

    Whether the cookie is of any use is another question: `POST /api/auth/refresh`.
    """
    told = RegistrationRules(
        open=call.services.accounts.open_registration,
        password=PasswordRule(minimum=MIN_PASSWORD, maximum_bytes=MAX_PASSWORD_BYTES),
        cookie=cookie_of(call) is not None,
    )
    return Answer(told)


@route(
    "POST",
    "/api/auth/register",
    scope="anyone",
    tag="auth",
    body=Registration,
    answers=Tokens,
    status=201,
    problems=(*KEPT, "conflict", "registration_closed", "too_many_attempts"),
    cost=_PASSWORD_COST,
)
async def register(call: Call[NoParameters, Registration]) -> Answer:
    """Make an account and log in.

    Closed by configuration, and by default wherever the host can be reached from outside. That an
    email is taken is told, because there is no mail to tell it by; asking for many gets slow.
    """
    body = call.body
    try:
        tokens = await call.services.accounts.register(
            body.email, body.password, body.name, address=call.address
        )
    except NotAllowed as error:
        raise Problem("registration_closed", str(error)) from None
    answer, cookies = signed_in(call, tokens, "Registered and logged in.", as_cookie=body.cookie)
    return Answer(answer, status=201, cookies=cookies)


@route(
    "POST",
    "/api/auth/login",
    scope="anyone",
    tag="auth",
    body=Credentials,
    answers=Tokens,
    problems=(*KEPT, *GUESSED),
    cost=_PASSWORD_COST,
)
async def login(call: Call[NoParameters, Credentials]) -> Answer:
    """Log in with email and password.

    An unknown email, a wrong password and a disabled account get the same answer after the same time.
    After some failures each further one doubles the time until the next attempt.
    """
    body = call.body
    tokens = await call.services.accounts.login(body.email, body.password, address=call.address)
    answer, cookies = signed_in(call, tokens, "Logged in.", as_cookie=body.cookie)
    return Answer(answer, cookies=cookies)


@route(
    "POST",
    "/api/auth/link",
    scope="anyone",
    tag="auth",
    body=OneTimeLink,
    answers=Tokens,
    problems=KEPT,
)
async def login_with_link(call: Call[NoParameters, OneTimeLink]) -> Answer:
    """Log in with the token of a one-time link.

    The operator makes links with ``deltastream user link``; each works once, within ten minutes.
    """
    body = call.body
    try:
        tokens = await call.services.accounts.login_with_link(body.token, address=call.address)
    except InvalidToken:
        raise Problem(
            "unauthenticated", "The link was used before, replaced by a newer one, or is too old."
        ) from None
    answer, cookies = signed_in(call, tokens, "Logged in by link.", as_cookie=body.cookie)
    return Answer(answer, cookies=cookies)


@route(
    "POST",
    "/api/auth/verify",
    scope="anyone",
    tag="auth",
    body=Presented | None,
    answers=Verified,
    problems=KEPT,
)
async def verify(call: Call[NoParameters, Presented | None]) -> Answer:
    """Tell what an access token or an API key is good for."""
    identity = call.identity
    if call.body is not None and call.body.token is not None:
        try:
            identity = await call.services.accounts.authenticate(call.body.token)
        except InvalidToken:
            return Answer(Verified(valid=False))
    if identity is None:
        raise _missing("/token", "A token is needed, here or in Authorization.")
    verified = Verified(
        valid=True,
        user_id=identity.user_id,
        email=identity.email,
        expires=instant(identity.expires),
        scopes=tuple(scope for scope in SCOPES if scope in identity.scopes),
        kind="key" if identity.key is not None else "session",
    )
    return Answer(verified)


@route(
    "POST",
    "/api/auth/refresh",
    scope="anyone",
    tag="auth",
    body=Refresh | None,
    answers=Tokens,
    problems=KEPT,
)
async def refresh(call: Call[NoParameters, Refresh | None]) -> Answer:
    """Exchange a refresh token for a new pair.

    It works once. Shown again within ten seconds, it gives the token that the session has by then,
    for tabs of one browser; later that means that it was stolen, and the session ends. What came as a
    cookie goes as a cookie.
    """
    told = None if call.body is None else call.body.refresh_token
    presented = cookie_of(call) if told is None else told
    if presented is None:
        raise _missing("/refresh_token", "A refresh token is needed, here or as a cookie.")
    tokens = await call.services.accounts.refresh(presented)
    answer, cookies = signed_in(call, tokens, "Refreshed.", as_cookie=told is None)
    return Answer(answer, cookies=cookies)


@route(
    "POST",
    "/api/auth/logout",
    scope="anyone",
    tag="auth",
    body=Refresh | None,
    answers=Done,
    problems=(*KEPT, "forbidden"),
)
async def logout(call: Call[NoParameters, Refresh | None]) -> Answer:
    """End the session of the access token, of the refresh token, or of the cookie: of all that came.

    A session that has ended already stays so.
    """
    accounts, identity = call.services.accounts, call.identity
    told = None if call.body is None else call.body.refresh_token
    presented = [token for token in (told, cookie_of(call)) if token is not None]
    if identity is None and not presented:
        raise _missing(
            "/refresh_token", "A token of the session is needed, here, as a cookie or in Authorization."
        )
    if identity is not None and identity.session is None:
        raise Problem("forbidden", "An API key has no session; revoke it instead.")
    for token in presented:
        await accounts.logout_with_refresh(token)
    if identity is not None:
        await accounts.logout(identity)
    return Answer(Done(message="Logged out."), cookies=cookie_gone(call))


@route(
    "POST",
    "/api/auth/ticket",
    scope="read:market",
    tag="auth",
    answers=SocketTicket,
    problems=("not_found", "store_unavailable"),
)
async def ticket(call: Call[NoParameters, None]) -> Answer:
    """Make a one-time ticket by which a page tells a socket who it is.

    It is good for thirty seconds, for both sockets of this host, and stands for the credential of this
    request: it ends with that.
    """
    sockets = call.services.sockets
    if sockets is None or call.credential is None:
        raise Problem("not_found", "This host serves no sockets.")
    made = sockets.ticket(call.credential)
    return Answer(SocketTicket(ticket=made.text, expires=instant(made.expires)))


@route("POST", "/api/auth/logout-everywhere", scope="session", tag="auth", answers=Done, problems=KEPT)
async def logout_everywhere(call: Call[NoParameters, None]) -> Answer:
    """End every session of the user, this one too. API keys stay."""
    await call.services.accounts.logout_everywhere(who(call))
    return Answer(Done(message="Logged out everywhere."), cookies=cookie_gone(call))


@route(
    "POST",
    "/api/auth/password",
    scope="session",
    tag="auth",
    body=NewPasswordBody,
    answers=Tokens,
    problems=(*KEPT, *GUESSED),
    cost=_PASSWORD_COST,
)
async def change_password(call: Call[NoParameters, NewPasswordBody]) -> Answer:
    """Set a password. Every session of the user ends, and a new one begins; API keys stay."""
    body = call.body
    tokens = await call.services.accounts.change_password(
        who(call), body.password, current=body.current_password, address=call.address
    )
    answer, cookies = signed_in(call, tokens, "The password was changed.", as_cookie=body.cookie)
    return Answer(answer, cookies=cookies)


def _missing(field: str, message: str) -> Problem:
    wrong = FieldProblem(where="body", field=field, code="required", message=message)
    return Problem("invalid_request", errors=[wrong])


ROUTES: Final[tuple[Route, ...]] = (
    registration,
    register,
    login,
    login_with_link,
    verify,
    refresh,
    logout,
    ticket,
    logout_everywhere,
    change_password,
)
