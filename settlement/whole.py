"""Folders of files that appear complete or not at all, with a manifest of what is in them."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from gateway.domain.canonical import Plain, canonical


def write_whole(
    target: Path, contents: Iterable[tuple[str, Iterable[bytes]]], *, manifest: str, head: Mapping[str, Plain]
) -> Path:
    """Writes files by name into the folder `target`, and answers it; the same again gives the same bytes.

    The file `manifest` has what `head` says, and the SHA-256 of each other file; it is written last. In a folder that stood
    before, files of its former manifest that are not written again are removed. Raises OSError, or what `contents` raises;
    then a folder that stood before is as it was.
    """
    partial = target.parent / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    hashes = {name: _write(partial / name, content) for name, content in contents}
    _write(partial / manifest, [canonical({**head, "files": hashes})])
    os.sync()  # once: syncing a thousand files one by one takes longer than writing them
    if target.exists():
        for name in _listed(target / manifest) - hashes.keys():
            (target / name).unlink(missing_ok=True)
        for name in [*hashes, manifest]:
            (partial / name).replace(target / name)
        partial.rmdir()
    else:
        partial.rename(target)
    return target


def write_file(target: Path, content: bytes) -> None:
    """Writes one file, whole or not at all, in place of one that stood there. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)


def _listed(manifest: Path) -> set[str]:
    return set(json.loads(manifest.read_bytes())["files"]) if manifest.exists() else set()


def _write(path: Path, parts: Iterable[bytes]) -> str:
    """Answers the SHA-256 in hex."""
    digest = hashlib.sha256()
    with path.open("xb") as file:
        for part in parts:
            file.write(part)
            digest.update(part)
    return digest.hexdigest()
