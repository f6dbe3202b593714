"""Receipts and statements: what a partner can prove. Verified by the keys that GetNetwork lists, also after a rotation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from gateway.domain.errors import DomainError
from gateway.domain.signing import Algorithm, Verify, load_verifier, receipt_string, statement_string
from partners.pos.errors import ReceiptError
from tallystick.v1 import network_pb2, statement_pb2, types_pb2


@dataclass(frozen=True, slots=True)
class _Key:
    verify: Verify
    valid_from_ms: int
    valid_until_ms: int


class ReceiptKeys:
    """The network's receipt keys. Knows nothing of the time: a receipt is judged by when it was booked."""

    def __init__(self, audience: str, keys: Iterable[network_pb2.ReceiptKey]) -> None:
        """Raises InvalidValue for a malformed or weak key."""
        self.audience = audience
        self._keys: Mapping[str, _Key] = {
            key.key_id: _Key(load_verifier(Algorithm.ED25519, key.public_key), key.valid_from_ms, key.valid_until_ms)
            for key in keys
        }

    def __contains__(self, key_id: str) -> bool:
        """Whether the key is known; if not, GetNetwork may list it by now."""
        return key_id in self._keys

    def verify(
        self, signed: types_pb2.SignedReceipt, *, partner_id: str | None = None, idempotency_key: str | None = None
    ) -> types_pb2.Receipt:
        """The receipt, if its signature holds and it answers what was asked (as far as that is given). Raises ReceiptError."""
        key = self._keys.get(signed.key_id)
        if key is None:
            raise ReceiptError(f"receipt key {signed.key_id!r} is none of the network's")
        try:
            key.verify(signed.signature, receipt_string(audience=self.audience, key_id=signed.key_id, receipt=signed.receipt))
            receipt = types_pb2.Receipt.FromString(signed.receipt)
        except DomainError as error:
            raise ReceiptError(f"receipt signed by {signed.key_id!r}: {error}") from None
        except DecodeError:
            raise ReceiptError("the signed bytes are no receipt") from None
        if receipt.booked_at_ms < key.valid_from_ms or (key.valid_until_ms and receipt.booked_at_ms > key.valid_until_ms):
            raise ReceiptError(f"receipt key {signed.key_id!r} was not in use when {receipt.entry_id} was booked")
        _check_answers("audience", receipt.audience, self.audience)
        _check_answers("partner", receipt.partner_id, partner_id)
        _check_answers("idempotency key", receipt.idempotency_key, idempotency_key)
        return receipt

    def verify_statement(self, answer: statement_pb2.GetStatementResponse) -> None:
        """Raises ReceiptError unless the network's key of the window's cut-off signed the statement."""
        key = self._keys.get(answer.receipt_key_id)
        if key is None:
            raise ReceiptError(f"receipt key {answer.receipt_key_id!r} is none of the network's")
        signed = statement_string(audience=self.audience, key_id=answer.receipt_key_id, statement=answer.statement)
        try:
            key.verify(answer.signature, signed)
        except DomainError as error:
            raise ReceiptError(f"statement signed by {answer.receipt_key_id!r}: {error}") from None


def _check_answers(what: str, has: str, asked: str | None) -> None:
    if asked is not None and has != asked:
        raise ReceiptError(f"the receipt is of {what} {has!r}, asked was {asked!r}")
