"""Page tokens: where the next page starts, authenticated, so that only tokens that a gateway gave are taken.

A token belongs to one partner and one question; gateways share the secret, so any of them can go on with it.
"""

import base64
import binascii
import hmac

from gateway.domain.outcome import Reason
from gateway.edge.refused import reject

_MAC_BYTES = 12


class PageTokens:
    """Makes and reads tokens of a few integers."""

    def __init__(self, secret: bytes) -> None:
        """`secret` is the network's own."""
        self._secret = hmac.digest(secret, b"TS1-PAGE-TOKENS", "sha256")

    def make(self, place: tuple[int, ...], *question: str) -> str:
        """A token for the place after which the next page starts."""
        text = ",".join(map(str, place))
        return base64.urlsafe_b64encode(self._mac(text, question) + text.encode()).decode().rstrip("=")

    def read(self, token: str, *question: str) -> tuple[int, ...] | None:
        """The place; None for the empty token of a first page. Raises CallRejected: PAGE_TOKEN_INVALID."""
        if not token:
            return None
        try:
            content = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            mac, text = content[:_MAC_BYTES], content[_MAC_BYTES:].decode("ascii")
        except (binascii.Error, ValueError):
            raise reject(Reason.PAGE_TOKEN_INVALID) from None
        if not hmac.compare_digest(mac, self._mac(text, question)):
            raise reject(Reason.PAGE_TOKEN_INVALID)
        return tuple(map(int, text.split(",")))

    def _mac(self, text: str, question: tuple[str, ...]) -> bytes:
        return hmac.digest(self._secret, "\n".join((*question, text)).encode(), "sha256")[:_MAC_BYTES]
