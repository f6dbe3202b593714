"""The shape of messages: what is refused before the books are asked, and how each wrong field is named."""

from collections.abc import Iterable
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from grpc import StatusCode

from partners.pos.requests import (
    ANSWER_DISPUTE,
    ENROL,
    GET_BALANCE,
    GET_ENTRY,
    ISSUE,
    LIST_ENTRIES,
    METHODS,
    OPEN_DISPUTE,
    REDEEM,
    REVERSE,
    SUBMIT_BATCH,
    TRANSFER,
    Method,
)
from partners.pos.requests_office import answer_dispute, open_dispute
from tallystick.v1 import errors_pb2, member_pb2, points_pb2, types_pb2
from tests.edge.running import Caller, Seen, issue_request, receipt_of, refusal

MEMBER = types_pb2.MemberRef(member_id="m1")
INT64_MAX = 2**63 - 1


def refused_bytes(caller: Caller, path: str, body: bytes) -> Seen:
    """What signed bytes are refused with."""
    return refusal(lambda: caller.send(path, body, caller.metadata(path, body)))


def invalid(caller: Caller, method: Method[Any, Any], message: Message) -> dict[str, str]:
    """The violations of a message that is refused for its fields."""
    got = refusal(lambda: caller.call(method, message))
    assert (got.code, got.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")
    return got.violations


def redeem_request(**fields: Any) -> points_pb2.RedeemPointsRequest:
    """A request that is right as it is, but for `fields`."""
    right: dict[str, Any] = {"idempotency_key": "k1", "member": MEMBER, "points": 1}
    return points_pb2.RedeemPointsRequest(**(right | fields))


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"\x0a\x7fshort", bytes(1000)])
def test_signed_garbage_is_malformed(acme: Caller, body: bytes) -> None:
    """The caller is proven, its bytes are no message."""
    got = refused_bytes(acme, ISSUE.path, body)

    assert (got.code, got.reason, got.violations) == (StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE", {"$": "MALFORMED"})


def test_a_text_that_is_not_utf8_is_malformed(acme: Caller) -> None:
    """proto3 strings are UTF-8."""
    got = refused_bytes(acme, ISSUE.path, b"\x0a\x02\xc3\x28")

    assert (got.code, got.reason) == (StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE")


def test_unknown_fields_are_refused_by_their_numbers_at_every_depth(acme: Caller) -> None:
    """A newer till would otherwise believe that its new field was obeyed."""
    unknown = b"\xf8\x07\x01"  # field 127, varint 1
    inner = MEMBER.SerializeToString() + unknown
    message = issue_request("m1", 100, "k1")
    message.ClearField("member")
    body = message.SerializeToString() + b"\x12" + bytes((len(inner),)) + inner + unknown

    got = refused_bytes(acme, ISSUE.path, body)

    assert (got.code, got.reason) == (StatusCode.INVALID_ARGUMENT, "UNKNOWN_FIELDS")
    assert got.violations == {"127": "UNKNOWN_FIELD", "member.127": "UNKNOWN_FIELD"}


def test_unknown_fields_of_a_command_in_a_batch_are_named_with_its_index(acme: Caller) -> None:
    """The whole batch is refused: its signature covers a message that the gateway does not understand."""
    unknown = b"\xf8\x07\x01"
    command = points_pb2.Command(issue=issue_request("m1", 100, "k1")).SerializeToString() + unknown
    body = b"\x0a" + bytes((len(command),)) + command

    assert refused_bytes(acme, SUBMIT_BATCH.path, body).violations == {"commands[0].127": "UNKNOWN_FIELD"}


@pytest.mark.parametrize(
    ("method", "required"),
    [
        (ISSUE, {"idempotency_key", "member", "eligible"}),
        (REDEEM, {"idempotency_key", "member", "points"}),
        (REVERSE, {"idempotency_key", "entry_id"}),
        (ENROL, {"idempotency_key", "card_number"}),
        (TRANSFER, {"idempotency_key", "source", "target", "points"}),
        (GET_BALANCE, {"member"}),
        (GET_ENTRY, {"entry_id"}),
        (SUBMIT_BATCH, {"commands"}),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_an_empty_message_is_told_every_field_that_is_required(
    acme: Caller, method: Method[Any, Any], required: set[str]
) -> None:
    """All of them at once."""
    assert set(invalid(acme, method, method.request())) == required


@pytest.mark.parametrize("points", [0, -1, 1_000_000_001, INT64_MAX, -INT64_MAX - 1])
def test_points_out_of_range_are_refused(acme: Caller, points: int) -> None:
    """1 to a milliard."""
    assert invalid(acme, REDEEM, redeem_request(points=points)) == {"points": "OUT_OF_RANGE: 1 to 1000000000"}


@pytest.mark.parametrize("points", [1, 1_000_000_000])
def test_points_at_both_ends_of_the_range_reach_the_books(acme: Caller, points: int) -> None:
    """They are refused there for another reason."""
    assert refusal(lambda: acme.call(REDEEM, redeem_request(points=points))).reason == "MEMBER_NOT_FOUND"


@pytest.mark.parametrize("cents", [-1, 1_000_000_000_001, INT64_MAX])
def test_amounts_out_of_range_are_refused(acme: Caller, cents: int) -> None:
    """1 to a billion of the smallest units."""
    assert invalid(acme, ISSUE, issue_request("m1", cents, "k1")) == {"eligible.minor_units": "OUT_OF_RANGE: 1 to 1000000000000"}


@pytest.mark.parametrize(
    "member_id",
    ["m\n1", "m\u202e1", "m" * 65, "m" * 10_000, "м1", "M1", "m 1"],
    ids=["control", "bidi", "65 characters", "10 kB", "Cyrillic homoglyph", "upper case", "blank"],
)
def test_a_member_id_of_another_form_is_refused(acme: Caller, member_id: str) -> None:
    """Lower-case ASCII letters, digits, _ and -."""
    got = invalid(acme, ISSUE, issue_request(member_id, 100, "k1"))

    assert got == {"member.member_id": "INVALID_FORMAT: 1 to 64 characters of [a-z0-9_-]"}


@pytest.mark.parametrize("card", ["123", "1" * 33, "12 34", "1234\n", "’1234"])
def test_a_card_number_of_another_form_is_refused(acme: Caller, card: str) -> None:
    """What scanners and keyboards add is not taken for a part of the number."""
    got = invalid(acme, ENROL, member_pb2.EnrolMemberRequest(idempotency_key="k1", card_number=card))

    assert got == {"card_number": "INVALID_FORMAT: 4 to 32 characters of [A-Za-z0-9-]"}


def test_an_unknown_value_of_an_enum_is_refused(acme: Caller) -> None:
    """By its field, in each of the places in which requests have one."""
    enums = {field.full_name for method in METHODS for field in fields_within(method.request.DESCRIPTOR)}
    assert enums == {
        "tallystick.v1.Identifier.kind",
        "tallystick.v1.ListEntriesRequest.kinds",
        "tallystick.v1.OpenDisputeRequest.reason",
        "tallystick.v1.AnswerDisputeRequest.answer",
    }
    identifier = types_pb2.Identifier(value="x")
    setattr(identifier, "kind", 99)  # noqa: B010 - a number that the type checker knows to be none
    asked = member_pb2.ListEntriesRequest(member=MEMBER)
    asked.kinds.extend([99])  # type: ignore[list-item] # as above

    named = invalid(acme, GET_BALANCE, member_pb2.GetBalanceRequest(member=types_pb2.MemberRef(identifier=identifier)))
    assert named == {"member.identifier.kind": "UNSUPPORTED: card, phone, email, QR or token"}
    assert invalid(acme, LIST_ENTRIES, asked) == {"kinds[0]": "UNSUPPORTED: a kind of entry"}
    dispute = open_dispute(1, 1, reason="other", evidence="x", deadline="2026-07-15")
    setattr(dispute, "reason", 99)  # noqa: B010 - as above
    answer = answer_dispute("d1", "accept")
    setattr(answer, "answer", 99)  # noqa: B010 - as above
    assert invalid(acme, OPEN_DISPUTE, dispute) == {"reason": "UNSUPPORTED: a reason of this version"}
    assert invalid(acme, ANSWER_DISPUTE, answer) == {"answer": "UNSUPPORTED: an answer of this version"}


def fields_within(descriptor: Descriptor) -> Iterable[FieldDescriptor]:
    """Enum fields of a message and of those inside it."""
    for field in descriptor.fields:
        if field.enum_type is not None:
            yield field
        if field.message_type is not None:
            yield from fields_within(field.message_type)


@pytest.mark.parametrize("unit", ["XXX", "eur", "globex:star", "a:b:c", "€"])
def test_a_unit_that_does_not_exist_is_refused(acme: Caller, unit: str) -> None:
    """Before any rate card is asked."""
    message = issue_request("m1", 100, "k1")
    message.eligible.unit = unit

    assert invalid(acme, ISSUE, message)["eligible.unit"].startswith("UNSUPPORTED")


def test_a_unit_of_another_programme_is_refused(acme: Caller) -> None:
    """It exists, and the caller's rate card has no rate for it."""
    member_id = acme.enrol("UNIT-1")
    message = issue_request(member_id, 100, "unit-1")
    message.eligible.unit = "globex:STAR"

    got = refusal(lambda: acme.call(ISSUE, message))

    assert (got.code, got.reason) == (StatusCode.INVALID_ARGUMENT, "UNIT_UNSUPPORTED")
    assert got.violations["unit"].startswith("UNSUPPORTED")


@pytest.mark.parametrize("key", ["", "k" * 65, "k 1", "k\u20601", "ключ"])
def test_an_idempotency_key_of_another_form_is_refused(acme: Caller, key: str) -> None:
    """Missing, too long, or of other characters."""
    assert set(invalid(acme, ISSUE, issue_request("m1", 100, key))) == {"idempotency_key"}


@pytest.mark.parametrize("at_ms", [0, -1, 1, 946_684_799_999, 4_102_444_800_001, INT64_MAX])
def test_a_time_in_another_century_is_refused(acme: Caller, at_ms: int) -> None:
    """Seconds, microseconds or a clock that was never set."""
    assert invalid(acme, ISSUE, issue_request("m1", 100, "k1", occurred_at_ms=at_ms)) == {
        "occurred_at_ms": "OUT_OF_RANGE: unix milliseconds"
    }


@pytest.mark.parametrize("number", ["r\n1", "r\u202e1", "r" * 65])
def test_a_receipt_number_that_cannot_be_printed_is_refused(acme: Caller, number: str) -> None:
    """It is for people, in lists and on paper."""
    assert set(invalid(acme, ISSUE, issue_request("m1", 100, "k1", receipt_number=number))) == {"receipt_number"}


def test_all_wrong_fields_are_told_at_once(acme: Caller) -> None:
    """People fix lists, not one line at a time."""
    message = issue_request("M1", -5, "k 1", occurred_at_ms=7, receipt_number="\n", offer_id="ö", rate_card_version=0)

    assert set(invalid(acme, ISSUE, message)) == {
        "idempotency_key",
        "member.member_id",
        "eligible.minor_units",
        "occurred_at_ms",
        "receipt_number",
        "offer_id",
        "rate_card_version",
    }


def test_a_transfer_to_oneself_is_refused(acme: Caller) -> None:
    """It would be two entries that say nothing."""
    message = member_pb2.TransferPointsRequest(idempotency_key="k1", source=MEMBER, target=MEMBER, points=1)

    assert set(invalid(acme, TRANSFER, message)) == {"target"}


def test_a_message_that_names_another_partner_is_refused(acme: Caller) -> None:
    """The partner is the key's; a till that believes otherwise is set up wrongly."""
    got = refusal(lambda: acme.call(ISSUE, issue_request("m1", 100, "k1", partner_id="globex")))

    assert (got.code, got.reason) == (StatusCode.PERMISSION_DENIED, "PARTNER_MISMATCH")


def test_a_message_may_name_its_own_partner(acme: Caller) -> None:
    """It is no part of what is asked: the same key without it is the same command."""
    member_id = acme.enrol("OWN-1")
    first = acme.issue(member_id, 100, "own-1", partner_id="acme")
    second = acme.issue(member_id, 100, "own-1")

    assert (first.receipt, second.replayed) == (second.receipt, True)


@pytest.mark.parametrize("text", ["'; DROP TABLE entries; --", '" OR 1=1 /*', "%_\\", "Ünïcødé 収入印紙"])
def test_characters_that_mean_something_to_sql_are_stored_as_they_are(acme: Caller, text: str) -> None:
    """And come back so."""
    member_id = acme.enrol(f"SQL-{abs(hash(text)) % 10**9}")
    answer = acme.issue(member_id, 100, f"sql-{abs(hash(text))}", receipt_number=text)

    assert receipt_of(answer).receipt_number == text
    assert acme.balance(member_id) == 1


def test_a_batch_of_501_commands_is_refused_whole(acme: Caller) -> None:
    """One more than it may have."""
    request = points_pb2.SubmitBatchRequest(commands=[points_pb2.Command()] * 501)

    got = refusal(lambda: acme.call(SUBMIT_BATCH, request))

    assert (got.code, got.reason, got.facts) == (StatusCode.INVALID_ARGUMENT, "BATCH_TOO_LARGE", {"max": "500"})


def test_a_batch_of_500_commands_is_answered_one_by_one(acme: Caller) -> None:
    """A bad command is refused by itself, and says which field; the others go on."""
    member_id = acme.enrol("BATCH-1")
    commands = [points_pb2.Command(issue=issue_request(member_id, 100, f"batch-{index}")) for index in range(497)]
    commands.insert(1, points_pb2.Command(issue=issue_request(member_id, 0, "batch-0-cents")))
    commands.insert(2, points_pb2.Command())
    commands.insert(3, points_pb2.Command(issue=issue_request(member_id, 100, "batch-other", partner_id="globex")))

    answers = acme.call(SUBMIT_BATCH, points_pb2.SubmitBatchRequest(commands=commands)).answers

    assert [index for index, answer in enumerate(answers) if answer.HasField("refused")] == [1, 2, 3]
    assert [answers[index].refused.reason for index in (1, 2, 3)] == [
        errors_pb2.ERROR_REASON_INVALID_FIELDS,
        errors_pb2.ERROR_REASON_INVALID_FIELDS,
        errors_pb2.ERROR_REASON_PARTNER_MISMATCH,
    ]
    assert [violation.field for violation in answers[1].refused.field_violations] == ["eligible.minor_units"]
    assert [violation.field for violation in answers[2].refused.field_violations] == ["command"]
    assert answers[3].refused.status_code == StatusCode.PERMISSION_DENIED.value[0]
    assert len(answers) == 500
    assert acme.balance(member_id) == 497
