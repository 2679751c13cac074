"""``deltastream key``: credentials for programs, and what signs everybody's tokens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deltastream.cli._options import as_json, configured, load_configuration

if TYPE_CHECKING:
    from deltastream.accounts import Administration, ApiKey

__all__ = ["key"]

_SCOPES = ("read:market", "read:history", "read:system", "write:alerts", "admin")


@click.group()
def key() -> None:
    """List, create and revoke API keys.

    Works on the data directory, beside a running host or without one. A program shows its key to the
    gateway as `Authorization: Bearer ds_…` or as `X-API-Key: ds_…`.
    """


@key.command("list")
@click.option("--user", "email", metavar="EMAIL", help="Only those of this user.")
@configured
@as_json
def list_keys(email: str | None, config: str | None, data_dir: str | None, as_json: bool) -> None:
    """List API keys, oldest first; of each only its public beginning."""
    from deltastream.cli._accounts import administer
    from deltastream.cli._output import clean, console, instant, iso, print_json, table
    from deltastream.seams import Seams

    settings = load_configuration(config, data_dir).settings
    keys = administer(settings, lambda accounts: accounts.keys(email))
    now = Seams.system().clock.now_ns()
    if as_json:
        return print_json(
            [
                {
                    "id": one.id,
                    "user": owner.email,
                    "name": one.name,
                    "prefix": f"ds_{one.prefix}",
                    "scopes": one.scopes,
                    "created": iso(one.created),
                    "expires": iso(one.expires),
                    "last_used": None if one.last_used is None else iso(one.last_used),
                    "state": _state(one, now),
                }
                for owner, one in keys
            ]
        )
    if not keys:
        return click.echo("No API keys.")
    shown = table("key", "user", "name", "scopes", "expires", "last used", "state")
    for owner, one in keys:
        used = "never" if one.last_used is None else instant(one.last_used)
        cells = (clean(owner.email), clean(one.name), " ".join(one.scopes), instant(one.expires), used)
        shown.add_row(f"ds_{one.prefix}", *cells, _state(one, now))
    return console().print(shown)


def _state(one: ApiKey, now: int) -> str:
    if one.revoked is not None:
        return "revoked"
    return "expired" if now >= one.expires else "valid"


@key.command()
@click.argument("email")
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(_SCOPES),
    help="What it may do; may be given several times.",
)
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, 366), help="When it expires.")
@configured
@as_json
def create(
    email: str,
    name: str,
    scopes: tuple[str, ...],
    days: int,
    config: str | None,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Create an API key of the user EMAIL and print it, this once.

    It may never do more than its user.
    """
    from deltastream.cli._accounts import administer
    from deltastream.cli._output import iso, print_json

    settings = load_configuration(config, data_dir).settings
    made = administer(settings, lambda accounts: accounts.create_key(email, name, scopes, days))
    if as_json:
        return print_json(
            {
                "id": made.key.id,
                "key": made.text,
                "scopes": made.key.scopes,
                "expires": iso(made.key.expires),
            }
        )
    click.echo("Keep it: it cannot be shown again.", err=True)
    return click.echo(made.text)


@key.command()
@click.argument("keys", nargs=-1, required=True)
@configured
def revoke(keys: tuple[str, ...], config: str | None, data_dir: str | None) -> None:
    """Revoke API keys, named by id or by their beginning as `key list` shows it."""
    from deltastream.cli._accounts import administer

    async def revoke_all(accounts: Administration) -> list[ApiKey]:
        return [await accounts.revoke_key(name) for name in keys]

    for ended in administer(load_configuration(config, data_dir).settings, revoke_all):
        click.echo(f"ds_{ended.prefix} is revoked.")


@key.command("make-signing")
@click.argument("path", type=click.Path(path_type=Path))
def make_signing(path: Path) -> None:
    """Make a file of signing keys at PATH, for the setting gateway.signing_key_file.

    Only its owner may read it. A gateway that listens beyond this machine must be given one.
    """
    from deltastream.cli._accounts import make_signing_key

    make_signing_key(path)
    click.echo(f'gateway.signing_key_file = "{path.absolute()}"')


@key.command("rotate-signing")
@configured
def rotate_signing(config: str | None, data_dir: str | None) -> None:
    """Let a new key sign access tokens, within a minute where a host runs.

    Tokens signed by the one before are valid until they expire. Hosts do this by themselves once a
    month; if the file of the keys was read by somebody else, delete it and start the host anew, which
    voids every access token.
    """
    from deltastream.cli._accounts import rotate_signing_key

    rotate_signing_key(load_configuration(config, data_dir).settings)
    click.echo("A new key signs access tokens.")
