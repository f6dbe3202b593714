"""The books are lost, and come back from a backup: what is missing then, partners' receipts say, and their tills send again."""

import asyncio
import base64
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from sqlalchemy import update

from gateway.domain.signing import PrivateKey, receipt_string
from gateway.key_file import load_key, receipt_key_file
from gateway.serve_lock import only_gateway
from gateway.storage.engine import writing
from gateway.storage.tables import outcomes
from gateway.terminal import system_clock
from partners.pos import requests
from partners.pos.answers import Booked
from partners.pos.cli_print import booked_plain
from partners.pos.errors import Refused
from partners.pos.requests import Booking
from partners.pos.till import Till
from tallystick.v1 import errors_pb2, types_pb2
from tests.e2e.commands import Ran, done, run_command
from tests.e2e.processes import gateway_process, live_network, run_process
from tests.e2e.storm import CARDS, plan
from tests.e2e.test_live_gateway import Traffic
from tests.e2e.tills import DAY_MS, open_till, two_partners
from tests.edge.running import RunningGateway
from tests.given import AUDIENCE, GivenNetwork, create_network

COMMANDS = 160
SEED = 1207
SECOND_MS = 1_000
PARTNERS = ("acme", "globex")

Answer = Booked | Refused


@dataclass
class Shops:
    """Two partners' tills in the same books; `commands` is their day, one after the other."""

    network: GivenNetwork
    commands: list[tuple[str, Booking]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draws the day: sales, redemptions, reversals, transfers, some of them refused."""
        rng = random.Random(SEED)
        plans = [plan(rng, number) for number in range(len(PARTNERS))]
        self.commands = [(partner, one) for pair in zip(*plans, strict=True) for partner, one in zip(PARTNERS, pair, strict=True)]
        del self.commands[COMMANDS:]

    def open(self) -> "Opened":
        """With a gateway of their own."""
        return Opened(self.network)


class Opened:
    """A gateway in the process, and a till for each partner."""

    def __init__(self, network: GivenNetwork) -> None:
        self._network = network
        self._gateway = RunningGateway(network)
        self.tills: dict[str, Till] = {}

    def __enter__(self) -> Self:
        """Opens."""
        self._gateway.__enter__()
        self.tills = {partner: open_till(self._network, partner, self._gateway.address) for partner in PARTNERS}
        return self

    def __exit__(self, *_: object) -> None:
        """Closes."""
        for till in self.tills.values():
            till.close()
        self._gateway.__exit__()
        self._network.engine.dispose()

    def enrol(self) -> None:
        """All the members of the day."""
        for card in CARDS:
            self.tills["acme"].enrol(card, key=f"enrol-{card}")

    def send(self, commands: Sequence[tuple[str, Booking]]) -> list[Answer]:
        """One after the other, a second apart."""
        return [self._send(partner, command) for partner, command in commands]

    def balances(self) -> list[tuple[int, int, int]]:
        """By card: balance, what can be redeemed, debt."""
        found = (self.tills["acme"].balance(requests.card(card)) for card in CARDS)
        return [(one.balance_points, one.available_points, one.debt_points) for one in found]

    def _send(self, partner: str, command: Booking) -> Answer:
        self._network.now_ms += SECOND_MS
        try:
            return self.tills[partner].book(command)
        except Refused as refused:
            return refused


@pytest.fixture(name="network")
def make_network(tmp_path: Path) -> Iterator[GivenNetwork]:
    """Of two partners, on a SQLite file."""
    network = two_partners(tmp_path / "net")
    yield network
    network.engine.dispose()


def signed(answers: Sequence[Answer]) -> list[types_pb2.SignedReceipt]:
    """The receipts of those answers that have one."""
    found = [one.signed_receipt if isinstance(one, Booked) else one.facts.signed_receipt for one in answers]
    return [one for one in found if one is not None]


def write_lines(path: Path, receipts: Sequence[types_pb2.SignedReceipt]) -> Path:
    """As partners hand them in."""
    path.write_text("".join(line_of(one.receipt, one.signature, one.key_id) + "\n" for one in receipts), "utf-8")
    return path


def line_of(receipt: bytes, signature: bytes, key_id: str) -> str:
    """A line of the file."""
    content = {"receipt": base64.b64encode(receipt).decode(), "signature": base64.b64encode(signature).decode()}
    return json.dumps(content | {"key_id": key_id})


def named_as(ran: Ran, standing: str) -> set[tuple[str, str]]:
    """Partner and key of the receipts that the audit lists with this standing."""
    return set(re.findall(rf": {standing}: (\w+), key '([^']+)'", ran.out))


def keys_of(receipts: Sequence[types_pb2.SignedReceipt]) -> set[tuple[str, str]]:
    """Partner and key."""
    contents = [types_pb2.Receipt.FromString(one.receipt) for one in receipts]
    return {(one.partner_id, one.idempotency_key) for one in contents}


def kinds_in(receipts: Sequence[types_pb2.SignedReceipt]) -> set[int]:
    """Of what was booked."""
    contents = [types_pb2.Receipt.FromString(one.receipt) for one in receipts]
    return {one.kind for one in contents if not one.refused}


def test_a_backup_and_the_tills_together_bring_back_all_that_was_promised(tmp_path: Path, network: GivenNetwork) -> None:
    """A day, a backup in the middle of it, a lost disk; the receipts name what is missing, and sending again books it."""
    shops = Shops(network)
    half = COMMANDS // 2
    with shops.open() as opened:
        opened.enrol()
        before = signed(opened.send(shops.commands[:half]))
        done(run_command(network, "database", "backup", tmp_path / "noon.db"))
        after = signed(opened.send(shops.commands[half:]))
        balances = opened.balances()
    held = write_lines(tmp_path / "held.jsonl", before + after)
    assert "books proved" in done(run_command(network, "audit", "--receipts", held)).out

    done(run_command(network, "database", "restore", tmp_path / "noon.db", "--replace"))
    found_missing = run_command(network, "audit", "--receipts", held)
    with shops.open() as opened:
        opened.tills["acme"].enrol("4000-9999", key="first-of-all")  # so that all that follows has another sequence
        again = signed(opened.send(shops.commands))
        balances_again = opened.balances()
    compared = run_command(network, "audit", "--full", "--receipts", held)
    new = write_lines(tmp_path / "new.jsonl", again)

    assert {2, 3, 4, 5, 6} <= kinds_in(after), "else the day shows little"
    assert any(types_pb2.Receipt.FromString(one.receipt).refused for one in after)
    assert found_missing.code == 1
    assert named_as(found_missing, "newer than the books") == keys_of(after)
    assert len(keys_of(after)) > half // 2
    assert f"{len(after)} of {len(before + after)} receipts are not in the books as they were signed" in found_missing.err
    assert balances_again == balances
    assert [one.receipt for one in again[: len(before)]] == [one.receipt for one in before], (
        "what the backup had is answered alike"
    )
    assert "books proved" in compared.out
    assert named_as(compared, "booked anew") == keys_of(after)
    assert done(run_command(network, "audit", "--receipts", new)).err


def test_a_backup_holds_one_state_while_the_gateway_goes_on(tmp_path: Path, network: GivenNetwork) -> None:
    """It is proved when it is restored, wherever the bookings stood; the file is its owner's alone."""
    shops = Shops(network)
    with shops.open() as opened:
        opened.enrol()
        opened.send(shops.commands[:10])
        done(run_command(network, "database", "backup", tmp_path / "ten.db"))
        opened.send(shops.commands[10:20])
    ran = done(run_command(network, "database", "restore", tmp_path / "ten.db", "--replace"))

    assert (tmp_path / "ten.db").stat().st_mode & 0o777 == 0o600
    assert "books proved" in ran.out
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["ten.db"]


@pytest.mark.slow
def test_backups_under_load_are_proved_each_of_its_own_moment(tmp_path: Path) -> None:
    """A gateway of its own process, tills that never rest, and a backup now and then: no till is held up, no file is torn."""
    network = live_network(tmp_path / "net", *PARTNERS)
    files = [tmp_path / f"{number}.db" for number in range(3)]
    with gateway_process(network.folder) as gateway:
        traffic = Traffic(network, gateway)

        async def back_up() -> None:
            async with traffic.flowing(4):
                for file in files:
                    await traffic.more(100)
                    await asyncio.to_thread(run_process, network.folder, "database", "backup", file)
                await traffic.more(50)

        asyncio.run(back_up())
    network.engine.dispose()
    network.now_ms = system_clock()
    counts = []
    for file in files:
        network.now_ms += SECOND_MS
        ran = done(run_command(network, "database", "restore", file, "--replace"))
        counts.append(int(re.findall(r"books proved: ([\d,]+) entries", ran.out)[0].replace(",", "")))

    assert not traffic.ends
    assert counts == sorted(set(counts))
    assert counts[0] >= 100


def test_a_restore_keeps_what_it_replaces(tmp_path: Path, network: GivenNetwork) -> None:
    """Under a name with the date, a whole database with its log, which can be restored in its turn."""
    done(run_command(network, "database", "backup", tmp_path / "empty.db"))
    with Shops(network).open() as opened:
        opened.enrol()
    done(run_command(network, "database", "restore", tmp_path / "empty.db", "--replace"))
    aside = next(file for file in network.folder.glob("books.db.before-*") if not file.name.endswith("-wal"))
    network.now_ms += SECOND_MS
    ran = done(run_command(network, "database", "restore", aside, "--replace"))

    assert f"{len(CARDS)} entries" in ran.out


@pytest.mark.parametrize("words", [(), ("--replace",)], ids=["", "replace"])
def test_nothing_is_restored_while_a_gateway_serves(tmp_path: Path, network: GivenNetwork, words: tuple[str, ...]) -> None:
    """It would go on with the file that is gone."""
    done(run_command(network, "database", "backup", tmp_path / "b.db"))
    with only_gateway(f"sqlite:///{network.folder / 'books.db'}"):
        ran = run_command(network, "database", "restore", tmp_path / "b.db", *words)

    assert (ran.code, "stop it first" in ran.err) == (1, True)


def test_a_network_that_is_there_is_not_overwritten_unless_told(tmp_path: Path, network: GivenNetwork) -> None:
    """The sentence says what to do."""
    done(run_command(network, "database", "backup", tmp_path / "b.db"))
    ran = run_command(network, "database", "restore", tmp_path / "b.db")

    assert (ran.code, "--replace" in ran.err) == (1, True)


def test_a_lost_file_is_restored_without_more_words(tmp_path: Path, network: GivenNetwork) -> None:
    """Also where its log is still there: that is set aside, or it would be played into another database."""
    done(run_command(network, "database", "backup", tmp_path / "b.db"))
    network.engine.dispose()
    (network.folder / "books.db").unlink()
    (network.folder / "books.db-wal").write_bytes(b"of the file that is gone")
    ran = done(run_command(network, "database", "restore", tmp_path / "b.db"))

    assert "books proved" in ran.out
    assert len(list(network.folder.glob("books.db.before-*-wal"))) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "no backup of a network"), (b"not a database " * 100, "not a database"), (None, "no backup at")],
    ids=["empty", "text", "missing"],
)
def test_what_is_no_backup_changes_nothing(tmp_path: Path, network: GivenNetwork, content: bytes | None, said: str) -> None:
    """A sentence, and the books as they were."""
    file = tmp_path / "b.db"
    if content is not None:
        file.write_bytes(content)
    files = sorted(path.name for path in network.folder.iterdir())
    ran = run_command(network, "database", "restore", file, "--replace")

    assert (ran.code, said in ran.err) == (1, True), ran.err
    assert sorted(path.name for path in network.folder.iterdir() if "lock" not in path.name) == files
    assert "books proved" in done(run_command(network, "audit")).out


def test_a_damaged_backup_changes_nothing(tmp_path: Path, network: GivenNetwork) -> None:
    """Cut off in the middle, as by a full disk."""
    done(run_command(network, "database", "backup", tmp_path / "b.db"))
    whole = (tmp_path / "b.db").read_bytes()
    (tmp_path / "b.db").write_bytes(whole[: len(whole) // 2])
    ran = run_command(network, "database", "restore", tmp_path / "b.db", "--replace")

    assert ran.code == 1
    assert "books proved" in done(run_command(network, "audit")).out


def test_a_backup_is_never_written_over_another_file(tmp_path: Path, network: GivenNetwork) -> None:
    """Yesterday's stays."""
    (tmp_path / "b.db").write_text("yesterday's")
    ran = run_command(network, "database", "backup", tmp_path / "b.db")

    assert (ran.code, "is not overwritten" in ran.err) == (1, True)
    assert (tmp_path / "b.db").read_text() == "yesterday's"


def test_receipts_are_read_as_tills_print_them(tmp_path: Path, network_url: str | None) -> None:
    """A folder of what `pos … --json` answered, and of lines; on both engines."""
    network = create_network(tmp_path / "net", url=network_url)
    for partner in PARTNERS:
        network.onboard(partner, {"EUR": "1"})
    network.now_ms += DAY_MS
    folder = tmp_path / "held"
    folder.mkdir()
    with Shops(network).open() as opened:
        one = opened.tills["acme"].enrol(CARDS[0], key="enrol")
        two = opened.tills["acme"].issue(requests.card(CARDS[0]), requests.amount("9.00 EUR"), key="sale")
    (folder / "enrol.json").write_text(json.dumps(booked_plain(one), indent=2), "utf-8")
    (folder / "refused.json").write_text(json.dumps({"refused": "RATE_LIMITED", "signed_receipt": None}, indent=2), "utf-8")
    write_lines(folder / "sales.jsonl", [two.signed_receipt])
    ran = done(run_command(network, "audit", "--receipts", folder))

    assert re.search(r"in the books +2 ", ran.out)
    network.engine.dispose()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[]", "must be a JSON object"),
        ("{", "not JSON"),
        ("{}", "needs receipt, signature and key_id"),
        ('{"key_id": "r1", "receipt": "?", "signature": ""}', "receipt: must be base64"),
        ('{"signed_receipt": "AAAA"}', "signed receipt: cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, network: GivenNetwork, line: str, said: str) -> None:
    """Rather than taken for receipts that are wrong."""
    file = tmp_path / "held.jsonl"
    file.write_text(f"\n{line}\n", "utf-8")
    ran = run_command(network, "audit", "--receipts", file)

    assert (ran.code, f"held.jsonl:2: {said}" in ran.err) == (1, True), ran.err


class Pen:
    """The network's receipt key in the wrong hands."""

    def __init__(self, network: GivenNetwork) -> None:
        self.key: PrivateKey = load_key(receipt_key_file(network.folder / "keys", "r1"))

    def line(self, receipt: types_pb2.Receipt) -> str:
        """A line of what was never booked."""
        content = receipt.SerializeToString(deterministic=True)
        return line_of(content, self.key.sign(receipt_string(audience=AUDIENCE, key_id="r1", receipt=content)), "r1")


@pytest.mark.parametrize(
    ("change", "standing", "why"),
    [
        ({"points": 5000}, "contradicts the books", "the books say: points"),
        ({"entry_id": "e" + "0" * 32}, "contradicts the books", "another entry has its place"),
        ({"entry_id": "e" + "0" * 32, "sequence": 99}, "newer than the books", "lane 0 ends at 2"),
        ({"entry_id": "e" + "0" * 32, "lane": 3}, "newer than the books", "lane 3 ends at 0"),
        ({"sequence": 99}, "booked anew", "now sequence 2 in lane 0"),
        ({"audience": "elsewhere.example:prod"}, "not the network's", "signed no receipts of this network"),
        ({"booked_at_ms": 1}, "not the network's", "signed no receipts of this network then"),
    ],
)
def test_a_receipt_that_the_books_do_not_have_is_told_from_one_that_they_deny(
    tmp_path: Path, network: GivenNetwork, change: dict[str, object], standing: str, why: str
) -> None:
    """Signed by the network's own key, each of them: so the books are to be explained, not the partner."""
    with Shops(network).open() as opened:
        opened.tills["acme"].enrol(CARDS[0], key="enrol")
        sale = opened.tills["acme"].issue(requests.card(CARDS[0]), requests.amount("9.00 EUR"), key="sale")
    receipt = types_pb2.Receipt()
    receipt.CopyFrom(sale.receipt)
    for name, value in change.items():
        setattr(receipt, name, value)
    file = tmp_path / "held.jsonl"
    file.write_text(Pen(network).line(receipt), "utf-8")
    ran = run_command(network, "audit", "--receipts", file)

    assert (ran.code, f"held.jsonl:1: {standing}:" in ran.out, why in ran.out) == (1, True, True), ran.out


@pytest.mark.parametrize(
    ("change", "standing", "why"),
    [
        ({}, "contradicts the books", "booked, although it was refused for good"),
        ({"fingerprint": bytes(32)}, "contradicts the books", "the books have no such refusal"),
        ({"fingerprint": bytes(32), "booked_at_ms": 2**43}, "newer than the books", "later than the last commit"),
    ],
)
def test_a_refusal_that_the_books_do_not_have_is_told_from_one_that_they_deny(
    tmp_path: Path, network: GivenNetwork, change: dict[str, object], standing: str, why: str
) -> None:
    """It has no sequence: what tells is the command, and the time."""
    with Shops(network).open() as opened:
        opened.tills["acme"].enrol(CARDS[0], key="enrol")
        sale = opened.tills["acme"].issue(requests.card(CARDS[0]), requests.amount("9.00 EUR"), key="sale")
        network.now_ms += SECOND_MS
        opened.tills["acme"].issue(requests.card(CARDS[0]), requests.amount("9.00 EUR"), key="later")
    receipt = types_pb2.Receipt()
    receipt.CopyFrom(sale.receipt)
    receipt.refused = errors_pb2.ERROR_REASON_INSUFFICIENT_POINTS
    for name, value in change.items():
        setattr(receipt, name, value)
    file = tmp_path / "held.jsonl"
    file.write_text(Pen(network).line(receipt), "utf-8")
    ran = run_command(network, "audit", "--receipts", file)

    assert (ran.code, f"held.jsonl:1: {standing}:" in ran.out, why in ran.out) == (1, True, True), ran.out
    assert "issue refused: INSUFFICIENT_POINTS" in ran.out


def test_a_receipt_that_was_changed_in_books_proved_before_is_found_by_its_partners(
    tmp_path: Path, network: GivenNetwork
) -> None:
    """The audit goes on from where it was; the partner's own copy still tells."""
    with Shops(network).open() as opened:
        held = opened.tills["acme"].enrol(CARDS[0], key="enrol").signed_receipt
    done(run_command(network, "audit"))
    with writing(network.engine) as connection:
        connection.execute(update(outcomes).values(receipt=b"\xff"))
    ran = run_command(network, "audit", "--receipts", write_lines(tmp_path / "held.jsonl", [held]))

    assert (ran.code, "what the books have cannot be read" in ran.out) == (1, True)


def test_a_receipt_of_another_key_or_with_another_signature_is_not_the_networks(tmp_path: Path, network: GivenNetwork) -> None:
    """Nothing of what it says is shown."""
    with Shops(network).open() as opened:
        enrolled = opened.tills["acme"].enrol(CARDS[0], key="enrol").signed_receipt
    forged = types_pb2.SignedReceipt(receipt=enrolled.receipt, signature=bytes(64), key_id="r1")
    other = types_pb2.SignedReceipt(receipt=enrolled.receipt, signature=enrolled.signature, key_id="r9")
    ran = run_command(network, "audit", "--receipts", write_lines(tmp_path / "held.jsonl", [forged, other]))

    assert ran.code == 1
    assert ran.out.count("not the network's:") == 2
    assert "acme, key" not in ran.out
