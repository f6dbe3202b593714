"""Who members are, to the model: accounts by id, cards that name them, where an account leads since it was merged.

From the words of the members' calls alone; shares nothing with the ledger.
"""

from dataclasses import dataclass

from gateway.domain.command import MemberRef


@dataclass
class Person:
    """An account; `into` is the one that it was merged into."""

    is_provisional: bool = False
    is_paused: bool = False
    is_erased: bool = False
    into: str | None = None


@dataclass(frozen=True)
class Refused:
    """Why a command finds no member for what it wants."""

    reason: str


class People:
    """Accounts by id, and whose a card is."""

    def __init__(self, by_card: dict[str, str]) -> None:
        self.cards = dict(by_card)
        self.known = {account: Person() for account in by_card.values()}

    def lead(self, account: str) -> str:
        """Where an account leads: to itself, unless it was merged."""
        into = self.known[account].into
        return account if into is None else self.lead(into)

    def find(self, ref: MemberRef) -> str | None:
        """The account that goes on, of whoever is named."""
        account = ref.member_id if ref.card_hash is None else self.cards.get(ref.card_hash)
        return self.lead(account) if account in self.known else None

    def present(self, ref: MemberRef) -> str | Refused:
        """Somebody who may get points."""
        account = self.find(ref)
        if account is None:
            return Refused("MEMBER_NOT_FOUND")
        return Refused("MEMBER_ERASED") if self.known[account].is_erased else account

    def giving(self, ref: MemberRef) -> str | Refused:
        """Somebody of whom points may be taken."""
        account = self.present(ref)
        if isinstance(account, Refused):
            return account
        if self.known[account].is_provisional:
            return Refused("MEMBER_PROVISIONAL")
        return Refused("SPENDING_PAUSED") if self.known[account].is_paused else account

    def may_give(self, account: str) -> bool:
        """Whether its points can be taken for anything new."""
        person = self.known[account]
        return not (person.is_provisional or person.is_paused or person.is_erased)

    def enrol(self, card: str, account: str, *, is_provisional: bool) -> str | None:
        """A new account under a card that nobody has."""
        if card in self.cards:
            return "CARD_ALREADY_ENROLLED"
        self.cards[card], self.known[account] = account, Person(is_provisional=is_provisional)
        return None

    def confirm(self, ref: MemberRef) -> str | None:
        """Ends that it was provisional."""
        account = self.present(ref)
        if isinstance(account, Refused):
            return account.reason
        if not self.known[account].is_provisional:
            return "MEMBER_NOT_PROVISIONAL"
        self.known[account].is_provisional = False
        return None

    def pause(self, ref: MemberRef, *, is_paused: bool) -> str | None:
        """Or ends a pause; twice is no harm."""
        account = self.present(ref)
        if isinstance(account, Refused):
            return account.reason
        self.known[account].is_paused = is_paused
        return None

    def erase(self, ref: MemberRef) -> str | None:
        """Its cards are nobody's from now on."""
        account = self.present(ref)
        if isinstance(account, Refused):
            return account.reason
        self.cards = {card: owner for card, owner in self.cards.items() if owner != account}
        self.known[account] = Person(is_erased=True)
        return None

    def merge(self, source: str, target: str) -> None:
        """Cards go along, and the old id leads on."""
        self.cards = {card: target if owner == source else owner for card, owner in self.cards.items()}
        self.known[source].into = target
