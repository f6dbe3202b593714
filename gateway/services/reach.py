"""Whether the writer reaches the store: told by each batch, and by a probe while there are none."""

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from gateway.storage.books import lock_heads
from gateway.storage.directory import directory_version
from gateway.storage.engine import writing_on
from gateway.storage.errors import StoreUnavailable, translate

_FIRST_LANE = 0  # is always there


class StoreReach:
    """`is_reached` is what the last attempt told. Any thread may tell."""

    def __init__(self) -> None:
        """Begins with a store that was just reached."""
        self.is_reached = True
        self.cause = ""

    def lost(self, cause: object) -> None:
        """An attempt failed."""
        self.is_reached, self.cause = False, str(cause)

    def told(self, error: StoreUnavailable | None) -> None:
        """What a batch says of the store."""
        if error is None:
            self.is_reached = True
        else:
            self.lost(error)

    def probe(self, connection: Connection) -> None:
        """A chore of the writer's: a transaction like those that book, without a booking.

        Once batches failed it takes a head as they do: else it would call a store reached in which nobody can book.
        """
        try:
            with writing_on(connection):
                if not self.is_reached:
                    lock_heads(connection, (_FIRST_LANE,))
                directory_version(connection)
        except DBAPIError as error:
            self.lost(translate(error))
        except StoreUnavailable as error:
            self.lost(error)
        else:
            self.is_reached = True
