"""How batches are carried out: wired once, for a gateway's own threads and for the process that keeps the books apart."""

from collections.abc import Callable

from sqlalchemy import Engine

from gateway.config import Config
from gateway.edge.receipts import encode_receipt
from gateway.key_file import load_key, receipt_key_file
from gateway.ledger.batch import BatchSettings
from gateway.ledger.figures import WatchTimes
from gateway.ledger.keeper import Keeper
from gateway.services.directory import Directory
from gateway.services.receipts import ReceiptSigner

REFRESHES_TO_SETTLE = 5  # a new receipt key signs once every gateway has looked for it so many times


def make_signer(config: Config, directory: Directory, *, now_ms: int, note: Callable[[str], object]) -> ReceiptSigner:
    """Of the network's receipts. Raises InvalidValue unless there is a key to sign with. `note` takes a sentence for people."""
    signer = ReceiptSigner(
        audience=directory.terms.audience,
        known=lambda: directory.receipt_keys,
        load=lambda key_id: load_key(receipt_key_file(config.keys_dir, key_id)),
        note=note,
        settle_ms=REFRESHES_TO_SETTLE * config.gateway.directory_refresh_ms,
    )
    signer.require(now_ms)
    return signer


def make_keeper(
    engine: Engine, directory: Directory, signer: ReceiptSigner, *, clock: Callable[[], int], watch: WatchTimes | None
) -> Keeper:
    """Whoever carries out batches on the engine. `watch` is told of each batch that was committed."""
    settings = BatchSettings(
        load_terms=directory.refresh,
        encode=encode_receipt,
        receipt_key_id=signer.key_id_at,
        sign=signer.sign_if_held,
        watch=watch,
    )
    return Keeper(engine, settings, clock)
