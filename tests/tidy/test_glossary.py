"""One meaning each: the words of the house, kept where we choose names. What a library calls its own things stays its own."""

import ast
import re
from collections.abc import Iterator

from tests.tidy.sources import programs, texts

INSTEAD = {
    "participant": "partner",
    "hub": "operator",
    "customer": "member",
    "user": "member, or operator",
    "earn": "issue",
    "earned": "issued",
    "accrue": "issue",
    "accrual": "issue",
    "burn": "redeem",
    "burned": "redeemed",
    "spend": "redeem",
    "spent": "redeemed",
    "cancel": "reverse (an entry), void (a hold)",
    "cancellation": "reversal",
    "rollback": "reversal",
    "reserve": "hold: place",
    "forfeit": "expire, breakage",
    "forfeiture": "expire, breakage",
    "pricelist": "rate card",
    "shard": "bucket",
    "cycle": "settlement window",
    "eod": "cut-off",
    "invoice": "statement",
    "payout": "instruction",
    "mismatch": "discrepancy",
    "ticket": "dispute",
}

# Said to a caller by a fixed name of the protos.
SAID_ALREADY = {"PARTNER_MISMATCH"}


def _words(name: str) -> set[str]:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return set(apart.lower().split("_"))


def _names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id


def test_the_programs_speak_the_words_of_the_house() -> None:
    """Names of functions, classes, arguments and variables."""
    found = [
        f"{source.path}:{line}: {name}: say {INSTEAD[word]}"
        for source in programs()
        for line, name in _names(source.tree)
        for word in _words(name) & INSTEAD.keys()
        if name not in SAID_ALREADY
    ]

    assert not found, "\n".join(found)


def test_the_protos_speak_the_words_of_the_house() -> None:
    """Names of messages, fields, values and calls: partners read them first."""
    found = [
        f"{path}: {name}: say {INSTEAD[word]}"
        for path, text in texts().items()
        if path.endswith(".proto")
        for name in re.findall(r"\w+", re.sub(r"//.*", "", text))
        for word in _words(name) & INSTEAD.keys()
        if name.removeprefix("ERROR_REASON_") not in SAID_ALREADY
    ]

    assert not found, "\n".join(found)
