"""The published service config: what gRPC libraries make of it, and that our own till goes by the same numbers."""

import json
from typing import Any

import grpc
import pytest

from partners.pos import service_config
from partners.pos.attempts import RetryPolicy
from partners.pos.channel import Signer, Signing, SigningChannel
from partners.pos.failures import Failure
from partners.pos.requests import ENROL, GET_BALANCE, METHODS, SUBMIT_BATCH, enrol
from partners.pos.till import Till
from tests.pos.conftest import KEY_ID
from tests.pos.small_gateway import AUDIENCE, NOW_MS, Refusal, SmallGateway

CONFIG: list[dict[str, Any]] = json.loads(service_config.text())["methodConfig"]
ATTEMPTS_MAX_OF_GRPC = 5


def test_a_name_is_that_of_a_method_or_a_service() -> None:
    """Or of all; each once, as gRPC wants it."""
    names = [(name.get("service"), name.get("method")) for config in CONFIG for name in config["name"]]
    paths = {tuple(method.path[1:].split("/")) for method in METHODS}
    known = {*paths, *((service, None) for service, _ in paths), (None, None)}

    assert len(names) == len(set(names))
    assert set(names) <= known
    assert (None, None) in names


@pytest.mark.parametrize("config", CONFIG)
def test_numbers_are_those_that_grpc_takes(config: dict[str, Any]) -> None:
    """It would silently try five times where we promised six."""
    retry = config["retryPolicy"]

    assert 2 <= retry["maxAttempts"] <= ATTEMPTS_MAX_OF_GRPC
    assert all(grpc.StatusCode[name] for name in retry["retryableStatusCodes"])


def test_what_may_be_sent_again_is_the_same_for_every_method() -> None:
    """The retry classes belong to the codes, not to the calls."""
    assert len({frozenset(config["retryPolicy"]["retryableStatusCodes"]) for config in CONFIG}) == 1


@pytest.mark.parametrize("code", grpc.StatusCode)
def test_the_till_sends_again_what_is_published(code: grpc.StatusCode) -> None:
    """Where the gateway itself has answered, and says when."""
    published = service_config.of_method("").retryable

    assert Failure(code, "", "SOME_REASON", retry_after_ms=1).is_transient == (code.name in published)


def test_a_method_without_numbers_of_its_own_has_those_of_all() -> None:
    """Times come in milliseconds."""
    assert RetryPolicy.published(GET_BALANCE.path) == RetryPolicy() == RetryPolicy(5, 200, 5_000, 2, 5_000)
    assert RetryPolicy.published(SUBMIT_BATCH.path) == RetryPolicy(5, 500, 10_000, 2, 15_000)


def test_a_till_waits_for_a_method_as_long_as_is_published(gateway: SmallGateway) -> None:
    """The deadline that arrives at the gateway is that of the method."""
    key = gateway.new_key(KEY_ID)
    with Till(grpc.insecure_channel(gateway.target), Signer(KEY_ID, key.sign), audience=AUDIENCE, now=lambda: NOW_MS) as till:
        till.submit_batch([enrol("ALICE-1", key="e-1")])
        till.enrol("BOB-1", key="e-2")

    batch_s, single_s = gateway.seconds_left
    assert 10 < batch_s < 16
    assert 0 < single_s < 6


def test_grpc_itself_sends_again_by_the_published_config(gateway: SmallGateway) -> None:
    """A plain stub over a signing channel: the same bytes and nonce, until they are booked."""
    key = gateway.new_key(KEY_ID)
    gateway.faults.extend(Refusal(grpc.StatusCode.UNAVAILABLE, "DRAINING", retry_ms=1) for _ in range(2))
    options = (("grpc.enable_retries", 1), ("grpc.service_config", service_config.text()))
    signing = Signing(AUDIENCE, Signer(KEY_ID, key.sign), lambda: NOW_MS)
    with grpc.insecure_channel(gateway.target, options=options) as channel:
        answer = ENROL.on(SigningChannel(channel, signing))(enrol("ALICE-1", key="e-1"))

    assert not answer.answer.replayed
    assert [name for name, _ in gateway.calls] == ["EnrolMember"] * 3
    assert len({metadata["tally-nonce"] for _, metadata in gateway.calls}) == 1


def test_grpc_does_not_repeat_what_the_gateway_says_is_in_vain(gateway: SmallGateway) -> None:
    """A cap has the code of a quota; the pushback tells them apart."""
    key = gateway.new_key(KEY_ID)
    gateway.faults.append(Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "NET_DEBIT_CAP_EXCEEDED"))
    options = (("grpc.enable_retries", 1), ("grpc.service_config", service_config.text()))
    signing = Signing(AUDIENCE, Signer(KEY_ID, key.sign), lambda: NOW_MS)
    with grpc.insecure_channel(gateway.target, options=options) as channel, pytest.raises(grpc.RpcError) as caught:
        ENROL.on(SigningChannel(channel, signing))(enrol("ALICE-1", key="e-1"))

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(gateway.calls) == 1
