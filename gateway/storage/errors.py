"""What can go wrong with the store, in our words. Driver errors are translated here, once.

StoreError
├── StoreUnavailable   the database does not answer, is locked for too long, or its disk is full; ask again with the same key
├── StoreContention    the database asks to run the transaction again
├── ConstraintBroken   a named constraint or a column's type refused the rows: the second line of defence held
└── SchemaOutdated     the tables are of another version than the program; the message says what to do
"""

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from gateway.domain.errors import TallystickError


class StoreError(TallystickError):
    """Root of the tree."""


class StoreUnavailable(StoreError):
    """The database does not answer, is locked for too long, or its disk is full.

    Nothing was written, unless the connection broke during COMMIT: then nobody knows, and the same key finds out.
    """


class StoreContention(StoreError):
    """The database asks to run the transaction again."""


class ConstraintBroken(StoreError):
    """A named constraint or a column's type refused the rows."""


class SchemaOutdated(StoreError):
    """The tables are of another version than the program; the message says what to do."""


_CONTENTION_SQLSTATES = frozenset({"40001", "40P01"})  # serialization failure, deadlock


def translate(error: DBAPIError) -> StoreError:
    """Our word for a driver's error. What is not known counts as unavailable: the caller may repeat with the same key."""
    said = " ".join(str(error.orig).split())
    if isinstance(error, IntegrityError | DataError):
        return ConstraintBroken(said)
    if getattr(error.orig, "sqlstate", None) in _CONTENTION_SQLSTATES:
        return StoreContention(said)
    # Lock and statement timeouts (55P03, 57014), connections (08), shutdown (57P), resources and disks (53, 58), and the rest.
    return StoreUnavailable(said)


def forget_values(error: BaseException) -> None:
    """Takes out of a driver's error what PostgreSQL repeats of the rows: they are members' affairs."""
    said = getattr(getattr(error, "diag", None), "message_primary", None)
    if said is not None:
        error.args = (said, *error.args[1:])
