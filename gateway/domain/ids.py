"""Identifiers: their forms, how they are derived, and where a member's rows live."""

import functools
import hashlib
import re

from gateway.domain.errors import InvalidValue

BUCKETS = 1024  # fixed for ever: rows carry the bucket in their keys
OPERATOR = "operator"  # the party that books what nobody asked for, such as expiry, and that settles

PARTNER_ID = re.compile(r"[a-z0-9][a-z0-9-]{1,31}")
MEMBER_ID = re.compile(r"[a-z0-9_-]{1,64}")
ENTRY_ID = re.compile(r"e[0-9a-f]{32}")
IDEMPOTENCY_KEY = re.compile(r"[A-Za-z0-9._:/-]{1,64}")
LINE_ID = re.compile(r"[A-Za-z0-9._:/-]{1,32}")
CARD_NUMBER = re.compile(r"[A-Za-z0-9-]{4,32}")
KEY_ID = re.compile(r"[a-z0-9][a-z0-9-]{1,31}/[A-Za-z0-9][A-Za-z0-9._-]{0,31}/[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
OPERATOR_ID = re.compile(r"[a-z0-9][a-z0-9-]{1,31}")


def check_partner_id(text: str) -> str:
    """Returns the id; raises InvalidValue if it is not of its form, or is kept for the operator."""
    if PARTNER_ID.fullmatch(text) is None or text == OPERATOR:
        raise InvalidValue(f"partner id {text!r}: must be 2 to 32 characters of a-z, 0-9 and -, and not {OPERATOR!r}")
    return text


def check_key_id(text: str) -> tuple[str, str, str]:
    """Splits partner/terminal/key; raises InvalidValue if it is not of its form."""
    if KEY_ID.fullmatch(text) is None:
        raise InvalidValue(f"key id {text!r}: must be partner/terminal/key, such as acme/till-1/2026a")
    partner_id, terminal, key = text.split("/")
    return partner_id, terminal, key


@functools.lru_cache(maxsize=4096)  # asked for several times while a command is carried out
def entry_id(partner_id: str, idempotency_key: str) -> str:
    """The id of the entry that a command books; derived, so that a repeat finds the same one."""
    return "e" + _digest("TS1-ENTRY", partner_id, idempotency_key)


def counter_entry_id(of_entry_id: str) -> str:
    """The id of the other side of a transfer or of a merge."""
    return "e" + _digest("TS1-COUNTER-ENTRY", of_entry_id)


def leg_entry_id(head_entry_id: str, number: int) -> str:
    """The id of a further entry of a command, from 1."""
    return "e" + _digest("TS1-LEG", head_entry_id, str(number))


def onward_entry_id(of_entry_id: str) -> str:
    """The id of the entry that moves on what an entry of a merged member's has left there."""
    return "e" + _digest("TS1-ONWARD-ENTRY", of_entry_id)


def member_id(partner_id: str, idempotency_key: str) -> str:
    """The id of the member that an enrolment makes."""
    return "m" + _digest("TS1-MEMBER", partner_id, idempotency_key)


def bucket_of(member: str) -> int:
    """Where a member's rows live: 0 to 1023, fixed for ever."""
    return int.from_bytes(hashlib.sha256(member.encode()).digest()[:2], "big") % BUCKETS


def _digest(*parts: str) -> str:
    # Half of the hash: nobody finds a second pair of partner and key for a given id, which is all that is asked of it.
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
