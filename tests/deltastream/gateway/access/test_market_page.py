"""The market page's files: all are served, from nowhere else, and nothing but them."""

from __future__ import annotations

import re
from importlib.metadata import version
from importlib.resources import files

import pytest

APP = files("deltastream.gateway") / "pages" / "app"
FILES = sorted(
    (part.name, file.name)
    for part in APP.iterdir()
    if part.is_dir()
    for file in part.iterdir()
    if not file.name.startswith(".")
)

pytestmark = pytest.mark.usefixtures("autojump_clock")


async def test_the_policy_lets_nothing_be_evaluated_and_nothing_in_from_elsewhere(client):
    response = await client.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "'unsafe-eval'" not in policy
    assert "'unsafe-inline'" not in policy
    assert "http" not in policy
    assert "require-trusted-types-for 'script'" in policy


async def test_what_the_page_asks_for_is_there(client):
    page = (await client.get("/")).text
    wanted = re.findall(r'(?:src|href)="(app/[^"]+)"', page)
    assert len(wanted) >= 5
    for path in wanted:
        assert (await client.get(f"/{path}")).status_code == 200, path


@pytest.mark.parametrize(("part", "file"), FILES)
async def test_a_file(client, part, file):
    response = await client.get(f"/app/{part}/{file}")
    assert response.status_code == 200
    assert response.content == (APP / part / file).read_bytes()
    media = {"js": "text/javascript", "css": "text/css"}[file.rpartition(".")[2]]
    assert response.headers["content-type"] == f"{media}; charset=utf-8"
    again = await client.get(f"/app/{part}/{file}", headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304
    for imported in re.findall(r'(?:from|import\() ?"(\.{1,2}/[^"]+)"', response.text):
        path = re.sub(r"[^/]+/\.\./", "", f"{part}/{imported}").replace("/./", "/")
        assert (await client.get(f"/app/{path}")).status_code == 200, imported


async def test_what_a_page_is_made_of_costs_its_reader_nothing(client):
    for path in ["/", "/login", *(f"/app/{part}/{file}" for part, file in FILES)]:
        assert "ratelimit" not in (await client.get(path)).headers, path
    assert "ratelimit" in (await client.get("/api/docs")).headers


async def test_the_charts_are_drawn_by_what_plotly_ships(client):
    response = await client.get("/app/vendor/plotly.min.js")
    assert response.status_code == 200
    assert len(response.content) > 1_000_000
    assert version("plotly") in response.headers["etag"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/app/core/none.js", 404),
        ("/app/vendor/__init__.py", 404),
        ("/app/core/..%2Findex.html", 400),
        ("/app/core/..", 404),
        ("/app/other/main.js", 400),
        ("/app/core/" + "a" * 65, 400),
        ("/app/index.html", 404),
        ("/app/core/%00.js", 400),
    ],
)
async def test_nothing_else_is_served(client, path, status):
    response = await client.get(path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("part", "file"), [each for each in FILES if each[1].endswith(".js")])
def test_no_text_becomes_markup_or_program(part, file):
    script = (APP / part / file).read_text()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(",
                "document.cookie", "http://", "https://"):  # fmt: skip
        assert way not in script.replace("http://www.w3.org/", ""), way
