"""Requests made of the published document, thousands of them, at a real host on a real socket."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from deltastream.accounts.types import SCOPES
from deltastream.gateway.api import ROUTES
from deltastream.gateway.app import make_app
from deltastream.gateway.serving import serve
from deltastream.gateway.settings import GatewaySettings, LimitSettings

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SEED = 20
ADMIN_EXAMPLES = 30
NOBODY_EXAMPLES = 10
SPARE = 1500
"""Users whose sessions are ended in the course of the run."""

UNLIMITED = LimitSettings(
    requests_per_minute=10**9, burst=10**9, strangers_per_minute=10**9, strangers_burst=10**9
)

CONFIGURATION = """
[checks]
# 400 for rules beyond the schema, which a check of ours looks into; 413 for how long a body may be
positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "413", "429"]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "406", "413", "415", "429"]
"""


@contextmanager
def host(open_world):
    """A host of two products on loopback, in a thread of its own; its URL and credentials."""
    told: dict = {}
    ready = threading.Event()

    async def run() -> None:
        told["stop"], told["token"] = trio.Event(), trio.lowlevel.current_trio_token()
        async with open_world() as world, trio.open_nursery() as nursery:
            settings = GatewaySettings(port=0, limits=UNLIMITED)
            app = make_app(replace(world.services, settings=settings), ROUTES)
            start = serve_with(app, settings, world.seams, told["stop"])
            told["url"] = (await nursery.start(start)).url
            told["credentials"] = await credentials(world)
            ready.set()

    def serve_with(app, settings, seams, stop):
        async def start(*, task_status):
            await serve(app, settings, seams, stop=stop, task_status=task_status)

        return start

    def thread() -> None:
        try:
            trio.run(run)
        except BaseException as error:
            told["error"] = error
            raise
        finally:
            ready.set()

    running = threading.Thread(target=thread)
    running.start()
    try:
        assert ready.wait(60)
        yield told["url"].rstrip("/"), told["credentials"]
    finally:
        if "stop" in told:
            told["token"].run_sync_soon(told["stop"].set)
        running.join(30)
    assert "error" not in told


async def credentials(world) -> dict:
    """An administrator's key with every scope, a user's session, and many others."""
    await world.administration.add_user("boss@example.org", "Boss", "admin")
    people = [
        (await world.accounts.register(f"user{number}@example.org", "correct horse", "")).access
        for number in range(SPARE + 1)
    ]
    key = await world.key(*SCOPES, email="boss@example.org")
    return {"key": key, "session": people.pop(), "spare": people}


def schemathesis(directory: Path, url: str, who: dict, examples: int) -> int:
    """Run Schemathesis to its end, and fail with all that it says; the number of cases."""
    (directory / "schemathesis.toml").write_text(CONFIGURATION)
    (directory / "credentials.json").write_text(json.dumps(who))
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": str(HERE / "schemathesis_hooks.py"),
        "CREDENTIALS": str(directory / "credentials.json"),
    }
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"]
    command += ["run", f"{url}/api/docs", "--checks", "all", "--continue-on-failure", "--no-color"]
    command += ["--seed", str(SEED), "--generation-deterministic", "--max-examples", str(examples)]
    command += ["--request-timeout", "10"]
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    cases = re.search(r"(\d+) generated", done.stdout)
    if done.returncode != 0 or cases is None:
        pytest.fail(done.stdout + done.stderr, pytrace=False)
    return int(cases[1])


def test_the_gateway_keeps_what_its_document_promises(open_world, tmp_path):
    with host(open_world) as (url, known):
        as_administrator = schemathesis(tmp_path, url, known, ADMIN_EXAMPLES)
        as_nobody = schemathesis(tmp_path, url, {}, NOBODY_EXAMPLES)
    assert as_administrator + as_nobody >= 2000
