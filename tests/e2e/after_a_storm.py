"""What must hold after a storm, whatever was killed in it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select

from gateway.storage.engine import reading
from gateway.storage.tables import entries, heads, members, outcomes, refusals
from partners.pos.answers import Booked
from partners.pos.errors import Refused
from tallystick.v1 import types_pb2
from tests.e2e.commands import done, run_command
from tests.e2e.storm import Key, Storm


def check_all(storm: Storm) -> None:
    """Each key has exactly one receipt, their sum is the ledger, and the ledger is proved."""
    check_each_key_has_exactly_one_receipt(storm)
    check_the_receipts_are_the_ledger(storm)
    check_remembered_refusals_are_the_ledgers_too(storm)
    check_sequences_have_no_gaps_and_receipts_name_their_own(storm)
    check_the_audit_holds(storm)


def check_each_key_has_exactly_one_receipt(storm: Storm) -> None:
    """The same bytes whenever it was answered, before a kill or after, signature included."""
    without = {key: answer for key, answer in storm.final.items() if not storm.answers[key]}

    assert set(storm.final) == set(storm.keys())
    assert {key: len(found) for key, found in storm.answers.items() if len(found) > 1} == {}
    assert {_reason(answer) for answer in without.values()} <= {"ENTRY_NOT_FOUND"}, "only what names no entry has no receipt"


def check_the_receipts_are_the_ledger(storm: Storm) -> None:
    """The same keys and bytes, and the same points, in all and for each partner."""
    booked = {key: answer for key, answer in storm.final.items() if isinstance(answer, Booked)}
    query = select(outcomes.c.partner_id, outcomes.c.idempotency_key, outcomes.c.receipt)
    stored = {(row[0], row[1]): row[2] for row in _rows(storm, query) if not row[1].startswith("enrol-")}
    points = Counter[str]()
    for (partner, _), answer in booked.items():
        points[partner] += answer.points

    assert {key: answer.signed_receipt.receipt for key, answer in booked.items()} == stored
    by_partner = select(entries.c.partner_id, func.sum(entries.c.points)).where(entries.c.idempotency_key != "")
    assert dict(points) == {row[0]: int(row[1]) for row in _rows(storm, by_partner.group_by(entries.c.partner_id))}
    assert _balances(storm) == sum(points.values()) + _passed_on(booked)


def check_remembered_refusals_are_the_ledgers_too(storm: Storm) -> None:
    """None more, none less."""
    refused = {key for key, answer in storm.final.items() if isinstance(answer, Refused) and storm.answers[key]}
    stored = {(row[0], row[1]) for row in _rows(storm, select(refusals.c.partner_id, refusals.c.idempotency_key))}

    assert refused == stored


def check_sequences_have_no_gaps_and_receipts_name_their_own(storm: Storm) -> None:
    """In each lane 1 to the head's last, whatever was rolled back."""
    places = {(row[0], row[1]): row[2] for row in _rows(storm, select(entries.c.lane, entries.c.sequence, entries.c.entry_id))}
    booked = [answer for answer in storm.final.values() if isinstance(answer, Booked)]
    lanes = _rows(storm, select(heads.c.lane, heads.c.last_sequence))

    assert set(places) == {(lane, sequence) for lane, last in lanes for sequence in range(1, last + 1)}
    assert all(places[answer.receipt.lane, answer.receipt.sequence] == answer.entry_id for answer in booked)


def check_the_audit_holds(storm: Storm) -> None:
    """In full."""
    storm.network.now_ms = max(answer.receipt.booked_at_ms for answer in storm.final.values() if isinstance(answer, Booked))

    assert "books proved" in done(run_command(storm.network, "audit", "--full")).out


def _reason(answer: Booked | Refused) -> str:
    return answer.reason if isinstance(answer, Refused) else "booked"


def _passed_on(booked: dict[Key, Booked]) -> int:
    """What members got from members: the giver's receipt takes it away, nobody has one that adds it."""
    return -sum(answer.points for answer in booked.values() if answer.receipt.kind == types_pb2.ENTRY_KIND_TRANSFER_OUT)


def _balances(storm: Storm) -> int:
    return int(_rows(storm, select(func.sum(members.c.open_points - members.c.debt_points)))[0][0])


def _rows(storm: Storm, query: Select[Any]) -> Sequence[Any]:
    with reading(storm.network.engine) as connection:
        return connection.execute(query).all()
