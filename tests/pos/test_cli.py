"""`tallystick pos`, as it is typed: what it prints, writes and exits with."""

import base64
import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.domain.documents import consent_string
from gateway.domain.signing import Algorithm, PrivateKey, load_verifier
from partners.application import Application, parse_application
from partners.key_request import KeyRequest, parse_key_request
from partners.offer_file import OfferFile, parse_offer
from partners.pos import keys
from partners.pos.profile import Profile
from tests.pos.conftest import KEY_ID
from tests.pos.naive import balances
from tests.pos.small_gateway import AUDIENCE, NOW_MS, SmallGateway

OFFER = """\
offer_id = "june"
partner_id = "acme"
first_date = 2026-06-01
last_date = 2026-06-30
bonus_points = 500
unit = "EUR"
minimum_amount = "20.00"
shares = { acme = "1/2", bolt = "1/2" }
"""


@dataclass
class Command:
    """Runs command lines in one folder, with a clock that stands still."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *args: str, code: int = 0) -> str:
        """Standard output, or standard error where the command is expected to fail."""
        with pytest.raises(SystemExit) as exit_:
            main(["pos", *args], clock=lambda: NOW_MS)
        printed = self.capsys.readouterr()
        assert (exit_.value.code or 0) == code, printed.err
        return printed.err if code else printed.out

    def json(self, *args: str) -> dict[str, Any]:
        """What --json prints."""
        content: dict[str, Any] = json.loads(self(*args, "--json"))
        return content


@pytest.fixture
def pos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """In an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TALLYSTICK_POS_PROFILE", raising=False)
    return Command(capsys)


@pytest.mark.usefixtures("profile")
def test_a_sale_from_the_command_line(pos: Command) -> None:
    """Enrol, issue, redeem, reverse, transfer, look up."""
    pos("enrol", "--card", "ALICE-1", "--key", "e-1")
    pos("enrol", "--card", "BOB-1", "--key", "e-2")
    sale = pos.json("issue", "--card", "ALICE-1", "--amount", "42.50 USD", "--key", "s-1", "--receipt-number", "0001")
    paid = pos("redeem", "--card", "ALICE-1", "--up-to", "0.30 USD")
    pos("reverse", "--entry", sale["receipt"]["entry_id"], "--amount", "10.00 USD")
    pos("transfer", "--from-card", "ALICE-1", "--to-card", "BOB-1", "--points", "1")

    assert (sale["receipt"]["points"], sale["receipt"]["receipt_number"], sale["replayed"]) == ("42", "0001", False)
    assert paid.startswith("redeem: -30 points for 0.30 USD\nbalance: 12 points\n")
    assert "receipt verified: signed by receipts-1" in paid
    assert pos.json("balance", "--card", "ALICE-1")["balance_points"] == "1"
    assert pos.json("entry", "--key", "s-1")["receipt"] == sale["receipt"]


@pytest.mark.usefixtures("profile")
def test_a_refusal_is_a_sentence_or_json_and_exits_with_one(pos: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """The receipt of the refusal is in the JSON."""
    pos("enrol", "--card", "ALICE-1")

    assert pos("redeem", "--card", "ALICE-1", "--points", "5", "--key", "r-1", code=1) == "Error: INSUFFICIENT_POINTS\n"
    with pytest.raises(SystemExit):
        main(["pos", "redeem", "--card", "ALICE-1", "--points", "5", "--key", "r-1", "--json"])
    content = json.loads(capsys.readouterr().out)
    assert (content["refused"], content["receipt"]["idempotency_key"]) == ("INSUFFICIENT_POINTS", "r-1")
    assert content["cashier_text"]["de"].startswith("Nicht genug Punkte.")


@pytest.mark.usefixtures("profile")
@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("balance",), 2, "name the member by one of --card and --member"),
        (("balance", "--card", "1", "--member", "m"), 2, "name the member by one of"),
        (("balance", "--card", "x" * 33), 1, "must be 4 to 32 characters"),
        (("issue", "--card", "ALICE-1", "--amount", "42.505 USD"), 1, "at most 2 decimals for USD"),
        (("issue", "--card", "ALICE-1", "--amount", "42"), 1, "write the number and its unit"),
        (("issue", "--card", "ALICE-1", "--amount", "1 USD", "--occurred-at-ms", "9" * 23), 2, "Value out of range"),
        (("redeem", "--card", "ALICE-1", "--points", "9" * 23), 2, "Value out of range"),
        (("redeem", "--card", "ALICE-1"), 2, "say how much by one of --points and --up-to"),
        (("reverse",), 1, "name the entry to reverse in one way"),
        (("entry",), 2, "name the entry by one of --id and --key"),
        (("sign", "IssueCoins", "{}"), 1, "no method 'IssueCoins'; there are: A"),
        (("sign", "GetBalance", "{"), 1, "BODY is no GetBalanceRequest as JSON"),
        (("sign", "GetBalance", "{}", "--nonce", "x"), 1, "tally-nonce must be 16 bytes in base64url"),
    ],
)
def test_a_mistake_is_told_before_anything_is_sent(
    pos: Command, gateway: SmallGateway, args: tuple[str, ...], code: int, said: str
) -> None:
    """Refused is 1, misuse 2."""
    assert said in pos(*args, code=code)
    assert gateway.calls == []


@pytest.mark.usefixtures("gateway")
def test_a_key_that_was_made_up_is_told_when_no_answer_comes(pos: Command, profile: Path) -> None:
    """Nobody can send the same key again who has never seen it."""
    profile.write_text(re.sub(r":\d+", ":1", profile.read_text("utf-8"), count=1), "utf-8")

    said = pos("enrol", "--card", "ALICE-1", code=3)
    assert re.fullmatch(
        r"key: cli-[0-9a-f]{24}\nError: no answer after .*; send the same idempotency key again\n", said, re.DOTALL
    )


def test_without_a_profile_the_way_to_one_is_shown(pos: Command) -> None:
    """The first thing that goes wrong for a newcomer."""
    assert "write one with 'tallystick pos profile'" in pos("balance", "--card", "ALICE-1", code=1)


def test_sign_explains_a_request_of_the_vectors_byte_by_byte(pos: Command, tmp_path: Path) -> None:
    """With its created and nonce: the eight lines, and the same signature."""
    vectors = json.loads((Path(__file__).parents[1] / "vectors" / "requests.json").read_text("utf-8"))
    vector = next(one for one in vectors["vectors"] if one["name"] == "ed25519-issue")
    key = next(one for one in vectors["test_keys"] if one["algorithm"] == "ed25519")
    ed25519_pkcs8 = bytes.fromhex("302e020100300506032b657004220420" + key["secret_hex"])
    write_pem(tmp_path / "till.pem", ed25519_pkcs8)
    pos(
        "profile",
        "--target",
        "127.0.0.1:1",
        "--audience",
        vector["audience"],
        "--key-id",
        vector["key_id"],
        "--key-file",
        "till.pem",
        "--plaintext",
    )

    explained = pos(
        "sign",
        "--explain",
        vector["method"],
        "--hex",
        vector["body_hex"],
        "--created",
        vector["created"],
        "--nonce",
        vector["nonce"],
    )

    assert f"\n\n{vector['signed_string']}\n" in explained
    assert f"tally-sig-bin: {base64_of(vector['signature_hex'])}" in explained


def test_sign_makes_the_body_from_json(pos: Command, profile: Path) -> None:
    """Named by its method; the signature holds."""
    created, nonce = str(NOW_MS), "AAECAwQFBgcICQoLDA0ODw"
    explained = pos(
        "sign", "--explain", "GetBalance", '{"member": {"card_number": "ALICE-1"}}', "--created", created, "--nonce", nonce
    )

    assert profile.exists()
    assert f"\n/tallystick.v1.MemberService/GetBalance\n{KEY_ID}\n{created}\n{nonce}\n" in explained
    assert "serialized message   0a091207414c4943452d31" in explained


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_an_application_is_made_from_the_template_in_one_call(pos: Command, tmp_path: Path, algorithm: Algorithm) -> None:
    """keygen, apply --template, apply: what the operator reads is complete and proven."""
    pos("keygen", "--out", "till.pem", "--algorithm", algorithm.value)
    (tmp_path / "draft.toml").write_text(pos("apply", "--template"))
    pos("apply", "draft.toml", "--key-id", "acme/till-1/2026a", "--key-file", "till.pem", "--out", "acme.toml")

    read = parse_application((tmp_path / "acme.toml").read_text(), audience="coalition.example:prod")

    assert isinstance(read, Application), read
    assert (read.key.algorithm, read.key.key_id, read.partner_id) == (algorithm, "acme/till-1/2026a", "acme")


def test_an_application_can_be_signed_by_a_security_module(pos: Command, tmp_path: Path) -> None:
    """The module sees the printed bytes and nothing else."""
    module, _ = keys.generate(Algorithm.P256)
    (tmp_path / "draft.toml").write_text(pos("apply", "--template"))
    options = ("--key-id", "acme/hsm/1", "--public-key", module.public_bytes().hex(), "--algorithm", "ecdsa-p256-sha256")
    string = pos("apply", "draft.toml", *options, "--print-signed-string")

    signed = pos("apply", "draft.toml", *options, "--signature", module.sign(string.encode()).hex())

    assert isinstance(parse_application(signed, audience="coalition.example:prod"), Application)
    wrong = module.sign(b"something else").hex()
    assert "sign exactly what --print-signed-string prints" in pos("apply", "draft.toml", *options, "--signature", wrong, code=1)


def test_all_that_a_draft_lacks_is_listed(pos: Command, tmp_path: Path) -> None:
    """Nothing is written."""
    pos("keygen", "--out", "till.pem")
    (tmp_path / "draft.toml").write_text('partner_id = "Acme!"\n')

    said = pos("apply", "draft.toml", "--key-id", "acme/till-1/a", "--key-file", "till.pem", "--out", "acme.toml", code=1)

    assert len(said.splitlines()) > 8
    assert not (tmp_path / "acme.toml").exists()


def test_a_further_key_is_asked_for_with_its_proof(pos: Command) -> None:
    """As the operator reads it."""
    pos("keygen", "--out", "till-2.pem")
    request = pos(
        "request-key", "--audience", AUDIENCE, "--key-id", "acme/till-2/a", "--key-file", "till-2.pem", "--scope", "till"
    )

    read = parse_key_request(request, audience=AUDIENCE)

    assert isinstance(read, KeyRequest), read
    assert (read.key.key_id, {scope.value for scope in read.key.scopes}) == ("acme/till-2/a", {"till"})


def test_a_funder_consents_to_an_offer_as_it_stands(pos: Command, gateway: SmallGateway, profile: Path, tmp_path: Path) -> None:
    """The operator takes offer and consent together."""
    (tmp_path / "offer.toml").write_text(OFFER)
    pos("consent", "offer.toml", "--out", "consent.toml")

    read = parse_offer(OFFER, [(tmp_path / "consent.toml").read_text()])

    assert isinstance(read, OfferFile), read
    string = consent_string(audience=AUDIENCE, key_id=KEY_ID, offer=read.offer)
    verify(gateway.keys[KEY_ID], read.consents[0].signature, string)
    assert pos("consent", "offer.toml", "--print-signed-string") == string.decode()
    assert Profile.load(profile).partner_id == read.consents[0].partner_id


@pytest.mark.usefixtures("profile")
def test_nobody_consents_to_what_others_pay(pos: Command, tmp_path: Path) -> None:
    """The profile is acme's, which has no share."""
    (tmp_path / "offer.toml").write_text(OFFER.replace('acme = "1/2", bolt = "1/2"', 'bolt = "1"'))

    assert "acme pays no share of june" in pos("consent", "offer.toml", code=1)


def test_a_replay_from_the_command_line_by_week(pos: Command, gateway: SmallGateway, tmp_path: Path) -> None:
    """A mapping, a renamed column, dates, a command a week, balances that a naive script confirms."""
    for partner_id in ("fuel", "grocer"):
        write_profile(pos, gateway, partner_id)
    sample = Path(__file__).with_name("baskets_sample.csv").read_text().splitlines()
    chosen = [line for line in sample[1:] if "2017-02-15" <= line[:10] <= "2017-03-15"]
    owners = {store: "fuel" if int(store) % 3 else "grocer" for store in (line.split(",")[2] for line in chosen)}
    Path("map.csv").write_text("store_id,partner_id\n" + "".join(f"{store},{owner}\n" for store, owner in owners.items()))
    Path("file.csv").write_text("\n".join([sample[0].replace("sales_usd", "turnover"), *sample[1:]]))

    options = "--map map.csv --column sales=turnover --from 2017-02-15 --to 2017-03-15 --processes 1 --balances-out out.csv"
    printed = pos("replay", "file.csv", "--profiles", ".", *options.split(), "--each-week", "echo $TALLYSTICK_WEEK >> weeks.txt")

    told = {row["household_id"]: int(row["balance_points"]) for row in csv.DictReader((tmp_path / "out.csv").read_text().split())}
    assert Path("weeks.txt").read_text().split() == [f"2017-W{week:02d}" for week in range(7, 12)]
    assert told == balances([sample[0], *chosen], {"one": (1, 1, 1_000_000)})
    assert re.search(rf"balances that equal the sum of their receipts +{len(told)}\b", printed)


def test_a_replay_names_what_is_missing(pos: Command, tmp_path: Path) -> None:
    """Before a process is started."""
    (tmp_path / "file.csv").write_text("a,b\n")
    (tmp_path / "profiles").mkdir()

    assert "no profile (*.toml) in profiles" in pos("replay", "file.csv", "--profiles", "profiles", code=1)


def write_profile(pos: Command, gateway: SmallGateway, partner_id: str) -> None:
    """A partner's key, which the gateway knows, and its profile, in the working directory."""
    key, pem = keys.generate()
    gateway.keys[f"{partner_id}/till-1/a"] = key
    keys.save(pem, Path(f"{partner_id}.pem"))
    whom = f"--key-id {partner_id}/till-1/a --key-file {partner_id}.pem --out {partner_id}.toml"
    pos("profile", "--target", gateway.target, "--audience", AUDIENCE, "--plaintext", *whom.split())


def verify(key: PrivateKey, signature: bytes, message: bytes) -> None:
    """Raises unless the signature holds."""
    load_verifier(key.algorithm, key.public_bytes())(signature, message)


def write_pem(path: Path, der: bytes) -> None:
    """A private key in PEM."""
    path.write_text(f"-----BEGIN PRIVATE KEY-----\n{base64_of(der.hex())}\n-----END PRIVATE KEY-----\n")


def base64_of(text: str) -> str:
    """Of what is given in hex."""
    return base64.b64encode(bytes.fromhex(text)).decode()
