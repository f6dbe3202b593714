"""A partner's application: one TOML file, made and signed on the partner's machine, checked by the operator.

Pure, and free of storage: both sides use it. `docs/operations.md` shows the file. What the proof of possession signs is
the canonical JSON of everything in it but the proof itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tomli_w

from gateway.domain.bank import Mandate, MandateScheme, check_bic, check_iban, check_mandate_id, mandate_plain
from gateway.domain.canonical import Plain, canonical
from gateway.domain.documents import key_plain, rate_card_plain
from gateway.domain.errors import InvalidValue, SignatureError
from gateway.domain.ids import check_key_id, check_partner_id
from gateway.domain.network import check_time_zone
from gateway.domain.partner import KeyScope
from gateway.domain.signing import Algorithm, check_public_key, load_verifier, proof_string
from gateway.domain.terms import RateCard
from partners.company import check_currency, check_vat_id
from partners.fields import Fields, read_toml
from partners.rate_card_file import rate_card_table, read_rate_card

ROLES = ("issuer", "redeemer", "charity")
FORM = "TS1-APPLICATION"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A public key that a partner brings."""

    key_id: str
    algorithm: Algorithm
    public_key: bytes
    scopes: frozenset[KeyScope]


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Who wants to join, on what terms, and with which key. `signature` is the proof of possession, empty until signed."""

    audience: str
    partner_id: str
    legal_name: str
    address: str
    vat_id: str
    iban: str
    currency: str
    time_zone: str
    roles: tuple[str, ...]
    units: tuple[str, ...]
    contact: str
    rate_card: RateCard
    key: NewKey
    bic: str = ""
    mandate: Mandate | None = None
    signature: bytes = b""

    def plain(self) -> dict[str, Plain]:
        """As it stands in the operators' document; what it need not have is left out where it has not."""
        named: dict[str, Plain] = {"bic": self.bic} if self.bic else {}
        if self.mandate:
            named["mandate"] = mandate_plain(self.mandate)
        return named | {
            "form": FORM,
            "audience": self.audience,
            "partner_id": self.partner_id,
            "legal_name": self.legal_name,
            "address": self.address,
            "vat_id": self.vat_id,
            "iban": self.iban,
            "currency": self.currency,
            "time_zone": self.time_zone,
            "roles": list(self.roles),
            "units": list(self.units),
            "contact": self.contact,
            "rate_card": rate_card_plain(self.rate_card),
            "key": key_plain(
                key_id=self.key.key_id, algorithm=self.key.algorithm, public_key=self.key.public_key, scopes=self.key.scopes
            ),
        }

    def document(self) -> bytes:
        """Canonical JSON of all but the proof; its hash stands in the proof."""
        return canonical(self.plain())

    def proof(self) -> bytes:
        """What the holder of the key signs."""
        return proof_string(
            audience=self.audience,
            key_id=self.key.key_id,
            algorithm=self.key.algorithm,
            public_key=self.key.public_key,
            document=self.document(),
        )


def parse_application(text: str, *, audience: str) -> Application | tuple[str, ...]:
    """A signed application for this network, or everything that is wrong with it."""
    content = read_toml(text)
    return (content,) if isinstance(content, str) else read_application(content, audience=audience, is_signed=True)


def read_application(content: Mapping[str, Any], *, audience: str | None, is_signed: bool) -> Application | tuple[str, ...]:
    """The same from a table already read. `audience` None: any; `is_signed` False: before its maker has signed it."""
    errors: list[str] = []
    fields = Fields(content, errors)
    partner_id = fields.read("partner_id", check_partner_id, "")
    currency = fields.read("currency", check_currency, "EUR")
    application = Application(
        audience=fields.text("audience"),
        partner_id=partner_id,
        legal_name=fields.text("legal_name"),
        address=fields.text("address"),
        vat_id=fields.read("vat_id", check_vat_id, "", default=""),
        iban=fields.read("iban", check_iban, ""),
        bic=fields.read("bic", check_bic, "", default=""),
        mandate=read_mandate(fields),
        currency=currency,
        time_zone=fields.read("time_zone", check_time_zone, "UTC"),
        roles=fields.texts("roles", allowed=ROLES),
        units=fields.texts("units"),
        contact=fields.text("contact"),
        rate_card=read_rate_card(fields.table("rate_card"), partner_id=partner_id, currency=currency, version=1),
        key=read_key(fields.table("key"), partner_id),
        signature=read_proof(fields) if is_signed else b"",
    )
    fields.close()
    _check_whole(application, fields, audience)
    if is_signed and not errors:
        _check_proof(application, errors)
    return tuple(errors) if errors else application


def read_key(fields: Fields, partner_id: str | None) -> NewKey:
    """A new key of a partner (None: of any) from its table: key_id, algorithm, public_key in hex, scopes."""
    key = NewKey(
        key_id=fields.text("key_id"),
        algorithm=fields.read("algorithm", parse_algorithm, Algorithm.ED25519),
        public_key=fields.read("public_key", parse_hex, b""),
        scopes=frozenset(KeyScope(scope) for scope in fields.texts("scopes", allowed=tuple(KeyScope))),
    )
    fields.close()
    try:
        owner = check_key_id(key.key_id)[0] if key.key_id else partner_id
        if partner_id and owner != partner_id:
            fields.error("key_id", f"must begin with {partner_id}/")
    except InvalidValue as error:
        fields.error("key_id", str(error))
    if key.public_key:
        try:
            check_public_key(key.algorithm, key.public_key)
        except InvalidValue as error:
            fields.error("public_key", f"WEAK_PUBLIC_KEY: {error}")
    if not key.scopes:
        fields.error("scopes", "must name at least one of till, office")
    return key


def read_mandate(fields: Fields) -> Mandate | None:
    """The mandate in the table [mandate]: id, signed_on, scheme; None where there is no such table."""
    if not fields.has("mandate"):
        return None
    table = fields.table("mandate")
    mandate = Mandate(
        mandate_id=table.read("id", check_mandate_id, ""),
        signed_on=table.day("signed_on"),
        scheme=table.read("scheme", parse_scheme, MandateScheme.CORE),
    )
    table.close()
    return mandate


def parse_scheme(text: str) -> MandateScheme:
    """Raises InvalidValue on a scheme of direct debits that is not one of the two."""
    try:
        return MandateScheme(text)
    except ValueError:
        raise InvalidValue(f"scheme {text!r}: must be one of {', '.join(MandateScheme)}") from None


def read_proof(fields: Fields) -> bytes:
    """The signature in the table [proof], 64 bytes in hex."""
    proof = fields.table("proof")
    signature = proof.read("signature", parse_hex, b"")
    proof.close()
    return signature


def parse_algorithm(text: str) -> Algorithm:
    """Raises InvalidValue on an algorithm that is not one of the two."""
    try:
        return Algorithm(text)
    except ValueError:
        raise InvalidValue(f"algorithm {text!r}: must be one of {', '.join(Algorithm)}") from None


def parse_hex(text: str) -> bytes:
    """Raises InvalidValue unless the text is lower-case hex."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if not value or value.hex() != text:
        raise InvalidValue("must be lower-case hex")
    return value


def application_toml(application: Application) -> str:
    """The inverse of `parse_application`."""
    table: dict[str, object] = {
        "audience": application.audience,
        "partner_id": application.partner_id,
        "legal_name": application.legal_name,
        "address": application.address,
        **({"vat_id": application.vat_id} if application.vat_id else {}),
        "iban": application.iban,
        **({"bic": application.bic} if application.bic else {}),
        "currency": application.currency,
        "time_zone": application.time_zone,
        "roles": list(application.roles),
        "units": list(application.units),
        "contact": application.contact,
        "rate_card": rate_card_table(application.rate_card),
        "key": key_plain(
            key_id=application.key.key_id,
            algorithm=application.key.algorithm,
            public_key=application.key.public_key,
            scopes=application.key.scopes,
        ),
        **({"mandate": mandate_plain(application.mandate)} if application.mandate else {}),
        "proof": {"signature": application.signature.hex()},
    }
    return tomli_w.dumps(table)


def _check_whole(application: Application, fields: Fields, audience: str | None) -> None:
    """What no field can be blamed for alone."""
    card = application.rate_card
    if audience is not None and application.audience and application.audience != audience:
        fields.error("audience", f"the application was made for {application.audience}; this network is {audience}")
    if not application.roles:
        fields.error("roles", f"must name at least one of {', '.join(ROLES)}")
    if set(application.units) != set(card.issue_rates):
        fields.error("units", "must be the units that rate_card.issue_rates has")
    if bool(card.issue_rates) != ("issuer" in application.roles):
        fields.error("roles", "an issuer has issue rates; who is none has an empty table [rate_card.issue_rates]")
    if not {"redeemer", "charity"} & set(application.roles) and card.reimbursement_rate_micros:
        fields.error("roles", "who is neither redeemer nor charity is not reimbursed: rate_card.reimbursement_rate must be 0")


def _check_proof(application: Application, errors: list[str]) -> None:
    try:
        load_verifier(application.key.algorithm, application.key.public_key)(application.signature, application.proof())
    except SignatureError as error:
        errors.append(
            f"proof.signature: POP_CHALLENGE_INVALID: {error.cause}; "
            "it must be made by this key, for this key id and network, over this very application"
        )
