"""The papers of a published window as files: what people read of it, and the network's signatures."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Engine

from gateway.domain.ids import OPERATOR
from gateway.domain.statement import PublishedStatement
from gateway.domain.window import Window
from gateway.storage.engine import reading
from gateway.storage.statements import load_statement_lines
from settlement.papers.reading import load_due, load_names, report_facts
from settlement.papers.report_page import report_html
from settlement.papers.statement_page import EVENTS_SHOWN, statement_html
from settlement.papers.to_do import Due
from settlement.papers.words import Names
from settlement.seal import seal_document
from settlement.sealing import Sealer

REPORT = f"{OPERATOR}.report.html"

Files = Iterator[tuple[str, Iterable[bytes]]]
"""Names of files, and what is in each."""


@dataclass(frozen=True, slots=True)
class Papers:
    """Of one window. Names of partners are read once for all of them."""

    engine: Engine
    audience: str
    window: Window
    names: Names
    sealer: Sealer
    due: Due | None

    def of_partner(self, statement: PublishedStatement) -> Files:
        """The page of a statement, and the network's signature of it. Raises InvalidValue where it cannot sign."""
        with reading(self.engine) as connection:
            partner_id, window_id = statement.partner_id, statement.window_id
            first_lines = load_statement_lines(connection, window_id, partner_id, after=0, limit=EVENTS_SHOWN)
        seal = self.sealer.seal(self.window, statement)
        page = statement_html(
            statement, seal=seal, names=self.names, first_lines=first_lines, due=self.due and self.due.of(partner_id)
        )
        yield f"{partner_id}.html", [page]
        yield f"{partner_id}.signature.json", [seal_document(audience=self.audience, statement=statement, seal=seal)]

    def of_operator(self) -> Files:
        """The report. Raises BooksBroken where the books have lost a lot."""
        yield REPORT, [report_html(report_facts(self.engine, self.window))]


def open_papers(engine: Engine, *, audience: str, window: Window, sealer: Sealer) -> Papers:
    """The papers of a window."""
    with reading(engine) as connection:
        return Papers(engine, audience, window, load_names(connection), sealer, load_due(connection, window))
