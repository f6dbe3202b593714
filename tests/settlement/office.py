"""The oracle's month, netted, behind a running gateway, and the offices of its partners."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gateway.domain.errors import InvalidValue
from gateway.domain.receipt import Receipt
from gateway.edge.intake import read_sent
from gateway.ledger.audit import audit
from gateway.ledger.audit_receipts import ReceiptForm
from partners.pos import requests, requests_office
from tallystick.v1 import reconciliation_pb2 as pb
from tallystick.v1 import statement_pb2
from tests.edge.running import Caller, RunningGateway
from tests.given import GivenNetwork, at
from tests.settlement.given import encode

DEADLINE = "2026-07-15"
FIRST_OF_JULY_MS = at("2026-07-01")


def _undecodable(_receipt: bytes) -> Receipt:
    raise InvalidValue("receipts of the month are plain text")


FORM = ReceiptForm(encode, _undecodable, None, read_sent)
"""What the audit of the month goes by: all that partners have signed is read."""


@contextmanager
def served(network: GivenNetwork) -> Iterator[RunningGateway]:
    """A gateway; afterwards nobody is connected any more."""
    with RunningGateway(network) as gateway:
        yield gateway
    network.engine.dispose()


def proved(network: GivenNetwork) -> None:
    """The whole audit, signatures included."""
    report = audit(network.engine, full=True, now_ms=network.now_ms, receipts=FORM)
    assert report.failures == ()


class Office:
    """A partner's office."""

    def __init__(self, gateway: RunningGateway, partner_id: str) -> None:
        self.partner_id = partner_id
        self.caller = Caller(gateway, partner_id, gateway.network.keys[partner_id])

    def chunk(self, content: bytes, number: int, whole: bytes, /, **of: Any) -> pb.PartnerRecord:
        """Sends a chunk; `of` overrides fields."""
        of_whole: dict[str, Any] = {"sha256": hashlib.sha256(whole).digest(), "total_bytes": len(whole), "chunks": 2}
        asked = pb.UploadPartnerRecordRequest(**of_whole | {"number": number, "content": content, "window_id": 1} | of)
        record: pb.PartnerRecord = self.caller.call(requests.UPLOAD_RECORD, asked).record
        return record

    def upload(self, whole: bytes, **of: Any) -> pb.PartnerRecord:
        """Sends a record in two chunks, the last one first."""
        half = len(whole) // 2
        self.chunk(whole[half:], 2, whole, **of)
        return self.chunk(whole[:half], 1, whole, **of)

    def records(self, **page: Any) -> pb.ListPartnerRecordsResponse:
        """Lists its records."""
        answer: pb.ListPartnerRecordsResponse = self.caller.call(requests.LIST_RECORDS, pb.ListPartnerRecordsRequest(**page))
        return answer

    def statement(self) -> statement_pb2.GetStatementResponse:
        """Of the month's window."""
        asked = statement_pb2.GetStatementRequest(window_id=1)
        answer: statement_pb2.GetStatementResponse = self.caller.call(requests.GET_STATEMENT, asked)
        return answer

    def lines(self) -> list[statement_pb2.StatementLine]:
        """Of the month's window."""
        asked = statement_pb2.ListStatementLinesRequest(window_id=1, page_size=500)
        return list(self.caller.call(requests.LIST_STATEMENT_LINES, asked).lines)

    def acknowledge(self, sha256: bytes) -> pb.Acknowledgement:
        """Signs a hash."""
        asked = requests_office.acknowledge(1, sha256)
        made: pb.Acknowledgement = self.caller.call(requests.ACKNOWLEDGE, asked).acknowledgement
        return made

    def dispute(self, line_number: int, /, **changes: Any) -> pb.Dispute:
        """Opens a dispute."""
        asked = pb.OpenDisputeRequest(
            **{"window_id": 1, "line_number": line_number, "reason": pb.DISPUTE_REASON_UNKNOWN_ENTRY}
            | {"evidence": "letter 17", "deadline": DEADLINE}
            | changes
        )
        opened: pb.Dispute = self.caller.call(requests.OPEN_DISPUTE, asked).dispute
        return opened

    def answer(self, dispute_id: str, word: str, note: str = "") -> pb.Dispute:
        """Answers a dispute."""
        asked = requests_office.answer_dispute(dispute_id, word, note=note)
        answered: pb.Dispute = self.caller.call(requests.ANSWER_DISPUTE, asked).dispute
        return answered

    def disputes(self, **page: Any) -> pb.ListDisputesResponse:
        """Lists its disputes."""
        answer: pb.ListDisputesResponse = self.caller.call(requests.LIST_DISPUTES, pb.ListDisputesRequest(**page))
        return answer


def line_between(office: Office, payer_id: str, payee_id: str, *, kind: str = "redemption") -> statement_pb2.StatementLine:
    """The first line of an office's statement by which one owes the other."""
    return next(one for one in office.lines() if (one.payer_id, one.payee_id, one.kind) == (payer_id, payee_id, kind))
