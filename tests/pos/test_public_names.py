"""`from partners.pos import Till`: the names a vendor uses, and how little comes with them."""

import inspect
import pkgutil
import subprocess
import sys

import pytest

import partners.pos
from partners.pos import Till
from tests.shared import ROOT

DOORS = ("from partners.pos import *", "from partners.pos import AsyncTill, Till")


def loaded_by(statement: str) -> set[str]:
    """Modules of a fresh Python after the statement."""
    program = f"import sys\n{statement}\nprint(*sys.modules)"
    environ = {"PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", partners.pos.__all__)
def test_a_public_name_is_there(name: str) -> None:
    """And says what it is."""
    assert getattr(partners.pos, name).__doc__


def test_no_public_name_is_that_of_a_module() -> None:
    """Importing the module would put it in the name's place."""
    assert not {module.name for module in pkgutil.iter_modules(partners.pos.__path__)} & set(partners.pos.__all__)


def test_other_names_are_not_there() -> None:
    """As with any module."""
    with pytest.raises(AttributeError, match=r"module 'partners\.pos' has no attribute 'Hub'"):
        _ = partners.pos.Hub


def test_the_package_alone_loads_nothing() -> None:
    """`tallystick --help` and a command that needs no gateway answer at once."""
    loaded = loaded_by("import partners.pos")

    assert {name for name in loaded if name.startswith("partners")} == {"partners", "partners.pos"}
    assert not {name for name in loaded if name.partition(".")[0] in {"grpc", "google", "cryptography"}}


def test_the_commands_of_a_till_bring_a_terminal_and_no_database() -> None:
    """They run on the till."""
    loaded = loaded_by("import partners.pos.cli")
    ours = {name for name in loaded if name.partition(".")[0] == "gateway" and not name.startswith("gateway.domain")}

    assert ours == {"gateway", "gateway.terminal"}
    assert not {name for name in loaded if name.partition(".")[0] in {"sqlalchemy", "alembic"}}


def test_help_shows_what_a_call_takes() -> None:
    """As the request is made, behind the till itself."""
    shown = str(inspect.signature(Till.issue))

    assert shown.startswith("(self, /, who: ")
    assert ", key: str, " in shown


@pytest.mark.parametrize("statement", DOORS)
def test_a_till_brings_the_domain_and_nothing_else_of_the_gateway(statement: str) -> None:
    """No database, no terminal."""
    loaded = loaded_by(statement)
    ours = {name for name in loaded if name.partition(".")[0] == "gateway"}

    assert "partners.pos.till" in loaded
    assert {name for name in ours if not name.startswith("gateway.domain")} == {"gateway"}
    assert not {name for name in loaded if name.partition(".")[0] in {"sqlalchemy", "alembic", "click", "rich"}}
