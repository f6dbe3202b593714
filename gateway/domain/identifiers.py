"""What names a member beside its id: kinds, forms, the keyed hash that is stored, and the few characters that may be shown."""

import enum
import functools
import hashlib
import hmac
import re
from dataclasses import dataclass

from gateway.domain.canonical import canonical_hash
from gateway.domain.ids import CARD_NUMBER
from gateway.domain.units import div_floor

IDENTIFIERS_MAX = 20  # of a member: all of them are shown at once, and moved in one batch
LANGUAGE = re.compile(r"[a-z]{2}")  # in which there are texts, the edge knows: a language is added by a file of them
IDENTIFIER_ID = re.compile(r"[0-9a-f]{16}")

_SHOWN_MAX = 4
_SHOWN_PART = 4  # never more than this part of the whole: a short number is not given away by its end


class IdentifierKind(enum.StrEnum):
    """What an identifier is. The name is stored, and separates the hashes of the kinds."""

    CARD = "card"
    PHONE = "phone"
    EMAIL = "email"
    QR = "qr"
    TOKEN = "token"  # noqa: S105 - a kind, not a secret


_FORMS = {
    IdentifierKind.CARD: CARD_NUMBER,
    IdentifierKind.PHONE: re.compile(r"\+[1-9][0-9]{6,14}"),
    IdentifierKind.EMAIL: re.compile(
        r"(?=.{3,254}\Z)[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+"
    ),
    IdentifierKind.QR: re.compile(r"[!-~]{8,256}"),
    IdentifierKind.TOKEN: re.compile(r"[A-Za-z0-9._~-]{16,128}"),
}

FORMS_SAID = {
    IdentifierKind.CARD: "4 to 32 characters of [A-Za-z0-9-]",
    IdentifierKind.PHONE: "E.164: +, then 7 to 15 digits",
    IdentifierKind.EMAIL: "an e-mail address of up to 254 characters",
    IdentifierKind.QR: "8 to 256 printable ASCII characters",
    IdentifierKind.TOKEN: "16 to 128 characters of [A-Za-z0-9._~-]",
}


@dataclass(frozen=True, slots=True)
class Identifier:
    """An identifier as a command carries it: its keyed hash in hex, and the end of it that may be shown.

    `valid_until_ms`: of a one-time token, unix milliseconds; 0 for all others.
    """

    kind: IdentifierKind
    identifier_hash: str
    tail: str = ""
    valid_until_ms: int = 0

    def commitment(self) -> str:
        """What the entry that gives it to a member says of it: one-way, so that it may stay when the row goes. Hex."""
        return canonical_hash(["TS1-IDENTIFIER", self.kind.value, self.identifier_hash, self.tail, self.valid_until_ms]).hex()


def normalised(kind: IdentifierKind, value: str) -> str | None:
    """The one form of an identifier that is hashed; None if it is not of its kind's form."""
    text = value.lower() if kind is IdentifierKind.EMAIL else value
    return text if _FORMS[kind].fullmatch(text) else None


def identifier_hash(key: bytes, kind: IdentifierKind, normal_form: str) -> bytes:
    """What is stored: HMAC-SHA256 under the network's own key, apart for each kind (32 bytes)."""
    keyed = _keyed(key, kind).copy()
    keyed.update(normal_form.encode())
    return keyed.digest()


def tail_of(kind: IdentifierKind, normal_form: str) -> str:
    """What is stored to be shown: at most the last four characters, never more than a quarter; of e-mail, before the @."""
    if kind is IdentifierKind.TOKEN:
        return ""
    telling = normal_form.partition("@")[0] if kind is IdentifierKind.EMAIL else normal_form
    shown = min(_SHOWN_MAX, div_floor(len(telling), _SHOWN_PART))
    return telling[len(telling) - shown :]


def masked(kind: IdentifierKind, tail: str) -> str:
    """As it is shown: an ellipsis and the end of it."""
    return f"…{tail}@…" if kind is IdentifierKind.EMAIL else f"…{tail}"


def identifier_id(hash_hex: str) -> str:
    """Names an identifier to whoever has not got it: tells nothing of it, and finds it among those of one member."""
    return hashlib.sha256(b"TS1-IDENTIFIER-ID\n" + hash_hex.encode()).hexdigest()[:16]


def token_use_commitment(hash_hex: str) -> str:
    """What the entry that used up a one-time token says of it. Hex."""
    return canonical_hash(["TS1-TOKEN-USED", hash_hex]).hex()


@functools.lru_cache(maxsize=8 * len(IdentifierKind))  # a network has one key; setting one up costs more than hashing
def _keyed(key: bytes, kind: IdentifierKind) -> hmac.HMAC:
    return hmac.new(key, f"TS1-{kind.name}\n".encode(), "sha256")
