"""The papers of a real night: signed by the network, whole or absent, the same bytes whenever they are made."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, update

from gateway.console import Context
from gateway.domain.errors import InvalidValue
from gateway.domain.network import ReceiptKey, key_in_force
from gateway.domain.signing import Algorithm, load_verifier, statement_string
from gateway.domain.window import WindowState
from gateway.key_file import new_key, receipt_key_file, save_secret
from gateway.storage.directory import load_receipt_keys
from gateway.storage.engine import reading, writing
from gateway.storage.tables_directory import receipt_keys
from gateway.storage.windows import load_windows
from settlement.cli import settlement
from settlement.instruction import Instruction
from settlement.papers.to_do import Due, to_do
from tests.given import AUDIENCE, at
from tests.settlement.given import Shop, network_engine, redeem
from tests.settlement.night import MIDNIGHT_MS, files_of, run

BRAVO_PAYS = Instruction("i1", 1, "direct", "EUR", "bravo", "alpha", 275)


@pytest.fixture
def folder(copy_month: Callable[[str], Path]) -> Path:
    """The month's network."""
    return copy_month("net")


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    """Its database, the window open."""
    opened = network_engine(folder)
    yield opened
    opened.dispose()


@pytest.fixture
def command(folder: Path) -> Callable[..., Result]:
    """Runs `tallystick settlement …` on 1 July, at noon."""
    return lambda *words: CliRunner().invoke(settlement, words, obj=Context(folder / "tallystick.toml", lambda: at("2026-07-01")))


def test_each_statement_is_signed_by_the_network(engine: Engine, tmp_path: Path) -> None:
    """With the receipt key that everybody can ask for; over the bytes that the gateway answers."""
    run(engine, tmp_path / "out")
    window = tmp_path / "out" / "window-0001"
    with reading(engine) as connection:
        [key] = load_receipt_keys(connection)
    verify = load_verifier(Algorithm.ED25519, key.public_key)

    for partner_id in ("alpha", "bravo", "charlie", "delta"):
        statement = (window / f"{partner_id}.json").read_bytes()
        seal = json.loads((window / f"{partner_id}.signature.json").read_bytes())
        verify(bytes.fromhex(seal["signature"]), statement_string(audience=AUDIENCE, key_id=seal["key_id"], statement=statement))
        assert (seal["partner_id"], seal["window_id"], seal["sha256"]) == (partner_id, 1, hashlib.sha256(statement).hexdigest())


def test_a_window_is_signed_by_the_key_of_its_cut_off_also_after_a_rotation(engine: Engine, folder: Path, tmp_path: Path) -> None:
    """Else a file made again would not be the same."""
    run(engine, tmp_path / "out")
    before = files_of(tmp_path / "out")
    key, pem = new_key()
    save_secret(pem, receipt_key_file(folder / "keys", "r2"))
    with writing(engine) as connection:
        connection.execute(update(receipt_keys).values(valid_until_ms=MIDNIGHT_MS + 2))
        connection.execute(
            receipt_keys.insert().values(
                key_id="r2", public_key=key.public_bytes(), valid_from_ms=MIDNIGHT_MS + 1, valid_until_ms=None
            )
        )

    result = CliRunner().invoke(
        settlement,
        ["publish", "1", "--out", str(tmp_path / "again")],
        obj=Context(folder / "tallystick.toml", lambda: at("2026-07-02")),
    )

    assert result.exit_code == 0, result.output
    assert files_of(tmp_path / "again") == before


@pytest.mark.parametrize(("at_ms", "key_id"), [(0, "r1"), (10, "r1"), (19, "r1"), (20, "r2"), (99, "r2")])
def test_the_newest_key_of_a_time_is_in_force(at_ms: int, key_id: str) -> None:
    """Before the first one there is none older."""
    keys = [ReceiptKey("r1", b"", 10, 25), ReceiptKey("r2", b"", 20, None)]

    assert key_in_force(keys, at_ms).key_id == key_id


def test_a_night_that_could_not_sign_cuts_nothing_off(engine: Engine, folder: Path, tmp_path: Path) -> None:
    """The message names the key."""
    receipt_key_file(folder / "keys", "r1").unlink()

    with pytest.raises(InvalidValue, match="signs statements with its receipt key r1: no key at"):
        run(engine, tmp_path / "out")

    with reading(engine) as connection:
        assert [window.state for window in load_windows(connection)] == [WindowState.OPEN]


def test_a_file_that_holds_another_key_signs_nothing(engine: Engine, folder: Path, tmp_path: Path) -> None:
    """Nobody could verify it."""
    file = receipt_key_file(folder / "keys", "r1")
    file.unlink()
    save_secret(new_key()[1], file)

    with pytest.raises(InvalidValue, match="another key than the network published"):
        run(engine, tmp_path / "out")


def test_papers_made_again_after_more_traffic_are_the_same_bytes(
    engine: Engine, command: Callable[..., Result], tmp_path: Path
) -> None:
    """What is open, what was issued, the trend: all as of the cut-off."""
    run(engine, tmp_path / "out")
    before = files_of(tmp_path / "out" / "window-0001")
    Shop(engine).book(redeem("18", "delta", "m2", 100), now_ms=at("2026-07-01", "09:00"))

    report = command("report", "1", "--out", str(tmp_path / "report.html"))
    statements = command("statements", "1", "--out", str(tmp_path))

    assert (report.exit_code, statements.exit_code) == (0, 0), report.output + statements.output
    assert (tmp_path / "report.html").read_bytes() == before["operator.report.html"]
    again = files_of(tmp_path / "statements-0001")
    again.pop("operator.manifest.json")
    assert again == {name: content for name, content in before.items() if not name.startswith("operator.")}


@pytest.mark.parametrize("paper", ["report", "statements"])
def test_an_open_window_has_no_papers(command: Callable[..., Result], tmp_path: Path, paper: str) -> None:
    """They are of what is published."""
    result = command(paper, "1", "--out", str(tmp_path / "x"))

    assert result.exit_code == 1
    assert "window 1 is OPEN" in result.stderr
    assert not (tmp_path / "x").exists()


def test_a_report_that_cannot_be_written_leaves_what_was_there(
    engine: Engine, command: Callable[..., Result], tmp_path: Path
) -> None:
    """Whole or not at all."""
    run(engine, tmp_path / "out")
    target = tmp_path / "papers" / "report.html"
    target.parent.mkdir()
    target.write_text("the old one")
    (target.parent / ".report.html.partial").mkdir()  # where it would be written first

    result = command("report", "1", "--out", str(target))

    assert result.exit_code == 1
    assert "cannot write the report" in result.stderr
    assert target.read_text() == "the old one"


def test_the_statement_says_what_the_partner_pays_and_why(engine: Engine, tmp_path: Path) -> None:
    """The oracle's 4.16, from 5.60 and 1.44."""
    run(engine, tmp_path / "out")
    page = (tmp_path / "out" / "window-0001" / "alpha.html").read_text("utf-8")
    shutil.rmtree(tmp_path / "out")

    assert "<h1>You pay 4.16 EUR</h1>" in page
    assert "You are owed 1.44 EUR and owe 5.60 EUR; the difference is 4.16 EUR." in page
    assert "bravo took in points that you had issued" in page
    assert re.findall(r"<td[^>]*>you pay (\w+)</td>\s*<td[^>]*>([0-9.]+)</td>", page) == [
        ("bravo", "2.75"),
        ("charlie", "0.41"),
        ("delta", "1.00"),
    ]
    assert "Pay by 2026-07-30, once two operators have confirmed this window" in page


@pytest.mark.parametrize(
    ("net", "due", "sentence"),
    [
        (-416, None, "It is paid with the payment run of its term"),
        (-416, Due(date(2026, 7, 30), []), "Nothing is paid for this window by itself"),
        (0, Due(date(2026, 7, 30), []), "There is nothing to do."),
        (
            275,
            Due(date(2026, 7, 30), [BRAVO_PAYS]),
            "You are paid by 2026-07-30",
        ),
        (416, Due(date(2026, 7, 30), [replace(BRAVO_PAYS, currency="JPY")]), "Nothing is paid for this"),
    ],
    ids=["a later run gathers it", "it waits", "nothing is owed", "somebody pays", "in another currency"],
)
def test_a_statement_says_what_to_do_next(net: int, due: Due | None, sentence: str) -> None:
    """Nobody guesses whom to pay from the debts before netting."""
    said = to_do("alpha", net, "EUR", due)

    assert said.sentence.startswith(sentence)
    assert [row[:2] for row in said.sheet.rows] == [("bravo pays you", "2.75")] if said.sheet else net != 275


def test_the_report_says_who_pays_whom_first(engine: Engine, tmp_path: Path) -> None:
    """The oracle's three payments for five debts."""
    run(engine, tmp_path / "out")
    page = (tmp_path / "out" / "window-0001" / "operator.report.html").read_text("utf-8")

    assert "3 payments settle 5 debts in EUR." in page
    assert "973 points are open at the cut-off, worth 10.63 EUR" in page
    assert "2,373 points were issued and 1,150 points redeemed." in page
