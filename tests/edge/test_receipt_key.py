"""A new receipt key: made and decided by commands, taken up by running gateways, proven by the audit."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from grpc import StatusCode
from sqlalchemy import text, update

from gateway.cli import tallystick
from gateway.domain.errors import DecisionRefused, InvalidValue
from gateway.domain.network import ReceiptKey
from gateway.domain.signing import PrivateKey
from gateway.edge.receipts import decode_receipt, encode_receipt
from gateway.governance import approve
from gateway.key_file import new_key, receipt_key_file
from gateway.ledger.audit import AuditReport, audit
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.receipt_keys import make_receipt_key, next_key_id, propose_receipt_key
from gateway.services.receipts import ReceiptSigner
from gateway.storage.directory import load_receipt_keys
from gateway.storage.engine import reading, writing
from gateway.storage.errors import StoreUnavailable
from gateway.storage.tables import outcomes
from gateway.storage.tables_directory import receipt_keys
from partners.pos.receipts import ReceiptKeys
from partners.pos.requests import GET_NETWORK
from partners.rulings import RULINGS
from tallystick.v1 import network_pb2, types_pb2
from tests.edge.running import Caller, RunningGateway, refusal
from tests.given import START_MS, GivenNetwork

LOOKS_MS = 5_000  # five looks at the directory
SETTLED_MS = LOOKS_MS + 10  # each signature of an operator takes a millisecond of its own
MINUTE_MS = 60_000


@pytest.fixture(params=[False, True], ids=["with its books", "books apart"])
def till(network: GivenNetwork, request: pytest.FixtureRequest) -> Iterator[Caller]:
    """A till of acme's at a gateway that keeps its books by itself, or in a process of their own."""
    with RunningGateway(network, keeps_books_apart=request.param) as running:
        yield Caller(running, "acme", network.keys["acme"])


def rotate(network: GivenNetwork, *, overlap_minutes: int = 60, keys_dir: Path | None = None) -> None:
    """As two operators do: the file, the proposal, the approval."""
    with writing(network.engine) as connection:
        key = make_receipt_key(keys_dir or network.folder / "keys", next_key_id(connection))
        decision = propose_receipt_key(
            connection, key, overlap_minutes=overlap_minutes, hand=network.hands[0], now_ms=network.now_ms
        )
    network.approve(decision)


def published(caller: Caller) -> network_pb2.GetNetworkResponse:
    """What the gateway tells of the network."""
    return network_pb2.GetNetworkResponse.FromString(caller.send(GET_NETWORK.path, b"", None))


def verified(caller: Caller, *answers: types_pb2.Answer) -> list[str]:
    """The ids of the keys that signed the receipts, all of which verify by what GetNetwork lists now."""
    network = published(caller)
    keys = ReceiptKeys(network.audience, network.receipt_keys)
    for answer in answers:
        keys.verify(answer.receipt)
    return [answer.receipt.key_id for answer in answers]


def proved(network: GivenNetwork) -> AuditReport:
    """The full audit."""
    return audit(
        network.engine,
        full=True,
        now_ms=network.now_ms,
        receipts=ReceiptForm(encode_receipt, decode_receipt),
        progress=lambda _line: None,
    )


def test_a_running_gateway_takes_up_a_new_key_and_repeats_with_the_old_one(till: Caller) -> None:
    """Old receipts verify, repeats come byte for byte, and the audit proves all of them."""
    network = till.gateway.network
    member_id = till.enrol("ROTATE-1")
    before = till.issue(member_id, 500, "before")
    rotate(network)
    network.now_ms += SETTLED_MS
    till.gateway.run(till.gateway.app.look_around())
    after = till.issue(member_id, 500, "after")
    again = till.issue(member_id, 500, "before")

    assert verified(till, before, after, again) == ["r1", "r2", "r1"]
    assert (again.replayed, again.receipt) == (True, before.receipt)
    assert [(key.key_id, key.valid_until_ms - START_MS > 0) for key in published(till).receipt_keys] == [
        ("r1", True),
        ("r2", False),
    ]
    assert proved(network).is_proved


def test_a_new_key_signs_once_every_gateway_has_had_time_to_read_of_it(own_acme: Caller) -> None:
    """Until then the old one does: whoever verifies asks any gateway for the keys."""
    network = own_acme.gateway.network
    member_id = own_acme.enrol("ROTATE-2")
    rotate(network)
    network.now_ms += LOOKS_MS
    young = own_acme.issue(member_id, 500, "young")
    network.now_ms += 1
    settled = own_acme.issue(member_id, 500, "settled")

    assert verified(own_acme, young, settled) == ["r1", "r2"]


def test_without_its_file_a_gateway_goes_on_with_the_old_key_until_it_is_there(till: Caller, tmp_path: Path) -> None:
    """It says so once in its log; the file is found without a restart."""
    network = till.gateway.network
    member_id = till.enrol("ROTATE-3")
    rotate(network, keys_dir=tmp_path)
    network.now_ms += SETTLED_MS
    without = till.issue(member_id, 500, "without")
    for _ in range(3):
        till.gateway.run(till.gateway.app.look_around())
    shutil.copy(receipt_key_file(tmp_path, "r2"), network.folder / "keys")
    till.gateway.run(till.gateway.app.look_around())
    network.now_ms += SETTLED_MS
    with_it = till.issue(member_id, 500, "with")

    assert verified(till, without, with_it) == ["r1", "r2"]
    log = "".join(till.gateway.log)
    assert (log.count("receipt-r2.pem; receipts are signed by the key before"), log.count("its file is there now")) == (1, 1)


def test_without_a_valid_key_nothing_is_booked(till: Caller, tmp_path: Path) -> None:
    """A receipt that nobody could verify is worth nothing; the till is told to come again."""
    network = till.gateway.network
    member_id = till.enrol("ROTATE-4")
    rotate(network, overlap_minutes=1, keys_dir=tmp_path)
    network.now_ms += 2 * MINUTE_MS
    refused = refusal(lambda: till.issue(member_id, 500, "ended"))

    assert (refused.code, refused.reason, refused.retry_ms) == (StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", 1_000)
    shutil.copy(receipt_key_file(tmp_path, "r2"), network.folder / "keys")
    till.gateway.run(till.gateway.app.look_around())
    assert verified(till, till.issue(member_id, 500, "ended")) == ["r2"]


def test_a_receipt_of_a_key_whose_file_is_missing_is_asked_for_again(network: GivenNetwork, tmp_path: Path) -> None:
    """Another gateway has signed with it; this one was not given the file yet."""
    with RunningGateway(network) as gateway:
        caller = Caller(gateway, "acme", network.keys["acme"])
        member_id = caller.enrol("ROTATE-5")
        rotate(network, keys_dir=tmp_path)
        caller.issue(member_id, 500, "elsewhere")
        with writing(network.engine) as connection:
            connection.execute(update(outcomes).values(receipt_key_id="r2"))
        refused = refusal(lambda: caller.issue(member_id, 500, "elsewhere"))

    assert (refused.code, refused.reason) == (StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")


def test_an_old_key_without_its_file_keeps_a_gateway_from_starting(network: GivenNetwork) -> None:
    """It could not repeat old receipts."""
    rotate(network, overlap_minutes=1)
    network.now_ms += 2 * MINUTE_MS
    receipt_key_file(network.folder / "keys", "r1").unlink()

    with pytest.raises(InvalidValue, match=r"no key at .*receipt-r1\.pem"), RunningGateway(network):
        pass


def test_a_second_rotation_ends_the_second_key(own_acme: Caller) -> None:
    """One is in use at any time, and each receipt verifies by its own."""
    network = own_acme.gateway.network
    member_id = own_acme.enrol("ROTATE-6")
    answers = [own_acme.issue(member_id, 500, "first")]
    for key in ("second", "third"):
        rotate(network)
        network.now_ms += SETTLED_MS
        answers.append(own_acme.issue(member_id, 500, key))

    assert verified(own_acme, *answers) == ["r1", "r2", "r3"]
    with reading(network.engine) as connection:
        assert [key.valid_until_ms is None for key in load_receipt_keys(connection)] == [False, False, True]
    assert proved(network).is_proved


def test_of_two_proposals_one_is_approved_and_the_other_is_stale(network: GivenNetwork) -> None:
    """Both with the key that lay there: run again, the command makes no second one."""
    decisions = []
    for _ in range(2):
        with writing(network.engine) as connection:
            key = make_receipt_key(network.folder / "keys", next_key_id(connection))
            decisions.append(
                propose_receipt_key(connection, key, overlap_minutes=60, hand=network.hands[0], now_ms=network.now_ms)
            )

    assert [network.approve(decision).state.value for decision in decisions] == ["APPLIED", "STALE"]


def test_one_operator_alone_changes_no_receipt_key(network: GivenNetwork) -> None:
    """Whoever holds the key can make receipts."""
    with writing(network.engine) as connection:
        key = make_receipt_key(network.folder / "keys", next_key_id(connection))
        decision = propose_receipt_key(connection, key, overlap_minutes=60, hand=network.hands[0], now_ms=network.now_ms)
        with pytest.raises(DecisionRefused, match="DUAL_CONTROL_REQUIRED"):
            approve(connection, RULINGS, decision.decision_id, hand=network.hands[0], now_ms=network.now_ms)
        assert [key.key_id for key in load_receipt_keys(connection)] == ["r1"]


@pytest.mark.parametrize(
    "change",
    [
        "public_key = x'00' || substr(public_key, 2) WHERE key_id = 'r2'",
        "valid_from_ms = valid_from_ms - 1 WHERE key_id = 'r2'",
        "valid_until_ms = valid_from_ms WHERE key_id = 'r2'",
        "valid_from_ms = valid_from_ms - 1 WHERE key_id = 'r1'",
        "valid_until_ms = valid_until_ms + 1 WHERE key_id = 'r1'",
        "valid_until_ms = NULL WHERE key_id = 'r1'",
        "key_id = 'r9' WHERE key_id = 'r2'",
    ],
)
def test_whoever_changes_a_receipt_key_by_hand_is_found(network: GivenNetwork, change: str) -> None:
    """The rows follow from signed decisions."""
    rotate(network)
    assert proved(network).is_proved
    with writing(network.engine) as connection:
        connection.execute(text(f"UPDATE receipt_keys SET {change}"))

    assert not proved(network).is_proved


def test_a_receipt_of_a_key_that_was_not_valid_then_is_found(own_acme: Caller) -> None:
    """As if somebody had booked in the past with the new key."""
    network = own_acme.gateway.network
    own_acme.issue(own_acme.enrol("ROTATE-7"), 500, "then")
    network.now_ms += MINUTE_MS
    rotate(network)
    with writing(network.engine) as connection:
        connection.execute(update(outcomes).values(receipt_key_id="r2"))

    report = proved(network)
    assert "one of the network's that was valid then" in "".join(str(failure) for failure in report.failures)


def command(network: GivenNetwork, *words: str) -> str:
    """What `tallystick` prints; fails if it refuses."""
    config = str(network.folder / "tallystick.toml")
    ended = CliRunner().invoke(tallystick, ["--config", config, *words], obj=network.clock, catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_the_commands_make_propose_and_list_a_key(network: GivenNetwork) -> None:
    """The file comes first; the approver reads what it is about."""
    folder = network.folder
    ada = ("--operator", "ada", "--key", str(folder / "ada.pem"))
    file = receipt_key_file(folder / "keys", "r2")
    planned = command(network, "network", "receipt-key", "rotate", *ada, "--dry-run")
    assert not file.exists()
    said = command(network, "network", "receipt-key", "rotate", *ada, "--overlap-minutes", "90")
    waiting = command(network, "operators", "proposals")
    command(network, "operators", "approve", "--all", "--operator", "bob", "--key", str(folder / "bob.pem"))
    listed = command(network, "network", "receipt-key", "list")
    shown = command(network, "network", "show")

    assert planned == f"Would write {file.resolve()} and propose it as receipt key r2.\n"
    assert f"Wrote {file.resolve()}: copy it to every other machine" in said
    assert "the new key r2" in waiting
    assert "stays valid for 90 minutes" in waiting
    rows = [line.split() for line in listed.splitlines() if line.strip().startswith("r")]
    assert [(row[0], len(row[1]), row[-1]) for row in rows] == [("r1", 64, "yes"), ("r2", 64, "yes")]
    assert "r1 ends 2026-06-01 11:30:00Z, r2 in use" in shown
    assert file.stat().st_mode & 0o777 == 0o600


class Keys:
    """Keys r1, r2 … and the files of some of them."""

    def __init__(self, *lives: tuple[int, int | None]) -> None:
        self.private: dict[str, PrivateKey] = {f"r{number}": new_key()[0] for number in range(1, len(lives) + 1)}
        self.known = [
            ReceiptKey(key_id, self.private[key_id].public_bytes(), *life)
            for key_id, life in zip(self.private, lives, strict=True)
        ]
        self.notes: list[str] = []
        self.signer = ReceiptSigner(
            audience="a.example:test", known=lambda: self.known, load=self._load, note=self.notes.append, settle_ms=10
        )

    def _load(self, key_id: str) -> PrivateKey:
        if key_id not in self.private:
            raise InvalidValue(f"no key at {key_id}")
        return self.private[key_id]


@pytest.mark.parametrize(
    ("now_ms", "key_id"),
    [(0, "r1"), (99, "r1"), (100, "r1"), (109, "r1"), (110, "r2"), (150, "r2"), (151, "r2"), (10**6, "r2")],
)
def test_the_newest_key_that_is_settled_signs(now_ms: int, key_id: str) -> None:
    """Also for a clock that is behind the founding."""
    keys = Keys((1, 150), (100, None))
    keys.signer.look()

    assert keys.signer.key_id_at(now_ms) == key_id


def test_a_file_that_holds_another_key_is_not_used() -> None:
    """It is told once, and the key before goes on to its last millisecond."""
    keys = Keys((1, 150), (100, None))
    keys.private["r2"] = new_key()[0]
    keys.signer.require(120)
    keys.signer.look()

    assert keys.signer.key_id_at(150) == "r1"
    with pytest.raises(StoreUnavailable, match="holds another key than the network published"):
        keys.signer.key_id_at(151)
    assert len(keys.notes) == 1


def test_a_file_that_has_come_is_found_by_the_next_batch() -> None:
    """Whoever signs may be a process that nobody else looks around for."""
    keys = Keys((1, 150), (100, None))
    held = keys.private.pop("r2")
    keys.signer.require(120)
    assert keys.signer.key_id_at(120) == "r1"
    keys.private["r2"] = held

    assert keys.signer.key_id_at(120) == "r2"


def test_what_cannot_be_signed_yet_is_signed_when_it_leaves() -> None:
    """The batch is committed; one receipt that waits for a file must not harm the others."""
    keys = Keys((1, 150), (100, None))
    held = keys.private.pop("r2")
    keys.signer.require(120)
    assert (keys.signer.sign_if_held(b"receipt", "r2"), len(keys.signer.sign_if_held(b"receipt", "r1"))) == (b"", 64)
    with pytest.raises(StoreUnavailable):
        keys.signer.sign(b"receipt", "r2")
    keys.private["r2"] = held
    keys.signer.look()

    assert len(keys.signer.sign(b"receipt", "r2")) == 64


def test_the_rows_of_receipt_keys_are_those_that_a_till_is_told(own_acme: Caller) -> None:
    """With their lives, as they stand in the database."""
    network = own_acme.gateway.network
    rotate(network)
    own_acme.gateway.run(own_acme.gateway.app.look_around())
    with reading(network.engine) as connection:
        rows = connection.execute(receipt_keys.select().order_by(receipt_keys.c.key_id)).all()

    told = published(own_acme).receipt_keys
    assert [(row.key_id, row.public_key, row.valid_from_ms, row.valid_until_ms or 0) for row in rows] == [
        (key.key_id, key.public_key, key.valid_from_ms, key.valid_until_ms) for key in told
    ]
