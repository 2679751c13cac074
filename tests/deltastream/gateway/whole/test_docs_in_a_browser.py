"""The documentation as a browser shows it, under the policy that it is served with."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from deltastream.gateway.api import ROUTES

pytestmark = pytest.mark.slow


def test_every_operation_is_shown_and_nothing_is_refused(host, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on the path")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000"]
    command += [
        f"--user-data-dir={tmp_path}",
        "--enable-logging=stderr",
        "--dump-dom",
        f"{host.url}/docs#chain",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    shown = set(re.findall(r'<details class="operation" id="([^"]+)"', done.stdout))
    assert shown == {route.name for route in ROUTES}
    opened = done.stdout.partition('id="chain"')[2].partition('<details class="operation"')[0]
    assert '<form class="try">' in opened
    assert "max_pain_strike" in opened
    assert "delta_min" in opened
    assert 'role="alert" hidden' in done.stdout
