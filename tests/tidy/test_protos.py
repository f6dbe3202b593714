"""The public contract: its form, its promises to partners, and the Python that is made from it."""

import enum
import sys
from pathlib import Path

import pytest
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from gateway.domain.entry import EntryKind
from gateway.domain.outcome import Reason
from gateway.domain.partner import PartnerStatus
from gateway.domain.window import WindowState
from tallystick.v1 import errors_pb2, partner_pb2, statement_pb2, types_pb2
from tests.shared import ROOT
from tests.tidy.tools import BIN, check

BUF = str(BIN / "buf")
STUBS = ROOT / "protos"


def test_the_protos_follow_the_style() -> None:
    """STANDARD and COMMENTS of buf: a comment on every message, field and rpc."""
    check(BUF, "lint", "--path", "protos/tallystick")


def test_the_protos_are_in_their_one_form() -> None:
    """`make format` puts them there."""
    check(BUF, "format", "--diff", "--exit-code", "--path", "protos/tallystick")


def test_the_protos_break_no_partner() -> None:
    """Against the protos of the last release, which `make baseline` keeps: partners deploy on their own calendar."""
    check(BUF, "breaking", "--against", "protos/baseline.binpb")


def test_the_stubs_are_those_of_the_protos(tmp_path: Path) -> None:
    """`make stubs` makes the committed files again, byte for byte."""
    check("make", "stubs", f"OUT={tmp_path}", f"VENV={sys.prefix}", f"--assume-old={sys.prefix}/.installed")

    fresh = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*_pb2*.py*")}
    committed = {str(path.relative_to(STUBS)): path.read_bytes() for path in STUBS.rglob("*_pb2*.py*") if path.suffix != ".pyc"}
    assert fresh.keys() == committed.keys()
    assert [name for name in fresh if fresh[name] != committed[name]] == []


@pytest.mark.parametrize(
    ("ours", "wire", "prefix"),
    [(Reason, errors_pb2.ErrorReason, "ERROR_REASON_"), (EntryKind, types_pb2.EntryKind, "ENTRY_KIND_")],
)
def test_the_numbers_of_an_enum_are_those_of_the_protos(ours: type[enum.IntEnum], wire: EnumTypeWrapper, prefix: str) -> None:
    """The domain does not know the protos, and the edge converts by number."""
    assert {f"{prefix}{member.name}": member.value for member in ours} | {f"{prefix}UNSPECIFIED": 0} == dict(wire.items())


@pytest.mark.parametrize(
    ("ours", "wire", "prefix"),
    [
        (PartnerStatus, partner_pb2.PartnerStatus, "PARTNER_STATUS_"),
        (WindowState, statement_pb2.WindowState, "WINDOW_STATE_"),
    ],
)
def test_the_names_of_a_state_are_those_of_the_protos(ours: type[enum.StrEnum], wire: EnumTypeWrapper, prefix: str) -> None:
    """States are stored by name, and the edge converts by name."""
    assert {f"{prefix}{member.value}" for member in ours} | {f"{prefix}UNSPECIFIED"} == set(wire.keys())
