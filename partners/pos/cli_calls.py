"""How a call becomes a sub-command: a declaration says which call, its options, and how they make the request.

    @booking(ISSUE)
    @member_options()
    @click.option("--amount", required=True)
    def issue(card, member, amount, *, key, **rest): return requests.issue(member_of(card, member), ...)

Sending, printing as text or JSON, and the exit code are here, once for all: 0 done, 1 refused, 2 misuse, 3 no answer.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import click
from google.protobuf.message import Message

from partners.pos.answers import Booked
from partners.pos.cli_options import json_option, profile_option
from partners.pos.cli_print import booked_plain, plain, print_booked, print_json, print_plain, refusal_plain
from partners.pos.errors import NoAnswer, Refused
from partners.pos.profile import Profile
from partners.pos.requests import Booking, Method
from partners.pos.till import Till

_Declared = Callable[..., Any]
_Option = Callable[[_Declared], _Declared]


class CallCommand(click.Command):
    """A command that makes calls; `methods` says which, `declared` what makes the request."""

    methods: Sequence[Method[Any, Any]] = ()
    declared: _Declared


def booking(method: Method[Any, Any]) -> Callable[[_Declared], CallCommand]:
    """A command that books: what is declared makes the request of the options and an idempotency key.

    Without --key a key is made up, and told if no answer comes: nobody can send a key again that he has never seen.
    """

    def declare(make: Callable[..., Booking]) -> CallCommand:
        def run(*, profile: Profile, as_json: bool, key: str | None, **options: Any) -> None:
            chosen = key or f"cli-{secrets.token_hex(12)}"
            command = made(make, key=chosen, **options)
            with Till.open(profile) as till:
                try:
                    booked = told(lambda: till.book(command), as_json=as_json)
                except NoAnswer as error:
                    if as_json:
                        print_json({"no_answer": str(error), "idempotency_key": chosen})
                    elif not key:
                        click.echo(f"key: {chosen}", err=True)
                    raise
            print_booked(booked, as_json=as_json)

        return command_of(make, run, (method,), key_option)

    return declare


def asking(
    method: Method[Any, Any], *, text: Callable[[Any], None] | None = None, by_pages: bool = False
) -> Callable[[_Declared], CallCommand]:
    """A command that looks something up: what is declared makes the request; `text` prints the answer for people.

    Receipts within the answer are verified. `by_pages`: all pages, as one answer.
    """

    def declare(make: Callable[..., Message]) -> CallCommand:
        def run(*, profile: Profile, as_json: bool, **options: Any) -> None:
            request = made(make, **options)
            with Till.open(profile) as till:
                ask = till.pages if by_pages else till.call
                answer = told(lambda: ask(method, request), as_json=as_json)
                content = plain(answer, till.verify)
            if as_json:
                print_json(content)
            elif text is not None:
                text(answer)
            else:
                print_plain(content)

        return command_of(make, run, (method,))

    return declare


def by_hand(*methods: Method[Any, Any]) -> Callable[[_Declared], CallCommand]:
    """A command that makes these calls in a way of its own; it is given `profile` and `as_json`."""
    return lambda run: command_of(run, run, methods)


def told(ask: Callable[[], Any], *, as_json: bool) -> Any:
    """What comes of asking. A refusal is told as JSON where that is wanted, and goes on."""
    try:
        return ask()
    except Refused as refused:
        if as_json:
            print_json(refusal_plain(refused))
        raise


def answer_plain(answer: Booked | Refused) -> dict[str, Any]:
    """What became of one command of several."""
    return booked_plain(answer) if isinstance(answer, Booked) else refusal_plain(answer)


key_option = click.option(
    "--key",
    metavar="KEY",
    help="Idempotency key: sent again with the same content, it books nothing new [default: a random one, printed].",
)


def made(make: _Declared, **options: Any) -> Any:
    """What is declared makes of the options. Raises UsageError for what no message can hold."""
    try:
        return make(**options)
    except ValueError as error:  # more than a message can hold, or no text
        raise click.UsageError(str(error)) from None


def command_of(declared: _Declared, run: _Declared, methods: Sequence[Method[Any, Any]], *options: _Option) -> CallCommand:
    """Its options are those of the declaration, those of the kind of call, and those of all calls, in this order."""
    own: list[click.Parameter] = list(getattr(declared, "__click_params__", ()))
    shared: list[click.Parameter] = []
    run.__click_params__ = shared  # type: ignore[attr-defined]  # where click notes options until there is a command
    every: tuple[_Option, ...] = (json_option, *options, profile_option)
    for option in every:
        run = option(run)
    name = declared.__name__.replace("_", "-")
    command = CallCommand(name, callback=run, params=[*reversed(own), *reversed(shared)], help=declared.__doc__)
    command.methods = tuple(methods)
    command.declared = declared
    return command
