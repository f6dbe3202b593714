"""A network in which everything happened: all kinds of entries and postings, refusals, decisions, three settled nights.

Built by the code that the gateway, the operator and the night use, with receipts in the form of the wire.
"""

from dataclasses import replace
from pathlib import Path

from gateway.confirming import confirm
from gateway.domain.command import AmountAsked, BasketLine, Command, Enrol, LineReturned, MemberRef
from gateway.domain.identifiers import Identifier, IdentifierKind
from gateway.domain.limits import Limits
from gateway.domain.outcome import Reason
from gateway.domain.partner import PartnerStatus
from gateway.domain.receipt import Answer
from gateway.domain.settlement import Form
from gateway.domain.terms import DebtPolicy
from gateway.edge.receipts import encode_receipt
from gateway.governance import Hand
from gateway.key_file import new_key
from gateway.ledger.batch import BatchSettings
from gateway.ledger.lane_map import change_lanes
from gateway.network_terms import TermsChange
from gateway.settlement_rules import RulesChange
from gateway.storage.engine import writing
from partners.onboarding import onboard
from partners.proposals import add_operator, change_status, propose_cap, retire_key, revoke_key
from settlement.nightly import Night, run_night
from settlement.sealing import open_sealer
from tests.given import GivenNetwork, application, at, keys_dir, month, terms_as_of
from tests.ledger.books import Books, card, refusal_of

LAST_NOON = at("2026-07-04")


class BusyBooks(Books):
    """Books that keep nothing but what the gateway would."""

    def __init__(self, network: GivenNetwork) -> None:
        """From 1 June on."""
        super().__init__(network, now_ms=at("2026-06-01"))
        self.settings = BatchSettings(terms_as_of(), encode_receipt, lambda _now_ms: "r1")

    def do(self, day: str, *commands: Command) -> None:
        """Books commands in one batch, at noon of a day."""
        self.now_ms = at(day)
        for result in self.run(*commands):
            assert isinstance(result, Answer), result
            assert result.refusal is None, result.refusal

    def try_in_vain(self, day: str, command: Command, reason: Reason) -> None:
        """A command that is refused for good."""
        self.now_ms = at(day)
        assert refusal_of(self.run(command)[0]).reason is reason

    def enrol(self, *names: str, partner: str = "alpha") -> None:
        """New members, now."""
        self.run(*(self.enrolment(name, partner) for name in names))

    def night(self, day: str) -> None:
        """The night that ends a day."""
        run_night(
            Night(
                engine=self.network.engine,
                out_dir=self.network.folder / "statements",
                sealer=open_sealer(self.network.engine, keys_dir(self.network.engine)),
                at_ms=at(day, "23:59:59"),
                clock=lambda: at(day, "23:59:59"),
                progress=lambda _text: None,
                after_step=lambda _step: None,
            )
        )


def busy_network(folder: Path, *, lanes: int = 1, lanes_then: int | None = None) -> GivenNetwork:
    """Books of June and some days of July 2026, the last window open. `lanes_then`: from the third week on."""
    network = month(folder, lanes=lanes)
    network.onboard("hope", {}, roles="charity", face_value="0.50", reimbursement_rate="0.80", issue_price="0")
    _decide(network)
    network.settlement_rules(RulesChange(form=Form.THROUGH_OPERATOR))
    books = BusyBooks(network)
    first, redemption, basket = _first_window(books)
    _second_window(books)
    if lanes_then is not None:
        with writing(network.engine) as connection:
            change_lanes(connection, lanes_then, at_ms=at("2026-06-22", "08:00"))
    _third_window(books, first, redemption)
    with writing(network.engine) as connection:
        for hand in network.hands:
            network.now_ms = at("2026-07-01", "09:00")
            confirm(connection, 1, hand=hand, now_ms=network.now_ms)
    network.now_ms = at("2026-07-01", "10:00")
    network.network_terms("2026-07-02", TermsChange(debt_policy=DebtPolicy.WITHHOLD_CASH))
    _open_window(books, basket)
    books.connection.close()
    network.engine.dispose()
    return network


def _decide(network: GivenNetwork) -> None:
    """Decisions of every kind that the month itself has not; some stay open."""
    hand, key = network.hands[0], new_key()[0]
    network.cap("alpha", 1_000_000)
    network.limits("bravo", "2026-06-01", minimum_points=2, member_day_redeemed_max=10_000)
    with writing(network.engine) as connection:
        cyd = Hand("cyd", key)
        decision = add_operator(
            connection,
            cyd.operator_id,
            name="Cyd",
            algorithm=key.algorithm,
            public_key=key.public_bytes(),
            hand=hand,
            now_ms=network.now_ms,
        )
        change_status(connection, "delta", PartnerStatus.SUSPENDED, hand=hand, now_ms=network.now_ms)
        change_status(connection, "delta", PartnerStatus.ACTIVE, hand=hand, now_ms=network.now_ms)
        retire_key(connection, "bravo/till-1/1", at("2026-09-01"), hand=hand, now_ms=network.now_ms)
        revoke_key(connection, "delta/till-1/1", hand=hand, now_ms=network.now_ms)
        propose_cap(connection, "bravo", 500_000, hand=hand, now_ms=network.now_ms)
        onboard(connection, application("echo", {"EUR": "1"}, new_key()[0]), hand=hand, now_ms=network.now_ms)
    network.approve(decision)


def _first_window(books: BusyBooks) -> tuple[Command, Command, Command]:
    """The month's first nine steps; a purchase, a redemption and a basket with a bonus are reversed later."""
    books.enrol("ann", "ben")
    first, fifth = books.issue("ann", "1200.00", receipt_number="A-1"), books.issue("ben", "401.99")
    basket = books.issue("ann", "250.00", partner="charlie", offer_id="bonus-500")
    redemption = books.redeem("ann", 700)
    books.do("2026-06-01", first)
    books.do("2026-06-02", books.issue("ann", "85.60", partner="bravo"))
    books.do("2026-06-03", basket)
    books.do("2026-06-05", redemption)
    books.do("2026-06-06", fifth)
    books.do("2026-06-08", books.reverse(first, amount="300.00"))
    books.do("2026-06-09", books.redeem("ben", 200, partner="charlie"))
    books.do("2026-06-10", books.reverse(fifth))
    books.try_in_vain("2026-06-10", books.reverse(fifth), Reason.ALREADY_REVERSED)
    books.do("2026-06-12", books.reverse(redemption, points=300))
    books.network.now_ms = at("2026-06-15", "20:00")
    fees = RulesChange(form=Form.PARTNER_TO_PARTNER, fixed_fee=5_00, entry_fee_micros=1_250_000, minimum_amount=50)
    books.network.settlement_rules(fees)
    books.night("2026-06-15")
    return first, redemption, basket


def _second_window(books: BusyBooks) -> None:
    """Debts, paid in part; the night lets the first purchase's points expire."""
    books.do("2026-06-16", books.issue("ann", "64.50"))
    books.do("2026-06-17", books.issue("ben", "100.00", occurred_at_ms=at("2026-06-14")))
    books.do("2026-06-18", books.issue("ben", "150.00", partner="charlie"))
    books.enrol("dan", partner="bravo")
    bought = books.issue("dan", "100.00")
    books.do("2026-06-19", bought, books.redeem("dan", 50), books.reverse(bought, amount="40.00"), books.reverse(bought))
    books.do("2026-06-19", books.issue("dan", "30.00", partner="bravo"))
    _tills(books)
    books.night("2026-06-21")


def _tills(books: BusyBooks) -> None:
    """Holds that are captured, voided, lapsed and left; checkouts by lines, by points and money; refunds, parked ones as well."""
    books.enrol("eve")
    rice, gift = BasketLine("rice", 700, is_eligible=True), BasketLine("gift card", 300, is_eligible=False)
    books.do("2026-06-19", books.checkout("eve", "400.00", receipt_number="T-1"))
    whole, part, gone, left = (books.place("eve", points, partner="alpha") for points in (40, 30, 20, 10))
    books.do("2026-06-19", whole, part, gone, left)
    books.do("2026-06-19", books.place("eve", 5, ttl_s=1))
    basket = books.checkout("eve", "10.00", hold=whole, lines=(rice, gift), eligible=700, receipt_number="T-2")
    books.do("2026-06-19", basket, books.checkout("eve", "20.00", hold=part, points=7), books.void(gone))
    books.do("2026-06-19", books.refund(basket, lines=(LineReturned("rice", 100),)), books.refund(basket, amount="2.00"))
    early, late = books.checkout("eve", "50.00", points=11), books.checkout("eve", "60.00")
    books.do("2026-06-19", books.refund(early, amount="20.00", member=card("eve")))
    books.do("2026-06-19", books.refund(late, amount="1.00", member=card("eve")))
    books.do("2026-06-20", early, books.claim("eve", "12.00", "T-3", occurred_at_ms=at("2026-06-18")))


def _third_window(books: BusyBooks, first: Command, redemption: Command) -> None:
    """Late reversals: expiry is undone, and restored points expire at once; a transfer, an exchange, a value to redeem."""
    books.do("2026-06-22", books.issue("ann", "41", partner="charlie", unit="charlie:STAR"))
    books.do("2026-06-23", books.reverse(first, amount="100.00"))
    books.do("2026-06-23", books.reverse(redemption, points=350), books.reverse(redemption))
    books.do("2026-06-24", books.redeem("ann", 100, partner="delta"))
    books.do("2026-06-25", books.transfer("ann", "ben", 120), books.transfer("ann", "dan", 5))
    books.do("2026-06-26", books.redeem("ben", partner="alpha", up_to_value=AmountAsked("EUR", 150)))
    books.do("2026-06-26", books.issue("ben", "8.50"))
    _members(books)
    books.night("2026-06-30")


def _members(books: BusyBooks) -> None:
    """Identifiers of all kinds, some gone or used up; a donation; members that are provisional, paused, merged and erased."""
    books.enrol("fay", "gus", "hal", "ida")
    pat = Enrol(
        partner_id="alpha",
        key_id="alpha/till-1/1",
        idempotency_key="enrol-pat",
        identifier=Identifier(IdentifierKind.PHONE, "phone-pat", "678"),
        provisional=True,
        language="fr",
    )
    token = replace(books.issue("fay", "40.00"), member=MemberRef(identifier_hash="token-fay"))
    bought, paid = books.issue("gus", "100.00"), books.redeem("gus", 30)
    books.do("2026-06-27", pat, books.add("fay", IdentifierKind.EMAIL, "mail-fay", tail="na"), books.confirm("fay", "de"))
    books.do("2026-06-27", books.add("gus", IdentifierKind.QR, "qr-gus", tail="wxyz"), books.remove("gus", "qr-gus"))
    for number in range(2):
        name = ("token-old", "token-fay")[number]
        books.do("2026-06-27", books.add("fay", IdentifierKind.TOKEN, name, valid_until_ms=at("2026-06-28") + number))
    books.do("2026-06-27", token, books.donate("fay", 6), books.pause("hal"), books.resume("hal"), books.pause("fay"))
    books.do("2026-06-28", bought, paid, books.issue("hal", "80.00", partner="bravo"), books.reverse(bought, amount="90.00"))
    books.do("2026-06-28", books.issue("ida", "20.00"), books.merge("gus", "hal"), books.erase("ida"))
    books.do("2026-06-28", books.reverse(paid, points=10), books.reverse(bought), books.issue("gus", "30.00"))


def _open_window(books: BusyBooks, basket: Command) -> None:
    """A shortfall that is withheld in cash, a part of a bonus taken back, and a refusal; then points that wait, and limits."""
    books.now_ms = at("2026-07-03")
    books.enrol("cay", partner="bravo")
    bought = books.issue("cay", "50.00")
    books.do("2026-07-03", bought, books.redeem("cay", 20), books.reverse(bought))
    books.try_in_vain("2026-07-03", books.redeem("cay", 1_000_000), Reason.INSUFFICIENT_POINTS)
    books.do("2026-07-04", books.reverse(basket, amount="50.00"), books.reverse(basket, amount="33.33"))
    books.network.now_ms = LAST_NOON
    limits = Limits(multiple_points=5, entry_points_max=2_000, terminal_day_issued_max=5_000)
    books.network.network_terms("2026-07-04", TermsChange(usable_after_days=14, claim_days_max=20, limits=limits))
    books.do("2026-07-04", books.issue("cay", "44.00"))
