"""Who may be let in: every setting that would open the gateway by accident is refused with a sentence."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from deltastream.errors import ConfigurationError
from deltastream.gateway.exposure import (
    allows_registration,
    base_url,
    exposed,
    is_loopback,
    is_private,
    problems,
    unsafe,
)
from deltastream.gateway.settings import GatewaySettings
from deltastream.host.config import load

EXPLICIT: dict[str, Any] = {
    "signing_key_file": "/etc/deltastream/keys",
    "allowed_hosts": ("desk.example.org",),
    "allowed_origins": ("https://desk.example.org",),
}
HOME = {"HOME": "/home/v"}


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("::ffff:10.0.0.1", False),
        ("192.168.1.5", False),
        ("fe80::1%eth0", False),
    ],
)
def test_only_loopback_needs_nothing(host: str, loopback: bool):
    assert is_loopback(ip_address(host)) is loopback
    assert (exposed(GatewaySettings(host=host)) == []) is loopback
    assert exposed(GatewaySettings(host=host, **EXPLICIT)) == []


@pytest.mark.parametrize("missing", EXPLICIT)
def test_what_is_missing_is_named(missing: str):
    given = {name: value for name, value in EXPLICIT.items() if name != missing}
    (said,) = exposed(GatewaySettings(host="0.0.0.0", **given))
    assert said == (
        f"host: 0.0.0.0 can be reached from other machines; give {missing} as well, or bind 127.0.0.1"
    )


def test_a_name_is_judged_by_every_address_it_has():
    settings = GatewaySettings(host="desk")
    assert exposed(settings) == []
    assert unsafe(settings, [ip_address("127.0.0.1")]) == []
    (said,) = unsafe(settings, [ip_address("127.0.0.1"), ip_address("10.0.0.7")])
    assert said.startswith("host: desk is 10.0.0.7, which can be reached from other machines; give")
    assert "signing_key_file, allowed_hosts and allowed_origins" in said


@pytest.mark.parametrize(
    ("values", "beginning"),
    [
        ({"host": "[::1]"}, "host: '[::1]' is an address in brackets"),
        ({"host": "http://x"}, "host: 'http://x' is neither"),
        ({"host": "127.0.0.1:8000"}, "host: '127.0.0.1:8000' is neither"),
        ({"host": "300.1.1.1"}, "host: '300.1.1.1' is neither"),
        ({"host": "a b"}, "host: 'a b' is neither"),
        ({"allowed_hosts": ("*",)}, "allowed_hosts: '*': patterns"),
        ({"allowed_hosts": ("*.example.org",)}, "allowed_hosts: '*.example.org': patterns"),
        ({"allowed_hosts": ("https://a.example",)}, "allowed_hosts: 'https://a.example' is not"),
        ({"allowed_hosts": ("a.example/x",)}, "allowed_hosts: 'a.example/x' is not"),
        ({"allowed_hosts": ("a:99999",)}, "allowed_hosts: 'a:99999' is not"),
        ({"allowed_hosts": ("::1",)}, "allowed_hosts: '::1' is not"),
        ({"allowed_hosts": ("",)}, "allowed_hosts: '' is not"),
        ({"allowed_origins": ("*",)}, "allowed_origins: '*' would be anybody"),
        ({"allowed_origins": ("null",)}, "allowed_origins: 'null' would be anybody"),
        ({"allowed_origins": ("a.example",)}, "allowed_origins: 'a.example' is not of the form"),
        ({"allowed_origins": ("https://a.example/",)}, "allowed_origins: 'https://a.example/' is not"),
        ({"allowed_origins": ("ftp://a.example",)}, "allowed_origins: 'ftp://a.example' is not"),
        ({"allowed_origins": ("https://u@a.example",)}, "allowed_origins: 'https://u@a.example' is not"),
        ({"allowed_origins": ("https://A.example",)}, "allowed_origins: 'https://A.example' is not as"),
        ({"allowed_origins": ("https://a.example:443",)}, "allowed_origins: 'https://a.example:443' is not"),
        ({"trusted_proxies": ("proxy",)}, "trusted_proxies: 'proxy' is neither"),
        ({"trusted_proxies": ("10.0.0.1/8",)}, "trusted_proxies: '10.0.0.1/8' is neither"),
        ({"trusted_proxies": ("0.0.0.0/0",)}, "trusted_proxies: '0.0.0.0/0' would believe anybody"),
        ({"trusted_proxies": ("::/0",)}, "trusted_proxies: '::/0' would believe anybody"),
        ({"path_prefix": "x"}, "path_prefix: 'x' is not of the form"),
        ({"path_prefix": "/"}, "path_prefix: '/' is not"),
        ({"path_prefix": "/x/"}, "path_prefix: '/x/' is not"),
        ({"path_prefix": "/x//y"}, "path_prefix: '/x//y' is not"),
        ({"path_prefix": "/../x"}, "path_prefix: '/../x' is not"),
        ({"path_prefix": "/a/.."}, "path_prefix: '/a/..' is not"),
        ({"path_prefix": "/a%2fb"}, "path_prefix: '/a%2fb' is not"),
        ({"path_prefix": "/a\nb"}, "path_prefix: '/a\\nb' is not"),
        ({"certificate": "c.pem"}, "certificate_key: must be given together with certificate"),
        ({"certificate_key": "k.pem"}, "certificate: must be given together with certificate_key"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, Any], beginning: str):
    (said,) = problems(GatewaySettings(**values))
    assert said.startswith(beginning)


def test_what_is_well_formed_is_not():
    settings = GatewaySettings(
        host="localhost",
        allowed_hosts=("localhost", "localhost:8000", "127.0.0.1:80", "[::1]", "[::1]:8000", "my_host.lan."),
        allowed_origins=(
            "http://localhost:3000",
            "https://a.example",
            "http://[::1]:8000",
            "http://10.0.0.1",
        ),
        trusted_proxies=("127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"),
        path_prefix="/desk/v1.2~x_y-z/...",
        certificate="c",
        certificate_key="k",
    )
    assert problems(settings) == []


@pytest.mark.parametrize(
    ("values", "private"),
    [
        ({}, True),
        ({"allowed_hosts": ("localhost:8000", "127.0.0.1", "[::1]:8000")}, True),
        ({"allowed_hosts": ("desk.example.org",)}, False),
        ({"allowed_hosts": ("localhost.evil.example",)}, False),
        ({"trusted_proxies": ("127.0.0.1",)}, False),
        ({"host": "10.0.0.1", **EXPLICIT}, False),
    ],
)
def test_strangers_register_only_where_there_are_none(values: dict[str, Any], private: bool):
    settings = GatewaySettings(**values)
    addresses = [ip_address(settings.host)]
    assert is_private(settings, addresses) is private
    assert allows_registration(settings, addresses) is private
    assert not allows_registration(GatewaySettings(registration="closed", **values), addresses)
    assert allows_registration(GatewaySettings(registration="open", **values), addresses)


@pytest.mark.parametrize(
    ("values", "port", "url"),
    [
        ({}, 8000, "http://127.0.0.1:8000"),
        ({}, 80, "http://127.0.0.1"),
        ({"host": "::1"}, 8001, "http://[::1]:8001"),
        ({"host": "localhost"}, 8000, "http://localhost:8000"),
        ({"path_prefix": "/desk"}, 8000, "http://127.0.0.1:8000/desk"),
        ({"certificate": "c", "certificate_key": "k"}, 443, "https://127.0.0.1"),
        ({"certificate": "c", "certificate_key": "k"}, 80, "https://127.0.0.1:80"),
        ({"host": "0.0.0.0", **EXPLICIT}, 8000, "http://desk.example.org:8000"),
        ({"allowed_hosts": ("localhost:9000",)}, 8000, "http://localhost:9000"),
        ({"allowed_hosts": ("[::1]",)}, 8000, "http://[::1]:8000"),
        ({**EXPLICIT, "trusted_proxies": ("127.0.0.1",)}, 8000, "https://desk.example.org"),
        (
            {"allowed_hosts": ("a.lan",), "trusted_proxies": ("127.0.0.1",), "path_prefix": "/d"},
            8000,
            "http://a.lan/d",
        ),
    ],
)
def test_how_a_browser_reaches_it(values: dict[str, Any], port: int, url: str):
    assert base_url(GatewaySettings(**values), port) == url


# In the configuration


def refused(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(environ=HOME | {f"DELTASTREAM_{name}": value for name, value in environ.items()})
    return caught.value.problems


def test_all_problems_are_told_at_once():
    said = refused(
        {
            "ACTORS": "gateway,feed,feed",
            "GATEWAY__PATH_PREFIX": "x/",
            "GATEWAY__ALLOWED_HOSTS": "*,a/b",
            "GATEWAY__CERTIFICATE": "c.pem",
        }
    )
    assert [line.partition(":")[0] for line in said] == [
        *("actors", "actors", "gateway.allowed_hosts", "gateway.allowed_hosts"),
        *("gateway.path_prefix", "gateway.certificate_key"),
    ]
    assert said[:2] == [
        "actors: feed is named twice",
        "actors: gateway needs auth, which tells it who may do what",
    ]


def test_an_unsafe_address_is_a_problem_where_a_gateway_runs():
    (said,) = refused({"GATEWAY__HOST": "0.0.0.0"})
    assert said.startswith("gateway.host: 0.0.0.0 can be reached from other machines")
    actors = {"DELTASTREAM_ACTORS": "feed", "DELTASTREAM_GATEWAY__HOST": "0.0.0.0"}
    assert load(environ=HOME | actors).settings.actors == ("feed",)


@pytest.mark.parametrize("text", ["[]", "market", "feed,gatway"])
def test_actors_that_are_none(text: str):
    assert all(line.startswith("actors") for line in refused({"ACTORS": text}))


def test_files_are_named_from_wherever_somebody_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    environ = HOME | {
        "DELTASTREAM_GATEWAY__CERTIFICATE": "c.pem",
        "DELTASTREAM_GATEWAY__CERTIFICATE_KEY": "/k.pem",
    }
    gateway = load(environ=environ).settings.gateway
    assert (gateway.certificate, gateway.certificate_key) == (str(tmp_path / "c.pem"), "/k.pem")
    assert gateway.signing_key_file is None
