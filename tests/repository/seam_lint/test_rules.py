"""The linter itself: each rule finds what is bad, and nothing of what is good."""

from __future__ import annotations

import pytest

BAD = {
    "clock": [
        "import time\ntime.time()",
        "import time as t\nf = t.monotonic",
        "from time import perf_counter\nperf_counter()",
        "from time import time_ns as now\nnow()",
        "import time\nclock = time",
        "import datetime\ndatetime.datetime.now()",
        "import datetime as dt\ndt.date.today()",
        "from datetime import datetime\ndatetime.utcnow()",
    ],
    "chance": [
        "import random\nrandom.gauss(0, 1)",
        "import random\nrandom.Random()",
        "import random\nrandom.SystemRandom()",
        "from random import *",
        "import uuid\nuuid.uuid4()",
        "from secrets import token_hex\ntoken_hex()",
        "import os\nos.urandom(8)",
        "import numpy as np\nnp.random.default_rng(1)",
        "from numpy import random\nrandom.random()",
        "import tempfile\ntempfile.mkdtemp()",
    ],
    "thread": [
        "import trio\nawait_ = trio.to_thread.run_sync",
        "from trio import to_thread\nto_thread.run_sync(f)",
        "import trio.to_thread\ntrio.to_thread.run_sync(f)",
        "from trio.lowlevel import start_thread_soon\nstart_thread_soon(f, g)",
        "import threading\nthreading.Thread()",
        "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor()",
        "import subprocess\nsubprocess.run([])",
        "import trio\ntrio.run_process([])",
        "import multiprocessing as mp\nmp.Pool()",
        "import os\nos.fork()",
    ],
    "network": [
        "import socket\nsocket.socket()",
        "import trio\ntrio.socket.socket()",
        "import trio\ntrio.open_tcp_stream('a', 1)",
        "import httpx\nhttpx.get('a')",
        "from urllib.request import urlopen\nurlopen('a')",
    ],
    "environment": [
        "from os import environ\nenviron['A']",
        "import os\nos.getenv('A')",
        "import os\nos.getpid()",
        "from pathlib import Path\nPath.home()",
        "from pathlib import Path\nPath('~').expanduser()",
        "import platform\nplatform.node()",
        "from datetime import datetime\ndatetime.fromtimestamp(0)",
    ],
    "last bits": [
        "import numpy as np\nnp.log(x)",
        "import numpy as np\nf = np.power",
        "import numpy as np\nnp.arctan2(x, y)",
        "import numpy as np\nnp.linalg.solve(a, b)",
        "import math\nmath.exp(1)",
        "from math import sin\nsin(1)",
    ],
    "listing": [
        "import os\nfor name in os.listdir(d): use(name)",
        "names = [p.name for p in folder.iterdir()]",
        "for path in folder.glob('*'): use(path)",
        "sorted(folder.rglob('*'), key=len)",
    ],
    "hash order": [
        "hash('a')",
        "by_id = {id(x): x}",
        "for x in {1, 2}: use(x)",
        "[use(x) for x in {y for y in z}]",
        "list(set(z))",
        "tuple({*z})",
        "a, b = *{1, 2},",
        "def f(z: set[str]): return [*z]",
        "def f(z: frozenset[str] | None): yield from z",
        "def f(z):\n    z = set(z)\n    for x in z: use(x)",
        "def f(z):\n    y = z.keys() & {1}\n    return ', '.join(y)",
        "def f(a: set[int], b):\n    for x in a.union(b): use(x)",
        "def f(a: set[int], b):\n    for x in sorted(a - b, key=abs): use(x)",
        "def f(a: set[int]): return max(a, key=abs)",
        "def f(a: set[int]): return a.pop()",
        "def f(a: set[int]): return next(iter(a))",
        "def f(a: set[int]): return f'{a}'",
        "def f(a: set[int]): return dict.fromkeys(a)",
        "def f(a: set[int]): return {x: 1 for x in a}",
        "def f(a: set[int], rng): return rng.choice(a)",
        "class A:\n    x: set[int]\n    def f(self):\n        for y in self.x: use(y)",
        "class A:\n    def __init__(self): self.x: set[int] = set()\n    def f(self): return list(self.x)",
        "class A:\n    @property\n    def x(self) -> set[int]: ...\n    def f(self): return list(self.x)",
        "def g() -> set[int]: ...\ndef f(): return list(g())",
        "import weakref\nfor x in weakref.WeakSet(): use(x)",
    ],
}


@pytest.mark.parametrize(("rule", "source"), [(rule, source) for rule in BAD for source in BAD[rule]])
def test_each_rule_bites(lint, rule: str, source: str):
    assert {each.rule for each in lint(source)} == {rule}


@pytest.mark.parametrize(
    "source",
    [
        "import random\ndef f(rng: random.Random): return rng.random()",
        "import random\nrandom.Random(7)",
        "import trio\ntrio.current_time(); trio.sleep(1)",
        "import datetime as dt\ndt.datetime.fromtimestamp(0, dt.UTC)",
        "import numpy as np\nnp.sqrt(x)",
        "import math\nmath.sqrt(x)",
        "def f(time): return time.time()",
        "sorted(folder.iterdir())",
        "any(folder.iterdir())",
        "for x in sorted({1, 2}): use(x)",
        "1 in {1, 2}; len({1, 2}); min({1, 2})",
        "{x + 1 for x in {1, 2}}",
        "any(x for x in {1, 2})",
        "def f(a: set[int], b: list[int]): return min((*a, *b))",
        "def f(a: set[int], b: set[int]): return a | b, a.union(b), set(a), {*a, *b}",
        "def f(z: dict[str, int]): return list(z), [*z], next(iter(z))",
        "def f(z: list[set[int]]): return list(z)",
        "def f(z):\n    x = set(z)\n    def g(x: list[int]): return list(x)",
        "def f(z):\n    for x in z: yield list(x)",
        "class A:\n    x: list[int]\n    def f(self): return list(self.x), self.x.pop()",
        "def f(x, y):\n    x = x - y\n    return list(x)",
    ],
)
def test_what_is_allowed_is_not_found(lint, source: str):
    assert lint(source) == []


def test_an_attribute_is_a_set_in_other_modules_too_unless_these_mean_another(lint):
    one = "class A:\n    x: set[int]\n    y: set[int]"
    other = "class B:\n    y: list[int]\ndef f(a): return list(a.x), list(a.y)"
    assert [each.what for each in lint(one, other)] == ["a.x"]


def test_a_marker_is_a_comment_not_a_text(marks):
    assert marks("a = 1  # seam: why\nb = '# seam: no'\nc = 2  # seam:\n") == {1: "why", 3: ""}
