"""The page to log in on, as a browser goes through it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.slow

MARKET = "<!doctype html><title>The market</title>"
PASSWORD = "correct horse"


@pytest.fixture
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on the path")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def visitor(browser: Any, host: Any) -> Any:
    """Opens a browser that was never here; its market page is an empty one."""

    def come() -> Any:
        context = browser.new_context(base_url=host.url)
        context.set_default_timeout(15_000)
        context.route(f"{host.url}/", lambda route: route.fulfill(body=MARKET, content_type="text/html"))
        return context

    return come


def watched(page: Any) -> list[str]:
    """The mistakes that a page tells of from now on."""
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    return told


def test_every_way_in_leads_to_the_market(host, visitor):
    _registered(host, visitor())
    _by_password(host, visitor())
    _by_link(host, visitor())


def _registered(host, context):
    page = context.new_page()
    mistakes = watched(page)
    form = page.locator("#register")
    page.goto("/login")
    page.get_by_role("button", name="Register").click()
    form.get_by_label("Name").fill("Ann")
    form.get_by_label("Email").fill("ann@example.org")
    form.get_by_label("Password").fill("ann@example.org")
    assert form.get_by_text("8 characters or more").is_visible()
    assert mistakes == []
    form.get_by_role("button", name="Register").click()
    page.get_by_text("The password must not be the email.").wait_for()
    assert form.get_by_label("Password").get_attribute("aria-invalid") == "true"
    form.get_by_label("Password").fill(PASSWORD)
    form.get_by_role("button", name="Register").click()
    page.wait_for_url(f"{host.url}/")
    assert page.title() == "The market"
    (cookie,) = context.cookies(f"{host.url}/api/auth")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    _who_has_a_session_goes_on(host, context)
    _many_tabs(host, context)


def _who_has_a_session_goes_on(host, context):
    page = context.new_page()
    for asked, place in (
        ("", ""),
        ("#next=/chain/NIFTY", "#/chain/NIFTY"),
        ("#next=%2Fchain%2FNIFTY%3Fa%3D1%26b", "#/chain/NIFTY?a=1&b"),
        ("#next=//evil.example/", "#//evil.example/"),
        ("#next=https://evil.example/", ""),
        ("#next=javascript:alert(1)", ""),
    ):
        page.goto(f"/login{asked}")
        page.wait_for_url(f"{host.url}/{place}")
        assert page.title() == "The market"


def _many_tabs(host, context):
    pages = [context.new_page() for _ in range(6)]
    for page in pages:
        page.goto("/login", wait_until="commit")
    for page in pages:
        page.wait_for_url(f"{host.url}/")


def _by_password(host, context):
    page = context.new_page()
    mistakes = watched(page)
    form = page.locator("#login")
    page.goto("/login#next=/system")
    form.get_by_label("Email").fill("ann@example.org")
    assert mistakes == []
    for password in ("wrong horse", PASSWORD):
        form.get_by_label("Password").fill(password)
        form.get_by_role("button", name="Log in").click()
        if password != PASSWORD:
            page.get_by_role("alert").wait_for()
    page.wait_for_url(f"{host.url}/#/system")


def _by_link(host, context):
    page = context.new_page()
    mistakes = watched(page)
    page.goto(f"/login#token={host.link}")
    page.get_by_role("heading", name="Set a password").wait_for()
    assert page.url == f"{host.url}/login"
    assert mistakes == []
    page.get_by_role("button", name="Not now").click()
    page.wait_for_url(f"{host.url}/")
    page.goto(f"/login#token={host.link}")
    page.get_by_text("used before").wait_for()
    assert page.locator("#login").get_by_label("Email").is_visible()
