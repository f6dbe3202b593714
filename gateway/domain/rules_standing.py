"""Whether a member may get points, and whether points of it may be taken: what every rule that names a member asks first."""

from gateway.domain.command import Command, MemberRef, member_refs
from gateway.domain.draft import Draft
from gateway.domain.identifiers import token_use_commitment
from gateway.domain.lot import MemberAccount
from gateway.domain.member import MemberStatus, with_facts
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.working import WorkingSet


def named_member(work: WorkingSet, ref: MemberRef, *, after: str = "") -> MemberAccount | Refusal:
    """The account that a reference names or leads to. A one-time token may have been used by the entry `after`, such as a hold.

    Refusals in order: MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED.
    """
    account = work.member(ref)
    if account is None:
        return Refusal(Reason.MEMBER_NOT_FOUND)
    known = work.identifier(ref)
    if known is not None and known.is_over(work.at_ms, after=after):
        return Refusal(Reason.TOKEN_USED_OR_EXPIRED)
    return account


def present_member(work: WorkingSet, ref: MemberRef, *, after: str = "") -> MemberAccount | Refusal:
    """The same, of a member that something new may be booked for. Then also MEMBER_ERASED."""
    account = named_member(work, ref, after=after)
    if isinstance(account, Refusal):
        return account
    return Refusal(Reason.MEMBER_ERASED) if account.status == MemberStatus.ERASED else account


def giving_member(work: WorkingSet, ref: MemberRef, *, after: str = "") -> MemberAccount | Refusal:
    """The same, if points of it may be taken. Then also MEMBER_PROVISIONAL, SPENDING_PAUSED."""
    account = present_member(work, ref, after=after)
    if isinstance(account, Refusal):
        return account
    if account.status == MemberStatus.PROVISIONAL:
        return Refusal(Reason.MEMBER_PROVISIONAL)
    return Refusal(Reason.SPENDING_PAUSED) if account.is_paused else account


def use_tokens(work: WorkingSet, command: Command, draft: Draft) -> None:
    """The one-time tokens by which a command named its members are used up by the first entry that it books."""
    used: list[str] = []
    for ref in member_refs(command):
        known = work.identifier(ref)
        if known is not None and known.is_token and not known.used_by:
            known.used_by = draft.entry_id
            work.change_identifier(known)
            used.append(token_use_commitment(known.identifier_hash))
    if used:
        draft.facts = with_facts(draft.facts, {"tokens": used})
