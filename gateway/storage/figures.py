"""How the network stands, for whoever watches it: a handful of short reads, none of which grows with the entries."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, select

from gateway.domain.errors import BooksBroken
from gateway.domain.network import ReceiptKey
from gateway.domain.units import MICROS
from gateway.domain.window import WindowState
from gateway.storage.directory import load_receipt_keys
from gateway.storage.tables import heads, positions, proofs, windows
from gateway.storage.tables_directory import networks, partners

_EXPOSURES = (
    select(
        partners.c.partner_id,
        partners.c.settlement_currency,
        partners.c.net_debit_cap,
        func.coalesce(func.sum(positions.c.open_value_micros + positions.c.net_debit_micros), 0).label("exposure_micros"),
    )
    # The cap counts what is owed in the currency that the partner settles in.
    .select_from(
        partners.outerjoin(
            positions,
            and_(positions.c.partner_id == partners.c.partner_id, positions.c.currency == partners.c.settlement_currency),
        )
    )
    .group_by(partners.c.partner_id, partners.c.settlement_currency, partners.c.net_debit_cap)
    .order_by(partners.c.partner_id)
)
_WINDOWS = select(
    windows.c.state,
    func.count().label("windows"),
    func.max(windows.c.window_id).label("last_id"),
    func.max(windows.c.closed_at_ms).label("closed_at_ms"),
).group_by(windows.c.state)
_CREATED = select(networks.c.created_at_ms).where(networks.c.network_id == 1)
_LANES = select(
    func.coalesce(func.sum(heads.c.last_sequence), 0).label("entries"),
    func.coalesce(func.sum(func.coalesce(proofs.c.sequence, 0)), 0).label("proven"),
    func.min(proofs.c.proven_at_ms).label("proven_at_ms"),
).select_from(heads.outerjoin(proofs, proofs.c.lane == heads.c.lane))


@dataclass(frozen=True, slots=True)
class PartnerExposure:
    """What a partner may cost the network, in micros, and its cap in minor units (None: no cap), in its own currency."""

    partner_id: str
    currency: str
    exposure_micros: int
    cap: int | None

    def is_alarming(self, percent: int) -> bool:
        """Whether the exposure has come to this share of the cap."""
        return self.cap is not None and self.exposure_micros * 100 >= self.cap * MICROS * percent


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFigures:
    """One look. `proven_at_ms` is that of the lane whose last audit is the longest ago; None before the first audit."""

    exposures: tuple[PartnerExposure, ...]
    windows: Mapping[WindowState, int]
    open_window_id: int
    open_since_ms: int
    entries: int
    unproven_entries: int
    proven_at_ms: int | None
    receipt_keys: tuple[ReceiptKey, ...]


def load_exposures(connection: Connection) -> tuple[PartnerExposure, ...]:
    """What each partner may cost the network, beside its cap, by id."""
    return tuple(
        PartnerExposure(row.partner_id, row.settlement_currency, int(row.exposure_micros), row.net_debit_cap)
        for row in connection.execute(_EXPOSURES)
    )


def load_figures(connection: Connection) -> StoreFigures:
    """Reads them. Raises BooksBroken where there is no network, or no open window."""
    by_state = {WindowState(row.state): row for row in connection.execute(_WINDOWS)}
    created_at_ms = connection.execute(_CREATED).scalar()
    if created_at_ms is None or WindowState.OPEN not in by_state:
        raise BooksBroken("the database holds no network with an open window")
    lanes = connection.execute(_LANES).one()
    return StoreFigures(
        exposures=load_exposures(connection),
        windows={state: by_state[state].windows if state in by_state else 0 for state in WindowState},
        open_window_id=by_state[WindowState.OPEN].last_id,
        # One window begins when the one before it ends; the first, with the network.
        open_since_ms=max(created_at_ms, *(row.closed_at_ms for row in by_state.values())),
        entries=int(lanes.entries),
        unproven_entries=int(lanes.entries) - int(lanes.proven),
        proven_at_ms=lanes.proven_at_ms,
        receipt_keys=load_receipt_keys(connection),
    )
