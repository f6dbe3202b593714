"""docs/errors.md, and what it is made of: every reason is documented as it is answered, in every language."""

import ast
from collections.abc import Iterator

import grpc
import pytest

from gateway.domain.outcome import REMEMBERED, Reason
from gateway.edge.status import ANSWERS
from partners.pos.cashier import OTHER, cashier_text, languages, texts_in
from partners.pos.errors import Facts, NoAnswer, PosError, ReceiptError, Refused
from tests.pos.errors_page import PAGE, RETRIES, calls, comments, page
from tests.tidy.sources import programs

LINES_MAX = 3
LINE_LENGTH_MAX = 40
WITHOUT_A_REASON = {"NO_ANSWER", "RECEIPT_INVALID", OTHER}


def details_in_the_code() -> Iterator[tuple[str, str]]:
    """Reason and name of each detail that is written where a refusal is made: `Refusal(Reason.X, {"name": …})`, `reject(…)`."""
    for source in programs():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Refusal", "reject"} and len(node.args) > 1:
                reason, details = node.args[:2]
                if isinstance(details, ast.Dict) and isinstance(reason, ast.Attribute):
                    yield from ((reason.attr, str(key.value)) for key in details.keys if isinstance(key, ast.Constant))


def test_the_page_is_what_the_tables_say() -> None:
    """`make errors` writes it again."""
    assert PAGE.read_text("utf-8") == page()


@pytest.mark.parametrize("reason", Reason)
def test_a_comment_names_the_status_and_its_details_as_they_are_sent(reason: Reason) -> None:
    """RetryInfo where there is a delay, BadRequest where a field is always the same one."""
    comment, answered = comments()[reason.name], ANSWERS[reason]

    assert comment.status == answered.code.name
    assert ("RetryInfo" in comment.details_of_google) == (answered.retry_ms is not None)
    assert "BadRequest" in comment.details_of_google or answered.violation is None


def test_every_detail_is_documented_where_the_reason_is() -> None:
    """In backticks, in errors.proto."""
    found = set(details_in_the_code())
    said = {(name, detail) for name, comment in comments().items() for detail in comment.details}

    assert len(found) > 10
    assert sorted(found - said) == []


def test_every_detail_that_is_documented_is_sent() -> None:
    """Of the reasons whose details are written where the refusal is made; others are not seen here."""
    found = set(details_in_the_code())
    seen = {name for name, _ in found}
    said = {(name, detail) for name, comment in comments().items() for detail in comment.details if name in seen}

    assert sorted(said - found) == []


def test_every_status_says_whether_to_send_again() -> None:
    """And none that may be sent again is called final."""
    assert {answered.code for answered in ANSWERS.values()} <= set(RETRIES)
    assert {ANSWERS[reason].code for reason in REMEMBERED} == {grpc.StatusCode.FAILED_PRECONDITION}


def test_calls_list_reasons_that_there_are() -> None:
    """In their comments; statuses of gRPC may stand there, too."""
    statuses = {code.name for code in grpc.StatusCode}

    assert set(calls()) - statuses <= set(Reason.__members__)


def test_there_are_three_languages_at_the_least() -> None:
    """A further one is a file."""
    assert {"de", "en", "fr"} <= set(languages())


@pytest.mark.parametrize("language", languages())
def test_every_reason_has_a_text_that_fits_a_display(language: str) -> None:
    """Up to three lines of at most forty characters."""
    texts = texts_in(language)
    lines = {name: text.splitlines() for name, text in texts.items()}

    assert {reason.name for reason in Reason} | WITHOUT_A_REASON <= set(texts)
    assert set(texts) == set(texts_in("en"))
    assert [name for name, some in lines.items() if not 1 <= len(some) <= LINES_MAX] == []
    assert [line for some in lines.values() for line in some if not 1 <= len(line) <= LINE_LENGTH_MAX] == []


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Not enough points."),
        ("de", "Nicht genug Punkte."),
        ("de-AT", "Nicht genug Punkte."),
        ("fr_CH", "Pas assez de points."),
        ("xx", "Not enough points."),
    ],
)
def test_a_refusal_says_what_the_cashier_should_read(language: str, said: str) -> None:
    """In the language, in that of a region, else in English."""
    assert Refused("INSUFFICIENT_POINTS", Facts()).cashier_text(language).splitlines()[0] == said


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (Refused("REASON_4711", Facts()), OTHER),
        (PosError("no such file"), OTHER),
        (NoAnswer(5, "UNAVAILABLE"), "NO_ANSWER"),
        (ReceiptError("not signed"), "RECEIPT_INVALID"),
    ],
)
def test_what_has_no_reason_has_a_text_all_the_same(error: PosError, name: str) -> None:
    """A newer gateway, no answer, a receipt that does not verify."""
    assert error.cashier_text("en") == cashier_text(name) == texts_in("en")[name]
