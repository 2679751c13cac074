"""The first contact: one link by which the first administrator logs in and sets a password.

As with notebook servers it is told to whoever started the host: in the live view, or else on standard
error, in plain words. It is no log line, and where standard error is the system's journal, from which
lines are shipped and kept, only the command is told that prints another.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog
from rich.text import Text

from deltastream.cli._output import age
from deltastream.errors import DeltaStreamError
from deltastream.gateway.exposure import login_link

if TYPE_CHECKING:
    from deltastream.accounts import NewLink
    from deltastream.host.tree import Host

__all__ = ["Welcome"]

log = structlog.get_logger("deltastream.view")

COMMAND: Final = "deltastream user link"
_LOOK_S: Final = 2.0


class Welcome:
    """The link of one start, shown as long as it is good; what to do, until somebody has set a password."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._made: NewLink | None = None
        self._link = ""
        self._used = False
        self._looked_at = 0

    async def prepare(self) -> None:
        """Make the link, where there is reason to.

        Cancellation: a link may have been made.
        """
        edge = self._host.edge
        url = self._host.gateway_url
        if edge is None or url is None:
            return
        try:
            self._made = await edge.first_contact()
            if self._made is not None:
                self._link = login_link(url, self._made.token)
            elif await edge.auth.is_waiting():
                log.warning("no_administrator", remedy=COMMAND)
        except DeltaStreamError as error:
            log.warning("no_first_contact", error=str(error), remedy=COMMAND)

    async def refresh(self) -> None:
        """Learn whether the link is still of use; looks every two seconds.

        Cancellation: no effect.
        """
        now, edge = self._host.seams.clock.now_ns(), self._host.edge
        if self._made is None or edge is None or now - self._looked_at < _LOOK_S * 1e9:
            return
        self._looked_at = now
        with suppress(DeltaStreamError):
            if not await edge.auth.is_waiting():
                self._made = None
            elif now < self._made.expires:
                self._used = not await edge.auth.lets_in(self._made)

    def tell(self) -> None:
        """Say it on standard error."""
        if self._made is None:
            return
        said = f"No administrator has a password yet. `{COMMAND}` prints a link that logs in.\n"
        if not _is_journal(2):
            said = (
                "No administrator has a password yet. Open this, once, within ten minutes, to log in and"
                f" set one:\n\n    {self._link}\n\n`{COMMAND}` prints another.\n\n"
            )
        with suppress(OSError, ValueError, AttributeError):  # nobody reads it
            sys.stderr.write(said)
            sys.stderr.flush()

    def lines(self, width: int) -> list[Text]:
        """Of the live view."""
        if self._made is None:
            return []
        left = (self._made.expires - self._host.seams.clock.now_ns()) / 1e9
        if self._used or left <= 0:
            ended = "been used or replaced" if self._used else "expired"
            told = (
                f"The link has {ended}, and no administrator has a password yet.",
                f"{COMMAND} makes another.",
                "",
            )
            return [Text(line, "yellow") for line in told]
        said = Text("No administrator has a password yet. To log in once and set one, ", "bold yellow")
        said.append(f"open within {age(left)}:")
        said.truncate(width)
        style = f"bold link {self._link}"  # whoever cannot copy a folded line can click on it
        rows = [self._link[at : at + width] for at in range(0, len(self._link), max(width, 1))]
        return [said, *(Text(row, style) for row in rows), Text()]


def _is_journal(descriptor: int) -> bool:
    """Whether the system's journal reads it."""
    told = os.environ.get("JOURNAL_STREAM", "")
    with suppress(OSError):
        status = os.fstat(descriptor)
        return told == f"{status.st_dev}:{status.st_ino}"
    return False
