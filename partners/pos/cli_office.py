"""Commands of an office: send the own record, acknowledge statements, dispute lines of them."""

import hashlib
from functools import partial
from pathlib import Path

import click

from gateway.terminal import Refused as CommandRefused
from gateway.terminal import print_table
from partners.pos import requests, requests_office
from partners.pos.cli_calls import asking, by_hand, told
from partners.pos.cli_print import plain, print_json, print_plain
from partners.pos.errors import ReceiptError
from partners.pos.profile import Profile
from partners.pos.till import Till
from tallystick.v1 import reconciliation_pb2 as pb
from tallystick.v1 import statement_pb2

_LINES_PAGE = 500


@by_hand(requests.UPLOAD_RECORD)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--window", "window_id", type=click.IntRange(1), default=None, help="It is the record of this window.")
@click.option("--date", "business_date", default="", metavar="DATE", help="It is the record of this business date.")
def upload_record(profile: Profile, file: Path, window_id: int | None, business_date: str, *, as_json: bool) -> None:
    """Send your own record of a window or a day, to be compared with the books. Send it again if it stops half-way."""
    with Till.open(profile) as till:
        content = file.read_bytes()
        record = told(lambda: till.upload_record(content, window_id=window_id or 0, business_date=business_date), as_json=as_json)
    _print(record, as_json=as_json)


def _state(record: pb.PartnerRecord) -> str:
    if record.bad_lines:
        return f"{record.bad_lines} lines are wrong"
    return "whole" if record.completed_at_ms else f"{record.received_chunks} of {record.chunks} chunks"


def _print_records(answer: pb.ListPartnerRecordsResponse) -> None:
    rows = [
        (
            one.record_id,
            f"window {one.window_id}" if one.window_id else one.business_date,
            str(one.total_bytes),
            _state(one),
            one.sha256.hex()[:16],
        )
        for one in answer.records
    ]
    print_table("Records", ("record", "of", "bytes", "state", "SHA-256"), rows, right=("bytes",))


@asking(requests.LIST_RECORDS, text=_print_records, by_pages=True)
def records() -> pb.ListPartnerRecordsRequest:
    """List the records that you have sent."""
    return requests_office.records()


@by_hand(requests.GET_STATEMENT, requests.ACKNOWLEDGE)
@click.option("--window", "window_id", type=click.IntRange(1), required=True, help="The statement of this window.")
@click.option("--sha256", "expected", default="", metavar="HEX", help="Only if it has this hash: that of the one you checked.")
def acknowledge(profile: Profile, window_id: int, expected: str, *, as_json: bool) -> None:
    """Sign that a statement is right. Check it first: 'tallystick pos verify-statement'."""
    with Till.open(profile) as till:
        statement = told(lambda: till.statement(window_id), as_json=as_json)
        digest = hashlib.sha256(statement.statement).digest()
        if digest != statement.sha256:
            raise ReceiptError("the statement does not have the hash that came with it")
        if expected and expected.lower() != digest.hex():
            raise CommandRefused(f"the statement has the hash {digest.hex()}, not the one that you checked")
        answer = told(lambda: till.acknowledge(window_id, digest), as_json=as_json)
    _print(answer.acknowledgement, as_json=as_json)


def _print_acknowledgements(answer: pb.ListAcknowledgementsResponse) -> None:
    rows = [(str(one.window_id), one.statement_sha256.hex()) for one in answer.acknowledgements]
    print_table("Acknowledged", ("window", "SHA-256"), rows, right=("window",))


@asking(requests.LIST_ACKNOWLEDGEMENTS, text=_print_acknowledgements, by_pages=True)
def acknowledgements() -> pb.ListAcknowledgementsRequest:
    """List the statements that you have acknowledged."""
    return requests_office.acknowledgements()


@by_hand(requests.LIST_STATEMENT_LINES, requests.OPEN_DISPUTE)
@click.option("--window", "window_id", type=click.IntRange(1), required=True, help="The statement of this window.")
@click.option("--line", "line_number", type=click.IntRange(1), help="The line, by its number.")
@click.option("--entry", "entry_id", default="", metavar="ID", help="All lines of this entry of yours instead.")
@click.option("--reason", required=True, type=click.Choice(requests_office.REASONS), help="What is wrong with it.")
@click.option("--evidence", required=True, help="Where the evidence is, such as the number of a document.")
@click.option("--deadline", required=True, metavar="DATE", help="The last date for an answer, 1 to 60 days ahead.")
def open_dispute(
    profile: Profile,
    window_id: int,
    line_number: int | None,
    entry_id: str,
    reason: str,
    evidence: str,
    deadline: str,
    *,
    as_json: bool,
) -> None:
    """Dispute a line of your statement, or all lines of one entry. Only their amount is held out of what is paid."""
    if (line_number is None) == (not entry_id):
        raise click.UsageError("name what is disputed by one of --line and --entry")
    with Till.open(profile) as till:
        numbers = [line_number] if line_number is not None else _lines_of(till, window_id, entry_id, as_json=as_json)
        ask = partial(till.open_dispute, window_id, reason=reason, evidence=evidence, deadline=deadline)
        opened = [told(partial(ask, number), as_json=as_json).dispute for number in numbers]
    if as_json:
        print_json({"disputes": [plain(one) for one in opened]})
    else:
        _print_disputes(pb.ListDisputesResponse(disputes=opened))


@asking(requests.ANSWER_DISPUTE)
@click.option("--id", "dispute_id", required=True, metavar="ID", help="The dispute.")
@click.option("--answer", required=True, type=click.Choice(requests_office.ANSWERS), help="withdraw is for your own.")
@click.option("--note", default="", help="Why; the other side and the operators read it.")
def answer_dispute(dispute_id: str, answer: str, note: str) -> pb.AnswerDisputeRequest:
    """Accept or contest a dispute about a line of yours, or withdraw your own. Silence until the deadline accepts."""
    return requests_office.answer_dispute(dispute_id, answer, note=note)


def _print_disputes(answer: pb.ListDisputesResponse) -> None:
    rows = [
        (
            one.dispute_id,
            pb.DisputeState.Name(one.state).removeprefix("DISPUTE_STATE_"),
            str(one.window_id),
            one.payer_id,
            one.payee_id,
            str(one.points),
            f"{one.amount} {one.currency}",
            one.deadline,
            one.evidence,
        )
        for one in answer.disputes
    ]
    columns = ("dispute", "state", "window", "pays", "receives", "points", "amount (minor units)", "deadline", "evidence")
    print_table("Disputes", columns, rows, right=("window", "points", "amount (minor units)"))


@asking(requests.LIST_DISPUTES, text=_print_disputes, by_pages=True)
def disputes() -> pb.ListDisputesRequest:
    """List the disputes that you have opened, and those that you must answer."""
    return requests_office.disputes()


def _lines_of(till: Till, window_id: int, entry_id: str, *, as_json: bool) -> list[int]:
    asked = statement_pb2.ListStatementLinesRequest(window_id=window_id, page_size=_LINES_PAGE)
    lines = told(lambda: till.pages(requests.LIST_STATEMENT_LINES, asked), as_json=as_json).lines
    numbers = [line.line_number for line in lines if line.own_entry_id == entry_id]
    if not numbers:
        raise CommandRefused(f"no line of your statement of window {window_id} is of entry {entry_id}")
    return numbers


def _print(message: pb.PartnerRecord | pb.Acknowledgement, *, as_json: bool) -> None:
    content = plain(message)
    if as_json:
        print_json(content)
    else:
        print_plain(content)
