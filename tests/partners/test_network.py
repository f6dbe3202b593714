"""Founding a network: what stands in the folder and in the books, and what is refused."""

import stat
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.cli import main
from gateway.config import GatewayConfig, load_config
from gateway.domain.chain import genesis_hash
from gateway.domain.errors import InvalidValue
from gateway.domain.terms import DebtPolicy, ExpiryRule
from gateway.founding import found_network
from gateway.storage.directory import load_network, load_receipt_keys, load_terms
from gateway.storage.engine import open_engine, reading
from gateway.storage.migrate import check_version
from gateway.storage.tables import heads, windows
from tests.given import START_MS, at, network_plan
from tests.partners.shell import Shell

CREATE = ("network", "create")
REQUIRED = ("--audience", "coalition.example:prod", "--currency", "EUR", "--time-zone", "Europe/Berlin")


def run(*words: str | Path) -> int:
    """Exit code of a command line at a fixed time."""
    with pytest.raises(SystemExit) as leaving:
        main([str(word) for word in words], clock=lambda: START_MS)
    return leaving.value.code if isinstance(leaving.value.code, int) else 0


def test_a_new_network_has_books_keys_and_a_configuration(tmp_path: Path) -> None:
    """Everything that a gateway needs to start is there."""
    code = run(*CREATE, tmp_path / "net", *REQUIRED)

    found = {str(file.relative_to(tmp_path / "net")) for file in (tmp_path / "net").rglob("*") if file.is_file()}
    assert (code, found) == (0, {"books.db", "tallystick.toml", "keys/identifier.key", "keys/receipt-r1.pem"})


def test_secrets_can_be_read_by_their_owner_alone(tmp_path: Path) -> None:
    """The receipt key and the key of card numbers have mode 0600."""
    run(*CREATE, tmp_path / "net", *REQUIRED)

    modes = {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "net" / "keys").iterdir()}
    assert modes == {0o600}


def test_the_configuration_that_a_network_gets_loads_with_the_defaults(tmp_path: Path) -> None:
    """The commented file says what holds without it."""
    run(*CREATE, tmp_path / "net", *REQUIRED)

    config = load_config(tmp_path / "net" / "tallystick.toml", {})
    assert config.gateway == GatewayConfig()
    assert config.database_url == f"sqlite:///{tmp_path / 'net' / 'books.db'}"


def test_options_become_the_first_network_terms(tmp_path: Path) -> None:
    """What the founder says stands in version 1."""
    options = (
        "--expiry",
        "after 90 days",
        "--debt-policy",
        "withhold cash",
        "--late-days-max",
        "5",
        "--effective-from",
        "2026-06-01",
    )
    run(*CREATE, tmp_path / "net", *REQUIRED, *options, "--breakage-rebate-share", "1/2")

    with reading(open_engine(f"sqlite:///{tmp_path / 'net' / 'books.db'}")) as connection:
        (terms,) = load_terms(connection).network
    assert (terms.version, terms.effective_from.isoformat(), terms.late_days_max) == (1, "2026-06-01", 5)
    assert (terms.expiry_rule, terms.debt_policy, str(terms.breakage_rebate_share)) == (
        ExpiryRule(after_days=90),
        DebtPolicy.WITHHOLD_CASH,
        "1/2",
    )


def test_a_new_network_has_an_open_window_and_chains_that_begin_at_its_genesis(tmp_path: Path) -> None:
    """The writer and the audit find the state that they start from."""
    found_network(tmp_path / "net", network_plan("coalition.example:prod"), now_ms=START_MS)

    with reading(open_engine(f"sqlite:///{tmp_path / 'net' / 'books.db'}")) as connection:
        check_version(connection)
        head = connection.execute(select(heads)).one()
        window = connection.execute(select(windows)).one()
        (key,) = load_receipt_keys(connection)
        network = load_network(connection)
    genesis = genesis_hash("coalition.example:prod", 0)
    assert tuple(head) == (0, 1, 0, START_MS, genesis, 0, genesis, 1)
    assert tuple(window) == (1, "OPEN", "", 0, b"", 1, "", 0)
    assert (key.key_id, key.valid_from_ms, key.valid_until_ms, network.lanes) == ("r1", START_MS, None, 1)


def test_a_folder_that_holds_anything_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Creating a network twice is refused, and the first one keeps its keys."""
    run(*CREATE, tmp_path / "net", *REQUIRED)
    secret = (tmp_path / "net" / "keys" / "identifier.key").read_bytes()
    code = run(*CREATE, tmp_path / "net", *REQUIRED)

    assert (code, (tmp_path / "net" / "keys" / "identifier.key").read_bytes()) == (1, secret)
    assert "never overwritten" in capsys.readouterr().err


def test_an_empty_folder_may_become_a_network(tmp_path: Path) -> None:
    """The folder that somebody made beforehand is taken."""
    (tmp_path / "net").mkdir()

    assert run(*CREATE, tmp_path / "net", *REQUIRED) == 0


def test_a_network_that_cannot_be_finished_leaves_nothing_behind(tmp_path: Path) -> None:
    """A database that cannot be opened leaves no half-made folder."""
    plan = network_plan("coalition.example:prod", database_url="sqlite:////nowhere/at/all.db")
    with pytest.raises(Exception, match="unable to open"):
        found_network(tmp_path / "net", plan, now_ms=START_MS)

    assert list(tmp_path.iterdir()) == []


def test_a_database_that_holds_a_network_takes_no_second_one(tmp_path: Path) -> None:
    """Two folders cannot share their books by accident."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    found_network(tmp_path / "one", network_plan("one.example:prod", database_url=url), now_ms=START_MS)

    with pytest.raises(InvalidValue, match="holds a network already"):
        found_network(tmp_path / "two", network_plan("two.example:prod", database_url=url), now_ms=START_MS)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--audience", "Coalition"),
        ("--currency", "EURO"),
        ("--time-zone", "Europe/Bonn"),
        ("--expiry", "never"),
        ("--late-days-max", "32"),
        ("--breakage-rebate-share", "3/2"),
        ("--par-value", "-1"),
    ],
)
def test_what_a_network_cannot_be_is_refused(tmp_path: Path, option: str, value: str) -> None:
    """Each setting is checked before anything is written."""
    code = run(*CREATE, tmp_path / "net", *REQUIRED, option, value)

    assert (code, list(tmp_path.iterdir())) == (1, [])


def test_showing_a_network_names_its_audience_and_its_operators(shell: Shell) -> None:
    """The first thing to look at when something is wrong."""
    ran = shell.run("network", "show")

    assert ran.code == 0
    assert "coalition.example:test" in ran.out
    assert "ada, bob" in ran.out


def test_network_terms_take_two_operators(shell: Shell) -> None:
    """Proposed by one they change nothing; approved by another they are the next version."""
    shell.ada("network", "terms", "propose", "--effective-from", "2026-07-01", "--expiry", "after 90 days")
    before = shell.run("network", "terms", "show").out
    shell.bob("operators", "approve", "--all")
    after = shell.run("network", "terms", "show").out

    assert "after 90 days" not in before
    assert "after 90 days" in after


def test_network_terms_cannot_begin_before_the_last_ones(shell: Shell) -> None:
    """The order of versions is the order of their dates."""
    ran = shell.ada("network", "terms", "propose", "--effective-from", "2026-05-01")

    assert ran.code == 1
    assert "cannot begin before" in ran.err


def test_network_terms_in_the_past_are_stale_once_something_is_booked(shell: Shell) -> None:
    """What was booked under the old terms keeps them."""
    shell.network.now_ms = at("2026-07-02")
    shell.network.pretend_an_entry()
    ran = shell.ada("network", "terms", "propose", "--effective-from", "2026-07-01")

    assert ran.code == 1
    assert "has passed" in ran.err


@pytest.mark.parametrize("content", [b"", b"this is no database, whatever its name says"])
def test_a_database_without_a_network_is_refused_in_a_sentence(shell: Shell, content: bytes) -> None:
    """No traceback: the operator reads what is the matter."""
    for file in shell.network.folder.glob("books.db*"):
        file.unlink()
    (shell.network.folder / "books.db").write_bytes(content)
    ran = shell.run("network", "show")

    assert ran.code == 1
    assert ran.err.startswith("tallystick: the database")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("gateway = 5", "gateway: must be a section: [gateway]"),
        ("network.keys_dir = 5\nsettlement.statements_dir = []", "network.keys_dir: must be a text; settlement.statements_dir"),
        ("database.url = 5", "database.url: must be a URL"),
        ("database.url = 'mysql://root:hidden@host/books'", "database.url: must be a URL"),
        ("database.url = 'sqlite:///none.db'", "run 'tallystick network create', or mend database.url"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused_in_a_sentence(shell: Shell, content: str, sentence: str) -> None:
    """It names the setting, tells no password, and leaves no empty database behind."""
    (shell.network.folder / "tallystick.toml").write_text(content, "utf-8")
    ran = shell.run("partners", "list")

    assert ran.code == 1
    assert sentence in ran.err
    assert "hidden" not in ran.err
    assert not (shell.network.folder / "none.db").exists()


def test_a_path_that_cannot_be_is_refused_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the operating system says, with the path."""
    code = run(*CREATE, tmp_path / ("x" * 300), *REQUIRED)

    assert code == 1
    assert "File name too long" in capsys.readouterr().err


def test_nobody_else_on_the_machine_can_look_into_a_network(tmp_path: Path) -> None:
    """Its folder has mode 0700: books, statements, and maybe the password of a database."""
    run(*CREATE, tmp_path / "net", *REQUIRED)

    assert stat.S_IMODE((tmp_path / "net").stat().st_mode) == 0o700
