"""`tallystick pos sign`: what a signature is made of. A caller is told only SIGNATURE_INVALID, so this is where to look."""

import base64
import hashlib

import click
from google.protobuf.json_format import Parse, ParseError

from gateway.domain.signing import RequestHeader, request_string
from gateway.terminal import Clock, pass_clock
from partners.pos.channel import random_nonce
from partners.pos.cli_options import profile_option
from partners.pos.errors import PosError
from partners.pos.files import bytes_of_hex
from partners.pos.profile import Profile
from partners.pos.requests import method_named

_FORMS = {"tally-created": "13 digits, unix milliseconds", "tally-nonce": "16 bytes in base64url, without padding"}


@click.command()
@click.argument("method")
@click.argument("body")
@click.option("--explain", is_flag=True, help="Print the eight lines that are signed, and their digest.")
@click.option("--hex", "is_hex", is_flag=True, help="BODY is the serialized message in hex, as it was sent.")
@click.option("--created", help="Unix milliseconds, 13 digits [default: now].")
@click.option("--nonce", help="16 bytes in base64url without padding [default: random].")
@click.option("--key-id", help="Another key id than the profile's (its key still signs).")
@click.option("--audience", help="Another audience than the profile's.")
@profile_option
@pass_clock
def sign(
    clock: Clock,
    profile: Profile,
    method: str,
    body: str,
    *,
    explain: bool,
    is_hex: bool,
    created: str | None,
    nonce: str | None,
    key_id: str | None,
    audience: str | None,
) -> None:
    """Sign a request without sending it, and show how.

    METHOD is a name such as IssuePoints or a full path; BODY the message as JSON (or hex, with --hex). With the --created
    and --nonce of a request that was refused, the lines are exactly those that the gateway has checked. Ed25519 signs
    the same lines with the same 64 bytes; ECDSA with other ones each time.

    \b
      tallystick pos sign --explain GetBalance '{"member": {"card_number": "1234-5678"}}'
    """  # noqa: D301 - click takes a backspace for "keep these lines"
    path = method_named(method).path
    message = bytes_of_hex(body, "BODY") if is_hex else _message_of(method, body)
    header = RequestHeader(
        key_id=key_id or profile.key_id,
        created=created or f"{clock():013d}",
        nonce=nonce or base64.urlsafe_b64encode(random_nonce()).rstrip(b"=").decode(),
    )
    malformed = header.malformed()
    if malformed is not None:
        raise PosError(f"{malformed} must be {_FORMS[malformed]}")
    string = request_string(audience=audience or profile.audience, method=path, header=header, body=message)
    signature = profile.signer().sign(string)
    if explain:
        click.echo("The eight lines, each ended by one line feed (0A), the last one too:\n")
        click.echo(string.decode("ascii"))
        click.echo(f"serialized message   {message.hex() or '(empty)'}")
        click.echo(f"SHA-256 of the lines {hashlib.sha256(string).hexdigest()}")
        click.echo("\nMetadata:\n")
    for name, value in (("tally-key-id", header.key_id), ("tally-created", header.created), ("tally-nonce", header.nonce)):
        click.echo(f"{name}: {value}")
    click.echo(f"tally-sig-bin: {base64.b64encode(signature).decode()}")
    if explain:
        click.echo("\ntally-sig-bin is shown in base64, as it goes over the wire; gRPC libraries take the 64 raw bytes.")


def _message_of(method: str, text: str) -> bytes:
    try:
        message: bytes = Parse(text, method_named(method).request()).SerializeToString()
    except ParseError as error:
        raise PosError(f"BODY is no {method_named(method).request.DESCRIPTOR.name} as JSON: {error}") from None
    return message
