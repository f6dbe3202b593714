"""The calls about members through a running gateway, on both engines: what they answer, to whom, and what they never show."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from google.protobuf.message import Message
from grpc import StatusCode
from sqlalchemy import select

from gateway.domain.partner import KeyScope
from gateway.edge.receipts import decode_receipt, encode_receipt
from gateway.key_file import new_key
from gateway.ledger.audit import audit
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.storage.engine import reading
from gateway.storage.tables import member_identifiers
from partners.pos import requests
from partners.pos import requests_members as members
from partners.pos.requests import BOOKINGS, ISSUE, REDEEM, Method, amount, issue, redeem
from tallystick.v1 import member_pb2, points_pb2, types_pb2
from tests.edge.conftest import two_partners
from tests.edge.running import Caller, RunningGateway, receipt_of, refusal
from tests.edge.test_signatures import add_key
from tests.given import GivenNetwork

PHONE, EMAIL = "+4915112345678", "Joanna.Smith@Example.com"
_HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, module_url: str | None) -> Iterator[RunningGateway]:
    """A gateway of acme, globex and the charity hope."""
    network = two_partners(tmp_path_factory.mktemp("members") / "net", url=module_url)
    network.onboard("hope", {}, roles="charity", face_value="0.50", reimbursement_rate="0.80", issue_price="0")
    with RunningGateway(network) as running:
        yield running
    network.engine.dispose()


def book(caller: Caller, command: Message) -> types_pb2.Receipt:
    """Sends a command; answers its receipt."""
    method, _ = BOOKINGS[type(command)]
    return receipt_of(caller.call(method, command).answer)


def reason(caller: Caller, command: Message) -> str:
    """What a command is refused with."""
    method, _ = BOOKINGS[type(command)]
    return refusal(partial(caller.call, method, command)).reason


def enrolled(caller: Caller, name: str) -> types_pb2.MemberRef:
    """A new member by card, named by its id."""
    return requests.member(book(caller, requests.enrol(name, key=f"enrol-{name}")).member_id)


def looked_up(caller: Caller, who: types_pb2.MemberRef) -> member_pb2.LookUpMemberResponse:
    """Who somebody is."""
    answer: member_pb2.LookUpMemberResponse = caller.call(requests.LOOK_UP, member_pb2.LookUpMemberRequest(member=who))
    return answer


def test_identifiers_are_found_exactly_and_shown_masked(acme: Caller) -> None:
    """At most four characters of the end, and never more than a quarter; an address however it is capitalised."""
    who = enrolled(acme, "4000-1234-5678")
    for kind, value in (("phone", PHONE), ("email", EMAIL), ("qr", "QR:abcdefgh")):
        book(acme, members.add_identifier(who, members.identifier(kind, value), key=f"add-{kind}"))

    found = [looked_up(acme, members.identified(kind, value)) for kind, value in (("phone", PHONE), ("email", EMAIL.upper()))]

    assert {answer.member_id for answer in found} == {who.member_id}
    shown = {types_pb2.IdentifierKind.Name(one.kind): one.masked for one in found[0].identifiers}
    assert shown == {
        "IDENTIFIER_KIND_CARD": "…678",
        "IDENTIFIER_KIND_PHONE": "…678",
        "IDENTIFIER_KIND_EMAIL": "…ith@…",
        "IDENTIFIER_KIND_QR": "…gh",
    }


def test_what_is_stored_gives_no_identifier_away(acme: Caller) -> None:
    """Neither as it is nor hashed without the network's key."""
    who = enrolled(acme, "STORED-1")
    book(acme, members.add_identifier(who, members.identifier("phone", "+33612345678"), key="stored-1"))

    with reading(acme.gateway.network.engine) as connection:
        rows = connection.execute(select(member_identifiers).where(member_identifiers.c.member_id == who.member_id)).all()

    assert {(row.kind, row.tail) for row in rows} == {("card", "-1"), ("phone", "678")}
    assert all(len(row.identifier_hash) == 64 for row in rows)
    assert "33612345" not in repr(rows)


def test_a_member_is_enrolled_provisionally_at_the_till_and_confirmed_later(acme: Caller) -> None:
    """It gets points at once, and gives none before."""
    receipt = book(
        acme, requests.enrol(members.identifier("phone", "+390612345678"), key="pro-1", provisional=True, language="fr")
    )
    who = requests.member(receipt.member_id)
    book(acme, issue(who, amount("10.00 EUR"), key="pro-2"))
    asked = redeem(who, 5, key="pro-3")

    before = looked_up(acme, who)
    assert (before.status, before.language) == (member_pb2.MEMBER_STATUS_PROVISIONAL, "fr")
    assert (before.balance_points, before.standing.available_points) == (10, 0)
    got = refusal(partial(acme.call, REDEEM, asked))
    assert (got.code, got.reason) == (StatusCode.PERMISSION_DENIED, "MEMBER_PROVISIONAL")
    book(acme, members.confirm(who, key="pro-4", language="de"))
    assert (looked_up(acme, who).status, looked_up(acme, who).language) == (member_pb2.MEMBER_STATUS_ACTIVE, "de")
    assert book(acme, asked).balance_points == 5


def test_a_one_time_token_is_good_for_one_booking(acme: Caller) -> None:
    """Looking up does not use it up; a repeat with the same key is answered again."""
    who = enrolled(acme, "TOKEN-1")
    token = members.identified("token", "tok_0123456789abcdef")
    until = acme.gateway.network.now_ms + _HOUR_MS
    book(acme, members.add_identifier(who, token.identifier, key="token-1", valid_until_ms=until))
    assert looked_up(acme, token).member_id == who.member_id
    asked = issue(token, amount("3.00 EUR"), key="token-2")

    first, again = acme.call(ISSUE, asked).answer, acme.call(ISSUE, asked).answer

    assert (again.receipt, again.replayed) == (first.receipt, True)
    got = refusal(partial(acme.call, ISSUE, issue(token, amount("3.00 EUR"), key="token-3")))
    assert (got.code, got.reason) == (StatusCode.FAILED_PRECONDITION, "TOKEN_USED_OR_EXPIRED")
    assert [one.used for one in looked_up(acme, who).identifiers if one.valid_until_ms] == [True]
    assert refusal(partial(looked_up, acme, token)).reason == "TOKEN_USED_OR_EXPIRED"


def test_a_lost_card_is_removed_by_the_id_that_looking_up_shows(acme: Caller) -> None:
    """Nobody has its number any more; the last one stays."""
    who = enrolled(acme, "LOST-0001")
    book(acme, members.add_identifier(who, members.identifier("card", "FOUND-0002"), key="lost-1"))
    lost = next(one for one in looked_up(acme, who).identifiers if one.masked == "…01")

    book(acme, members.remove_identifier(who, lost.identifier_id, key="lost-2"))

    assert refusal(partial(looked_up, acme, requests.card("LOST-0001"))).reason == "MEMBER_NOT_FOUND"
    last = looked_up(acme, who).identifiers[0].identifier_id
    assert reason(acme, members.remove_identifier(who, last, key="lost-3")) == "LAST_IDENTIFIER"
    assert reason(acme, members.remove_identifier(who, lost.identifier_id, key="lost-4")) == "IDENTIFIER_NOT_FOUND"


def test_lots_are_shown_without_the_purchases_they_come_from(acme: Caller, globex: Caller) -> None:
    """In the order in which they are taken, by pages; nothing of another partner's sale but issuer, points and expiry."""
    who = enrolled(acme, "LOTS-1")
    for number in range(3):
        book(acme, issue(who, amount("2.00 EUR"), key=f"lots-{number}"))
    book(globex, issue(who, amount("5.00 EUR"), key="lots-1", receipt_number="SECRET-9"))
    pages = [acme.call(requests.LIST_LOTS, member_pb2.ListLotsRequest(member=who, page_size=3))]
    token = pages[0].next_page_token
    pages.append(acme.call(requests.LIST_LOTS, member_pb2.ListLotsRequest(member=who, page_size=3, page_token=token)))

    lots = [lot for page in pages for lot in page.lots]

    assert [(lot.issuer_id, lot.points, lot.expires_on) for lot in lots] == [
        *[("acme", 2, "2027-06-30")] * 3,
        ("globex", 5, "2027-06-30"),
    ]
    assert (pages[0].balance_points, pages[1].next_page_token) == (11, "")
    assert set(member_pb2.OpenLot.DESCRIPTOR.fields_by_name) == {"issuer_id", "points", "expires_on", "usable_from"}


def test_entries_are_listed_by_kind_date_and_receipt_number(acme: Caller, globex: Caller) -> None:
    """The caller's own alone, whatever the filter."""
    who = enrolled(acme, "FILTER-1")
    book(acme, issue(who, amount("9.00 EUR"), key="filter-1", receipt_number="R-1"))
    book(acme, issue(who, amount("8.00 EUR"), key="filter-2", receipt_number="R-2"))
    book(acme, redeem(who, 2, key="filter-3", receipt_number="R-2"))
    book(globex, issue(who, amount("7.00 EUR"), key="filter-1", receipt_number="R-2"))

    def found(**filters: Any) -> list[str]:
        page = acme.call(requests.LIST_ENTRIES, members.entries(who, **filters))
        return [types_pb2.Receipt.FromString(signed.receipt).idempotency_key for signed in page.receipts]

    assert found(kinds=["issue"]) == ["filter-1", "filter-2"]
    assert found(receipt_number="R-2") == ["filter-2", "filter-3"]
    assert found(kinds=["redeem"], receipt_number="R-2") == ["filter-3"]
    assert found(first_business_date="2026-06-01", last_business_date="2026-06-01", kinds=["enrol"]) == ["enrol-FILTER-1"]
    assert found(last_business_date="2026-05-31") == found(first_business_date="2026-06-02") == []


def test_a_donation_pays_the_charity_at_its_own_prices(globex: Caller) -> None:
    """Whoever's till it is; who is no charity gets none."""
    who = enrolled(globex, "DONOR-1")
    book(globex, issue(who, amount("10.00 EUR"), key="donate-1"))

    receipt = book(globex, members.donate(who, "hope", 4, key="donate-2"))

    assert (receipt.kind, receipt.points, receipt.amount.minor_units) == (types_pb2.ENTRY_KIND_DONATE, -4, 2)
    assert reason(globex, members.donate(who, "acme", 4, key="donate-3")) == "NOT_A_CHARITY"


def test_merged_members_are_one_under_all_their_names(acme: Caller, globex: Caller) -> None:
    """Old ids lead on, for readers and bookings; each partner finds the entries of before under the new id."""
    old, new = enrolled(acme, "MERGE-1"), enrolled(globex, "MERGE-2")
    book(acme, issue(old, amount("10.00 EUR"), key="merge-1"))
    book(globex, issue(new, amount("20.00 EUR"), key="merge-1"))

    book(acme, members.merge(old, new, key="merge-2"))

    found = [looked_up(acme, who) for who in (old, new, requests.card("MERGE-1"))]
    assert {(one.member_id, one.balance_points) for one in found} == {(new.member_id, 30)}
    assert list(found[0].former_member_ids) == [old.member_id]
    assert book(acme, redeem(old, 25, key="merge-3")).member_id == new.member_id
    page = acme.call(requests.LIST_ENTRIES, members.entries(new))
    keys = [types_pb2.Receipt.FromString(signed.receipt).idempotency_key for signed in page.receipts]
    assert sorted(keys) == ["enrol-MERGE-1", "merge-1", "merge-2", "merge-3"]
    assert reason(acme, members.merge(old, new, key="merge-4")) == "MEMBER_MERGED"


def test_a_pause_stops_what_takes_points(acme: Caller) -> None:
    """And what is shown as available."""
    who = enrolled(acme, "PAUSE-1")
    book(acme, issue(who, amount("10.00 EUR"), key="pause-1"))
    book(acme, members.pause(who, key="pause-2"))

    found = looked_up(acme, who)
    assert (found.spending_paused, found.balance_points, found.standing.available_points) == (True, 10, 0)
    asked = redeem(who, 5, key="pause-3")
    assert reason(acme, asked) == "SPENDING_PAUSED"
    assert book(acme, issue(who, amount("1.00 EUR"), key="pause-4")).balance_points == 11
    book(acme, members.resume(who, key="pause-5"))
    assert book(acme, asked).balance_points == 6


def exported(caller: Caller, who: types_pb2.MemberRef) -> dict[str, Any]:
    """All pages of what is stored about a member."""
    documents, token = [], ""
    while True:
        page = caller.call(requests.EXPORT, member_pb2.ExportMemberRequest(member=who, page_token=token))
        documents.append(json.loads(page.document))
        token = page.next_page_token
        if not token:
            return {name: part for document in documents for name, part in document.items()}


def test_an_export_has_the_member_its_lots_and_the_callers_entries(acme: Caller, globex: Caller) -> None:
    """Of other partners' purchases it has the number."""
    who = enrolled(acme, "EXPORT-1")
    book(acme, issue(who, amount("10.00 EUR"), key="export-1", receipt_number="A-1"))
    book(globex, issue(who, amount("20.00 EUR"), key="export-1", receipt_number="SECRET-1"))

    whole = exported(acme, who)

    assert (whole["member"]["entries"], whole["member"]["entries_of_others"]) == (3, 1)
    assert [one["masked"] for one in whole["member"]["identifiers"]] == ["…-1"]
    assert [lot["points"] for lot in whole["lots"]] == [10, 20]
    assert [entry["idempotency_key"] for entry in whole["entries"]] == ["enrol-EXPORT-1", "export-1"]
    assert "SECRET-1" not in json.dumps(whole)


def test_an_erased_member_is_found_by_its_id_alone(acme: Caller) -> None:
    """With its points and without anything that tells who it was; its card may be enrolled again."""
    who = enrolled(acme, "ERASE-1")
    book(acme, issue(who, amount("10.00 EUR"), key="erase-1"))
    book(acme, members.erase(who, key="erase-2"))

    found = looked_up(acme, who)
    assert (found.status, list(found.identifiers), found.language) == (member_pb2.MEMBER_STATUS_ERASED, [], "")
    assert found.balance_points == 10
    assert reason(acme, issue(who, amount("1.00 EUR"), key="erase-3")) == "MEMBER_ERASED"
    assert exported(acme, who)["member"]["identifiers"] == []
    assert book(acme, requests.enrol("ERASE-1", key="erase-4")).member_id != who.member_id


@pytest.mark.parametrize("scope", list(KeyScope))
def test_a_key_calls_what_its_scope_allows(network: GivenNetwork, scope: KeyScope) -> None:
    """A till enrols, looks up and adds; merging, resuming, exporting and erasing are the office's."""
    key, _ = new_key()
    key_id = add_key(network, key, "narrow", scope)
    asked = (requests.ENROL, requests.ADD_IDENTIFIER, requests.LOOK_UP, requests.PAUSE)
    asked_of_office = (requests.RESUME, requests.MERGE, requests.EXPORT, requests.ERASE)
    with RunningGateway(network) as gateway:
        caller = Caller(gateway, "acme", key, key_id)
        allowed = {
            method.name
            for method in (*asked, *asked_of_office)
            if refusal(partial(caller.call, method, method.request())).reason != "METHOD_NOT_ALLOWED_FOR_KEY"
        }

    both = {"AddIdentifier", "LookUpMember", "PauseSpending"}
    office = {"ResumeSpending", "MergeMembers", "ExportMember", "EraseMember"}
    assert allowed == both | ({"EnrolMember"} if scope is KeyScope.TILL else office)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (member_pb2.EnrolMemberRequest(idempotency_key="k"), {"card_number"}),
        (
            member_pb2.EnrolMemberRequest(
                idempotency_key="k", card_number="CARD-1", identifier=members.identifier("qr", "QR-123456")
            ),
            {"identifier"},
        ),
        (
            member_pb2.EnrolMemberRequest(idempotency_key="k", identifier=members.identifier("token", "t" * 16)),
            {"identifier.kind"},
        ),
        (member_pb2.EnrolMemberRequest(idempotency_key="k", card_number="CARD-1", language="it"), {"language"}),
        (
            member_pb2.AddIdentifierRequest(
                idempotency_key="k", identifier=types_pb2.Identifier(kind=types_pb2.IDENTIFIER_KIND_PHONE, value="0151 1234")
            ),
            {"member", "identifier.value"},
        ),
        (
            member_pb2.AddIdentifierRequest(
                idempotency_key="k", member=requests.member("m1"), identifier=members.identifier("token", "t" * 16)
            ),
            {"valid_until_ms"},
        ),
        (
            member_pb2.AddIdentifierRequest(
                idempotency_key="k", member=requests.member("m1"), identifier=types_pb2.Identifier(value="x"), valid_until_ms=1
            ),
            {"identifier.kind", "valid_until_ms"},
        ),
        (
            member_pb2.RemoveIdentifierRequest(idempotency_key="k", member=requests.member("m1"), identifier_id="nope"),
            {"identifier_id"},
        ),
        (member_pb2.RemoveIdentifierRequest(idempotency_key="k", member=requests.member("m1")), {"identifier"}),
        (
            member_pb2.DonatePointsRequest(idempotency_key="k", member=requests.member("m1"), charity_id="A B"),
            {"charity_id", "points"},
        ),
        (
            member_pb2.MergeMembersRequest(idempotency_key="k", source=requests.member("m1"), target=requests.member("m1")),
            {"target"},
        ),
    ],
)
def test_wrong_fields_are_named(acme: Caller, message: Message, fields: set[str]) -> None:
    """All at once, before the books are asked."""
    method, _ = BOOKINGS[type(message)]

    assert set(refusal(partial(acme.call, method, message)).violations) == fields


@pytest.mark.parametrize("value", ["a@b", "a b@c.de", "@c.de", "a@-c.de", "a@c..de", f"{'a' * 65}@c.de"])
def test_an_address_that_is_none_is_refused(acme: Caller, value: str) -> None:
    """By its field."""
    named = types_pb2.MemberRef(identifier=types_pb2.Identifier(kind=types_pb2.IDENTIFIER_KIND_EMAIL, value=value))

    assert set(refusal(partial(looked_up, acme, named)).violations) == {"member.identifier.value"}


def test_a_filter_that_means_nothing_is_refused(acme: Caller) -> None:
    """By its fields."""
    asked = member_pb2.ListEntriesRequest(
        member=requests.member("m1"), kinds=[types_pb2.ENTRY_KIND_UNSPECIFIED], first_business_date="1 June"
    )

    assert set(refusal(partial(acme.call, requests.LIST_ENTRIES, asked)).violations) == {"kinds[0]", "first_business_date"}


def test_a_batch_may_donate(acme: Caller) -> None:
    """As it may transfer."""
    who = enrolled(acme, "BATCH-1")
    book(acme, issue(who, amount("10.00 EUR"), key="batch-1"))
    asked = points_pb2.SubmitBatchRequest()
    asked.commands.add().donate.CopyFrom(members.donate(who, "hope", 4, key="batch-2"))
    method: Method[Any, Any] = Method(
        "/tallystick.v1.PointsService/SubmitBatch", points_pb2.SubmitBatchRequest, points_pb2.SubmitBatchResponse
    )

    (answer,) = acme.call(method, asked).answers

    assert receipt_of(answer.booked).balance_points == 6


def test_all_of_it_is_proved_by_the_books(acme: Caller) -> None:
    """After everything above, receipts included."""
    form = ReceiptForm(encode_receipt, decode_receipt)

    report = audit(acme.gateway.network.engine, full=True, now_ms=acme.gateway.network.now_ms, receipts=form)

    assert report.failures == ()
