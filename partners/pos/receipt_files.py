"""Files of receipts that a partner has kept: JSON lines, or single objects as `tallystick pos … --json` prints them."""

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from partners.pos.errors import ReceiptError
from partners.pos.files import read_text
from tallystick.v1 import types_pb2

_ENDINGS = {".json", ".jsonl"}


def read_receipts(paths: Sequence[Path]) -> Iterator[types_pb2.SignedReceipt]:
    """The signed receipts of files, and of the *.json and *.jsonl of folders. Raises ReceiptError, ProfileError."""
    for path in paths:
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix in _ENDINGS)
        if not files:
            raise ReceiptError(f"{path}: no *.json or *.jsonl in this folder")
        for file in files:
            for where, content in _objects(file):
                signed = _signed(where, content)
                if signed is not None:
                    yield signed


def _objects(file: Path) -> Iterator[tuple[str, Any]]:
    text = read_text(file)
    if text.startswith("{\n"):
        yield str(file), _parsed(str(file), text)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{file}:{number}", _parsed(f"{file}:{number}", line)


def _parsed(where: str, text: str) -> Any:
    try:
        content = json.loads(text)
    except ValueError:
        raise ReceiptError(f"{where}: not JSON") from None
    if not isinstance(content, dict):
        raise ReceiptError(f"{where}: must be a JSON object")
    return content


def _signed(where: str, content: dict[str, Any]) -> types_pb2.SignedReceipt | None:
    """None for a refusal that has no receipt, and so proves nothing."""
    if "signed_receipt" in content:
        if content["signed_receipt"] is None:
            return None
        try:
            return types_pb2.SignedReceipt.FromString(_bytes(where, content["signed_receipt"]))
        except DecodeError:
            raise ReceiptError(f"{where}: no signed receipt") from None
    key_id = content.get("key_id")
    if not isinstance(key_id, str):
        raise ReceiptError(f"{where}: needs receipt, signature and key_id, or signed_receipt")
    return types_pb2.SignedReceipt(
        receipt=_bytes(where, content.get("receipt")), signature=_bytes(where, content.get("signature")), key_id=key_id
    )


def _bytes(where: str, text: object) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "!", validate=True)
    except (binascii.Error, ValueError):
        raise ReceiptError(f"{where}: must be base64") from None
