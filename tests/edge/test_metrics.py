"""What Prometheus reads of a running gateway: counted in its own process, or read from the database."""

import re
import socket
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert, text, update

from gateway.dev_ca import make_certificates, write_certificates
from gateway.domain.errors import InvalidValue
from gateway.edge.metrics import STALE_MS, GatewayCollector, MetricsServer, StoreCollector, exposition, make_registry
from gateway.edge.requestlog import OTHER, RequestFigures, RequestLine
from gateway.edge.series import PREFIX, SERIES
from gateway.edge.storewatch import look_at
from gateway.ledger.figures import BatchFigures, QueueState
from gateway.services.directory import Directory
from gateway.services.reading import ReadingService
from gateway.storage.engine import reading, writing
from gateway.storage.tables_directory import partners, receipt_keys
from partners.pos.requests import ISSUE, SUBMIT_BATCH
from tallystick.v1 import points_pb2
from tests.edge.conftest import DAY_MS
from tests.edge.running import Caller, RunningGateway, bare_call, issue_request, refusal
from tests.given import GivenNetwork

ANY_PORT = "127.0.0.1:0"
Labels = frozenset[tuple[str, str]]


class Shown:
    """The series of one answer: `shown("x", label="value")`, None if there is no such one."""

    def __init__(self, answer: str) -> None:
        self.text = answer
        self.families = list(text_string_to_metric_families(answer))
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value for family in self.families for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        """The value of a series, named without our prefix."""
        return self._values.get((PREFIX + name, frozenset(labels.items())))

    def labels(self, name: str, label: str) -> set[str]:
        """All values of a label."""
        return {value for found, pairs in self._values if found == PREFIX + name for key, value in pairs if key == label}


@pytest.fixture
def watched(network: GivenNetwork) -> Iterator[Caller]:
    """A till of acme's at a gateway that shows metrics."""
    with RunningGateway(network, metrics_listen=ANY_PORT) as running:
        yield Caller(running, "acme", network.keys["acme"])


def scrape(caller: Caller) -> Shown:
    """What the gateway shows, after a look at the database."""
    app = caller.gateway.app
    caller.gateway.run(app.look_at_store())
    with urllib.request.urlopen(app.metrics_url, timeout=20) as answer:
        return Shown(answer.read().decode())


def test_every_series_of_the_list_is_shown_with_its_kind_and_meaning(watched: Caller) -> None:
    """No more, and no less, but for those of the process itself."""
    shown = {
        family.name + ("_total" if family.type == "counter" else ""): (family.type, family.documentation)
        for family in scrape(watched).families
        if not family.name.startswith("process_")
    }

    assert shown == {each.name: (each.kind, each.meaning) for each in SERIES}


def test_calls_are_counted_by_method_status_and_reason(watched: Caller) -> None:
    """A booked one, one under a key that booked something else, one that nobody signed."""
    member = watched.enrol("CARD-1")
    watched.issue(member, 1_000, "k1")
    refusal(lambda: watched.issue(member, 2_000, "k1"))
    refusal(lambda: watched.send(ISSUE.path, b"", None))

    shown = scrape(watched)
    assert shown("requests_total", method="IssuePoints", status="OK", reason="") == 1
    assert shown("requests_total", method="IssuePoints", status="ALREADY_EXISTS", reason="IDEMPOTENCY_KEY_REUSED") == 1
    assert shown("requests_total", method="IssuePoints", status="UNAUTHENTICATED", reason="SIGNATURE_MISSING") == 1
    assert shown("request_seconds_count", method="IssuePoints") == 3
    assert shown("request_seconds_bucket", method="IssuePoints", le="+Inf") == 3
    assert shown("requests_running") == 0


def test_replays_and_key_conflicts_are_counted_by_partner_also_within_batches(watched: Caller) -> None:
    """A SubmitBatch is answered OK whatever its commands come to."""
    member = watched.enrol("CARD-1")
    for _ in range(3):
        watched.issue(member, 1_000, "k1")
    commands = [points_pb2.Command(issue=issue_request(member, cents, "k1")) for cents in (1_000, 2_000, 2_000)]
    watched.call(SUBMIT_BATCH, points_pb2.SubmitBatchRequest(commands=commands))

    shown = scrape(watched)
    assert shown("replays_total", partner="acme") == 3
    assert shown("key_conflicts_total", partner="acme") == 2
    assert shown("commands_total", outcome="BOOKED") == 2
    assert shown("commands_total", outcome="REPLAYED") == 3
    assert shown("commands_total", outcome="IDEMPOTENCY_KEY_REUSED") == 2


def test_batches_are_counted_with_their_sizes_and_times(watched: Caller) -> None:
    """Whatever their number, the sums agree with what was sent."""
    member = watched.enrol("CARD-1")
    commands = [points_pb2.Command(issue=issue_request(member, 1_000, f"k{number}")) for number in range(30)]
    watched.call(SUBMIT_BATCH, points_pb2.SubmitBatchRequest(commands=commands))

    shown = scrape(watched)
    assert shown("batch_commands_sum", lane="0") == 31
    assert shown("batch_commands_count", lane="0") == 2
    assert shown("batch_commands_bucket", lane="0", le="20.0") == 1
    assert shown("batch_commands_bucket", lane="0", le="50.0") == 2
    whole, commit, wait = (shown(f"batch_{name}seconds_sum", lane="0") for name in ("", "commit_", "lock_wait_"))
    assert whole is not None
    assert commit is not None
    assert wait is not None
    assert 0 < commit + wait < whole
    assert (shown("queue_commands", lane="0"), shown("queue_oldest_seconds", lane="0")) == (0, 0)


def test_books_kept_by_another_process_are_counted_all_the_same(network: GivenNetwork) -> None:
    """As `tallystick serve` keeps those of a SQLite file."""
    with RunningGateway(network, metrics_listen=ANY_PORT, keeps_books_apart=True) as running:
        caller = Caller(running, "acme", network.keys["acme"])
        caller.enrol("CARD-1")
        shown = scrape(caller)

    assert (shown("batch_commands_sum", lane="0"), shown("batch_commit_seconds_count", lane="0")) == (1, 1)
    assert shown("commands_total", outcome="BOOKED") == 1


def test_a_queue_tells_how_long_its_oldest_command_has_waited() -> None:
    """By lane; an empty one is as old as nothing."""
    batches = BatchFigures()
    since_s = time.monotonic() - 2
    batches.queues = {0: lambda: QueueState(3, since_s), 1: lambda: QueueState(0, None)}
    shown = Shown(exposition(GatewayCollector(RequestFigures([]), batches, lambda: 0)))

    age_s = shown("queue_oldest_seconds", lane="0")
    assert age_s is not None
    assert 2 <= age_s < 60
    assert [shown("queue_commands", lane=lane) for lane in "01"] == [3, 0]
    assert shown("queue_oldest_seconds", lane="1") == 0


def test_what_strangers_claim_makes_no_series(watched: Caller) -> None:
    """Partners, methods and reasons are ours alone, so their number is bounded."""
    stranger = replace(watched, key_id="mallory/till-1/1")
    refusal(lambda: stranger.issue("m1", 100, "k1"))
    with pytest.raises(grpc.RpcError):
        bare_call(watched.gateway.channel, "/tallystick.v1.PointsService/Nonsense")(b"", timeout=20)

    shown = scrape(watched)
    assert "mallory" not in shown.text
    assert "Nonsense" not in shown.text
    assert shown.labels("requests_total", "method") == {"IssuePoints"}


def test_a_method_that_is_not_ours_counts_as_other() -> None:
    """Whatever the log may be given."""
    figures = RequestFigures(["/a.B/C"])
    for method in ("/a.B/C", "/x.Y/Z", "/x.Y/W"):
        figures.count(RequestLine(method), 10)

    assert {method: sum(found.answers.values()) for method, found in figures.by_method.items()} == {"/a.B/C": 1, OTHER: 2}


def test_use_of_a_cap_is_exposure_by_cap(watched: Caller) -> None:
    """1,000 points at one cent, under a cap of 40 euros; nothing is said of the cap of who has none."""
    watched.gateway.network.cap("acme", 4_000)
    watched.issue(watched.enrol("CARD-1"), 100_000, "k1")

    shown = scrape(watched)
    assert shown("partner_exposure_minor_units", partner="acme", currency="EUR") == 1_000
    assert shown("partner_cap_minor_units", partner="acme", currency="EUR") == 4_000
    assert shown("partner_cap_use_ratio", partner="acme", currency="EUR") == 0.25
    assert shown("partner_exposure_minor_units", partner="globex", currency="EUR") == 0
    assert shown("partner_cap_use_ratio", partner="globex", currency="EUR") is None


@pytest.mark.parametrize(("cents", "use"), [(0, 0.0), (100, float("inf"))])
def test_a_cap_of_nothing_is_overdrawn_by_anything(watched: Caller, cents: int, use: float) -> None:
    """Without a division by zero. Nobody can set it so; a cap set before and points that come back can lead there."""
    watched.gateway.network.cap("acme", 100)
    if cents:
        watched.issue(watched.enrol("CARD-1"), cents, "k1")
    with writing(watched.gateway.network.engine) as connection:
        connection.execute(update(partners).where(partners.c.partner_id == "acme").values(net_debit_cap=0))

    assert scrape(watched)("partner_cap_use_ratio", partner="acme", currency="EUR") == use


def test_the_open_window_and_entries_without_proof_are_told(watched: Caller) -> None:
    """A day after the network began, with two entries that no audit has seen."""
    watched.issue(watched.enrol("CARD-1"), 100, "k1")

    shown = scrape(watched)
    assert (shown("window_id"), shown("window_age_seconds")) == (1, DAY_MS / 1_000)
    assert (shown("windows", state="OPEN"), shown("windows", state="CLOSED")) == (1, 0)
    assert (shown("entries"), shown("audit_unproven_entries"), shown("audit_age_seconds")) == (2, 2, None)


def test_the_receipt_key_in_use_has_an_age_and_no_end(watched: Caller) -> None:
    """Until one is set; a key that has ended is gone."""
    now_ms = watched.gateway.network.now_ms
    with writing(watched.gateway.network.engine) as connection:
        for key_id, until_ms in (("ends", now_ms + 3 * DAY_MS), ("ended", now_ms)):
            row = {"key_id": key_id, "public_key": bytes(32), "valid_from_ms": 0, "valid_until_ms": until_ms}
            connection.execute(insert(receipt_keys).values(row))

    shown = scrape(watched)
    assert shown("receipt_key_age_days", key_id="r1") == 1
    assert shown("receipt_key_days_left", key_id="r1") == float("inf")
    assert shown("receipt_key_days_left", key_id="ends") == 3
    assert shown.labels("receipt_key_days_left", "key_id") == {"r1", "ends"}


def test_the_certificate_counts_its_days_down(network: GivenNetwork) -> None:
    """The first of the chain to end; nothing is said where there is none, or none that can be read."""
    file = network.folder / "tls" / "server.pem"
    with reading(network.engine) as connection:
        missing = look_at(connection, file, at_ms=network.now_ms)
        write_certificates(file.parent, make_certificates(network.now_ms))
        ends = look_at(connection, file, at_ms=network.now_ms)
        file.write_text("nonsense")
        broken = look_at(connection, file, at_ms=network.now_ms)

    assert missing.certificate_until_ms is broken.certificate_until_ms is None
    assert ends.certificate_until_ms is not None
    assert ends.certificate_until_ms > network.now_ms


def test_a_store_that_does_not_answer_is_down_and_its_figures_grow_old(watched: Caller) -> None:
    """What was seen last stays, with its age."""
    network = watched.gateway.network
    before = scrape(watched)
    with writing(network.engine) as connection:
        connection.execute(text("ALTER TABLE positions RENAME TO hidden"))
    network.now_ms += 7_000
    after = scrape(watched)

    assert (before("store_up"), before("store_read_age_seconds")) == (1, 0)
    assert (after("store_up"), after("store_read_age_seconds"), after("window_id")) == (0, 7, 1)


@pytest.mark.parametrize(("age_ms", "is_up"), [(STALE_MS - 1, 1), (STALE_MS, 0)])
def test_a_look_of_long_ago_says_nothing_of_now(network: GivenNetwork, age_ms: int, is_up: int) -> None:
    """A database that neither answers nor refuses must not pass for one that is up."""
    with reading(network.engine) as connection:
        look = look_at(connection, None, at_ms=network.now_ms)
    shown = Shown(exposition(StoreCollector(lambda: look, lambda: network.now_ms + age_ms)))

    assert (shown("store_up"), shown("window_id")) == (is_up, 1)


def test_without_the_setting_nothing_listens_and_nothing_is_counted(own_acme: Caller) -> None:
    """It is off unless somebody wants it."""
    own_acme.enrol("CARD-1")

    assert own_acme.gateway.app.metrics_url == ""


def test_a_worker_shows_its_own_figures_on_its_own_port() -> None:
    """The first at the port that was set, the second on the next."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = MetricsServer(make_registry())
    url = server.start(f"127.0.0.1:{port - 1}", worker=2)
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            text_of_worker = answer.read().decode()
    finally:
        server.stop()

    assert url == f"http://127.0.0.1:{port}/metrics"
    assert "process_resident_memory_bytes" in text_of_worker


@pytest.mark.parametrize("listen", ["nonsense", ":9464", "127.0.0.1:65536", "127.0.0.1:x"])
def test_where_nobody_can_listen_the_gateway_does_not_start(network: GivenNetwork, listen: str) -> None:
    """With a sentence that names the setting."""
    with pytest.raises(InvalidValue, match=r"gateway\.metrics_listen"), RunningGateway(network, metrics_listen=listen):
        pass


def test_a_port_that_is_taken_is_refused(network: GivenNetwork) -> None:
    """Two gateways must not show their figures by turns."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InvalidValue, match="cannot listen"), RunningGateway(network, metrics_listen=listen):
            pass


def test_looking_needs_nothing_but_a_reading_thread(network: GivenNetwork) -> None:
    """While a writer holds the lock of the whole file."""
    with reading(network.engine) as connection:
        service = ReadingService(network.engine, Directory(connection))
    with writing(network.engine), reading(network.engine) as connection:
        look = look_at(connection, None, at_ms=network.now_ms)
    service.close()

    assert look.is_up


def test_names_are_what_prometheus_takes() -> None:
    """With a unit at the end where there is one, and `_total` on counters alone."""
    assert [each.name for each in SERIES if not re.fullmatch(r"tallystick_[a-z]+(_[a-z]+)*", each.name)] == []
    assert [each.name for each in SERIES if each.name.endswith("_total") != (each.kind == "counter")] == []
