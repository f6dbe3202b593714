"""Signs receipts and statements when they leave. The signature is deterministic, so a repeat gives the same bytes.

Which keys there are, the directory says; the private ones lie in files. A new key signs once every gateway has had time to
read of it, and here only once its file is here: until then the one before goes on, as long as it is valid.
"""

from collections.abc import Callable, Sequence

from gateway.domain.errors import InvalidValue
from gateway.domain.network import ReceiptKey, key_in_force
from gateway.domain.signing import PrivateKey, receipt_string, statement_string
from gateway.storage.errors import StoreUnavailable


class ReceiptSigner:
    """Holds the network's receipt keys: one signs new receipts, the others old ones that are sent again."""

    def __init__(
        self,
        *,
        audience: str,
        known: Callable[[], Sequence[ReceiptKey]],
        load: Callable[[str], PrivateKey],
        note: Callable[[str], object],
        settle_ms: int,
    ) -> None:
        """`known`: all keys, oldest first. `load` reads a private one by its id, or raises InvalidValue.

        `note` is told, once, of a file that is not there or holds another key. `settle_ms`: how old a key must be to sign.
        """
        self._audience = audience
        self._known = known
        self._load = load
        self._note = note
        self._settle_ms = settle_ms
        self._seen: Sequence[ReceiptKey] = ()
        self._held: dict[str, PrivateKey] = {}
        self._problems: dict[str, str] = {}

    def require(self, now_ms: int) -> None:
        """At a start: raises InvalidValue unless there is a key to sign with now, and each one that is out of use."""
        self.look()
        for key in self._seen:
            if key.key_id in self._problems and _has_ended(key, now_ms):
                raise InvalidValue(self._problems[key.key_id])
        if not self._usable(now_ms):
            raise InvalidValue(next(iter(self._problems.values()), "the network has no receipt key in use"))

    def look(self) -> None:
        """Reads the files of keys that are not held yet."""
        self._seen = self._known()
        for key in self._seen:
            if key.key_id not in self._held:
                self._read(key)

    def key_id_at(self, now_ms: int) -> str:
        """The key for receipts of that time. Raises StoreUnavailable if none can sign: then nothing may be booked."""
        if self._problems or self._known() is not self._seen:
            self.look()
        usable = self._usable(now_ms)
        if not usable:
            raise StoreUnavailable("; ".join(self._problems.values()) or "the network has no receipt key in use")
        settled = [key for key in usable if key.valid_from_ms + self._settle_ms <= now_ms]
        return (settled[-1] if settled else usable[0]).key_id

    def sign(self, receipt: bytes, key_id: str) -> bytes:
        """Ed25519 signature of a receipt that was stored under `key_id` (64 bytes).

        Raises StoreUnavailable while the key's file is missing.
        """
        if key_id in self._problems:
            raise StoreUnavailable(self._problems[key_id])
        return self._held[key_id].sign(receipt_string(audience=self._audience, key_id=key_id, receipt=receipt))

    def sign_statement(self, statement: bytes, *, closed_at_ms: int) -> tuple[str, bytes]:
        """The key in force when the statement's window was closed, and its signature, as the night made it.

        Raises StoreUnavailable while the key's file is missing.
        """
        if self._known() is not self._seen:
            self.look()
        key_id = key_in_force(self._seen, closed_at_ms).key_id
        if key_id in self._problems:
            raise StoreUnavailable(self._problems[key_id])
        return key_id, self._held[key_id].sign(statement_string(audience=self._audience, key_id=key_id, statement=statement))

    def sign_if_held(self, receipt: bytes, key_id: str) -> bytes:
        """The same, or nothing: for what is committed already, and is signed again when it leaves."""
        return self.sign(receipt, key_id) if key_id in self._held else b""

    def _usable(self, now_ms: int) -> list[ReceiptKey]:
        # The first key is as old as the books: a clock that is behind books at their last commit, when it was valid.
        return [
            key
            for number, key in enumerate(self._seen)
            if key.key_id in self._held and not _has_ended(key, now_ms) and (number == 0 or key.valid_from_ms <= now_ms)
        ]

    def _read(self, key: ReceiptKey) -> None:
        try:
            private = self._load(key.key_id)
        except InvalidValue as error:
            self._do_without(key.key_id, str(error))
            return
        if private.public_bytes() != key.public_key:
            self._do_without(key.key_id, f"receipt key {key.key_id}: its file holds another key than the network published")
            return
        self._held[key.key_id] = private
        if self._problems.pop(key.key_id, None):
            self._note(f"receipt key {key.key_id}: its file is there now")

    def _do_without(self, key_id: str, problem: str) -> None:
        if self._problems.get(key_id) != problem:
            self._problems[key_id] = problem
            self._note(f"{problem}; receipts are signed by the key before, as long as it is valid")


def _has_ended(key: ReceiptKey, now_ms: int) -> bool:
    return key.valid_until_ms is not None and key.valid_until_ms < now_ms
