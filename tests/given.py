"""A network with operators and partners, made in the process by the code that the commands use; 20 ms after the first.

    network = create_network(tmp_path / "net")        or month(tmp_path / "net") for the partners of the oracle's month
    key = network.onboard("acme", {"EUR": "1/2"})     its private key; key id acme/till-1/1
    network.engine, network.folder, network.now_ms
    create_network(folder, url=network_url)           on SQLite and on PostgreSQL, by the fixture of tests/conftest.py

Time is `now_ms`, set by the test: 2026-05-31, 12:00 in Berlin, unless it says otherwise.
"""

import atexit
import functools
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, insert, select

from gateway.config import FILE_NAME
from gateway.domain.decision import Decision
from gateway.domain.derivation import Consent
from gateway.domain.documents import consent_string
from gateway.domain.limits import Limits, PartnerLimits
from gateway.domain.network import SettlementModel
from gateway.domain.signing import PrivateKey
from gateway.domain.terms import ExpiryRule, Offer, Terms, parse_date
from gateway.domain.units import Rate, parse_micros
from gateway.founding import NetworkPlan, found_network
from gateway.governance import Hand, approve
from gateway.key_file import new_key, save_secret
from gateway.network_terms import DEFAULT_TERMS, TermsChange, next_terms, propose_network_terms
from gateway.settlement_rules import RulesChange, propose_rules
from gateway.storage import tables_directory, tables_settlement, tables_terminals, tables_till
from gateway.storage.directory import directory_version, load_terms
from gateway.storage.engine import open_engine, reading, writing
from gateway.storage.tables import entries, metadata
from partners.application import Application, read_application
from partners.fields import Fields
from partners.onboarding import onboard
from partners.proposals import add_operator, next_version, propose_cap, propose_limits, propose_offer, propose_rate_card
from partners.rate_card_file import read_rate_card
from partners.rulings import RULINGS

_ = tables_directory, tables_settlement, tables_terminals, tables_till  # imported for the tables that they add to the metadata
_NUMBERS = [column.name for column in entries.columns if column.type.python_type is int]
AUDIENCE = "coalition.example:test"
ZONE = ZoneInfo("Europe/Berlin")
KEY_SUFFIX = "till-1/1"
IBANS = ("DE89370400440532013000", "DE75512108001245126199")


def at(day: str, clock: str = "12:00") -> int:
    """Unix milliseconds of a local time in Berlin."""
    return int(datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZONE).timestamp()) * 1_000


START_MS = at("2026-05-31")


@dataclass
class GivenNetwork:
    """A network with two operators; `keys` are the partners' private keys by partner id.

    `url` None: its books are a SQLite file in its folder. The operators' keys also lie there, as ada.pem and bob.pem, for
    commands.
    """

    folder: Path
    now_ms: int = START_MS
    hands: tuple[Hand, ...] = ()
    keys: dict[str, PrivateKey] = field(default_factory=dict)
    url: str | None = None

    @functools.cached_property
    def engine(self) -> Engine:
        """Of its books."""
        return open_engine(self.url or _file_in(self.folder))

    def copy(self, folder: Path, *, url: str | None = None) -> "GivenNetwork":
        """The same network on a SQLite file in a new folder or, with its rows, in the empty database of the URL.

        This one must be on SQLite, and nobody may be at work in it.
        """
        assert self.url is None, "copied from SQLite only"
        shutil.copytree(self.folder, folder)
        copied = replace(self, folder=folder, keys=dict(self.keys), url=url)
        if url is not None:
            _move_books(folder, copied.engine, url)
            _FOLDERS[copied.engine.url.database] = folder
        return copied

    def clock(self) -> int:
        """The test's time."""
        return self.now_ms

    def pretend_an_entry(self) -> None:
        """A row in the ledger: from now on the past is closed to new terms."""
        zero = bytes(32)
        row = dict.fromkeys(entries.columns.keys(), "") | dict.fromkeys(_NUMBERS, 1) | {"fingerprint": zero, "entry_hash": zero}
        with writing(self.engine) as connection:
            connection.execute(insert(entries).values(row))

    def approve(self, decision: Decision) -> Decision:
        """The second operator's approval of what the first one proposed."""
        with writing(self.engine) as connection:
            return approve(connection, RULINGS, decision.decision_id, hand=self.hands[1], now_ms=self.now_ms)

    def onboard(
        self, partner_id: str, issue_rates: Mapping[str, str], *, key: PrivateKey | None = None, **wanted: str
    ) -> PrivateKey:
        """An active partner; `wanted` as in `application`. Answers its private key, of id `<partner>/till-1/1`."""
        key = key or new_key()[0]
        applied = application(partner_id, issue_rates, key, **wanted)
        with writing(self.engine) as connection:
            decision = onboard(connection, applied, hand=self.hands[0], now_ms=self.now_ms)
        self.approve(decision)
        self.keys[partner_id] = key
        return key

    def rates(self, partner_id: str, issue_rates: Mapping[str, str], *, currency: str = "EUR", **wanted: str) -> None:
        """The next version of a partner's rate card, approved; `wanted` as in `application`."""
        errors: list[str] = []
        with writing(self.engine) as connection:
            version = next_version(connection, partner_id)
            fields = Fields(rate_card_table(issue_rates, **wanted), errors)
            card = read_rate_card(fields, partner_id=partner_id, currency=currency, version=version)
            assert not errors, errors
            decision = propose_rate_card(connection, card, hand=self.hands[0], now_ms=self.now_ms)
        self.approve(decision)

    def cap(self, partner_id: str, minor_units: int | None) -> None:
        """A partner's net debit cap, approved."""
        with writing(self.engine) as connection:
            decision = propose_cap(connection, partner_id, minor_units, hand=self.hands[0], now_ms=self.now_ms)
        self.approve(decision)

    def offer(self, offer: Offer) -> None:
        """An offer with the consents of all its funders, approved."""
        consents = [consent(offer, partner_id, self.keys[partner_id]) for partner_id, _ in offer.shares]
        with writing(self.engine) as connection:
            decision = propose_offer(connection, offer, consents, hand=self.hands[0], now_ms=self.now_ms)
        self.approve(decision)

    def limits(self, partner_id: str, effective_from: str, **limits: int) -> None:
        """The next version of a partner's own limits, approved."""
        with writing(self.engine) as connection:
            version = len(load_terms(connection).partner_limits.get(partner_id, ())) + 1
            own = PartnerLimits(partner_id, version, parse_date(effective_from), Limits(**limits))
            decision = propose_limits(connection, own, hand=self.hands[0], now_ms=self.now_ms)
        self.approve(decision)

    def network_terms(self, effective_from: str, change: TermsChange) -> None:
        """The next version of the network's terms, approved."""
        with writing(self.engine) as connection:
            decision = propose_network_terms(
                connection, parse_date(effective_from), change, hand=self.hands[0], now_ms=self.now_ms
            )
        self.approve(decision)

    def settlement_rules(self, change: RulesChange) -> None:
        """The next version of the settlement rules, approved."""
        with writing(self.engine) as connection:
            decision = propose_rules(connection, change, hand=self.hands[0], now_ms=self.now_ms)
        self.approve(decision)


def create_network(
    folder: Path,
    *,
    expiry: str = "on 2027-06-30",
    model: str = "at_redemption",
    change: TermsChange | None = None,
    lanes: int = 1,
    url: str | None = None,
) -> GivenNetwork:
    """A new network with the operators ada and bob. `change`: what its first terms say beside the expiry.

    `url`: of a database with the newest schema and nothing in it, such as `PostgresServer.new_database` makes.
    """
    return _template(expiry, model, change or TermsChange(), lanes).copy(folder, url=url)


def month(folder: Path, *, model: str = "at_redemption", lanes: int = 1, url: str | None = None) -> GivenNetwork:
    """The oracle's month before its first step: partners alpha (A) to delta (D), their cards, the offer of step 3.

    Points of 1 June expire on 20 June, all others on 30 June 2027. `url` as in `create_network`.
    """
    return _month_template(model, lanes).copy(folder, url=url)


def application(partner_id: str, issue_rates: Mapping[str, str], key: PrivateKey, **wanted: str) -> Application:
    """A signed application. `wanted`: effective_from, issue_price, face_value, reimbursement_rate, time_zone, currency."""
    content = application_table(partner_id, issue_rates, key, **wanted)
    applied = read_application(content, audience=AUDIENCE, is_signed=False)
    assert isinstance(applied, Application), applied
    return signed(applied, key)


def signed(applied: Application, key: PrivateKey) -> Application:
    """The application with its proof of possession."""
    return replace(applied, signature=key.sign(applied.proof()))


def application_table(
    partner_id: str,
    issue_rates: Mapping[str, str],
    key: PrivateKey,
    *,
    time_zone: str = "Europe/Berlin",
    roles: str = "",
    currency: str = "EUR",
    **prices: str,
) -> dict[str, object]:
    """The content of an application file, not yet signed."""
    return {
        "audience": AUDIENCE,
        "partner_id": partner_id,
        "legal_name": f"{partner_id.title()} GmbH",
        "address": "Hauptstr. 1, 10115 Berlin",
        "vat_id": "DE123456789",
        "iban": IBANS[0],
        "currency": currency,
        "time_zone": time_zone,
        "roles": roles.split() or (["issuer", "redeemer"] if issue_rates else ["redeemer"]),
        "units": list(issue_rates),
        "contact": f"points@{partner_id}.example",
        "rate_card": rate_card_table(issue_rates, **prices),
        "key": {
            "key_id": f"{partner_id}/{KEY_SUFFIX}",
            "algorithm": key.algorithm.value,
            "public_key": key.public_bytes().hex(),
            "scopes": ["office", "till"],
        },
    }


def rate_card_table(
    issue_rates: Mapping[str, str],
    *,
    effective_from: str = "2026-06-01",
    issue_price: str = "1.00",
    face_value: str = "1.00",
    reimbursement_rate: str = "0.90",
) -> dict[str, object]:
    """The content of a rate card file."""
    return {
        "effective_from": effective_from,
        "issue_price": issue_price,
        "face_value": face_value,
        "reimbursement_rate": reimbursement_rate,
        "issue_rates": dict(issue_rates),
    }


def consent(offer: Offer, partner_id: str, key: PrivateKey) -> Consent:
    """A funder's consent to an offer."""
    key_id = f"{partner_id}/{KEY_SUFFIX}"
    return Consent(partner_id, key_id, key.sign(consent_string(audience=AUDIENCE, key_id=key_id, offer=offer)))


def network_plan(
    audience: str,
    *,
    expiry: str = "on 2027-06-30",
    model: str = "at_redemption",
    change: TermsChange | None = None,
    database_url: str | None = None,
    lanes: int | None = 1,
) -> NetworkPlan:
    """What the tests' networks are."""
    return NetworkPlan(
        audience=audience,
        currency="EUR",
        time_zone=ZONE.key,
        settlement_model=SettlementModel(model),
        terms=next_terms(DEFAULT_TERMS, date(2026, 6, 1), replace(change or TermsChange(), expiry_rule=ExpiryRule.parse(expiry))),
        database_url=database_url,
        lanes=lanes,
    )


def keys_dir(engine: Engine) -> Path:
    """Where the private receipt keys of a given network lie, whose books these are."""
    database = engine.url.database
    folder = Path(database or "").parent if engine.dialect.name == "sqlite" else _FOLDERS[database]
    return folder / "keys"


# Of networks whose books are in a PostgreSQL database, by its name.
_FOLDERS: dict[str | None, Path] = {}


def _file_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'books.db'}"


def _move_books(folder: Path, target: Engine, url: str) -> None:
    """All rows go into the database of the URL, and the configuration names it."""
    source = open_engine(_file_in(folder))
    with reading(source) as read, writing(target) as write:
        for table in metadata.sorted_tables:
            rows = [row._asdict() for row in read.execute(select(table))]
            if rows:
                write.execute(insert(table), rows)
    source.dispose()
    for file in folder.glob("books.db*"):
        file.unlink()
    configuration = folder / FILE_NAME
    lines = configuration.read_text("utf-8").splitlines(keepends=True)
    configuration.write_text("".join(f"url = {json.dumps(url)}\n" if line.startswith("url = ") else line for line in lines))


@functools.cache
def _template(expiry: str, model: str, change: TermsChange, lanes: int) -> GivenNetwork:
    """Founded once a process; each test gets a copy."""
    folder = kept_folder()
    found_network(folder, network_plan(AUDIENCE, expiry=expiry, model=model, change=change, lanes=lanes), now_ms=START_MS)
    hands = tuple(Hand(name, _key_in(folder / f"{name}.pem")) for name in ("ada", "bob"))
    network = GivenNetwork(folder, hands=hands)
    with writing(network.engine) as connection:
        for hand in hands:
            add_operator(
                connection,
                hand.operator_id,
                name=hand.operator_id.title(),
                algorithm=hand.key.algorithm,
                public_key=hand.key.public_bytes(),
                hand=hand,
                now_ms=START_MS,
            )
    network.engine.dispose()  # the last connection moves the write-ahead log into the file
    return network


@functools.cache
def _month_template(model: str, lanes: int) -> GivenNetwork:
    """Founded once a process, since its decisions take longer than most tests; each test gets a copy."""
    change = TermsChange(redemption_element_micros=parse_micros("0.95"), breakage_rebate_share=Rate(1, 2))
    network = create_network(kept_folder(), expiry="on 2026-06-20", model=model, change=change, lanes=lanes)
    network.network_terms("2026-06-02", TermsChange(expiry_rule=ExpiryRule.parse("on 2027-06-30")))
    stars = {"EUR": "2", "charlie:STAR": "5/2"}
    network.onboard("alpha", {"EUR": "1/2"}, issue_price="1.10", reimbursement_rate="0.96")
    network.onboard("bravo", {"EUR": "1"}, issue_price="1.20", reimbursement_rate="0.90")
    network.onboard("charlie", stars, issue_price="1.05", reimbursement_rate="1.00")
    network.onboard("delta", {}, issue_price="0", reimbursement_rate="1.00")
    network.rates("alpha", {"EUR": "1/2"}, effective_from="2026-06-16", issue_price="1.15", reimbursement_rate="0.96")
    network.rates("charlie", stars, effective_from="2026-06-16", issue_price="1.05", reimbursement_rate="0.98")
    half = Rate(1, 2)
    network.offer(
        Offer(
            offer_id="bonus-500",
            partner_id="charlie",
            first_date=date(2026, 6, 3),
            last_date=date(2026, 6, 3),
            bonus_points=500,
            minimum_amount=0,
            unit="EUR",
            shares=(("charlie", half), ("bravo", half)),
        )
    )
    network.engine.dispose()  # the last connection moves the write-ahead log into the file
    return network


def kept_folder() -> Path:
    """For a network that lasts as long as the process."""
    parent = tempfile.mkdtemp(prefix="tallystick-given-")
    atexit.register(shutil.rmtree, parent, ignore_errors=True)
    return Path(parent) / "net"


def _key_in(file: Path) -> PrivateKey:
    key, pem = new_key()
    save_secret(pem, file)
    return key


def terms_as_of() -> Callable[[Connection], Terms]:
    """What a batch reads terms with: as the gateway's directory, anew only when their version has grown."""
    known: dict[int, Terms] = {}

    def read(connection: Connection) -> Terms:
        version = directory_version(connection)
        if version not in known:
            known[version] = load_terms(connection)
        return known[version]

    return read
