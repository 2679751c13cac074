"""What can be set on accounts."""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["AccountSettings"]

_DAY_S = 86_400


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long credentials live, and what a password costs to check.

    Attributes:
        access_s: life of an access token, in seconds. Default 15 minutes.
        refresh_s: a session that is not refreshed for so long ends, in seconds. Default 30 days.
        session_s: a session ends after so long in any case, in seconds. Default 90 days.
        signing_key_s: age at which a new key begins to sign access tokens, in seconds. Default 30 days.
        bcrypt_cost: binary logarithm of the rounds; each further one doubles the time of a login, and
            of a guess. Default 12, a quarter of a second.
    """

    access_s: Annotated[int, msgspec.Meta(ge=60, le=3600)] = 900
    refresh_s: Annotated[int, msgspec.Meta(ge=3600, le=366 * _DAY_S)] = 30 * _DAY_S
    session_s: Annotated[int, msgspec.Meta(ge=3600, le=366 * _DAY_S)] = 90 * _DAY_S
    signing_key_s: Annotated[int, msgspec.Meta(ge=3600, le=366 * _DAY_S)] = 30 * _DAY_S
    bcrypt_cost: Annotated[int, msgspec.Meta(ge=10, le=16)] = 12
