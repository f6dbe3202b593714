"""Commands about members: who they are, and what becomes of them. Each is one call of MemberService."""

import click

from partners.pos import requests, requests_members
from partners.pos.cli_calls import asking, booking
from partners.pos.cli_options import identifier_of, member_of, member_options, occurred_option, receipt_number_option
from partners.pos.requests import Booking
from tallystick.v1 import member_pb2

_language = click.option("--language", default="", metavar="CODE", help="Of the member's receipts: en, de, fr.")


@booking(requests.CONFIRM)
@member_options()
@_language
def confirm_member(card: str | None, member: str | None, *, key: str, language: str) -> Booking:
    """Confirm a provisional member, or change a member's language."""
    return requests_members.confirm(member_of(card, member), key=key, language=language)


@booking(requests.ADD_IDENTIFIER)
@member_options()
@click.option("--identifier", required=True, metavar="KIND:VALUE", help="card, phone, email, qr or token, and itself.")
@click.option("--valid-until-ms", type=int, default=0, help="The end of a one-time token, in unix milliseconds.")
def add_identifier(card: str | None, member: str | None, *, key: str, identifier: str, valid_until_ms: int) -> Booking:
    """Give a member another identifier."""
    added = identifier_of(identifier)
    return requests_members.add_identifier(member_of(card, member), added, key=key, valid_until_ms=valid_until_ms)


@booking(requests.REMOVE_IDENTIFIER)
@member_options()
@click.option("--identifier", metavar="KIND:VALUE", help="Which one, by itself.")
@click.option("--id", "identifier_id", metavar="ID", help="Which one, by the id that look-up-member shows.")
def remove_identifier(
    card: str | None, member: str | None, *, key: str, identifier: str | None, identifier_id: str | None
) -> Booking:
    """Take an identifier from a member."""
    if (identifier is None) == (identifier_id is None):
        raise click.UsageError("name the identifier by one of --identifier and --id")
    removed = identifier_of(identifier) if identifier is not None else identifier_id or ""
    return requests_members.remove_identifier(member_of(card, member), removed, key=key)


@booking(requests.DONATE)
@member_options()
@click.option("--charity", required=True, metavar="PARTNER", help="A partner with the role charity.")
@click.option("--points", type=int, required=True, help="How many.")
@receipt_number_option
@occurred_option
def donate(
    card: str | None,
    member: str | None,
    *,
    key: str,
    charity: str,
    points: int,
    receipt_number: str,
    occurred_at_ms: int | None,
) -> Booking:
    """Give points to a charity."""
    who = member_of(card, member)
    return requests_members.donate(who, charity, points, key=key, receipt_number=receipt_number, occurred_at_ms=occurred_at_ms)


@booking(requests.PAUSE)
@member_options()
def pause_member(card: str | None, member: str | None, *, key: str) -> Booking:
    """Stop that points of a member are taken; issues and refunds go on."""
    return requests_members.pause(member_of(card, member), key=key)


@booking(requests.RESUME)
@member_options()
def resume_member(card: str | None, member: str | None, *, key: str) -> Booking:
    """Let points of a member be taken again. Needs a key of the office's."""
    return requests_members.resume(member_of(card, member), key=key)


@booking(requests.MERGE)
@member_options("from-")
@member_options("to-")
def merge_members(
    from_card: str | None, from_member: str | None, to_card: str | None, to_member: str | None, *, key: str
) -> Booking:
    """Make one member of two: the first goes into the second. Needs a key of the office's."""
    source, target = member_of(from_card, from_member, named="from-"), member_of(to_card, to_member, named="to-")
    return requests_members.merge(source, target, key=key)


@booking(requests.ERASE)
@member_options()
def erase_member(card: str | None, member: str | None, *, key: str) -> Booking:
    """Erase who a member is; points stay and expire. Needs a key of the office's."""
    return requests_members.erase(member_of(card, member), key=key)


@asking(requests.LOOK_UP)
@member_options()
def look_up_member(card: str | None, member: str | None) -> member_pb2.LookUpMemberRequest:
    """Show who a member is: status, language, masked identifiers, points."""
    return requests_members.look_up(member_of(card, member))


@asking(requests.LIST_LOTS, by_pages=True)
@member_options()
def lots(card: str | None, member: str | None) -> member_pb2.ListLotsRequest:
    """Show a member's open points by issuer and last day, in the order in which they are taken."""
    return requests_members.lots(member_of(card, member))


def _print_export(answer: member_pb2.ExportMemberResponse) -> None:
    click.echo(answer.document)
    if answer.next_page_token:
        click.echo(f"next page: {answer.next_page_token}", err=True)


@asking(requests.EXPORT, text=_print_export)
@member_options()
@click.option("--page", "page_token", default="", metavar="TOKEN", help="The page behind the one that gave this token.")
def export_member(card: str | None, member: str | None, page_token: str) -> member_pb2.ExportMemberRequest:
    """Show a page of what is stored about a member. Needs a key of the office's."""
    return requests_members.export(member_of(card, member), page_token=page_token)
