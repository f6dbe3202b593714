"""Commands with which a partner joins: a key, an application that is signed with it, a profile. No call leaves the machine."""

import os
from dataclasses import replace
from pathlib import Path

import click

from gateway.domain.canonical import Plain
from gateway.domain.documents import key_plain
from gateway.domain.errors import InvalidValue, SignatureError
from gateway.domain.ids import check_key_id
from gateway.domain.partner import KeyScope
from gateway.domain.signing import Algorithm, PrivateKey, load_verifier
from partners.application import Application, application_toml, read_application
from partners.fields import read_toml
from partners.pos import keys
from partners.pos.application_draft import DRAFT
from partners.pos.errors import PosError, ProfileError
from partners.pos.files import read_text, write_new
from partners.pos.profile import FILE_NAME, Profile

_path = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--out", type=_path, required=True, help="The file to write, with mode 0600.")
@click.option(
    "--algorithm",
    type=click.Choice([algorithm.value for algorithm in Algorithm]),
    default=Algorithm.ED25519.value,
    show_default=True,
    help="Ed25519, or P-256 for machines whose security module has nothing else.",
)
def keygen(out: Path, algorithm: str) -> None:
    """Make a key. It stays on this machine; the operator gets the public key, inside the application."""
    key, pem = keys.generate(Algorithm(algorithm))
    keys.save(pem, out)
    click.echo(f"private key: {out} (mode 0600; keep it here)")
    click.echo(f"public key:  {key.public_bytes().hex()} ({key.algorithm})")


@click.command()
@click.argument("draft", type=_path, required=False)
@click.option("--template", is_flag=True, help="Print a draft to fill in, and stop.")
@click.option("--key-id", help="The new key's id: partner/terminal/key, such as acme/till-1/2026a.")
@click.option("--key-file", type=_path, help="The private key that 'tallystick pos keygen' made.")
@click.option("--public-key", "public_hex", metavar="HEX", help="Instead: the public key of a security module.")
@click.option(
    "--algorithm",
    type=click.Choice([algorithm.value for algorithm in Algorithm]),
    default=Algorithm.ED25519.value,
    help="Of --public-key.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in KeyScope]),
    default=[scope.value for scope in KeyScope],
    show_default=True,
    help="What the key may call: a till books, an office reads statements.",
)
@click.option("--print-signed-string", is_flag=True, help="Print the bytes that the security module must sign, and stop.")
@click.option("--signature", "signature_hex", metavar="HEX", help="The 64 bytes that it made of them.")
@click.option("--out", type=_path, help="The application, to be sent to the operator [default: standard output].")
def apply(
    draft: Path | None,
    *,
    template: bool,
    key_id: str | None,
    key_file: Path | None,
    public_hex: str | None,
    algorithm: str,
    scopes: tuple[str, ...],
    print_signed_string: bool,
    signature_hex: str | None,
    out: Path | None,
) -> None:
    """Turn a draft into an application: adds the public key, and the proof that you hold the private one.

    With a key file one call is enough. With a security module: first --public-key and --print-signed-string, then the same
    with --signature.
    """
    if template:
        click.echo(DRAFT, nl=False)
        return
    if draft is None or key_id is None or (key_file is None) == (public_hex is None):
        raise click.UsageError("needs a draft, --key-id, and one of --key-file and --public-key (or --template, for a draft)")
    private = keys.load(key_file) if key_file is not None else None
    public = private.public_bytes() if private is not None else _bytes_of(public_hex or "", "--public-key")
    used = private.algorithm if private is not None else Algorithm(algorithm)
    key = key_plain(key_id=key_id, algorithm=used, public_key=public, scopes=[KeyScope(scope) for scope in scopes])
    application = _drafted(draft, key)
    if print_signed_string:
        click.echo(application.proof().decode("ascii"), nl=False)
        return
    signature = _signature(application.proof(), private, signature_hex)
    try:
        load_verifier(used, public)(signature, application.proof())
    except SignatureError as error:
        raise PosError(
            f"--signature: {error.cause}; sign exactly what --print-signed-string prints, for these same options"
        ) from None
    text = application_toml(replace(application, signature=signature))
    if out is None:
        click.echo(text, nl=False)
    else:
        write_new(out, text.encode())
        click.echo(f"application: {out} (send it to the operator; it holds no secret)")


@click.command()
@click.option("--target", required=True, metavar="HOST:PORT", help="Where the gateway listens.")
@click.option("--audience", required=True, help="The network's name, such as coalition.example:prod.")
@click.option("--key-id", required=True, help="The key's id: partner/terminal/key.")
@click.option("--key-file", type=_path, required=True, help="Its private key.")
@click.option("--ca", "ca_file", type=_path, help="Who vouches for the gateway's certificate [default: the machine's own list].")
@click.option("--plaintext", is_flag=True, help="Without TLS; only to a gateway on this machine.")
@click.option("--out", type=_path, default=Path(FILE_NAME), show_default=True, help="The file to write.")
def profile(*, target: str, audience: str, key_id: str, key_file: Path, ca_file: Path | None, plaintext: bool, out: Path) -> None:
    """Write the profile by which the other commands find the gateway. It holds no secret, only the key's path."""
    check_key_id(key_id)
    keys.load(key_file)
    if ca_file is not None and not ca_file.is_file():
        raise ProfileError(f"no certificate at {ca_file}")
    content = Profile(target, audience, key_id, _beside(key_file, out), _beside(ca_file, out) if ca_file else None, plaintext)
    content.check()
    write_new(out, content.to_toml().encode())
    click.echo(f"profile: {out}")


def _drafted(draft: Path, key: dict[str, Plain]) -> Application:
    content = read_toml(read_text(draft))
    if isinstance(content, str):
        raise PosError(f"{draft}: {content}")
    read = read_application({**content, "key": key}, audience=None, is_signed=False)
    if not isinstance(read, Application):
        raise PosError(f"{draft}: the application is not complete\n  " + "\n  ".join(read))
    return read


def _signature(message: bytes, private: PrivateKey | None, signature_hex: str | None) -> bytes:
    if private is not None:
        return private.sign(message)
    if signature_hex is None:
        raise click.UsageError("--public-key also needs --signature; see --print-signed-string")
    return _bytes_of(signature_hex, "--signature")


def _bytes_of(text: str, option: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise InvalidValue(f"{option}: must be hex") from None


def _beside(path: Path, profile_file: Path) -> Path:
    """The path as the profile should name it: relative to the profile's folder."""
    return Path(os.path.relpath(path.absolute(), profile_file.absolute().parent))
