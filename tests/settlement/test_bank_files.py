"""Bank files: valid against the schemas of ISO 20022, equal to the instructions, and the same bytes each time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import cache
from importlib.resources import files
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from gateway.domain.bank import BankAccount, Mandate, MandateScheme
from gateway.domain.bank_days import business_day, payment_date
from gateway.domain.errors import InvalidValue
from gateway.domain.ids import OPERATOR
from settlement.bank_files import bank_files
from settlement.banking import bank_blockers, plan_payments
from settlement.instruction import Instruction, instruct
from settlement.netting import Payment
from settlement.pain import Order
from settlement.sepa import sepa_text
from tests.given import IBANS, at

OUTSIDE_SEPA = "TR330006100519786457841326"
ACCOUNTS = {
    OPERATOR: BankAccount(holder="Coalition AG", iban=IBANS[0], bic="DEUTDEFF", creditor_id="DE98ZZZ09999999999"),
    "alpha": BankAccount(
        holder="Bäckerei Größl & Söhne", iban=IBANS[1], mandate=Mandate("M-1", date(2026, 5, 1), MandateScheme.B2B)
    ),
    "bravo": BankAccount(holder="Bravo", iban="NL91ABNA0417164300", bic="ABNANL2A"),
    "charlie": BankAccount(holder="Charlie", iban=OUTSIDE_SEPA),
    "delta": BankAccount(
        holder="Delta",
        iban="GB82WEST12345698765432",
        bic="WESTGB2L",
        mandate=Mandate("M/2", date(2026, 5, 2), MandateScheme.CORE),
    ),
}
PAYMENTS = (
    Payment("EUR", "alpha", OPERATOR, 4_16),
    Payment("EUR", "delta", OPERATOR, 1_00),
    Payment("EUR", "bravo", OPERATOR, 7),
    Payment("EUR", OPERATOR, "bravo", 2_75),
    Payment("EUR", OPERATOR, "charlie", 41),
    Payment("JPY", OPERATOR, "bravo", 1_234),
    Payment("JPY", "alpha", OPERATOR, 5_000),
    Payment("EUR", "charlie", "delta", 3_00),
)


def order(**changed: object) -> Order:
    """What a file is about."""
    made = Order(
        audience="coalition.example:test",
        window_id=1,
        closed_at_ms=at("2026-06-30", "23:59:59"),
        on=date(2026, 7, 30),
        due=date(2026, 7, 30),
        failures={},
        account=ACCOUNTS[OPERATOR],
    )
    return replace(made, **changed)  # type: ignore[arg-type] # by name, for brevity


def instructions(payments: Sequence[Payment] = PAYMENTS) -> list[Instruction]:
    """With the ids that the night gives them."""
    return instruct(audience="coalition.example:test", window_id=1, form="through-operator", payments=payments)


def written(payments: Sequence[Payment] = PAYMENTS, **changed: object) -> dict[str, bytes]:
    """All files by name."""
    plan = plan_payments(instructions(payments), ACCOUNTS)
    return {name: b"".join(content) for name, content in bank_files(order(**changed), plan, ACCOUNTS)}


@cache
def schema(name: str) -> xmlschema.XMLSchema:
    """The schema of ISO 20022, as a library carries it that banks' own files are made by."""
    return xmlschema.XMLSchema(str(files("sepaxml") / "schemas" / f"{name}.xsd"))


def texts(content: bytes, tag: str) -> list[str]:
    """The texts of all elements of that name, in order."""
    return [element.text or "" for element in ET.fromstring(content).iter() if element.tag.endswith(f"}}{tag}")]


def test_there_is_a_file_for_each_currency_and_a_request_for_who_cannot_be_debited() -> None:
    """No mandate, another currency than euros, another creditor than the operator: they are asked."""
    assert sorted(written()) == [
        "alpha.payment-request.html",
        "bravo.payment-request.html",
        "charlie.payment-request.html",
        "operator.pain.001.EUR.xml",
        "operator.pain.001.JPY.xml",
        "operator.pain.008.EUR.xml",
    ]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("operator.pain.001.EUR.xml", "pain.001.001.09"),
        ("operator.pain.001.JPY.xml", "pain.001.001.09"),
        ("operator.pain.008.EUR.xml", "pain.008.001.08"),
    ],
)
def test_what_a_bank_gets_is_valid_against_its_schema(file: str, name: str) -> None:
    """With and without BICs, within SEPA and without."""
    schema(name).validate(written()[file].decode())


def test_the_schema_would_notice() -> None:
    """An amount with six decimals is no amount."""
    broken = written()["operator.pain.001.EUR.xml"].decode().replace(">2.75</InstdAmt>", ">2.750001</InstdAmt>")

    with pytest.raises(xmlschema.XMLSchemaValidationError):
        schema("pain.001.001.09").validate(broken)


@pytest.mark.parametrize(
    ("file", "count", "total", "blocks"),
    [
        ("operator.pain.001.EUR.xml", "2", "3.16", [("1", "2.75"), ("1", "0.41")]),
        ("operator.pain.001.JPY.xml", "1", "1234", [("1", "1234")]),
        ("operator.pain.008.EUR.xml", "2", "5.16", [("1", "4.16"), ("1", "1.00")]),
    ],
)
def test_counts_and_sums_are_those_of_the_instructions(file: str, count: str, total: str, blocks: list[tuple[str, str]]) -> None:
    """Of the whole file, and of each block. A yen has no cents."""
    content = written()[file]

    assert texts(content, "NbOfTxs") == [count, *(number for number, _ in blocks)]
    assert texts(content, "CtrlSum") == [total, *(amount for _, amount in blocks)]


def test_every_instruction_stands_in_exactly_one_file() -> None:
    """By its id, which both sides read on their bank statements."""
    found = [
        one.instruction_id for one in instructions() for content in written().values() if one.instruction_id.encode() in content
    ]

    assert sorted(found) == sorted(one.instruction_id for one in instructions())


def test_a_file_made_twice_is_the_same_file() -> None:
    """So that a bank which gets it twice can tell."""
    assert written() == written()


def test_another_content_has_another_id_and_the_same_payments_keep_theirs() -> None:
    """A bank refuses the same id with another content, and finds a payment that it has made already."""
    first, later = (written(on=on)["operator.pain.001.EUR.xml"] for on in (date(2026, 7, 30), date(2026, 7, 31)))

    assert texts(first, "MsgId") != texts(later, "MsgId")
    assert texts(first, "PmtInfId") != texts(later, "PmtInfId")
    assert texts(first, "EndToEndId") == texts(later, "EndToEndId")


def test_ids_fit_into_what_a_bank_takes() -> None:
    """35 characters, without a slash at their ends."""
    ids = [
        found
        for name, content in written().items()
        if name.endswith(".xml")
        for tag in ("MsgId", "PmtInfId", "EndToEndId")
        for found in texts(content, tag)
    ]

    assert {len(found) for found in ids} == {32}
    assert len(ids) == len(set(ids))


def test_only_euros_within_sepa_are_a_sepa_payment() -> None:
    """Everything else is transferred without asking for SEPA, costs shared."""
    content = written()["operator.pain.001.EUR.xml"]

    assert texts(content, "ChrgBr") == ["SLEV", "SHAR"]
    assert texts(written()["operator.pain.001.JPY.xml"], "ChrgBr") == ["SHAR"]
    assert b"SEPA" not in written()["operator.pain.001.JPY.xml"]


def test_a_debit_names_its_mandate_and_who_collects() -> None:
    """Each scheme in a block of its own."""
    content = written()["operator.pain.008.EUR.xml"]

    assert texts(content, "MndtId") == ["M-1", "M/2"]
    assert texts(content, "DtOfSgntr") == ["2026-05-01", "2026-05-02"]
    assert {"DE98ZZZ09999999999"} <= set(texts(content, "Id"))
    assert [found for found in texts(content, "Cd") if found != "SEPA"] == ["B2B", "CORE"]


def test_without_a_creditor_identifier_nobody_is_debited() -> None:
    """Whoever has a mandate is asked, then."""
    accounts = ACCOUNTS | {OPERATOR: replace(ACCOUNTS[OPERATOR], creditor_id="")}
    plan = plan_payments(instructions(), accounts)

    assert not plan.debits
    assert sorted(plan.requests) == ["alpha", "bravo", "charlie", "delta"]


def test_names_are_written_in_sepas_letters() -> None:
    """And nothing but ASCII goes to the bank."""
    content = written()["operator.pain.008.EUR.xml"]

    assert "Backerei Grosl + Sohne" in texts(content, "Nm")
    assert content.isascii()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Łódź Ærø Þór", "Lodz AEro THor"),
        ("Ελληνική Τράπεζα", "Elliniki Trapeza"),
        ("Пекарна Щастие", "Pekarna Shtastie"),
        ("a//b///c", "a/b/c"),
        ("/slashes/", "slashes"),
        ("a\u00a0 b", "a b"),
        ("50 % off!", "50 . off."),
        ("x" * 80, "x" * 70),
    ],
)
def test_what_sepa_has_no_letter_for_becomes_the_nearest_or_a_stop(text: str, expected: str) -> None:
    """As the best practices of the European Payments Council say (EPC217-08)."""
    assert sepa_text(text, length_max=70) == expected


def test_whoever_cannot_be_paid_is_named_and_nothing_is_written() -> None:
    """All of them at once: no account, an account that ended, a name that no bank could write."""
    accounts = {name: account for name, account in ACCOUNTS.items() if name != "charlie"} | {
        "alpha": replace(ACCOUNTS["alpha"], iban=""),
        "bravo": replace(ACCOUNTS["bravo"], holder="株式会社"),
    }

    blockers = bank_blockers(instructions(), accounts)
    assert [blocker.split(":")[0] for blocker in blockers] == ["alpha", "bravo", "charlie"]
    assert "NL91…4300" in blockers[1]
    with pytest.raises(InvalidValue, match="charlie: has no IBAN"):
        plan_payments(instructions(), accounts)


def test_a_request_says_whom_to_pay_what_and_how() -> None:
    """In one file that needs nothing else."""
    page = written()["charlie.payment-request.html"].decode()
    reference = next(one.instruction_id for one in instructions() if one.debtor_id == "charlie")

    assert all(part in page for part in ("GB82 WEST 1234 5698 7654 32", "3.00 EUR", reference, "2026-07-30", "Delta"))
    assert "http" not in page


def test_a_request_cannot_be_written_by_who_it_names() -> None:
    """A name is text, whatever is in it."""
    accounts = ACCOUNTS | {"bravo": replace(ACCOUNTS["bravo"], holder="<b>Bravo</b>")}
    plan = plan_payments(instructions(), accounts)
    made = {name: b"".join(content) for name, content in bank_files(order(), plan, accounts)}

    assert b"<b>" not in made["bravo.payment-request.html"]
    assert b"<b>" not in made["operator.pain.001.EUR.xml"]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 7, 30), date(2026, 7, 30)),
        (date(2026, 8, 1), date(2026, 8, 3)),
        (date(2026, 4, 3), date(2026, 4, 7)),
        (date(2026, 12, 24), date(2026, 12, 24)),
        (date(2026, 12, 25), date(2026, 12, 28)),
        (date(2027, 1, 1), date(2027, 1, 4)),
        (date(2038, 4, 23), date(2038, 4, 27)),
    ],
)
def test_money_moves_on_days_on_which_banks_settle(day: date, expected: date) -> None:
    """No weekend, no holiday of T2; Easter is at its latest in 2038."""
    assert business_day(day) == expected


def test_money_moves_when_it_is_due() -> None:
    """By the rules of the window, counted from its cut-off."""
    assert payment_date(cut_off_date="2026-06-30", due_days=30) == date(2026, 7, 30)
