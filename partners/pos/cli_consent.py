"""`tallystick pos consent`: a funder's signature under an offer. Without it nobody is charged for a bonus."""

from pathlib import Path

import click

from gateway.domain.derivation import Consent
from gateway.domain.documents import consent_string
from gateway.domain.units import format_amount
from partners.offer_file import OfferFile, consent_toml, parse_offer
from partners.pos.cli_options import profile_option
from partners.pos.errors import PosError
from partners.pos.files import bytes_of_hex, read_text, write_new
from partners.pos.profile import Profile

_path = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("offer_file", metavar="OFFER-FILE", type=_path)
@click.option("--print-signed-string", is_flag=True, help="Print the bytes that a security module must sign, and stop.")
@click.option(
    "--signature",
    "signature_hex",
    metavar="HEX",
    help="The 64 bytes that it made of them [default: signed by the profile's key].",
)
@click.option("--out", type=_path, help="The consent, to be sent to the operator [default: standard output].")
@profile_option
def consent(
    profile: Profile, offer_file: Path, *, print_signed_string: bool, signature_hex: str | None, out: Path | None
) -> None:
    """Consent to pay your share of an offer, as OFFER-FILE states it. The profile's key must be one of your office's.

    The consent holds for exactly these terms: any change of the offer needs a new one.
    """
    read = parse_offer(read_text(offer_file))
    if not isinstance(read, OfferFile):
        raise PosError(f"{offer_file}: no offer to consent to\n  " + "\n  ".join(read))
    offer = read.offer
    share = dict(offer.shares).get(profile.partner_id)
    if share is None:
        raise PosError(f"{profile.partner_id} pays no share of {offer.offer_id}; nothing to consent to")
    string = consent_string(audience=profile.audience, key_id=profile.key_id, offer=offer)
    if print_signed_string:
        click.echo(string.decode("ascii"), nl=False)
        return
    signature = bytes_of_hex(signature_hex, "--signature") if signature_hex is not None else profile.signer().sign(string)
    text = consent_toml(Consent(profile.partner_id, profile.key_id, signature))
    least = f"{format_amount(offer.minimum_amount, offer.unit)} {offer.unit}"
    click.echo(f"{profile.partner_id} pays {share} of {offer.bonus_points} points a basket of at least {least}", err=True)
    click.echo(f"at {offer.partner_id}, {offer.first_date} to {offer.last_date}", err=True)
    if out is None:
        click.echo(text, nl=False)
    else:
        write_new(out, text.encode())
        click.echo(f"consent: {out} (send it to the operator)")
