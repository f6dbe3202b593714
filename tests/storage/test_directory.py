"""The directory: what decisions wrote is read back whole, and the applied decisions alone say the same."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from gateway.domain.derivation import Directory, derive
from gateway.domain.documents import (
    network_terms_of,
    network_terms_plain,
    offer_of,
    offer_plain,
    rate_card_of,
    rate_card_plain,
    read_document,
)
from gateway.domain.errors import BooksBroken, InvalidValue
from gateway.domain.partner import PartnerStatus
from gateway.domain.signing import Algorithm
from gateway.domain.terms import Terms
from gateway.key_file import new_key
from gateway.storage.decisions import load_decisions
from gateway.storage.directory import (
    bump_directory_version,
    directory_version,
    has_entries,
    load_keys,
    load_network,
    load_operators,
    load_receipt_keys,
    load_terms,
)
from gateway.storage.engine import reading, writing
from gateway.storage.tables_directory import networks, offer_shares, partners, receipt_keys
from partners.onboarding import onboard
from partners.proposals import change_status, retire_key, revoke_key
from tests.given import AUDIENCE, START_MS, ZONE, GivenNetwork, application, create_network


@pytest.fixture
def network(month_template: GivenNetwork, tmp_path: Path, network_url: str | None) -> Iterator[GivenNetwork]:
    """The oracle's month, before its first step."""
    network = month_template.copy(tmp_path / "net", url=network_url)
    yield network
    network.engine.dispose()


def terms_of(network: GivenNetwork) -> Terms:
    """The snapshot that a batch would decide by."""
    with reading(network.engine) as connection:
        return load_terms(connection)


def derived(network: GivenNetwork) -> Directory:
    """What the decisions alone say."""
    with reading(network.engine) as connection:
        return derive(load_decisions(connection))


def test_a_snapshot_has_everything_that_a_batch_decides_by(network: GivenNetwork) -> None:
    """Partners with their zones, cards in order, terms and offers."""
    terms = terms_of(network)

    assert set(terms.partners) == set(terms.zones) == {"alpha", "bravo", "charlie", "delta"}
    assert (terms.audience, terms.time_zone, terms.zones["alpha"]) == (AUDIENCE, ZONE, ZONE)
    card = terms.card_in_force("alpha", date(2026, 6, 16))
    assert card is not None
    assert (card.version, terms.card("alpha", 1).issue_price_micros) == (2, 1_100_000)
    assert terms.cards["delta"][0].issue_rates == {}


def test_a_change_bumps_the_version(network: GivenNetwork) -> None:
    """One more than before, whatever it was."""
    before = terms_of(network).version
    with writing(network.engine) as connection:
        bump_directory_version(connection)

    assert terms_of(network).version == before + 1


def test_without_a_network_there_is_no_directory(tmp_path: Path, network_url: str | None) -> None:
    """An empty database is told from an empty network."""
    network = create_network(tmp_path / "net", url=network_url)
    with writing(network.engine) as connection:
        connection.execute(delete(networks))

    with reading(network.engine) as connection:
        for read in (directory_version, load_network, load_terms):
            with pytest.raises(BooksBroken, match="no network"):
                read(connection)


def test_receipt_keys_come_oldest_first(network: GivenNetwork) -> None:
    """The one in use has no end."""
    with writing(network.engine) as connection:
        row = {"key_id": "r2", "public_key": bytes(32), "valid_from_ms": START_MS + 1, "valid_until_ms": None}
        connection.execute(receipt_keys.insert().values(row))
        connection.execute(update(receipt_keys).where(receipt_keys.c.key_id == "r1").values(valid_until_ms=START_MS + 1))

    with reading(network.engine) as connection:
        assert [(key.key_id, key.valid_until_ms) for key in load_receipt_keys(connection)] == [("r1", START_MS + 1), ("r2", None)]


def test_whether_anything_was_booked_is_known(network: GivenNetwork) -> None:
    """Until then terms may be set for past dates."""
    with reading(network.engine) as connection:
        before = has_entries(connection)
    network.pretend_an_entry()

    with reading(network.engine) as connection:
        assert (before, has_entries(connection)) == (False, True)


def test_the_applied_decisions_alone_give_the_directory(network: GivenNetwork) -> None:
    """Row for row: operators, partners, keys, cards, terms, offers and consents."""
    network.cap("alpha", 1_000)
    hand, now_ms = network.hands[0], network.now_ms
    with writing(network.engine) as connection:
        change_status(connection, "bravo", PartnerStatus.SUSPENDED, hand=hand, now_ms=now_ms)
        retire_key(connection, "bravo/till-1/1", now_ms + 5, hand=hand, now_ms=now_ms)
        revoke_key(connection, "delta/till-1/1", hand=hand, now_ms=now_ms)
        onboard(connection, application("echo", {}, new_key()[0]), hand=hand, now_ms=now_ms)
    says, terms = derived(network), terms_of(network)

    with reading(network.engine) as connection:
        assert says.operators == load_operators(connection)
        assert says.keys == load_keys(connection)
        rows = connection.execute(select(partners.c.partner_id, partners.c.application, partners.c.decision_id)).all()
        signatures = set(connection.execute(select(offer_shares.c.consent_signature)).scalars())
    assert {name: one.partner for name, one in says.partners.items()} == terms.partners
    assert {(name, one.application, one.decision_id) for name, one in says.partners.items()} == {tuple(row) for row in rows}
    assert {key: card for key, (card, _) in says.cards.items()} == {
        (card.partner_id, card.version): card for versions in terms.cards.values() for card in versions
    }
    assert [terms_version for terms_version, _ in says.network.values()] == list(terms.network[1:])
    assert {name: offer for name, (offer, _, _) in says.offers.items()} == terms.offers
    assert {one.signature for _, consents, _ in says.offers.values() for one in consents} == signatures


def test_a_price_changed_by_hand_no_longer_matches_the_decisions(network: GivenNetwork) -> None:
    """The tables are a convenience; the signed decisions are the proof."""
    with writing(network.engine) as connection:
        connection.execute(update(partners).where(partners.c.partner_id == "alpha").values(net_debit_cap=1))

    assert derived(network).partners["alpha"].partner != terms_of(network).partners["alpha"]


def test_the_order_in_which_decisions_are_given_does_not_matter(network: GivenNetwork) -> None:
    """Their signed times say in which order they were applied."""
    network.cap("alpha", 1)
    network.cap("alpha", 2)
    with reading(network.engine) as connection:
        decisions = load_decisions(connection)

    assert asdict(derive(reversed(decisions))) == asdict(derive(decisions))
    assert derive(reversed(decisions)).partners["alpha"].partner.net_debit_cap == 2


def test_values_survive_their_documents(network: GivenNetwork) -> None:
    """What is signed is what is applied."""
    terms = terms_of(network)

    assert [rate_card_of(rate_card_plain(card)) for card in terms.cards["charlie"]] == list(terms.cards["charlie"])
    assert [network_terms_of(network_terms_plain(one)) for one in terms.network] == list(terms.network)
    assert offer_of(offer_plain(terms.offers["bonus-500"])) == terms.offers["bonus-500"]


@pytest.mark.parametrize("document", [b"", b"[]", b'{"b":1,"a":2}', b'{ "a": 1}', b'{"a":1}\n'])
def test_a_document_that_is_not_canonical_is_refused(document: bytes) -> None:
    """Two texts that mean the same would have two hashes."""
    with pytest.raises(InvalidValue):
        read_document(document)


def test_keys_of_both_algorithms_are_read_back(network: GivenNetwork) -> None:
    """The algorithm is fixed in the key record."""
    with reading(network.engine) as connection:
        keys = load_keys(connection)

    assert {key.algorithm for key in keys.values()} == {Algorithm.ED25519}
    assert replace(keys["alpha/till-1/1"], valid_from_ms=0).public_key == network.keys["alpha"].public_bytes()
