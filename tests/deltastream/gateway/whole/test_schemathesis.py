"""Requests made of the published document, thousands of them, at a real host on a real socket."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
SEED = 20
ADMIN_EXAMPLES = 30
NOBODY_EXAMPLES = 10

CONFIGURATION = """
[checks]
# 400 for rules beyond the schema, which a check of ours looks into; 413 for how long a body may be
positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "413", "429"]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "406", "413", "415", "429"]
"""


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


def test_the_gateway_keeps_what_its_document_promises(host, tmp_path):
    as_administrator = schemathesis(tmp_path, host.url, asdict(host), ADMIN_EXAMPLES)
    as_nobody = schemathesis(tmp_path, host.url, {}, NOBODY_EXAMPLES)
    print(f"{as_administrator} cases as an administrator, {as_nobody} as nobody")
    assert as_administrator + as_nobody >= 2000
