"""A gateway of one screen for the till's tests: real gRPC, real signatures, books in a dictionary.

One point per whole unit of currency, one cent a point. Faults can be ordered: refuse the next calls, or book and then
lose the answer.
"""

import hashlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Self

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from gateway.domain.errors import SignatureError
from gateway.domain.ids import entry_id
from gateway.domain.signing import (
    Algorithm,
    PrivateKey,
    RequestHeader,
    check_fresh,
    load_verifier,
    receipt_string,
    request_string,
)
from partners.pos.requests import METHODS, Method
from tallystick.v1 import errors_pb2, member_pb2, network_pb2, points_pb2, till_pb2, types_pb2

AUDIENCE = "coalition.example:test"
NOW_MS = 1_790_000_000_000
_SERVICES = ("NetworkService", "PointsService", "MemberService", "PartnerService", "StatementService", "TillService")


class Refusal(Exception):
    """An answer that is no booking."""

    def __init__(self, code: grpc.StatusCode, reason: str, *, retry_ms: int | None = None, **details: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.retry_ms = retry_ms
        self.details = details
        self.answer: types_pb2.Answer | None = None

    def trailers(self) -> tuple[tuple[str, str | bytes], ...]:
        """The serialized google.rpc.Status, and what gRPC's own retries go by."""
        is_quota = self.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        pushback_ms = self.retry_ms if self.retry_ms is not None else -1 if is_quota else None
        details = ("grpc-status-details-bin", self._status())
        return (details,) if pushback_ms is None else (details, ("grpc-retry-pushback-ms", str(pushback_ms)))

    def _status(self) -> bytes:
        details: list[Any] = [error_details_pb2.ErrorInfo(reason=self.reason, domain="tallystick", metadata=self.details)]
        if self.retry_ms is not None:
            details.append(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=self.retry_ms * 1_000_000)))
        if self.answer is not None:
            details.append(self.answer)
        packed = []
        for detail in details:
            packed.append(any_pb2.Any())
            packed[-1].Pack(detail)
        status: bytes = status_pb2.Status(code=self.code.value[0], message=self.reason, details=packed).SerializeToString()
        return status


@dataclass(frozen=True, slots=True)
class _Sold:
    """What a basket came to, and how many points paid of it."""

    card: str
    total: int
    points: int


@dataclass
class SmallGateway:
    """Start it with `with`; `target` is where it listens. `clock` may be set back and forth."""

    clock: Callable[[], int] = lambda: NOW_MS
    keys: dict[str, PrivateKey] = field(default_factory=dict)
    faults: deque[Refusal] = field(default_factory=deque)
    answers_to_lose: int = 0
    forges_receipts: bool = False
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    seconds_left: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Not yet listening."""
        self._lock = Lock()
        self._receipt_keys: list[tuple[str, PrivateKey]] = []
        self.rotate("receipts-1")
        self._balances: dict[str, int] = {}
        self._booked: dict[tuple[str, str], tuple[bytes, types_pb2.Answer]] = {}
        self._issued: dict[str, list[int]] = {}
        self._sold: dict[str, _Sold] = {}
        self._sequence = 0
        self._server = grpc.server(ThreadPoolExecutor(8), options=(("grpc.so_reuseport", 0),))
        for service in _SERVICES:
            path = f"tallystick.v1.{service}"
            handlers: dict[str, Any] = {
                method.name: grpc.unary_unary_rpc_method_handler(self._handler(method))
                for method in METHODS
                if method.path.startswith(f"/{path}/")
            }
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(path, handlers),))
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        """Starts."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops."""
        self._server.stop(None).wait()

    def rotate(self, key_id: str) -> None:
        """Signs later receipts with a new key."""
        self._receipt_keys.append((key_id, PrivateKey(Ed25519PrivateKey.generate())))

    def new_key(self, key_id: str) -> PrivateKey:
        """A till's key, registered."""
        self.keys[key_id] = PrivateKey(Ed25519PrivateKey.generate())
        return self.keys[key_id]

    def _handler(self, method: Method[Any, Any]) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        def handle(body: bytes, context: grpc.ServicerContext) -> bytes:
            with self._lock:
                if method.name != "GetNetwork":
                    self.seconds_left.append(context.time_remaining())
                try:
                    answer = self._answer(method, body, dict(context.invocation_metadata()))
                except Refusal as refusal:
                    context.set_trailing_metadata(refusal.trailers())
                    context.abort(refusal.code, refusal.reason)
            return answer

        return handle

    def _answer(self, method: Method[Any, Any], body: bytes, metadata: dict[str, Any]) -> bytes:
        request = method.request.FromString(body)
        if method.name == "GetNetwork":
            return self._network().SerializeToString()
        self.calls.append((method.name, metadata))
        partner_id = self._authenticate(method.path, body, metadata)
        if self.faults:
            raise self.faults.popleft()
        if method.name == "GetBalance":
            return self._balance(request).SerializeToString()
        if method.name == "GetEntry":
            answer = self._get_entry(partner_id, request)
        elif method.name == "SubmitBatch":
            return self._batch(partner_id, request).SerializeToString()
        else:
            answer = self._once(partner_id, method.name, request)
        if self.answers_to_lose:
            self.answers_to_lose -= 1
            raise Refusal(grpc.StatusCode.UNAVAILABLE, "LOST")
        response: bytes = method.answer(answer=answer).SerializeToString()
        return response

    def _network(self) -> network_pb2.GetNetworkResponse:
        keys = [
            network_pb2.ReceiptKey(key_id=key_id, public_key=key.public_bytes(), valid_from_ms=1)
            for key_id, key in self._receipt_keys
        ]
        return network_pb2.GetNetworkResponse(audience=AUDIENCE, server_time_ms=self.clock(), receipt_keys=keys)

    def _authenticate(self, path: str, body: bytes, metadata: dict[str, Any]) -> str:
        header = RequestHeader(metadata["tally-key-id"], metadata["tally-created"], metadata["tally-nonce"])
        assert header.malformed() is None
        key = self.keys.get(header.key_id)
        if key is None:
            raise Refusal(grpc.StatusCode.UNAUTHENTICATED, "SIGNATURE_INVALID")
        try:
            string = request_string(audience=AUDIENCE, method=path, header=header, body=body)
            load_verifier(key.algorithm, key.public_bytes())(metadata["tally-sig-bin"], string)
        except SignatureError:
            raise Refusal(grpc.StatusCode.UNAUTHENTICATED, "SIGNATURE_INVALID") from None
        try:
            check_fresh(header.created, now_ms=self.clock())
        except SignatureError:
            time_ms = str(self.clock())
            raise Refusal(grpc.StatusCode.UNAUTHENTICATED, "SIGNATURE_TIME_OUT_OF_WINDOW", server_time_ms=time_ms) from None
        return header.key_id.split("/")[0]

    def _once(self, partner_id: str, name: str, request: Any) -> types_pb2.Answer:
        print_ = hashlib.sha256(name.encode() + request.SerializeToString(deterministic=True)).digest()
        known = self._booked.get((partner_id, request.idempotency_key))
        if known is not None:
            if known[0] != print_:
                raise Refusal(grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED")
            answer = types_pb2.Answer(receipt=known[1].receipt, replayed=True, server_time_ms=self.clock())
        else:
            receipt = types_pb2.Receipt(
                audience=AUDIENCE,
                entry_id=entry_id(partner_id, request.idempotency_key),
                partner_id=partner_id,
                idempotency_key=request.idempotency_key,
                booked_at_ms=self.clock(),
                receipt_number=getattr(request, "receipt_number", ""),
            )
            getattr(self, f"_decide_{name}")(request, receipt)
            answer = types_pb2.Answer(receipt=self._signed(receipt), server_time_ms=self.clock())
            self._booked[partner_id, request.idempotency_key] = print_, answer
        if types_pb2.Receipt.FromString(answer.receipt.receipt).refused:
            refusal = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "INSUFFICIENT_POINTS")
            refusal.answer = answer
            raise refusal
        return answer

    def _signed(self, receipt: types_pb2.Receipt) -> types_pb2.SignedReceipt:
        if not receipt.refused:
            self._sequence += 1
            receipt.sequence = self._sequence
        key_id, key = self._receipt_keys[-1]
        content = receipt.SerializeToString()
        signature = key.sign(receipt_string(audience=AUDIENCE, key_id=key_id, receipt=content))
        if self.forges_receipts:
            receipt.points += 1
            content = receipt.SerializeToString()
        return types_pb2.SignedReceipt(receipt=content, signature=signature, key_id=key_id)

    def _member(self, who: types_pb2.MemberRef) -> str:
        card: str = who.card_number
        if card not in self._balances:
            raise Refusal(grpc.StatusCode.NOT_FOUND, "MEMBER_NOT_FOUND")
        return card

    def _book(self, receipt: types_pb2.Receipt, card: str, points: int, amount: int = 0) -> None:
        self._balances[card] += points
        receipt.member_id = card.lower()
        receipt.points = points
        receipt.amount.CopyFrom(types_pb2.Amount(unit="USD", minor_units=amount))
        receipt.balance_points = self._balances[card]
        receipt.debt_points = max(0, -self._balances[card])

    def _decide_EnrolMember(self, request: member_pb2.EnrolMemberRequest, receipt: types_pb2.Receipt) -> None:  # noqa: N802 - the call
        if request.card_number in self._balances:
            raise Refusal(grpc.StatusCode.ALREADY_EXISTS, "CARD_ALREADY_ENROLLED")
        self._balances[request.card_number] = 0
        receipt.kind = types_pb2.ENTRY_KIND_ENROL
        self._book(receipt, request.card_number, 0)

    def _decide_IssuePoints(self, request: points_pb2.IssuePointsRequest, receipt: types_pb2.Receipt) -> None:  # noqa: N802 - the call
        card = self._member(request.member)
        receipt.kind = types_pb2.ENTRY_KIND_ISSUE
        self._issued[receipt.entry_id] = [request.eligible.minor_units, request.eligible.minor_units // 100]
        self._book(receipt, card, request.eligible.minor_units // 100, request.eligible.minor_units)
        self._issued[receipt.entry_id].append(list(self._balances).index(card))

    def _decide_RedeemPoints(self, request: points_pb2.RedeemPointsRequest, receipt: types_pb2.Receipt) -> None:  # noqa: N802 - the call
        card = self._member(request.member)
        receipt.kind = types_pb2.ENTRY_KIND_REDEEM
        usable = max(0, self._balances[card])
        points = min(request.up_to_value.minor_units, usable) if request.HasField("up_to_value") else request.points
        if not 0 < points <= usable:
            receipt.refused = errors_pb2.ERROR_REASON_INSUFFICIENT_POINTS
            self._book(receipt, card, 0)
            return
        self._book(receipt, card, -points, points)

    def _decide_ReverseEntry(self, request: points_pb2.ReverseEntryRequest, receipt: types_pb2.Receipt) -> None:  # noqa: N802 - the call
        original = request.entry_id or entry_id(receipt.partner_id, request.original_idempotency_key)
        if original not in self._issued:
            raise Refusal(grpc.StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND")
        amount, points, index = self._issued[original]
        back = request.eligible.minor_units or amount
        receipt.kind = types_pb2.ENTRY_KIND_REVERSE_ISSUE
        receipt.original_entry_id = original
        self._book(receipt, list(self._balances)[index], -(points - (amount - back) // 100), back)

    def _decide_TransferPoints(self, request: member_pb2.TransferPointsRequest, receipt: types_pb2.Receipt) -> None:  # noqa: N802 - the call
        receipt.kind = types_pb2.ENTRY_KIND_TRANSFER_OUT
        self._balances[self._member(request.target)] += request.points
        self._book(receipt, self._member(request.source), -request.points)

    def _decide_Checkout(self, request: till_pb2.CheckoutRequest, receipt: types_pb2.Receipt) -> None:  # noqa: N802 - the call
        card, total = self._member(request.member), request.total.minor_units
        points = min(request.up_to_value.minor_units, max(0, self._balances[card]))
        self._sold[receipt.entry_id] = _Sold(card, total, points)
        moves = [(types_pb2.ENTRY_KIND_REDEEM, -points, points)] if points else []
        self._book_legs(receipt, card, [*moves, (types_pb2.ENTRY_KIND_ISSUE, (total - points) // 100, total - points)])

    def _decide_Refund(self, request: till_pb2.RefundRequest, receipt: types_pb2.Receipt) -> None:  # noqa: N802 - the call
        """Once for each checkout: the till's tests return no basket twice."""
        sold = self._sold.pop(entry_id(receipt.partner_id, request.original_idempotency_key))
        paid, rest = sold.total - sold.points, sold.total - request.amount.minor_units
        stay, earns = -(-sold.points * rest // sold.total), paid * rest // sold.total
        moves = [(types_pb2.ENTRY_KIND_REVERSE_REDEMPTION, sold.points - stay, sold.points - stay)] if sold.points > stay else []
        moves.append((types_pb2.ENTRY_KIND_REVERSE_ISSUE, earns // 100 - paid // 100, paid - earns))
        self._book_legs(receipt, sold.card, moves)

    def _book_legs(
        self, receipt: types_pb2.Receipt, card: str, moves: list[tuple[types_pb2.EntryKind.ValueType, int, int]]
    ) -> None:
        """Entries of one command, as kind, points and amount: the first in the receipt itself."""
        (receipt.kind, points, amount), *further = moves
        for kind, its_points, _ in further:
            receipt.legs.add(kind=kind, points=its_points)
            self._balances[card] += its_points
        self._book(receipt, card, points, amount)

    def _get_entry(self, partner_id: str, request: points_pb2.GetEntryRequest) -> types_pb2.Answer:
        for (owner, key), (_, answer) in self._booked.items():
            if owner == partner_id and (request.idempotency_key == key or request.entry_id == entry_id(owner, key)):
                return types_pb2.Answer(receipt=answer.receipt, replayed=True, server_time_ms=self.clock())
        raise Refusal(grpc.StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND")

    def _balance(self, request: member_pb2.GetBalanceRequest) -> member_pb2.GetBalanceResponse:
        points = self._balances[self._member(request.member)]
        return member_pb2.GetBalanceResponse(balance_points=points, available_points=max(points, 0), server_time_ms=self.clock())

    def _batch(self, partner_id: str, request: points_pb2.SubmitBatchRequest) -> points_pb2.SubmitBatchResponse:
        response = points_pb2.SubmitBatchResponse()
        names = {"issue": "IssuePoints", "redeem": "RedeemPoints", "reverse": "ReverseEntry", "enrol": "EnrolMember"}
        for command in request.commands:
            which = command.WhichOneof("command")
            assert which is not None
            try:
                response.answers.add().booked.CopyFrom(self._once(partner_id, names[which], getattr(command, which)))
            except Refusal as refusal:
                reason = errors_pb2.ErrorReason.Value(f"ERROR_REASON_{refusal.reason}")
                refused = points_pb2.Refusal(reason=reason, status_code=refusal.code.value[0], details=refusal.details)
                if refusal.answer is not None:
                    refused.answer.CopyFrom(refusal.answer)
                response.answers[-1].refused.CopyFrom(refused)
        return response


__all__ = ["AUDIENCE", "NOW_MS", "Algorithm", "Refusal", "SmallGateway"]
