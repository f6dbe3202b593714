"""A sandbox and a real network are never taken for one another."""

from pathlib import Path

from gateway.domain.signing import PrivateKey
from gateway.sandbox import published_key
from gateway.sandbox_founding import MARK
from partners.application import application_toml
from tests.e2e.commands import run_command
from tests.e2e.processes import run_process
from tests.given import application, create_network


def test_it_serves_no_real_network(tmp_path: Path) -> None:
    """Neither a folder of other things, nor a network that somebody has marked as a sandbox."""
    (tmp_path / "shop").mkdir()
    words = ("network", "create", "shop/net", "--audience", "shop.example:prod", "--currency", "EUR", "--time-zone", "UTC")
    run_process(tmp_path, *words)
    unmarked = run_process(tmp_path, "sandbox", "shop", refused=True)
    (tmp_path / "shop" / MARK).touch()
    marked = run_process(tmp_path, "sandbox", "shop", refused=True)

    assert "not made as a sandbox" in unmarked
    assert "shop.example:prod is no sandbox" in marked


def test_no_other_network_takes_a_published_key(tmp_path: Path) -> None:
    """Everybody could sign with it."""
    network = create_network(tmp_path / "net")
    applied = application("meadow", {"EUR": "1"}, PrivateKey(published_key("meadow")))
    (network.folder / "meadow.toml").write_text(application_toml(applied), "utf-8")
    hand = ("--operator", "ada", "--key", network.folder / "ada.pem")
    ran = run_command(network, "partners", "onboard", network.folder / "meadow.toml", *hand)

    assert (ran.code, "KEY_PUBLISHED" in ran.err) == (1, True)
