"""Compiles the statements of a closed window from its entries, streamed by short ranges in bounded memory.

What the entries say must agree with the running totals that the obligations came from. Writes are short.
"""

import gc
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from sqlalchemy import Engine

from gateway.domain.entry import PostingKind
from gateway.domain.errors import BooksBroken
from gateway.domain.ids import OPERATOR
from gateway.domain.statement import NO_RECEIPT_SHA256, PublishedStatement, StatementLine
from gateway.domain.terms import RateCard
from gateway.domain.window import Window
from gateway.storage.directory import load_network
from gateway.storage.engine import reading, writing
from gateway.storage.statements import load_previous_sha256, save_statement_lines, save_statements
from settlement import store
from settlement.obligation import Total
from settlement.pricing import TARIFFS, card_of
from settlement.statement import ControlTotals, Event, StatementParts, make_line, make_statement, readers

# Sized so that on SQLite a write takes a few milliseconds: the gateway waits for it.
_ENTRIES_PER_READ = 1_000
_ENTRIES_PER_PROGRESS = 100_000
_LINES_PER_WRITE = 500
_STATEMENTS_PER_WRITE = 10

Controls = Mapping[str, ControlTotals]


def compile_lines(engine: Engine, window: Window, *, progress: Callable[[str], None]) -> Controls:
    """Writes the events of all statements, numbered in the order of the books, and answers each partner's control totals.

    Raises BooksBroken if a receipt is missing, or if the entries do not sum to the window's totals.
    """
    with reading(engine) as connection:
        pricing = store.load_pricing(connection, window)
        kinds = TARIFFS[pricing.model]
        expected = Counter(
            {_key(total): total.points for total in store.load_totals(connection, window.window_id) if total.kind in kinds}
        )
    found: Counter[_Key] = Counter()
    controls: defaultdict[str, ControlTotals] = defaultdict(ControlTotals)
    lines = (line for event in _events(engine, window, found, kinds, progress) for line in _lines_of(event, pricing, controls))
    with _unscanned():
        while chunk := list(islice(lines, _LINES_PER_WRITE)):
            with writing(engine) as connection:
                save_statement_lines(connection, window.window_id, chunk)
    if found != expected:
        differing = min(key for key in found.keys() | expected.keys() if found[key] != expected[key])
        issuer_id, redeemer_id, version, kind = differing
        raise BooksBroken(
            f"window {window.window_id}: entries and totals differ for {PostingKind(kind).name} of {issuer_id}'s points "
            f"at {redeemer_id}, card {version}: nothing is published"
        )
    return controls


def make_statements(engine: Engine, window: Window, controls: Controls) -> None:
    """Writes the statement of every partner that has part in the window, chained to the one before."""
    with reading(engine) as connection:
        audience = load_network(connection).audience
        pricing = store.load_pricing(connection, window)
        movements = _by_partner(
            store.load_totals(connection, window.window_id), lambda total: {total.issuer_id, total.counterparty_id}
        )
        obligations = _by_partner(
            store.load_obligations(connection, window.window_id), lambda line: {line.payer_id, line.payee_id}
        )
        positions = _by_partner(store.load_positions(connection, window.window_id), lambda position: {position.party_id})

    def make(partner_id: str, previous_sha256: bytes | None) -> PublishedStatement:
        return make_statement(
            StatementParts(
                audience=audience,
                model=pricing.model,
                partner_id=partner_id,
                window=window,
                previous_sha256=previous_sha256,
                cards=_cards_used(movements[partner_id], pricing),
                prices=pricing.prices,
                obligations=obligations[partner_id],
                positions=positions[partner_id],
                movements=movements[partner_id],
                control=controls.get(partner_id) or ControlTotals(),
            )
        )

    partners = iter(sorted((movements.keys() | obligations.keys()) - {OPERATOR}))
    with _unscanned():
        while chunk := list(islice(partners, _STATEMENTS_PER_WRITE)):
            with reading(engine) as connection:
                previous = [load_previous_sha256(connection, window.window_id, partner_id) for partner_id in chunk]
            made = list(map(make, chunk, previous))
            with writing(engine) as connection:
                save_statements(connection, made)


_Key = tuple[str, str, int, int]
_Value = TypeVar("_Value")


def _by_partner(values: Iterable[_Value], partners: Callable[[_Value], set[str]]) -> defaultdict[str, list[_Value]]:
    found: defaultdict[str, list[_Value]] = defaultdict(list)
    for value in values:
        for partner_id in partners(value):
            found[partner_id].append(value)
    return found


def _cards_used(movements: Iterable[Total], pricing: store.Pricing) -> list[RateCard]:
    kinds = TARIFFS[pricing.model]
    used = {(total.counterparty_id, total.rate_card_version) for total in movements if total.kind in kinds}
    return [card_of(pricing.prices.cards, *key) for key in sorted(used)]


@contextmanager
def _unscanned() -> Iterator[None]:
    """What is loaded by now is not scanned for garbage: a scan in the middle of a write would hold up the gateway."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _events(
    engine: Engine, window: Window, found: Counter[_Key], kinds: Iterable[PostingKind], progress: Callable[[str], None]
) -> Iterator[Event]:
    """The window's events in the order of the books, counted into `found`."""
    read = 0
    for lane in window.ranges:
        for first, last in store.short_ranges(lane, _ENTRIES_PER_READ):
            with reading(engine) as connection:
                events = list(store.load_events(connection, lane.lane, first, last, kinds))
            for event in events:
                found[event.issuer_id, event.redeemer_id, event.rate_card_version, event.kind.value] += event.points
                yield event
            read += last - first + 1
            if read % _ENTRIES_PER_PROGRESS < _ENTRIES_PER_READ:
                progress(f"  {read} of {window.entries} entries read")


def _lines_of(
    event: Event, pricing: store.Pricing, controls: defaultdict[str, ControlTotals]
) -> Iterator[tuple[str, StatementLine]]:
    if event.receipt is None and event.kind is not PostingKind.EXPIRE:
        raise BooksBroken(f"entry {event.entry_id} has no receipt: nothing is published")
    receipt_sha256 = NO_RECEIPT_SHA256 if event.receipt is None else hashlib.sha256(event.receipt).digest()
    for partner_id, own_entry_id in readers(event, pricing.model):
        control = controls[partner_id]
        line = make_line(
            event,
            pricing.model,
            pricing.prices,
            line_number=control.lines + 1,
            own_entry_id=own_entry_id,
            receipt_sha256=receipt_sha256,
        )
        control.add(line)
        yield partner_id, line


def _key(total: Total) -> _Key:
    return total.issuer_id, total.counterparty_id, total.rate_card_version, total.kind.value
