"""The network's signature over what it publishes, by the receipt key that was in force when the window closed.

Deterministic: the same statement gives the same signature, however often and whenever it is made.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Engine

from gateway.domain.errors import InvalidValue
from gateway.domain.network import ReceiptKey, key_in_force
from gateway.domain.signing import PrivateKey, statement_string
from gateway.domain.statement import PublishedStatement
from gateway.domain.window import Window
from gateway.key_file import load_key, receipt_key_file
from gateway.storage.directory import load_network, load_receipt_keys
from gateway.storage.engine import reading
from settlement.seal import Seal


class Sealer:
    """Holds what it takes to sign; the private keys are read when they are asked for."""

    def __init__(self, *, audience: str, keys: Sequence[ReceiptKey], load: Callable[[str], PrivateKey]) -> None:
        """`keys`: all public ones, oldest first. `load` reads a private one by its id, or raises InvalidValue."""
        self._audience = audience
        self._keys = keys
        self._load = load
        self._held: dict[str, PrivateKey] = {}

    def require(self, at_ms: int) -> None:
        """Raises InvalidValue unless windows that close then can be signed."""
        self._private(key_in_force(self._keys, at_ms))

    def seal(self, window: Window, statement: PublishedStatement) -> Seal:
        """Signs a statement of a closed window. Raises InvalidValue if the key's file is missing, or holds another key."""
        key = key_in_force(self._keys, window.closed_at_ms)
        signed = statement_string(audience=self._audience, key_id=key.key_id, statement=statement.statement)
        return Seal(key.key_id, self._private(key).sign(signed))

    def _private(self, key: ReceiptKey) -> PrivateKey:
        held = self._held.get(key.key_id)
        if held is None:
            try:
                held = self._load(key.key_id)
            except InvalidValue as error:
                raise InvalidValue(f"the network signs statements with its receipt key {key.key_id}: {error}") from None
            if held.public_bytes() != key.public_key:
                raise InvalidValue(f"receipt key {key.key_id}: its file holds another key than the network published")
            self._held[key.key_id] = held
        return held


def open_sealer(engine: Engine, keys_dir: Path) -> Sealer:
    """With the network's keys, whose private halves lie in the folder."""
    with reading(engine) as connection:
        audience, keys = load_network(connection).audience, load_receipt_keys(connection)
    return Sealer(audience=audience, keys=keys, load=lambda key_id: load_key(receipt_key_file(keys_dir, key_id)))
