"""The page to log in on: its own files, nothing from elsewhere, nothing inline."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib.resources import files

import pytest

FILES = ("/login", "/login/login.css", "/login/login.js")
PAGES = files("deltastream.gateway") / "pages"

pytestmark = pytest.mark.usefixtures("autojump_clock")


class Elements(HTMLParser):
    """Every element of a page with its attributes, and what stands in scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag in tags]


@pytest.fixture
async def page(client) -> Elements:
    return Elements((await client.get("/login")).text)


async def test_files_are_served_with_a_strict_policy(client):
    for path, media in zip(FILES, ("text/html", "text/css", "text/javascript"), strict=True):
        answer = await client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == f"{media}; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        again = await client.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_what_the_policy_forbids_is_not_there(page):
    assert all(script.get("src") for script in page.of("script"))
    assert not page.of("style", "iframe", "object", "embed", "base")
    for _, attributes in page.found:
        assert not any(name.startswith("on") or name == "style" for name in attributes)


async def test_everything_it_needs_is_its_own(client, page):
    wanted = [element.get("src") or element.get("href") for element in page.of("script", "link", "img")]
    assert [file for file in wanted if not file.startswith("data:")] == ["login/login.css", "login/login.js"]
    for path in FILES:
        text = (await client.get(path)).text
        assert not re.search(r"(https?:)?//[a-z]", re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    for file in wanted[1:]:
        assert (await client.get(f"/{file}")).status_code == 200


async def test_it_can_be_used_without_seeing_it(page):
    labels = {label["for"] for label in page.of("label")}
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for field in page.of("input"):
        assert field["id"] in labels if "hidden" not in field else field["name"] == "username"
        assert field["autocomplete"] in ("username", "name", "current-password", "new-password")
        for described in (field.get("aria-describedby") or "").split():
            assert described in ids
    for section in page.of("section"):
        assert section["aria-labelledby"] in ids
    assert page.of("html")[0]["lang"] == "en"
    assert any(element.get("role") == "alert" for element in page.of("p"))
    assert "width=device-width" in next(meta["content"] for meta in page.of("meta") if meta.get("name"))


async def test_the_script_asks_for_what_there_is(client, routes):
    script = (await client.get("/login/login.js")).text
    posted = set(re.findall(r'ask\("([a-z/-]+)", {', script))
    assert posted == {f"api/auth/{name}" for name in ("login", "register", "link", "password", "refresh")}
    assert {f"/{path}" for path in posted} <= {route.path for route in routes if route.method == "POST"}
    got = set(re.findall(r'ask\("([a-z/-]+)"\)', script))
    assert got == {"api/auth/registration"}
    assert {f"/{path}" for path in got} <= {route.path for route in routes if route.method == "GET"}
    ids = set(re.findall(r'(?:getElementById|onClick)\("([a-z-]+)"', script))
    assert len(ids) >= 6
    assert ids <= set(re.findall(r'id="([a-z-]+)"', (await client.get("/login")).text))


async def test_nothing_is_written_as_markup(client):
    """An email, a name or a message of the server is shown as text, whatever stands in it."""
    script = (await client.get("/login/login.js")).text
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(",
                "localStorage", "sessionStorage", "document.cookie"):  # fmt: skip
        assert way not in script


def test_the_script_can_be_read():
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    with (PAGES / "login" / "login.js").open("rb") as script:
        subprocess.run([node, "--input-type=module", "--check"], stdin=script, check=True)


def test_every_file_of_the_pages_has_its_route(routes):
    """What lies there and is not served is either forgotten or too much."""
    served = {route.path.rpartition("/")[2] for route in routes}
    pages = [page for page in PAGES.iterdir() if page.is_dir() and page.name != "app"]
    names = {path.name for page in pages for path in page.iterdir()}
    assert {name.removesuffix(".html") for name in names} <= served
