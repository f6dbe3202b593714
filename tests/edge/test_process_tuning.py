"""What a serving process sets for gRPC, and what it leaves to its operator."""

import os

import pytest

from gateway.process_tuning import let_grpc_poll_itself


def test_grpc_is_told_to_poll_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the one name that gRPC reads at its start."""
    monkeypatch.setenv("GRPC_EXPERIMENTS", "so that what is set below is undone")
    monkeypatch.delenv("GRPC_EXPERIMENTS")

    let_grpc_poll_itself()

    assert _experiments() == "-event_engine_listener"


def test_what_an_operator_has_set_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also nothing at all: the way back to gRPC's default."""
    monkeypatch.setenv("GRPC_EXPERIMENTS", "")

    let_grpc_poll_itself()

    assert _experiments() == ""


def _experiments() -> str:
    return os.environ["GRPC_EXPERIMENTS"]
