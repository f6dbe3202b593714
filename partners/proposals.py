"""Makes the documents of decisions about partners, each on the base that is in force now, and proposes them.

All take a connection that may write, who proposes, and the time; all raise DecisionRefused or InvalidValue.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from gateway.domain.canonical import Plain
from gateway.domain.decision import Decision, DecisionKind
from gateway.domain.derivation import Consent
from gateway.domain.documents import key_plain, offer_plain, operator_plain, partner_limits_plain, rate_card_plain
from gateway.domain.errors import DecisionRefused, InvalidValue
from gateway.domain.ids import OPERATOR, OPERATOR_ID
from gateway.domain.limits import PartnerLimits
from gateway.domain.partner import PartnerStatus
from gateway.domain.signing import Algorithm, check_public_key
from gateway.domain.terms import Offer, RateCard
from gateway.domain.units import INT64_MAX
from gateway.governance import Hand, propose, propose_founder
from gateway.storage.directory import load_operators
from partners.conformance_rule import conformance_rule
from partners.key_request import KeyRequest
from partners.rulings import RULINGS
from partners.rulings_limits import last_limits
from partners.rulings_partner import known_standing, load_currency
from partners.rulings_terminals import known_terminal
from partners.rulings_terms import last_card

FOUNDERS = 2
NAME_MAX = 100
_STATUS_KINDS = {
    PartnerStatus.SUSPENDED: DecisionKind.SUSPEND_PARTNER,
    PartnerStatus.ACTIVE: DecisionKind.RESUME_PARTNER,
    PartnerStatus.CLOSED: DecisionKind.CLOSE_PARTNER,
}


def add_operator(
    connection: Connection, operator_id: str, *, name: str, algorithm: Algorithm, public_key: bytes, hand: Hand, now_ms: int
) -> Decision:
    """The first two found the network and sign for themselves; later ones are proposed by one operator to another."""
    if OPERATOR_ID.fullmatch(operator_id) is None or operator_id == OPERATOR:
        raise InvalidValue(f"operator id {operator_id!r}: must be 2 to 32 characters of a-z, 0-9 and -, and not {OPERATOR!r}")
    if not (0 < len(name) <= NAME_MAX and name.isprintable()):
        raise InvalidValue(f"name: must be 1 to {NAME_MAX} printable characters")
    try:
        check_public_key(algorithm, public_key)
    except InvalidValue as error:
        raise DecisionRefused("WEAK_PUBLIC_KEY", str(error)) from None
    document: dict[str, Plain] = {
        "base": "",
        **operator_plain(operator_id=operator_id, name=name, algorithm=algorithm, public_key=public_key),
    }
    is_founding = len(load_operators(connection)) < FOUNDERS and hand.operator_id == operator_id
    if is_founding:
        if (hand.key.algorithm, hand.key.public_bytes()) != (algorithm, public_key):
            raise DecisionRefused("OPERATOR_KEY_MISMATCH", "a founding operator signs with the key that it brings")
        return propose_founder(connection, RULINGS, document, hand=hand, now_ms=now_ms)
    return propose(connection, RULINGS, DecisionKind.ADD_OPERATOR, document, hand=hand, now_ms=now_ms)


def change_status(connection: Connection, partner_id: str, target: PartnerStatus, *, hand: Hand, now_ms: int) -> Decision | None:
    """Suspends or resumes at once, or proposes to close. None: the partner stands there already."""
    standing = known_standing(connection, partner_id)
    if standing.status is target:
        return None
    document = {"base": standing.decision_id, "partner_id": partner_id}
    return propose(connection, RULINGS, _STATUS_KINDS[target], document, hand=hand, now_ms=now_ms)


def propose_activation(
    connection: Connection, partner_id: str, shown: Mapping[str, Plain], *, hand: Hand, now_ms: int
) -> Decision:
    """To let a partner that rehearses begin. `shown` is `conformance`, as `passed_plain` writes it, or `override`, a reason."""
    base = known_standing(connection, partner_id).decision_id
    document: dict[str, Plain] = {"base": base, "partner_id": partner_id, **shown}
    return propose(connection, RULINGS, DecisionKind.ACTIVATE_PARTNER, document, hand=hand, now_ms=now_ms)


def propose_rule(connection: Connection, *, is_required: bool, hand: Hand, now_ms: int) -> Decision | None:
    """That new partners rehearse, or no longer. None: it is so already."""
    base, is_so = conformance_rule(connection)
    if is_so is is_required:
        return None
    document: dict[str, Plain] = {"base": base, "is_required": is_required}
    return propose(connection, RULINGS, DecisionKind.CONFORMANCE_RULE, document, hand=hand, now_ms=now_ms)


def propose_cap(connection: Connection, partner_id: str, cap: int | None, *, hand: Hand, now_ms: int) -> Decision:
    """`cap` in minor units of the partner's settlement currency; None: no cap."""
    if cap is not None and not 0 <= cap <= INT64_MAX // 1_000_000:
        raise InvalidValue("cap: is out of range")
    document: dict[str, Plain] = {
        "base": known_standing(connection, partner_id).decision_id,
        "partner_id": partner_id,
        "net_debit_cap": cap,
        "currency": load_currency(connection, partner_id),
    }
    return propose(connection, RULINGS, DecisionKind.NET_DEBIT_CAP, document, hand=hand, now_ms=now_ms)


def propose_rate_card(connection: Connection, card: RateCard, *, hand: Hand, now_ms: int) -> Decision:
    """`card` is the next version, as `next_version` says."""
    last = last_card(connection, card.partner_id)
    document: dict[str, Plain] = {"base": last.decision_id if last else "", "rate_card": rate_card_plain(card)}
    return propose(connection, RULINGS, DecisionKind.RATE_CARD, document, hand=hand, now_ms=now_ms)


def propose_limits(connection: Connection, own: PartnerLimits, *, hand: Hand, now_ms: int) -> Decision:
    """`own` is the partner's next version."""
    last = last_limits(connection, own.partner_id)
    document: dict[str, Plain] = {"base": last.decision_id if last else "", "partner_limits": partner_limits_plain(own)}
    return propose(connection, RULINGS, DecisionKind.PARTNER_LIMITS, document, hand=hand, now_ms=now_ms)


def next_version(connection: Connection, partner_id: str) -> int:
    """The version that a partner's next rate card gets."""
    known_standing(connection, partner_id)
    last = last_card(connection, partner_id)
    return 1 if last is None else last.version + 1


def propose_offer(connection: Connection, offer: Offer, consents: Sequence[Consent], *, hand: Hand, now_ms: int) -> Decision:
    """With the signed consents of all who fund it."""
    signed: list[Mapping[str, Plain]] = [
        {"partner_id": consent.partner_id, "key_id": consent.key_id, "signature": consent.signature.hex()} for consent in consents
    ]
    document: dict[str, Plain] = {"base": "", "offer": offer_plain(offer), "consents": signed}
    return propose(connection, RULINGS, DecisionKind.OFFER, document, hand=hand, now_ms=now_ms)


def add_key(connection: Connection, request: KeyRequest, *, hand: Hand, now_ms: int) -> Decision:
    """A further key of a partner, at once. `request` is in order, as `parse_key_request` says."""
    key = request.key
    partner_id = key.key_id.split("/", maxsplit=1)[0]
    if known_standing(connection, partner_id).status in (PartnerStatus.CLOSED, PartnerStatus.APPLIED):
        raise DecisionRefused("NOT_POSSIBLE", f"{partner_id} is neither active nor suspended")
    plain = key_plain(key_id=key.key_id, algorithm=key.algorithm, public_key=key.public_key, scopes=key.scopes)
    document: dict[str, Plain] = {"base": "", "key": plain, "proof": request.signature.hex()}
    return propose(connection, RULINGS, DecisionKind.ADD_KEY, document, hand=hand, now_ms=now_ms)


def retire_key(connection: Connection, key_id: str, retired_at_ms: int, *, hand: Hand, now_ms: int) -> Decision:
    """The key signs until then, in unix milliseconds: time for its successor to take over."""
    document: dict[str, Plain] = {"base": "", "key_id": key_id, "retired_at_ms": max(retired_at_ms, now_ms)}
    return propose(connection, RULINGS, DecisionKind.RETIRE_KEY, document, hand=hand, now_ms=now_ms)


def revoke_key(connection: Connection, key_id: str, *, hand: Hand, now_ms: int) -> Decision:
    """The key is refused at once, for ever."""
    document: dict[str, Plain] = {"base": "", "key_id": key_id}
    return propose(connection, RULINGS, DecisionKind.REVOKE_KEY, document, hand=hand, now_ms=now_ms)


def release_terminal(connection: Connection, terminal_id: str, *, hand: Hand, now_ms: int) -> Decision:
    """A frozen terminal goes on, at once; what froze it stays in evidence."""
    document: dict[str, Plain] = {
        "base": "",
        "terminal_id": terminal_id,
        "conflicts": known_terminal(connection, terminal_id).conflicts,
    }
    return propose(connection, RULINGS, DecisionKind.RELEASE_TERMINAL, document, hand=hand, now_ms=now_ms)
