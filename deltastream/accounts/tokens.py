"""Access tokens: JSON Web Tokens of one algorithm, signed by the ring's newest key.

A token is read only where it has the header that ours have and nothing else in it: ``alg`` is
compared, never obeyed, ``kid`` is looked up in the ring. Every claim is required and typed. PyJWT
checks signature, issuer and audience; what depends on the time of day is checked here, against the
clock's seam, because PyJWT asks the system's. What was found genuine is remembered, since reading a
token takes 100 µs and clients show the same one with every request.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Any, Final

import jwt
import msgspec

from deltastream.accounts.errors import InvalidToken
from deltastream.accounts.keyring import KeyRing, SigningKey
from deltastream.seams import Seams

__all__ = ["Claims", "Tokens"]

_ALGORITHM: Final = "HS256"
_TYPE: Final = "at+jwt"
_ISSUER: Final = "deltastream"
_LONGEST: Final = 2048
_REMEMBERED: Final = 4096
_SECOND: Final = 1_000_000_000
_LEEWAY_S: Final = 5
"""How far the clock of another host that shares the keys may be ahead of ours."""

Seconds = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an access token says.

    Attributes:
        iss: who issued it; always "deltastream".
        aud: the installation that it is for.
        sub: user id.
        sid: session.
        sv: the user's session version.
        jti: names the token.
        iat, exp: issued and expiring, seconds UTC.
    """

    iss: str
    aud: str
    sub: Id
    sid: Id
    sv: Annotated[int, msgspec.Meta(ge=1)]
    jti: Id
    iat: Seconds
    exp: Seconds


class Tokens:
    """Issues and reads access tokens.

    Args:
        ring: an open one.
        life_s: of a token.
        seams: clock and ids.
    """

    def __init__(self, ring: KeyRing, life_s: int, seams: Seams) -> None:
        self._ring = ring
        self._life_s = life_s
        self._seams = seams
        self._genuine: OrderedDict[str, tuple[SigningKey, Claims]] = OrderedDict()
        self._jwt = jwt.PyJWT(
            {
                "require": list(Claims.__struct_fields__),
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "strict_aud": True,
                "enforce_minimum_key_length": True,
            }
        )

    def issue(self, user: str, session: str, version: int, *, until: int) -> tuple[str, int]:
        """A token and when it expires, nanoseconds UTC: at the end of its life or of the session."""
        now = self._seams.clock.now_ns() // _SECOND
        claims = Claims(
            iss=_ISSUER,
            aud=self._ring.instance,
            sub=user,
            sid=session,
            sv=version,
            jti=self._seams.ids.new(),
            iat=now,
            exp=min(now + self._life_s, until // _SECOND),
        )
        key = self._ring.current
        headers = {"kid": key.id, "typ": _TYPE}
        text = self._jwt.encode(msgspec.structs.asdict(claims), key.secret, _ALGORITHM, headers)
        return text, claims.exp * _SECOND

    def read(self, text: str) -> Claims:
        """What a token says that is genuine, for us and not expired.

        Raises:
            InvalidToken: anything else, of reason "malformed", "unknown" (key) or "expired".
        """
        claims = self._claims(text)
        now = self._seams.clock.now_ns() // _SECOND
        if now >= claims.exp:
            raise InvalidToken("expired")
        if claims.iat > now + _LEEWAY_S or claims.exp > claims.iat + self._longest_life_s:
            raise InvalidToken("malformed")
        return claims

    def _claims(self, text: str) -> Claims:
        """What a token says that a key of the ring has signed for us."""
        key, claims = self._genuine.get(text, (None, None))
        if key is not None and claims is not None and claims.aud == self._ring.instance:
            if self._ring.find(key.id) == key:
                return claims
            del self._genuine[text]
        key = self._ring.find(self._key_id(text))
        if key is None:
            raise InvalidToken("unknown")
        try:
            plain = self._jwt.decode(
                text, key.secret, [_ALGORITHM], audience=self._ring.instance, issuer=_ISSUER
            )
            claims = msgspec.convert(plain, Claims)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, TypeError, RecursionError):
            raise InvalidToken("malformed") from None
        self._genuine[text] = key, claims
        if len(self._genuine) > _REMEMBERED:
            self._genuine.popitem(last=False)
        return claims

    @property
    def _longest_life_s(self) -> int:
        return max(self._life_s, 3600)

    @staticmethod
    def _key_id(text: str) -> str:
        if len(text) > _LONGEST or not text.isascii():
            raise InvalidToken("malformed")
        try:
            header: dict[str, Any] = jwt.get_unverified_header(text)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise InvalidToken("malformed") from None
        key_id = header.pop("kid", None)
        if header != {"alg": _ALGORITHM, "typ": _TYPE} or not isinstance(key_id, str):
            raise InvalidToken("malformed")
        return key_id
