"""Who signed a request: the four parameters of the metadata, and the proof over the bytes as they were received.

Until a signature is proven there is one answer for every way of being wrong; the true cause goes to the operator alone.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.domain.errors import SignatureError
from gateway.domain.ids import KEY_ID
from gateway.domain.intake import SignedRequest
from gateway.domain.outcome import Reason
from gateway.domain.partner import PartnerKey
from gateway.domain.signing import CREATED_AGE_MS_MAX, CREATED_AHEAD_MS_MAX, RequestHeader, check_fresh, request_string
from gateway.edge.limits import RateLimit
from gateway.edge.refused import CallRejected, reject
from gateway.services.directory import Directory
from gateway.storage.failures import SignatureFailure

PARAMETERS = ("tally-key-id", "tally-created", "tally-nonce", "tally-sig-bin")
_PARAMETER_SET = frozenset(PARAMETERS)
_WINDOW = f"-{CREATED_AGE_MS_MAX} to +{CREATED_AHEAD_MS_MAX} ms"


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """What the metadata says of the signature."""

    header: RequestHeader
    signature: bytes

    def request(self, method: str, message: bytes) -> SignedRequest:
        """The request that was signed, with all that its proof needs."""
        return SignedRequest(method, self.header.key_id, self.header.created, self.header.nonce, message, self.signature)


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came in. `peer` gives address and port; instants are those of the two clocks."""

    method: str
    body: bytes
    peer: Callable[[], str]
    now_ms: int
    now_s: float


def read_header(metadata: Iterable[tuple[str, str | bytes]]) -> SignedHeader:
    """Raises CallRejected: SIGNATURE_PARAM_DUPLICATE, SIGNATURE_MISSING, SIGNATURE_PARAM_MALFORMED, in this order."""
    found: dict[str, str | bytes] = {}
    for name, value in metadata:
        if name in _PARAMETER_SET:
            if name in found:
                raise reject(Reason.SIGNATURE_PARAM_DUPLICATE, {"parameter": name})
            found[name] = value
    if len(found) < len(PARAMETERS):
        raise reject(Reason.SIGNATURE_MISSING, {"missing": ", ".join(name for name in PARAMETERS if name not in found)})
    key_id, created, nonce, signature = (found[name] for name in PARAMETERS)
    if not (isinstance(key_id, str) and isinstance(created, str) and isinstance(nonce, str) and isinstance(signature, bytes)):
        raise reject(Reason.SIGNATURE_PARAM_MALFORMED)
    if KEY_ID.fullmatch(key_id) is None:
        raise reject(Reason.SIGNATURE_PARAM_MALFORMED, {"parameter": "tally-key-id"})
    header = RequestHeader(key_id, created, nonce)
    malformed = header.malformed()
    if malformed is not None:
        raise reject(Reason.SIGNATURE_PARAM_MALFORMED, {"parameter": malformed})
    return SignedHeader(header, signature)


def out_of_window(now_ms: int) -> dict[str, str]:
    """What a caller is told whose clock is wrong: enough to correct it."""
    return {"server_time_ms": str(now_ms), "window": _WINDOW}


class SignatureGate:
    """Proves signatures. An address that fails too often hears so.

    A valid signature from it still passes: many tills may stand behind one address, and one of them may be broken.
    """

    def __init__(self, directory: Directory, *, record: Callable[[SignatureFailure], None], failures_per_s_max: int) -> None:
        """`record` keeps the true cause of a failure for the operator."""
        self._directory = directory
        self._record = record
        self._failures = RateLimit(per_s=failures_per_s_max)

    def prove(self, signed: SignedHeader, received: Received) -> PartnerKey:
        """The key that signed. Raises CallRejected: SIGNATURE_INVALID, then SIGNATURE_TIME_OUT_OF_WINDOW."""
        header = signed.header
        string = request_string(
            audience=self._directory.terms.audience, method=received.method, header=header, body=received.body
        )
        known = self._directory.key(header.key_id)
        if known is None:
            raise self._failed("unknown key", signed, received, string)
        unusable = known.key.unusable_because(received.now_ms)
        if unusable is not None:
            raise self._failed(unusable, signed, received, string)
        try:
            known.verify(signed.signature, string)
        except SignatureError as error:
            raise self._failed(error.cause, signed, received, string) from None
        try:
            check_fresh(header.created, now_ms=received.now_ms)
        except SignatureError as error:
            self._keep(error.cause, signed, received, string)
            raise reject(Reason.SIGNATURE_TIME_OUT_OF_WINDOW, out_of_window(received.now_ms)) from None
        return known.key

    def _failed(self, cause: str, signed: SignedHeader, received: Received, string: bytes) -> CallRejected:
        if not self._failures.allows(_address(received), received.now_s):
            return reject(Reason.AUTH_FAILURES_LIMITED)
        self._keep(cause, signed, received, string)
        return reject(Reason.SIGNATURE_INVALID)

    def _keep(self, cause: str, signed: SignedHeader, received: Received, string: bytes) -> None:
        # A partner that does not exist would be a list that grows with every made-up name.
        partner_id = signed.header.key_id.partition("/")[0]
        self._record(
            SignatureFailure(
                partner_id=partner_id if partner_id in self._directory.terms.partners else "",
                at_ms=received.now_ms,
                key_id=signed.header.key_id,
                method=received.method,
                peer=_address(received)[:100],
                cause=cause[:300],
                signed_string=string.decode("ascii")[:600],
            )
        )


def _address(received: Received) -> str:
    """Without the port, which is another one for each connection."""
    return received.peer().rpartition(":")[0]
