"""Fingerprints: an honest retry has the same, everything else another, in every version of the gateway."""

from dataclasses import replace

import pytest

from gateway.domain.command import AmountAsked, Command, Enrol, Issue, MemberRef, Redeem, Reverse, Transfer

CARD = MemberRef(card_hash="ab" * 32)
EUR = AmountAsked("EUR", 2340)

ISSUE = Issue(partner_id="acme", key_id="acme/till-1/2026a", idempotency_key="k-1", member=CARD, eligible=EUR)
REDEEM = Redeem(partner_id="acme", key_id="acme/till-1/2026a", idempotency_key="k-1", member=CARD, points=700)
REVERSE = Reverse(partner_id="acme", key_id="acme/till-1/2026a", idempotency_key="k-1", original_entry_id="e" + "a" * 32)
TRANSFER = Transfer(
    partner_id="acme",
    key_id="acme/till-1/2026a",
    idempotency_key="k-1",
    source=CARD,
    target=MemberRef(member_id="m2"),
    points=5,
)
ENROL = Enrol(partner_id="acme", key_id="acme/till-1/2026a", idempotency_key="k-1", card_hash="ab" * 32)

GOLDEN = [
    pytest.param(ENROL, "58ac91732dcd8a0c3b49427f86bb2cd591b3d5c26461d3bda10a18e4c2b2c602", id="enrol"),
    pytest.param(ISSUE, "870e0b62bbb52675cf7a48ca7bc89c21f88a8cf9324798c76a8c670b4a1fc721", id="issue"),
    pytest.param(
        replace(ISSUE, occurred_at_ms=1784980800000, receipt_number="42", offer_id="summer", rate_card_version=3),
        "06f5b4ea19cea263ef42ef8461ec892c3d87ebeb11a773a71361b0f7e76a9a2e",
        id="issue with all its fields",
    ),
    pytest.param(REDEEM, "ff473bb70fefa6ab421fff2b210bf9c2a88ebd70566c53c21c6355ab10af24c2", id="redeem points"),
    pytest.param(
        replace(REDEEM, points=None, up_to_value=EUR),
        "9c523b40979fbf76978697b931889be9b73402b3156d1cc3e09a9c8ef76b85be",
        id="redeem up to a value",
    ),
    pytest.param(REVERSE, "480ac027cbfd16af39062be7fa0de369a44ba9133b40e98c3c3ff6aa2e70533e", id="reverse"),
    pytest.param(
        replace(REVERSE, eligible=EUR), "41287217f5bb4a9d6a4ce8a0f80b827a5cb16eb01cacf3b634459cb6e209d9d4", id="reverse a part"
    ),
    pytest.param(TRANSFER, "0d5de608f5b22e500624e4e6ccfc61f9efbffd2d8d9faff3826858e2c6234256", id="transfer"),
]


@pytest.mark.parametrize(("command", "fingerprint"), GOLDEN)
def test_a_fingerprint_never_changes(command: Command, fingerprint: str) -> None:
    """A retry may arrive at a newer gateway than the one that booked the first."""
    assert command.fingerprint().hex() == fingerprint


def test_all_the_golden_fingerprints_differ() -> None:
    """Each says something else."""
    assert len({case.values[1] for case in GOLDEN}) == len(GOLDEN)


@pytest.mark.parametrize("command", [ENROL, ISSUE, REDEEM, REVERSE, TRANSFER])
def test_a_retry_with_another_key_of_the_partner_is_the_same_command(command: Command) -> None:
    """A till that was replaced, or whose key was rotated, asks the same again."""
    assert replace(command, key_id="acme/till-9/2027b").fingerprint() == command.fingerprint()


@pytest.mark.parametrize("command", [ENROL, ISSUE, REDEEM, REVERSE, TRANSFER])
def test_the_idempotency_key_is_no_part_of_the_fingerprint(command: Command) -> None:
    """It is what the fingerprint is kept under."""
    assert replace(command, idempotency_key="k-2").fingerprint() == command.fingerprint()


@pytest.mark.parametrize(
    "changed",
    [
        replace(ISSUE, eligible=AmountAsked("EUR", 2341)),
        replace(ISSUE, eligible=AmountAsked("USD", 2340)),
        replace(ISSUE, member=MemberRef(card_hash="ac" * 32)),
        replace(ISSUE, member=MemberRef(member_id="ab" * 32)),
        replace(ISSUE, occurred_at_ms=1784980800000),
        replace(ISSUE, occurred_at_ms=0),
        replace(ISSUE, receipt_number="42"),
        replace(ISSUE, offer_id="42"),
        replace(ISSUE, rate_card_version=1),
    ],
)
def test_whatever_the_caller_asks_is_part_of_the_fingerprint(changed: Issue) -> None:
    """An optional field that is given differs from one that is left out, also if it says what the default would."""
    assert changed.fingerprint() != ISSUE.fingerprint()


def test_the_same_value_in_two_optional_fields_makes_two_fingerprints() -> None:
    """A value counts under its name."""
    assert replace(ISSUE, receipt_number="42").fingerprint() != replace(ISSUE, offer_id="42").fingerprint()


def test_the_method_is_part_of_the_fingerprint() -> None:
    """The same key under another method is another command, even if all the fields agree."""

    class Other(Reverse):
        METHOD = "OtherMethod"

    other = Other(partner_id="acme", key_id=REVERSE.key_id, idempotency_key="k-1", original_entry_id=REVERSE.original_entry_id)

    assert other.fingerprint() != REVERSE.fingerprint()


def test_source_and_target_cannot_be_exchanged() -> None:
    """A transfer back is no repeat of the transfer."""
    assert replace(TRANSFER, source=TRANSFER.target, target=TRANSFER.source).fingerprint() != TRANSFER.fingerprint()


def test_a_command_knows_its_entry_before_it_is_booked() -> None:
    """By partner and key alone."""
    assert replace(ISSUE, key_id="acme/till-9/2027b", eligible=AmountAsked("EUR", 1)).entry_id == ISSUE.entry_id
    assert replace(ISSUE, idempotency_key="k-2").entry_id != ISSUE.entry_id
