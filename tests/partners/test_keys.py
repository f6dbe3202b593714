"""Keys of partners: further ones by proof of possession, old ones retired in order, lost ones revoked at once."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.domain.partner import KeyScope, PartnerKey
from gateway.domain.signing import PrivateKey
from gateway.key_file import new_key
from gateway.storage.directory import load_keys
from gateway.storage.engine import reading
from partners.application import NewKey
from partners.key_request import KeyRequest, key_request_toml
from tests.given import AUDIENCE
from tests.partners.shell import Shell

DAY_MS = 86_400_000
OLD, NEW = "acme/till-1/1", "acme/till-2/1"


@pytest.fixture
def acme(shell: Shell) -> Shell:
    """A network with one partner."""
    shell.network.onboard("acme", {"EUR": "1/2"})
    return shell


def request(key: PrivateKey, *, key_id: str = NEW, audience: str = AUDIENCE) -> KeyRequest:
    """A signed request for a further key."""
    made = KeyRequest(audience, NewKey(key_id, key.algorithm, key.public_bytes(), frozenset({KeyScope.TILL})))
    return replace(made, signature=key.sign(made.proof()))


def file_of(shell: Shell, made: KeyRequest) -> Path:
    """The request in a file."""
    return shell.file("key.toml", key_request_toml(made))


def key_of(shell: Shell, key_id: str) -> PartnerKey | None:
    """The key as gateways see it."""
    with reading(shell.network.engine) as connection:
        return load_keys(connection).get(key_id)


def test_a_further_key_signs_at_once(acme: Shell) -> None:
    """One operator is enough."""
    ran = acme.ada("partners", "keys", "add", file_of(acme, request(new_key()[0])))
    key = key_of(acme, NEW)

    assert ran.code == 0
    assert key is not None
    assert (key.scopes, key.unusable_because(key.valid_from_ms)) == (frozenset({KeyScope.TILL}), None)


def test_a_key_cannot_be_added_twice(acme: Shell) -> None:
    """KEY_ALREADY_REGISTERED, by its id or by its bytes."""
    key = new_key()[0]
    acme.ada("partners", "keys", "add", file_of(acme, request(key)))
    same_id = acme.ada("partners", "keys", "add", file_of(acme, request(new_key()[0])))
    same_key = acme.ada("partners", "keys", "add", file_of(acme, request(key, key_id="acme/till-3/1")))

    assert (same_id.code, same_key.code) == (1, 1)
    assert all("KEY_ALREADY_REGISTERED" in ran.err for ran in (same_id, same_key))


def test_an_operators_key_is_no_partners_key(acme: Shell) -> None:
    """KEY_ALREADY_REGISTERED: an operator cannot sell."""
    ran = acme.ada("partners", "keys", "add", file_of(acme, request(acme.network.hands[0].key)))

    assert ran.code == 1
    assert "KEY_ALREADY_REGISTERED" in ran.err


@pytest.mark.parametrize("change", ["key id", "network", "key"])
def test_a_proof_for_something_else_proves_nothing(acme: Shell, change: str) -> None:
    """POP_CHALLENGE_INVALID: the proof binds key, key id and network."""
    key = new_key()[0]
    made_for = {
        "key id": request(key, key_id="acme/till-9/1"),
        "network": request(key, audience="other.example:prod"),
        "key": request(new_key()[0]),
    }
    ran = acme.ada("partners", "keys", "add", file_of(acme, replace(request(key), signature=made_for[change].signature)))

    assert ran.code == 1
    assert "POP_CHALLENGE_INVALID" in ran.err


def test_a_request_for_another_network_is_refused(acme: Shell) -> None:
    """It names the network that it was made for."""
    ran = acme.ada("partners", "keys", "add", file_of(acme, request(new_key()[0], audience="other.example:prod")))

    assert ran.code == 1
    assert "other.example:prod" in ran.err


def test_a_key_of_nobody_is_refused(acme: Shell) -> None:
    """The key id names the partner, which must exist."""
    ran = acme.ada("partners", "keys", "add", file_of(acme, request(new_key()[0], key_id="nobody/till-1/1")))

    assert ran.code == 1
    assert "UNKNOWN_PARTNER" in ran.err


@pytest.mark.parametrize("text", ["", "not toml", '[key]\nkey_id = "acme/../1"\n'])
def test_a_file_that_is_no_request_says_why(acme: Shell, text: str) -> None:
    """All at once, with the file's name."""
    ran = acme.ada("partners", "keys", "add", acme.file("key.toml", text))

    assert ran.code == 1
    assert "key.toml: " in ran.err


def test_a_retired_key_signs_until_its_last_day(acme: Shell) -> None:
    """Time for its successor to take over."""
    acme.ada("partners", "keys", "retire", OLD, "--after-days", "7")
    key = key_of(acme, OLD)

    assert key is not None
    now_ms = acme.network.now_ms
    assert key.unusable_because(now_ms + 7 * DAY_MS - 1) is None
    assert key.unusable_because(now_ms + 7 * DAY_MS) == "key retired"


def test_a_revoked_key_is_refused_for_ever(acme: Shell) -> None:
    """At once, whatever its retirement said, and it cannot be retired afterwards."""
    acme.ada("partners", "keys", "revoke", OLD)
    again = acme.ada("partners", "keys", "revoke", OLD)
    retired = acme.ada("partners", "keys", "retire", OLD)
    key = key_of(acme, OLD)

    assert key is not None
    assert key.unusable_because(acme.network.now_ms) == "key revoked"
    assert (again.code, retired.code) == (1, 1)


def test_an_unknown_key_is_refused(acme: Shell) -> None:
    """UNKNOWN_KEY, and where to look."""
    ran = [acme.ada("partners", "keys", verb, "acme/till-9/9") for verb in ("retire", "revoke")]

    assert all(one.code == 1 and "UNKNOWN_KEY" in one.err for one in ran)


def test_listing_keys_says_which_are_usable(acme: Shell) -> None:
    """Those of one partner, or of all."""
    acme.network.onboard("books", {"EUR": "1"})
    acme.ada("partners", "keys", "revoke", OLD)
    one, both = acme.run("partners", "keys", "list", "acme").out, acme.run("partners", "keys", "list").out

    assert "key revoked" in one
    assert "books/" not in one
    assert "books/" in both


def test_a_closed_partner_gets_no_further_key(acme: Shell) -> None:
    """It has left."""
    acme.ada("partners", "close", "acme")
    acme.bob("operators", "approve", "--all")
    ran = acme.ada("partners", "keys", "add", file_of(acme, request(new_key()[0])))

    assert ran.code == 1
