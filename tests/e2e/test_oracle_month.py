"""The oracle's month, step by step, through gRPC and the commands: balances, lots, attribution, and who owes whom."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select

from gateway.domain.entry import PostingKind
from gateway.domain.units import MICROS
from gateway.storage.engine import reading
from gateway.storage.tables import debts, lots, postings
from partners.pos.requests import GET_STATEMENT, LIST_STATEMENT_LINES, LIST_WINDOWS
from tallystick.v1 import statement_pb2, types_pb2
from tests.e2e.commands import Ran
from tests.e2e.month import ORACLE, PARTNERS, Month, open_lots_after
from tests.e2e.recompute import REDEMPTIONS, recompute_lines
from tests.edge.running import RunningGateway
from tests.given import month
from tests.shared import shared_path

NewUrl = Callable[[], str | None]

STEPS = [event["step"] for event in ORACLE["events"]]
LETTERS = {partner_id: letter for letter, partner_id in PARTNERS.items()}


@pytest.fixture(scope="module", params=[False, True], ids=["points", "tills"])
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_module_url: NewUrl) -> Iterator[Month]:
    """The month, its window still open; on both engines, by the calls for points, and by those of tills."""
    network = month(tmp_path_factory.mktemp("oracle") / "net", url=new_module_url())
    with RunningGateway(network) as gateway:
        story = Month(network, gateway, by_checkout=request.param)
        story.play()
        yield story
        story.close()
    network.engine.dispose()


@pytest.fixture(scope="module")
def night(played: Month) -> Ran:
    """What the night of 30 June printed."""
    return played.settle()


def test_the_oracle_is_the_one_that_is_shared() -> None:
    """The copy in the repository has not drifted."""
    shared = shared_path("oracle/coalition_month.json").read_text("utf-8")

    assert json.loads(shared) == ORACLE


@pytest.mark.parametrize("number", STEPS)
def test_each_step_leaves_the_balances_of_the_oracle(played: Month, number: int) -> None:
    """As any partner's till is told, and as the step's own receipt says."""
    step, expected = played.steps[number - 1], ORACLE["balances_after_step"][number - 1]

    assert list(step.balances) == expected
    assert all(booked.balance_points in expected for booked in step.receipts[-1:])


@pytest.mark.parametrize("number", STEPS)
def test_each_step_leaves_the_open_lots_of_the_oracle(played: Month, number: int) -> None:
    """Lot by lot: whose, by whom, how many."""
    assert played.steps[number - 1].open_lots == open_lots_after(number)


@pytest.mark.parametrize("number", STEPS)
def test_each_step_moves_the_points_of_the_oracle(played: Month, number: int) -> None:
    """The change of the balance on each receipt; expiry has none and is told by the command."""
    step = played.steps[number - 1]
    event = step.event
    expected = {
        "issue": [event.get("points", 0) + event.get("bonus", {}).get("points", 0)],
        "redeem": [-event.get("points", 0), *([event["then_issue"]["points"]] if "then_issue" in event else [])],
        "reverse_issue": [-event.get("points", 0)],
        "reverse_redemption": [event.get("points")],
        "transfer": [-event.get("points", 0)],
        "expire": [],
    }[event["do"]]

    assert [entry.points for entry in step.entries] == expected
    assert step.expired == ("200 points expired.\n" if event["do"] == "expire" else "")


@pytest.mark.parametrize("number", [step for step in STEPS if ORACLE["events"][step - 1]["do"] not in ("issue", "expire")])
def test_receipts_attribute_points_to_the_lots_of_the_oracle(played: Month, number: int) -> None:
    """Which lots gave or got, and in which order; nothing from lots where debt was made."""
    step = played.steps[number - 1]
    taken = [(name, -points) for word in ("lots", "taken_from") for name, points in step.event.get(word, ())]
    restored = [(name, points) for name, points in step.event.get("restored", ())]

    assert list(step.moved[0]) == taken + restored


@pytest.mark.parametrize("number", [step for step in STEPS if "paid_to_debt" in ORACLE["events"][step - 1]])
def test_receipts_say_what_of_an_issue_paid_debt(played: Month, number: int) -> None:
    """All 50 of L7, 150 of L8; the rest stays in the lot."""
    step = played.steps[number - 1]
    paid = step.event["paid_to_debt"]

    assert [(lot.points, lot.gone_points) for lot in step.receipts[0].receipt.lots] == [(step.event["points"] - paid, paid)]


def test_the_month_ends_with_the_open_lots_of_the_oracle(played: Month) -> None:
    """The oracle's own list, which our adding up of its events must meet as well."""
    expected = {name: tuple(lot) for name, lot in ORACLE["open_lots"].items()}

    assert played.steps[-1].open_lots == open_lots_after(len(STEPS)) == expected


def test_the_roll_forward_is_that_of_the_oracle(played: Month) -> None:
    """Issued less clawed back less redeemed plus restored less expired is what is open less debt: 973."""
    expected = ORACLE["roll_forward"]
    moved = Counter({kind: sum(by_issuer.values()) for kind, by_issuer in _moved(played).items()})
    clawed_back = moved[PostingKind.CLAWBACK] + moved[PostingKind.CLAWBACK_TO_DEBT]

    assert moved[PostingKind.ISSUE] == expected["issued"]
    assert clawed_back == expected["clawed_back"]
    assert moved[PostingKind.CLAWBACK_TO_DEBT] == expected["clawed_back_by_source"]["debt"]
    assert moved[PostingKind.REDEEM] == expected["redeemed"]
    assert moved[PostingKind.RESTORE] == expected["restored"]
    assert moved[PostingKind.EXPIRE] == expected["expired"]
    assert moved[PostingKind.DEBT_PAID] == expected["debt_paid_by_issues"]
    assert _open_points(played) == expected["open_lots_minus_debt"] == 2_373 - 350 - 1_150 + 300 - 200


def test_points_of_one_issuer_stood_in_for_anothers(played: Month) -> None:
    """A took back 350 that came from C's lots in the end: A +300 (its own paid 50 of the debt), C -300."""
    assert _substituted(played) == {"A": 300, "B": 0, "C": -300}


def test_the_obligations_are_those_of_the_oracle(played: Month, night: Ran) -> None:
    """Exact amounts by pair and card, and 804 in all; the terminal says 8.04."""
    expected = {
        (line["issuer"], line["redeemer"], line["card"], line["points"], int(Decimal(line["cents"]) * MICROS))
        for line in ORACLE["at_redemption"]["obligations"]
    }
    lines = {tuple(line.items()): line for name in PARTNERS.values() for line in _statement(played, name)["obligations"]}

    assert {
        (
            LETTERS[line["payer_id"]],
            LETTERS[line["payee_id"]],
            line["rate_card_version"],
            line["points"],
            line["amount_micros"],
        )
        for line in lines.values()
    } == expected
    assert sum(line["amount"] for line in lines.values()) == ORACLE["at_redemption"]["gross"] == 804
    assert "8.04" in night.out


@pytest.mark.usefixtures("night")
def test_the_nets_are_those_of_the_oracle(played: Month) -> None:
    """What each partner's own statement says it receives or pays."""
    nets = {letter: _statement(played, name)["net"][0]["amount"] for letter, name in PARTNERS.items()}

    assert nets == ORACLE["at_redemption"]["net"]
    assert sum(nets.values()) == 0


def test_three_payments_from_partner_to_partner_move_416(played: Month, night: Ran) -> None:
    """Everything comes from A."""
    file = played.network.folder / "statements" / "window-0001" / "operator.instructions.json"
    payments = json.loads(file.read_text("utf-8"))["instructions"]

    assert len(payments) == ORACLE["at_redemption"]["payments_partner_to_partner"]
    assert {payment["debtor_id"] for payment in payments} == {"alpha"}
    assert {LETTERS[payment["creditor_id"]]: payment["amount"] for payment in payments} == {"B": 275, "C": 41, "D": 100}
    assert "4.16" in night.out


@pytest.mark.usefixtures("night")
@pytest.mark.parametrize("redeemer", PARTNERS.values())
def test_a_redeemer_recomputes_its_lines_from_its_own_receipts(played: Month, redeemer: str) -> None:
    """Its receipts and its own rate card give every line of its statement in which it is the redeemer."""
    statement, lines = _statement(played, redeemer), _lines(played, redeemer)
    recomputed = recompute_lines(redeemer, [booked.signed_receipt.receipt for booked in played.receipts_of(redeemer)], statement)

    assert [_without_number(line) for line in lines if line.own_entry_id in recomputed.entry_ids] == recomputed.lines
    assert recomputed.amounts == {
        (line["payer_id"], line["payee_id"], line["kind"], line["rate_card_version"]): line["amount"]
        for line in statement["obligations"]
        if line["payee_id" if line["kind"] == "redemption" else "payer_id"] == redeemer
    }


@pytest.mark.usefixtures("night")
def test_an_issuers_lines_carry_the_hash_of_the_redemptions_receipt(played: Month) -> None:
    """And name the issuer's own entry from which the points came."""
    receipts = [booked for step in played.steps for booked in step.receipts]
    by_hash = {hashlib.sha256(booked.signed_receipt.receipt).digest(): booked for booked in receipts}
    own = {booked.entry_id for booked in receipts if booked.receipt.kind == types_pb2.ENTRY_KIND_ISSUE}
    as_issuer = [(name, line) for name in PARTNERS.values() for line in _lines(played, name) if line.own_entry_id in own]

    foreign = [
        lot for booked in receipts if booked.receipt.kind in REDEMPTIONS for lot in booked.receipt.lots
        if lot.issuer_id != booked.receipt.partner_id
    ]  # fmt: skip

    assert len(as_issuer) == len(foreign) == 8
    for name, line in as_issuer:
        redemption = by_hash[line.receipt_sha256].receipt
        lots_of_issuer = {lot.lot_id for lot in redemption.lots if lot.issuer_id == name}
        assert redemption.partner_id in {line.payer_id, line.payee_id} - {name}
        assert any(lot_id.startswith(line.own_entry_id) for lot_id in lots_of_issuer)


@pytest.mark.usefixtures("night")
def test_statements_are_served_as_they_lie_in_the_files(played: Month) -> None:
    """Byte for byte, and hashed."""
    folder = played.network.folder / "statements" / "window-0001"
    for name, till in played.tills.items():
        windows = till.call(LIST_WINDOWS, statement_pb2.ListWindowsRequest()).windows
        served = till.call(GET_STATEMENT, statement_pb2.GetStatementRequest(window_id=1))

        assert [window.window_id for window in windows] == [1]
        assert served.statement == (folder / f"{name}.json").read_bytes()
        assert served.sha256 == hashlib.sha256(served.statement).digest()


@pytest.mark.usefixtures("night")
def test_the_audit_proves_the_month(played: Month) -> None:
    """Incrementally, and in full."""
    for words in (("audit",), ("audit", "--full")):
        assert "books proved" in played.command(*words).out


def _moved(played: Month) -> dict[PostingKind, dict[str, int]]:
    """Points by kind of posting and by whom it counts: the issuer, or who took back."""
    found: defaultdict[PostingKind, dict[str, int]] = defaultdict(dict)
    for kind in PostingKind:
        took_back = kind in (PostingKind.CLAWBACK, PostingKind.CLAWBACK_TO_DEBT)
        by = postings.c.counterparty_id if took_back else postings.c.issuer_id
        query = select(by, func.sum(postings.c.points)).where(postings.c.kind == kind.value).group_by(by)
        found[kind] = {LETTERS[name]: int(points) for name, points in _rows(played, query)}
    return found


def _substituted(played: Month) -> dict[str, int]:
    """What is left of each issuer's open points when its own issues, reversals, redemptions and expiries are counted off."""
    moved = _moved(played)
    signs = {
        PostingKind.ISSUE: -1,
        PostingKind.CLAWBACK: 1,
        PostingKind.CLAWBACK_TO_DEBT: 1,
        PostingKind.REDEEM: 1,
        PostingKind.RESTORE: -1,
        PostingKind.EXPIRE: 1,
    }
    still_open = {
        LETTERS[name]: int(points)
        for name, points in _rows(played, select(lots.c.issuer_id, func.sum(lots.c.open_points)).group_by(lots.c.issuer_id))
    }
    return {
        letter: points + sum(sign * moved[kind].get(letter, 0) for kind, sign in signs.items())
        for letter, points in still_open.items()
    }


def _open_points(played: Month) -> int:
    open_points = _rows(played, select(func.sum(lots.c.open_points)))[0][0]
    debt_points = _rows(played, select(func.sum(debts.c.open_points)))[0][0]
    return int(open_points) - int(debt_points)


def _rows(played: Month, query: Any) -> Sequence[Any]:
    with reading(played.network.engine) as connection:
        return connection.execute(query).all()


def _statement(played: Month, partner_id: str) -> Any:
    answer = played.tills[partner_id].call(GET_STATEMENT, statement_pb2.GetStatementRequest(window_id=1))
    return json.loads(answer.statement)


def _lines(played: Month, partner_id: str) -> list[statement_pb2.StatementLine]:
    """By pages of three."""
    found: list[statement_pb2.StatementLine] = []
    token = ""
    while True:
        asked = statement_pb2.ListStatementLinesRequest(window_id=1, page_size=3, page_token=token)
        page = played.tills[partner_id].call(LIST_STATEMENT_LINES, asked)
        found += page.lines
        token = page.next_page_token
        if not token:
            return found


def _without_number(line: statement_pb2.StatementLine) -> statement_pb2.StatementLine:
    plain = statement_pb2.StatementLine()
    plain.CopyFrom(line)
    plain.line_number = 0
    return plain
