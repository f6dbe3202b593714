"""Three hundred merchants: their application files, a month of their customers, and the files that each makes of its entries."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from gateway.domain.command import AmountAsked, Checkout, Command
from gateway.key_file import new_key
from partners.application import application_toml
from partners.pos import requests
from partners.pos.till import Till
from tallystick.v1 import partner_pb2, statement_pb2, types_pb2
from tests.e2e import spreadsheet
from tests.e2e.commands import Ran, run_command
from tests.e2e.tills import signer_of
from tests.edge.running import RunningGateway
from tests.given import AUDIENCE, GivenNetwork, application, at
from tests.ledger.books import card
from tests.ledger.busy import BusyBooks

PARTNERS = tuple(f"shop-{number:03}" for number in range(300))
BROKEN = {"shop-017": "not TOML", "shop-122": "iban", "shop-299": "POP_CHALLENGE_INVALID"}
NEW_CARDS = PARTNERS[::30]
ALONE = PARTNERS[::7]
"""Who asks for the lines behind its statements, too."""
_MEMBERS = 90
_RATES = ("0.855", "0.875", "0.905", "0.925", "0.95")
_REDEMPTIONS = (types_pb2.ENTRY_KIND_REDEEM, types_pb2.ENTRY_KIND_REVERSE_REDEMPTION)


@dataclass
class Applicants:
    """The folder of their files, of which three are broken at first."""

    network: GivenNetwork
    folder: Path
    sound: dict[str, str] = field(default_factory=dict)

    def write(self) -> None:
        """One was cut off on its way, one has a slip in its IBAN, one was changed after it had been signed."""
        self.folder.mkdir()
        for number, partner_id in enumerate(PARTNERS):
            key = new_key()[0]
            self.network.keys[partner_id] = key
            prices = {"issue_price": "1.05", "face_value": "1.00", "reimbursement_rate": _RATES[number % len(_RATES)]}
            self.sound[partner_id] = application_toml(application(partner_id, {"EUR": "1"}, key, **prices))
        texts = self.sound | {
            "shop-017": self.sound["shop-017"][:400],
            "shop-122": self.sound["shop-122"].replace("DE89", "DE98"),
            "shop-299": self.sound["shop-299"].replace("1.05", "1.04"),
        }
        for partner_id, text in texts.items():
            (self.folder / f"{partner_id}.toml").write_text(text, "utf-8")

    def mend(self) -> None:
        """The three send theirs once more."""
        for partner_id in BROKEN:
            (self.folder / f"{partner_id}.toml").write_text(self.sound[partner_id], "utf-8")

    def onboard(self, *options: str) -> Ran:
        """Ada proposes all of the folder."""
        return self._by("ada", "partners", "onboard", self.folder, *options)

    def approve(self) -> Ran:
        """Bob approves what waits."""
        return self._by("bob", "operators", "approve", "--all")

    def _by(self, operator: str, *words: str | Path) -> Ran:
        return run_command(self.network, *words, "--operator", operator, "--key", self.network.folder / f"{operator}.pem")


def customers_of(number: int) -> tuple[str, ...]:
    """Whom a shop knows: three of ninety, each other shop another three."""
    return tuple(f"member-{(number * step + start) % _MEMBERS}" for step, start in ((1, 0), (7, 1), (13, 2)))


class Month(BusyBooks):
    """June in the real ledger: sales, points that pay, goods and points that come back, offline ones; two nights."""

    def __init__(self, network: GivenNetwork) -> None:
        super().__init__(network)
        self._done: list[Command] = []

    def play(self) -> None:
        """Day by day; what a till is refused, it does without."""
        self.run(*(self.enrolment(f"member-{number}", PARTNERS[number]) for number in range(_MEMBERS)))
        numbers = random.Random(300)
        for day in (date(2026, 6, 1) + timedelta(days=n) for n in range(30)):
            self.now_ms = at(day.isoformat())
            open_today = [number for number in range(len(PARTNERS)) if (number + day.day) % 4 == 0]
            commands = [one for number in open_today for one in self._at(number, numbers)]
            self._done += commands
            self.run(*commands)
            if day.day in (15, 30):
                self.nightly(day)
        self.connection.close()

    def members(self) -> dict[str, str]:
        """Their ids by name."""
        names = (f"member-{number}" for number in range(_MEMBERS))
        return {name: str(self.id_of(name, partner=PARTNERS[number]).member_id) for number, name in enumerate(names)}

    def nightly(self, day: date) -> None:
        """By the command that the timer starts."""
        self.network.now_ms = at(day.isoformat(), "23:59:59")
        ran = run_command(self.network, "settlement", "nightly")
        assert ran.code == 10, ran.err

    def _at(self, number: int, numbers: random.Random) -> Iterator[Command]:
        partner_id, member = PARTNERS[number], numbers.choice(customers_of(number))
        is_late = self.now_ms > at("2026-06-05") and numbers.random() < 0.1
        late = self.now_ms - 86_400_000 * numbers.randint(1, 3) if is_late else None
        yield self.issue(member, f"{numbers.randint(100, 9_900) / 100:.2f}", partner=partner_id, occurred_at_ms=late)
        if numbers.random() < 0.5:
            yield self.redeem(member, numbers.randint(1, 60), partner=partner_id, occurred_at_ms=late)
        else:
            total = numbers.randint(100, 9_900)
            yield replace(self._checkout(member, partner_id, total), points=numbers.randint(1, total // 2))
        own = [one for one in self._done if one.partner_id == partner_id and not isinstance(one, Checkout)]
        if own and numbers.random() < 0.4:
            yield self.reverse(numbers.choice(own))

    def _checkout(self, member: str, partner_id: str, cents: int) -> Checkout:
        return Checkout(**self._caller(partner_id), member=card(member), total=AmountAsked("EUR", cents))


@dataclass
class Offices:
    """What each partner asks the gateway for with its own key, and the files that it makes of it."""

    gateway: RunningGateway
    folder: Path
    statements: dict[tuple[int, str], Any] = field(default_factory=dict)
    lines: dict[tuple[int, str], list[statement_pb2.StatementLine]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def write(self, members: dict[str, str]) -> None:
        """`members`: their ids by name. Files of entries, of what was listed behind statements, of cards and of windows."""
        cards: list[tuple[object, ...]] = []
        for number, partner_id in enumerate(PARTNERS):
            till = Till(self.gateway.channel, signer_of(self.gateway.network, partner_id), audience=AUDIENCE, now=self._now)
            known = till.call(requests.GET_PARTNER, partner_pb2.GetPartnerRequest())
            cards += [
                (partner_id, one.version, one.effective_from, f"{one.reimbursement_rate_micros / 10**6:.6f}", one.currency)
                for one in known.rate_cards
            ]
            receipts = [one for name in customers_of(number) for one in till.entries(requests.member(members[name]))]
            self.seen |= {one.partner_id for one in receipts if one.partner_id != partner_id}
            rows = (row for one in receipts for row in _rows(one))
            spreadsheet.write(self.folder / f"{partner_id}.entries.csv", spreadsheet.ENTRIES, rows)
            self._ask_for_statements(till, partner_id)
        spreadsheet.write(self.folder / "rate_cards.csv", spreadsheet.CARDS, cards)
        ranges = {
            (window_id, one["lane"], one["first"], one["last"])
            for (window_id, _), statement in self.statements.items()
            for one in statement["ranges"]
        }
        spreadsheet.write(self.folder / "windows.csv", spreadsheet.WINDOWS, sorted(ranges))

    def _ask_for_statements(self, till: Till, partner_id: str) -> None:
        for window in till.pages(requests.LIST_WINDOWS, statement_pb2.ListWindowsRequest()).windows:
            if window.state == statement_pb2.WINDOW_STATE_NETTED:
                asked = statement_pb2.GetStatementRequest(window_id=window.window_id)
                answer = till.call(requests.GET_STATEMENT, asked)
                self.statements[window.window_id, partner_id] = json.loads(answer.statement)
                if partner_id in ALONE:
                    lines = statement_pb2.ListStatementLinesRequest(window_id=window.window_id)
                    self.lines[window.window_id, partner_id] = list(till.pages(requests.LIST_STATEMENT_LINES, lines).lines)

    def _now(self) -> int:
        return self.gateway.network.now_ms


def _rows(receipt: types_pb2.Receipt) -> Iterator[tuple[object, ...]]:
    """A row for each lot that points were taken from, or given back to, as `docs/settlement.md` says."""
    entries: list[types_pb2.Receipt | types_pb2.ReceiptLeg] = [receipt, *receipt.legs]
    for entry in entries:
        if entry.kind in _REDEMPTIONS:
            kind = types_pb2.EntryKind.Name(entry.kind)
            for lot in entry.lots:
                place = (receipt.business_date, entry.lane, entry.sequence, entry.rate_card_version)
                yield (receipt.partner_id, entry.entry_id, kind, *place, lot.issuer_id, -(lot.points + lot.gone_points))
