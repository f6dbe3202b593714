"""Who members are: identifiers, provisional members, pauses, donations, and erased identities; both engines."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from gateway.domain.command import Command, Enrol, MemberRef
from gateway.domain.entry import EntryKind
from gateway.domain.identifiers import IDENTIFIERS_MAX, Identifier, IdentifierKind
from gateway.domain.ids import member_id
from gateway.domain.member import MemberStatus
from gateway.domain.outcome import Reason
from gateway.domain.receipt import Answer
from gateway.storage.tables import entries, member_identifiers, members, outcomes, totals
from tests.given import at
from tests.ledger.books import NOON, Books, audited, card, refusal_of

PHONE, EMAIL, TOKEN, QR = IdentifierKind.PHONE, IdentifierKind.EMAIL, IdentifierKind.TOKEN, IdentifierKind.QR
TOMORROW = at("2026-06-06")


def by(name: str) -> MemberRef:
    """A member by an identifier that is no card."""
    return MemberRef(identifier_hash=name)


def provisional(name: str, *, language: str | None = None) -> Enrol:
    """The enrolment of a provisional member by phone."""
    return Enrol(
        partner_id="alpha",
        key_id="alpha/till-1/1",
        idempotency_key=f"enrol-{name}",
        identifier=Identifier(PHONE, name),
        provisional=True,
        language=language,
    )


def named(command: Any, member: MemberRef) -> Any:
    """The same command, naming its member in another way."""
    return replace(command, member=member)


def standing(books: Books, name: str) -> tuple[int, int, str]:
    """Status, pause and language of the member that was enrolled as `name`."""
    found = select(members.c.status, members.c.is_paused, members.c.language)
    status, is_paused, language = books.rows(found.where(members.c.member_id == member_id("alpha", f"enrol-{name}")))[0]
    return status, is_paused, language


def test_an_added_identifier_names_the_member(books: Books) -> None:
    """Whichever the till has."""
    books.book(books.add("ann", PHONE, "phone-1", tail="678"))

    receipt = books.book(named(books.issue("ann", "100.00"), by("phone-1")))

    assert receipt.balance_points == 50
    assert receipt.member_id == books.id_of("ann").member_id
    assert audited(books) == ()


def test_an_identifier_that_was_just_added_finds_points_to_redeem(books: Books) -> None:
    """In the same batch."""
    books.book(books.issue("ann", "100.00"))

    results = books.run(books.add("ann", EMAIL, "mail-1"), named(books.redeem("ann", 30), by("mail-1")))

    assert [result.refusal for result in results if isinstance(result, Answer)] == [None, None]
    assert books.balance("ann") == (20, 0)
    assert audited(books) == ()


def test_an_identifier_belongs_to_one_member(books: Books) -> None:
    """Also a card, and also where it is the member's own."""
    books.book(books.add("ann", PHONE, "phone-1"))

    assert books.refused(books.add("ben", PHONE, "phone-1")) is Reason.IDENTIFIER_TAKEN
    assert books.refused(books.add("ann", PHONE, "phone-1")) is Reason.IDENTIFIER_TAKEN
    assert books.refused(books.add("ben", IdentifierKind.CARD, "ann")) is Reason.IDENTIFIER_TAKEN
    assert books.refused(provisional("phone-1")) is Reason.IDENTIFIER_TAKEN


def test_a_member_has_so_many_identifiers_and_no_more(books: Books) -> None:
    """One limit, on both sides of it."""
    books.run(*(books.add("ann", QR, f"qr-{number}") for number in range(IDENTIFIERS_MAX - 1)))

    refused = refusal_of(books.run(books.add("ann", QR, "one-too-many"))[0])

    assert refused.reason is Reason.BALANCE_LIMIT
    assert refused.details == {"identifiers_max": str(IDENTIFIERS_MAX)}
    assert len(books.rows(select(member_identifiers).where(member_identifiers.c.member_id == books.id_of("ann").member_id))) == 20


def test_a_removed_identifier_may_go_to_somebody_else(books: Books) -> None:
    """Even in the same batch; the old member is not found by it any more."""
    books.book(books.add("ann", PHONE, "phone-1"))

    books.run(books.remove("ann", "phone-1"), books.add("ben", PHONE, "phone-1"))

    assert books.book(named(books.issue("ben", "2.00"), by("phone-1"))).member_id == books.id_of("ben").member_id
    assert audited(books) == ()


def test_the_last_lasting_identifier_stays(books: Books) -> None:
    """A one-time token is none."""
    books.book(books.add("ann", TOKEN, "token-1", valid_until_ms=TOMORROW))

    assert books.refused(books.remove("ann", "ann")) is Reason.LAST_IDENTIFIER
    assert books.refused(books.remove("ann", "phone-9")) is Reason.IDENTIFIER_NOT_FOUND
    assert books.refused(books.remove("ann", "ben")) is Reason.IDENTIFIER_NOT_FOUND


def test_the_first_booking_that_names_a_token_uses_it_up(books: Books) -> None:
    """The second, in the same batch, is refused; a repeat of the first is answered again."""
    books.book(books.add("ann", TOKEN, "token-1", valid_until_ms=TOMORROW))
    first, second = (named(books.issue("ann", amount), by("token-1")) for amount in ("10.00", "20.00"))

    booked, refused = books.run(first, second)

    assert refusal_of(refused).reason is Reason.TOKEN_USED_OR_EXPIRED
    (again,) = books.run(first)
    assert isinstance(booked, Answer)
    assert isinstance(again, Answer)
    assert (again.receipt, again.is_replayed) == (booked.receipt, True)
    assert books.rows(select(member_identifiers.c.used_by).where(member_identifiers.c.kind == "token")) == [(first.entry_id,)]
    assert audited(books) == ()


def test_a_hold_and_its_checkout_may_name_one_token(books: Books) -> None:
    """A till has scanned it once, and captures what it has set aside."""
    books.book(books.issue("ann", "1000.00"))
    books.book(books.add("ann", TOKEN, "token-1", valid_until_ms=TOMORROW))
    hold = named(books.place("ann", 40), by("token-1"))
    books.book(hold)

    books.book(named(books.checkout("ann", "0.40", partner="bravo", hold=hold), by("token-1")))

    assert books.refused(named(books.place("ann", 1), by("token-1"))) is Reason.TOKEN_USED_OR_EXPIRED
    assert audited(books) == ()


def test_a_token_is_over_when_its_time_is(books: Books) -> None:
    """Through its last millisecond it is not; and none is added whose time is over."""
    books.book(books.add("ann", TOKEN, "token-1", valid_until_ms=NOON + 5))
    books.now_ms = NOON + 6

    assert books.refused(named(books.issue("ann", "10.00"), by("token-1"))) is Reason.TOKEN_USED_OR_EXPIRED
    assert books.refused(books.add("ann", TOKEN, "token-2", valid_until_ms=NOON + 5)) is Reason.TOKEN_USED_OR_EXPIRED


def test_a_new_token_takes_the_place_of_the_old_one(books: Books) -> None:
    """So that they do not pile up."""
    for number in range(3):
        books.book(books.add("ann", TOKEN, f"token-{number}", valid_until_ms=TOMORROW + number))

    kept = books.rows(select(member_identifiers.c.identifier_hash).where(member_identifiers.c.kind == "token"))

    assert kept == [("token-2",)]
    assert books.refused(named(books.issue("ann", "1.00"), by("token-1"))) is Reason.MEMBER_NOT_FOUND
    assert audited(books) == ()


def test_a_provisional_member_gets_points_and_gives_none(books: Books) -> None:
    """Until it is confirmed; the refusals are not remembered."""
    books.book(provisional("pat", language="fr"))
    pat = by("pat")
    books.book(named(books.issue("pat", "100.00"), pat))
    redeem, hold = named(books.redeem("pat", 10), pat), named(books.place("pat", 5), pat)
    asked = [redeem, hold, replace(books.transfer("pat", "ben", 5), source=pat)]

    assert [books.refused(command) for command in asked] == [Reason.MEMBER_PROVISIONAL] * 3
    assert standing(books, "pat") == (MemberStatus.PROVISIONAL, 0, "fr")
    books.book(named(books.confirm("pat"), pat))
    assert standing(books, "pat") == (MemberStatus.ACTIVE, 0, "fr")
    assert [books.book(command).points for command in asked] == [-10, 0, -5]
    assert audited(books) == ()


def test_confirming_twice_is_refused_unless_the_language_changes(books: Books) -> None:
    """A language is set by the same call."""
    assert books.refused(books.confirm("ann")) is Reason.MEMBER_NOT_PROVISIONAL

    books.book(books.confirm("ann", "de"))

    assert standing(books, "ann") == (MemberStatus.ACTIVE, 0, "de")
    assert audited(books) == ()


def test_a_paused_member_gives_nothing_and_gets_what_comes(books: Books) -> None:
    """Issues and refunds go on; the refusal is not remembered."""
    bought, paid = books.issue("ann", "100.00"), books.redeem("ann", 10)
    books.run(bought, paid, books.pause("ann"))
    asked = books.redeem("ann", 5)

    assert books.refused(asked) is Reason.SPENDING_PAUSED
    assert books.refused(books.donate("ann", 5, charity="delta")) is Reason.NOT_A_CHARITY
    assert books.book(books.issue("ann", "10.00")).balance_points == 45
    assert books.book(books.reverse(paid)).balance_points == 55
    assert books.book(books.reverse(bought)).balance_points == 5
    books.book(books.resume("ann"))
    assert books.book(asked).balance_points == 0
    assert audited(books) == ()


def test_a_donation_is_a_redemption_at_the_charity(books: Books) -> None:
    """At its face value and card, whoever's till it is; the issuers of the lots owe the charity."""
    books.network.onboard("hope", {}, roles="charity", face_value="0.50", reimbursement_rate="0.80", issue_price="0")
    books.run(books.issue("ann", "100.00"), books.issue("ann", "30.00", partner="bravo"))

    receipt = books.book(books.donate("ann", 60))

    assert (receipt.kind, receipt.points, receipt.unit, receipt.amount) == (EntryKind.DONATE, -60, "EUR", 30)
    owed = select(totals.c.issuer_id, totals.c.counterparty_id, totals.c.points).where(totals.c.counterparty_id == "hope")
    assert sorted(map(tuple, books.rows(owed))) == [("alpha", "hope", 50), ("bravo", "hope", 10)]
    assert books.refused(books.donate("ann", 100)) is Reason.INSUFFICIENT_POINTS
    assert books.refused(books.donate("ann", 1, charity="nobody")) is Reason.NOT_A_CHARITY
    assert audited(books) == ()


def test_an_erased_member_keeps_its_points_and_nothing_else(books: Books) -> None:
    """Nothing new is booked for it, what was booked before may come back, and the identifiers are free."""
    bought = books.issue("ann", "100.00")
    books.run(bought, books.add("ann", PHONE, "phone-1", tail="678"), books.confirm("ann", "de"))

    books.book(books.erase("ann"))

    assert standing(books, "ann") == (MemberStatus.ERASED, 0, "")
    gone = named(books.issue("ann", "1.00"), books.id_of("ann"))
    assert books.refused(gone) is Reason.MEMBER_ERASED
    assert books.refused(books.erase(books.id_of("ann"))) is Reason.MEMBER_ERASED
    assert books.refused(books.issue("ann", "1.00")) is Reason.MEMBER_NOT_FOUND
    assert books.book(books.reverse(bought, amount="20.00")).balance_points == 40
    books.book(books.add("ben", PHONE, "phone-1"))
    assert books.expire("2027-07-01") == 40
    assert audited(books) == ()


def test_an_erased_identity_is_in_no_row_any_more(books: Books) -> None:
    """Not even as the keyed hash."""
    books.run(books.add("ann", PHONE, "phone-1", tail="678"), books.erase("ann"))

    everything = repr(books.contents())

    assert "phone-1" not in everything
    assert "'ann'" not in everything


@pytest.mark.parametrize("kind", ["pause", "resume", "erase"])
def test_a_change_is_booked_once_a_key(books: Books, kind: str) -> None:
    """The same command again gets the same receipt, and books nothing."""
    command: Command = getattr(books, kind)("ben")
    first = books.book(command)

    again = books.run(command)[0]

    assert isinstance(again, Answer)
    assert books.receipts.by_bytes[again.receipt] == first
    assert len(books.rows(select(entries).where(entries.c.kind == first.kind))) == 1


def test_a_member_that_is_not_there_can_be_no_part_of_anything(books: Books) -> None:
    """Every call says so alike."""
    asked = [books.pause("eve"), books.resume("eve"), books.erase("eve"), books.confirm("eve"), books.merge("eve", "ann")]

    assert {books.refused(command) for command in asked} == {Reason.MEMBER_NOT_FOUND}
    assert books.refused(books.merge("ann", "eve")) is Reason.MEMBER_NOT_FOUND
    assert books.refused(books.add("eve", PHONE, "phone-1")) is Reason.MEMBER_NOT_FOUND
    assert card("eve") == MemberRef(card_hash="eve")


def test_a_tills_receipt_names_the_members_language_and_others_do_not(books: Books) -> None:
    """As it was when it was booked; an erased member has none."""
    sale = books.checkout("ann", "20.00")
    books.book(books.confirm("ann", "de"))

    assert books.book(sale).language == "de"
    assert books.book(books.issue("ann", "20.00")).language == ""
    books.book(books.erase("ann"))
    assert books.book(books.refund(sale)).language == ""
    assert audited(books) == ()


def test_a_receipt_in_another_language_than_the_members_is_found(books: Books) -> None:
    """The audit knows it from the entries."""
    books.book(books.confirm("ann", "de"))
    sale = books.checkout("ann", "20.00")
    receipt = books.book(sale)
    encoded = books.receipts.encode(replace(receipt, language="fr"))
    with books.network.engine.begin() as connection:
        connection.execute(update(outcomes).where(outcomes.c.entry_id == sale.entry_id).values(receipt=encoded))

    (failure,) = audited(books)

    assert "receipt's language" in str(failure)
