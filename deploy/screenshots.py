"""Pictures of every view, light, dark and on a phone, from a host of its own: docs/images/*.png.

python deploy/screenshots.py [FOLDER]
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",
)
VIEWS = {"chain": "chain/NIFTY", "charts": "charts/NIFTY", "system": "system", "account": "account"}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1440, "height": 900}},
    "phone": {
        "color_scheme": "dark",
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}
README = {
    "readme-chain": ("chain/NIFTY", {"color_scheme": "dark", "viewport": {"width": 1360, "height": 520}}),
    "readme-charts": ("charts/NIFTY", {"color_scheme": "light", "viewport": {"width": 1360, "height": 520}}),
}
"""Smaller ones, which stand in the README."""
HISTORY_S = 60.0
"""How long the market goes on before it is looked at: lines need some points."""
SETTLED_MS = 8000


@contextmanager
def running() -> Iterator[str]:
    """The one-time link of a host on defaults, in a directory and on ports of its own."""
    ports = {"DELTASTREAM_GATEWAY__PORT": str(_free_port()), "DELTASTREAM_SOCKETS__PORT": str(_free_port())}
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        command = [sys.executable, "-m", "deltastream", "run", "--data-dir", f"{directory}/data"]
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **ports})
        try:
            while not (found := re.search(r"http\S+#token=\S+", log.read_text())):
                if process.poll() is not None:
                    raise SystemExit(f"The host has ended:\n{log.read_text()}")
                time.sleep(0.05)
            yield found[0]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def login(browser: Any, link: str, folder: Path) -> Any:
    """A picture of the login in each look, then the state of a browser that is logged in."""
    base = link.partition("login#")[0]
    for look, options in LOOKS.items():
        context = browser.new_context(base_url=base, **options)
        page = context.new_page()
        page.goto("login")
        page.get_by_role("heading", name="Log in").wait_for()
        page.screenshot(path=folder / f"login-{look}.png")
        context.close()
    context = browser.new_context(base_url=base)
    page = context.new_page()
    page.goto(link)
    page.get_by_role("button", name="Not now").click()
    page.locator("nav[aria-label=Views]").wait_for()
    state = context.storage_state()
    context.close()
    return state


def pictures(browser: Any, base: str, state: Any, options: Any, files: dict[Path, str]) -> Any:
    """A picture of each view in one look, and the state of the browser afterwards.

    A refresh token is good once: the next browser goes on with what this one was given.
    """
    context = browser.new_context(base_url=base, storage_state=state, **options)
    page = context.new_page()
    for file, view in files.items():
        page.goto(f"/#/{view}")
        page.wait_for_timeout(SETTLED_MS)
        page.screenshot(path=file)
        print(file)
    state = context.storage_state()
    context.close()
    return state


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    path = shutil.which("chromium")
    if path is None:
        raise SystemExit("This needs Chromium: apt install chromium.")
    folder.mkdir(parents=True, exist_ok=True)
    with running() as link, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        state = login(browser, link, folder)
        time.sleep(HISTORY_S)
        base = link.partition("login#")[0]
        for look, options in LOOKS.items():
            files = {folder / f"{name}-{look}.png": view for name, view in VIEWS.items()}
            state = pictures(browser, base, state, options, files)
        for name, (view, options) in README.items():
            state = pictures(browser, base, state, options, {folder / f"{name}.png": view})
        browser.close()


if __name__ == "__main__":
    main()
