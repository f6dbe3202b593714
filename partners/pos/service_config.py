"""The published service config, `tallystick/v1/service_config.json`: what may be sent again, when, and how long it may take.

gRPC libraries of every language take the file as it is; our own tills read the same numbers from it. It lies beside the
protos, so whoever has those has it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

NAME: Final = "service_config.json"
EVERY_METHOD: Final = ""


@dataclass(frozen=True, slots=True)
class Published:
    """What the file says of a method. Times in milliseconds; `multiplier` is by how much a wait is longer than the one before."""

    attempts_max: int
    first_delay_ms: int
    delay_ms_max: int
    multiplier: int
    timeout_ms: int
    retryable: frozenset[str]


def text() -> str:
    """The file, for a channel's option `grpc.service_config`."""
    return files("tallystick.v1").joinpath(NAME).read_text("utf-8")


def of_method(path: str) -> Published:
    """By its full path: the method's own, else its service's, else what holds for all."""
    by_name = _by_name()
    service = path.rpartition("/")[0]
    return by_name.get(path) or by_name.get(service) or by_name[EVERY_METHOD]


@cache
def _by_name() -> Mapping[str, Published]:
    found: dict[str, Published] = {}
    for config in json.loads(text())["methodConfig"]:
        published = _read(config)
        for name in config["name"]:
            found[_path(name)] = published
    return found


def _path(name: Mapping[str, str]) -> str:
    service, method = name.get("service"), name.get("method")
    if service is None:
        return EVERY_METHOD
    return f"/{service}/{method}" if method is not None else f"/{service}"


def _read(config: Mapping[str, Any]) -> Published:
    retry = config["retryPolicy"]
    return Published(
        attempts_max=retry["maxAttempts"],
        first_delay_ms=_milliseconds(retry["initialBackoff"]),
        delay_ms_max=_milliseconds(retry["maxBackoff"]),
        multiplier=retry["backoffMultiplier"],
        timeout_ms=_milliseconds(config["timeout"]),
        retryable=frozenset(retry["retryableStatusCodes"]),
    )


def _milliseconds(duration: str) -> int:
    seconds, _, decimals = duration.removesuffix("s").partition(".")
    return int(seconds) * 1_000 + int(decimals.ljust(3, "0") or "0")
