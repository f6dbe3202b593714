"""The audit of who members are: their standing as the entries made it, step by step, and each identifier they have."""

import json
import string
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from gateway.domain.command import Enrol
from gateway.domain.entry import Entry, EntryKind
from gateway.domain.identifiers import Identifier, IdentifierKind, token_use_commitment
from gateway.domain.member import MemberStatus, standing_commitment
from gateway.ledger.audit_failures import Difference, Failures
from gateway.ledger.audit_near import Near, is_system
from gateway.ledger.audit_rules_member import GIVES_IDENTIFIER
from gateway.storage import audit_members as reads

# What members may say of themselves is a small set: which of it an entry commits to is found by trying.
_STANDINGS = {
    standing_commitment(is_provisional=is_provisional, language=language): (is_provisional, language)
    for is_provisional in (True, False)
    for language in ("", *(one + two for one in string.ascii_lowercase for two in string.ascii_lowercase))
}
_GIVING = frozenset({EntryKind.REDEEM, EntryKind.TRANSFER_OUT, EntryKind.DONATE, EntryKind.PLACE_HOLD})
_NEW = _GIVING | {
    EntryKind.ISSUE,
    EntryKind.ADD_IDENTIFIER,
    EntryKind.REMOVE_IDENTIFIER,
    EntryKind.CONFIRM_MEMBER,
    EntryKind.PAUSE_SPENDING,
    EntryKind.RESUME_SPENDING,
    EntryKind.ERASE_MEMBER,
    EntryKind.TRANSFER_IN,
}


@dataclass(slots=True)
class MembersWalked:
    """How members stand after the entries that were walked along from the first one. Whoever is not in a table: as enrolled.

    `identifiers`: by how many a member has more or less than the one of its enrolment. `ended`: entries whose identifier was
    taken away. `token_uses`: entries by their commitment to a token that they used up.
    """

    statuses: dict[str, MemberStatus] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    languages: dict[str, str] = field(default_factory=dict)
    merged_into: dict[str, str] = field(default_factory=dict)
    identifiers: Counter[str] = field(default_factory=Counter)
    ended: set[str] = field(default_factory=set)
    token_uses: dict[str, str] = field(default_factory=dict)

    def follow(self, entry: Entry, near: Near) -> Iterator[Difference]:
        """Takes the next entry of a lane, and yields what its member's standing did not allow."""
        member_id, kind = entry.member_id, entry.kind
        status = self.statuses.get(member_id, MemberStatus.ACTIVE)
        gone = status in (MemberStatus.ERASED, MemberStatus.MERGED)
        yield "standing: new entry of a member that is erased or merged", False, gone and kind in _NEW
        if kind in _GIVING:
            may_give = status is MemberStatus.ACTIVE and member_id not in self.paused
            yield "standing: points taken of a confirmed member, not paused", True, may_give
        told = json.loads(entry.facts) if entry.facts else {}
        for use in told.get("tokens", ()):
            yield "tokens used up once", False, use in self.token_uses
            self.token_uses[use] = entry.entry_id
        if "standing" in told:
            yield "commitment to a standing that there is", True, told["standing"] in _STANDINGS
            is_provisional, language = _STANDINGS.get(told["standing"], (False, ""))
            self.languages[member_id] = language
            self._set_status(member_id, MemberStatus.PROVISIONAL if is_provisional else MemberStatus.ACTIVE)
        self._count(entry)
        self._change(entry, near)

    def language_of(self, member_id: str) -> str | None:
        """The member's language now. None of one that was merged: the other one's may be changed in another lane meanwhile."""
        is_merged = self.statuses.get(member_id) is MemberStatus.MERGED
        return None if is_merged else self.languages.get(member_id, "")

    def root(self, member_id: str) -> str:
        """The member that an id leads to."""
        seen = {member_id}
        while (following := self.merged_into.get(member_id)) is not None and following not in seen:
            seen.add(following)
            member_id = following
        return member_id

    def _count(self, entry: Entry) -> None:
        if entry.kind is EntryKind.ADD_IDENTIFIER:
            self.identifiers[entry.member_id] += 1
        if entry.kind in (EntryKind.ADD_IDENTIFIER, EntryKind.REMOVE_IDENTIFIER) and entry.original_entry_id:
            self.identifiers[entry.member_id] -= 1
            self.ended.add(entry.original_entry_id)

    def _change(self, entry: Entry, near: Near) -> None:
        member_id = entry.member_id
        match entry.kind:
            case EntryKind.PAUSE_SPENDING:
                self.paused.add(member_id)
            case EntryKind.RESUME_SPENDING:
                self.paused.discard(member_id)
            case EntryKind.ERASE_MEMBER:
                self._set_status(member_id, MemberStatus.ERASED)
                self.languages.pop(member_id, None)
            case EntryKind.MERGE_OUT if not is_system(entry):
                self._set_status(member_id, MemberStatus.MERGED)
                self.languages.pop(member_id, None)
            case EntryKind.MERGE_IN:
                given = near.originals.get(entry.original_entry_id)
                if given is not None and not is_system(given):
                    self.merged_into[given.member_id] = member_id
            case _:
                pass

    def _set_status(self, member_id: str, status: MemberStatus) -> None:
        if status is MemberStatus.ACTIVE:
            self.statuses.pop(member_id, None)
        else:
            self.statuses[member_id] = status


def prove_standings(connection: Connection, failures: Failures, walked: MembersWalked) -> None:
    """Each member's row, and how many identifiers it has; then each identifier."""
    counts = reads.identifier_counts(connection)
    leading: dict[str, list[str]] = {}
    for old_id in walked.merged_into:
        leading.setdefault(walked.root(old_id), []).append(old_id)
    for row in reads.stream_standings(connection):
        failures.compare(f"member {row.member_id}", _standing(row, walked, counts, leading.get(row.member_id, [])))
    for row in reads.stream_identifiers(connection):
        where = f"identifier {row.identifier_hash} of member {row.member_id}"
        with failures.reading(where):
            failures.compare(where, _identifier(row, walked))


def _standing(row: Any, walked: MembersWalked, counts: Mapping[str, int], old_ids: list[str]) -> Iterator[Difference]:
    member_id = row.member_id
    status = walked.statuses.get(member_id, MemberStatus.ACTIVE)
    yield "status", status.value, row.status
    yield "paused", int(member_id in walked.paused), row.is_paused
    yield "language", walked.languages.get(member_id, ""), row.language
    yield "merged into", walked.merged_into.get(member_id, ""), row.merged_into
    has_any = status not in (MemberStatus.ERASED, MemberStatus.MERGED)
    expected = sum(1 + walked.identifiers[one] for one in (member_id, *old_ids)) if has_any else 0
    yield "identifiers", expected, counts.get(member_id, 0)


def _identifier(row: Any, walked: MembersWalked) -> Iterator[Difference]:
    if row.kind_of_entry is None or row.kind_of_entry not in GIVES_IDENTIFIER:
        yield "entry that gave it", "one that gives an identifier", row.kind_of_entry
        return
    yield "member", walked.root(row.given_to), row.member_id
    yield "taken away", False, row.entry_id in walked.ended
    identifier = Identifier(IdentifierKind(row.kind), row.identifier_hash, row.tail, row.valid_until_ms)
    told = json.loads(row.facts) if row.facts else {}
    if told:
        yield "commitment of the entry", told.get("identifier"), identifier.commitment()
    else:
        # Enrolments from before there were other identifiers than cards name theirs in the fingerprint alone.
        asked = Enrol(partner_id="", key_id="", idempotency_key="", card_hash=row.identifier_hash).fingerprint()
        yield "fingerprint of the enrolment", (asked, "card", ""), (row.fingerprint, row.kind, row.tail)
    yield "used by", walked.token_uses.get(token_use_commitment(row.identifier_hash), ""), row.used_by
