"""The auth actor: accounts opened over their files, and their service kept running."""

from __future__ import annotations

from pathlib import Path

import trio

from deltastream.accounts import (
    AccountService,
    AccountSettings,
    Administration,
    KeyRing,
    NewLink,
    SqliteAccountStore,
)
from deltastream.bus import Bus
from deltastream.gateway.exposure import allows_registration
from deltastream.gateway.listening import addresses_of
from deltastream.gateway.settings import GatewaySettings
from deltastream.seams import Seams
from supervisors import Context

__all__ = ["Auth"]


class Auth:
    """Accounts of one host. Their files are made on first start, with an administrator who has no password.

    Args:
        bus: carries revocations from gateway to gateway.
        accounts: the file of the accounts.
        keys: the file of the keys that sign tokens.
        settings: of accounts.
        gateway: tells whether strangers may register, and which file of keys to use instead.
        seams: everything of the outside world.
    """

    def __init__(
        self,
        bus: Bus,
        accounts: Path,
        keys: Path,
        settings: AccountSettings,
        gateway: GatewaySettings,
        seams: Seams,
    ) -> None:
        self._bus = bus
        self._accounts = accounts
        self._own_keys = keys
        self._settings = settings
        self._gateway = gateway
        self._seams = seams
        self._service: AccountService | None = None
        self._administration: Administration | None = None

    @property
    def service(self) -> AccountService:
        """The accounts, of the present incarnation."""
        if self._service is None:
            raise RuntimeError("the accounts are not open")
        return self._service

    async def run(self, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve accounts until cancelled.

        Cancellation: records what is still to be recorded, and closes the files.

        Raises:
            CannotListen: the gateway's address would let others in by accident; before any file is made.
            DataDirectoryError: the accounts or the keys cannot be used.
            StoreUnavailable: the accounts cannot be reached now.
        """
        seams, gateway = self._seams, self._gateway
        registration = allows_registration(gateway, await addresses_of(gateway, seams))
        explicit = gateway.signing_key_file
        path = self._own_keys if explicit is None else Path(explicit)
        ring = KeyRing(path, token_s=self._settings.access_s, seams=seams, make=explicit is None)
        await ring.open()
        async with SqliteAccountStore(self._accounts, seams) as store:
            self._administration = Administration(store, seams)
            await self._administration.begin()
            self._service = AccountService(store, ring, self._settings, seams, open_registration=registration)
            await self._service.run(self._bus, task_status=task_status)

    async def first_contact(self) -> NewLink | None:
        """A link for the first administrator; None where one can log in without.

        Cancellation: a link may have been made.
        """
        return None if self._administration is None else await self._administration.first_contact()

    async def is_waiting(self) -> bool:
        """Whether no administrator can log in but by a link.

        Cancellation: no effect.
        """
        return self._administration is not None and not await self._administration.has_administrator()

    async def lets_in(self, link: NewLink) -> bool:
        """Whether a link is still good.

        Cancellation: no effect.
        """
        return self._administration is not None and await self._administration.lets_in(link.token)
