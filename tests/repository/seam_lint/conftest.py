"""Time, chance, ids, threads, network and environment come through seams and nowhere else.

So that a simulation is a function of its seed, nothing else may reach what is published either: not
the order in which sets hash, nor that in which a directory lists, nor the last bits of functions that
every processor computes in its own way.

The linter reads syntax trees; it follows names to where they were imported from, and knows what is a
set by annotations and assignments. An honest exception has a comment ``# seam: reason`` on its line, or
stands in the table of `test_seam_lint.py`; one that is not needed any more fails as well.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import pytest

NAMES = {
    "clock": r"time\.(?!struct_time)\w+ | time | datetime\.(datetime|date)\.(now|utcnow|today)",
    "chance": r"""random\.(?!Random\b)\w+ | random | (uuid|secrets)(\.\w+)? | os\.(urandom|getrandom)
        | numpy\.random\.\w+ | tempfile\.\w+""",
    "thread": r"""(threading|_thread|multiprocessing|concurrent\.futures|asyncio|subprocess|queue)(\.\w+)?
        | trio\.(to_thread|from_thread)(\.\w+)? | trio\.run_process
        | trio\.lowlevel\.(open_process|start_thread_soon)
        | os\.(fork|forkpty|system|popen|posix_spawnp?|exec\w+|spawn\w+)""",
    "network": r"""(trio\.)?socket(\.\w+)? | (httpx|requests|aiohttp|urllib\.request|http\.client|ssl)(\.\w+)*
        | trio\.(open_tcp\w+|open_unix_socket|open_ssl\w+|serve_tcp|serve_ssl\w+|serve_listeners
        | SocketListener)""",
    "environment": r"""os\.(environb?|getenvb?|putenv|getcwd|getpid|getppid|uname|cpu_count|getlogin)
        | os\.path\.(expanduser|expandvars) | pathlib\.Path\.(home|cwd) | (platform|locale|getpass)\.\w+""",
    "last bits": r"""numpy\.(exp|expm1|exp2|log|log1p|log2|log10|power|float_power|sin|cos|tan|tanh|sinh|cosh
        | arc\w+|cbrt|hypot|logaddexp2?|dot|vdot|inner|outer|matmul|einsum|tensordot|convolve|correlate
        | linalg\.\w+|fft\.\w+)
        | math\.(exp|expm1|exp2|log|log1p|log2|log10|pow|sin|cos|tan|tanh|sinh|cosh|a(sin|cos|tan)h?|atan2
        | cbrt|hypot|erfc?|l?gamma)""",
    "hash order": r"builtins\.(hash|id)",
}
"""By rule: what must not be named, under whatever name it was imported."""

_PATTERNS = {rule: re.compile(pattern, re.VERBOSE) for rule, pattern in NAMES.items()}
_MODULES = ("time", "random", "uuid", "secrets", "threading", "subprocess", "socket", "asyncio")
_LISTINGS = ("iterdir", "glob", "rglob")
_LISTING_NAMES = ("os.listdir", "os.scandir", "os.walk", "glob.glob", "glob.iglob")
_INDIFFERENT = ("sorted", "min", "max", "any", "all", "len", "set", "frozenset", "sum")
_CONSUMERS = ("list", "tuple", "iter", "enumerate", "map", "filter", "zip", "reversed", "next", "str", "repr")
_SET_TYPES = ("set", "frozenset", "Set", "FrozenSet", "AbstractSet", "MutableSet")
_SET_METHODS = ("union", "intersection", "difference", "symmetric_difference")


@dataclass(frozen=True)
class Finding:
    """One use of what may not be used; `lines` are those on which its marker may stand."""

    lines: range
    rule: str
    what: str


class Sets:
    """The attributes and functions that are, or return, sets: by annotations.

    Where two modules mean different things by a name, it is what it is in the module that is looked at.
    """

    def __init__(self, trees: list[ast.Module]) -> None:
        self._own = {tree: _annotated(tree) for tree in trees}
        everywhere = list(self._own.values())
        self._all = {
            name for own in everywhere for name in own if all(each.get(name, True) for each in everywhere)
        }

    def of(self, tree: ast.Module) -> set[str]:
        """Names of attributes with a dot before them, of functions with brackets behind them."""
        own = self._own.get(tree) or _annotated(tree)
        return {name for name, is_set in own.items() if is_set} | {
            name for name in self._all if own.get(name, True)
        }


def _annotated(tree: ast.Module) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for node in ast.walk(tree):
        for name, annotation in _annotations(node):
            found[name] = found.get(name, True) and is_set_type(annotation)
    return found


def _annotations(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        is_property = any(
            isinstance(each, ast.Name) and "property" in each.id for each in node.decorator_list
        )
        yield f".{node.name}" if is_property else f"{node.name}()", node.returns
    elif isinstance(node, ast.ClassDef):
        for line in node.body:
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                yield f".{line.target.id}", line.annotation
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
        yield f".{node.target.attr}", node.annotation


def is_set_type(annotation: ast.expr | None) -> bool:
    if isinstance(annotation, ast.BinOp):
        return is_set_type(annotation.left) or is_set_type(annotation.right)
    if isinstance(annotation, ast.Subscript):
        wrapped = isinstance(annotation.value, ast.Name) and annotation.value.id in ("Final", "ClassVar")
        return is_set_type(annotation.slice if wrapped else annotation.value)
    return isinstance(annotation, ast.Name) and annotation.id in _SET_TYPES


class Linter:
    """Finds in one module what no rule allows."""

    def __init__(self, tree: ast.Module, sets: Sets) -> None:
        self._tree = tree
        self._sets = sets.of(tree)
        self._asked: set[tuple[str, ast.AST]] = set()
        self._parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def _imported(self) -> dict[str, str]:
        """Name in the module → absolute dotted name that it was imported from."""
        names = {}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.split(".")[0]
                    names[alias.asname or first] = alias.name if alias.asname else first
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        return names

    def findings(self) -> Iterator[Finding]:
        """Everything, in order of lines."""
        found = [each for node in ast.walk(self._tree) for each in self._look(node)]
        yield from sorted(found, key=lambda each: (each.lines.start, each.what))

    def _look(self, node: ast.AST) -> Iterator[Finding]:
        for rule, what in (*self._named(node), *self._called(node), *self._iterated(node)):
            end = node.iter.end_lineno if isinstance(node, ast.For | ast.AsyncFor) else node.end_lineno
            yield Finding(range(node.lineno, (end or node.lineno) + 1), rule, what)

    # Names

    def dotted(self, node: ast.AST) -> str:
        """The absolute name of an expression; empty where it is none."""
        if isinstance(node, ast.Name):
            if node.id in ("hash", "id") and isinstance(self._parents.get(node), ast.Call):
                return f"builtins.{node.id}"
            return self._imported.get(node.id, "")
        base = self.dotted(node.value) if isinstance(node, ast.Attribute) else ""
        return f"{base}.{node.attr}" if base else ""

    def _named(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.ImportFrom) and node.module in _MODULES and node.names[0].name == "*":
            yield "chance", f"{node.module}.*"
        inner = isinstance(self._parents.get(node), ast.Attribute)  # of `time.time` the whole is looked at
        if isinstance(node, ast.Attribute | ast.Name) and not inner:
            name = self.dotted(node)
            yield from ((rule, name) for rule, pattern in _PATTERNS.items() if pattern.fullmatch(name))

    def _called(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        if not isinstance(node, ast.Call):
            return
        name = self.dotted(node.func)
        if name == "random.Random" and not node.args:
            yield "chance", "random.Random()"
        if name.endswith(".fromtimestamp") and len(node.args) + len(node.keywords) < 2:
            yield "environment", f"{name} without a zone"
        attribute = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if attribute in ("expanduser",) and not name:
            yield "environment", f".{attribute}"
        if (attribute in _LISTINGS or name in _LISTING_NAMES) and not self._indifferent(node):
            yield "listing", name or f".{attribute}"
        if attribute == "pop" and not node.args and self.is_set(node.func.value):
            yield "hash order", ".pop of a set"

    # Sets

    def is_set(self, node: ast.AST) -> bool:
        """Whether an expression is a set, as far as the source tells."""
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
                return self.is_set(node.left) or self.is_set(node.right) or _is_keys(node.left)
            case ast.IfExp():
                return self.is_set(node.body) or self.is_set(node.orelse)
            case ast.Call(func=ast.Name(id=name)):
                return name in ("set", "frozenset") or f"{name}()" in self._sets
            case ast.Call(func=ast.Attribute(value=value, attr=name)):
                derived = name in (*_SET_METHODS, "copy") and self.is_set(value)
                return derived or f"{name}()" in self._sets or self.dotted(node.func) == "weakref.WeakSet"
            case ast.Attribute(attr=name):
                return f".{name}" in self._sets
            case ast.Name(id=name):
                return self._is_set_name(name, node)
        return False

    def _is_set_name(self, name: str, at: ast.AST) -> bool:
        """By the innermost scope that gives the name a value."""
        scope = self._parents.get(at)
        while scope is not None:
            if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.Module):
                given = [each for node in _within(scope) for each in _given(node, name)]
                if given and (name, scope) not in self._asked:
                    self._asked.add((name, scope))  # a name may be made of itself
                    found = any(is_set_type(a) if a is not None else self.is_set(v) for a, v in given)
                    self._asked.discard((name, scope))
                    return found
                if given:
                    return False
            scope = self._parents.get(scope)
        return False

    def _iterated(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        """The order of a set goes on from here."""
        used: list[ast.expr] = []
        match node:
            case ast.For() | ast.AsyncFor():
                used = [node.iter]
            case ast.ListComp() | ast.GeneratorExp() | ast.DictComp():
                used = [] if self._indifferent(node) else [each.iter for each in node.generators]
            case ast.Starred(ctx=ast.Load()):
                used = (
                    [] if self._disordered(self._parents[node]) or self._indifferent(node) else [node.value]
                )
            case ast.YieldFrom():
                used = [node.value]
            case ast.FormattedValue():
                used = [node.value]
            case ast.Call(func=ast.Name(id=name)) if name in _CONSUMERS and not self._indifferent(node):
                used = list(node.args)
            case ast.Call(func=ast.Name(id="sorted" | "min" | "max")) if node.keywords:
                used = node.args[:1]  # what compares equal stays in the order of the set
            case ast.Call(
                func=ast.Attribute(attr="join" | "extend" | "fromkeys" | "choice" | "sample" | "shuffle")
            ):
                used = list(node.args)
            case ast.AugAssign(op=ast.Add()):
                used = [node.value]
        yield from (("hash order", ast.unparse(each)) for each in used if self.is_set(each))

    def _disordered(self, node: ast.AST) -> bool:
        """Whether what a display holds is in no order, or goes on to where there is none."""
        if isinstance(node, ast.Tuple | ast.List):
            parent = self._parents[node]
            made = isinstance(parent, ast.comprehension) and isinstance(self._parents[parent], ast.SetComp)
            return made or self._indifferent(node)
        return isinstance(node, ast.Set)

    def _indifferent(self, node: ast.AST) -> bool:
        """Whether who is given this does not care for its order."""
        parent = self._parents[node]
        if not isinstance(parent, ast.Call) or node not in parent.args or parent.keywords:
            return False
        if isinstance(parent.func, ast.Attribute):
            return parent.func.attr in (*_SET_METHODS, "update", "issubset", "issuperset", "isdisjoint")
        return isinstance(parent.func, ast.Name) and parent.func.id in _INDIFFERENT


def _is_keys(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "keys"


def _within(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of scopes inside it."""
    for node in ast.iter_child_nodes(scope):
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield from _within(node)


def _given(node: ast.AST, name: str) -> Iterator[tuple[ast.expr | None, ast.expr]]:
    """The annotations and values that a node gives a name."""
    if isinstance(node, ast.arg) and node.arg == name:
        yield node.annotation or ast.Constant(None), ast.Constant(None)
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
        yield node.annotation, ast.Constant(None)
    elif isinstance(node, ast.NamedExpr) and node.target.id == name:
        yield None, node.value
    elif isinstance(node, ast.For | ast.comprehension) and any(
        isinstance(each, ast.Name) and each.id == name for each in ast.walk(node.target)
    ):
        yield None, ast.Constant(None)
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id == name:
                yield None, node.value
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for one, value in zip(target.elts, node.value.elts, strict=False):
                    if isinstance(one, ast.Name) and one.id == name:
                        yield None, value


MARKER = re.compile(r"#\s*seam:\s*(?P<reason>.*\S)?")


def marked(source: str) -> dict[int, str]:
    """The lines that have a marker, and its reason."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = (token for token in tokens if token.type == tokenize.COMMENT)
    return {c.start[0]: found["reason"] or "" for c in comments if (found := MARKER.match(c.string))}


@pytest.fixture(scope="session")
def lint() -> Callable[..., list[Finding]]:
    """The findings in the last of some sources; the others are the modules beside it."""

    def findings(*sources: str) -> list[Finding]:
        trees = [ast.parse(source) for source in sources]
        return list(Linter(trees[-1], Sets(trees)).findings())

    return findings


@pytest.fixture(scope="session")
def marks() -> Callable[[str], dict[int, str]]:
    """The marked lines of a source, with their reasons."""
    return marked


@pytest.fixture(scope="session")
def found(modules) -> dict[str, list[Finding]]:
    """The findings by file."""
    sets = Sets([module.tree for module in modules])
    return {module.path.as_posix(): list(Linter(module.tree, sets).findings()) for module in modules}


@pytest.fixture(scope="session")
def markers(modules, root) -> dict[str, dict[int, str]]:
    """The marked lines by file."""
    return {module.path.as_posix(): marked((root / module.path).read_text()) for module in modules}
