"""Types of columns where the engines differ, and conditions that several tables share."""

from sqlalchemy import String

from gateway.domain.window import steps_between


def chars(length: int) -> String:
    """Text of at most so many letters, in the order of its bytes.

    SQLite compares bytes anyway. PostgreSQL would go by the language of its database, so that the same books would have
    another order there, and an index could break with the next release of the system's libraries.
    """
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def follows(before: str, after: str) -> str:
    """The condition that the window's state in column `after` may follow the one in `before`: the domain's table as a CHECK.

    Neither foreign key nor trigger, which a distributed PostgreSQL would not take.
    """
    steps = ", ".join(f"'{present}>{target}'" for present, target in steps_between())
    return f"{before} || '>' || {after} IN ({steps})"
