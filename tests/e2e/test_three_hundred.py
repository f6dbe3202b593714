"""Three hundred partners from a folder, a month of traffic, and every net once more in a spreadsheet of what ListEntries told."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import func, select

from gateway.storage.engine import reading
from gateway.storage.tables import entries
from gateway.storage.tables_directory import decisions, partners
from tests.e2e import spreadsheet
from tests.e2e.commands import Ran
from tests.e2e.three_hundred import ALONE, BROKEN, NEW_CARDS, Applicants, Month, Offices
from tests.edge.running import RunningGateway
from tests.given import GivenNetwork, at, create_network

pytestmark = pytest.mark.slow


@dataclass
class Played:
    """The network, and what happened in it."""

    network: GivenNetwork
    with_broken: Ran
    active_first: int
    mended: Ran
    offices: Offices
    folder: Path


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Onboarded, played, settled, and asked for."""
    folder = tmp_path_factory.mktemp("coalition")
    network = create_network(folder / "net")
    applicants = Applicants(network, folder / "applications")
    applicants.write()
    with_broken = applicants.onboard("--skip-broken")
    applicants.approve()
    active_first = _active(network)
    applicants.mend()
    mended = applicants.onboard("--skip-broken")
    applicants.approve()
    for partner_id in NEW_CARDS:
        prices = {"issue_price": "1.05", "face_value": "1.00", "reimbursement_rate": "0.9125"}
        network.rates(partner_id, {"EUR": "1"}, effective_from="2026-06-11", **prices)
    month = Month(network)
    month.play()
    network.now_ms = at("2026-07-01", "08:00")
    (folder / "sheets").mkdir()
    with RunningGateway(network) as gateway:
        offices = Offices(gateway, folder / "sheets")
        offices.write(month.members())
    network.engine.dispose()
    return Played(network, with_broken, active_first, mended, offices, folder / "sheets")


def test_three_broken_files_are_named_and_the_others_are_taken_in(played: Played) -> None:
    """Exit code 1, since something is left to do; each with what is wrong with it."""
    lines = played.with_broken.err.splitlines()[1:]
    named = {Path(line.split(": ")[0]).stem: line for line in lines}

    assert (played.with_broken.code, played.active_first) == (1, 297)
    assert named.keys() == BROKEN.keys()
    assert all(cause in named[partner_id] for partner_id, cause in BROKEN.items())


def test_once_mended_all_are_there_and_none_twice(played: Played) -> None:
    """The second run leaves 297 alone."""
    with reading(played.network.engine) as connection:
        onboarded = select(func.count()).select_from(decisions).where(decisions.c.kind == "onboard-partner")
        count = connection.execute(onboarded).scalar_one()

    assert (played.mended.code, played.mended.out.count("taken in already"), played.mended.out.count("Proposed")) == (0, 297, 3)
    assert (_active(played.network), count) == (300, 300)


def test_a_month_has_enough_to_be_wrong_about(played: Played) -> None:
    """Nearly every partner redeemed, some at a second card; some gave back in the second half what was taken in the first."""
    pairs = spreadsheet.owed(played.folder)
    with reading(played.network.engine) as connection:
        kinds = Counter(connection.execute(select(entries.c.kind)).scalars())

    assert min(kinds[kind] for kind in (2, 3, 4, 5)) > 100
    assert len({pair.redeemer_id for pair in pairs}) > 290
    assert {pair.window_id for pair in pairs} == {1, 2}
    assert {pair.card for pair in pairs} == {1, 2}
    assert any(cents < 0 for cents in pairs.values())
    assert sum(cents % 2 == Decimal("0.5") for cents in spreadsheet.exact(played.folder).values()) > 20, "half a cent above even"


def test_nets_of_a_spreadsheet_are_those_of_every_statement_to_the_cent(played: Played) -> None:
    """From the files of what ListEntries told each partner, put side by side."""
    nets = spreadsheet.nets(spreadsheet.owed(played.folder))

    assert len(played.offices.statements) == 600
    for (window_id, partner_id), statement in played.offices.statements.items():
        assert sum(net["amount"] for net in statement["net"]) == nets[window_id].get(partner_id, 0), (window_id, partner_id)


def test_nets_of_a_spreadsheet_are_the_operators_payments_to_the_cent(played: Played) -> None:
    """In and out of the file of instructions; they sum to zero."""
    for window_id, nets in spreadsheet.nets(spreadsheet.owed(played.folder)).items():
        file = played.network.folder / "statements" / f"window-{window_id:04}" / "operator.instructions.json"
        paid: Counter[str] = Counter()
        for one in json.loads(file.read_bytes())["instructions"]:
            paid[one["creditor_id"]] += one["amount"]
            paid[one["debtor_id"]] -= one["amount"]

        assert _not_zero(nets) == _not_zero(paid)
        assert sum(nets.values()) == 0


def test_a_partner_alone_finds_what_it_is_owed_in_its_own_file(played: Played) -> None:
    """Each line in which it is the redeemer, without anybody else's file; nobody was told an entry of another partner."""
    for partner_id in ALONE:
        own = {pair: cents for pair, cents in spreadsheet.owed(played.folder, partner_id).items() if cents}
        stated = {
            spreadsheet.Pair(window_id, *_issuer_and_redeemer(line), line["rate_card_version"]): _signed(line)
            for (window_id, reader), statement in played.offices.statements.items()
            if reader == partner_id
            for line in statement["obligations"]
            if _issuer_and_redeemer(line)[1] == partner_id and line["amount"]
        }

        assert own == stated, partner_id
    assert played.offices.seen == set()


def test_a_partner_alone_finds_its_net_with_the_lines_behind_its_statement(played: Played) -> None:
    """What it is owed from its own entries, what it owes from the lines of its points at others' tills."""
    for (window_id, partner_id), lines in played.offices.lines.items():
        own = spreadsheet.nets(spreadsheet.owed(played.folder, partner_id)).get(window_id, {}).get(partner_id, 0)
        micros: Counter[tuple[str, int]] = Counter()
        for line in lines:
            sign = 1 if line.kind == "redemption" else -1
            issuer_id, redeemer_id = (line.payer_id, line.payee_id)[::sign]
            if issuer_id == partner_id != redeemer_id:
                micros[redeemer_id, line.rate_card_version] += sign * line.amount_micros
        owes = sum(round(Decimal(amount) / 10**6) for amount in micros.values())

        statement = played.offices.statements[window_id, partner_id]
        assert own - owes == sum(net["amount"] for net in statement["net"]), (window_id, partner_id)
    assert len(played.offices.lines) == 2 * len(ALONE)


def _issuer_and_redeemer(line: dict[str, str]) -> tuple[str, str]:
    pair = line["payer_id"], line["payee_id"]
    return pair if line["kind"] == "redemption" else pair[::-1]


def _signed(line: dict[str, int | str]) -> int:
    amount = int(line["amount"])
    return amount if line["kind"] == "redemption" else -amount


def _not_zero(amounts: Mapping[str, int]) -> dict[str, int]:
    return {partner_id: cents for partner_id, cents in amounts.items() if cents}


def _active(network: GivenNetwork) -> int:
    with reading(network.engine) as connection:
        return connection.execute(select(func.count()).select_from(partners).where(partners.c.status == "ACTIVE")).scalar_one()
