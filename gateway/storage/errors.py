"""What can go wrong with the store, in our words. Driver errors are translated here, once.

StoreError
├── StoreUnavailable   the database does not answer, is locked for too long, or its disk is full; nothing was written
├── StoreContention    the database asks to run the transaction again
├── ConstraintBroken   a named constraint refused the rows: the second line of defence held
└── SchemaOutdated     the tables are of another version than the program; the message says what to do
"""

from sqlalchemy.exc import DBAPIError, IntegrityError

from gateway.domain.errors import TallystickError


class StoreError(TallystickError):
    """Root of the tree."""


class StoreUnavailable(StoreError):
    """The database does not answer, is locked for too long, or its disk is full; nothing was written."""


class StoreContention(StoreError):
    """The database asks to run the transaction again."""


class ConstraintBroken(StoreError):
    """A named constraint refused the rows."""


class SchemaOutdated(StoreError):
    """The tables are of another version than the program; the message says what to do."""


_CONTENTION_SQLSTATES = frozenset({"40001", "40P01"})


def translate(error: DBAPIError) -> StoreError:
    """Our word for a driver's error. What is not known counts as unavailable: the caller may repeat with the same key."""
    if isinstance(error, IntegrityError):
        return ConstraintBroken(str(error.orig))
    if getattr(error.orig, "sqlstate", None) in _CONTENTION_SQLSTATES:
        return StoreContention(str(error.orig))
    return StoreUnavailable(str(error.orig))
