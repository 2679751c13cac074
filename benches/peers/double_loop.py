"""Peer: the tutorial's own max pain, every strike tried against every other in plain Python.

python double_loop.py DIRECTORY     in benches/.venv-tutorial, started by benches/core.py
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

BENCHES = Path(__file__).resolve().parent.parent
sys.path += [str(BENCHES), str(BENCHES / "tutorial")]
os.environ.setdefault("TUTORIAL_REDIS", "redis://localhost")  # named by its tasks, not used here

from _measure import publish, samples  # noqa: E402  # beside this directory
from tasks import max_pain  # noqa: E402  # the same


def main(directory: Path) -> None:
    rows = json.loads((directory / "open_interest.json").read_text())
    seconds = samples(lambda: max_pain(rows))
    (directory / "double_loop.json").write_text(json.dumps(max_pain(rows)))
    row = {"work": "max pain", "who": "the tutorial's double loop", "seconds": seconds, "options": 1}
    publish([row | {"values": "double_loop.json"}])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
