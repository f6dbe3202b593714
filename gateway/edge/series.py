"""The series that a gateway shows: name, kind, labels, meaning. The one list; help, documents and tests follow it."""

from dataclasses import dataclass
from typing import Literal

PREFIX = "tallystick_"


@dataclass(frozen=True, slots=True)
class Series:
    """`name` as Prometheus has it; `needs_gateway`: it is counted in the process, and cannot be read from the database."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str
    needs_gateway: bool = True


REQUESTS = Series(
    f"{PREFIX}requests_total",
    "counter",
    ("method", "status", "reason"),
    "Calls that were answered, by method, gRPC status and reason of refusal (empty if there is none).",
)
REQUEST_SECONDS = Series(
    f"{PREFIX}request_seconds",
    "histogram",
    ("method",),
    "Time from the arrival of a call's headers until its answer was handed to gRPC, refusals included.",
)
RUNNING = Series(f"{PREFIX}requests_running", "gauge", (), "Calls in progress.")
COMMANDS = Series(
    f"{PREFIX}commands_total",
    "counter",
    ("outcome",),
    "Commands that reached the ledger, alone or in a SubmitBatch: BOOKED, REPLAYED, or the reason of the refusal.",
)
REPLAYS = Series(
    f"{PREFIX}replays_total",
    "counter",
    ("partner",),
    "Commands that repeated an earlier one and got its answer. Many: the partner's tills do not hear our answers.",
)
KEY_CONFLICTS = Series(
    f"{PREFIX}key_conflicts_total",
    "counter",
    ("partner",),
    "Commands under an idempotency key that had booked something else: a fault in the partner's program.",
)
BATCH_COMMANDS = Series(
    f"{PREFIX}batch_commands",
    "histogram",
    ("lane",),
    "Commands in one database transaction, by the first of its lanes: what waits in several goes together while it is little.",
)
BATCH_SECONDS = Series(
    f"{PREFIX}batch_seconds", "histogram", ("lane",), "Time of one database transaction, from asking for it to its COMMIT."
)
LOCK_WAIT_SECONDS = Series(
    f"{PREFIX}batch_lock_wait_seconds",
    "histogram",
    ("lane",),
    "Time a transaction waited for the lane: SQLite's write lock, or the lane's head on PostgreSQL.",
)
COMMIT_SECONDS = Series(
    f"{PREFIX}batch_commit_seconds",
    "histogram",
    ("lane",),
    "Time of COMMIT: the disk. On PostgreSQL with the writes, which go in the same round trip.",
)
QUEUE_COMMANDS = Series(f"{PREFIX}queue_commands", "gauge", ("lane",), "Commands that wait for the writer now.")
QUEUE_OLDEST_SECONDS = Series(
    f"{PREFIX}queue_oldest_seconds", "gauge", ("lane",), "How long the oldest of them has waited; 0 if none waits."
)
BUILD = Series(f"{PREFIX}build_info", "gauge", ("version",), "Always 1; the label says which version runs.", needs_gateway=False)
STORE_UP = Series(
    f"{PREFIX}store_up",
    "gauge",
    (),
    "1 if the database answered when it was last looked at, and that was not long ago; else 0.",
    needs_gateway=False,
)
STORE_AGE_SECONDS = Series(
    f"{PREFIX}store_read_age_seconds",
    "gauge",
    (),
    "How old the figures from the database are (all that follow). They stay as they were while it does not answer.",
    needs_gateway=False,
)
EXPOSURE = Series(
    f"{PREFIX}partner_exposure_minor_units",
    "gauge",
    ("partner", "currency"),
    "What the partner may cost the network: open lots at issue price, and what it owes for windows not settled.",
    needs_gateway=False,
)
CAP = Series(
    f"{PREFIX}partner_cap_minor_units",
    "gauge",
    ("partner", "currency"),
    "The partner's net debit cap; missing for a partner without one.",
    needs_gateway=False,
)
CAP_USE = Series(
    f"{PREFIX}partner_cap_use_ratio",
    "gauge",
    ("partner", "currency"),
    "Exposure ÷ cap. From 1 on the partner's issues are refused with NET_DEBIT_CAP_EXCEEDED.",
    needs_gateway=False,
)
ENTRIES = Series(f"{PREFIX}entries", "gauge", (), "Entries in the books, over all lanes and gateways.", needs_gateway=False)
WINDOW_ID = Series(f"{PREFIX}window_id", "gauge", (), "Number of the open settlement window.", needs_gateway=False)
WINDOW_AGE_SECONDS = Series(
    f"{PREFIX}window_age_seconds",
    "gauge",
    (),
    "How long the settlement window has been open: since the last cut-off. Beyond a day and a bit the night did not run.",
    needs_gateway=False,
)
WINDOWS = Series(
    f"{PREFIX}windows",
    "gauge",
    ("state",),
    "Settlement windows by state. A window that stays CLOSED: a night stopped half way.",
    needs_gateway=False,
)
AUDIT_AGE_SECONDS = Series(
    f"{PREFIX}audit_age_seconds",
    "gauge",
    (),
    "Time since the audit last proved the books; missing before the first audit. An audit that finds fault proves nothing.",
    needs_gateway=False,
)
AUDIT_UNPROVEN = Series(
    f"{PREFIX}audit_unproven_entries", "gauge", (), "Entries that no audit has proven yet.", needs_gateway=False
)
RECEIPT_KEY_AGE_DAYS = Series(
    f"{PREFIX}receipt_key_age_days", "gauge", ("key_id",), "How long a receipt key has been in use.", needs_gateway=False
)
RECEIPT_KEY_DAYS_LEFT = Series(
    f"{PREFIX}receipt_key_days_left",
    "gauge",
    ("key_id",),
    "Days until a receipt key's validity ends; +Inf while no end is set. Keys that have ended are not shown.",
    needs_gateway=False,
)
CERTIFICATE_DAYS_LEFT = Series(
    f"{PREFIX}certificate_days_left",
    "gauge",
    (),
    "Days until the first certificate of the chain in gateway.tls_certificate ends; missing without TLS.",
    needs_gateway=False,
)

SERIES: tuple[Series, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Series))
"""All of them, in the order in which they are shown."""
