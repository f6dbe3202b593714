"""Why a command is not carried out: the closed set of reasons, and what is remembered of them."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Reason(enum.IntEnum):
    """As `ErrorReason` of the protos, number for number; a test compares. The book's own stand in order of precedence."""

    SIGNATURE_MISSING = 1
    SIGNATURE_PARAM_DUPLICATE = 2
    SIGNATURE_PARAM_MALFORMED = 3
    SIGNATURE_INVALID = 4
    SIGNATURE_TIME_OUT_OF_WINDOW = 5
    METHOD_NOT_ALLOWED_FOR_KEY = 6
    AUTH_FAILURES_LIMITED = 7
    RATE_LIMITED = 8
    MALFORMED_MESSAGE = 9
    UNKNOWN_FIELDS = 10
    INVALID_FIELDS = 11
    BATCH_TOO_LARGE = 12
    MESSAGE_COUNT = 13
    BODY_TIMEOUT = 14
    DEADLINE_REQUIRED = 15
    QUEUE_FULL = 16
    DRAINING = 17
    STORE_UNAVAILABLE = 18
    INTERNAL = 19
    PARTNER_MISMATCH = 20
    IDEMPOTENCY_KEY_REUSED = 21
    PARTNER_NOT_ACTIVE = 22
    EVENT_TIME_IN_FUTURE = 23
    EVENT_TOO_OLD = 24
    RATE_CARD_MISSING = 25
    RATE_VERSION_STALE = 26
    UNIT_UNSUPPORTED = 27
    OFFER_NOT_IN_FORCE = 28
    MEMBER_NOT_FOUND = 29
    CARD_ALREADY_ENROLLED = 30
    ENTRY_NOT_FOUND = 31
    ENTRY_NOT_REVERSIBLE = 32
    ALREADY_REVERSED = 33
    INSUFFICIENT_POINTS = 34
    BALANCE_LIMIT = 35
    NET_DEBIT_CAP_EXCEEDED = 36
    REQUEST_IN_PROGRESS = 37
    STATEMENT_NOT_FOUND = 38
    DEADLINE_PASSED = 39
    PAGE_TOKEN_INVALID = 40
    ROLE_NOT_HELD = 41
    HOLD_NOT_FOUND = 42
    HOLD_NOT_OPEN = 43
    REFUND_EXCEEDS_REST = 44
    RECEIPT_ALREADY_CLAIMED = 45
    BELOW_MINIMUM = 47
    NOT_A_MULTIPLE = 48
    ENTRY_LIMIT = 49
    MEMBER_DAILY_LIMIT = 50
    TERMINAL_DAILY_LIMIT = 51
    SPENDING_PAUSED = 52
    MEMBER_MERGED = 53
    IDENTIFIER_TAKEN = 54
    IDENTIFIER_NOT_FOUND = 55
    LAST_IDENTIFIER = 56
    MEMBER_NOT_PROVISIONAL = 57
    NOT_A_CHARITY = 58
    TOKEN_USED_OR_EXPIRED = 59
    MEMBER_ERASED = 67
    MEMBER_PROVISIONAL = 68
    EVENT_GAP = 60
    EVENT_TIME_NOT_MONOTONIC = 61
    FRAME_SIGNATURE_INVALID = 62
    TERMINAL_EQUIVOCATION = 63
    TERMINAL_FROZEN = 64
    OFFLINE_NOT_ALLOWED = 65
    MORE_THAN_TOTAL = 69
    MEMBER_HAS_HOLDS = 70
    RECORD_CHUNK_DIFFERS = 71
    RECORD_HASH_DIFFERS = 72
    INTAKE_QUOTA_EXCEEDED = 73
    STATEMENT_HASH_DIFFERS = 74
    DISPUTE_NOT_FOUND = 75
    DISPUTE_NOT_OPEN = 76
    DISPUTE_EXISTS = 77
    NOT_DISPUTABLE = 78


# Final refusals (FAILED_PRECONDITION): remembered for the same fingerprint, so that a delayed duplicate cannot book what
# the till was refused. All others either never reach the books or may be cured by time.
REMEMBERED = frozenset(
    {
        Reason.EVENT_TOO_OLD,
        Reason.RATE_CARD_MISSING,
        Reason.RATE_VERSION_STALE,
        Reason.OFFER_NOT_IN_FORCE,
        Reason.ENTRY_NOT_REVERSIBLE,
        Reason.ALREADY_REVERSED,
        Reason.INSUFFICIENT_POINTS,
        Reason.BALANCE_LIMIT,
        Reason.HOLD_NOT_OPEN,
        Reason.REFUND_EXCEEDS_REST,
        Reason.RECEIPT_ALREADY_CLAIMED,
        Reason.BELOW_MINIMUM,
        Reason.NOT_A_MULTIPLE,
        Reason.ENTRY_LIMIT,
        Reason.MORE_THAN_TOTAL,
        Reason.MEMBER_MERGED,
        Reason.LAST_IDENTIFIER,
        Reason.MEMBER_NOT_PROVISIONAL,
        Reason.NOT_A_CHARITY,
        Reason.TOKEN_USED_OR_EXPIRED,
        Reason.MEMBER_ERASED,
    }
)

# What time, or somebody, can cure. An event of a terminal's chain that gets such an answer waits for another one; every other
# answer is its last, and remembered, whatever it is: the chain goes on behind it, and a repeat must hear the same.
CURABLE = frozenset(
    {
        Reason.QUEUE_FULL,
        Reason.DRAINING,
        Reason.STORE_UNAVAILABLE,
        Reason.INTERNAL,
        Reason.PARTNER_NOT_ACTIVE,
        Reason.NET_DEBIT_CAP_EXCEEDED,
        Reason.REQUEST_IN_PROGRESS,
        Reason.DEADLINE_PASSED,
    }
)

# What a command that has happened is booked in spite of, with a warning: nobody can take the goods back.
OVERRIDDEN = frozenset(
    {
        Reason.PARTNER_NOT_ACTIVE,
        Reason.NET_DEBIT_CAP_EXCEEDED,
        Reason.MEMBER_DAILY_LIMIT,
        Reason.TERMINAL_DAILY_LIMIT,
    }
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A command that was not carried out, and the facts that help the caller."""

    reason: Reason
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_remembered(self) -> bool:
        """Whether the same command gets the same answer for ever."""
        return self.reason in REMEMBERED
