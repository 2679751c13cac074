"""Every route × everybody: who gets in and who does not, written out by hand.

A route that is not in the table fails, whatever it answers: nothing is open by accident.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

CALLERS = ("nobody", "bad", "user", "admin", "market", "history", "system", "alerts", "adminkey")
"""Nobody at all; whatever gives no rights (see `BAD`); logged in as user or administrator; API keys with
one scope each, of an administrator."""

TABLE = """
                                          nobody bad user admin market history system alerts adminkey
GET    /health                              in   401  in   in     in     in      in     in      in
GET    /ready                               in   401  in   in     in     in      in     in      in
GET    /metrics                             401  401  403  in     403    403     in     403     403
GET    /                                    in   401  in   in     in     in      in     in      in
GET    /app/{part}/{file}                   in   401  in   in     in     in      in     in      in
GET    /login                               in   401  in   in     in     in      in     in      in
GET    /login/login.css                     in   401  in   in     in     in      in     in      in
GET    /login/login.js                      in   401  in   in     in     in      in     in      in
GET    /docs                                in   401  in   in     in     in      in     in      in
GET    /docs/docs.css                       in   401  in   in     in     in      in     in      in
GET    /docs/docs.js                        in   401  in   in     in     in      in     in      in
GET    /docs/dom.js                         in   401  in   in     in     in      in     in      in
GET    /docs/schemas.js                     in   401  in   in     in     in      in     in      in
GET    /docs/trying.js                      in   401  in   in     in     in      in     in      in
GET    /api/docs                            in   401  in   in     in     in      in     in      in
GET    /api/docs/asyncapi                   in   401  in   in     in     in      in     in      in

GET    /api/auth/registration               in   401  in   in     in     in      in     in      in
POST   /api/auth/register                   in   401  in   in     in     in      in     in      in
POST   /api/auth/login                      in   401  in   in     in     in      in     in      in
POST   /api/auth/link                       in   401  in   in     in     in      in     in      in
POST   /api/auth/verify                     in   401  in   in     in     in      in     in      in
POST   /api/auth/refresh                    in   401  in   in     in     in      in     in      in
POST   /api/auth/logout                     in   401  in   in     403    403     403    403     403
POST   /api/auth/ticket                     401  401  in   in     in     403     403    403     403
POST   /api/auth/logout-everywhere          401  401  in   in     403    403     403    403     403
POST   /api/auth/password                   401  401  in   in     403    403     403    403     403

GET    /api/user/me                         401  401  in   in     403    403     403    403     403
DELETE /api/user/me                         401  401  in   in     403    403     403    403     403
GET    /api/user/keys                       401  401  in   in     403    403     403    403     403
POST   /api/user/keys                       401  401  in   in     403    403     403    403     403
DELETE /api/user/keys/{id}                  401  401  in   in     403    403     403    403     403

GET    /api/system/tree                     401  401  403  in     403    403     in     403     403
GET    /api/system/dead-letters             401  401  403  in     403    403     403    403     in
GET    /api/system/dead-letters/{id}        401  401  403  in     403    403     403    403     in
POST   /api/system/dead-letters/{id}/replay 401  401  403  in     403    403     403    403     in
DELETE /api/system/dead-letters/{id}        401  401  403  in     403    403     403    403     in

GET    /api/data/products                   401  401  in   in     in     403     403    403     403
GET    /api/data/expiries/{product}         401  401  in   in     in     403     403    403     403
GET    /api/data/chain/{product}            401  401  in   in     in     403     403    403     403
GET    /api/data/quotes/{symbol}            401  401  in   in     in     403     403    403     403
GET    /api/data/underlying/{product}       401  401  in   in     in     403     403    403     403
GET    /api/data/bars/{product}             401  401  in   in     403    in      403    403     403

GET    /api/analytics/pcr/{product}         401  401  in   in     in     403     403    403     403
GET    /api/analytics/max-pain/{product}    401  401  in   in     in     403     403    403     403
GET    /api/analytics/straddle/{product}    401  401  in   in     in     403     403    403     403
GET    /api/analytics/volatility-surface/{product} 401  401  in   in     in     403     403    403     403
GET    /api/analytics/oi/{product}          401  401  in   in     in     403     403    403     403
GET    /api/analytics/greeks/{product}      401  401  in   in     in     403     403    403     403
GET    /api/analytics/definitions           401  401  in   in     in     403     403    403     403

POST   /api/price                           401  401  in   in     in     403     403    403     403
"""

EXPECTED = {
    (method, path): dict(zip(CALLERS, verdicts, strict=True))
    for method, path, *verdicts in (line.split() for line in TABLE.strip().splitlines()[1:] if line)
}
IN_PATH = {
    "part": "core",
    "file": "main.js",
    "id": "0123456789abcdef",
    "product": "NIFTY",
    "symbol": "NIFTY-20261124-26000-C",
}


def address_of(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: IN_PATH[match[1]], path)


async def credentials(site: Any) -> dict[str, list[str | None]]:
    """What each caller shows; everybody is somebody else, so that what one does harms no other."""
    world = site.world
    expired = await site.session()
    revoked = await site.session()
    await world.accounts.logout(await world.accounts.authenticate(revoked))
    revoked_key, expired_key, disabled_key = [await site.key("read:market") for _ in range(3)]
    await world.administration.revoke_key(revoked_key.rpartition("_")[0])
    disabled = await world.accounts.authenticate(disabled_key)
    await world.administration.set_disabled(disabled.email, True)
    world.clock.advance(31 * 86_400)
    bad = [
        "nonsense",
        "",
        expired,
        revoked,
        revoked_key,
        expired_key,
        disabled_key,
        f"{await site.session()}x",
    ]
    return {
        "nobody": [None],
        "bad": list(bad),
        "user": [await site.session()],
        "admin": [await site.session("admin")],
        "market": [await site.key("read:market")],
        "history": [await site.key("read:history")],
        "system": [await site.key("read:system")],
        "alerts": [await site.key("write:alerts")],
        "adminkey": [await site.key("admin")],
    }


def told(answer: Any) -> str:
    """Whether the door was open; a password that is asked for behind it is another matter."""
    if answer.status_code not in (401, 403):
        return "in"
    doors = {"unauthenticated": "401", "forbidden": "403"}
    return doors.get(answer.json()["type"].rpartition(":")[2], "in")


def test_every_route_stands_in_the_table(routes):
    assert {(route.method, route.path) for route in routes} <= EXPECTED.keys()


@pytest.mark.parametrize(("method", "path"), EXPECTED)
async def test_who_gets_in(method, path, site, routes, client, autojump_clock, bearer):
    assert (method, path) in {(route.method, route.path) for route in routes}
    for caller, shown in (await credentials(site)).items():
        for credential in shown:
            headers = {} if credential is None else bearer(credential)
            answer = await client.request(method, address_of(path), headers=headers)
            assert told(answer) == EXPECTED[method, path][caller], (caller, answer.text)
            assert answer.status_code < 500, answer.text
            if answer.status_code == 401:
                assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_head_and_other_methods_open_nothing(routes, client, autojump_clock):
    """What GET refuses, HEAD refuses; a method that is not offered is not offered to anybody."""
    for path in dict.fromkeys(path for _, path in EXPECTED):
        declared = {route.method for route in routes if route.path == path}
        for other in ("HEAD", "PUT", "PATCH", "TRACE", "CONNECT", "BREW"):
            answer = await client.request(other, address_of(path))
            if other == "HEAD" and "GET" in declared:
                assert EXPECTED["GET", path]["nobody"] in ("in", str(answer.status_code)), path
                assert not answer.content
            else:
                assert answer.status_code == 405, (other, path)
                assert set(answer.headers["allow"].split(", ")) >= declared


async def test_credentials_of_any_other_kind_are_refused(site, client, autojump_clock):
    token, key = await site.session(), await site.key("read:market")
    for headers in (
        {"Authorization": f"Basic {token}"},
        {"Authorization": token},
        {"Authorization": f"Bearer {token}", "X-API-Key": key},
        [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")],
        [("X-API-Key", key), ("X-API-Key", key)],
    ):
        answer = await client.get("/api/user/me", headers=headers)
        assert answer.status_code == 401, headers
    assert (await client.post("/api/price", headers={"X-API-Key": key})).status_code == 400  # let in
    assert (await client.get(f"/api/user/me?token={token}")).status_code == 401
    client.cookies.set("token", token)
    assert (await client.get("/api/user/me")).status_code == 401
