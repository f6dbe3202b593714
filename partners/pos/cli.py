"""`tallystick pos`: what a partner runs on its own machines. Needs the gateway's address, never its database."""

import click

from gateway.domain.errors import DomainError
from gateway.terminal import Refused
from partners.pos.cli_apply import apply, keygen, profile, request_key
from partners.pos.cli_book import batch, enrol, issue, redeem, reverse, transfer
from partners.pos.cli_consent import consent
from partners.pos.cli_members import (
    add_identifier,
    confirm_member,
    donate,
    erase_member,
    export_member,
    look_up_member,
    lots,
    merge_members,
    pause_member,
    remove_identifier,
    resume_member,
)
from partners.pos.cli_office import (
    acknowledge,
    acknowledgements,
    answer_dispute,
    disputes,
    open_dispute,
    records,
    upload_record,
)
from partners.pos.cli_queue import queue
from partners.pos.cli_read import balance, entries, entry, network, partner, statement
from partners.pos.cli_replay import replay
from partners.pos.cli_sign import sign
from partners.pos.cli_till import checkout, claim_receipt, place_hold, quote, refund, void_hold
from partners.pos.cli_verify import verify_statement
from partners.pos.errors import NoAnswer, PosError


class _Unanswered(click.ClickException):
    """Nobody knows whether it was booked."""

    exit_code = 3


class _Till(click.Group):
    """Says what went wrong in a sentence, and exits with 1; with 3 if no answer came."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except NoAnswer as error:
            raise _Unanswered(str(error)) from None
        except (PosError, DomainError) as error:
            raise Refused(str(error)) from None


@click.group(cls=_Till)
def pos() -> None:
    """What a partner runs: make a key, apply, sell, redeem, look up.

    \b
    From nothing to the first sale:
      tallystick pos keygen --out till.pem            a key that never leaves this machine
      tallystick pos apply --template > draft.toml    fill it in
      tallystick pos apply draft.toml --key-file till.pem --key-id acme/till-1/2026a --out acme.toml
                                                      send acme.toml to the operator
      tallystick pos profile --target HOST:PORT --key-file till.pem --key-id acme/till-1/2026a ...
                                                      writes pos.toml, by which the other commands find the gateway
      tallystick pos enrol --card 1234-5678 --key enrol-1
      tallystick pos issue --card 1234-5678 --amount "42.50 EUR" --key sale-1

    Every call of the network has a command, and each takes --json: the answer with its receipts opened and verified. Exit
    codes: 0 done, 1 refused, 2 misuse, 3 no answer (it may have been booked: send the same key again).
    """  # noqa: D301 - click takes a backspace for "keep these lines"


for _command in (
    keygen, apply, request_key, profile, consent, sign,
    quote, place_hold, void_hold, checkout, refund, claim_receipt,
    issue, redeem, reverse, transfer, enrol, batch,
    confirm_member, add_identifier, remove_identifier, donate, pause_member, resume_member, merge_members, erase_member,
    look_up_member, lots, export_member, balance, entry, entries, statement, partner, network, replay,
    queue, verify_statement, upload_record, records, acknowledge, acknowledgements, open_dispute, answer_dispute, disputes,
):  # fmt: skip
    pos.add_command(_command)
