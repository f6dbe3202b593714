"""Commands with which a partner joins: a key, an application that is signed with it, a profile. No call leaves the machine."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from gateway.domain.canonical import Plain
from gateway.domain.documents import key_plain
from gateway.domain.errors import SignatureError
from gateway.domain.ids import check_key_id
from gateway.domain.partner import KeyScope
from gateway.domain.signing import Algorithm, PrivateKey, check_public_key, load_verifier
from partners.application import Application, NewKey, application_toml, read_application
from partners.fields import read_toml
from partners.key_request import KeyRequest, key_request_toml
from partners.pos import keys
from partners.pos.application_draft import DRAFT
from partners.pos.errors import PosError, ProfileError
from partners.pos.files import bytes_of_hex, read_text, write_new
from partners.pos.profile import FILE_NAME, Profile

_path = click.Path(path_type=Path, dir_okay=False)
_algorithms = click.Choice([algorithm.value for algorithm in Algorithm])
_scopes = [scope.value for scope in KeyScope]


def _holder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--out", type=_path, help="The file to write, for the operator [default: standard output]."),
        click.option("--signature", "signature_hex", metavar="HEX", help="The 64 bytes that it made of them."),
        click.option("--print-signed-string", is_flag=True, help="Print the bytes that the security module must sign, and stop."),
        click.option(
            "--scope",
            "scopes",
            multiple=True,
            type=click.Choice(_scopes),
            default=_scopes,
            show_default=True,
            help="What the key may call: a till books, an office reads statements.",
        ),
        click.option(
            "--algorithm", type=_algorithms, default=Algorithm.ED25519.value, show_default=True, help="Of --public-key."
        ),
        click.option("--public-key", "public_hex", metavar="HEX", help="Instead: the public key of a security module."),
        click.option("--key-file", type=_path, help="The private key that 'tallystick pos keygen' made."),
        click.option("--key-id", help="The new key's id: partner/terminal/key, such as acme/till-1/2026a."),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who holds the private key: a file, or a security module that has signed elsewhere."""

    key: NewKey
    private: PrivateKey | None
    signature_hex: str | None

    @classmethod
    def of(cls, options: dict[str, Any]) -> "_Holder":
        """From the options. Raises UsageError, ProfileError, InvalidValue."""
        key_file: Path | None = options["key_file"]
        if options["key_id"] is None or (key_file is None) == (options["public_hex"] is None):
            raise click.UsageError("needs --key-id, and one of --key-file and --public-key")
        check_key_id(options["key_id"])
        private = keys.load(key_file) if key_file is not None else None
        algorithm = private.algorithm if private is not None else Algorithm(options["algorithm"])
        public = private.public_bytes() if private is not None else bytes_of_hex(options["public_hex"], "--public-key")
        check_public_key(algorithm, public)
        scopes = frozenset(KeyScope(scope) for scope in options["scopes"])
        return cls(NewKey(options["key_id"], algorithm, public, scopes), private, options["signature_hex"])

    def plain(self) -> dict[str, Plain]:
        """The key as files have it."""
        key = self.key
        return key_plain(key_id=key.key_id, algorithm=key.algorithm, public_key=key.public_key, scopes=key.scopes)

    def sign(self, message: bytes) -> bytes:
        """The proof of possession. Raises UsageError without one, PosError if it does not hold."""
        if self.private is None and self.signature_hex is None:
            raise click.UsageError("--public-key also needs --signature; see --print-signed-string")
        signature = self.private.sign(message) if self.private else bytes_of_hex(self.signature_hex or "", "--signature")
        try:
            load_verifier(self.key.algorithm, self.key.public_key)(signature, message)
        except SignatureError as error:
            raise PosError(
                f"--signature: {error.cause}; sign exactly what --print-signed-string prints with these same options"
            ) from None
        return signature


@click.command()
@click.option("--out", type=_path, required=True, help="The file to write, with mode 0600.")
@click.option(
    "--algorithm",
    type=_algorithms,
    default=Algorithm.ED25519.value,
    show_default=True,
    help="P-256 is for machines that have nothing else.",
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
@_holder_options
def apply(draft: Path | None, *, template: bool, print_signed_string: bool, out: Path | None, **options: Any) -> None:
    """Turn a draft into an application: adds the public key, and the proof that you hold the private one.

    With a key file one call is enough. With a security module: first --public-key and --print-signed-string, then the same
    with --signature.
    """
    if template:
        click.echo(DRAFT, nl=False)
        return
    if draft is None:
        raise click.UsageError("needs a draft; --template prints one to fill in")
    holder = _Holder.of(options)
    application = _drafted(draft, holder)
    if print_signed_string:
        click.echo(application.proof().decode("ascii"), nl=False)
        return
    _hand_out(application_toml(replace(application, signature=holder.sign(application.proof()))), out, "application")


@click.command("request-key")
@click.option("--audience", required=True, help="The network's name, such as coalition.example:prod.")
@_holder_options
def request_key(audience: str, *, print_signed_string: bool, out: Path | None, **options: Any) -> None:
    """Ask for a further key, for another till or in place of an old one. The operator adds it: 'tallystick partners keys add'."""
    holder = _Holder.of(options)
    request = KeyRequest(audience, holder.key)
    if print_signed_string:
        click.echo(request.proof().decode("ascii"), nl=False)
        return
    _hand_out(key_request_toml(replace(request, signature=holder.sign(request.proof()))), out, "key request")


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


def _drafted(draft: Path, holder: _Holder) -> Application:
    content = read_toml(read_text(draft))
    if isinstance(content, str):
        raise PosError(f"{draft}: {content}")
    read = read_application({**content, "key": holder.plain()}, audience=None, is_signed=False)
    if not isinstance(read, Application):
        raise PosError(f"{draft}: the application is not complete\n  " + "\n  ".join(read))
    return read


def _hand_out(text: str, out: Path | None, what: str) -> None:
    if out is None:
        click.echo(text, nl=False)
    else:
        write_new(out, text.encode())
        click.echo(f"{what}: {out} (send it to the operator; it holds no secret)")


def _beside(path: Path, profile_file: Path) -> Path:
    """The path as the profile should name it: relative to the profile's folder."""
    return Path(os.path.relpath(path.absolute(), profile_file.absolute().parent))
