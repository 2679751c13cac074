"""The package as others see it: its names, its docstrings, its example, its dependencies."""

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import supervisors

PACKAGE = Path(supervisors.__file__).parent
TESTS = Path(__file__).parent

NAMES = """
Address AutoShutdown Backoff ChildRunning ChildSpec ChildState ChildStatistics Context DuplicateChild
ErrorRecord Event EventKind ExitReason Intensity InvalidSpec LagStatistics LoopLag Mailbox MailboxStatistics
NO_BACKOFF Outcome Overflow Policy Restart RestartIntensityExceeded Service SinkStatistics StartFailed
StartTimeout Strategy StuckChild SupervisionError Supervisor SupervisorSpec SupervisorStatistics
SupervisorStopped Tree TreeExit UnknownChild UnknownMailbox block conflate drop_newest drop_oldest open_tree
run_tree stop_on_signals
"""


def test_public_namespace():
    assert sorted(supervisors.__all__) == sorted(NAMES.split())
    public = {name for name in vars(supervisors) if not name.startswith("_")}
    assert public == set(supervisors.__all__)


def test_every_module_but_the_package_is_private_and_declares_its_names():
    for path in PACKAGE.glob("*.py"):
        assert path.name.startswith("_")
        tree = ast.parse(path.read_text())
        assert any(isinstance(node, ast.Assign) and node.targets[0].id == "__all__" for node in tree.body), (
            path
        )
        assert len(path.read_text().splitlines()) <= 500
    assert (PACKAGE / "py.typed").exists()


def test_every_public_thing_has_a_docstring():
    for name in supervisors.__all__:
        thing = getattr(supervisors, name)
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue
        assert thing.__doc__, name
        for attribute, member in vars(thing).items() if inspect.isclass(thing) else ():
            member = member.fget if isinstance(member, property) else member
            if inspect.isfunction(member) and not attribute.startswith("_"):
                assert member.__doc__, f"{name}.{attribute}"


def test_every_async_function_says_what_cancellation_does():
    said = re.compile("[Cc]ancel")
    for name in ("Mailbox", "Tree", "Supervisor", "LoopLag"):
        for attribute, member in vars(getattr(supervisors, name)).items():
            if inspect.iscoroutinefunction(member) and not attribute.startswith("_"):
                assert said.search(member.__doc__), f"{name}.{attribute}"
    for function in (supervisors.open_tree, supervisors.run_tree, supervisors.stop_on_signals):
        assert said.search(function.__doc__)


def test_errors_share_one_base():
    for name in supervisors.__all__:
        thing = getattr(supervisors, name)
        if inspect.isclass(thing) and issubclass(thing, BaseException):
            assert issubclass(thing, supervisors.SupervisionError)


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield node.module.split(".")[0]


def test_imports_nothing_but_trio_and_the_standard_library():
    """The lowest of the Python floors: no market word can get in."""
    allowed = {"trio", "supervisors"} | sys.stdlib_module_names
    for path in PACKAGE.glob("*.py"):
        assert set(imports_of(path)) <= allowed, path


def test_import_loads_no_other_floor_and_does_nothing():
    code = """
        import sys, trio
        before = set(sys.modules)
        import supervisors
        new = {name.split(".")[0] for name in set(sys.modules) - before}
        print(sorted(new - {"supervisors"} - set(sys.stdlib_module_names)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
        cwd=PACKAGE.parent,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_seams_are_respected():
    """No clock but Trio's, no randomness but what is handed in, no threads."""
    forbidden = re.compile(
        r"time\.time|monotonic|datetime|random\.(?!Random\b)|to_thread|uuid|os\.environ|print\("
    )
    for path in PACKAGE.glob("_*.py"):
        if path.name != "__init__.py":
            assert not forbidden.search(path.read_text()), path


def test_every_row_of_the_semantics_has_a_test():
    rows = [int(n) for n in re.findall(r"^ ?(\d+)\. ", supervisors.__doc__, re.MULTILINE)]
    assert rows == list(range(1, 32))
    named = set()
    for path in TESTS.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                said = ast.get_docstring(node) or ""
                for numbers in re.findall(r"Rows? (\d+(?:(?:, | and )\d+)*)", said):
                    named.update(int(n) for n in re.findall(r"\d+", numbers))
    assert named == set(rows)


def example():
    """Return the code of the package's example."""
    text = supervisors.__doc__.split("reads on. ::\n", 1)[1].split("\nSemantics", 1)[0]
    return textwrap.dedent(text)


def test_example_runs():
    code = example().replace("trio.run(main)", "trio.run(main, clock=MockClock(autojump_threshold=0))")
    code = "from trio.testing import MockClock\n" + code
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "incarnation 1: 25",
        "incarnation 2: 20",
        "running 1",
    ]


@pytest.mark.slow
def test_example_is_typed(tmp_path):
    """What the docstring shows passes a strict type checker."""
    script = tmp_path / "example.py"
    script.write_text(example())
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", str(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=PACKAGE.parent,
    )
    assert done.returncode == 0, done.stdout
