"""Who may do what: users, sessions, tokens, API keys. Knows nothing of how requests come in."""

from deltastream.accounts._revocations import TOPIC
from deltastream.accounts.administration import Administration
from deltastream.accounts.errors import (
    AccountError,
    EmailTaken,
    InvalidCredentials,
    InvalidFields,
    InvalidToken,
    LastAdministrator,
    NotAllowed,
    NotFound,
    Outdated,
    Problem,
    TooMany,
    TooManyAttempts,
)
from deltastream.accounts.keyring import KeyRing
from deltastream.accounts.protocol import AccountStore
from deltastream.accounts.service import AccountService
from deltastream.accounts.settings import AccountSettings
from deltastream.accounts.sqlite import SqliteAccountStore
from deltastream.accounts.types import (
    ROLE_SCOPES,
    SCOPES,
    ApiKey,
    Identity,
    NewApiKey,
    NewLink,
    Profile,
    Role,
    Scope,
    SignedIn,
)

__all__ = [
    "ROLE_SCOPES",
    "SCOPES",
    "TOPIC",
    "AccountError",
    "AccountService",
    "AccountSettings",
    "AccountStore",
    "Administration",
    "ApiKey",
    "EmailTaken",
    "Identity",
    "InvalidCredentials",
    "InvalidFields",
    "InvalidToken",
    "KeyRing",
    "LastAdministrator",
    "NewApiKey",
    "NewLink",
    "NotAllowed",
    "NotFound",
    "Outdated",
    "Problem",
    "Profile",
    "Role",
    "Scope",
    "SignedIn",
    "SqliteAccountStore",
    "TooMany",
    "TooManyAttempts",
]
