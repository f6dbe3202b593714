"""Rulings about keys: of operators, and of partners."""

from sqlalchemy import Connection, Row, insert, or_, select, update

from gateway.domain.documents import Document, key_of, operator_of
from gateway.domain.errors import DecisionRefused
from gateway.domain.partner import PartnerKey
from gateway.sandbox import AUDIENCE_END, is_published
from gateway.storage.directory import load_network
from gateway.storage.tables_directory import operators, partner_keys


def check_unregistered(connection: Connection, key_id: str, public_key: bytes) -> None:
    """Raises DecisionRefused with KEY_ALREADY_REGISTERED if a partner has that key id, or anybody that key.

    With KEY_PUBLISHED for a sandbox's test key, unless this is a sandbox.
    """
    if is_published(public_key) and not load_network(connection).audience.endswith(AUDIENCE_END):
        raise DecisionRefused("KEY_PUBLISHED", f"{key_id}: is a published key of the sandbox; make a key of your own")
    row = connection.execute(
        select(partner_keys.c.key_id).where(or_(partner_keys.c.key_id == key_id, partner_keys.c.public_key == public_key))
    ).first()
    if row is not None:
        raise DecisionRefused("KEY_ALREADY_REGISTERED", f"{key_id}: the id or the key is registered already, as {row.key_id}")
    holder = connection.execute(select(operators.c.operator_id).where(operators.c.public_key == public_key)).scalar()
    if holder is not None:
        raise DecisionRefused("KEY_ALREADY_REGISTERED", f"{key_id}: operator {holder} has this key; make a key of your own")


def insert_key(connection: Connection, key: PartnerKey) -> None:
    """Keeps a partner's new key."""
    connection.execute(
        insert(partner_keys).values(
            key_id=key.key_id,
            partner_id=key.partner_id,
            algorithm=key.algorithm.value,
            public_key=key.public_key,
            scopes=" ".join(sorted(scope.value for scope in key.scopes)),
            valid_from_ms=key.valid_from_ms,
            retired_at_ms=None,
            revoked_at_ms=None,
        )
    )


def stale_operator(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    """The id and the key must be nobody's."""
    if connection.execute(select(operators.c.name).where(operators.c.operator_id == document["operator_id"])).first():
        raise DecisionRefused("OPERATOR_EXISTS", f"{document['operator_id']} is an operator already")
    check_unregistered(connection, document["operator_id"], bytes.fromhex(document["public_key"]))
    return None


def apply_operator(connection: Connection, document: Document, decision_id: str, at_ms: int) -> None:
    """The operator may propose and approve."""
    operator = operator_of(document, added_at_ms=at_ms, decision_id=decision_id)
    connection.execute(
        insert(operators).values(
            operator_id=operator.operator_id,
            name=operator.name,
            algorithm=operator.algorithm.value,
            public_key=operator.public_key,
            added_at_ms=operator.added_at_ms,
            decision_id=operator.decision_id,
        )
    )


def stale_key(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    """The id and the key must be nobody's."""
    check_unregistered(connection, document["key"]["key_id"], bytes.fromhex(document["key"]["public_key"]))
    return None


def apply_key(connection: Connection, document: Document, _decision_id: str, at_ms: int) -> None:
    """The key may sign from now on."""
    insert_key(connection, key_of(document["key"], valid_from_ms=at_ms))


def stale_retirement(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    """Only a key that is not revoked can be retired."""
    if _known_key(connection, document["key_id"]).revoked_at_ms is not None:
        raise DecisionRefused("NOT_POSSIBLE", f"{document['key_id']} is revoked already")
    return None


def apply_retirement(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> None:
    """The key signs until its last moment."""
    _set(connection, document["key_id"], retired_at_ms=document["retired_at_ms"])


def stale_revocation(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    """The key must exist, and not be revoked yet."""
    if _known_key(connection, document["key_id"]).revoked_at_ms is not None:
        raise DecisionRefused("NOT_POSSIBLE", f"{document['key_id']} is revoked already")
    return None


def apply_revocation(connection: Connection, document: Document, _decision_id: str, at_ms: int) -> None:
    """The key is refused at once, by every gateway that reads the directory."""
    _set(connection, document["key_id"], revoked_at_ms=at_ms)


def _known_key(connection: Connection, key_id: str) -> Row[tuple[int | None]]:
    row = connection.execute(select(partner_keys.c.revoked_at_ms).where(partner_keys.c.key_id == key_id)).one_or_none()
    if row is None:
        raise DecisionRefused("UNKNOWN_KEY", f"{key_id} is no key: see 'tallystick partners keys list'")
    return row


def _set(connection: Connection, key_id: str, **values: int) -> None:
    connection.execute(update(partner_keys).where(partner_keys.c.key_id == key_id).values(**values))
