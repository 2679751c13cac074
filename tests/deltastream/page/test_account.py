"""One's own account: its password, its keys, what it prefers and the ways out."""

from __future__ import annotations

import itertools
import re

import pytest

pytestmark = pytest.mark.slow

PASSWORD, OTHER = "correct horse battery", "staple of the horse"
numbers = itertools.count()


@pytest.fixture
def somebody(host):
    """A user whom nobody else's test is."""
    email = f"account-{next(numbers)}@example.org"
    host.register(email)
    return email


@pytest.fixture
def visitor(host, visit, somebody):
    visitor = visit(host)
    visitor.log_in(somebody)
    visitor.open("account")
    return visitor


def test_who_is_logged_in(visitor, somebody):
    shown = visitor.page.locator("#who-title + dl").inner_text()
    assert somebody in shown
    assert "user" in shown


def test_a_wrong_password_is_tried_once(visitor):
    visitor.expect("status of 401")
    page = visitor.page
    asked = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    form = page.locator("#password-form")
    form.get_by_label("Present password").fill("not this one")
    form.get_by_label("New password", exact=True).fill(OTHER)
    form.get_by_label("New password again").fill(OTHER)
    form.get_by_role("button", name="Set password").click()
    form.get_by_text("wrong").wait_for()
    assert asked.count("password") == 1
    assert "refresh" not in asked


def test_a_password_is_changed_and_what_is_wrong_stands_at_its_field(host, visitor, somebody):
    expect = pytest.importorskip("playwright.sync_api", reason="needs playwright").expect
    visitor.expect("status of 40[01]")
    page = visitor.page
    form = page.locator("#password-form")
    present = form.get_by_label("Present password")
    chosen = form.get_by_label("New password", exact=True)
    again = form.get_by_label("New password again")
    submit = form.get_by_role("button", name="Set password")

    chosen.fill(OTHER)
    again.fill("another")
    present.fill(PASSWORD)
    submit.click()
    assert again.get_attribute("aria-invalid") == "true"
    assert form.get_by_text("This is not the same.").is_visible()
    expect(again).to_be_focused()

    chosen.fill(somebody)
    again.fill(somebody)
    submit.click()
    form.get_by_text("must not be the email").wait_for()
    assert chosen.get_attribute("aria-invalid") == "true"
    assert again.get_attribute("aria-invalid") is None

    chosen.fill(OTHER)
    again.fill(OTHER)
    present.fill("wrong")
    submit.click()
    form.get_by_text("wrong").wait_for()

    present.fill(PASSWORD)
    submit.click()
    page.get_by_text("The password is set.").wait_for()
    assert [field.input_value() for field in (present, chosen, again)] == ["", "", ""]
    page.reload()
    page.locator("#logout").wait_for()
    login = {"email": somebody, "password": OTHER}
    assert host.call("POST", "/api/auth/login", login)["user"]["email"] == somebody


def test_a_key_is_shown_once_works_and_is_revoked(host, visitor, browser):
    page = visitor.page
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_text("None yet.").wait_for()
    page.get_by_text("Make a key").click()
    form = page.locator("#key-form")
    form.get_by_label("Name").fill("the <b>robot</b>")
    assert form.get_by_role("checkbox").count() == 3
    form.get_by_label("read:history").check()
    form.get_by_label("Expires after").select_option("30")
    form.get_by_role("button", name="Make the key").click()
    dialog = page.get_by_role("dialog")
    token = dialog.locator("#key-token").inner_text()
    assert re.fullmatch(r"ds_\w+", token)
    dialog.locator("#key-copy").click()
    dialog.get_by_text("Copied.").wait_for()
    assert page.evaluate("() => navigator.clipboard.readText()") == token
    dialog.get_by_role("button", name="I have it").click()
    page.locator("dialog").wait_for(state="detached")  # a closed one has no role, but is there for a moment
    assert token not in page.content()

    row = page.get_by_role("row", name=re.compile("robot"))
    assert "read:market, read:history" in row.inner_text()
    assert "good" in row.inner_text()
    headers = {"X-API-Key": token}
    asked = visitor.context.request
    assert asked.get("/api/data/chain/NIFTY", headers=headers).status == 200
    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    page.get_by_text("is revoked.").wait_for()
    visitor.eventually(lambda: "revoked" in row.inner_text())
    assert row.get_by_role("button").count() == 0
    assert asked.get("/api/data/chain/NIFTY", headers=headers).status == 401
    page.reload()
    page.get_by_role("row", name=re.compile("robot")).wait_for()
    assert token not in page.content()


def test_a_key_that_may_nothing_is_refused_at_its_field(visitor):
    visitor.expect("status of 400")
    form = visitor.page.locator("#key-form")
    visitor.page.get_by_text("Make a key").click()
    form.get_by_label("Name").fill("robot")
    form.get_by_label("read:market").uncheck()
    form.get_by_role("button", name="Make the key").click()
    form.locator("#key-scopes-problem").get_by_text("at least 1").wait_for()


def test_logging_out_everywhere_ends_other_browsers_too(host, visit, visitor, somebody):
    other = visit(host, expected=["status of 40[01]"])
    other.log_in(somebody)
    other.open("account")
    visitor.expect("status of 40[01]")
    visitor.page.locator("#logout-everywhere").click()
    visitor.page.get_by_role("dialog").get_by_role("button", name="Log out everywhere").click()
    visitor.page.wait_for_url("**/login*")
    other.page.wait_for_url("**/login*")


def test_preferences_are_kept_and_shown(visitor):
    page = visitor.page
    theme, grouping = page.get_by_label("Colours"), page.get_by_label("Digits")
    paper = "() => getComputedStyle(document.body).backgroundColor"
    theme.select_option("dark")
    dark = page.evaluate(paper)
    theme.select_option("light")
    assert page.evaluate(paper) != dark
    theme.select_option("dark")
    grouping.select_option("western")
    page.reload()
    page.locator("#logout").wait_for()
    assert page.evaluate(paper) == dark
    assert (theme.input_value(), grouping.input_value()) == ("dark", "western")


def test_views_come_and_go_without_leaving_anything(visitor):
    page = visitor.page
    session = visitor.context.new_cdp_session(page)
    session.send("Performance.enable")

    def counted() -> dict[str, float]:
        session.send("HeapProfiler.collectGarbage")
        metrics = session.send("Performance.getMetrics")["metrics"]
        return {each["name"]: each["value"] for each in metrics}

    turn = """async (turns) => {
      const pause = () => new Promise((resolve) => setTimeout(resolve, 30));
      for (let turn = 0; turn < turns; turn += 1) {
        for (const view of ["system", "account"]) { location.hash = `#/${view}`; await pause(); }
      }
    }"""
    visitor.expect("status of 403")
    page.evaluate(turn, 10)
    before = counted()
    page.evaluate(turn, 60)
    after = counted()
    assert after["JSEventListeners"] <= before["JSEventListeners"] + 20
    assert after["Nodes"] <= before["Nodes"] * 1.3 + 200
    assert after["JSHeapUsedSize"] <= before["JSHeapUsedSize"] + 2_000_000
