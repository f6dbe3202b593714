"""Signing channels under the generated stubs, sync and aio: what the gateway gets is what was signed."""

import asyncio
import base64

import grpc
import grpc.aio
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.domain.errors import InvalidValue
from gateway.domain.signing import PrivateKey, RequestHeader, load_verifier, request_string
from partners.pos.channel import AsyncSigningChannel, Signer, Signing, SigningChannel
from tallystick.v1 import member_pb2, types_pb2
from tallystick.v1.member_pb2_grpc import MemberServiceStub
from tests.pos.small_gateway import AUDIENCE, NOW_MS, SmallGateway

NONCE = bytes(range(16))


def signing(signer: Signer) -> Signing:
    """With a clock that stands still."""
    return Signing(AUDIENCE, signer, lambda: NOW_MS, lambda: NONCE)


def test_many_keys_sign_over_one_connection(gateway: SmallGateway) -> None:
    """A vendor hosts many merchants over one channel, with the stubs as they were generated."""
    with grpc.insecure_channel(gateway.target) as channel:
        for key_id in ("acme/till-1/a", "bolt/till-7/b"):
            stub = MemberServiceStub(SigningChannel(channel, signing(Signer(key_id, gateway.new_key(key_id).sign))))
            request = member_pb2.EnrolMemberRequest(idempotency_key="e-1", card_number=f"CARD-{key_id[0]}")
            answer, _ = stub.EnrolMember.with_call(request, timeout=5, metadata=(("x-till", "7"),))
            assert types_pb2.Receipt.FromString(answer.answer.receipt.receipt).partner_id == key_id.split("/")[0]

    assert [metadata["tally-key-id"] for _, metadata in gateway.calls] == ["acme/till-1/a", "bolt/till-7/b"]
    assert all(metadata["x-till"] == "7" for _, metadata in gateway.calls)


def test_a_future_is_signed_as_well(gateway: SmallGateway) -> None:
    """The third way in which a stub can be called."""
    key = gateway.new_key("acme/till-1/a")
    with grpc.insecure_channel(gateway.target) as channel:
        stub = MemberServiceStub(SigningChannel(channel, signing(Signer("acme/till-1/a", key.sign))))
        request = member_pb2.EnrolMemberRequest(idempotency_key="e-1", card_number="CARD-1")

        assert stub.EnrolMember.future(request, timeout=5).result().answer.receipt.signature


def test_an_aio_stub_signs_with_the_key_of_a_security_module(gateway: SmallGateway) -> None:
    """P-256, by a function that only gets the bytes to sign."""
    key_id, key = "acme/hsm/1", PrivateKey(ec.generate_private_key(ec.SECP256R1()))
    gateway.keys[key_id] = key
    asked: list[bytes] = []

    def module(message: bytes) -> bytes:
        asked.append(message)
        return key.sign(message)

    async def enrol() -> None:
        async with grpc.aio.insecure_channel(gateway.target) as channel:
            stub = MemberServiceStub(AsyncSigningChannel(channel, signing(Signer(key_id, module))))
            await stub.EnrolMember(member_pb2.EnrolMemberRequest(idempotency_key="e-1", card_number="CARD-1"), timeout=5)

    asyncio.run(enrol())

    assert [line.decode() for line in asked[0].splitlines()[:4]] == [
        "TS1-REQUEST",
        AUDIENCE,
        "/tallystick.v1.MemberService/EnrolMember",
        key_id,
    ]


def test_the_metadata_is_of_the_protocols_form() -> None:
    """13 digits, 22 characters of base64url, 64 bytes; and the signature is over the body as it is sent."""
    key = PrivateKey(ec.generate_private_key(ec.SECP256R1()))
    made = dict(signing(Signer("acme/till-1/a", key.sign)).metadata("/x/Y", b"body"))

    header = RequestHeader(str(made["tally-key-id"]), str(made["tally-created"]), str(made["tally-nonce"]))
    assert header.malformed() is None
    assert base64.urlsafe_b64decode(header.nonce + "==") == NONCE
    signature = made["tally-sig-bin"]
    assert isinstance(signature, bytes)
    string = request_string(audience=AUDIENCE, method="/x/Y", header=header, body=b"body")
    load_verifier(key.algorithm, key.public_bytes())(signature, string)


def test_streams_are_refused_since_nothing_says_how_to_sign_them() -> None:
    """The network has unary calls only."""
    channel = SigningChannel(grpc.insecure_channel("127.0.0.1:1"), signing(Signer("acme/till-1/a", bytes)))

    with channel, pytest.raises(NotImplementedError, match="no streaming calls"):
        channel.unary_stream("/x/Y")


def test_a_malformed_key_id_is_refused_before_anything_is_signed() -> None:
    """It would not be found anyway."""
    with pytest.raises(InvalidValue, match="partner/terminal/key"):
        Signer("acme", bytes)
