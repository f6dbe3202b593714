"""Commands that look things up."""

import hashlib
import json
from typing import Any

import click

from gateway.terminal import print_table
from partners.pos.cli_options import json_option, member_of, member_options, profile_option
from partners.pos.cli_print import plain, print_booked, print_json, refusal_plain
from partners.pos.errors import ReceiptError, Refused
from partners.pos.profile import Profile
from partners.pos.requests import GET_STATEMENT, LIST_STATEMENT_LINES, LIST_WINDOWS
from partners.pos.till import Till
from tallystick.v1 import statement_pb2

_PAGE = 200


@click.command()
@member_options()
@json_option
@profile_option
def balance(profile: Profile, card: str | None, member: str | None, *, as_json: bool) -> None:
    """Show a member's points."""
    with Till.open(profile) as till:
        answer = till.balance(member_of(card, member))
    if as_json:
        print_json(plain(answer))
        return
    click.echo(f"balance: {answer.balance_points} points, of which {answer.available_points} can be redeemed now")
    click.echo(f"debt: {answer.debt_points} points")
    click.echo(f"member: {answer.member_id}")


@click.command()
@click.option("--id", "entry_id", default="", metavar="ID", help="The entry, by the id on its receipt.")
@click.option("--key", default="", metavar="KEY", help="The entry, by the key it was booked with.")
@json_option
@profile_option
def entry(profile: Profile, entry_id: str, key: str, *, as_json: bool) -> None:
    """Show the answer that a command of your own got; a refusal that is remembered is one."""
    if bool(entry_id) == bool(key):
        raise click.UsageError("name the entry by one of --id and --key")
    with Till.open(profile) as till:
        try:
            booked = till.get_entry(entry_id=entry_id, key=key)
        except Refused as refused:
            if as_json:
                print_json(refusal_plain(refused))
            raise
    print_booked(booked, as_json=as_json)


@click.command()
@click.option("--window", "window_id", type=int, help="The statement of this window [default: list the windows].")
@click.option("--lines", "with_lines", is_flag=True, help="The events behind it, too.")
@json_option
@profile_option
def statement(profile: Profile, window_id: int | None, *, with_lines: bool, as_json: bool) -> None:
    """Show what the night published for you: the windows, or one window's statement."""
    with Till.open(profile) as till:
        if window_id is None:
            _print_windows(_windows(till), as_json=as_json)
            return
        answer = till.call(GET_STATEMENT, statement_pb2.GetStatementRequest(window_id=window_id))
        if hashlib.sha256(answer.statement).digest() != answer.sha256:
            raise ReceiptError("the statement does not have the hash that came with it")
        lines = _lines(till, window_id) if with_lines else []
    content: dict[str, Any] = {"window": plain(answer.window), "statement": json.loads(answer.statement)}
    content |= {"sha256": answer.sha256.hex()} | ({"lines": [plain(line) for line in lines]} if with_lines else {})
    if as_json:
        print_json(content)
        return
    click.echo(json.dumps(content["statement"], indent=2, ensure_ascii=False))
    click.echo(f"SHA-256 {answer.sha256.hex()}")
    if with_lines:
        _print_lines(lines)


def _windows(till: Till) -> list[statement_pb2.Window]:
    windows: list[statement_pb2.Window] = []
    token = ""
    while True:
        page = till.call(LIST_WINDOWS, statement_pb2.ListWindowsRequest(page_size=_PAGE, page_token=token))
        windows += page.windows
        token = page.next_page_token
        if not token:
            return windows


def _lines(till: Till, window_id: int) -> list[statement_pb2.StatementLine]:
    lines: list[statement_pb2.StatementLine] = []
    token = ""
    while True:
        request = statement_pb2.ListStatementLinesRequest(window_id=window_id, page_size=_PAGE, page_token=token)
        page = till.call(LIST_STATEMENT_LINES, request)
        lines += page.lines
        token = page.next_page_token
        if not token:
            return lines


def _print_windows(windows: list[statement_pb2.Window], *, as_json: bool) -> None:
    if as_json:
        print_json({"windows": [plain(window) for window in windows]})
        return
    rows = [
        (str(one.window_id), one.cut_off_date, statement_pb2.WindowState.Name(one.state).removeprefix("WINDOW_STATE_"))
        for one in windows
    ]
    print_table("Windows", ("window", "cut-off", "state"), rows, right=("window",))


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
