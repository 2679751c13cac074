"""Who can reach the gateway, and what has to be said before anybody but this machine may.

On loopback everything has a safe default. Whoever binds another address is asked to say, each
explicitly: which file signs tokens, under which names it is served, and whose pages may call it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from deltastream.gateway.settings import GatewaySettings

__all__ = [
    "address_of",
    "allows_registration",
    "base_url",
    "exposed",
    "is_loopback",
    "is_private",
    "login_link",
    "problems",
    "unsafe",
]

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?")
_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:/@?#\s]+))(?::(?P<port>\d{1,5}))?"
)
_ORIGIN: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)")
_PREFIX: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+")
_LOCAL_NAMES: Final = ("localhost",)
_DEFAULT_PORT: Final = {"http": "80", "https": "443"}

Address = IPv4Address | IPv6Address


def problems(settings: GatewaySettings) -> list[str]:
    """All that is wrong with the settings by themselves, each beginning with the name of one.

    A name that is to be bound is not looked up here: `unsafe` tells what its addresses ask for.
    """
    found = [*_host(settings), *_authorities(settings), *_origins(settings), *_proxies(settings)]
    if settings.path_prefix and not _PREFIX.fullmatch(settings.path_prefix):
        found.append(
            f"path_prefix: {settings.path_prefix!r} is not of the form /name or /name/name: a slash first,"
            " none last, and letters, digits, '-', '.', '_' or '~' between them"
        )
    if (settings.certificate is None) != (settings.certificate_key is None):
        given, missing = ("certificate", "certificate_key")[:: 1 if settings.certificate else -1]
        found.append(f"{missing}: must be given together with {given}")
    return found


def unsafe(settings: GatewaySettings, addresses: Sequence[Address]) -> list[str]:
    """Why these addresses must not be bound with these settings; nothing where they may."""
    open_to_others = [address for address in addresses if not is_loopback(address)]
    missing = [
        name
        for name in ("signing_key_file", "allowed_hosts", "allowed_origins")
        if not getattr(settings, name)
    ]
    if not open_to_others or not missing:
        return []
    named = settings.host if address_of(settings.host) else f"{settings.host} is {open_to_others[0]}, which"
    needs = " and ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
    return [f"host: {named} can be reached from other machines; give {needs} as well, or bind 127.0.0.1"]


def exposed(settings: GatewaySettings) -> list[str]:
    """As `unsafe`, of the address that is written in the settings; of a name nothing is known here."""
    address = address_of(settings.host)
    return [] if address is None else unsafe(settings, [address])


def address_of(host: str) -> Address | None:
    """The address that is written there; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_loopback(address: Address) -> bool:
    """Whether only this machine can reach it."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def is_private(settings: GatewaySettings, addresses: Sequence[Address]) -> bool:
    """Whether only this machine calls: bound to loopback, for no proxy, under no other name."""
    return (
        all(is_loopback(address) for address in addresses)
        and not settings.trusted_proxies
        and all(_is_local(name) for name in settings.allowed_hosts)
    )


def allows_registration(settings: GatewaySettings, addresses: Sequence[Address]) -> bool:
    """Whether strangers may register; by "auto" where nobody but this machine calls."""
    if settings.registration == "auto":
        return is_private(settings, addresses)
    return settings.registration == "open"


def base_url(settings: GatewaySettings, port: int, address: Address | None = None) -> str:
    """By what a browser reaches the gateway: scheme, name, port and path prefix.

    Args:
        port: the bound one.
        address: the bound one; else the one that is written in the settings.
    """
    secure = settings.certificate is not None
    name = settings.host
    bound = address or address_of(settings.host)
    if bound is not None:
        name = f"[{bound}]" if isinstance(bound, IPv6Address) else str(bound)
    if settings.allowed_hosts:
        name = settings.allowed_hosts[0]
    if settings.trusted_proxies:
        secure = secure or f"https://{name}" in settings.allowed_origins
    elif (parts := _AUTHORITY.fullmatch(name)) and parts["port"] is None:
        name = name if port == (443 if secure else 80) else f"{name}:{port}"
    return f"{'https' if secure else 'http'}://{name}{settings.path_prefix}"


def login_link(url: str, token: str) -> str:
    """What is opened in a browser. The token is in the fragment, which a browser sends nowhere."""
    return f"{url}/login#token={token}"


def _host(settings: GatewaySettings) -> Iterator[str]:
    host = settings.host
    if address_of(host) is not None:
        return
    if host.startswith("["):
        yield f"host: {host!r} is an address in brackets; give it without them, the port as gateway.port"
    elif not _NAME.fullmatch(host) or host.replace(".", "").isdigit():
        yield f"host: {host!r} is neither an address nor a name"


def _authorities(settings: GatewaySettings) -> Iterator[str]:
    for name in settings.allowed_hosts:
        if "*" in name:
            yield f"allowed_hosts: {name!r}: patterns are not allowed; give every name"
        elif not _is_authority(name):
            yield f"allowed_hosts: {name!r} is not of the form name, name:port or [address]:port"


def _origins(settings: GatewaySettings) -> Iterator[str]:
    for origin in settings.allowed_origins:
        parts = _ORIGIN.fullmatch(origin)
        authority = _AUTHORITY.fullmatch(parts["authority"]) if parts else None
        if "*" in origin or origin == "null":
            yield f"allowed_origins: {origin!r} would be anybody; give every origin"
        elif parts is None or authority is None or not _is_authority(parts["authority"]):
            yield (
                f"allowed_origins: {origin!r} is not of the form https://name or https://name:port,"
                " without a path or a slash at its end"
            )
        elif origin != origin.lower() or authority["port"] == _DEFAULT_PORT[parts["scheme"]]:
            yield (
                f"allowed_origins: {origin!r} is not as browsers send it:"
                " in lower case, without the standard port"
            )


def _proxies(settings: GatewaySettings) -> Iterator[str]:
    for text in settings.trusted_proxies:
        try:
            network = ip_network(text)
        except ValueError:
            yield f"trusted_proxies: {text!r} is neither an address nor a network such as 10.1.0.0/16"
        else:
            if network.prefixlen == 0:
                yield f"trusted_proxies: {text!r} would believe anybody"


def _is_authority(text: str) -> bool:
    parts = _AUTHORITY.fullmatch(text)
    if parts is None or int(parts["port"] or 1) not in range(1, 65536):
        return False
    if parts["v6"] is not None:
        return isinstance(address_of(parts["v6"]), IPv6Address)
    numeric = parts["name"].replace(".", "").isdigit()
    return address_of(parts["name"]) is not None if numeric else bool(_NAME.fullmatch(parts["name"]))


def _is_local(authority: str) -> bool:
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        return False
    name = parts["v6"] or parts["name"]
    address = address_of(name)
    return name.lower() in _LOCAL_NAMES if address is None else is_loopback(address)
