"""Accounts as programs and browsers use them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import trio

PASSWORD = "correct horse"
ANN = {"email": "ann@example.org", "password": PASSWORD, "name": "Ann"}
COOKIE = "deltastream_refresh_8000"

pytestmark = pytest.mark.usefixtures("autojump_clock")


def code(answer) -> str:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.json()["type"].removeprefix("urn:deltastream:problem:")


async def ok(client, path, body=None, *, token=None, method="POST", status=200):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = await client.request(method, path, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json() if answer.content else None


async def refused(client, path, body=None, *, token=None, method="POST"):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = await client.request(method, path, json=body, headers=headers)
    return answer.status_code, code(answer)


async def test_the_tutorials_way(client, site):
    made = await ok(client, "/api/auth/register", ANN, status=201)
    assert made["user"].items() >= {"email": "ann@example.org", "name": "Ann", "role": "user"}.items()
    assert {"message", "token", "refresh_token", "expires", "refresh_expires"} <= made.keys()
    entered = await ok(client, "/api/auth/login", {"email": "Ann@Example.org", "password": PASSWORD})
    assert entered["user"] == made["user"]
    me = await ok(client, "/api/user/me", token=entered["token"], method="GET")
    assert me["user_id"] == made["user"]["id"]
    assert me["email"] == "ann@example.org"
    verified = await ok(client, "/api/auth/verify", {"token": made["token"]})
    assert verified.items() >= {"valid": True, "user_id": me["user_id"], "email": me["email"]}.items()
    assert await ok(client, "/api/auth/verify", token=made["token"]) == verified
    assert not client.cookies


async def test_times_are_told_with_an_offset(client, site):
    made = await ok(client, "/api/auth/register", ANN, status=201)
    now = datetime.fromtimestamp(site.world.clock.now_ns() / 1e9, UTC)
    life = datetime.fromisoformat(made["expires"]) - now
    assert 898 <= life.total_seconds() <= 901
    assert 29 <= (datetime.fromisoformat(made["refresh_expires"]) - now).days <= 30


async def test_what_cannot_be_a_credential_is_not_valid(client, site):
    nothing = {"valid": False, "user_id": None, "email": None, "expires": None, "scopes": [], "kind": None}
    for token in ("", "nonsense", "ds_" + "0" * 77, await site.session() + "x"):
        assert await ok(client, "/api/auth/verify", {"token": token}) == nothing
    key = await site.key("read:market", "read:history")
    verified = await ok(client, "/api/auth/verify", {"token": key})
    assert verified["kind"] == "key"
    assert verified["scopes"] == ["read:market", "read:history"]
    assert await refused(client, "/api/auth/verify") == (400, "invalid_request")


async def test_all_that_is_wrong_with_a_registration_is_told_at_once(client):
    body = {"email": "nobody", "password": "short", "nmae": "Ann", "cookie": "yes"}
    answer = await client.post("/api/auth/register", json=body)
    assert answer.status_code == 400
    assert {error["field"] for error in answer.json()["errors"]} == {
        "/email",
        "/password",
        "/nmae",
        "/cookie",
    }
    answer = await client.post("/api/auth/register", json={**ANN, "password": "ü" * 40, "name": "\x07"})
    problems = {error["field"]: error["code"] for error in answer.json()["errors"]}
    assert problems == {"/password": "too_long", "/name": "not_printable"}
    assert "ü" not in answer.text


async def test_an_email_is_registered_once(client):
    await ok(client, "/api/auth/register", ANN, status=201)
    assert await refused(client, "/api/auth/register", {**ANN, "email": "ANN@example.org"}) == (
        409,
        "conflict",
    )


async def test_registration_can_be_closed(client, site):
    rule = {"minimum": 8, "maximum_bytes": 72}
    told = await ok(client, "/api/auth/registration", method="GET")
    assert told == {"open": True, "password": rule, "cookie": False}
    site.world.accounts.open_registration = False
    assert await refused(client, "/api/auth/register", ANN) == (403, "registration_closed")
    told = await ok(client, "/api/auth/registration", method="GET")
    assert told == {"open": False, "password": rule, "cookie": False}


async def test_what_is_told_of_passwords_is_what_is_taken(client):
    told = (await ok(client, "/api/auth/registration", method="GET"))["password"]
    for password, status in (
        ("x" * (told["minimum"] - 1), 400),
        ("x" * told["minimum"], 201),
        ("x" * told["maximum_bytes"], 201),
        ("x" * (told["maximum_bytes"] + 1), 400),
    ):
        body = {"email": f"ann{len(password)}@example.org", "password": password}
        assert (await client.post("/api/auth/register", json=body)).status_code == status


async def test_unknown_wrong_and_disabled_get_the_same_answer(client, site):
    for name in ("ann", "ben"):
        await ok(client, "/api/auth/register", {**ANN, "email": f"{name}@example.org"}, status=201)
    await site.world.administration.set_disabled("ben@example.org", True)
    answers = []
    for email, password in (
        ("ann@example.org", "wrong horse"),
        ("nobody@example.org", PASSWORD),
        ("ben@example.org", PASSWORD),
        ("no email at all", PASSWORD),
        ("admin@localhost", ""),
        ("ann@example.org", "x" * 73),
        ("ann@example.org", "a\x00b"),
    ):
        answer = await client.post("/api/auth/login", json={"email": email, "password": password})
        document = answer.json()
        del document["request_id"]
        headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
        headers.pop("ratelimit")
        answers.append((answer.status_code, document, headers))
    assert answers[0][0] == 401
    assert answers[0][1]["type"].endswith(":invalid_credentials")
    assert all(answer == answers[0] for answer in answers)


async def test_guessing_gets_slow(client, site):
    await ok(client, "/api/auth/register", ANN, status=201)
    await ok(client, "/api/auth/login", _login(PASSWORD))
    statuses = []
    for number in range(8):
        async with site.visitor(f"198.51.100.{number}") as guesser:
            answer = await guesser.post("/api/auth/login", json={**_login("wrong"), "email": ANN["email"]})
            statuses.append(answer.status_code)
    assert statuses == [401] * 6 + [429] * 2
    assert code(answer) == "too_many_attempts"
    assert int(answer.headers["retry-after"]) >= 1
    await ok(client, "/api/auth/login", _login(PASSWORD))  # whoever was here before is not locked out


def _login(password: str) -> dict[str, str]:
    return {"email": ANN["email"], "password": password}


async def test_a_browser_keeps_its_refresh_token_in_a_cookie(client, site):
    answer = await client.post("/api/auth/register", json={**ANN, "cookie": True})
    assert answer.json()["refresh_token"] is None
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=dsr_")
    attributes = set(cookie.split("; ")[1:])
    assert attributes >= {"Path=/api/auth", "HttpOnly", "SameSite=Strict"}
    first = client.cookies[COOKIE]
    assert first not in answer.text
    assert (await ok(client, "/api/auth/registration", method="GET"))["cookie"] is True
    again = await client.post("/api/auth/refresh")
    assert again.status_code == 200
    assert again.json()["refresh_token"] is None
    assert client.cookies[COOKIE] != first
    out = await ok(client, "/api/auth/logout")
    assert out == {"message": "Logged out."}
    assert COOKIE not in client.cookies
    assert await refused(client, "/api/auth/refresh", {"refresh_token": first}) == (401, "unauthenticated")


async def test_the_cookie_is_secure_behind_https_and_named_after_the_port(open_site):
    site = open_site(trusted_proxies=("127.0.0.1",), path_prefix="/desk", allowed_hosts=("desk.example.org",))
    async with site.visitor(headers={"Host": "desk.example.org", "X-Forwarded-Proto": "https"}) as client:
        answer = await client.post("/desk/api/auth/register", json={**ANN, "cookie": True})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("deltastream_refresh=dsr_")
    assert set(cookie.split("; ")) >= {"Path=/desk/api/auth", "Secure"}


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:3000", "https://evil.example", "null", "http://localhost:8000"]
)
async def test_another_origin_cannot_use_the_cookie(client, origin):
    await client.post("/api/auth/register", json={**ANN, "cookie": True})
    for path in ("/api/auth/refresh", "/api/auth/logout", "/api/auth/login"):
        answer = await client.post(path, headers={"Origin": origin})
        assert (answer.status_code, code(answer)) == (403, "origin_not_allowed")
        assert "access-control-allow-origin" not in answer.headers
    own = await client.post("/api/auth/refresh", headers={"Origin": "http://127.0.0.1:8000"})
    assert own.status_code == 200


async def test_a_refresh_token_works_once(client, site):
    made = await ok(client, "/api/auth/register", ANN, status=201)
    first = {"refresh_token": made["refresh_token"]}
    second = await ok(client, "/api/auth/refresh", first)
    repeated = await ok(client, "/api/auth/refresh", first)
    assert repeated["refresh_token"] == second["refresh_token"]
    site.world.clock.advance(11)
    assert await refused(client, "/api/auth/refresh", first) == (401, "unauthenticated")
    stolen = {"refresh_token": second["refresh_token"]}
    assert await refused(client, "/api/auth/refresh", stolen) == (401, "unauthenticated")
    for token in (made["token"], second["token"], repeated["token"]):
        assert await refused(client, "/api/user/me", token=token, method="GET") == (401, "unauthenticated")


async def test_tabs_that_refresh_at_once_log_nobody_out(client, site):
    """They share one cookie; whichever answer comes last, it holds a token that goes on."""
    await client.post("/api/auth/register", json={**ANN, "cookie": True})
    first = client.cookies[COOKIE]
    jar: list[str] = []

    async def tab(loads: int) -> None:
        cookie = first
        for _ in range(loads):
            async with site.visitor(headers={"Cookie": f"{COOKIE}={cookie}"}) as browser:
                answer = await browser.post("/api/auth/refresh")
                assert answer.status_code == 200, answer.text
                cookie = answer.cookies[COOKIE]
                jar.append(cookie)

    async with trio.open_nursery() as nursery:
        for loads in (1, 1, 3, 1, 2):
            nursery.start_soon(tab, loads)
    await tab(1)
    site.world.clock.advance(900)
    again = await ok(client, "/api/auth/refresh", {"refresh_token": jar[-1]})
    await ok(client, "/api/user/me", token=again["token"], method="GET")


@pytest.mark.parametrize("how", ["token", "refresh"])
async def test_logging_out_ends_one_session(client, how):
    await ok(client, "/api/auth/register", ANN, status=201)
    one, other = [await ok(client, "/api/auth/login", _login(PASSWORD)) for _ in range(2)]
    if how == "token":
        await ok(client, "/api/auth/logout", token=one["token"])
    else:
        await ok(client, "/api/auth/logout", {"refresh_token": one["refresh_token"]})
        await ok(client, "/api/auth/logout", {"refresh_token": one["refresh_token"]})  # stays so
    assert (await refused(client, "/api/user/me", token=one["token"], method="GET"))[0] == 401
    assert (await refused(client, "/api/auth/refresh", {"refresh_token": one["refresh_token"]}))[0] == 401
    await ok(client, "/api/user/me", token=other["token"], method="GET")
    assert await refused(client, "/api/auth/logout") == (400, "invalid_request")


async def test_logging_out_everywhere(client, site):
    await ok(client, "/api/auth/register", ANN, status=201)
    one, other = [await ok(client, "/api/auth/login", _login(PASSWORD)) for _ in range(2)]
    key = await site.world.key("read:market", email=ANN["email"])
    await ok(client, "/api/auth/logout-everywhere", token=one["token"])
    for session in (one, other):
        assert (await refused(client, "/api/user/me", token=session["token"], method="GET"))[0] == 401
    assert (await ok(client, "/api/auth/verify", {"token": key}))["valid"]


async def test_changing_the_password(client):
    made = await ok(client, "/api/auth/register", ANN, status=201)
    path, token = "/api/auth/password", made["token"]
    assert await refused(client, path, {"password": "another horse"}, token=token) == (
        401,
        "invalid_credentials",
    )
    wrong = {"password": "another horse", "current_password": "wrong"}
    assert await refused(client, path, wrong, token=token) == (401, "invalid_credentials")
    weak = {"password": "ann@example.org", "current_password": PASSWORD}
    assert await refused(client, path, weak, token=token) == (400, "invalid_request")
    right = {"password": "another horse", "current_password": PASSWORD}
    changed = await ok(client, path, right, token=token)
    assert (await refused(client, "/api/user/me", token=token, method="GET"))[0] == 401
    await ok(client, "/api/user/me", token=changed["token"], method="GET")
    assert (await refused(client, "/api/auth/login", _login(PASSWORD)))[0] == 401
    await ok(client, "/api/auth/login", _login("another horse"))


async def test_first_contact(client, site):
    """A link lets in once, and a password can be set without one."""
    link = await site.world.administration.link()
    entered = await ok(client, "/api/auth/link", {"token": link.token})
    assert entered["user"]["role"] == "admin"
    assert not entered["user"]["has_password"]
    answer = await client.post("/api/auth/link", json={"token": link.token})
    assert (answer.status_code, code(answer)) == (401, "unauthenticated")
    assert link.token not in answer.text
    changed = await ok(client, "/api/auth/password", {"password": PASSWORD}, token=entered["token"])
    assert changed["user"]["has_password"]
    await ok(client, "/api/auth/login", {"email": entered["user"]["email"], "password": PASSWORD})


async def test_keys(client, site):
    token = (await ok(client, "/api/auth/register", ANN, status=201))["token"]
    made = await ok(
        client, "/api/user/keys", {"name": "bot", "scopes": ["read:market"]}, token=token, status=201
    )
    text, key = made["token"], made["key"]
    assert text.startswith(f"{key['prefix']}_")
    days = datetime.fromisoformat(key["expires"]) - datetime.fromisoformat(key["created"])
    assert days.days == 90
    assert (await client.post("/api/price", headers={"X-API-Key": text})).status_code == 400
    listed = await client.get("/api/user/keys", headers={"Authorization": f"Bearer {token}"})
    assert text not in listed.text
    (seen,) = listed.json()["keys"]
    assert seen["last_used"] is not None
    assert {**seen, "last_used": None} == key
    own = f"/api/user/keys/{key['id']}"
    stranger = await site.session()
    assert await refused(client, own, token=stranger, method="DELETE") == (404, "not_found")
    await ok(client, own, token=token, method="DELETE", status=204)
    await ok(client, own, token=token, method="DELETE", status=204)
    assert (await client.post("/api/price", headers={"X-API-Key": text})).status_code == 401


async def test_a_key_may_no_more_than_its_owner(client):
    token = (await ok(client, "/api/auth/register", ANN, status=201))["token"]
    body = {"name": "bot", "scopes": ["read:market", "admin"]}
    assert await refused(client, "/api/user/keys", body, token=token) == (403, "forbidden")
    wrong = {"name": "", "scopes": ["read:everything"], "days": 0, "role": "admin"}
    answer = await client.post("/api/user/keys", json=wrong, headers={"Authorization": f"Bearer {token}"})
    fields = {error["field"] for error in answer.json()["errors"]}
    assert fields == {"/name", "/scopes/0", "/days", "/role"}


async def test_deleting_an_account(client, site):
    made = await ok(client, "/api/auth/register", {**ANN, "cookie": True}, status=201)
    token = made["token"]
    assert await refused(client, "/api/user/me", token=token, method="DELETE") == (401, "invalid_credentials")
    gone = await client.request(
        "DELETE", "/api/user/me", json={"password": PASSWORD}, headers={"Authorization": f"Bearer {token}"}
    )
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await refused(client, "/api/user/me", token=token, method="GET"))[0] == 401
    assert (await refused(client, "/api/auth/login", _login(PASSWORD)))[0] == 401
    await ok(client, "/api/auth/register", ANN, status=201)


async def test_the_last_administrator_stays(client, site):
    link = await site.world.administration.link()
    token = (await ok(client, "/api/auth/link", {"token": link.token}))["token"]
    assert await refused(client, "/api/user/me", token=token, method="DELETE") == (409, "conflict")


async def test_accounts_that_are_away(client, site):
    token = (await ok(client, "/api/auth/register", ANN, status=201))["token"]
    await site.world.account_store.aclose()
    for path, body in (("/api/auth/login", _login(PASSWORD)), ("/api/auth/register", ANN)):
        answer = await client.post(path, json=body)
        assert (answer.status_code, code(answer)) == (503, "store_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert "accounts.db" not in answer.text
    answer = await client.get("/api/user/keys", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 503
    await site.world.account_store.open()
    await ok(client, "/api/auth/login", _login(PASSWORD))
