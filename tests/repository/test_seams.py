"""Time, randomness, ids, threads, network and environment come through seams and nowhere else.

Each use of a forbidden name is found in the syntax tree, through whatever name it was imported as.
An honest exception stands in `EXCEPTIONS` with its reason, as a file and a shell pattern, and must
be in use.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch

import pytest

FORBIDDEN = re.compile(
    r"""time\.(?!struct_time)\w+
    | datetime\.(datetime|date)\.(now|utcnow|today)
    | random\.(?!Random\b)\w+
    | (uuid|secrets|threading|_thread|multiprocessing|concurrent\.futures|asyncio)\.\w+
    | os\.(urandom|getrandom|environ|getenv|environb|fork)
    | trio\.(to_thread|from_thread)\.\w+
    | (trio\.)?socket\.\w+
    | trio\.(open_tcp\w+|open_unix_socket|open_ssl\w+|serve_tcp|serve_listeners|SocketListener)
    | numpy\.(random|exp|expm1|exp2|log|log1p|log2|log10|power|sin|cos|tan|tanh|sinh|cosh|arc\w+|cbrt)\b.*
    """,
    re.VERBOSE,
)
MODULES = {
    "time", "random", "uuid", "secrets", "threading", "_thread", "multiprocessing", "asyncio", "socket",
}  # fmt: skip

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("deltastream/feeds/synthetic/_arithmetic.py", "numpy.random.PCG64"): "names the type alone",
    ("deltastream/feeds/synthetic/_product.py", "numpy.random.*"): "raw bits from the market's own seed",
    ("deltastream/feeds/synthetic/_series.py", "numpy.random.PCG64"): "names the type alone",
    ("deltastream/host/config.py", "os.environ"): "the one reader of the environment",
    ("deltastream/host/control.py", "*socket*"): "serves the control socket: local, and real by its nature",
    ("deltastream/host/control.py", "trio.SocketListener"): "the same",
    ("deltastream/host/control.py", "trio.serve_listeners"): "the same",
    ("deltastream/host/control_client.py", "trio.open_unix_socket"): "the other end of the control socket",
    ("deltastream/host/data_dir.py", "time.sleep"): "takes the directory's lock before Trio runs",
    ("deltastream/host/logs.py", "threading.Thread"): "a terminal that stands still must not hold the loop",
    ("deltastream/seams.py", "time.time_ns"): "the clock's seam itself",
    ("deltastream/seams.py", "secrets.token_hex"): "the ids' seam itself",
    ("deltastream/seams.py", "secrets.randbits"): "seeds the random seam",
    ("deltastream/seams.py", "trio.to_thread.run_sync"): "the threads' seam itself",
}


def aliases(tree: ast.Module) -> dict[str, str]:
    """Name in the module → absolute dotted name that it was imported from."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and (base := dotted(node.value, names)):
        return f"{base}.{node.attr}"
    return None


def leaks(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of every use of a forbidden thing."""
    names = aliases(tree)
    # Of `time.time` the whole is looked at, not the `time` inside it.
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and id(node) not in inner:
            name = dotted(node, names) or ""
            if FORBIDDEN.fullmatch(name) or name in MODULES:
                yield node.lineno, name
        elif isinstance(node, ast.Call) and not node.args and dotted(node.func, names) == "random.Random":
            yield node.lineno, "random.Random()"
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES and node.names[0].name == "*":
            yield node.lineno, f"{node.module}.*"


def test_nothing_leaks_round_the_seams(modules):
    found = [
        f"{module.path}:{line}: {name}"
        for module in modules
        for line, name in leaks(module.tree)
        if not any(module.path.as_posix() == path and fnmatch(name, what) for path, what in EXCEPTIONS)
    ]
    assert found == []


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=" ".join)
def test_every_exception_is_in_use(exception: tuple[str, str], modules):
    path, name = exception
    trees = [module.tree for module in modules if module.path.as_posix() == path]
    assert trees, f"{path} is gone: drop its exceptions"
    assert any(fnmatch(used, name) for _, used in leaks(trees[0])), f"{path} no longer uses {name}: drop it"


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.time()",
        "import time as t\nf = t.monotonic",
        "from time import perf_counter\nperf_counter()",
        "from time import time_ns as now\nnow()",
        "import time\nclock = time",
        "import datetime\ndatetime.datetime.now()",
        "import datetime as dt\ndt.date.today()",
        "from datetime import datetime\ndatetime.utcnow()",
        "import random\nrandom.gauss(0, 1)",
        "import random\nrandom.Random()",
        "from random import *",
        "import uuid\nuuid.uuid4()",
        "import os\nos.urandom(8)",
        "from os import environ\nenviron['A']",
        "import trio\nawait_ = trio.to_thread.run_sync",
        "from trio import to_thread\nto_thread.run_sync(f)",
        "import trio.to_thread\ntrio.to_thread.run_sync(f)",
        "import threading\nthreading.Thread()",
        "import socket\nsocket.socket()",
        "import trio\ntrio.socket.socket()",
        "import trio\ntrio.open_tcp_stream('a', 1)",
        "import numpy as np\nnp.random.default_rng(1)",
        "import numpy as np\nnp.log(x)",
    ],
)
def test_leaks_are_found(source: str):
    assert list(leaks(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "import random\ndef f(rng: random.Random): return rng.random()",
        "import random\nrandom.Random(7)",
        "import trio\ntrio.current_time(); trio.sleep(1)",
        "import datetime as dt\ndt.datetime.fromtimestamp(0, dt.UTC)",
        "import numpy as np\nnp.sqrt(x)",
        "def f(time): return time.time()",
    ],
)
def test_what_is_allowed_is_not_found(source: str):
    assert not list(leaks(ast.parse(source)))
