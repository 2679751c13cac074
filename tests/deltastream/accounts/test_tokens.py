"""Access tokens under attack: only what this ring has signed, as it signs, is one."""

from __future__ import annotations

import base64
import hmac
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deltastream.accounts import InvalidToken, KeyRing
from deltastream.accounts.tokens import Tokens
from deltastream.seams import Seams

FAR = 1 << 62
S = 1_000_000_000


@pytest.fixture
async def ring(tmp_path: Path, seams: Seams) -> KeyRing:
    ring = KeyRing(tmp_path / "accounts.keys", token_s=900, seams=seams)
    await ring.open()
    return ring


@pytest.fixture
def tokens(ring: KeyRing, seams: Seams) -> Tokens:
    return Tokens(ring, 900, seams)


@pytest.fixture
def forge(ring: KeyRing, tokens: Tokens):
    """Makes a token that our own key has signed, with anything changed."""
    text, _ = tokens.issue("ann", "session", 1, until=FAR)
    genuine = jwt.decode(text, options={"verify_signature": False})

    def forged(
        *, drop: str = "", headers: dict[str, Any] | None = None, key: Any = None, **claims: Any
    ) -> str:
        payload = {name: value for name, value in (genuine | claims).items() if name != drop}
        header = {"kid": ring.current.id, "typ": "at+jwt"} | (headers or {})
        algorithm = header.pop("alg", "HS256")
        return jwt.encode(payload, ring.current.secret if key is None else key, algorithm, header)

    return forged


def refusal(tokens: Tokens, text: str) -> str:
    with pytest.raises(InvalidToken) as refused:
        tokens.read(text)
    assert len(text) < 4 or text not in str(refused.value)
    return refused.value.reason


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def test_a_token_says_what_it_was_issued_for(tokens: Tokens, seams: Seams, ring: KeyRing):
    text, expires = tokens.issue("ann", "session", 3, until=FAR)
    claims = tokens.read(text)
    now = seams.clock.now_ns() // S
    assert (claims.sub, claims.sid, claims.sv) == ("ann", "session", 3)
    assert (claims.iat, claims.exp) == (now, now + 900)
    assert expires == claims.exp * S
    assert (claims.iss, claims.aud) == ("deltastream", ring.instance)
    assert jwt.get_unverified_header(text) == {"alg": "HS256", "kid": ring.current.id, "typ": "at+jwt"}
    assert tokens.read(tokens.issue("ann", "session", 3, until=FAR)[0]).jti != claims.jti


async def test_a_forged_one_is_what_it_seems_to_be(forge: Any, tokens: Tokens):
    assert tokens.read(forge()).sub == "ann"  # the attacks below fail for their own reason alone


async def test_it_expires_to_the_second(tokens: Tokens, autojump_clock: Any):
    text, _ = tokens.issue("ann", "session", 1, until=FAR)
    await trio.sleep(899.9)
    tokens.read(text)
    await trio.sleep(0.2)
    assert refusal(tokens, text) == "expired"


async def test_it_ends_with_its_session(tokens: Tokens, seams: Seams):
    _, expires = tokens.issue("ann", "session", 1, until=seams.clock.now_ns() + 5 * S)
    assert 4 * S < expires - seams.clock.now_ns() <= 5 * S


async def test_none_is_no_algorithm(tokens: Tokens, forge: Any, ring: KeyRing):
    _, payload, _ = forge().split(".")
    for algorithm in ("none", "None", "NONE", "nOnE", "", None):
        header = part({"alg": algorithm, "kid": ring.current.id, "typ": "at+jwt"})
        assert refusal(tokens, f"{header}.{payload}.") == "malformed"
        assert refusal(tokens, f"{header}.{payload}.AAAA") == "malformed"


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_another_algorithm_of_the_same_key_is_refused(tokens: Tokens, forge: Any, algorithm: str):
    key = b"k" * 64
    assert refusal(tokens, forge(headers={"alg": algorithm}, key=key)) == "malformed"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "PS256", "EdDSA", "hs256", "HS256 ", 256, ["HS256"]])
async def test_the_algorithm_is_compared_not_obeyed(
    tokens: Tokens, forge: Any, ring: KeyRing, algorithm: Any
):
    _, payload, signature = forge().split(".")
    header = part({"alg": algorithm, "kid": ring.current.id, "typ": "at+jwt"})
    assert refusal(tokens, f"{header}.{payload}.{signature}") == "malformed"


@pytest.mark.parametrize(
    "key_id",
    ["../../../../dev/null", "/etc/passwd", "http://evil.example/k", "' OR '1'='1", "", "\0", "0" * 900],
)
async def test_a_key_id_leads_nowhere(tokens: Tokens, forge: Any, key_id: str):
    assert refusal(tokens, forge(headers={"kid": key_id}, key=b"\0" * 32)) == "unknown"


@pytest.mark.parametrize("key_id", [None, 7, ["a"], {"a": 1}, True])
async def test_a_key_id_is_text(tokens: Tokens, forge: Any, key_id: Any):
    _, payload, signature = forge().split(".")
    header = part({"alg": "HS256", "kid": key_id, "typ": "at+jwt"})
    assert refusal(tokens, f"{header}.{payload}.{signature}") == "malformed"


@pytest.mark.parametrize(
    "more",
    [
        {"jku": "http://evil.example/keys"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"x5u": "http://evil.example"},
        {"crit": ["exp"], "exp": 1},
        {"b64": False},
        {"typ": "JWT"},
        {"cty": "JWT"},
    ],
    ids=str,
)
async def test_a_header_that_is_not_ours_is_refused(
    tokens: Tokens, forge: Any, ring: KeyRing, more: dict[str, Any]
):
    """Though our key has signed it."""
    ours = {"alg": "HS256", "kid": ring.current.id, "typ": "at+jwt"}
    payload = forge().split(".")[1]

    def signed(header: dict[str, Any]) -> str:
        begin = f"{part(header)}.{payload}"
        signature = hmac.digest(ring.current.secret, begin.encode(), "sha256")
        return f"{begin}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"

    assert tokens.read(signed(ours)).sub == "ann"
    assert refusal(tokens, signed(ours | more)) == "malformed"


async def test_another_key_is_refused(tokens: Tokens, forge: Any):
    assert refusal(tokens, forge(key=b"x" * 32)) == "malformed"
    assert refusal(tokens, forge(headers={"kid": "f" * 16}, key=b"x" * 32)) == "unknown"


async def test_a_token_of_another_installation_is_refused(tokens: Tokens, tmp_path: Path, forge: Any):
    seams = Seams.system()
    other = KeyRing(tmp_path / "other.keys", token_s=900, seams=seams)
    await other.open()
    text, _ = Tokens(other, 900, seams).issue("ann", "session", 1, until=FAR)
    assert refusal(tokens, text) == "unknown"
    assert refusal(tokens, forge(aud=other.instance)) == "malformed"  # even with our key
    assert refusal(tokens, forge(iss="somebody")) == "malformed"


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "sid", "sv", "jti", "iat", "exp"])
async def test_every_claim_is_required(tokens: Tokens, forge: Any, claim: str):
    assert refusal(tokens, forge(drop=claim)) == "malformed"


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": 7},
        {"sub": ""},
        {"sub": None},
        {"sub": "x" * 100},
        {"sid": ["a"]},
        {"sv": "1"},
        {"sv": True},
        {"sv": 0},
        {"exp": "9999999999"},
        {"exp": 1e300},
        {"exp": True},
        {"exp": -1},
        {"iat": None},
        {"iat": 1 << 70},
        {"aud": ["somebody"]},
        {"nbf": 1},
        {"role": "admin"},
    ],
    ids=str,
)
async def test_every_claim_has_its_type_and_there_is_no_other(
    tokens: Tokens, forge: Any, claims: dict[str, Any]
):
    assert refusal(tokens, forge(**claims)) == "malformed"


async def test_an_audience_among_others_is_not_ours(tokens: Tokens, forge: Any, ring: KeyRing):
    assert refusal(tokens, forge(aud=[ring.instance, "other"])) == "malformed"


async def test_times_that_nobody_issues(tokens: Tokens, forge: Any, seams: Seams):
    now = seams.clock.now_ns() // S
    tokens.read(forge(iat=now + 5, exp=now + 905))  # the clock of another host may be ahead
    assert refusal(tokens, forge(iat=now + 6, exp=now + 906)) == "malformed"
    assert refusal(tokens, forge(exp=now + 10 * 365 * 86_400)) == "malformed"
    assert refusal(tokens, forge(exp=now)) == "expired"


async def test_not_one_bit_may_change(tokens: Tokens, forge: Any):
    text = forge()
    for place in range(0, len(text), 3):
        changed = "A" if text[place] != "A" else "B"
        spoilt = text[:place] + changed + text[place + 1 :]
        if spoilt.rsplit(".", 1)[1][-1] == text[-1]:  # the last character has bits that mean nothing
            assert refusal(tokens, spoilt) in ("malformed", "unknown")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "a.b.c.d.e",
        "\ud800.a.b",
        "\u0661.a.b",
        "e30.e30.",
        "x" * 10_000_000,
        "." * 10_000_000,
        part([1, 2]) + ".e30.AAAA",
        part("text") + ".e30.AAAA",
        base64.urlsafe_b64encode(b"[" * 1000).decode() + ".e30.AAAA",
        base64.urlsafe_b64encode(b'{"alg":' * 200).decode() + ".e30.AAAA",
    ],
    ids=lambda text: text[:12].encode("unicode_escape").decode(),
)
async def test_what_is_no_token(tokens: Tokens, text: str):
    assert refusal(tokens, text) == "malformed"


async def test_a_signed_payload_that_is_no_object(tokens: Tokens, ring: KeyRing):
    for payload in (b"[]", b"null", b"1", b"", b"\xff", b"[" * 1000):
        text = jwt.PyJWS().encode(
            payload, ring.current.secret, "HS256", {"kid": ring.current.id, "typ": "at+jwt"}
        )
        assert refusal(tokens, text) == "malformed"


async def test_any_text_is_refused_or_read(tokens: Tokens):
    @settings(max_examples=200, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.text(), st.lists(st.text("eyJ0AZ-_9.", max_size=40), max_size=5).map(".".join)))
    def refused(text: str) -> None:
        with pytest.raises(InvalidToken):
            tokens.read(text)

    refused()


async def test_a_token_outlives_the_key_that_signed_it_but_not_by_more(
    tokens: Tokens, ring: KeyRing, autojump_clock: Any
):
    text, _ = tokens.issue("ann", "session", 1, until=FAR)
    await ring.rotate()
    await trio.sleep(890)
    assert tokens.read(text).sub == "ann"
    await trio.sleep(20)
    assert refusal(tokens, text) == "unknown"


async def test_a_token_is_verified_once_and_expires_all_the_same(
    tokens: Tokens, seams: Seams, autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
):
    text, expires = tokens.issue("ann", "session", 1, until=FAR)
    first = tokens.read(text)
    monkeypatch.setattr(jwt.PyJWT, "decode", None)  # nothing verifies from here on
    assert tokens.read(text) == first
    await trio.sleep((expires - seams.clock.now_ns()) / S - 0.5)
    assert tokens.read(text) == first
    await trio.sleep(1)
    assert refusal(tokens, text) == "expired"


async def test_what_was_genuine_goes_with_its_key(
    tokens: Tokens, ring: KeyRing, tmp_path: Path, seams: Seams
):
    text, _ = tokens.issue("ann", "session", 1, until=FAR)
    tokens.read(text)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = KeyRing(elsewhere / "accounts.keys", token_s=900, seams=seams)
    await other.open()
    (elsewhere / "accounts.keys").replace(tmp_path / "accounts.keys")
    await ring.refresh()
    assert refusal(tokens, text) == "unknown"


async def test_only_so_many_tokens_are_remembered(tokens: Tokens, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("deltastream.accounts.tokens._REMEMBERED", 3)
    texts = [tokens.issue("ann", "session", 1, until=FAR)[0] for _ in range(5)]
    claims = [tokens.read(text) for text in texts]
    assert len(tokens._genuine) == 3
    assert [tokens.read(text) for text in texts] == claims
