"""Files that commands write: whole or not at all, and never over another one unless asked."""

import os
import secrets
from pathlib import Path

from gateway.domain.errors import InvalidValue
from partners.pos.errors import ProfileError


def write_new(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Writes a file that must not exist yet. Raises ProfileError."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
            stream.write(content)
        try:
            os.link(partial, path)  # fails, unlike a rename, if there is a file of that name
        finally:
            partial.unlink()
    except FileExistsError:
        raise ProfileError(f"{path} exists already and is not overwritten; name another file, or remove it") from None
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from None


def read_text(path: Path) -> str:
    """The text of a file. Raises ProfileError."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ProfileError(f"{path}: not UTF-8") from None


def bytes_of_hex(text: str, option: str) -> bytes:
    """What an option gives in hex. Raises InvalidValue."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise InvalidValue(f"{option}: must be hex") from None
