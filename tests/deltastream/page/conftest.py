"""A host in a process of its own, and Chromium to look at its page.

One host serves all tests of this folder that do it no harm, and ends with the last of them. Whatever a
page complains of, asks of another host, or is refused by its policy fails the test that visited it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",
)
CONFIGURATION = """
[gateway]
port = {port}
[gateway.limits]
requests_per_minute = 1000000
burst = 100000
strangers_per_minute = 1000000
strangers_burst = 100000
[sockets]
port = {sockets_port}
[synthetic]
products = ["NIFTY", "SPY"]
tick_interval_s = 0.5
chain_interval_s = {chain_interval_s}
strikes = 41
[bus.retry]
max_attempts = 1
"""
ADMIN, PASSWORD = "admin@localhost", "correct horse battery"
SLOW_DRAWING = re.compile(
    r"^\[\.WebGL-0x[0-9a-f]+\]GL Driver Message|GPU stall due to ReadPixels|^Canvas2D: Multiple readback"
)
"""What Chromium says of drawing without a graphics card: that it takes long."""

WATCH = """
addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""


class Refusal(Exception):
    """The API has answered with a problem."""

    def __init__(self, status: int, document: Any) -> None:
        super().__init__(f"{status} {document}")
        self.status = status


class Host:
    """`deltastream run` with a synthetic market of two products, on ports and a directory of its own.

    Attributes:
        port, url: of its gateway.
        data_dir: which the first start makes.
        config: its configuration, a file.
        process: while it runs.
    """

    def __init__(self, folder: Path, *, chain_interval_s: float = 1.0, run: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data_dir = folder / "data"
        self._log = folder / "log"
        self.config = folder / "host.toml"
        self.config.write_text(
            CONFIGURATION.format(port=self.port, sockets_port=free_port(), chain_interval_s=chain_interval_s)
        )
        self._run = tuple(run)
        self._tokens: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it is ready and has a chain of each product."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command("run", *self._run, "--config", str(self.config)),
                stdout=log,
                stderr=log,
                env=environment(),
            )
        self._until(lambda: self.get("/ready")["status"] == "ready")
        if ADMIN not in self._tokens:
            self._first_password()
        self._until(lambda: all(self.get(f"/api/data/chain/{name}", ADMIN) for name in ("NIFTY", "SPY")))

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it, in order or at once."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None

    def link(self) -> str:
        """A one-time link for the administrator."""
        done = subprocess.run(
            self._command("user", "link"), capture_output=True, text=True, check=True, env=environment()
        )
        found = re.search(r"http\S+#token=\S+", done.stdout + done.stderr)
        assert found is not None
        return found.group(0)

    def get(self, path: str, email: str | None = None) -> Any:
        """What the API answers, in somebody's name."""
        return self.call("GET", path, email=email)

    def call(self, method: str, path: str, body: Any = None, *, email: str | None = None) -> Any:
        """Ask the API; a token that has expired is replaced."""
        if email is None:
            return self._ask(method, path, body, None)
        try:
            return self._ask(method, path, body, self._tokens.get(email))
        except Refusal as refusal:
            if refusal.status != 401:
                raise
        told = self._ask("POST", "/api/auth/login", {"email": email, "password": PASSWORD}, None)
        self._tokens[email] = told["token"]
        return self._ask(method, path, body, told["token"])

    def register(self, email: str) -> None:
        """Make an ordinary user, whose password is everybody's."""
        told = self._ask("POST", "/api/auth/register", {"email": email, "password": PASSWORD}, None)
        self._tokens[email] = told["token"]

    def _first_password(self) -> None:
        token = self.link().partition("#token=")[2]
        access = self._ask("POST", "/api/auth/link", {"token": token}, None)["token"]
        told = self._ask("POST", "/api/auth/password", {"password": PASSWORD}, access)
        self._tokens[ADMIN] = told["token"]

    def _ask(self, method: str, path: str, body: Any, token: str | None) -> Any:
        headers = {"Accept": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                content = response.read()
        except urllib.error.HTTPError as error:
            raise Refusal(error.code, error.read().decode(errors="replace")) from None
        return json.loads(content) if content else None

    def _command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "deltastream", *args, "--data-dir", str(self.data_dir)]

    def _until(self, works: Callable[[], Any]) -> None:
        end = time.monotonic() + 60
        while True:
            try:
                if works():
                    return
            except (OSError, Refusal) as error:
                last: object = error
            else:
                last = "no"
            assert self.process is None or self.process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, f"{last}\n{self._log.read_text()[-4000:]}"
            time.sleep(0.05)


def environment() -> dict[str, str]:
    """No setting of whoever runs the tests gets in."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DELTASTREAM_")}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Visit:
    """A browser that was never here, and one page of it.

    Attributes:
        page: of Playwright.
        context: of Playwright; its pages are watched as well.
        mistakes: what was complained of so far.
    """

    def __init__(self, browser: Any, host: Host, expected: Sequence[str], options: Mapping[str, Any]) -> None:
        self.host = host
        self.mistakes: list[str] = []
        self._expected = [SLOW_DRAWING, *map(re.compile, expected)]
        self.context = browser.new_context(**{"base_url": host.url, "locale": "en-GB", **options})
        self.context.set_default_timeout(15_000)
        self.context.add_init_script(WATCH)
        self.context.on("console", self._hear)
        self.context.on("weberror", lambda error: self._complain("error", str(error.error)))
        self.context.on("request", self._see)
        self.page = self.context.new_page()

    def expect(self, pattern: str) -> None:
        """From now on this is no mistake."""
        self._expected.append(re.compile(pattern))

    def log_in(self, email: str = ADMIN) -> None:
        """Get the session's cookie, as the login page would."""
        answer = self.context.request.post(
            "/api/auth/login", data={"email": email, "password": PASSWORD, "cookie": True}
        )
        assert answer.ok, answer.text()

    def open(self, view: str = "") -> Any:
        """Go to a view and wait until it is there."""
        self.page.goto(f"/#/{view}" if view else "/")
        self.page.locator("#view h1, #view table").first.wait_for(state="attached")
        return self.page

    def eventually(self, works: Callable[[], Any], seconds: float = 15.0) -> Any:
        """What is true at last; the browser goes on meanwhile."""
        end = time.monotonic() + seconds
        while not (found := works()):
            assert time.monotonic() < end, f"not within {seconds} s; last: {found!r}"
            self.page.wait_for_timeout(25)
        return found

    def close(self) -> None:
        self.context.close()

    def _hear(self, message: Any) -> None:
        self._complain(f"{message.type} of {message.location.get('url', '')}", message.text)

    def _complain(self, kind: str, text: str) -> None:
        if not any(pattern.search(text) for pattern in self._expected):
            self.mistakes.append(f"{kind}: {text}")

    def _see(self, request: Any) -> None:
        if not request.url.startswith((self.host.url + "/", "data:", "blob:" + self.host.url)):
            self.mistakes.append(f"another host was asked: {request.url}")


class Wire:
    """Stands between a page and its sockets: what it holds back, the page is never told.

    Attributes:
        frames: what the page was told so far, in order, over all connections.
    """

    def __init__(self, visitor: Visit) -> None:
        self.frames: list[dict[str, Any]] = []
        self._holds = False
        visitor.context.route_web_socket("**/ws", self._come)

    def hold(self) -> None:
        """From now on the page is told nothing."""
        self._holds = True

    def last(self, event: str, **data: Any) -> dict[str, Any]:
        """The newest frame of an event whose data has these values."""
        for frame in reversed(self.frames):
            if frame["event"] == event and data.items() <= frame["data"].items():
                return frame
        raise LookupError(f"no {event} of {data}")

    def _come(self, socket: Any) -> None:
        server = socket.connect_to_server()

        def tell(text: str) -> None:
            if not self._holds:
                self.frames.append(json.loads(text))
                socket.send(text)

        server.on_message(tell)


class _Shared:
    """What all tests of this folder use, begun with the first and ended with the last of them."""

    def __init__(self) -> None:
        self.driver: Any = None
        self.browser: Any = None
        self.host: Host | None = None

    def close(self) -> None:
        if self.browser is not None:
            self.browser.close()
        if self.driver is not None:
            self.driver.stop()
        if self.host is not None:
            self.host.stop()
        self.driver = self.browser = self.host = None


shared = _Shared()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Playwright's event loop and the host are in nobody's way once the tests of this folder are over."""
    if nextitem is None or FOLDER not in nextitem.path.parents:
        shared.close()


@pytest.fixture(scope="session")
def _end() -> Iterator[None]:
    yield
    shared.close()


@pytest.fixture
def browser(_end: None) -> Any:
    if shared.browser is None:
        playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
        path = shutil.which("chromium") or shutil.which("google-chrome")
        if path is None:
            pytest.skip("no Chromium on the path")
        shared.driver = playwright.sync_playwright().start()
        shared.browser = shared.driver.chromium.launch(executable_path=path, args=list(FLAGS))
    return shared.browser


@pytest.fixture
def host(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Host:
    """The host that all share: no test stops it, or changes the administrator's password."""
    if shared.host is None:
        shared.host = Host(tmp_path_factory.mktemp("host"))
        shared.host.start()
    return shared.host


@pytest.fixture
def own_host(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """Makes hosts, not started yet, that the test may do with as it likes."""
    made: list[Host] = []

    def make(**options: Any) -> Host:
        folder = tmp_path / f"host-{len(made)}"
        folder.mkdir()
        made.append(Host(folder, **options))
        return made[-1]

    yield make
    for each in made:
        each.stop(signal.SIGKILL)


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    """Comes to a host as a browser that was never there; what it complains of fails the test."""
    visits: list[Visit] = []

    def come(host: Host, *, expected: Sequence[str] = (), **options: Any) -> Visit:
        visits.append(Visit(browser, host, expected, options))
        return visits[-1]

    yield come
    for each in visits:
        each.close()
    assert [mistake for each in visits for mistake in each.mistakes] == []


@pytest.fixture
def wire() -> type[Wire]:
    """Makes a wire for a visit, before its page is opened."""
    return Wire


class Modules:
    """The modules of the page by themselves, in a page that has nothing else.

    Attributes:
        visit: the page they are in.
    """

    def __init__(self, visitor: Visit) -> None:
        self.visit = visitor
        policy = visitor.context.request.get("/").headers["content-security-policy"]
        visitor.context.route(
            f"{visitor.host.url}/alone",
            lambda route: route.fulfill(
                body="<!doctype html><title>alone</title>",
                headers={"content-type": "text/html", "content-security-policy": policy},
            ),
        )
        visitor.page.goto("/alone")

    def __call__(self, modules: str, script: str, argument: Any = None) -> Any:
        """Run a function of modules, named "core/format core/dom", and of an argument."""
        imports = ", ".join(f"import('/app/{name}.js')" for name in modules.split())
        text = f"async (argument) => ({script})(...await Promise.all([{imports}]), argument)"
        return self.visit.page.evaluate(text, argument)


@pytest.fixture
def modules(host: Host, visit: Callable[..., Visit]) -> Modules:
    return Modules(visit(host))
