"""Types of columns where the engines differ."""

from sqlalchemy import String


def chars(length: int) -> String:
    """Text of at most so many letters, in the order of its bytes.

    SQLite compares bytes anyway. PostgreSQL would go by the language of its database, so that the same books would have
    another order there, and an index could break with the next release of the system's libraries.
    """
    return String(length).with_variant(String(length, collation="C"), "postgresql")
