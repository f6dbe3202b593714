"""What must hold in a small world in the end, reckoned from what its tills were told and from nothing that the ledger sums."""

import json
from collections import Counter, defaultdict
from typing import Any

from sqlalchemy import Select, select

from gateway.storage.engine import reading
from gateway.storage.tables import entries, heads, members
from tallystick.v1 import member_pb2, types_pb2
from tests.e2e.recompute import recompute_lines
from tests.simulation.world import Order, World


def check_books(world: World, *, windows: int) -> None:
    """All of it. The tills have heard of every order by now."""
    booked = [order for order in world.orders if order.is_booked]
    check_one_answer_an_order(world)
    check_sequences(world, booked)
    check_balances(world, booked)
    for window_id in range(1, windows + 1):
        check_window(world, booked, window_id)
    assert "books proved" in world.command("audit", "--full")


def check_one_answer_an_order(world: World) -> None:
    """The same bytes whenever it was given, over restarts and repeats; only what was never booked has none."""
    for order in world.orders:
        assert order.receipt is not None or order.refused, order.key
        assert len(order.heard) <= 1, order.key
        assert order.receipt is None or not order.refused, (order.key, order.refused)


def check_sequences(world: World, booked: list[Order]) -> None:
    """Each order stands in the books once, at the place that its receipt names; the rest is the system's; there are no gaps."""
    rows = _rows(world, select(entries.c.sequence, entries.c.partner_id, entries.c.idempotency_key))
    by_key = {(partner_id, key): sequence for sequence, partner_id, key in rows if key}

    assert by_key == {order.key: order.receipt.sequence for order in booked if order.receipt is not None}
    assert sorted(row[0] for row in rows) == list(range(1, _rows(world, select(heads.c.last_sequence))[0][0] + 1))


def check_balances(world: World, booked: list[Order]) -> None:
    """A member's receipts, what others passed on, and what expired, added up; and the balance on its last receipt fits."""
    balances: Counter[str] = Counter()
    cards: dict[str, str] = {}
    for order in booked:
        assert order.receipt is not None
        balances[order.receipt.member_id] += order.receipt.points
        if isinstance(order.message, member_pb2.EnrolMemberRequest):
            cards[order.message.card_number] = order.receipt.member_id
    for order in booked:
        if isinstance(order.message, member_pb2.TransferPointsRequest):
            balances[cards[order.message.target.card_number]] += order.message.points
    expired = select(entries.c.member_id, entries.c.points).where(entries.c.kind == types_pb2.ENTRY_KIND_EXPIRE)
    for member_id, points in _rows(world, expired):
        balances[member_id] += points
    in_books = select(members.c.member_id, members.c.open_points - members.c.debt_points)

    assert {row[0]: row[1] for row in _rows(world, in_books)} == {member_id: balances[member_id] for member_id in cards.values()}


def check_window(world: World, booked: list[Order], window_id: int) -> None:
    """Redeemers reckon every obligation from their own receipts of the window; the nets follow, and sum to zero."""
    folder = world.folder / "statements" / f"window-{window_id:04}"
    statements = {
        partner_id: json.loads(path.read_text("utf-8"))
        for partner_id in ("alpha", "bravo", "charlie", "delta")
        if (path := folder / f"{partner_id}.json").exists()
    }
    nets: defaultdict[str, int] = defaultdict(int)
    for partner_id, statement in statements.items():
        recomputed = recompute_lines(partner_id, _receipts_within(booked, partner_id, statement), statement)
        assert recomputed.amounts == _as_redeemer(partner_id, statement), (window_id, partner_id)
        for (payer_id, payee_id, _, _), amount in recomputed.amounts.items():
            nets[payer_id] -= amount
            nets[payee_id] += amount
    stated = {partner_id: sum(net["amount"] for net in statement["net"]) for partner_id, statement in statements.items()}

    assert sum(stated.values()) == 0
    assert stated == {partner_id: nets[partner_id] for partner_id in statements}


def _receipts_within(booked: list[Order], partner_id: str, statement: Any) -> list[bytes]:
    (lane,) = statement["ranges"]
    receipts = [order.receipt for order in booked if order.key[0] == partner_id and order.receipt is not None]
    within = [receipt for receipt in receipts if lane["first"] <= receipt.sequence <= lane["last"]]
    return [receipt.SerializeToString(deterministic=True) for receipt in sorted(within, key=lambda receipt: receipt.sequence)]


def _as_redeemer(partner_id: str, statement: Any) -> dict[tuple[str, str, str, int], int]:
    return {
        (line["payer_id"], line["payee_id"], line["kind"], line["rate_card_version"]): line["amount"]
        for line in statement["obligations"]
        if line["payee_id" if line["kind"] == "redemption" else "payer_id"] == partner_id
    }


def _rows(world: World, query: Select[Any]) -> Any:
    with reading(world.network.engine) as connection:
        return connection.execute(query).all()
