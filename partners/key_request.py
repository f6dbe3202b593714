"""A further key of a partner: one TOML file, made and signed on the partner's machine, checked by the operator.

Pure, and free of storage: both sides use it. The file has an audience, a table [key] and a table [proof], each as in an
application; the proof is over an empty document.
"""

from dataclasses import dataclass

import tomli_w

from gateway.domain.documents import key_plain
from gateway.domain.errors import SignatureError
from gateway.domain.signing import load_verifier, proof_string
from partners.application import NewKey, read_key, read_proof
from partners.fields import Fields, read_toml


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A key that a partner brings. `signature` is its proof of possession, empty until signed."""

    audience: str
    key: NewKey
    signature: bytes = b""

    def proof(self) -> bytes:
        """What the holder of the key signs."""
        return proof_string(
            audience=self.audience,
            key_id=self.key.key_id,
            algorithm=self.key.algorithm,
            public_key=self.key.public_key,
            document=b"",
        )

    def check_proof(self) -> None:
        """Raises SignatureError unless the signature is the key's own."""
        load_verifier(self.key.algorithm, self.key.public_key)(self.signature, self.proof())


def parse_key_request(text: str, *, audience: str) -> KeyRequest | tuple[str, ...]:
    """A signed request for this network, or everything that is wrong with it."""
    content = read_toml(text)
    if isinstance(content, str):
        return (content,)
    errors: list[str] = []
    fields = Fields(content, errors)
    made_for = fields.text("audience")
    request = KeyRequest(made_for, read_key(fields.table("key"), None), read_proof(fields))
    fields.close()
    if made_for and made_for != audience:
        fields.error("audience", f"the request was made for {made_for}; this network is {audience}")
    if not errors:
        try:
            request.check_proof()
        except SignatureError as error:
            fields.error(
                "proof.signature",
                f"POP_CHALLENGE_INVALID: {error.cause}; it must be made by this key, for this key id and network",
            )
    return tuple(errors) if errors else request


def key_request_toml(request: KeyRequest) -> str:
    """The inverse of `parse_key_request`."""
    key = request.key
    table = {
        "audience": request.audience,
        "key": key_plain(key_id=key.key_id, algorithm=key.algorithm, public_key=key.public_key, scopes=key.scopes),
        "proof": {"signature": request.signature.hex()},
    }
    return tomli_w.dumps(table)
