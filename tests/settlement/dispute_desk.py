"""What the operator's finance team does with disputes, and what is paid meanwhile."""

from pathlib import Path

from click.testing import CliRunner, Result

from gateway.console import Context
from gateway.domain.command import Enrol
from gateway.domain.decision import Decision
from gateway.ending_disputes import propose_end
from gateway.storage.engine import reading, writing
from settlement import store
from settlement.cli import settlement
from settlement.netting import Payment, positions_of
from tests.given import GivenNetwork, at, create_network
from tests.settlement.given import Shop, card_hash, issue


def small_change(folder: Path, *, url: str | None = None) -> GivenNetwork:
    """Alpha's points are redeemed at bravo for 0.60 cents and at charlie for 0.40; the member m1 has two lots of 500."""
    network = create_network(folder, url=url)
    network.onboard("alpha", {"EUR": "1"}, issue_price="1.10", reimbursement_rate="0.96")
    network.onboard("bravo", {"EUR": "1"}, issue_price="1.20", reimbursement_rate="0.60")
    network.onboard("charlie", {"EUR": "1"}, issue_price="1.20", reimbursement_rate="0.40")
    shop = Shop(network.engine)
    enrolled = Enrol(partner_id="alpha", key_id="alpha/till-1/1", idempotency_key="m1", card_hash=card_hash("m1"))
    shop.book(enrolled, now_ms=at("2026-06-01", "08:00"))
    for key in ("i1", "i2"):
        shop.book(issue(key, "alpha", "m1", 500_00), now_ms=at("2026-06-02"))
    return network


def take(network: GivenNetwork, *words: str) -> Result:
    """`tallystick settlement disputes take`, or another of its commands."""
    context = Context(network.folder / "tallystick.toml", network.clock)
    result = CliRunner().invoke(settlement, ["disputes", *(words or ("take",))], obj=context)
    assert result.exit_code == 0, result.output
    return result


def paid_now(network: GivenNetwork, window_id: int = 1) -> dict[str, int]:
    """What the instructions of a window leave each party with, in cents."""
    with reading(network.engine) as connection:
        made = store.load_instructions(connection, window_id)
    payments = [Payment(one.currency, one.debtor_id, one.creditor_id, one.amount) for one in made]
    return {one.party_id: one.amount for one in positions_of(payments)}


def propose(network: GivenNetwork, dispute_id: str, word: str, amount: int = 0) -> Decision:
    """The first operator proposes how a dispute ends."""
    with writing(network.engine) as connection:
        return propose_end(
            connection, dispute_id, end=word, amount=amount, reason="seen", hand=network.hands[0], now_ms=network.now_ms
        )


def end(network: GivenNetwork, dispute_id: str, word: str, amount: int = 0) -> None:
    """Two operators end a dispute."""
    network.approve(propose(network, dispute_id, word, amount))
