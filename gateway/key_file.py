"""Private keys in files: PKCS #8 PEM, unencrypted, readable by their owner alone. Never overwrites one."""

import os
import secrets
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from gateway.domain.errors import InvalidValue
from gateway.domain.signing import PrivateKey


def new_key() -> tuple[PrivateKey, bytes]:
    """A new Ed25519 key and its PEM."""
    key = ed25519.Ed25519PrivateKey.generate()
    return PrivateKey(key), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def save_secret(content: bytes, path: Path) -> None:
    """Writes the file with mode 0600, whole or not at all. Raises InvalidValue if there is one of that name."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(content)
        try:
            os.link(partial, path)  # fails, unlike a rename, if there is a file of that name
        finally:
            partial.unlink()
    except FileExistsError:
        raise InvalidValue(f"{path} exists: a key is never overwritten; name another file") from None
    except OSError as error:
        raise InvalidValue(f"{path}: {error.strerror}") from None


def receipt_key_file(folder: Path, key_id: str) -> Path:
    """Where the private key of that id lies, that signs receipts."""
    return folder / f"receipt-{key_id}.pem"


def load_key(path: Path) -> PrivateKey:
    """Reads an Ed25519 or P-256 key. Raises InvalidValue, which says what the file is instead."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise InvalidValue(f"no key at {path}") from None
    except OSError as error:
        raise InvalidValue(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidValue(f"{path}: not an unencrypted private key in PEM") from None
    if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        raise InvalidValue(f"{path}: {type(key).__name__} cannot sign; use Ed25519 or ECDSA P-256")
    return PrivateKey(key)
