"""Two nights in which everything happened to money that can: payments of all kinds, fees, disputes with every end, records.

Built by the code that the gateway, the operators and the night use.
"""

from click.testing import CliRunner

from gateway.adjusting import propose_adjustment, propose_write_off
from gateway.confirming import confirm
from gateway.console import Context
from gateway.ending_disputes import propose_end
from gateway.settlement_rules import RulesChange
from gateway.storage.engine import reading, writing
from gateway.storage.payments import Payable, load_payables
from settlement.cli import settlement
from settlement.paying import carry_on, record_failed, record_paid
from tests.edge.running import RunningGateway
from tests.given import GivenNetwork, at
from tests.settlement.given import Shop, issue, redeem
from tests.settlement.night import NEXT_MIDNIGHT_MS, run
from tests.settlement.office import FIRST_OF_JULY_MS, Office, line_between

RECORD = b"idempotency_key,kind,points,business_date\n1,issue,600,2026-06-01\n5,issue,199,2026-06-06\nx,issue,7,2026-06-07\n"
_DAY_MS = 86_400_000


def book_eventful_nights(network: GivenNetwork) -> None:
    """Works on a copy of the booked month. Window 1 is settled, 2 is confirmed and paid in part, 3 is open."""
    network.now_ms = at("2026-06-30", "20:00")
    network.settlement_rules(RulesChange(minimum_amount=2_01, late_fee=1_00, due_days=10, fixed_fee=2_00))
    run(network.engine, network.folder / "statements")
    network.now_ms = FIRST_OF_JULY_MS
    _first_disputes(network)
    _confirm(network, 1)
    _first_payments(network)
    _second_window(network)
    _second_payments(network)
    network.engine.dispose()


def _first_disputes(network: GivenNetwork) -> None:
    """Records and acknowledgements as well; each dispute has an end of its own, and one has none."""
    with RunningGateway(network) as gateway:
        alpha, bravo, charlie, delta = (Office(gateway, name) for name in ("alpha", "bravo", "charlie", "delta"))
        alpha.upload(RECORD)
        bravo.chunk(b"half", 1, b"never whole")
        for office in (alpha, bravo):
            office.acknowledge(office.statement().sha256)
        command(network, "reconcile-records")
        (network.folder / "day.csv").write_bytes(RECORD)
        command(network, "reconcile", str(network.folder / "day.csv"), "--partner", "alpha", "--date", "2026-06-01")
        corrected = bravo.dispute(line_between(bravo, "bravo", "delta").line_number)
        written_off = charlie.dispute(line_between(charlie, "charlie", "delta").line_number)
        alpha.dispute(line_between(alpha, "alpha", "charlie").line_number, deadline="2026-08-20")
        accepted = alpha.dispute(line_between(alpha, "charlie", "alpha").line_number)
        alpha.dispute(line_between(alpha, "alpha", "bravo").line_number, deadline="2026-07-02")  # nobody answers
        command(network, "disputes", "take")
        charlie.answer(accepted.dispute_id, "accept", "we saw it")
        delta.answer(corrected.dispute_id, "contest", "five at most")
    _end(network, corrected.dispute_id, "correct", 5)
    _end(network, written_off.dispute_id, "write-off")
    command(network, "disputes", "take")


def _first_payments(network: GivenNetwork) -> None:
    """One in parts, one that fails and is carried on, one at once."""
    part, fails, whole = payables(network, 1)
    with writing(network.engine) as connection:
        record_paid(connection, part.instruction_id, bank_ref="A-1", amount=20, now_ms=network.now_ms)
        record_failed(connection, fails.instruction_id, reason="no funds", now_ms=network.now_ms + 1)
        record_paid(connection, part.instruction_id, bank_ref="A-2", amount=None, now_ms=network.now_ms + 2)
        carry_on(connection, fails.instruction_id, reason="pays in July", now_ms=network.now_ms + 3)
        record_paid(connection, whole.instruction_id, bank_ref="A-3", amount=None, now_ms=network.now_ms + 4)


def _second_window(network: GivenNetwork) -> None:
    """It takes in what was decided, ended and carried; its night accepts for whoever was silent."""
    shop = Shop(network.engine)
    shop.book(issue("n1", "alpha", "m2", 3_000_00), now_ms=FIRST_OF_JULY_MS + _DAY_MS)
    for key, partner_id, points in (("n2", "bravo", 700), ("n3", "charlie", 500), ("n4", "delta", 400)):
        shop.book(redeem(key, partner_id, "m2", points), now_ms=FIRST_OF_JULY_MS + _DAY_MS)
    network.now_ms = FIRST_OF_JULY_MS + _DAY_MS
    _adjust(network, "bravo", "delta", 3_00)
    run(network.engine, network.folder / "statements", at_ms=NEXT_MIDNIGHT_MS + 2 * _DAY_MS)
    network.now_ms = at("2026-07-04")
    _confirm(network, 2)


def _second_payments(network: GivenNetwork) -> None:
    """One late, one that fails, one that is written off; and an adjustment that waits for the next window."""
    late, gone = payables(network, 2)[:2]
    network.now_ms = at("2026-07-20")
    with writing(network.engine) as connection:
        record_paid(connection, late.instruction_id, bank_ref="B-1", amount=1_00, now_ms=network.now_ms)
        record_paid(connection, late.instruction_id, bank_ref="B-2", amount=50, now_ms=network.now_ms)
        record_failed(connection, gone.instruction_id, reason="account closed", now_ms=network.now_ms)
        decision = propose_write_off(
            connection, gone.instruction_id, reason="insolvent", hand=network.hands[0], now_ms=network.now_ms
        )
    network.approve(decision)
    _adjust(network, "delta", "bravo", 7_50)


def command(network: GivenNetwork, *words: str) -> str:
    """`tallystick settlement …` in this process; answers what it says."""
    result = CliRunner().invoke(settlement, list(words), obj=Context(network.folder / "tallystick.toml", network.clock))
    assert result.exit_code == 0, result.output
    return result.output


def payables(network: GivenNetwork, run_id: int) -> list[Payable]:
    """The instructions of a payment run."""
    with reading(network.engine) as connection:
        return load_payables(connection, run_id)


def _confirm(network: GivenNetwork, window_id: int) -> None:
    for hand in network.hands:
        with writing(network.engine) as connection:
            confirm(connection, window_id, hand=hand, now_ms=network.now_ms)


def _end(network: GivenNetwork, dispute_id: str, word: str, amount: int = 0) -> None:
    with writing(network.engine) as connection:
        decision = propose_end(
            connection, dispute_id, end=word, amount=amount, reason=f"{word} it", hand=network.hands[0], now_ms=network.now_ms
        )
    network.approve(decision)


def _adjust(network: GivenNetwork, payer_id: str, payee_id: str, amount: int) -> None:
    with writing(network.engine) as connection:
        decision = propose_adjustment(
            connection,
            payer_id=payer_id,
            payee_id=payee_id,
            amount=amount,
            currency="EUR",
            reason="till gave too much",
            hand=network.hands[0],
            now_ms=network.now_ms,
        )
    network.approve(decision)
