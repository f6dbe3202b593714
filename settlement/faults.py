"""What a mend and another run can cure, in words for whoever runs the command."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from gateway.console import Refused
from gateway.storage.errors import translate


@contextmanager
def faults_named() -> Iterator[None]:
    """A disk, a folder, a database that does not answer. Raises Refused, or StoreError."""
    try:
        yield
    except OSError as error:
        raise Refused(f"cannot write the files of the window: {error}; mend that and run again, nothing is lost") from error
    except DBAPIError as error:
        raise translate(error) from error
