"""Commands that look things up."""

import hashlib
import json
from typing import Any

import click

from gateway.terminal import print_table
from partners.pos import requests, requests_members
from partners.pos.cli_calls import asking, by_hand, told
from partners.pos.cli_options import member_of, member_options, receipt_number_option
from partners.pos.cli_print import kind_words, plain, print_booked, print_json, print_plain
from partners.pos.errors import ReceiptError
from partners.pos.profile import Profile
from partners.pos.till import Till
from tallystick.v1 import member_pb2, partner_pb2, statement_pb2, types_pb2

_PAGE = 200


@by_hand(requests.GET_NETWORK)
def network(profile: Profile, *, as_json: bool) -> None:
    """Show what the network tells everybody: its name, its time, and the keys that sign receipts."""
    with Till.open(profile) as till:
        content = plain(till.learn())
    if as_json:
        print_json(content)
    else:
        print_plain(content)


@asking(requests.GET_PARTNER)
def partner() -> partner_pb2.GetPartnerRequest:
    """Show your own record: status, currency, cap, all rate cards, and all limits."""
    return partner_pb2.GetPartnerRequest()


def _print_balance(answer: member_pb2.GetBalanceResponse) -> None:
    click.echo(f"balance: {answer.balance_points} points, of which {answer.available_points} can be redeemed now")
    click.echo(f"debt: {answer.debt_points} points")
    click.echo(f"member: {answer.member_id}")


@asking(requests.GET_BALANCE, text=_print_balance)
@member_options()
def balance(card: str | None, member: str | None) -> member_pb2.GetBalanceRequest:
    """Show a member's points."""
    return requests.balance(member_of(card, member))


def _print_entries(answer: member_pb2.ListEntriesResponse) -> None:
    columns = ("date", "kind", "points", "balance", "receipt number", "entry")
    receipts = [types_pb2.Receipt.FromString(signed.receipt) for signed in answer.receipts]
    rows = [
        (one.business_date, kind_words(one), f"{one.points:+d}", str(one.balance_points), one.receipt_number, one.entry_id)
        for one in receipts
    ]
    print_table("Entries", columns, rows, right=("points", "balance"))


@asking(requests.LIST_ENTRIES, text=_print_entries, by_pages=True)
@member_options()
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only such as issue, redeem or merge_out; may be repeated.")
@click.option("--from", "first_business_date", default="", metavar="DATE", help="Only from this business date on.")
@click.option("--to", "last_business_date", default="", metavar="DATE", help="Only up to this business date.")
@receipt_number_option
def entries(card: str | None, member: str | None, **filters: Any) -> member_pb2.ListEntriesRequest:
    """Show what you yourself have booked for a member, oldest first."""
    return requests_members.entries(member_of(card, member), **filters)


@by_hand(requests.GET_ENTRY)
@click.option("--id", "entry_id", default="", metavar="ID", help="The entry, by the id on its receipt.")
@click.option("--key", default="", metavar="KEY", help="The entry, by the key it was booked with.")
def entry(profile: Profile, entry_id: str, key: str, *, as_json: bool) -> None:
    """Show the answer that a command of your own got; a refusal that is remembered is one."""
    if bool(entry_id) == bool(key):
        raise click.UsageError("name the entry by one of --id and --key")
    with Till.open(profile) as till:
        booked = told(lambda: till.get_entry(entry_id=entry_id, key=key), as_json=as_json)
    print_booked(booked, as_json=as_json)


@by_hand(requests.LIST_WINDOWS, requests.GET_STATEMENT, requests.LIST_STATEMENT_LINES)
@click.option("--window", "window_id", type=int, help="The statement of this window [default: list the windows].")
@click.option("--lines", "with_lines", is_flag=True, help="The events behind it, too.")
def statement(profile: Profile, window_id: int | None, *, with_lines: bool, as_json: bool) -> None:
    """Show what the night published for you: the windows, or one window's statement."""
    with Till.open(profile) as till:
        if window_id is None:
            _print_windows(till, as_json=as_json)
        else:
            _print_statement(till, window_id, with_lines=with_lines, as_json=as_json)


def _print_windows(till: Till, *, as_json: bool) -> None:
    asked = statement_pb2.ListWindowsRequest(page_size=_PAGE)
    windows = told(lambda: till.pages(requests.LIST_WINDOWS, asked), as_json=as_json).windows
    if as_json:
        print_json({"windows": [plain(window) for window in windows]})
        return
    rows = [
        (str(one.window_id), one.cut_off_date, statement_pb2.WindowState.Name(one.state).removeprefix("WINDOW_STATE_"))
        for one in windows
    ]
    print_table("Windows", ("window", "cut-off", "state"), rows, right=("window",))


def _print_statement(till: Till, window_id: int, *, with_lines: bool, as_json: bool) -> None:
    answer = told(lambda: till.statement(window_id), as_json=as_json)
    if hashlib.sha256(answer.statement).digest() != answer.sha256:
        raise ReceiptError("the statement does not have the hash that came with it")
    lines: list[statement_pb2.StatementLine] = []
    if with_lines:
        of_lines = statement_pb2.ListStatementLinesRequest(window_id=window_id, page_size=_PAGE)
        lines += till.pages(requests.LIST_STATEMENT_LINES, of_lines).lines
    content: dict[str, Any] = {"window": plain(answer.window), "statement": json.loads(answer.statement)}
    content |= {"sha256": answer.sha256.hex(), "signature": answer.signature.hex(), "receipt_key_id": answer.receipt_key_id}
    content |= {"lines": [plain(line) for line in lines]} if with_lines else {}
    if as_json:
        print_json(content)
        return
    click.echo(json.dumps(content["statement"], indent=2, ensure_ascii=False))
    click.echo(f"SHA-256 {answer.sha256.hex()}, signed by the network's receipt key {answer.receipt_key_id}")
    if with_lines:
        _print_lines(lines)


def _print_lines(lines: list[statement_pb2.StatementLine]) -> None:
    columns = ("line", "date", "kind", "payer", "payee", "points", "amount (1e-6 minor units)", "own entry")
    rows = [
        (
            str(one.line_number), one.business_date, one.kind, one.payer_id, one.payee_id, str(one.points),
            f"{one.amount_micros} {one.currency}", one.own_entry_id,
        )
        for one in lines
    ]  # fmt: skip
    print_table("Events", columns, rows, right=("line", "points", "amount (1e-6 minor units)"))
