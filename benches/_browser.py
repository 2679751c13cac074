"""A host on defaults and Chromium, logged in by the link that the host prints."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _http import free_port

__all__ = ["browser", "logged_in", "running"]

FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",
)


@contextmanager
def running(settings: Mapping[str, str]) -> Iterator[str]:
    """The one-time link of `deltastream run` in a directory and on ports of its own.

    Args:
        settings: environment variables that set it up.
    """
    ports = {"DELTASTREAM_GATEWAY__PORT": str(free_port()), "DELTASTREAM_SOCKETS__PORT": str(free_port())}
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        command = [sys.executable, "-m", "deltastream", "run", "--data-dir", f"{directory}/data"]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, stdout=out, stderr=out, env={**os.environ, **ports, **settings}
            )
        try:
            while not (found := re.search(r"http\S+#token=\S+", log.read_text())):
                if process.poll() is not None:
                    raise SystemExit(f"The host has ended:\n{log.read_text()}")
                time.sleep(0.05)
            yield found[0]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium as Debian packages it."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        raise SystemExit("This needs Chromium: apt install chromium.")
    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield launched
        launched.close()


def logged_in(launched: Any, link: str, **options: Any) -> Any:
    """A browser context that has the administrator's session."""
    context = launched.new_context(base_url=link.partition("login#")[0], **options)
    page = context.new_page()
    page.goto(link)
    page.get_by_role("button", name="Not now").click()
    page.locator("nav[aria-label=Views]").wait_for()
    page.close()
    return context
