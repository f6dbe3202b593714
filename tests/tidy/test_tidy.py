"""The rules that no tool knows, as a test over the source tree. Each ban names its replacement."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.tidy.sources import FROZEN, Source, programs, sources, texts

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
WORDS_MIN = 3

TERMINALS = (
    "gateway/cli*.py",
    "gateway/console.py",
    "gateway/demo*",
    "gateway/demo/**",
    "gateway/terminal.py",
    "partners/cli*.py",
    "partners/options.py",
    "partners/pos/cli*.py",
    "settlement/cli*.py",
)
PURE = (
    "gateway/domain/**",
    *(f"settlement/{name}.py" for name in ("instruction", "netting", "obligation", "report", "statement", "window")),
    *(f"settlement/papers/{name}.py" for name in ("bars", "figure", "flows", "folding", "heat_map", "svg", "trend", "words")),
    *(f"settlement/papers/{name}.py" for name in ("bars", "figure", "flows", "folding", "heat_map", "svg", "trend", "words")),
    *(f"settlement/papers/{name}.py" for name in ("reconciliation_page", "report_figures", "report_page")),
    *(f"settlement/papers/{name}.py" for name in ("statement_page", "to_do")),
    *(f"settlement/{name}.py" for name in ("items_file", "partner_file", "reconciliation")),
    *(f"settlement/{name}.py" for name in ("breakage", "liability", "liability_papers", "liability_report")),
)


@dataclass(frozen=True, slots=True)
class Ban:
    """What may not stand in a program, where it may after all, and what to write instead. `example` breaks it."""

    name: str
    example: str
    finds: Callable[[ast.AST], bool]
    instead: str
    allowed: tuple[str, ...] = ()
    only: tuple[str, ...] = ("gateway/**", "partners/**", "settlement/**")


def _calls(*names: str) -> Callable[[ast.AST], bool]:
    return lambda node: isinstance(node, ast.Call) and ast.unparse(node.func) in names


def _imports(*modules: str) -> Callable[[ast.AST], bool]:
    def finds(node: ast.AST) -> bool:
        if isinstance(node, ast.Import):
            return any(alias.name in modules for alias in node.names)
        return isinstance(node, ast.ImportFrom) and (
            node.module in modules or any(f"{node.module}.{alias.name}" in modules for alias in node.names)
        )

    return finds


def _catches_everything(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    last = node.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return False  # it tidies up, and lets the exception go on
    return node.type is None or bool({"Exception", "BaseException"} & {ast.unparse(part) for part in ast.walk(node.type)})


def _is_inexact(node: ast.AST) -> bool:
    return (isinstance(node, ast.Constant) and isinstance(node.value, float)) or (
        isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
    )


BANS = (
    Ban("float()", 'float("1.5")', _calls("float"), "points and minor units are integers, prices are Rate: gateway.domain.units"),
    Ban(
        "decimal",
        "from decimal import Decimal",
        _imports("decimal"),
        "points and minor units are integers, prices are Rate: gateway.domain.units",
    ),
    Ban(
        "round()",
        "round(points)",
        _calls("round"),
        "name the rounding: div_floor, div_ceil or div_half_even of gateway.domain.units",
    ),
    Ban("float literals and /", "points / 2", _is_inexact, "name the rounding: div_floor, div_ceil or div_half_even", only=PURE),
    Ban(
        "the clock",
        "now = time.time()",
        _calls("time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
        "take the time as an argument (`at`, `now_ms`); only the edge, the tills and the commands read a clock",
        allowed=(*TERMINALS, "gateway/edge/**", "gateway/app.py", "partners/pos/**"),
    ),
    Ban(
        "random",
        "from uuid import uuid4",
        _imports("random", "uuid"),
        "derive ids from (partner, key): gateway.domain.ids; a secret comes from `secrets`",
        # Jitter, what a till invents, and the shoppers of a play.
        allowed=("gateway/storage/engine.py", "gateway/ledger/clerk.py", "gateway/demo.py", "partners/pos/**"),
    ),
    Ban(
        "printing",
        "print(points)",
        _calls("print", "click.echo", "click.secho"),
        "return a value; the command prints it",
        allowed=TERMINALS,
    ),
    Ban(
        "catching every exception",
        "try:\n    pay()\nexcept (ValueError, Exception):\n    pass",
        _catches_everything,
        "name what you expect; only the last resort, the writer's batch boundary and the books' own process catch all",
        allowed=("gateway/edge/doorkeeper.py", "gateway/apart.py", "gateway/ledger/clerk.py", "gateway/ledger/writer.py"),
    ),
)


@pytest.mark.parametrize("ban", BANS, ids=lambda ban: ban.name)
def test_programs_do_without(ban: Ban) -> None:
    """A rule that no test runs rots."""
    found = [
        f"{source.path}:{getattr(node, 'lineno', 0)}: {ban.name}"
        for source in programs()
        if source.is_in(*ban.only) and not source.is_in(*ban.allowed)
        for node in ast.walk(source.tree)
        if ban.finds(node)
    ]

    assert not found, _listed(found, instead=ban.instead)


@pytest.mark.parametrize("ban", BANS, ids=lambda ban: ban.name)
def test_a_ban_finds_its_example(ban: Ban) -> None:
    """A test that cannot fail proves nothing."""
    assert any(ban.finds(node) for node in ast.walk(ast.parse(ban.example)))


def test_nothing_is_mocked() -> None:
    """Fakes are handed over as arguments."""
    mocks = _imports("unittest.mock", "mock", "pytest_mock")
    found = [str(source.path) for source in sources() if any(mocks(node) for node in ast.walk(source.tree))]

    assert not found, _listed(found, instead="a small class in tests/fakes.py; the database is a real SQLite file")


def test_modules_fit_a_few_screens() -> None:
    """One module, one thought."""
    found = [
        f"{source.path}: {lines} lines"
        for source in sources()
        if (lines := len(source.text.splitlines())) >= MODULE_LINES_MAX and not source.is_in(FROZEN)
    ]

    assert not found, _listed(found, instead="two modules, each one thought")


def test_functions_fit_one_screen() -> None:
    """One screen, one thought."""
    found = [
        f"{source.path}:{node.lineno}: {node.name}: {lines} lines"
        for source, node in _functions()
        if (lines := (node.end_lineno or 0) - node.lineno + 1) >= FUNCTION_LINES_MAX and not source.is_in(FROZEN)
    ]

    assert not found, _listed(found, instead="control flow in the parent, arithmetic in small pure helpers")


def test_an_exception_to_a_checker_says_its_reason() -> None:
    """The reason stands on the line."""
    silent = re.compile(r"#\s*noqa(?!: [A-Z0-9, ]+ - \w)|#\s*type:\s*ignore(?!\[[\w, -]+\]\s+# \w)")
    found = [
        f"{source.path}:{number}"
        for source in sources()
        for number, line in enumerate(source.text.splitlines(), 1)
        if silent.search(line) and "silent = " not in line
    ]

    assert not found, _listed(found, instead="'noqa: X1 - why', 'type: ignore[code]  # why'")


def test_nothing_is_left_to_do() -> None:
    """Notes to oneself are lost in a repository."""
    mark = re.compile(r"\b(T[O]DO|F[I]XME|H[A]CK)\b")
    found = [name for name, text in texts().items() if name != "LICENSE" and mark.search(text)]

    assert not found, _listed(found, instead="do it, or open an issue")


INSTALLS = (
    *("requirements.lock", ".ci/beancount.txt", "pyproject.toml", "Makefile", ".ci/run", "buf.yaml"),
    *("examples/java/pom.xml", "examples/node/package.json", "examples/node/package-lock.json", "examples/node/.npmrc"),
    "examples/csharp/till.csproj",
)


@pytest.mark.parametrize("name", INSTALLS)
def test_what_installs_names_no_host(name: str) -> None:
    """The installer's own configuration says where packages come from."""
    # npm also notes where a package's makers ask for money.
    text = re.sub(r'"funding": \{[^}]*\}', "", texts()[name])

    assert re.findall(r"\w+://\S+", text) == []


def test_each_test_says_a_sentence() -> None:
    """Names of tests are read by those who see them fail."""
    found = [
        f"{source.path}:{node.lineno}: {node.name}"
        for source, node in _functions()
        if source.path.parts[0] == "tests" and node.name.startswith("test_") and node.name.count("_") < WORDS_MIN
    ]

    assert not found, _listed(found, instead="a sentence of three words at the least")


def _listed(found: list[str], *, instead: str) -> str:
    return "\n".join([f"instead: {instead}", *found])


def _functions() -> Iterator[tuple[Source, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for source in sources():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield source, node
