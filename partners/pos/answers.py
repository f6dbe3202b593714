"""From answers to what a till may rely on: every receipt verified, every refusal named. Sends nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import grpc

from gateway.domain.outcome import Reason
from partners.pos.attempts import Attempts, Clock, RetryPolicy, Spread
from partners.pos.channel import NonceSource, Signer, Signing
from partners.pos.errors import Facts, NoAnswer, PosError, ReceiptError, Refused
from partners.pos.failures import Failure
from partners.pos.receipts import ReceiptKeys
from partners.pos.requests import Method
from tallystick.v1 import network_pb2, offline_pb2, points_pb2, statement_pb2, types_pb2

# After these the command may have been booked.
_OUTCOME_UNKNOWN = frozenset(
    {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED, grpc.StatusCode.DATA_LOSS}
)


@dataclass(frozen=True, slots=True)
class Booked:
    """A command that was booked, and the proof of it. `is_replayed`: it had been booked before, by an earlier attempt.

    `receipt_lines`: what the paper receipt should say, in the language that was asked for; of a checkout's calls.
    """

    receipt: types_pb2.Receipt
    signed_receipt: types_pb2.SignedReceipt
    is_replayed: bool
    receipt_lines: tuple[str, ...] = ()

    @property
    def entry_id(self) -> str:
        """Names the entry, for instance to reverse it."""
        return self.receipt.entry_id

    @property
    def points(self) -> int:
        """Change of the member's balance, by all that was booked."""
        return self.receipt.points + sum(leg.points for leg in self.receipt.legs)

    @property
    def balance_points(self) -> int:
        """The member's balance afterwards; negative while in debt."""
        return self.receipt.balance_points

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the cashier should know, such as "HOLD_CAPTURED_IN_PART"; of a checkout's calls."""
        return tuple(_warning_name(number) for number in self.receipt.warnings)


@dataclass(frozen=True, slots=True)
class Happened:
    """What became of an event. `warnings`: reason and partner of what would have refused it, had it not happened already."""

    counter: int
    outcome: Booked | Refused
    warnings: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Counts:
    """What a till did so far, for reports."""

    receipts_verified: int = 0
    retries: int = 0


class Desk:
    """What both tills share: who signs, by which clock, and the network's receipt keys once they are known."""

    def __init__(
        self, signer: Signer, *, audience: str, clock: Clock, nonce: NonceSource, policy: RetryPolicy | None, spread: Spread
    ) -> None:
        self.signer = signer
        self.audience = audience
        self.clock = clock
        self.counts = Counts()
        self._nonce = nonce
        self._policy = policy
        self._policies: dict[str, RetryPolicy] = {}
        self._spread = spread
        self._keys: ReceiptKeys | None = None

    def signing(self) -> Signing:
        """For a signing channel."""
        return Signing(self.audience, self.signer, self.clock, self._nonce)

    def policy_of(self, method: Method[Any, Any]) -> RetryPolicy:
        """How often and how long to try: as the till was told, else as it is published."""
        if self._policy is not None:
            return self._policy
        found = self._policies.get(method.path)
        if found is None:
            found = self._policies[method.path] = RetryPolicy.published(method.path)
        return found

    def attempts(self, policy: RetryPolicy) -> Attempts:
        """For one call."""
        return Attempts(policy, self.clock, self._spread)

    def learn(self, network: network_pb2.GetNetworkResponse) -> None:
        """Takes over the receipt keys and the time. Raises PosError if it is another network than the profile's."""
        if network.audience != self.audience:
            raise PosError(f"the gateway serves {network.audience!r}, the profile is for {self.audience!r}")
        self.clock.correct(network.server_time_ms)
        self._keys = ReceiptKeys(network.audience, network.receipt_keys)

    def must_learn(self, key_id: str = "") -> bool:
        """Whether GetNetwork has to be asked: never asked yet, or something is signed by a receipt key made since."""
        return self._keys is None or (key_id != "" and key_id not in self._keys)

    def verify(self, signed: types_pb2.SignedReceipt, idempotency_key: str | None = None) -> types_pb2.Receipt:
        """The content of a receipt of this partner's. Raises ReceiptError."""
        receipt = self._known().verify(signed, partner_id=self.signer.partner_id, idempotency_key=idempotency_key)
        self.counts.receipts_verified += 1
        return receipt

    def verify_statement(self, answer: statement_pb2.GetStatementResponse) -> None:
        """Raises ReceiptError unless the network signed the statement."""
        self._known().verify_statement(answer)

    def _known(self) -> ReceiptKeys:
        if self._keys is None:
            raise ReceiptError("the network's receipt keys are not known yet")
        return self._keys

    def booked(
        self, answer: types_pb2.Answer, idempotency_key: str | None = None, *, receipt_lines: Iterable[str] = ()
    ) -> Booked:
        """A booking. Raises ReceiptError, and Refused if the receipt is that of a refusal."""
        receipt = self.verify(answer.receipt, idempotency_key)
        if receipt.refused:
            raise Refused(_reason_name(receipt.refused), Facts(dict(receipt.details), (), answer.receipt, receipt))
        return Booked(receipt, answer.receipt, answer.replayed, tuple(receipt_lines))

    def happened(self, answer: offline_pb2.EventAnswer, idempotency_key: str) -> Happened:
        """What became of one event. Raises ReceiptError."""
        warnings = tuple((_reason_name(warning.reason), warning.partner_id) for warning in answer.warnings)
        return Happened(answer.counter, self.in_batch(answer.answer, idempotency_key), warnings)

    def refused(self, failure: Failure, idempotency_key: str | None) -> PosError:
        """What to raise for a failure that is an answer. Raises ReceiptError if its receipt does not verify."""
        if failure.code in _OUTCOME_UNKNOWN:
            return NoAnswer(1, str(failure))
        signed = failure.answer.receipt if failure.answer is not None else None
        receipt = self.verify(signed, idempotency_key) if signed is not None else None
        reason = failure.reason or failure.code.name
        return Refused(reason, Facts(failure.details or _told(failure), failure.field_violations, signed, receipt))

    def in_batch(self, answer: points_pb2.CommandAnswer, idempotency_key: str) -> Booked | Refused:
        """What became of one command of a batch, or of an event. Raises ReceiptError."""
        if answer.HasField("booked"):
            return self.booked(answer.booked, idempotency_key)
        refusal = answer.refused
        signed = refusal.answer.receipt if refusal.HasField("answer") else None
        receipt = self.verify(signed, idempotency_key) if signed is not None else None
        violations = tuple((violation.field, violation.description) for violation in refusal.field_violations)
        return Refused(_reason_name(refusal.reason), Facts(dict(refusal.details), violations, signed, receipt))


def receipts_in(answers: Iterable[points_pb2.CommandAnswer]) -> list[types_pb2.SignedReceipt]:
    """All receipts of a batch's answers."""
    carried = [answer.booked if answer.HasField("booked") else answer.refused.answer for answer in answers]
    return [answer.receipt for answer in carried if answer.HasField("receipt")]


def _reason_name(number: int) -> str:
    try:
        return Reason(number).name
    except ValueError:
        return f"REASON_{number}"  # a gateway that is newer than this till


def _warning_name(number: int) -> str:
    if number in types_pb2.Warning.values():
        return types_pb2.Warning.Name(types_pb2.Warning.ValueType(number)).removeprefix("WARNING_")
    return f"WARNING_{number}"  # a gateway that is newer than this till


def _told(failure: Failure) -> dict[str, str]:
    return {"message": failure.message} if failure.message and not failure.reason else {}
