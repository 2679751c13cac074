"""In and out: by link, by password, over reloads and in two tabs; and the policy all is served with."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

ADMIN, PASSWORD = "admin@localhost", "correct horse battery"
NO_COOKIE = r"status of 400"


def test_a_link_logs_in_once_and_the_session_outlives_reloads(host, visit):
    visitor = visit(host)
    page = visitor.page
    page.goto(host.link())
    page.get_by_role("button", name="Not now").click()
    page.goto("/")
    page.get_by_role("navigation", name="Views").wait_for()
    for _ in range(3):
        page.reload()
        page.get_by_role("navigation", name="Views").wait_for()
    (cookie,) = visitor.context.cookies(f"{host.url}/api/auth")
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/api/auth")
    assert page.evaluate("() => [document.cookie, sessionStorage.length]") == ["", 0]
    assert "dsr_" not in page.evaluate("() => JSON.stringify(localStorage)")


def test_whoever_is_not_logged_in_is_led_to_the_login(host, visit):
    page = visit(host, expected=[NO_COOKIE]).page
    page.goto("/#/system")
    page.wait_for_url("**/login#next=%2Fsystem")
    page.get_by_role("heading", name="Log in").wait_for()


def test_a_link_that_works_no_more_forgets_not_where_to_go(host, visit):
    visitor = visit(host, expected=[NO_COOKIE, r"status of 401"])
    page = visitor.page
    page.goto("/login#token=dsl_unknown&next=/system")
    form = page.locator("#login")
    form.get_by_label("Email").fill(ADMIN)
    page.wait_for_url("**/login#next=%2Fsystem")
    page.reload()
    form.get_by_label("Email").fill(ADMIN)
    form.get_by_label("Password").fill(PASSWORD)
    form.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{host.url}/#/system")


def test_password_login_and_logout_in_every_tab(host, visit):
    visitor = visit(host, expected=[NO_COOKIE, r"status of 401"])  # of what is asked for meanwhile
    page = visitor.page
    page.goto("/login")
    page.get_by_label("Email").first.fill(ADMIN)
    page.locator("#login").get_by_label("Password").fill(PASSWORD)
    page.locator("#login").get_by_role("button", name="Log in").click()
    page.locator("#inside, nav[aria-label=Views]").first.wait_for()
    visitor.open("account")
    other = visitor.context.new_page()
    other.goto("/#/account")
    other.locator("#logout").wait_for()
    for tab in (page, other):
        tab.locator("#metrics[data-level=live]").wait_for()  # no socket is half open
    page.locator("#logout").click()
    page.wait_for_url("**/login")
    other.wait_for_url("**/login#next=%2Faccount")
    page.goto("/")
    page.wait_for_url("**/login*")


def test_what_is_refused_while_the_reader_logs_out_is_his_own_doing(modules):
    script = """async ({Session}) => {
      let leave = () => {};
      globalThis.fetch = (url) => (String(url).endsWith("/logout")
        ? new Promise((resolve) => { leave = () => resolve(new Response(null, { status: 204 })); })
        : Promise.resolve(new Response("{}", { status: 401 })));
      const session = new Session();
      const told = [];
      session.ended.listen((here) => told.push(here));
      await session.call("api/data/products").catch(() => {});
      const out = session.logout();
      await session.call("api/data/products").catch(() => {});
      leave();
      await out;
      return told;
    }"""
    assert modules("core/session", script) == [False, True, True]


def test_two_tabs_renew_at_once_without_losing_the_session(host, visit):
    visitor = visit(host)
    visitor.log_in()
    tabs = [visitor.page, *(visitor.context.new_page() for _ in range(4))]
    for _ in range(3):
        for tab in tabs:
            tab.goto("about:blank")
            tab.goto("/#/account", wait_until="commit")
        for tab in tabs:
            tab.locator("#logout").wait_for()


def test_the_page_opens_where_the_browser_has_no_locks(host, visit):
    visitor = visit(host)
    visitor.context.add_init_script("delete Navigator.prototype.locks")
    visitor.log_in()
    visitor.open("account")
    assert visitor.page.evaluate("() => navigator.locks === undefined")


def test_the_policy_lets_nothing_be_evaluated(host, visit):
    visitor = visit(
        host, expected=[r"Refused to evaluate|TrustedScript|Evaluating a string|policy violated: "]
    )
    visitor.log_in()
    answer = visitor.page.goto("/")
    policy = answer.headers["content-security-policy"]
    assert "'unsafe-eval'" not in policy
    assert "'unsafe-inline'" not in policy
    assert "default-src 'none'" in policy
    visitor.open("account")
    refused = """() => new Promise((resolve) => setTimeout(() => {
      try { (0, eval)("1"); resolve("evaluated"); } catch (error) { resolve(error.name); }
    }))"""
    assert visitor.page.evaluate(refused) == "EvalError"
    with pytest.raises(Exception, match=r"TrustedHTML|markup"):
        visitor.page.evaluate("() => { document.body.innerHTML = '<b>x</b>'; }")
