"""The documentation as it is served: to programs, and to people whose browser reaches nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.resources import files

import httpx
import pytest

from deltastream.gateway.api import ROUTES
from deltastream.gateway.app import make_app
from deltastream.gateway.routes.docs import documentation

PAGES = files("deltastream.gateway").joinpath("pages", "docs")


@pytest.fixture
async def client(empty_world, autojump_clock):
    transport = httpx.ASGITransport(make_app(empty_world.services, ROUTES))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as opened:
        yield opened


async def test_the_document_is_answered_to_anyone(client, published):
    answer = await client.get("/api/docs")
    api = answer.json()
    assert api["openapi"] == "3.1.0"
    assert api["servers"] == [{"url": "http://127.0.0.1:8000"}]
    assert api["paths"].keys() == {route.path for route in ROUTES}
    published.check("GET", "/api/docs", answer.status_code, answer.headers, answer.content)


async def test_the_document_names_the_host_it_was_asked_at(client):
    here = await client.get("/api/docs")
    there = await client.get("/api/docs", headers={"Host": "localhost:8000"})
    assert there.json()["servers"] == [{"url": "http://localhost:8000"}]
    assert there.headers["etag"] != here.headers["etag"]
    again = await client.get("/api/docs", headers={"If-None-Match": here.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_pages(client, published):
    for path in sorted(route.path for route in documentation(()) if route.path.startswith("/docs")):
        answer = await client.get(path)
        published.check("GET", path, answer.status_code, answer.headers, answer.content)
        check_policy(answer.headers)
        assert (await client.head(path)).headers["etag"] == answer.headers["etag"]


def check_policy(headers):
    """A page may load and call nothing but this host, and holds no script or style itself."""
    said = headers["content-security-policy"]
    policy = dict(each.strip().partition(" ")[::2] for each in said.split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in said
    assert "charset=utf-8" in headers["content-type"]


async def test_the_page_loads_files_that_are_there_and_nothing_from_elsewhere(client):
    page = (await client.get("/docs")).text
    wanted = {
        str(httpx.URL("http://127.0.0.1:8000/docs").join(url))
        for url in re.findall(r'(?:src|href)="([^"]+)"', page)
    }
    for name in ("docs", "dom", "schemas", "trying"):
        script = PAGES.joinpath(f"{name}.js").read_text()
        wanted |= {f"http://127.0.0.1:8000/docs/{each}" for each in re.findall(r'from "\./([^"]+)"', script)}
    wanted.discard("data:,")
    assert len(wanted) >= 7
    for url in sorted(wanted):
        assert (await client.get(url)).status_code == 200, url


@pytest.mark.parametrize("name", ["docs.html", "docs.css", "docs.js", "dom.js", "schemas.js", "trying.js"])
def test_no_file_reaches_out_or_reads_text_as_markup(name):
    text = PAGES.joinpath(name).read_text()
    assert re.findall(r"https?:|//[a-z0-9-]+\.[a-z]+/", text) == []
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
    assert re.findall(sinks, text) == []
    assert re.findall(r"localStorage|sessionStorage|document\.cookie", text) == []
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text) == []


@pytest.mark.parametrize("name", ["docs.js", "dom.js", "schemas.js", "trying.js"])
def test_the_scripts_are_modules_that_parse(name, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on the path")
    module = tmp_path / name.replace(".js", ".mjs")
    module.write_text(PAGES.joinpath(name).read_text())
    subprocess.run([node, "--check", module], check=True)
