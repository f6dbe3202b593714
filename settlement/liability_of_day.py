"""The liability report of a date, from the books: read, proved, made, and written as files. Books nothing."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import Engine

from gateway.breakage_estimates import load_estimates
from gateway.domain.canonical import Plain
from gateway.domain.errors import InvalidValue
from gateway.domain.ids import OPERATOR
from gateway.domain.partner import PartnerRole
from gateway.domain.terms import date_at, day_ends_at_ms
from gateway.storage.directory import load_network, load_terms
from gateway.storage.engine import reading
from settlement.attribution import attribution_lines
from settlement.liability import prove
from settlement.liability_papers import liability_csv, liability_document, liability_text
from settlement.liability_reading import Ends, Placing, ends_of_day, open_points_at, read_movements
from settlement.liability_report import Facts, Liability, Thresholds, make_report
from settlement.store import cards_of
from settlement.whole import write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked. Dates are the network's, both included; without a first one, the month of the last.

    `last_date` None: the date of `now_ms`. `entered_by`: only estimates entered by the end of that date; None: all.
    """

    now_ms: int
    first_date: date | None = None
    last_date: date | None = None
    entered_by: date | None = None
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class Answer:
    """The report, and where in the books its period begins: the place before its first entry."""

    report: Liability
    begins_after: Ends


def liability_on(engine: Engine, question: Question, *, progress: Callable[[str], None] = lambda _line: None) -> Answer:
    """The report of a date.

    Raises InvalidValue for dates that make no period, or lie in the future; BooksBroken where the postings do not lead to
    what is open, and then there is no report.
    """
    with reading(engine) as connection:
        network, terms = load_network(connection), load_terms(connection)
        before_ms = None if question.entered_by is None else day_ends_at_ms(question.entered_by, network.time_zone)
        estimates = load_estimates(connection, entered_before_ms=before_ms)
    first_date, last_date = _period(question, today=date_at(question.now_ms, network.time_zone))
    begins_after = ends_of_day(engine, network.time_zone, first_date - timedelta(days=1))
    ends = ends_of_day(engine, network.time_zone, last_date)
    placing, cards = Placing(estimates), cards_of(terms)
    before = read_movements(engine, placing, cards, ends=begins_after, progress=progress)
    within = read_movements(engine, placing, cards, after=begins_after, ends=ends, progress=progress)
    prove(before, within, open_points_at(engine, ends, placing))
    facts = Facts(
        audience=network.audience,
        time_zone=network.time_zone.key,
        first_date=first_date,
        last_date=last_date,
        ends=ends,
        before=before,
        within=within,
        estimates=estimates,
        issuers=frozenset(one.partner_id for one in terms.partners.values() if PartnerRole.ISSUER in one.roles),
        thresholds=question.thresholds,
    )
    return Answer(make_report(facts), begins_after)


def write_liability(engine: Engine, out_dir: Path, answer: Answer) -> Path:
    """Writes the report and the attribution list of its period into a folder of `out_dir`, and answers that folder.

    The folder appears complete; the same again gives the same bytes. Raises OSError or BooksBroken.
    """
    report = answer.report
    head: dict[str, Plain] = {
        "format": "tallystick-liability-manifest-1",
        "audience": report.audience,
        "from": report.first_date.isoformat(),
        "at": report.last_date.isoformat(),
    }
    target = out_dir / f"liability-{report.last_date}"
    return write_whole(target, _contents(engine, answer), manifest=f"{OPERATOR}.manifest.json", head=head)


def _period(question: Question, *, today: date) -> tuple[date, date]:
    last_date = question.last_date or today
    first_date = question.first_date or last_date.replace(day=1)
    if last_date > today:
        raise InvalidValue(f"--at {last_date}: lies in the future; it is {today} in the network's time zone")
    if not date.min < first_date <= last_date:
        raise InvalidValue(f"--from {first_date}: must not lie after --at {last_date}")
    return first_date, last_date


def _contents(engine: Engine, answer: Answer) -> Iterator[tuple[str, Iterable[bytes]]]:
    report = answer.report
    yield f"{OPERATOR}.liability.json", [liability_document(report)]
    yield f"{OPERATOR}.liability.csv", [liability_csv(report).encode()]
    yield f"{OPERATOR}.liability.txt", [liability_text(report).encode()]
    yield f"{OPERATOR}.attribution.csv", attribution_lines(engine, after=answer.begins_after, ends=report.ends)
