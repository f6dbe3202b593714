"""What a till or an office can ask about members, as messages. Pure: nothing is sent here."""

from collections.abc import Sequence

from gateway.domain.identifiers import FORMS_SAID, IDENTIFIER_ID, IdentifierKind, normalised
from partners.pos.errors import PosError
from partners.pos.requests import check_language
from tallystick.v1 import member_pb2, types_pb2


def identifier(kind: str, value: str) -> types_pb2.Identifier:
    """An identifier of a kind: card, phone, email, qr or token. Raises PosError if it is not of its form."""
    try:
        known = IdentifierKind(kind)
    except ValueError:
        raise PosError(f"identifier {kind!r}: must be one of {', '.join(IdentifierKind)}") from None
    if normalised(known, value) is None:
        raise PosError(f"{kind}: must be {FORMS_SAID[known]}")
    return types_pb2.Identifier(kind=types_pb2.IdentifierKind.Value(f"IDENTIFIER_KIND_{known.name}"), value=value)


def identified(kind: str, value: str) -> types_pb2.MemberRef:
    """A member by an identifier of a kind. Raises PosError if it is not of its form."""
    return types_pb2.MemberRef(identifier=identifier(kind, value))


def confirm(who: types_pb2.MemberRef, *, key: str, language: str = "") -> member_pb2.ConfirmMemberRequest:
    """Confirm a provisional member, or change a member's language."""
    return member_pb2.ConfirmMemberRequest(idempotency_key=key, member=who, language=check_language(language))


def add_identifier(
    who: types_pb2.MemberRef, added: types_pb2.Identifier, *, key: str, valid_until_ms: int = 0
) -> member_pb2.AddIdentifierRequest:
    """Give a member another identifier; a one-time token with the end of its validity, in unix milliseconds."""
    return member_pb2.AddIdentifierRequest(idempotency_key=key, member=who, identifier=added, valid_until_ms=valid_until_ms)


def remove_identifier(
    who: types_pb2.MemberRef, removed: str | types_pb2.Identifier, *, key: str
) -> member_pb2.RemoveIdentifierRequest:
    """Take an identifier from a member: by itself, or by the id that `look_up` shows."""
    request = member_pb2.RemoveIdentifierRequest(idempotency_key=key, member=who)
    if not isinstance(removed, str):
        request.identifier.CopyFrom(removed)
    elif IDENTIFIER_ID.fullmatch(removed) is None:
        raise PosError(f"identifier id {removed!r}: must be 16 characters of 0-9 and a-f")
    else:
        request.identifier_id = removed
    return request


def donate(
    who: types_pb2.MemberRef,
    charity_id: str,
    points: int,
    *,
    key: str,
    receipt_number: str = "",
    occurred_at_ms: int | None = None,
) -> member_pb2.DonatePointsRequest:
    """Give points to a charity."""
    return member_pb2.DonatePointsRequest(
        idempotency_key=key,
        member=who,
        charity_id=charity_id,
        points=points,
        receipt_number=receipt_number,
        occurred_at_ms=occurred_at_ms,
    )


def pause(who: types_pb2.MemberRef, *, key: str) -> member_pb2.PauseSpendingRequest:
    """Stop that points of a member are taken."""
    return member_pb2.PauseSpendingRequest(idempotency_key=key, member=who)


def resume(who: types_pb2.MemberRef, *, key: str) -> member_pb2.ResumeSpendingRequest:
    """End a pause."""
    return member_pb2.ResumeSpendingRequest(idempotency_key=key, member=who)


def merge(source: types_pb2.MemberRef, target: types_pb2.MemberRef, *, key: str) -> member_pb2.MergeMembersRequest:
    """Make one member of two; the source's id leads to the target from then on."""
    return member_pb2.MergeMembersRequest(idempotency_key=key, source=source, target=target)


def erase(who: types_pb2.MemberRef, *, key: str) -> member_pb2.EraseMemberRequest:
    """Erase who a member is."""
    return member_pb2.EraseMemberRequest(idempotency_key=key, member=who)


def look_up(who: types_pb2.MemberRef) -> member_pb2.LookUpMemberRequest:
    """Ask who somebody is. Refused: MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED."""
    return member_pb2.LookUpMemberRequest(member=who)


def lots(who: types_pb2.MemberRef) -> member_pb2.ListLotsRequest:
    """Ask for the member's open lots, in the order in which they are taken."""
    return member_pb2.ListLotsRequest(member=who, page_size=200)


def export(who: types_pb2.MemberRef, *, page_token: str = "") -> member_pb2.ExportMemberRequest:
    """Ask for a page of what is stored about a member; needs a key with the scope `office`."""
    return member_pb2.ExportMemberRequest(member=who, page_token=page_token)


def entries(
    who: types_pb2.MemberRef,
    *,
    kinds: Sequence[str] = (),
    first_business_date: str = "",
    last_business_date: str = "",
    receipt_number: str = "",
) -> member_pb2.ListEntriesRequest:
    """Ask for the partner's own entries of a member; kinds by their names, such as "issue" and "merge_out"."""
    try:
        numbers = [types_pb2.EntryKind.Value(f"ENTRY_KIND_{kind.upper()}") for kind in kinds]
    except ValueError as error:
        raise PosError(f"kind of entry: {error}") from None
    return member_pb2.ListEntriesRequest(
        member=who,
        kinds=numbers,
        first_business_date=first_business_date,
        last_business_date=last_business_date,
        receipt_number=receipt_number,
        page_size=200,
    )
