"""Signs receipts when they leave. The signature is deterministic, so a repeat gives the same bytes."""

from collections.abc import Mapping

from gateway.domain.signing import PrivateKey, receipt_string


class ReceiptSigner:
    """Holds the network's receipt keys by id; `current_key_id` signs new receipts, the others old ones that are sent again."""

    def __init__(self, *, audience: str, keys: Mapping[str, PrivateKey], current_key_id: str) -> None:
        """Raises KeyError if the current key is not among the keys."""
        self._audience = audience
        self._keys = dict(keys)
        self._keys[current_key_id]  # fails at the start, not at the first receipt
        self.current_key_id = current_key_id

    def sign(self, receipt: bytes, key_id: str) -> bytes:
        """Ed25519 signature of a receipt that was stored under `key_id` (64 bytes)."""
        return self._keys[key_id].sign(receipt_string(audience=self._audience, key_id=key_id, receipt=receipt))
