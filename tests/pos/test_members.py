"""The till's calls about members against the gateway itself."""

import asyncio
from collections.abc import Iterator

import pytest

from partners.pos.errors import PosError, Refused
from partners.pos.requests import amount, batch, card, member
from partners.pos.requests_members import confirm, entries, identified, identifier, remove_identifier
from partners.pos.till import AsyncTill, Till
from tallystick.v1 import member_pb2, types_pb2
from tests.pos.coalition import Coalition, running_coalition


@pytest.fixture(scope="module")
def coalition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coalition]:
    """A bookshop that issues two points a euro, over TLS."""
    with running_coalition(tmp_path_factory.mktemp("coalition"), {"books": ("2", "1.10")}) as running:
        yield running


@pytest.fixture
def till(coalition: Coalition) -> Iterator[Till]:
    """Of the bookshop, whose key is for tills and for the office."""
    with Till.open(coalition.profiles["books"]) as opened:
        yield opened


def test_a_member_from_the_till_to_the_end(till: Till) -> None:
    """Enrolled provisionally by phone, confirmed, found by a second identifier, paused, and erased."""
    phone = identifier("phone", "+4915112345678")
    made = till.enrol(phone, key="m-1", provisional=True, language="fr")
    who = member(made.receipt.member_id)
    till.issue(who, amount("10.00 EUR"), key="m-2")
    with pytest.raises(Refused, match="MEMBER_PROVISIONAL"):
        till.redeem(who, 5, key="m-3")
    till.confirm(who, key="m-4", language="de")
    till.add_identifier(who, identifier("email", "Ann@Example.com"), key="m-5")
    till.redeem(identified("email", "ann@example.com"), 5, key="m-3")
    till.pause(who, key="m-6")
    till.resume(who, key="m-7")
    found = till.look_up(who)

    assert (found.language, found.balance_points, [one.masked for one in found.identifiers]) == ("de", 15, ["…678", "…@…"])
    till.remove_identifier(who, found.identifiers[1].identifier_id, key="m-8")
    till.erase(who, key="m-9")
    assert till.look_up(who).status == member_pb2.MEMBER_STATUS_ERASED


def test_two_members_become_one_and_the_till_reads_all_of_it(till: Till) -> None:
    """Lots, entries and the export come page by page, and are handed over whole."""
    ids = [till.enrol(f"TWO-{number}", key=f"two-{number}").receipt.member_id for number in range(2)]
    for number in range(3):
        till.issue(card("TWO-0"), amount("5.00 EUR"), key=f"two-issue-{number}", receipt_number=f"N-{number}")

    till.merge(card("TWO-0"), card("TWO-1"), key="two-merge")

    assert till.look_up(member(ids[0])).member_id == ids[1]
    assert [lot.points for lot in till.lots(card("TWO-0")).lots] == [10, 10, 10]
    assert [one.receipt_number for one in till.entries(card("TWO-1"), kinds=["issue"])] == ["N-0", "N-1", "N-2"]
    assert [one.receipt_number for one in till.entries(card("TWO-1"), receipt_number="N-1")] == ["N-1"]
    assert b"TWO" not in b"".join(till.export(card("TWO-1")))


def test_the_async_till_has_the_same_calls(coalition: Coalition) -> None:
    """One of each sort."""

    async def call() -> member_pb2.LookUpMemberResponse:
        async with AsyncTill.open(coalition.profiles["books"]) as till:
            await till.enrol("ASYNC-1", key="async-1")
            await till.add_identifier(card("ASYNC-1"), identifier("qr", "QR-ASYNC-1"), key="async-2")
            return await till.look_up(identified("qr", "QR-ASYNC-1"))

    assert len(asyncio.run(call()).identifiers) == 2


@pytest.mark.parametrize(
    ("kind", "value"), [("phone", "0151 1234"), ("email", "nobody"), ("fax", "+4915112345678"), ("token", "short")]
)
def test_an_identifier_that_is_none_is_found_before_it_is_sent(kind: str, value: str) -> None:
    """With a sentence that says the form."""
    with pytest.raises(PosError, match="must be"):
        identifier(kind, value)


def test_what_means_nothing_is_found_before_it_is_sent() -> None:
    """A language, a kind of entry, an id of an identifier, a command that goes into no batch."""
    who = types_pb2.MemberRef(member_id="m1")

    with pytest.raises(PosError, match="language 'Italian'"):
        confirm(who, key="k", language="Italian")
    with pytest.raises(PosError, match="kind of entry"):
        entries(who, kinds=["sale"])
    with pytest.raises(PosError, match="identifier id"):
        remove_identifier(who, "nope", key="k")
    with pytest.raises(PosError, match="ConfirmMember does not go by batch"):
        batch([confirm(who, key="k")])
