"""The tables of the edge are total: every reason has a status, every method a rule."""

import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from gateway.domain.outcome import REMEMBERED, Reason, Refusal
from gateway.edge.caller import METHOD_RULES
from gateway.edge.refused import Violation
from gateway.edge.status import ANSWERS, ERROR_DOMAIN, PUSHBACK_KEY, VIOLATIONS_MAX, rich_status, trailers
from tallystick.v1 import errors_pb2
from tests.shared import published_methods

# Before the books see them: of a gap, nothing is kept; that a kind of command is not allowed is kept with its event.
OF_CHAINS = {Reason.EVENT_GAP, Reason.OFFLINE_NOT_ALLOWED}
# What is sent about settlement is kept by its own id, and never goes to the books: a refusal leaves nothing behind.
OF_INTAKE = {Reason.RECORD_HASH_DIFFERS, Reason.STATEMENT_HASH_DIFFERS, Reason.DISPUTE_NOT_OPEN, Reason.NOT_DISPUTABLE}


def test_every_reason_has_an_answer() -> None:
    """None is forgotten, none invented."""
    assert set(ANSWERS) == set(Reason)


def test_reasons_are_those_of_the_protos() -> None:
    """Name for name, number for number."""
    published = {name.removeprefix("ERROR_REASON_"): number for name, number in errors_pb2.ErrorReason.items() if number}

    assert {reason.name: reason.value for reason in Reason} == published


def test_a_reason_is_remembered_if_and_only_if_it_is_final() -> None:
    """FAILED_PRECONDITION is the one class that time does not cure."""
    final = {reason for reason in Reason if ANSWERS[reason].code is StatusCode.FAILED_PRECONDITION}

    assert final == REMEMBERED | OF_CHAINS | OF_INTAKE


def test_a_caller_is_told_when_to_come_again_only_where_time_helps() -> None:
    """Never after a final refusal or a wrong request."""
    codes = {answered.code for answered in ANSWERS.values() if answered.retry_ms is not None}

    assert codes == {StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE, StatusCode.ABORTED}


def test_every_method_of_the_protos_has_a_rule() -> None:
    """A method without one would be served to anybody."""
    assert set(published_methods()) == set(METHOD_RULES)


def test_only_the_network_service_needs_no_signature() -> None:
    """Its one method tells what a till needs before it can sign."""
    assert [path for path, rule in METHOD_RULES.items() if not rule.scopes] == ["/tallystick.v1.NetworkService/GetNetwork"]


@pytest.mark.parametrize("reason", Reason)
def test_a_rich_status_says_the_same_as_the_plain_one(reason: Reason) -> None:
    """And stays small, however many fields are wrong."""
    violations = [Violation(f"commands[{index}].member.member_id", "INVALID_FORMAT", "x" * 60) for index in range(500)]

    code, sentence, packed = rich_status(Refusal(reason, {"fact": "1"}), violations=violations)

    status = status_pb2.Status.FromString(packed)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert (status.code, status.message) == (code.value[0], sentence)
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad)
    assert (info.reason, info.domain, dict(info.metadata)) == (reason.name, ERROR_DOMAIN, {"fact": "1"})
    assert len(bad.field_violations) == VIOLATIONS_MAX
    assert len(packed) < 4096


def test_a_cap_is_told_as_a_quota() -> None:
    """Programs that know google.rpc understand it without knowing us."""
    status = status_pb2.Status.FromString(rich_status(Refusal(Reason.NET_DEBIT_CAP_EXCEEDED))[2])
    quota = error_details_pb2.QuotaFailure()

    assert status.details[1].Unpack(quota)
    assert quota.violations[0].subject == "net debit cap"


@pytest.mark.parametrize("reason", Reason)
def test_retries_that_grpc_makes_by_itself_are_told_what_the_rich_status_tells(reason: Reason) -> None:
    """A delay where time helps; never, where only the code looks as if it did."""
    answered = ANSWERS[reason]
    told = dict(trailers(reason, b"")).get(PUSHBACK_KEY)

    if answered.retry_ms is not None:
        assert told == str(answered.retry_ms)
    else:
        assert told == ("-1" if answered.code is StatusCode.RESOURCE_EXHAUSTED else None)
