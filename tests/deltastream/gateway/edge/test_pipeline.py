"""From a path to a handler: who, whether, how often and what; and back."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
import trio

from deltastream.accounts import ROLE_SCOPES, SCOPES

JSON_TYPE = ("content-type", "application/json")


# finding the route


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/public", "GET, HEAD, OPTIONS"),
        ("PUT", "/order", "DELETE, OPTIONS, POST"),
        ("GET", "/order", "DELETE, OPTIONS, POST"),
        ("HEAD", "/order", "DELETE, OPTIONS, POST"),
        ("TRACE", "/public", "GET, HEAD, OPTIONS"),
        ("BREW", "/public", "GET, HEAD, OPTIONS"),
        ("PATCH", "/market/NIFTY", "GET, HEAD, OPTIONS"),
    ],
)
async def test_another_method_is_told_which_there_are(edge: Any, method: str, path: str, allow: str):
    reply = await edge.client()(method, path)
    assert (reply.status, reply.headers["allow"]) == (405, allow)
    if method != "HEAD":
        assert reply.code == "method_not_allowed"


async def test_options_tells_the_methods(edge: Any):
    reply = await edge.client()("OPTIONS", "/order")
    assert (reply.status, reply.headers["allow"], reply.body) == (204, "DELETE, OPTIONS, POST", b"")
    assert "content-length" not in reply.headers
    assert (await edge.client()("OPTIONS", "/nowhere")).code == "not_found"
    assert (await edge.client()("OPTIONS", "*")).code == "not_found"


async def test_no_header_changes_the_method(edge: Any):
    for name in ("x-http-method-override", "x-http-method", "x-method-override"):
        reply = await edge.client()("GET", "/public", [(name, "DELETE")])
        assert reply.status == 200
    assert (await edge.client()("POST", "/public?_method=GET")).status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/", "/nowhere", "/public/", "//public", "/public//", "/./public", "/x/../public", "/PUBLIC",
        "/market", "/market/", "/market/A/B", "/public;x", "/public.json", "/%2e/public", "*", "/public%20",
    ],
)  # fmt: skip
async def test_a_path_is_what_it_is(edge: Any, path: str):
    assert (await edge.client()("GET", path)).code == "not_found"


@pytest.mark.parametrize(
    "path",
    ["/market/..", "/market/%2e%2e", "/market/nifty", "/market/A%20B", "/market/%C3%A9", "/market/'--"],
)
async def test_what_stands_in_a_path_is_checked(edge: Any, path: str):
    reply = await edge.client()("GET", path, [edge.bearer])
    assert (reply.code, reply.json["errors"][0]["where"]) == ("invalid_request", "path")


async def test_an_encoded_path_is_the_same_path(edge: Any):
    assert (await edge.client()("GET", "/%70ublic")).status == 200
    assert (await edge.client()("GET", "/market/%4eIFTY", [edge.bearer])).json["product"] == "NIFTY"


@pytest.mark.parametrize("query", ["n=1&n=2", "m=1", "n=", "n=%ff", "n=x", "%00=1", "n=1&&&m", "?", "=", "n"])
async def test_what_stands_in_a_query_is_checked(edge: Any, query: str):
    reply = await edge.client()("GET", f"/market/NIFTY?{query}", [edge.bearer])
    assert reply.code == "invalid_request"


# who


async def test_nobody_is_told_what_is_needed(edge: Any):
    reply = await edge.client()("GET", "/market/NIFTY")
    assert (reply.code, reply.headers["www-authenticate"]) == (
        "unauthenticated",
        'Bearer realm="deltastream"',
    )


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Bearer nonsense")],
        [("authorization", "Bearer ")],
        [("authorization", "Bearer")],
        [("authorization", "")],
        [("authorization", "Basic YTpi")],
        [("authorization", "Bearer \xff\xfe")],
        [("authorization", "Bearer ds_aaaa_bbbb")],
        [("x-api-key", "")],
        [("x-api-key", "ds_0123456789_" + "a" * 43)],
        [("x-api-key", "x" * 5000)],
    ],
)
@pytest.mark.parametrize("path", ["/market/NIFTY", "/public"])
async def test_a_credential_that_is_none_lets_nobody_in(edge: Any, headers: Any, path: str):
    reply = await edge.client()("GET", path, headers)
    assert reply.code == "unauthenticated"
    assert reply.headers["www-authenticate"].startswith("Bearer ")


async def test_two_credentials_are_none(edge: Any):
    key = await edge.key("read:market")
    for headers in (
        [edge.bearer, ("x-api-key", key)],
        [edge.bearer, edge.bearer],
        [("x-api-key", key), ("x-api-key", key)],
    ):
        assert (await edge.client()("GET", "/market/NIFTY", headers)).code == "unauthenticated"


async def test_a_token_and_both_forms_of_a_key_let_in(edge: Any):
    key = await edge.key("read:market")
    for header in (edge.bearer, ("authorization", f"bearer  {key}"), ("x-api-key", key)):
        assert (await edge.client()("GET", "/market/NIFTY", [header])).status == 200


async def test_a_token_lets_in_until_it_expires(edge: Any, autojump_clock: Any):
    ask = edge.client()
    await trio.sleep(899)
    assert (await ask("GET", "/market/NIFTY", [edge.bearer])).status == 200
    await trio.sleep(1.5)
    reply = await ask("GET", "/market/NIFTY", [edge.bearer])
    assert 'error_description="expired"' in reply.headers["www-authenticate"]


async def test_a_token_lets_in_until_its_session_ends(edge: Any):
    ask = edge.client()
    assert (await ask("GET", "/market/NIFTY", [edge.bearer])).status == 200
    await edge.accounts.logout(await edge.accounts.authenticate(edge.token))
    assert (await ask("GET", "/market/NIFTY", [edge.bearer])).code == "unauthenticated"


@pytest.mark.parametrize(
    ("path", "needs"), [("/market/NIFTY", "read:market"), ("/dear", "read:history"), ("/admin", "admin")]
)
@pytest.mark.parametrize("scope", SCOPES)
async def test_a_key_may_what_its_scopes_say(edge: Any, path: str, needs: str, scope: str):
    if scope in ROLE_SCOPES["user"]:
        reply = await edge.client()("GET", path, [("x-api-key", await edge.key(scope))])
        assert reply.status == (200 if scope == needs else 403)
        if scope != needs:
            assert f'scope="{needs}"' in reply.headers["www-authenticate"]
    else:
        reply = await edge.client()("GET", "/admin", [edge.bearer])  # no user has it
        assert reply.code == "forbidden"


async def test_a_key_is_no_session(edge: Any):
    reply = await edge.client()(
        "POST", "/session", [("x-api-key", await edge.key("read:market")), JSON_TYPE], b'{"size":1}'
    )
    assert reply.code == "forbidden"
    reply = await edge.client()("POST", "/session", [edge.bearer, JSON_TYPE], b'{"size":1}')
    assert (reply.status, reply.json) == (201, {"size": 1, "kind": "a"})


async def test_who_may_not_learns_nothing_of_the_schema(edge: Any):
    assert (await edge.client()("GET", "/market/nonsense?x=1")).code == "unauthenticated"
    assert (await edge.client()("POST", "/session", body=b"nonsense")).code == "unauthenticated"


# how often


async def test_strangers_share_the_bucket_of_their_address(edge: Any, autojump_clock: Any):
    ask = edge.client(limits={"strangers_per_minute": 60, "strangers_burst": 3})
    replies = [await ask("GET", "/public", peer="203.0.113.1") for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert replies[0].headers["ratelimit"] == '"address";r=2;t=1'
    assert replies[0].headers["ratelimit-policy"] == '"address";q=3;w=3'
    refused = replies[-1]
    assert (refused.code, refused.headers["ratelimit"]) == ("too_many_requests", '"address";r=0;t=1')
    assert refused.headers["retry-after"] == "1"
    assert refused.json["retry_after_s"] == 1
    assert (await ask("GET", "/public", peer="203.0.113.2")).status == 200
    assert (await ask("GET", "/market/NIFTY", [edge.bearer], peer="203.0.113.1")).status == 200
    await trio.sleep(1)
    assert (await ask("GET", "/public", peer="203.0.113.1")).status == 200


async def test_an_ipv6_network_is_one_address(edge: Any, autojump_clock: Any):
    ask = edge.client(limits={"strangers_burst": 2})
    codes = [(await ask("GET", "/public", peer=f"2001:db8:0:1::{n:x}")).status for n in range(1, 4)]
    assert codes == [200, 200, 429]
    assert (await ask("GET", "/public", peer="2001:db8:0:2::1")).status == 200


async def test_what_is_refused_costs_as_well(edge: Any, autojump_clock: Any):
    for headers, path in (
        ((), "/nowhere"),
        ((), "/market/NIFTY"),
        ((("authorization", "Bearer x"),), "/market/NIFTY"),
        ((("authorization", "Bearer x"),), "/free"),
        ((("authorization", "Basic x"),), "/public"),
    ):
        ask = edge.client(limits={"strangers_burst": 2})
        codes = [(await ask("GET", path, headers)).status for _ in range(3)]
        assert codes[2] == 429, path
        assert 429 not in codes[:2]


async def test_a_user_and_each_key_have_a_bucket(edge: Any, autojump_clock: Any):
    ask = edge.client(limits={"requests_per_minute": 60, "burst": 20})
    key = ("x-api-key", await edge.key("read:market", "read:history"))
    first = await ask("GET", "/dear", [edge.bearer])
    assert first.headers["ratelimit"] == '"user";r=10;t=10'
    assert (await ask("GET", "/market/NIFTY", [edge.bearer])).headers["ratelimit"] == '"user";r=9;t=11'
    assert (await ask("GET", "/dear", [edge.bearer])).code == "too_many_requests"
    assert (await ask("GET", "/dear", [key])).status == 200
    assert (await ask("GET", "/admin", [edge.bearer])).headers["ratelimit"].startswith('"user";r=8')
    assert (await ask("GET", "/dear", [edge.bearer], peer="203.0.113.9")).code == "too_many_requests"


async def test_what_costs_nothing_is_never_refused(edge: Any):
    ask = edge.client(limits={"strangers_burst": 1})
    replies = [await ask("GET", "/free") for _ in range(5)]
    assert {reply.status for reply in replies} == {200}
    assert "ratelimit" not in replies[0].headers


# what


async def test_a_body_is_read_and_checked(edge: Any):
    ask = edge.client()
    for body in (b'{"size":3,"kind":"b"}', [b'{"size":3', b"", b',"kind":"b"}']):
        assert (await ask("POST", "/order", [JSON_TYPE], body)).json == {"size": 3, "kind": "b"}
    assert (await ask("POST", "/order", [JSON_TYPE], b'{"size":0,"kind":"c"}')).code == "invalid_request"
    assert (await ask("POST", "/order", [JSON_TYPE], b"{")).code == "malformed_body"
    assert (await ask("POST", "/order", [JSON_TYPE])).code in ("malformed_body", "invalid_request")
    assert (await ask("POST", "/order", [("content-type", "text/xml")], b"<a/>")).status == 415
    assert (await ask("POST", "/order", [JSON_TYPE, JSON_TYPE], b'{"size":1}')).status == 400
    packed = gzip.compress(b'{"size":3}')
    reply = await ask("POST", "/order", [JSON_TYPE, ("content-encoding", "gzip")], packed)
    assert reply.code == "unsupported_media_type"


async def test_a_body_where_none_is_taken_is_refused(edge: Any):
    assert (await edge.client()("GET", "/free", body=b"x")).code == "malformed_body"
    assert (await edge.client()("DELETE", "/order", body=b"{}")).code == "malformed_body"
    assert (await edge.client()("GET", "/free", body=b"")).status == 200


async def test_a_route_says_how_long_its_body_may_be(edge: Any):
    reply = await edge.client()("POST", "/order", [JSON_TYPE], b" " * ((16 << 10) + 1))
    assert reply.code == "body_too_large"
    reply = await edge.client()("POST", "/order", [JSON_TYPE], [b" " * (16 << 10), b" "])
    assert reply.code == "body_too_large"


async def test_cookies_come_to_the_handler(edge: Any):
    ask = edge.client()
    headers = [("cookie", "a=1; b=two; a=3; ;=; c; d=x=y"), ("cookie", "e=5")]
    assert (await ask("GET", "/public", headers)).json["cookies"] == {
        "a": "1", "b": "two", "": "", "d": "x=y", "e": "5",
    }  # fmt: skip


# the answer


async def test_a_cookie_is_for_us_alone(edge: Any):
    reply = await edge.client()("DELETE", "/order")
    assert (reply.status, reply.body) == (204, b"")
    cookies = [value for name, value in reply.fields if name == "set-cookie"]
    assert cookies == [
        "a=1; Max-Age=60; Path=/order; HttpOnly; SameSite=Strict",
        "b=; Max-Age=0; Path=/order; HttpOnly; SameSite=Strict",
    ]
    reply = await edge.client()("DELETE", "/order", scheme="https")
    assert all(value.endswith("; Secure") for name, value in reply.fields if name == "set-cookie")
    assert not {"content-length", "content-type"} & reply.headers.keys()


@pytest.mark.parametrize("path", ["/public", "/chain", "/nowhere", "/does"])
@pytest.mark.parametrize("coding", ["gzip", ""])
async def test_head_answers_as_get_without_the_body(edge: Any, path: str, coding: str):
    ask = edge.client()
    named = [("x-request-id", "same"), ("accept-encoding", coding)]
    got, head = await ask("GET", path, named), await ask("HEAD", path, named)
    assert (head.status, head.body) == (got.status, b"")
    limits = ("ratelimit", "ratelimit-policy")
    assert [field for field in head.fields if field[0] not in limits] == [
        field for field in got.fields if field[0] not in limits
    ]
    assert int(head.headers["content-length"]) == len(got.body) > 0


async def test_the_form_is_what_the_client_likes(edge: Any):
    ask = edge.client()
    assert (await ask("GET", "/chain")).headers["content-type"] == "application/json"
    csv = await ask("GET", "/chain", [("accept", "text/csv")])
    assert csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert csv.body.startswith(b"strike,bid\r\n")
    several = await ask("GET", "/chain", [("accept", "image/png"), ("accept", "text/csv")])
    assert several.body == csv.body
    refused = await ask("GET", "/chain", [("accept", "image/png")])
    assert refused.code == "not_acceptable"
    assert "text/csv" in refused.json["detail"]


async def test_a_snapshot_that_is_known_is_not_sent_again(edge: Any):
    ask = edge.client()
    first = await ask("GET", "/chain")
    tag = first.headers["etag"]
    assert tag == '"e1-7"'
    assert first.headers["cache-control"] == "private, no-cache"
    assert "accept-encoding" in first.headers["vary"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        reply = await ask("GET", "/chain", [("if-none-match", known)])
        assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", tag)
        assert not {"content-length", "content-type", "content-encoding"} & reply.headers.keys()
        assert reply.headers["cache-control"] == "private, no-cache"
        assert (await ask("HEAD", "/chain", [("if-none-match", known)])).status == 304
    for other in ('"x"', "e1-7", "", '"e1-7.1"'):
        assert (await ask("GET", "/chain", [("if-none-match", other)])).status == 200
    assert (await ask("GET", "/public", [("if-none-match", "*")])).status == 200


async def test_each_form_of_a_snapshot_has_its_tag(edge: Any):
    ask = edge.client()
    forms = [(), [("accept", "text/csv")], [("accept-encoding", "gzip")]]
    forms.append([*forms[1], *forms[2]])
    tags = [(await ask("GET", "/chain", form)).headers["etag"] for form in forms]
    assert len(set(tags)) == 4
    for form, tag in zip(forms, tags, strict=True):
        reply = await ask("GET", "/chain", [*form, ("if-none-match", tag)])
        assert (reply.status, reply.headers["etag"]) == (304, tag)
    assert (await ask("GET", "/chain", [*forms[1], ("if-none-match", tags[0])])).status == 200


async def test_a_long_answer_is_compressed_where_that_is_accepted(edge: Any):
    ask = edge.client()
    plain = await ask("GET", "/chain")
    assert "content-encoding" not in plain.headers
    packed = await ask("GET", "/chain", [("accept-encoding", "br, gzip")])
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 3
    assert packed.body == (await ask("GET", "/chain", [("accept-encoding", "gzip")])).body
    for refusing in ("gzip;q=0", "br", "identity"):
        assert (await ask("GET", "/chain", [("accept-encoding", refusing)])).body == plain.body
    short = await ask("GET", "/public", [("accept-encoding", "gzip")])
    assert "content-encoding" not in short.headers
    forced = await ask("GET", "/public", [("accept-encoding", "gzip, identity;q=0")])
    assert forced.headers["content-encoding"] == "gzip"
    assert (await ask("GET", "/chain", [("accept-encoding", "identity;q=0")])).code == "not_acceptable"


async def test_a_part_of_an_answer_is_not_offered(edge: Any):
    reply = await edge.client()("GET", "/chain", [("range", "bytes=0-9")])
    assert reply.status == 200
    assert len(reply.body) > 1000
