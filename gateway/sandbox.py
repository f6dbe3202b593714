"""The sandbox's one table: members and partners with which a vendor tries what seldom happens, and what the till must do.

Pure values. What is a state of the books (no points, debt, a cap, a suspension) really stands in them, by ordinary entries
and decisions; only what cannot be one (slow, unavailable once) is staged, in `gateway.sandbox_path`.
"""

import enum
import functools
import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway.domain.ids import member_id
from gateway.domain.limits import NO_LIMITS, Limits
from gateway.domain.outcome import Reason

AUDIENCE = "vendors.example:sandbox"
AUDIENCE_END = ":sandbox"  # a receipt says by it that it is worth nothing
CURRENCY = "EUR"
TIME_ZONE = "Europe/Berlin"
EXPIRY = "after 60 days"  # so that answers have points that expire soon
HOUSE = "house"  # the partner that keeps members as the table says
TERMINAL = "till-1/test"
PLENTY = 100_000  # points


class Stage(enum.Enum):
    """What is staged around a command."""

    SLOW = "slow"
    ANSWER_LOST = "answer lost"
    NO_ANSWER = "no answer"
    HOLD_ENDED = "hold ended"
    CARD_STALE = "card stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberCase:
    """A member by its card. `does` tells what the gateway does, `till` what the till must do.

    The books hold `points` and `debt` of it before each command, and whether its spending is paused. `stage`; or
    `refuses_once`, the refusal of the first attempt of each key; or `refuses`, that of all that issues or takes points.
    """

    card: str
    does: str
    till: str
    points: int = PLENTY
    debt: int = 0
    is_paused: bool = False
    stage: Stage | None = None
    refuses_once: Reason | None = None
    refuses: Reason | None = None

    @property
    def enrolment_key(self) -> str:
        """With which the house enrols the member."""
        return f"sandbox/enrol/{self.card}"

    @property
    def member_id(self) -> str:
        """The same in each sandbox: it is derived from who enrolled the member, by which key."""
        return member_id(HOUSE, self.enrolment_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerCase:
    """A partner with a published test key. `cap` in major units; None: none. `limits` are its own."""

    partner_id: str
    issue_rate: str
    face_value: str
    does: str
    till: str
    cap: str | None = None
    limits: Limits = NO_LIMITS
    is_charity: bool = False
    is_suspended: bool = False
    is_published: bool = True

    @property
    def key_id(self) -> str:
        """Of its test key."""
        return f"{self.partner_id}/{TERMINAL}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineCase:
    """What becomes of an event that a till sends with SubmitOffline, and what the till must do."""

    event: str
    does: str
    till: str


def published_key(partner_id: str) -> ed25519.Ed25519PrivateKey:
    """A partner's test key: no secret at all, the same in each sandbox."""
    seed = hashlib.sha256(f"Tallystick sandbox test key of {partner_id}".encode()).digest()
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed)


def is_published(public_key: bytes) -> bool:
    """Whether everybody can sign with the key."""
    return public_key in _published_keys()


_REPEAT = "Send the same command again with the same key, after the time that RetryInfo names; it is booked."

_TOMORROW = "Let the member pay in money. The same key may be sent again after `resets_at_ms`; tell when that is."


def _once(card: str, reason: Reason, says: str, till: str = _REPEAT) -> MemberCase:
    """A member of whom the first attempt of each key is refused."""
    return MemberCase(card=card, refuses_once=reason, does=f"The first attempt of each key: {says}", till=till)


def _always(card: str, reason: Reason, says: str) -> MemberCase:
    """A member with whom nothing is issued and no points are taken, whatever the key."""
    does = f"What issues or takes points is refused with {reason.name}: {says}. Returns are not, nor what happened offline."
    return MemberCase(card=card, refuses=reason, does=does, till=_TOMORROW)


MEMBERS: tuple[MemberCase, ...] = (
    MemberCase(
        card="SANDBOX-RICH",
        does="Has points. Everything is booked.",
        till="Print the receipt, and verify its signature. Some of the points expire within 90 days: show it.",
    ),
    MemberCase(
        card="SANDBOX-INSUFFICIENT",
        points=0,
        does="Has no points: RedeemPoints, PlaceHold and a Checkout with points are refused with INSUFFICIENT_POINTS.",
        till="Let the member pay in money. The refusal is final for its key: do not repeat it, use a new key for another try.",
    ),
    MemberCase(
        card="SANDBOX-DEBT",
        points=0,
        debt=500,
        does="Owes 500 points: goods came back whose points were spent. What is issued pays the debt first.",
        till="Show the debt of the answer; do not show a negative balance as points to use.",
    ),
    MemberCase(
        card="SANDBOX-PAUSED",
        is_paused=True,
        does="Spending is paused: what takes points is refused with SPENDING_PAUSED. Points are issued.",
        till="Let the member pay in money, and refer it to the service desk. Do not repeat.",
    ),
    MemberCase(
        card="SANDBOX-LAPSED-HOLD",
        stage=Stage.HOLD_ENDED,
        does="A hold can be placed, and is over when a Checkout captures it or VoidHold ends it: HOLD_NOT_OPEN.",
        till="Place a new hold with a new key, or let the member pay in money. Points of the old hold are free again.",
    ),
    MemberCase(
        card="SANDBOX-STALE-RATE",
        stage=Stage.CARD_STALE,
        does="Commands with a rate card version are refused with RATE_VERSION_STALE, as if the card had just been replaced.",
        till="Read the rate card anew (GetPartner), price again, and send with a new key.",
    ),
    MemberCase(
        card="SANDBOX-SLOW",
        stage=Stage.SLOW,
        does="Each answer takes three seconds.",
        till="Wait: set a deadline of 10 seconds or more, keep the cashier informed, and do not send a second command meanwhile.",
    ),
    MemberCase(
        card="SANDBOX-LOST-ANSWER",
        stage=Stage.ANSWER_LOST,
        does="Books the first attempt of each key, and answers UNAVAILABLE all the same.",
        till="The outcome is unknown: send the same command with the same key. The receipt comes, marked `replayed`.",
    ),
    MemberCase(
        card="SANDBOX-NO-ANSWER",
        stage=Stage.NO_ANSWER,
        does="Books the first attempt of each key, and does not answer: the till sees DEADLINE_EXCEEDED.",
        till="As with SANDBOX-LOST-ANSWER. Never take a passed deadline for a no: the points may be gone.",
    ),
    _once("SANDBOX-UNAVAILABLE", Reason.STORE_UNAVAILABLE, "UNAVAILABLE with RetryInfo. Nothing was booked."),
    _once("SANDBOX-DRAINING", Reason.DRAINING, "UNAVAILABLE, reason DRAINING, as from a gateway that is being replaced."),
    _once("SANDBOX-QUEUE-FULL", Reason.QUEUE_FULL, "RESOURCE_EXHAUSTED with RetryInfo, reason QUEUE_FULL."),
    _once(
        "SANDBOX-IN-PROGRESS",
        Reason.REQUEST_IN_PROGRESS,
        "ABORTED with RetryInfo, as if the same key was being booked elsewhere.",
    ),
    _once(
        "SANDBOX-CLOCK",
        Reason.SIGNATURE_TIME_OUT_OF_WINDOW,
        "UNAUTHENTICATED, SIGNATURE_TIME_OUT_OF_WINDOW, with the server's time.",
        "Take the difference to `server_time_ms`, sign the same command anew with the corrected time, and send it.",
    ),
    _once(
        "SANDBOX-INTERNAL",
        Reason.INTERNAL,
        "INTERNAL with an `error_id`.",
        "Keep the `error_id` for the operator. Whether it was booked is unknown: send the same key again later.",
    ),
    _always("SANDBOX-MEMBER-LIMIT", Reason.MEMBER_DAILY_LIMIT, "as if the member had done enough for today"),
    _always("SANDBOX-TERMINAL-LIMIT", Reason.TERMINAL_DAILY_LIMIT, "as if the terminal had done enough for today"),
)

PARTNERS: tuple[PartnerCase, ...] = (
    PartnerCase(
        partner_id="meadow",
        issue_rate="1/2",
        face_value="1.00",
        does="A grocer: 1 point for 2 EUR, a point is worth 1 cent. Nothing is special.",
        till="Begin here.",
    ),
    PartnerCase(
        partner_id="quire",
        issue_rate="2",
        face_value="0.50",
        does="A book shop: 2 points for 1 EUR, a point is worth half a cent.",
        till="Where one system serves several merchants: sign each call with the key of the merchant, over one channel.",
    ),
    PartnerCase(
        partner_id="frost",
        issue_rate="1",
        face_value="1.00",
        is_suspended=True,
        does="Is suspended: each booking is refused with PARTNER_NOT_ACTIVE, and so is each call of SubmitOffline.",
        till="Sell without points, and tell the shop to call the operator. Do not repeat.",
    ),
    PartnerCase(
        partner_id="brim",
        issue_rate="1",
        face_value="1.00",
        cap="0.00",
        does="Has a net debit cap of nothing: what issues points is refused with NET_DEBIT_CAP_EXCEEDED. It redeems. What "
        "it sold offline is booked, with a warning.",
        till="Sell without points; the refusal is not final, and the same key may be sent again once the cap was raised.",
    ),
    PartnerCase(
        partner_id="ledge",
        issue_rate="1",
        face_value="1.00",
        limits=Limits(minimum_points=100, multiple_points=50, entry_points_max=1_000),
        does="Has limits: points are redeemed from 100 on (BELOW_MINIMUM), in multiples of 50 (NOT_A_MULTIPLE), and at most "
        "1,000 are redeemed or issued at once (ENTRY_LIMIT).",
        till="Ask for a quote, which obeys them, and offer what it says; GetPartner tells the limits. The refusals are final.",
    ),
    PartnerCase(
        partner_id="lantern",
        issue_rate="",
        face_value="1.00",
        is_charity=True,
        does="A charity, which takes donations at everybody's till: DonatePoints names it. It issues nothing.",
        till="Let a member give points to `lantern`; to any other partner that is refused with NOT_A_CHARITY.",
    ),
    PartnerCase(
        partner_id=HOUSE,
        issue_rate="100",
        face_value="1.00",
        does="Keeps the members as this table says.",
        till="",
        is_published=False,
    ),
)

OFFLINE: tuple[OfflineCase, ...] = (
    OfflineCase(
        event="of SANDBOX-LOST-ANSWER or SANDBOX-NO-ANSWER",
        does="Books it, like the others; but the first attempt of the call fails with UNAVAILABLE or DEADLINE_EXCEEDED.",
        till="Send the same events again: each gets its answer, those that were booked with `replayed`.",
    ),
    OfflineCase(
        event="of SANDBOX-UNAVAILABLE, -DRAINING, -QUEUE-FULL, -IN-PROGRESS or -INTERNAL",
        does="The first attempt of the call fails so, though the other events of it are booked.",
        till="Send the same events again, after the time that RetryInfo names.",
    ),
    OfflineCase(
        event="of a card that nobody has",
        does="Answers it with MEMBER_NOT_FOUND, signed, and books the events behind it.",
        till="Keep the answer, which is final, and go on.",
    ),
    OfflineCase(
        event="of a sale at `brim`",
        does="Books it, though the cap is reached: its `warnings` say NET_DEBIT_CAP_EXCEEDED.",
        till="Nothing. The operator sees the warning, too.",
    ),
    OfflineCase(
        event="behind one that was left out",
        does="Refuses the call with EVENT_GAP, which names the counter to go on with. Nothing is kept.",
        till="Send from that event on.",
    ),
    OfflineCase(
        event="from each of two copies of one queue",
        does="Refuses the second one with TERMINAL_EQUIVOCATION, and whatever the terminal sends then with TERMINAL_FROZEN.",
        till="Stop, and tell the operator. Here that is you: `partners terminal release`, in [operations.md](operations.md).",
    ),
)


@functools.cache
def _published_keys() -> frozenset[bytes]:
    names = (one.partner_id for one in PARTNERS if one.is_published)
    return frozenset(published_key(name).public_key().public_bytes_raw() for name in names)
