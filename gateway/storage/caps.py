"""Locks on partners' caps: batches of several lanes that add to an issuer's exposure, or one that does so alone."""

import hashlib
from collections.abc import Collection

from sqlalchemy import Connection

from gateway.storage.engine import on_driver

# "taly", "talz": apart from other advisory locks of the same database, and from each other.
_SPACE = 0x7461_6C79
_TERMINALS = 0x7461_6C7A


def lock_caps(connection: Connection, issuers: Collection[str], *, alone: bool) -> bool:
    """Waits until nobody adds to these issuers alone or, if `alone`, until nobody else adds to them at all.

    Held until the transaction ends; whatever is read by later statements was committed before. Answers whether others may
    be adding side by side. Heads come first, then these in the order of their numbers: so nobody waits in a circle.
    """
    if connection.dialect.name == "sqlite":
        return False  # whoever writes is alone
    if issuers:
        statement = _ALONE if alone else _TOGETHER
        with on_driver(connection, statement) as driver:
            driver.execute(statement, (_SPACE, sorted(map(_number, issuers))), prepare=True)
    return not alone


def lock_terminals(connection: Connection, terminals: Collection[str]) -> None:
    """Waits until no other batch books for these terminals, and keeps others from it until the transaction ends.

    Comes behind the locks of caps, in the order of the numbers. A terminal is mostly one till, which waits for its answers.
    """
    if terminals and connection.dialect.name != "sqlite":
        with on_driver(connection, _ALONE) as driver:
            driver.execute(_ALONE, (_TERMINALS, sorted(map(_number, terminals))), prepare=True)


# Advisory locks are granted in the order in which they were asked for: whoever wants to be alone is not starved.
_TOGETHER = "SELECT pg_advisory_xact_lock_shared(%s::int, number) FROM unnest(%s::int[]) AS number"
_ALONE = "SELECT pg_advisory_xact_lock(%s::int, number) FROM unnest(%s::int[]) AS number"


def _number(issuer_id: str) -> int:
    """Two issuers may have the same: then one waits for the other, no more."""
    return int.from_bytes(hashlib.sha256(issuer_id.encode()).digest()[:4], "big", signed=True)
