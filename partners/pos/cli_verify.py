"""`tallystick pos verify-statement`: a statement recomputed from the partner's own receipts."""

import hashlib
from pathlib import Path

import click

from gateway.domain.statement import StatementLine
from gateway.terminal import Refused
from partners.pos import requests
from partners.pos.cli_calls import by_hand, told
from partners.pos.cli_print import print_json
from partners.pos.profile import Profile
from partners.pos.receipt_files import read_receipts
from partners.pos.statement_check import Checked, OwnReceipt, check_statement
from partners.pos.till import Till
from tallystick.v1 import statement_pb2

_LINES_PAGE = 500


@by_hand(requests.GET_STATEMENT, requests.LIST_STATEMENT_LINES)
@click.option("--window", "window_id", type=click.IntRange(1), required=True, help="The statement of this window.")
@click.option(
    "--receipts",
    "receipt_paths",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="Receipts that you have kept: a file of JSON lines, or a folder of such. May be repeated.",
)
@click.option(
    "--statement",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="This file [default: the gateway's].",
)
def verify_statement(
    profile: Profile, window_id: int, receipt_paths: tuple[Path, ...], file: Path | None, *, as_json: bool
) -> None:
    """Recompute your statement from your own receipts, and refuse it if a single byte is not as it must be.

    The network's signature of it is verified, and that of each receipt. A statement in a file must be, byte for byte, the one
    that the gateway published.
    """
    with Till.open(profile) as till:
        published = told(lambda: till.statement(window_id), as_json=as_json)
        statement = published.statement if file is None else file.read_bytes()
        of_lines = statement_pb2.ListStatementLinesRequest(window_id=window_id, page_size=_LINES_PAGE)
        lines = told(lambda: till.pages(requests.LIST_STATEMENT_LINES, of_lines), as_json=as_json).lines
        receipts = (OwnReceipt(signed.receipt, till.verify(signed)) for signed in read_receipts(receipt_paths))
        checked = check_statement(
            statement,
            [_line(one) for one in lines],
            receipts,
            audience=profile.audience,
            partner_id=profile.partner_id,
        )
    digest = hashlib.sha256(statement).digest()
    if digest != published.sha256 or statement != published.statement:
        checked.wrong(f"its hash is {digest.hex()}, the published one's {published.sha256.hex()}: a byte was changed")
    _tell(checked, digest, as_json=as_json)


def _tell(checked: Checked, digest: bytes, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "is_right": not checked.problems,
                "sha256": digest.hex(),
                "recomputed_lines": checked.recomputed,
                "lines_of_others": checked.of_others,
                "problems": checked.problems,
            }
        )
    if checked.problems:
        raise Refused("the statement is not right:\n  " + "\n  ".join(checked.problems))
    if not as_json:
        click.echo(f"{checked.recomputed} lines recomputed from receipts, all as the statement says; the sums agree.")
        click.echo(f"{checked.of_others} further lines, which receipts do not tell: their hash and sums agree.")
        click.echo(f"SHA-256 {digest.hex()}, signed by the network")


def _line(message: statement_pb2.StatementLine) -> StatementLine:
    return StatementLine(**{name: getattr(message, name) for name in StatementLine.__slots__})
