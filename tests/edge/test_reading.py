"""What partners may read: answers to their own commands, balances, their own entries, record and statements."""

import hashlib
from functools import partial

import pytest
from grpc import StatusCode

from gateway.domain.statement import PublishedStatement, StatementLine
from gateway.domain.window import WindowState
from gateway.storage.engine import writing
from gateway.storage.statements import save_statement_lines, save_statements
from gateway.storage.windows import close_window, load_window, move_window
from partners.pos.requests import (
    GET_BALANCE,
    GET_ENTRY,
    GET_PARTNER,
    GET_STATEMENT,
    LIST_ENTRIES,
    LIST_STATEMENT_LINES,
    LIST_WINDOWS,
)
from tallystick.v1 import errors_pb2, member_pb2, partner_pb2, points_pb2, statement_pb2, types_pb2
from tests.edge.conftest import DAY_MS
from tests.edge.running import Caller, receipt_of, refusal
from tests.edge.test_bookings import reverse
from tests.given import AUDIENCE, GivenNetwork


def entries_page(caller: Caller, member_id: str, *, size: int = 0, token: str = "") -> member_pb2.ListEntriesResponse:
    """One page."""
    member = types_pb2.MemberRef(member_id=member_id)
    asked = member_pb2.ListEntriesRequest(member=member, page_size=size, page_token=token)
    answer: member_pb2.ListEntriesResponse = caller.call(LIST_ENTRIES, asked)
    return answer


def test_an_answer_is_found_by_entry_id_and_by_idempotency_key(acme: Caller) -> None:
    """Byte for byte as it was given."""
    member_id = acme.enrol("FIND-1")
    answer = acme.issue(member_id, 500, "find-1")
    by_id = points_pb2.GetEntryRequest(entry_id=receipt_of(answer).entry_id)
    by_key = points_pb2.GetEntryRequest(idempotency_key="find-1")
    found = [acme.call(GET_ENTRY, asked).answer for asked in (by_id, by_key)]

    assert [each.receipt for each in found] == [answer.receipt] * 2
    assert [each.replayed for each in found] == [True, True]


def test_a_remembered_refusal_is_found_until_its_key_books_something(acme: Caller) -> None:
    """The booking comes first, then the latest refusal."""
    member_id = acme.enrol("FIND-2")
    acme.issue(member_id, 500, "find-2")
    for points in (6, 7):
        refusal(partial(acme.redeem, member_id, points, "find-3"))
    asked = points_pb2.GetEntryRequest(idempotency_key="find-3")
    refused = receipt_of(acme.call(GET_ENTRY, asked).answer)
    booked = acme.redeem(member_id, 5, "find-3")

    assert refused.refused == errors_pb2.ERROR_REASON_INSUFFICIENT_POINTS
    assert acme.call(GET_ENTRY, asked).answer.receipt == booked.receipt


def test_a_key_that_was_never_sent_is_not_found(acme: Caller) -> None:
    """Also how a till finds out that its lost request was never booked."""
    got = refusal(lambda: acme.call(GET_ENTRY, points_pb2.GetEntryRequest(idempotency_key="never-sent")))

    assert (got.code, got.reason) == (StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND")


def test_a_balance_has_what_is_usable_and_grows_its_version_with_each_entry(acme: Caller) -> None:
    """By id or by card."""
    member_id = acme.enrol("BALANCE-1")
    acme.issue(member_id, 500, "balance-1")
    by_card = member_pb2.GetBalanceRequest(member=types_pb2.MemberRef(card_number="BALANCE-1"))

    answer = acme.call(GET_BALANCE, by_card)

    assert (answer.member_id, answer.balance_points, answer.available_points, answer.debt_points) == (member_id, 5, 5, 0)
    assert answer.version == 2
    assert answer.server_time_ms == acme.gateway.network.now_ms


def test_a_debt_is_shown_beside_the_balance(acme: Caller) -> None:
    """Goods came back whose points are gone."""
    member_id = acme.enrol("BALANCE-2")
    acme.issue(member_id, 500, "debt-1")
    acme.redeem(member_id, 3, "debt-2")
    reverse(
        acme, receipt_of(acme.call(GET_ENTRY, points_pb2.GetEntryRequest(idempotency_key="debt-1")).answer).entry_id, "debt-3"
    )
    answer = acme.call(GET_BALANCE, member_pb2.GetBalanceRequest(member=types_pb2.MemberRef(member_id=member_id)))

    assert (answer.balance_points, answer.available_points, answer.debt_points) == (-3, 0, 3)


def test_points_of_a_lot_that_is_overdue_are_not_usable(own_acme: Caller) -> None:
    """The expiry job has not met it yet: they still stand in the balance."""
    member_id = own_acme.enrol("BALANCE-3")
    own_acme.issue(member_id, 500, "overdue-1")
    own_acme.gateway.network.now_ms += 400 * DAY_MS

    answer = own_acme.call(GET_BALANCE, member_pb2.GetBalanceRequest(member=types_pb2.MemberRef(member_id=member_id)))

    assert (answer.balance_points, answer.available_points) == (5, 0)


@pytest.mark.parametrize("member", [types_pb2.MemberRef(member_id="nobody"), types_pb2.MemberRef(card_number="NOCARD")])
def test_a_member_that_does_not_exist_is_not_found(acme: Caller, member: types_pb2.MemberRef) -> None:
    """Neither by id nor by card."""
    balance = refusal(lambda: acme.call(GET_BALANCE, member_pb2.GetBalanceRequest(member=member)))
    entries = refusal(lambda: acme.call(LIST_ENTRIES, member_pb2.ListEntriesRequest(member=member)))

    assert [(got.code, got.reason) for got in (balance, entries)] == [(StatusCode.NOT_FOUND, "MEMBER_NOT_FOUND")] * 2


def test_entries_are_listed_by_pages_and_only_the_callers_own(acme: Caller, globex: Caller) -> None:
    """Oldest first; another partner's entries of the same member are not shown."""
    member_id = acme.enrol("LIST-1")
    own = [acme.issue(member_id, 500, f"list-{index}").receipt for index in range(5)]
    other = globex.issue(member_id, 500, "list-1").receipt
    pages = [entries_page(acme, member_id, size=2)]
    while pages[-1].next_page_token:
        pages.append(entries_page(acme, member_id, size=2, token=pages[-1].next_page_token))
    listed = [receipt for page in pages for receipt in page.receipts]

    assert [len(page.receipts) for page in pages] == [2, 2, 2]
    assert listed[1:] == own
    assert list(entries_page(globex, member_id).receipts) == [other]


def test_a_page_token_is_taken_only_as_it_was_given_and_for_its_own_question(acme: Caller, globex: Caller) -> None:
    """It is opaque, and signed with a key of the network."""
    member_id, other_id = acme.enrol("LIST-2"), acme.enrol("LIST-3")
    acme.issue(member_id, 500, "token-1")
    token = entries_page(acme, member_id, size=1).next_page_token
    changed = token[:-1] + ("A" if token[-1] != "A" else "B")

    for caller, member, wrong in (
        (acme, member_id, changed),
        (acme, member_id, "x"),
        (acme, member_id, "ü"),
        (acme, member_id, token + "AAAA"),
        (acme, other_id, token),
        (globex, member_id, token),
    ):
        got = refusal(partial(entries_page, caller, member, token=wrong))
        assert (got.code, got.reason) == (StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


@pytest.mark.parametrize("size", [-1, 201])
def test_a_page_size_out_of_range_is_refused(acme: Caller, size: int) -> None:
    """At most 200."""
    assert set(refusal(lambda: entries_page(acme, "m1", size=size)).violations) == {"page_size"}


def test_a_partner_reads_its_own_record_and_rate_cards(own_acme: Caller) -> None:
    """In force and past."""
    network = own_acme.gateway.network
    network.rates("acme", {"EUR": "5/2"}, effective_from="2026-07-01")
    network.cap("acme", 100_000)
    own_acme.gateway.run(own_acme.gateway.app.look_around())

    answer = own_acme.call(GET_PARTNER, partner_pb2.GetPartnerRequest())

    assert (answer.partner.legal_name, answer.partner.net_debit_cap_minor_units) == ("Acme GmbH", 100_000)
    assert answer.partner.status == partner_pb2.PARTNER_STATUS_ACTIVE
    assert [(card.version, card.effective_from) for card in answer.rate_cards] == [(1, "2026-06-01"), (2, "2026-07-01")]
    rate = answer.rate_cards[1].issue_rates[0]
    assert (rate.unit, rate.numerator, rate.denominator) == ("EUR", 5, 2)


def publish(network: GivenNetwork, window_id: int, *, lines: int = 3, state: WindowState = WindowState.NETTED) -> bytes:
    """Closes a window with a statement for acme; answers its bytes."""
    content = b'{"window":%d}' % window_id
    with writing(network.engine) as connection:
        close_window(
            connection, window_id=window_id, audience=AUDIENCE, at_ms=network.now_ms, network_date=lambda _: "2026-06-01"
        )
        save_statements(connection, [PublishedStatement(window_id, "acme", content, hashlib.sha256(content).digest(), lines)])
        save_statement_lines(
            connection,
            window_id,
            [
                (
                    "acme",
                    StatementLine(
                        line_number=number,
                        kind="redemption",
                        payer_id="acme",
                        payee_id="globex",
                        points=number,
                        amount_micros=900_000 * number,
                        currency="EUR",
                        business_date="2026-06-01",
                        rate_card_version=1,
                        own_entry_id="e" + "a" * 32,
                        receipt_sha256=bytes(32),
                    ),
                )
                for number in range(1, lines + 1)
            ],
        )
        if state is not WindowState.CLOSED:
            window = load_window(connection, window_id)
            assert window is not None
            move_window(connection, window, state, at_ms=network.now_ms, made_by="night")
    return content


def test_a_partner_reads_its_own_statements_once_they_are_published(own_acme: Caller) -> None:
    """Byte for byte as in the file of the night; another partner finds nothing."""
    network = own_acme.gateway.network
    globex = Caller(own_acme.gateway, "globex", network.keys["globex"])
    contents = [publish(network, window_id) for window_id in (1, 2)]
    publish(network, 3, state=WindowState.CLOSED)
    first = own_acme.call(LIST_WINDOWS, statement_pb2.ListWindowsRequest(page_size=1))
    second = own_acme.call(LIST_WINDOWS, statement_pb2.ListWindowsRequest(page_size=1, page_token=first.next_page_token))
    statement = own_acme.call(GET_STATEMENT, statement_pb2.GetStatementRequest(window_id=2))
    asked = statement_pb2.ListStatementLinesRequest(window_id=2, page_size=2)
    lines = own_acme.call(LIST_STATEMENT_LINES, asked)
    asked.page_token = lines.next_page_token
    more = own_acme.call(LIST_STATEMENT_LINES, asked)

    assert [window.window_id for page in (first, second) for window in page.windows] == [2, 1]
    assert second.next_page_token == ""
    assert (statement.statement, statement.sha256) == (contents[1], hashlib.sha256(contents[1]).digest())
    assert statement.window.state == statement_pb2.WINDOW_STATE_NETTED
    assert [line.points for page in (lines, more) for line in page.lines] == [1, 2, 3]
    assert list(globex.call(LIST_WINDOWS, statement_pb2.ListWindowsRequest()).windows) == []


@pytest.mark.parametrize("window_id", [1, 3])
def test_a_statement_that_is_foreign_or_not_published_is_not_found(own_acme: Caller, window_id: int) -> None:
    """As if it did not exist."""
    network = own_acme.gateway.network
    globex = Caller(own_acme.gateway, "globex", network.keys["globex"])
    publish(network, 1)
    caller = globex if window_id == 1 else own_acme
    asked = [
        lambda: caller.call(GET_STATEMENT, statement_pb2.GetStatementRequest(window_id=window_id)),
        lambda: caller.call(LIST_STATEMENT_LINES, statement_pb2.ListStatementLinesRequest(window_id=window_id)),
    ]

    assert [(got.code, got.reason) for got in map(refusal, asked)] == [(StatusCode.NOT_FOUND, "STATEMENT_NOT_FOUND")] * 2
