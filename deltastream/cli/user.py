"""``deltastream user``: who may log in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import click

from deltastream.cli._options import as_json, configured, load_configuration

if TYPE_CHECKING:
    from deltastream.accounts import Administration, NewLink

__all__ = ["user"]


@click.group()
def user() -> None:
    """List, add and change users, and let them in.

    Works on the data directory, beside a running host or without one. Nobody's password passes
    through here: a link lets its user set one, in a browser, on the page /login of the gateway.
    """


@user.command("list")
@configured
@as_json
def list_users(config: str | None, data_dir: str | None, as_json: bool) -> None:
    """List users, oldest first."""
    from deltastream.cli._accounts import administer
    from deltastream.cli._output import clean, console, instant, iso, print_json, table

    settings = load_configuration(config, data_dir).settings
    users = administer(settings, lambda accounts: accounts.users())
    if as_json:
        return print_json(
            [
                {
                    "id": one.id,
                    "email": one.email,
                    "name": one.name,
                    "role": one.role,
                    "created": iso(one.created),
                    "disabled": one.disabled,
                    "has_password": one.has_password,
                }
                for one in users
            ]
        )
    if not users:
        return click.echo("No users.")
    shown = table("email", "name", "role", "since", "state")
    for one in users:
        state = "disabled" if one.disabled else "enabled" if one.has_password else "no password"
        shown.add_row(clean(one.email), clean(one.name), one.role, instant(one.created), state)
    return console().print(shown)


@user.command()
@click.argument("email")
@click.option("--name", default="", help="As others see it; else what is before the @.")
@click.option("--admin", is_flag=True, help="An administrator, who may do everything.")
@configured
@as_json
def add(email: str, name: str, admin: bool, config: str | None, data_dir: str | None, as_json: bool) -> None:
    """Add a user, and print a link to set a password by."""
    _print_link(
        config,
        data_dir,
        as_json,
        lambda accounts: accounts.add_user(email, name, "admin" if admin else "user"),
    )


@user.command()
@click.argument("email", required=False)
@configured
@as_json
def link(email: str | None, config: str | None, data_dir: str | None, as_json: bool) -> None:
    """Print a link that logs in once; earlier ones are void.

    For the first administrator where no EMAIL is given. Whoever comes by it may set a password.
    """
    _print_link(config, data_dir, as_json, lambda accounts: accounts.link(email))


@user.command()
@click.argument("email")
@click.argument("role", type=click.Choice(["user", "admin"]))
@configured
def role(email: str, role: Any, config: str | None, data_dir: str | None) -> None:
    """Make somebody an administrator, or no longer one."""
    _change(config, data_dir, lambda accounts: accounts.set_role(email, role))
    click.echo(f"{email} is {'an administrator' if role == 'admin' else 'a user'} now.")


@user.command()
@click.argument("email")
@configured
def disable(email: str, config: str | None, data_dir: str | None) -> None:
    """Take all rights away, and end all sessions."""
    _change(config, data_dir, lambda accounts: accounts.set_disabled(email, True))
    click.echo(f"{email} is disabled.")


@user.command()
@click.argument("email")
@configured
def enable(email: str, config: str | None, data_dir: str | None) -> None:
    """Give the rights back."""
    _change(config, data_dir, lambda accounts: accounts.set_disabled(email, False))
    click.echo(f"{email} is enabled.")


@user.command()
@click.argument("email")
@configured
def logout(email: str, config: str | None, data_dir: str | None) -> None:
    """End all sessions. API keys stay; `deltastream key revoke` ends those."""
    _change(config, data_dir, lambda accounts: accounts.logout(email))
    click.echo(f"{email} is logged out everywhere.")


@user.command()
@click.argument("email")
@click.confirmation_option(prompt="Delete the user with all sessions and API keys?")
@configured
def delete(email: str, config: str | None, data_dir: str | None) -> None:
    """Delete a user with all sessions and API keys."""
    _change(config, data_dir, lambda accounts: accounts.delete(email))
    click.echo(f"{email} is deleted.")


def _change(
    config: str | None, data_dir: str | None, work: Callable[[Administration], Awaitable[None]]
) -> None:
    from deltastream.cli._accounts import administer

    administer(load_configuration(config, data_dir).settings, work)


def _print_link(
    config: str | None,
    data_dir: str | None,
    as_json: bool,
    work: Callable[[Administration], Awaitable[NewLink]],
) -> None:
    from deltastream.cli._accounts import administer, gateway_url
    from deltastream.cli._output import iso, print_json
    from deltastream.gateway.exposure import login_link

    settings = load_configuration(config, data_dir).settings
    url = gateway_url(settings)
    made = administer(settings, work, make=True)
    text = login_link(url, made.token)
    if as_json:
        print_json({"email": made.user.email, "link": text, "expires": iso(made.expires)})
    else:
        click.echo(f"For {made.user.email}, once, within ten minutes:\n\n  {text}\n")
