"""Partners, keys, terms and receipt keys as of now, held in memory. Replaced as a whole when the directory's version grows."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from gateway.domain.network import ReceiptKey
from gateway.domain.partner import PartnerKey
from gateway.domain.signing import Verify, load_verifier
from gateway.domain.terms import Terms
from gateway.storage.conformance import load_open_runs
from gateway.storage.directory import directory_version, load_keys, load_receipt_keys, load_terms


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key record, and the function that verifies under it."""

    key: PartnerKey
    verify: Verify


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the directory."""

    version: int
    terms: Terms
    keys: Mapping[str, KnownKey]
    receipt_keys: Sequence[ReceiptKey]
    conformance_runs: Mapping[str, int]


class Directory:
    """The current snapshot. The writer refreshes it in each batch, so terms hold as of the batch's own transaction."""

    def __init__(self, connection: Connection) -> None:
        """Loads the first snapshot."""
        self._lock = threading.Lock()
        self._snapshot = _load(connection, directory_version(connection))

    @property
    def terms(self) -> Terms:
        """As of the last refresh."""
        return self._snapshot.terms

    @property
    def receipt_keys(self) -> Sequence[ReceiptKey]:
        """All keys that ever signed receipts, oldest first. The same object until the directory changes."""
        return self._snapshot.receipt_keys

    @property
    def conformance_runs(self) -> Mapping[str, int]:
        """Partners whose tills are under conformance, and since when, in unix milliseconds. Mostly none."""
        return self._snapshot.conformance_runs

    def key(self, key_id: str) -> KnownKey | None:
        """The key record, also of a key that is no longer usable; None if there is none."""
        return self._snapshot.keys.get(key_id)

    def refresh(self, connection: Connection) -> Terms:
        """Loads a new snapshot if the directory has changed; returns the terms. Called from several threads."""
        version = directory_version(connection)
        if version > self._snapshot.version:
            with self._lock:
                if version > self._snapshot.version:
                    self._snapshot = _load(connection, version)
        return self._snapshot.terms


def _load(connection: Connection, version: int) -> Snapshot:
    keys = {key_id: KnownKey(key, load_verifier(key.algorithm, key.public_key)) for key_id, key in load_keys(connection).items()}
    return Snapshot(version, load_terms(connection), keys, load_receipt_keys(connection), load_open_runs(connection))
