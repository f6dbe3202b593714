"""Disputes of all lines of an obligation, by either party, in any order, with any ends: shares stay within it and are it."""

from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from gateway.domain.dispute import GIVING_BACK, LIVE, Dispute, DisputeReason, DisputeState, dispute_id
from gateway.ledger.audit_disputes import DisputedEvents
from gateway.storage.audit_intake import dispute_rows, step_rows
from gateway.storage.disputed_events import amount_left, amount_of, find_event, micros_of, points_left
from gateway.storage.disputes import insert_dispute, load_dispute, load_disputes, move_dispute, next_opening_ms, other_dispute
from gateway.storage.engine import reading
from settlement.store import load_obligations
from tests.given import at
from tests.settlement.dispute_desk import small_change
from tests.settlement.given import Shop, redeem, reverse
from tests.settlement.night import MIDNIGHT_MS, run

POINTS = (1, 1, 2, 3, 1, 5, 1, 980, 3)
"""Of redemptions at bravo, one of which takes from both lots; of the last one 2 are restored in the same window."""

ENDS = (None, DisputeState.WITHDRAWN, DisputeState.UPHELD, DisputeState.ACCEPTED, DisputeState.WRITTEN_OFF)


@pytest.fixture(scope="module")
def netted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The window with these redemptions, netted; 997 points less 2 are 597 cents."""
    network = small_change(tmp_path_factory.mktemp("orders") / "net")
    shop = Shop(network.engine)
    for number, points in enumerate(POINTS):
        shop.book(redeem(f"r{number}", "bravo", "m1", points), now_ms=at("2026-06-03"))
    shop.book(reverse("back", "bravo", f"r{len(POINTS) - 1}", points=2), now_ms=at("2026-06-04"))
    run(network.engine, network.folder / "statements")
    yield network.engine
    network.engine.dispose()


def open_dispute(connection: Connection, opener_id: str, line_number: int) -> Dispute | None:
    """As the gateway opens it; None where the other party's stands in its way."""
    event = find_event(connection, 1, opener_id, line_number)
    assert event is not None
    if other_dispute(connection, 1, event.lines, opener_id=opener_id) is not None:
        return None
    points = points_left(connection, event)
    made = Dispute(
        dispute_id=dispute_id(opener_id, 1, line_number),
        opener_id=opener_id,
        respondent_id={"alpha": "bravo", "bravo": "alpha"}[opener_id],
        window_id=1,
        line_number=line_number,
        entry_id=event.line.own_entry_id,
        receipt_sha256=event.line.receipt_sha256,
        kind=event.line.kind,
        payer_id=event.line.payer_id,
        payee_id=event.line.payee_id,
        currency=event.line.currency,
        points=points,
        amount_micros=micros_of(event, points),
        amount=amount_of(connection, event, points),
        reason=DisputeReason.OTHER,
        evidence="letter",
        deadline="2026-07-15",
        opened_at_ms=next_opening_ms(connection, 1, MIDNIGHT_MS),
        previous_state="",
        state=DisputeState.OPEN,
    )
    insert_dispute(connection, made, made_by=opener_id)
    return load_dispute(connection, made.dispute_id)


@given(data=st.data())
@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
def test_disputes_in_any_order_hold_the_obligation_and_no_more(netted: Engine, data: st.DataObject) -> None:
    """Each event from both sides: what is live or was given back never exceeds it, and the audit works out the same shares."""
    with reading(netted) as connection:
        (owed,) = (one.amount for one in load_obligations(connection, 1) if one.kind == "redemption")
        lines = len(POINTS) + 1
        sides = [(partner_id, number) for partner_id in ("alpha", "bravo") for number in range(1, lines + 1)]
    with netted.connect() as connection, connection.begin() as transaction:
        for opener_id, line_number in data.draw(st.permutations(sides)):
            opened = open_dispute(connection, opener_id, line_number)
            state = data.draw(st.sampled_from(ENDS))
            if opened is not None and state is not None:
                back = amount_left(connection, opened) if state in GIVING_BACK else 0
                move_dispute(connection, opened, state, at_ms=MIDNIGHT_MS, made_by=opener_id, amount=back)
            counted = [one.amount for one in load_disputes(connection) if one.state in LIVE | GIVING_BACK]
            assert sum(counted) <= owed
        rows, steps = dispute_rows(connection), step_rows(connection)
        audited = DisputedEvents(connection, rows)
        wrong = [one for row in rows for one in audited.of(row)]
        wrong += [one for row in rows for step in steps if step.dispute_id == row.dispute_id for one in audited.back(row, step)]
        wrong += audited.of_all()
        first_of_each = {(row.receipt_sha256, row.line_number): row.amount for row in reversed(rows)}
        transaction.rollback()

    assert [one for one in wrong if one[1] != one[2]] == []
    assert sum(first_of_each.values()) == owed
