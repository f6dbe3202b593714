"""Files of receipts that partners hold: JSON lines, or single objects as `tallystick pos … --json` prints them."""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway.domain.errors import InvalidValue
from gateway.edge.receipts import split_signed
from gateway.ledger.audit_held import Held

_ENDINGS = {".json", ".jsonl"}


def read_held(paths: Sequence[Path]) -> Iterator[Held]:
    """The receipts of files, and of the *.json and *.jsonl of folders. Raises InvalidValue, naming file and line."""
    for path in paths:
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix in _ENDINGS)
        if not files:
            raise InvalidValue(f"{path}: no *.json or *.jsonl in this folder")
        for file in files:
            yield from _receipts(file)


def _receipts(file: Path) -> Iterator[Held]:
    try:
        with file.open(encoding="utf-8") as lines:
            first = lines.readline()
            if first.strip() == "{":
                yield from _held(str(file), _parsed(str(file), first + lines.read()))
                return
            yield from _lines(file, [first])
            yield from _lines(file, lines, start=2)
    except UnicodeDecodeError:
        raise InvalidValue(f"{file}: not UTF-8") from None


def _lines(file: Path, lines: Iterable[str], *, start: int = 1) -> Iterator[Held]:
    for number, line in enumerate(lines, start):
        if line.strip():
            where = f"{file}:{number}"
            yield from _held(where, _parsed(where, line))


def _parsed(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise InvalidValue(f"{where}: not JSON") from None


def _held(where: str, content: Any) -> Iterator[Held]:
    if not isinstance(content, dict):
        raise InvalidValue(f"{where}: must be a JSON object")
    if "signed_receipt" in content:
        # Null for a refusal that has no receipt, and so proves nothing.
        if content["signed_receipt"] is not None:
            yield _split(where, _bytes(where, content, "signed_receipt"))
        return
    key_id = content.get("key_id")
    if not isinstance(key_id, str):
        raise InvalidValue(f"{where}: needs receipt, signature and key_id, or signed_receipt")
    yield Held(where, _bytes(where, content, "receipt"), _bytes(where, content, "signature"), key_id)


def _split(where: str, signed: bytes) -> Held:
    try:
        return Held(where, *split_signed(signed))
    except InvalidValue as error:
        raise InvalidValue(f"{where}: {error}") from None


def _bytes(where: str, content: dict[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(content.get(name, ""), validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise InvalidValue(f"{where}: {name}: must be base64") from None
