"""Who a member is: enrol, confirm, identifiers, pause, erase. Entries without postings that commit to what they say."""

from gateway.domain.command import AddIdentifier, Command, Confirm, Enrol, Erase, Pause, RemoveIdentifier, Resume
from gateway.domain.draft import Draft
from gateway.domain.entry import EntryKind
from gateway.domain.identifiers import IDENTIFIERS_MAX, Identifier, IdentifierKind
from gateway.domain.ids import bucket_of, member_id
from gateway.domain.lot import MemberAccount
from gateway.domain.member import KnownIdentifier, MemberStatus, standing_commitment, with_facts
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.rules_standing import present_member
from gateway.domain.working import WorkingSet


def decide_enrol(work: WorkingSet, command: Enrol) -> list[Draft] | Refusal:
    """An empty account. Refused with CARD_ALREADY_ENROLLED (of a card), IDENTIFIER_TAKEN (of any other)."""
    first = command.first_identifier
    if first.identifier_hash in work.identifiers:
        is_card = first.kind is IdentifierKind.CARD
        return Refusal(Reason.CARD_ALREADY_ENROLLED if is_card else Reason.IDENTIFIER_TAKEN)

    # From here on it must succeed.
    new_id = member_id(command.partner_id, command.idempotency_key)
    is_provisional, language = command.provisional is True, command.language or ""
    account = MemberAccount(
        member_id=new_id,
        bucket=bucket_of(new_id),
        enrolled_by=command.partner_id,
        open_points=0,
        debt_points=0,
        next_arrival=1,
        entries=0,
        status=MemberStatus.PROVISIONAL if is_provisional else MemberStatus.ACTIVE,
        language=language,
    )
    work.accounts[new_id] = account
    work.new_accounts.add(new_id)
    draft = _draft(work, command, account, EntryKind.ENROL)
    _give(draft, first)
    if is_provisional or language:
        _commit_to(draft, "standing", standing_commitment(is_provisional=is_provisional, language=language))
    return [draft]


def decide_confirm(work: WorkingSet, command: Confirm) -> list[Draft] | Refusal:
    """Confirms, or changes the language.

    Refusals in order: MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED, MEMBER_ERASED, MEMBER_NOT_PROVISIONAL.
    """
    account = present_member(work, command.member)
    if isinstance(account, Refusal):
        return account
    if account.status != MemberStatus.PROVISIONAL and command.language is None:
        return Refusal(Reason.MEMBER_NOT_PROVISIONAL)

    # From here on it must succeed.
    account.status = MemberStatus.ACTIVE
    account.language = command.language or account.language
    draft = _draft(work, command, account, EntryKind.CONFIRM_MEMBER)
    _commit_to(draft, "standing", standing_commitment(is_provisional=False, language=account.language))
    return [draft]


def decide_add_identifier(work: WorkingSet, command: AddIdentifier) -> list[Draft] | Refusal:
    """One more identifier; a new token takes the place of the oldest one.

    Refusals in order: MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED (also if the new token's time is over), MEMBER_ERASED,
    IDENTIFIER_TAKEN, BALANCE_LIMIT.
    """
    account = present_member(work, command.member)
    if isinstance(account, Refusal):
        return account
    given = command.identifier
    is_token = given.kind is IdentifierKind.TOKEN
    if is_token and given.valid_until_ms < work.at_ms:
        return Refusal(Reason.TOKEN_USED_OR_EXPIRED, {"server_time_ms": str(work.at_ms)})
    if given.identifier_hash in work.identifiers:
        return Refusal(Reason.IDENTIFIER_TAKEN)
    present = work.identifiers_of(account.member_id)
    tokens = [known for known in present if known.is_token]
    if len(present) >= IDENTIFIERS_MAX and not (is_token and tokens):
        return Refusal(Reason.BALANCE_LIMIT, {"identifiers_max": str(IDENTIFIERS_MAX)})

    # From here on it must succeed.
    draft = _draft(work, command, account, EntryKind.ADD_IDENTIFIER)
    if is_token and tokens:
        oldest = min(tokens, key=lambda known: (known.valid_until_ms, known.identifier_hash))
        draft.original_entry_id = oldest.entry_id
        work.remove_identifier(oldest)
    _give(draft, given)
    return [draft]


def decide_remove_identifier(work: WorkingSet, command: RemoveIdentifier) -> list[Draft] | Refusal:
    """One identifier less; one that lasts must stay.

    Refusals in order: MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED, MEMBER_ERASED, IDENTIFIER_NOT_FOUND, LAST_IDENTIFIER.
    """
    account = present_member(work, command.member)
    if isinstance(account, Refusal):
        return account
    present = work.identifiers_of(account.member_id)
    named = {command.identifier_hash, command.identifier_id} - {None}
    found = next((known for known in present if {known.identifier_hash, known.identifier_id} & named), None)
    if found is None:
        return Refusal(Reason.IDENTIFIER_NOT_FOUND)
    if not found.is_token and not any(known is not found and not known.is_token for known in present):
        return Refusal(Reason.LAST_IDENTIFIER)

    # From here on it must succeed.
    draft = _draft(work, command, account, EntryKind.REMOVE_IDENTIFIER)
    draft.original_entry_id = found.entry_id
    work.remove_identifier(found)
    return [draft]


def decide_pause(work: WorkingSet, command: Pause) -> list[Draft] | Refusal:
    """No points are taken. Refusals in order: MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED, MEMBER_ERASED."""
    return _set_pause(work, command, EntryKind.PAUSE_SPENDING)


def decide_resume(work: WorkingSet, command: Resume) -> list[Draft] | Refusal:
    """Points are taken again. Refusals in order: MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED, MEMBER_ERASED."""
    return _set_pause(work, command, EntryKind.RESUME_SPENDING)


def decide_erase(work: WorkingSet, command: Erase) -> list[Draft] | Refusal:
    """The identity goes, points stay. Refusals in order: MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED, MEMBER_ERASED."""
    account = present_member(work, command.member)
    if isinstance(account, Refusal):
        return account

    # From here on it must succeed.
    for known in work.identifiers_of(account.member_id):
        work.remove_identifier(known)
    account.status, account.language = MemberStatus.ERASED, ""
    return [_draft(work, command, account, EntryKind.ERASE_MEMBER)]


def _set_pause(work: WorkingSet, command: Pause | Resume, kind: EntryKind) -> list[Draft] | Refusal:
    account = present_member(work, command.member)
    if isinstance(account, Refusal):
        return account

    # From here on it must succeed.
    account.is_paused = int(kind is EntryKind.PAUSE_SPENDING)
    return [_draft(work, command, account, kind)]


def _give(draft: Draft, given: Identifier) -> None:
    draft.work.add_identifier(
        KnownIdentifier(
            identifier_hash=given.identifier_hash,
            kind=given.kind,
            member_id=draft.account.member_id,
            tail=given.tail,
            valid_until_ms=given.valid_until_ms,
            entry_id=draft.entry_id,
            used_by="",
        )
    )
    _commit_to(draft, "identifier", given.commitment())


def _commit_to(draft: Draft, name: str, commitment: str) -> None:
    draft.facts = with_facts(draft.facts, {name: commitment})


def _draft(work: WorkingSet, command: Command, account: MemberAccount, kind: EntryKind) -> Draft:
    return Draft(
        work=work,
        account=account,
        entry_id=command.entry_id,
        kind=kind,
        business_date=work.today(command.partner_id).isoformat(),
        occurred_at_ms=work.at_ms,
    )
