"""A partner's own keys: made where they are used, kept in a file that only their owner can read."""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from gateway.domain.signing import Algorithm, PrivateKey
from partners.pos.errors import ProfileError
from partners.pos.files import write_new


def generate(algorithm: Algorithm = Algorithm.ED25519) -> tuple[PrivateKey, bytes]:
    """A new key and its PKCS #8 PEM."""
    key = ed25519.Ed25519PrivateKey.generate() if algorithm is Algorithm.ED25519 else ec.generate_private_key(ec.SECP256R1())
    return PrivateKey(key), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def save(pem: bytes, path: Path) -> None:
    """Writes the key with mode 0600. Raises ProfileError if the file exists: a key is never overwritten."""
    write_new(path, pem, mode=0o600)


def load(path: Path) -> PrivateKey:
    """Reads an unencrypted PEM of an Ed25519 or P-256 key. Raises ProfileError, InvalidValue for another curve."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise ProfileError(f"no key at {path}: make one with 'tallystick pos keygen --out {path}'") from None
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ProfileError(f"{path}: not an unencrypted private key in PEM") from None
    if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        raise ProfileError(f"{path}: {type(key).__name__} cannot sign; use Ed25519 or ECDSA P-256")
    return PrivateKey(key)
