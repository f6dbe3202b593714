"""Who may call: every way in which a signature, its parameters or its key can be wrong."""

import time
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from grpc import StatusCode

from gateway.config import GatewayConfig
from gateway.domain.partner import KeyScope, PartnerKey
from gateway.domain.signing import Algorithm, PrivateKey, RequestHeader, request_string
from gateway.key_file import new_key
from gateway.storage.directory import bump_directory_version
from gateway.storage.engine import writing
from partners.pos.requests import ENROL, GET_PARTNER, ISSUE, LIST_WINDOWS, REDEEM
from partners.proposals import retire_key, revoke_key
from partners.rulings_keys import insert_key
from tallystick.v1 import member_pb2, partner_pb2, statement_pb2
from tests.edge.running import Caller, Pairs, RunningGateway, issue_request, receipt_of, refusal
from tests.given import GivenNetwork

ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

BODY = issue_request("m1", 100, "k1").SerializeToString()


def add_key(
    network: GivenNetwork, key: PrivateKey, name: str, *scopes: KeyScope, partner_id: str = "acme", from_ms: int = 0
) -> str:
    """A further key of the partner's; answers its id."""
    key_id = f"{partner_id}/{name}/1"
    with writing(network.engine) as connection:
        insert_key(
            connection,
            PartnerKey(key_id, partner_id, key.algorithm, key.public_bytes(), frozenset(scopes), from_ms, None, None),
        )
        bump_directory_version(connection)
    return key_id


def p256() -> tuple[ec.EllipticCurvePrivateKey, PrivateKey]:
    """A key of the second algorithm, as the library has it and as we do."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key, PrivateKey(key)


def assert_refused_like_any_other(caller: Caller, metadata: Pairs, body: bytes = BODY) -> None:
    """The one answer that all unproven signatures get."""
    got = refusal(lambda: caller.send(ISSUE.path, body, metadata))
    assert (got.code, got.reason, got.facts) == (StatusCode.UNAUTHENTICATED, "SIGNATURE_INVALID", {})


def with_signature(caller: Caller, signature: bytes) -> Pairs:
    """Metadata of a right request with another signature."""
    return caller.metadata(ISSUE.path, BODY, signature=signature)


@pytest.mark.parametrize("left_out", ["tally-key-id", "tally-created", "tally-nonce", "tally-sig-bin"])
def test_a_call_without_a_parameter_of_the_signature_is_told_which_one_is_missing(acme: Caller, left_out: str) -> None:
    """Whoever forgot it can be told: nothing was proven or denied yet."""
    metadata = tuple(pair for pair in acme.metadata(ISSUE.path, BODY) if pair[0] != left_out)

    got = refusal(lambda: acme.send(ISSUE.path, BODY, metadata))

    assert (got.code, got.reason, got.facts) == (StatusCode.UNAUTHENTICATED, "SIGNATURE_MISSING", {"missing": left_out})


def test_a_call_without_any_signature_is_told_all_that_is_missing(acme: Caller) -> None:
    """A bare gRPC call, as a tool would make it."""
    got = refusal(lambda: acme.send(ISSUE.path, BODY, None))

    assert got.facts == {"missing": "tally-key-id, tally-created, tally-nonce, tally-sig-bin"}


def test_a_body_changed_by_one_bit_is_refused(acme: Caller) -> None:
    """The signature covers the bytes."""
    changed = BODY[:-1] + bytes((BODY[-1] ^ 1,))

    assert_refused_like_any_other(acme, acme.metadata(ISSUE.path, BODY), changed)


def test_the_same_message_serialized_in_another_order_is_refused(acme: Caller) -> None:
    """Protobuf has many spellings of one message; the signature is for one of them."""
    first = issue_request("m1", 100, "k1")
    first.ClearField("eligible")
    second = issue_request("m1", 100, "k1")
    second.ClearField("idempotency_key")
    second.ClearField("member")
    reordered = second.SerializeToString() + first.SerializeToString()

    assert len(reordered) == len(BODY)
    assert_refused_like_any_other(acme, acme.metadata(ISSUE.path, BODY), reordered)


def test_a_signature_made_for_another_method_is_refused(acme: Caller) -> None:
    """Else a redemption could be replayed as something else."""
    assert_refused_like_any_other(acme, acme.metadata(REDEEM.path, BODY))


def test_a_signature_made_for_another_audience_is_refused(acme: Caller) -> None:
    """What was signed for the test network books nothing in production."""
    acme.audience = "coalition.example:prod"

    assert_refused_like_any_other(acme, acme.metadata(ISSUE.path, BODY))


@pytest.mark.parametrize("key_id", ["acme/till-9/1", "nobody/till-1/1"])
def test_an_unknown_key_is_refused(acme: Caller, key_id: str) -> None:
    """Whether the partner exists is not told either."""
    acme.key_id = key_id

    assert_refused_like_any_other(acme, acme.metadata(ISSUE.path, BODY))


def test_a_revoked_key_is_refused_by_a_running_gateway(own_acme: Caller) -> None:
    """The gateway looks for changes by itself; the test has it look now."""
    network = own_acme.gateway.network
    own_acme.call(GET_PARTNER, partner_pb2.GetPartnerRequest())
    with writing(network.engine) as connection:
        revoke_key(connection, own_acme.key_id, hand=network.hands[0], now_ms=network.now_ms)
    own_acme.gateway.run(own_acme.gateway.app.look_around())

    assert_refused_like_any_other(own_acme, own_acme.metadata(ISSUE.path, BODY))


def test_a_gateway_looks_for_revoked_keys_by_itself(network: GivenNetwork) -> None:
    """Every `directory_refresh_ms`; within five seconds by default, as tills are promised."""
    with RunningGateway(network, directory_refresh_ms=10) as gateway:
        caller = Caller(gateway, "acme", network.keys["acme"])
        caller.call(GET_PARTNER, partner_pb2.GetPartnerRequest())
        with writing(network.engine) as connection:
            revoke_key(connection, caller.key_id, hand=network.hands[0], now_ms=network.now_ms)
        give_up_at = time.monotonic() + 5
        while caller.is_taken() and time.monotonic() < give_up_at:
            pass

        assert not caller.is_taken()
    assert GatewayConfig().directory_refresh_ms <= 5_000


def test_a_retired_key_is_refused_from_its_last_moment_on(own_acme: Caller) -> None:
    """Up to then it signs."""
    network = own_acme.gateway.network
    with writing(network.engine) as connection:
        retire_key(connection, own_acme.key_id, network.now_ms + 1_000, hand=network.hands[0], now_ms=network.now_ms)
    own_acme.gateway.run(own_acme.gateway.app.look_around())
    own_acme.call(GET_PARTNER, partner_pb2.GetPartnerRequest())
    network.now_ms += 1_000

    assert_refused_like_any_other(own_acme, own_acme.metadata(ISSUE.path, BODY))


def test_a_key_that_is_not_yet_valid_is_refused(network: GivenNetwork) -> None:
    """A partner may register a key for a later day."""
    key, _ = new_key()
    key_id = add_key(network, key, "next-year", KeyScope.TILL, from_ms=network.now_ms + 1)
    with RunningGateway(network) as gateway:
        caller = Caller(gateway, "acme", key, key_id)
        assert_refused_like_any_other(caller, caller.metadata(ISSUE.path, BODY))


def test_another_partners_key_id_with_the_own_key_is_refused(acme: Caller) -> None:
    """Nobody signs in another's name."""
    acme.key_id = "globex/till-1/1"

    assert_refused_like_any_other(acme, acme.metadata(ISSUE.path, BODY))


@pytest.mark.parametrize("signature", [b"", b"\x01" * 63, b"\x01" * 65, bytes(64), bytes(6000)])
def test_a_signature_of_another_length_or_of_zeros_is_refused(acme: Caller, signature: bytes) -> None:
    """Whatever stands in its place."""
    assert_refused_like_any_other(acme, with_signature(acme, signature))


def test_an_ecdsa_signature_is_taken_as_r_and_s_and_not_as_der(network: GivenNetwork) -> None:
    """One form on the wire, 64 bytes; either s is taken, since Java and .NET do not normalise it."""
    key, wrapped = p256()
    key_id = add_key(network, wrapped, "hsm", KeyScope.TILL)
    with RunningGateway(network) as gateway:
        caller = Caller(gateway, "acme", wrapped, key_id)
        header = caller.header()
        string = request_string(audience=caller.audience, method=GET_PARTNER.path, header=header, body=b"")
        der = key.sign(string, ec.ECDSA(SHA256()))
        r, s = utils.decode_dss_signature(der)
        for good in (s, P256_ORDER - s):
            signature = r.to_bytes(32, "big") + good.to_bytes(32, "big")
            caller.send(GET_PARTNER.path, b"", caller.metadata(GET_PARTNER.path, b"", header, signature))
        pairs = [(0, s), (r, 0), (r, s + P256_ORDER), (P256_ORDER, s), (r, P256_ORDER)]
        wrong = [a.to_bytes(32, "big") + b.to_bytes(32, "big") for a, b in pairs if max(a, b) < 2**256]

        for signature in (der, *wrong):
            metadata = caller.metadata(GET_PARTNER.path, b"", header, signature)
            got = refusal(partial(caller.send, GET_PARTNER.path, b"", metadata))
            assert (got.code, got.reason) == (StatusCode.UNAUTHENTICATED, "SIGNATURE_INVALID")


def test_an_ed25519_signature_with_a_larger_s_is_refused(acme: Caller) -> None:
    """S and S + L are the same number to a careless verifier: a second signature made from the first."""
    header = acme.header()
    signature = acme.key.sign(request_string(audience=acme.audience, method=ISSUE.path, header=header, body=BODY))
    larger = int.from_bytes(signature[32:], "little") + ED25519_ORDER

    assert_refused_like_any_other(acme, acme.metadata(ISSUE.path, BODY, header, signature[:32] + larger.to_bytes(32, "little")))


def test_an_ed25519_signature_with_an_r_of_small_order_is_refused(acme: Caller) -> None:
    """R is the identity: such a signature says nothing of the message."""
    assert_refused_like_any_other(acme, with_signature(acme, (1).to_bytes(32, "little") + bytes(32)))


@pytest.mark.parametrize(
    "spelled",
    [
        lambda lines: lines.replace(b"\n", b"\r\n"),
        lambda lines: lines[:-1],
        lambda lines: b"\n".join(line.upper() if len(line) == 64 else line for line in lines.split(b"\n")),
    ],
    ids=["CRLF", "no final LF", "upper-case hex"],
)
def test_a_signed_string_in_another_spelling_is_refused(acme: Caller, spelled: object) -> None:
    """There is one spelling, byte for byte."""
    assert callable(spelled)
    header = acme.header()
    string = spelled(request_string(audience=acme.audience, method=ISSUE.path, header=header, body=BODY))

    assert_refused_like_any_other(acme, acme.metadata(ISSUE.path, BODY, header, acme.key.sign(string)))


@pytest.mark.parametrize("name", ["tally-key-id", "tally-created", "tally-nonce", "tally-sig-bin"])
def test_a_parameter_sent_twice_is_refused(acme: Caller, name: str) -> None:
    """Two readers of the request could choose different ones."""
    metadata = acme.metadata(ISSUE.path, BODY)
    again = next(pair for pair in metadata if pair[0] == name)

    got = refusal(lambda: acme.send(ISSUE.path, BODY, (*metadata, again)))

    assert (got.code, got.reason, got.facts) == (
        StatusCode.INVALID_ARGUMENT,
        "SIGNATURE_PARAM_DUPLICATE",
        {"parameter": name},
    )


@pytest.mark.parametrize("created", ["+177000000000", "177000000000", "1770000000.12", "17700000000000", "1e12"])
def test_a_creation_time_of_another_form_is_refused(acme: Caller, created: str) -> None:
    """13 digits and nothing else."""
    metadata = acme.metadata(ISSUE.path, BODY, RequestHeader(acme.key_id, created, "A" * 22))

    got = refusal(lambda: acme.send(ISSUE.path, BODY, metadata))

    assert (got.code, got.reason, got.facts) == (
        StatusCode.INVALID_ARGUMENT,
        "SIGNATURE_PARAM_MALFORMED",
        {"parameter": "tally-created"},
    )


@pytest.mark.parametrize("key_id", ["acme/../1", "acme/till 1/1", "../acme/1", "acme/till-1", "acme/t/" + "k" * 300, "ACME/t/1"])
def test_a_key_id_of_another_form_is_refused(acme: Caller, key_id: str) -> None:
    """It stands in logs and look-ups, so its characters are few."""
    metadata = acme.metadata(ISSUE.path, BODY, RequestHeader(key_id, acme.header().created, "A" * 22))

    got = refusal(lambda: acme.send(ISSUE.path, BODY, metadata))

    assert (got.code, got.reason, got.facts) == (
        StatusCode.INVALID_ARGUMENT,
        "SIGNATURE_PARAM_MALFORMED",
        {"parameter": "tally-key-id"},
    )


@pytest.mark.parametrize("nonce", ["A" * 21, "A" * 23, "A" * 21 + "B", "A" * 21 + "="])
def test_a_nonce_of_another_form_is_refused(acme: Caller, nonce: str) -> None:
    """16 bytes have exactly one spelling."""
    metadata = acme.metadata(ISSUE.path, BODY, RequestHeader(acme.key_id, acme.header().created, nonce))

    got = refusal(lambda: acme.send(ISSUE.path, BODY, metadata))

    assert (got.reason, got.facts) == ("SIGNATURE_PARAM_MALFORMED", {"parameter": "tally-nonce"})


@pytest.mark.parametrize("away_ms", [-120_001, -600_000, 30_001, 600_000])
def test_a_request_signed_too_long_ago_or_in_the_future_is_told_the_gateways_time(acme: Caller, away_ms: int) -> None:
    """A till whose clock is off can sign again."""
    now_ms = acme.gateway.network.now_ms
    acme.created = f"{now_ms + away_ms:013d}"

    got = refusal(lambda: acme.call(GET_PARTNER, partner_pb2.GetPartnerRequest()))

    assert (got.code, got.reason) == (StatusCode.UNAUTHENTICATED, "SIGNATURE_TIME_OUT_OF_WINDOW")
    assert got.facts == {"server_time_ms": str(now_ms), "window": "-120000 to +30000 ms"}


@pytest.mark.parametrize("away_ms", [-120_000, 0, 30_000])
def test_a_request_signed_within_the_window_is_taken(acme: Caller, away_ms: int) -> None:
    """Both ends are included."""
    acme.created = f"{acme.gateway.network.now_ms + away_ms:013d}"

    assert acme.call(GET_PARTNER, partner_pb2.GetPartnerRequest()).partner.partner_id == "acme"


def test_a_stale_request_under_a_wrong_signature_hears_of_the_signature_alone(acme: Caller) -> None:
    """The time is told only to those who have proven who they are."""
    acme.created = f"{acme.gateway.network.now_ms - 600_000:013d}"

    assert_refused_like_any_other(acme, with_signature(acme, b"\x01" * 64))


@pytest.mark.parametrize("scope", list(KeyScope))
def test_a_key_is_refused_for_a_method_it_is_not_meant_for(network: GivenNetwork, scope: KeyScope) -> None:
    """A till's key reads no statements, an office's books nothing."""
    key, _ = new_key()
    key_id = add_key(network, key, "narrow", scope)
    with RunningGateway(network) as gateway:
        caller = Caller(gateway, "acme", key, key_id)
        got = refusal(
            lambda: (
                caller.call(LIST_WINDOWS, statement_pb2.ListWindowsRequest())
                if scope is KeyScope.TILL
                else caller.call(ISSUE, issue_request("m1", 100, "k1"))
            )
        )

    assert (got.code, got.reason) == (StatusCode.PERMISSION_DENIED, "METHOD_NOT_ALLOWED_FOR_KEY")
    assert got.facts == {"key_id": key_id}


def test_keys_of_several_partners_may_share_one_connection(acme: Caller, globex: Caller) -> None:
    """A vendor hosts many merchants over one channel: keys are per call."""
    issued = [receipt_of(caller.call(ENROL, enrolment(caller)).answer).partner_id for caller in (acme, globex, acme)]

    assert issued == ["acme", "globex", "acme"]


def enrolment(caller: Caller) -> member_pb2.EnrolMemberRequest:
    """The same request for each of its callers."""
    return member_pb2.EnrolMemberRequest(idempotency_key="e1", card_number=f"CARD-{caller.partner_id}")


def test_an_algorithm_is_fixed_in_the_key_record() -> None:
    """No field of a request names one: there are two, and the record says which."""
    assert {algorithm.value for algorithm in Algorithm} == {"ed25519", "ecdsa-p256-sha256"}
