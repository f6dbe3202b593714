"""Changes the map from buckets to lanes: at a cut-off, so that each window has one map, and while traffic flows."""

from sqlalchemy import Connection, update

from gateway.domain.errors import InvalidValue
from gateway.domain.lanes import check_lanes
from gateway.domain.terms import date_at
from gateway.domain.window import Window
from gateway.storage.directory import load_network
from gateway.storage.tables_directory import networks
from gateway.storage.windows import close_window


def change_lanes(connection: Connection, lanes: int, *, at_ms: int) -> Window:
    """Closes the open window, and has the next one begin with so many lanes; answers the closed one.

    A lane that is no longer in force keeps its head and what was booked in it, and goes on from there if it comes back.
    Gateways notice by themselves. The caller's transaction must write. Raises InvalidValue.
    """
    check_lanes(lanes)
    network = load_network(connection)
    if network.lanes == lanes:
        raise InvalidValue(f"the network has {lanes} lanes already")
    closed = close_window(
        connection,
        window_id=None,
        audience=network.audience,
        at_ms=at_ms,
        network_date=lambda closed_at_ms: date_at(closed_at_ms, network.time_zone).isoformat(),
        lanes_from_now=lanes,
        made_by="lanes",
    )
    connection.execute(update(networks).values(lanes=lanes))
    return closed
