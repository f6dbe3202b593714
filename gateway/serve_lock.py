"""One gateway on one SQLite file: a lock that the kernel releases when its holder ends, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.config import parse_url
from gateway.domain.errors import InvalidValue


@contextmanager
def only_gateway(database_url: str) -> Iterator[None]:
    """Holds the lock of a file beside the database. Raises InvalidValue if another process has it. PostgreSQL needs none.

    Settlement and all other commands work beside a gateway, and do not ask for it.
    """
    url = parse_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        yield
        return
    path = Path(f"{url.database}-gateway.lock")
    # Never removed: whoever waits for a file that is removed would hold a lock that nobody else sees.
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip()
            raise InvalidValue(
                f"another gateway{f' (process {holder})' if holder else ''} serves {url.database}: a SQLite file has one; "
                "stop it first, or move the network to PostgreSQL for several"
            ) from None
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
