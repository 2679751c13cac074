"""What Schemathesis is told beside the document: who asks, and what no schema can promise.

Loaded by Schemathesis in its own process; see `test_schemathesis`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import schemathesis

from deltastream.gateway.api import ROUTES
from deltastream.gateway.problems import Problem
from deltastream.gateway.validation import Checker

PLACE = "an instant that has been; a cursor of ours"
RANGE = f"{PLACE}; one instant or a range, which begins before it ends"

BEYOND: Final = {
    "bars": RANGE,
    "underlying": RANGE,
    "chain": f"{RANGE}, of one expiry; strikes by number or by delta",
    "expiries": PLACE,
    "quote": f"{PLACE}; a symbol with a date that there is",
    "greeks": PLACE,
    "max_pain": PLACE,
    "open_interest": PLACE,
    "pcr": PLACE,
    "straddle": PLACE,
    "volatility_surface": PLACE,
    "change_password": "a password of 72 bytes at most, without control characters, not the email",
    "create_key": "a name that can be shown; only scopes that one has oneself",
    "register": "an email that is none of ours; a password as above",
    "login_with_link": "a token of ours",
    "verify": "a token, here or in a header",
    "refresh": "a token, here or as a cookie",
    "logout": "a token, here, as a cookie or in a header",
    "price": "columns of one length; what the model takes and nothing else; prices or volatilities",
}
"""Operations with rules beyond their schema, which refuse with 400 what the schema admits."""

assert set(BEYOND) <= {route.name for route in ROUTES}

DESTRUCTIVE: Final = ("change_password", "delete_account", "logout", "logout_everywhere")
"""What ends the session that asks: each time another user's."""

NEEDS_SESSION: Final = tuple(sorted(route.name for route in ROUTES if route.scope == "session"))

CHECKERS: Final = {route.name: Checker(route) for route in ROUTES}
PATHS: Final = {route.name: route.path for route in ROUTES}
CREDENTIALS: Final = json.loads(Path(os.environ["CREDENTIALS"]).read_text())


class AsAdministrator:
    """By an API key with every scope."""

    def get(self, case, context):
        return CREDENTIALS["key"]

    def set(self, case, credential, context):
        case.headers["Authorization"] = f"Bearer {credential}"


class AsUser(AsAdministrator):
    """By the session of a user."""

    def get(self, case, context):
        return CREDENTIALS["session"]


class AsSomebodyElse(AsAdministrator):
    """By the session of a user who has not asked before."""

    def get(self, case, context):
        return CREDENTIALS["spare"].pop()


if CREDENTIALS:
    kept = [name for name in NEEDS_SESSION if name not in DESTRUCTIVE]
    schemathesis.auth(refresh_interval=None).apply_to(operation_id=list(DESTRUCTIVE))(AsSomebodyElse)
    schemathesis.auth(refresh_interval=None).apply_to(operation_id=kept)(AsUser)
    others = schemathesis.auth(refresh_interval=None).skip_for(operation_id=[*DESTRUCTIVE, *kept])
    others(AsAdministrator)


@schemathesis.check
def refused_by_a_rule_beyond_the_schema(context, response, case):
    """What the schema admits is refused with 400 only where rules beyond it are known, and by these."""
    if response.status_code != 400 or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    name = case.operation.definition.raw["operationId"]
    assert name in BEYOND, f"{name} refuses what its schema admits: {response.text}"
    request, target = response.request, urlsplit(response.request.url)
    steps = zip(PATHS[name].split("/"), target.path.split("/"), strict=True)
    path = {step[1:-1]: unquote(given) for step, given in steps if step.startswith("{")}
    body = request.body.encode() if isinstance(request.body, str) else request.body or b""
    try:
        CHECKERS[name].check(path, target.query, request.headers.get("Content-Type"), body)
    except Problem as problem:
        raise AssertionError(f"the schema admits it, its checker does not: {problem.errors}") from None
