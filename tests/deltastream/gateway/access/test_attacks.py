"""What people try: forged tokens, replays, injections, paths, and guessing who has an account."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import statistics
import time
from itertools import product

import bcrypt
import jwt
import msgspec
import pytest

from deltastream.accounts import KeyRing
from deltastream.seams import Seams

PASSWORD = "correct horse"
ME = "/api/user/me"
INJECTIONS = (
    "' OR '1'='1",
    '" OR ""="',
    "'; DROP TABLE users; --",
    "1) UNION SELECT password_hash FROM users--",
    "%27%20OR%201=1",
    "admin'/*",
    "\x00",
    "\ud800",
    "../../../../etc/passwd",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "_" * 64,
    "%",
    "0123456789abcdef' --",
)
NOSQL = ({"$ne": None}, {"$gt": ""}, {"$where": "1"}, ["a"], 1, True, None, {"email": {"$regex": ".*"}})
"""What a query of a document store would take for an operator."""


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: dict, claims: dict, secret: bytes = b"") -> str:
    body = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{body}.{b64(hmac.digest(secret, body.encode(), 'sha256')) if secret else ''}"


async def get_me(client, token: str):
    return await client.get(ME, headers=[(b"authorization", b"Bearer " + token.encode("latin1"))])


@pytest.mark.usefixtures("autojump_clock")
class TestTokens:
    async def test_forged_headers_and_claims(self, site, client):
        """Each differs from a genuine token in one thing."""
        token = await site.session()
        assert (await get_me(client, token)).status_code == 200
        header, claims = (
            jwt.get_unverified_header(token),
            jwt.decode(token, options={"verify_signature": False}),
        )
        secret = msgspec.json.decode(site.world.data_dir.signing_keys.read_bytes())["keys"][-1]["secret"]
        key = base64.b64decode(secret)
        assert (await get_me(client, signed(header, claims, key))).status_code == 200  # so the rest counts
        kid = header["kid"]
        headers = [
            {**header, "alg": "none"},
            {**header, "alg": "None"},
            {**header, "alg": "HS512"},
            {**header, "alg": "RS256"},
            {**header, "alg": ["HS256"]},
            {**header, "typ": "JWT"},
            {**header, "kid": None},
            {**header, "kid": 0},
            {**header, "kid": "0" * 16},
            {**header, "kid": "../../../../dev/null"},
            {**header, "kid": f"../{kid}"},
            {**header, "kid": f"{kid} "},
            {**header, "kid": "' UNION SELECT 'x"},
            {**header, "jwk": {"kty": "oct", "k": b64(key)}},
            {**header, "jku": "http://127.0.0.1:9/keys"},
            {**header, "x5u": "http://127.0.0.1:9/cert"},
            {**header, "crit": ["exp"]},
            {**header, "zip": "DEF"},
            {name: value for name, value in header.items() if name != "typ"},
        ]
        other = [
            {**claims, "aud": "0" * 16},
            {**claims, "aud": [claims["aud"]]},
            {**claims, "iss": "somebody"},
            {**claims, "exp": claims["exp"] + 7200},
            {**claims, "exp": str(claims["exp"])},
            {**claims, "exp": 10**30},
            {**claims, "iat": claims["iat"] + 60},
            {**claims, "sv": 2},
            {**claims, "sub": "0" * 16},
            {**claims, "sub": 1},
            {**claims, "sid": "0" * 16},
            {**claims, "role": "admin"},
            {**claims, "nbf": claims["exp"]},
            *({name: value for name, value in claims.items() if name != left} for left in claims),
        ]
        forged = [signed(each, claims, key) for each in headers] + [
            signed(header, each, key) for each in other
        ]
        forged += [signed(each, claims) for each in headers[:3]]
        forged += [signed(header, claims, wrong) for wrong in (b"\0" * 32, b"secret", kid.encode(), key[:-1])]
        for number, text in enumerate(forged):
            answer = await get_me(client, text)
            assert (answer.status_code, number) == (401, number)

    async def test_broken_tokens(self, site, client):
        token = await site.session()
        head, body, signature = token.split(".")
        longer = f"{head}.{body}.{signature}A"
        empty = b64(b"{}")
        deep = b64(b"[" * 100_000)
        texts = [
            "..", ".", "a.b.c", f"{head}.{body}", f"{head}.{body}.", f"{head}..{signature}", longer,
            f"{token} ", f" {token}x", token[:-1], f"{token}.{signature}", f"{empty}.{empty}.{empty}",
            f"{head}.{deep}.{signature}"[:15_000], f"{head}={'.'}{body}.{signature}", "\xff\xfe", "A" * 4000,
            f"{head}.{body}.{signature}\tx", head.swapcase() + f".{body}.{signature}",
        ]  # fmt: skip
        for text in texts:
            if text.strip() != token:
                assert (await get_me(client, text)).status_code == 401, text[:80]

    async def test_the_public_key_trick(self, site, client):
        """What verifies must not be used as a secret: here only secrets verify, and none is public."""
        token = await site.session()
        claims = jwt.decode(token, options={"verify_signature": False})
        header = jwt.get_unverified_header(token)
        for public in (header["kid"], claims["aud"], claims["iss"], json.dumps(header)):
            assert (await get_me(client, signed(header, claims, public.encode()))).status_code == 401

    async def test_a_token_of_another_installation(self, site, client, tmp_path):
        """Even one that has got hold of the same keys issues for itself alone."""
        token = await site.session()
        own = site.world.data_dir.signing_keys
        ring = KeyRing(tmp_path / "other.keys", token_s=900, seams=Seams.system())
        plain = msgspec.json.decode(own.read_bytes())
        claims = jwt.decode(token, options={"verify_signature": False})
        key = base64.b64decode(plain["keys"][-1]["secret"])
        (tmp_path / "other.keys").write_bytes(msgspec.json.encode({**plain, "instance": "f" * 16}))
        (tmp_path / "other.keys").chmod(0o600)
        await ring.open()
        stranger = signed(jwt.get_unverified_header(token), {**claims, "aud": ring.instance}, key)
        assert (await get_me(client, stranger)).status_code == 401

    async def test_one_credential_is_no_other(self, site, client):
        """Refresh tokens, links and hashes of keys let nobody in where access tokens do."""
        signed_in = await site.world.accounts.login(await site.somebody(), PASSWORD)
        link = await site.world.administration.link()
        key = await site.key("read:market")
        for text in (
            signed_in.refresh,
            link.token,
            key[:-1],
            key.upper(),
            hashlib.sha256(key.encode()).hexdigest(),
        ):
            assert (await get_me(client, text)).status_code == 401
        for path, name in (("/api/auth/refresh", "refresh_token"), ("/api/auth/link", "token")):
            for text in (signed_in.access, key, link.token if name == "refresh_token" else signed_in.refresh):
                assert (await client.post(path, json={name: text})).status_code == 401
        assert (await client.post("/api/auth/link", json={"token": link.token})).status_code == 200


@pytest.mark.usefixtures("autojump_clock")
class TestInjection:
    async def test_in_every_field_of_every_body(self, site, client, routes, bearer):
        """Whatever it is, it is text: refused or looked for, never obeyed."""
        headers = bearer(await site.session("admin"))
        before = await site.world.account_store.users()
        bodies = [route for route in routes if route.body is not None and route.path.startswith("/api/auth")]
        bodies += [route for route in routes if route.body is not None and route.path.startswith("/api/user")]
        assert len(bodies) >= 9
        for route in bodies:
            kinds = getattr(route.body, "__args__", (route.body,))
            struct = next(kind for kind in kinds if hasattr(kind, "__struct_fields__"))
            names = struct.__struct_fields__
            fine = {name: "somebody@example.org" if name == "email" else "x" * 12 for name in names}
            fine = {name: value for name, value in fine.items() if name not in ("cookie", "days", "scopes")}
            for name, value in product(fine, (*INJECTIONS, *NOSQL)):
                answer = await client.request(
                    route.method,
                    route.path,
                    content=json.dumps({**fine, name: value}),
                    headers={"Content-Type": "application/json"}
                    | (headers if route.scope == "session" else {}),
                )
                assert answer.status_code < 500, (route.path, name, value, answer.text)
                assert answer.status_code >= 400 or "email" not in names or name in ("name", "password")
        after = await site.world.account_store.users()
        assert [user.email for user in after][: len(before)] == [user.email for user in before]

    async def test_in_every_parameter_of_a_path_or_query(self, site, client, routes, bearer):
        headers = bearer(await site.session("admin"))
        for route in routes:
            for text in INJECTIONS:
                if "\ud800" in text:
                    continue  # no address can hold it
                target = route.path
                for name in route.in_path:
                    target = target.replace(f"{{{name}}}", _quoted(text))
                for query in (
                    "",
                    f"?{_quoted(text)}",
                    f"?group={_quoted(text)}&group=x",
                    f"?x={_quoted(text)}",
                ):
                    if route.method != "GET" and not route.in_path:
                        continue
                    answer = await client.request(route.method, f"{target}{query}", headers=headers)
                    assert answer.status_code < 500, (route.path, text, answer.text)
        assert await site.world.account_store.users()

    async def test_secrets_are_in_no_answer(self, site, client, bearer):
        """Nothing that helps to log in is told: not to its owner, not in an error."""
        email = await site.somebody("admin")
        user = await site.world.account_store.user_by_email(email)
        headers = bearer((await site.world.accounts.login(email, PASSWORD)).access)
        for path in (ME, "/api/user/keys", "/api/system/tree", "/metrics", "/ready"):
            text = (await client.get(path, headers=headers)).text
            assert user.password_hash not in text
            assert "$2b$" not in text


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


PATHS = (
    "/login/../../../etc/passwd",
    "/login/..%2f..%2fsettings.py",
    "/login/%2e%2e/%2e%2e/settings.py",
    "/login/..%5c..%5csettings.py",
    "/login/....//settings.py",
    "/login//etc/passwd",
    "//etc/passwd",
    "/login/login.html",
    "/login/login.js%00.css",
    "/login/login.js/",
    "/login/LOGIN.JS",
    "/login/.",
    "/login/",
    "/pages/login/login.js",
    "/static/login.js",
    "/.git/config",
    "/deltastream/gateway/settings.py",
    "/login/%252e%252e/settings.py",
    "/login/login.js;x=.py",
    "/file:///etc/passwd",
)


@pytest.mark.parametrize("path", PATHS)
async def test_only_the_files_of_the_table_are_served(path, site, autojump_clock):
    """The path as it is, without what a client would make of it."""
    status, body = await raw_get(site, path.encode())
    assert status in (400, 404)
    assert b"urn:deltastream:problem:" in body


async def raw_get(site, target: bytes):
    path, _, query = target.partition(b"?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path.decode("latin1"), "raw_path": path, "query_string": query, "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000")], "client": ("127.0.0.1", 4000), "server": None,
        "extensions": {},
    }  # fmt: skip
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    await site.app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


async def test_bcrypt_runs_once_for_whoever_it_is(site, client, autojump_clock, monkeypatch):
    """The same work for an unknown email as for a wrong password: time follows from it."""
    email, calls = await site.somebody(), []
    real = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        calls.append(hashed[:7])
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    passwords = ("wrong horse", "", "x" * 80, "\x00", "ü" * 500)
    for number, (who, password) in enumerate(product((email, "nobody@example.org", "no email"), passwords)):
        async with site.visitor(f"198.51.100.{number}") as visitor:
            answer = await visitor.post("/api/auth/login", json={"email": who, "password": password})
        if answer.status_code == 401:
            assert calls == [b"$2b$04$"], (who, password)
        else:
            assert (answer.status_code, calls) == (429, [])
        calls.clear()


@pytest.mark.slow
async def test_time_does_not_tell_who_has_an_account(site):
    """Medians of interleaved logins, known and unknown, differ by less than their own spread."""
    emails = [await site.somebody() for _ in range(200)]
    taken: dict[bool, list[float]] = {True: [], False: []}
    for number, email in enumerate(emails):
        for known in (True, False):
            async with site.visitor(f"198.51.{100 + known}.{number}") as visitor:
                who = email if known else f"nobody{number}@example.org"
                began = time.perf_counter()
                answer = await visitor.post("/api/auth/login", json={"email": who, "password": "wrong horse"})
                taken[known].append(time.perf_counter() - began)
                assert answer.status_code == 401
    difference = abs(statistics.median(taken[True]) - statistics.median(taken[False]))
    quartiles = statistics.quantiles(taken[True] + taken[False], n=4)
    assert difference < max((quartiles[2] - quartiles[0]) / 2, 0.05 * quartiles[1])
