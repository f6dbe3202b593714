"""What partners send about settlement: kept as it was signed, each its own, safe to repeat, within limits."""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from grpc import StatusCode
from sqlalchemy import select, update

from gateway.console import Context
from gateway.domain.intake import RECORDS_UNDER_WAY_MAX, SignedRequest
from gateway.domain.signing import load_verifier
from gateway.storage.directory import load_keys
from gateway.storage.engine import reading, writing
from gateway.storage.reconciliations import load_reconciliations
from gateway.storage.tables_intake import intake, partner_records
from partners.pos.channel import Signer
from partners.pos.till import Till
from settlement.cli import settlement
from tallystick.v1 import reconciliation_pb2 as pb
from tests.edge.running import RunningGateway, refusal
from tests.given import AUDIENCE, KEY_SUFFIX, GivenNetwork, at
from tests.settlement.office import DEADLINE, Office, line_between, proved, served

RECORD = b"idempotency_key,kind,points,business_date\n1,issue,600,2026-06-01\n"


@pytest.fixture
def gateway(month_over: GivenNetwork, tmp_path: Path, new_network_url: Callable[[], str | None]) -> Iterator[RunningGateway]:
    """The netted month, on both engines."""
    with served(month_over.copy(tmp_path / "net", url=new_network_url())) as running:
        yield running


@pytest.fixture
def alpha(gateway: RunningGateway) -> Office:
    """Issued the lots that others redeemed."""
    return Office(gateway, "alpha")


@pytest.fixture
def bravo(gateway: RunningGateway) -> Office:
    """Redeemed them."""
    return Office(gateway, "bravo")


def test_a_record_is_whole_when_its_last_chunk_has_come_whatever_the_order(alpha: Office) -> None:
    """And each chunk may be sent again."""
    half = len(RECORD) // 2
    first = alpha.chunk(RECORD[half:], 2, RECORD)
    again = alpha.chunk(RECORD[half:], 2, RECORD)
    whole = alpha.chunk(RECORD[:half], 1, RECORD)

    assert first == again
    assert (first.received_chunks, first.completed_at_ms) == (1, 0)
    assert (whole.received_chunks, whole.completed_at_ms > 0) == (2, True)
    assert alpha.chunk(RECORD[:half], 1, RECORD) == whole
    assert list(alpha.records().records) == [whole]


def test_a_record_whose_gateway_ended_before_it_was_whole_is_made_whole_by_a_repeat(
    alpha: Office, gateway: RunningGateway
) -> None:
    """All its chunks are there; the books are proved meanwhile."""
    whole = alpha.upload(RECORD)
    with writing(gateway.network.engine) as connection:
        connection.execute(update(partner_records).values(completed_at_ms=0))
    proved(gateway.network)

    assert alpha.chunk(RECORD[: len(RECORD) // 2], 1, RECORD) == whole


def test_settlement_compares_the_records_that_have_come(alpha: Office, gateway: RunningGateway) -> None:
    """Each once; a record with wrong lines is named once, to its partner as well, and the others go on."""
    whole = alpha.upload(RECORD)
    bad = alpha.upload(b"no,columns\n")
    alpha.chunk(b"half", 1, b"never whole")
    context = Context(gateway.network.folder / "tallystick.toml", gateway.network.clock)
    first = CliRunner().invoke(settlement, ["reconcile-records"], obj=context)
    again = CliRunner().invoke(settlement, ["reconcile-records"], obj=context)

    assert "alpha: 1 lines against 8 entries, window 1" in first.stdout
    assert "alpha: 1 lines" not in again.stdout
    assert [one.exit_code for one in (first, again)] == [1, 0]
    assert {one.record_id: one.bad_lines for one in alpha.records().records if one.bad_lines} == {bad.record_id: 1}
    assert "columns that are missing" in first.output
    with reading(gateway.network.engine) as connection:
        assert [run.record_id for run in load_reconciliations(connection)] == [whole.record_id]


def test_a_chunk_that_was_sent_otherwise_is_refused(alpha: Office) -> None:
    """Its content, or how large the record is said to be."""
    alpha.chunk(RECORD[:9], 1, RECORD)
    got = [
        refusal(lambda: alpha.chunk(b"other", 1, RECORD)),
        refusal(lambda: alpha.chunk(RECORD[9:], 2, RECORD, chunks=3)),
        refusal(lambda: alpha.chunk(RECORD[9:], 2, RECORD, total_bytes=5)),
    ]

    assert [(one.code, one.reason) for one in got] == [(StatusCode.ALREADY_EXISTS, "RECORD_CHUNK_DIFFERS")] * 3


@pytest.mark.parametrize("last", [b"short", b"x" * (len(RECORD) - 9), b"x" * 200])
def test_chunks_that_have_not_the_hash_together_are_dropped(alpha: Office, last: bytes) -> None:
    """Too few bytes, others, or too many; then all of it can be sent again."""
    alpha.chunk(RECORD[:9], 1, RECORD)
    got = refusal(lambda: alpha.chunk(last, 2, RECORD))

    assert (got.code, got.reason) == (StatusCode.FAILED_PRECONDITION, "RECORD_HASH_DIFFERS")
    assert list(alpha.records().records) == []
    assert alpha.upload(RECORD).completed_at_ms > 0


def test_records_under_way_are_limited(alpha: Office) -> None:
    """Whoever begins many and ends none fills nobody's disk."""
    for number in range(RECORDS_UNDER_WAY_MAX):
        alpha.chunk(b"x", 1, b"%d" % number * 9)
    got = refusal(lambda: alpha.chunk(b"x", 1, b"one more"))

    assert (got.code, got.reason) == (StatusCode.RESOURCE_EXHAUSTED, "INTAKE_QUOTA_EXCEEDED")
    assert got.facts == {"of": "records under way", "limit": str(RECORDS_UNDER_WAY_MAX)}


@pytest.mark.parametrize(
    ("of", "field"),
    [
        ({"sha256": b"short"}, "sha256"),
        ({"total_bytes": 0}, "total_bytes"),
        ({"total_bytes": 128 * 1024 * 1024 + 1}, "total_bytes"),
        ({"chunks": 0}, "chunks"),
        ({"chunks": 4_097}, "chunks"),
        ({"number": 0}, "number"),
        ({"number": 3}, "number"),
        ({"content": b""}, "content"),
        ({"content": b"x" * (192 * 1024 + 1)}, "content"),
        ({"window_id": 0}, "window_id"),
        ({"window_id": None, "business_date": "01.06.2026"}, "business_date"),
        ({"window_id": None, "business_date": "0001-01-01"}, "business_date"),
        ({"window_id": None, "business_date": "9999-12-31"}, "business_date"),
        ({"window_id": None}, "window_id"),
    ],
)
def test_fields_of_a_chunk_that_are_wrong_are_named(alpha: Office, of: dict[str, object], field: str) -> None:
    """Before anything is kept."""
    got = refusal(lambda: alpha.chunk(RECORD, 1, RECORD, **of))

    assert (got.reason, set(got.violations)) == ("INVALID_FIELDS", {field})


def test_the_largest_chunk_fits_into_a_message(alpha: Office) -> None:
    """192 KiB with all that stands beside it."""
    content = b"x" * (192 * 1024)

    assert alpha.upload(content * 2).completed_at_ms > 0


def test_lists_come_by_pages_newest_first(alpha: Office) -> None:
    """Also where several began in one millisecond."""
    sent = [alpha.upload(RECORD * number).record_id for number in (1, 2, 3)]
    first = alpha.records(page_size=2)
    second = alpha.records(page_size=2, page_token=first.next_page_token)

    assert sorted(one.record_id for page in (first, second) for one in page.records) == sorted(sent)
    assert [len(first.records), len(second.records), second.next_page_token] == [2, 1, ""]


def test_a_statement_is_acknowledged_by_a_signature_over_its_hash(alpha: Office, gateway: RunningGateway) -> None:
    """What is kept proves it to anybody: key, time, nonce, message and signature."""
    made = alpha.acknowledge(alpha.statement().sha256)
    with reading(gateway.network.engine) as connection:
        row = connection.execute(select(intake)).one()
        key = load_keys(connection)[row.key_id]
    signed = SignedRequest(row.method, row.key_id, row.created, row.nonce, row.message, row.signature)

    load_verifier(key.algorithm, key.public_key)(row.signature, signed.signed_string(AUDIENCE))
    assert pb.AcknowledgeStatementRequest.FromString(row.message).statement_sha256 == made.statement_sha256
    assert alpha.acknowledge(alpha.statement().sha256) == made


def test_another_hash_is_not_acknowledged(alpha: Office) -> None:
    """Whoever signs what was not published signs nothing."""
    got = refusal(lambda: alpha.acknowledge(hashlib.sha256(b"").digest()))

    assert (got.code, got.reason) == (StatusCode.FAILED_PRECONDITION, "STATEMENT_HASH_DIFFERS")
    assert got.facts == {"sha256": alpha.statement().sha256.hex()}


def test_both_parties_of_a_line_see_its_dispute_and_nobody_else(alpha: Office, bravo: Office, gateway: RunningGateway) -> None:
    """The respondent without what stands in the other one's statement alone. Of the 600 points 200 were restored already."""
    line = line_between(alpha, "alpha", "bravo")
    opened = alpha.dispute(line.line_number)
    seen = bravo.disputes().disputes[0]

    assert (opened.opener_id, opened.respondent_id, opened.points) == ("alpha", "bravo", 400)
    assert (opened.entry_id, seen.entry_id, seen.line_number) == (line.own_entry_id, "", 0)
    assert (seen.dispute_id, seen.receipt_sha256) == (opened.dispute_id, line.receipt_sha256)
    assert [step.made_by for step in seen.steps] == ["alpha"]
    assert list(Office(gateway, "delta").disputes().disputes) == []
    assert alpha.dispute(line.line_number) == opened


@pytest.mark.parametrize("words", ["[red]see[/red] [/nothing]", "[black on black]see[/]"])
def test_what_a_partner_writes_is_text_on_the_operators_terminal(gateway: RunningGateway, alpha: Office, words: str) -> None:
    """Never markup, by which it could hide itself, or stop whoever lists disputes while their deadline comes."""
    opened = alpha.dispute(1, evidence=words)
    context = Context(gateway.network.folder / "tallystick.toml", gateway.network.clock)
    said = [CliRunner().invoke(settlement, ["disputes", *one], obj=context) for one in (["list"], ["show", opened.dispute_id])]

    assert [one.exit_code for one in said] == [0, 0]
    assert all(words in one.output for one in said)


def test_a_dispute_goes_through_its_states(alpha: Office, bravo: Office) -> None:
    """Contested by the respondent, withdrawn by whoever opened it; the same answer again changes nothing."""
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    contested = bravo.answer(opened.dispute_id, "contest", "we have the receipt")
    again = bravo.answer(opened.dispute_id, "contest", "we have the receipt")
    withdrawn = alpha.answer(opened.dispute_id, "withdraw")

    assert contested == again
    assert [step.state for step in withdrawn.steps] == [
        pb.DISPUTE_STATE_OPEN,
        pb.DISPUTE_STATE_CONTESTED,
        pb.DISPUTE_STATE_WITHDRAWN,
    ]
    got = refusal(lambda: bravo.answer(opened.dispute_id, "accept"))
    assert (got.reason, got.facts["state"]) == ("DISPUTE_NOT_OPEN", "WITHDRAWN")


@pytest.mark.parametrize(("partner", "word"), [("alpha", "accept"), ("alpha", "contest"), ("bravo", "withdraw")])
def test_each_side_has_its_own_answers(gateway: RunningGateway, alpha: Office, partner: str, word: str) -> None:
    """Nobody accepts its own dispute."""
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    got = refusal(lambda: Office(gateway, partner).answer(opened.dispute_id, word))

    assert (got.reason, set(got.violations)) == ("INVALID_FIELDS", {"answer"})


def test_after_the_deadline_nobody_answers(alpha: Office, bravo: Office, gateway: RunningGateway) -> None:
    """On the last day the respondent still may."""
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number, deadline="2026-07-02")
    gateway.network.now_ms = at("2026-07-03", "00:00:00")
    got = refusal(lambda: bravo.answer(opened.dispute_id, "contest"))

    assert (got.reason, got.facts) == ("DISPUTE_NOT_OPEN", {"state": "OPEN", "deadline": "2026-07-02"})
    gateway.network.now_ms = at("2026-07-02", "23:59:00")
    assert bravo.answer(opened.dispute_id, "contest").state == pb.DISPUTE_STATE_CONTESTED


def test_a_line_is_disputed_once(alpha: Office, bravo: Office) -> None:
    """Neither by the same partner with another reason, nor by the other side of the same event."""
    line = line_between(alpha, "alpha", "bravo")
    opened = alpha.dispute(line.line_number)
    same_event = next(one for one in bravo.lines() if (one.receipt_sha256, one.payer_id) == (line.receipt_sha256, "alpha"))
    got = [
        refusal(lambda: alpha.dispute(line.line_number, evidence="another letter")),
        refusal(lambda: bravo.dispute(same_event.line_number)),
    ]

    assert [(one.reason, one.facts) for one in got] == [("DISPUTE_EXISTS", {"dispute_id": opened.dispute_id})] * 2


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"window_id": 9}, "STATEMENT_NOT_FOUND", set()),
        ({"line_number": 999}, "STATEMENT_NOT_FOUND", set()),
        ({"deadline": "2026-07-01"}, "INVALID_FIELDS", {"deadline"}),
        ({"deadline": "2026-08-31"}, "INVALID_FIELDS", {"deadline"}),
        ({"deadline": "soon"}, "INVALID_FIELDS", {"deadline"}),
        ({"reason": 0}, "INVALID_FIELDS", {"reason"}),
        ({"reason": 99}, "INVALID_FIELDS", {"reason"}),
        ({"evidence": " "}, "INVALID_FIELDS", {"evidence"}),
        ({"evidence": "x" * 201}, "INVALID_FIELDS", {"evidence"}),
    ],
)
def test_a_dispute_that_says_something_wrong_is_refused(
    alpha: Office, changes: dict[str, Any], reason: str, field: set[str]
) -> None:
    """By the field, where it is one."""
    number = line_between(alpha, "alpha", "bravo").line_number
    number = changes.get("line_number", number)
    changes = {name: value for name, value in changes.items() if name != "line_number"}
    got = refusal(lambda: alpha.dispute(number, **changes))

    assert (got.reason, set(got.violations)) == (reason, field)


def test_a_partner_cannot_dispute_what_it_owes_itself(gateway: RunningGateway) -> None:
    """Such a line is in no net."""
    office = Office(gateway, "charlie")
    own = next((one for one in office.lines() if one.payer_id == one.payee_id), None)
    if own is None:
        office = Office(gateway, "bravo")
        own = next(one for one in office.lines() if one.payer_id == one.payee_id)
    number = own.line_number
    got = refusal(lambda: office.dispute(number))

    assert (got.code, got.reason) == (StatusCode.FAILED_PRECONDITION, "NOT_DISPUTABLE")


def test_a_dispute_of_others_is_not_found(alpha: Office, gateway: RunningGateway) -> None:
    """As if it did not exist."""
    opened = alpha.dispute(line_between(alpha, "alpha", "bravo").line_number)
    delta = Office(gateway, "delta")
    got = [refusal(partial(delta.answer, name, "accept")) for name in (opened.dispute_id, "d" + "0" * 32)]

    assert [(one.code, one.reason) for one in got] == [(StatusCode.NOT_FOUND, "DISPUTE_NOT_FOUND")] * 2


def test_the_tills_library_has_a_call_for_each(gateway: RunningGateway, alpha: Office) -> None:
    """Upload, acknowledge, dispute, and lists of all three."""
    signer = _signer(gateway, "alpha")
    with Till(gateway.channel, signer, audience=AUDIENCE, now=gateway.network.clock) as till:
        record = till.upload_record(RECORD, business_date="2026-06-01")
        made = till.acknowledge(1, alpha.statement().sha256).acknowledgement
        number = line_between(alpha, "alpha", "bravo").line_number
        opened = till.open_dispute(1, number, reason="unknown-entry", evidence="letter", deadline=DEADLINE).dispute

        assert list(till.records().records) == [record]
        assert list(till.acknowledgements().acknowledgements) == [made]
        assert list(till.disputes().disputes) == [opened]


def _signer(gateway: RunningGateway, partner_id: str) -> Signer:
    return Signer(f"{partner_id}/{KEY_SUFFIX}", gateway.network.keys[partner_id].sign)
