"""The log of bad signatures: a caller can write what it likes into it, and cannot get out of it by that."""

from pathlib import Path

from gateway.storage.engine import reading, writing
from gateway.storage.failures import KEPT_MAX, SignatureFailure, load_signature_failures, save_signature_failures
from tests.given import create_network


def failure(at_ms: int, *, partner_id: str = "acme", cause: str = "wrong key") -> SignatureFailure:
    """One."""
    return SignatureFailure(partner_id, at_ms, "acme/till-1/1", "/m", "127.0.0.1", cause, "TS1-REQUEST\n")


def test_failures_come_back_oldest_first(tmp_path: Path, network_url: str | None) -> None:
    """Those of one partner, in the order of time, over several calls."""
    network = create_network(tmp_path / "net", url=network_url)
    with writing(network.engine) as connection:
        save_signature_failures(connection, [failure(2), failure(3), failure(9, partner_id="globex")])
        save_signature_failures(connection, [failure(1), failure(3, cause="expired key")])

    with reading(network.engine) as connection:
        found = load_signature_failures(connection, "acme", limit=10)
        assert [one.at_ms for one in found] == [1, 2, 3, 3]
        assert [one.at_ms for one in load_signature_failures(connection, "acme", limit=3)] == [2, 3, 3]
    network.engine.dispose()


def test_what_is_too_long_or_no_text_is_cut_off(tmp_path: Path, network_url: str | None) -> None:
    """PostgreSQL would refuse the row, and with it all the others."""
    network = create_network(tmp_path / "net", url=network_url)
    with writing(network.engine) as connection:
        save_signature_failures(connection, [failure(1, cause="x\0" * 1_000)])

    with reading(network.engine) as connection:
        assert load_signature_failures(connection, "acme", limit=1)[0].cause == "x?" * 150
    network.engine.dispose()


def test_the_oldest_are_forgotten_in_time(tmp_path: Path, network_url: str | None) -> None:
    """By partner, so that nobody's flood hides another's."""
    network = create_network(tmp_path / "net", url=network_url)
    with writing(network.engine) as connection:
        save_signature_failures(connection, [failure(0, partner_id="globex"), *map(failure, range(KEPT_MAX + 5))])

    with reading(network.engine) as connection:
        kept = load_signature_failures(connection, "acme", limit=2 * KEPT_MAX)
        assert (len(kept), kept[0].at_ms) == (KEPT_MAX, 5)
        assert len(load_signature_failures(connection, "globex", limit=1)) == 1
    network.engine.dispose()
