"""What tests of all floors look at: the root, the published calls, and the material beside a checkout, in `../shared`."""

import pkgutil
from importlib import import_module
from pathlib import Path

import pytest
from google.protobuf.descriptor import MethodDescriptor

import tallystick.v1

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


def shared_path(name: str) -> Path:
    """The file or folder of that name in `../shared`. Skips the test, with the reason, where it is missing."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs ../shared/{name}, which is not beside this checkout")
    return path


def published_methods() -> dict[str, MethodDescriptor]:
    """All calls of all protos, by full path."""
    names = [f"tallystick.v1.{module.name}" for module in pkgutil.iter_modules(tallystick.v1.__path__)]
    protos = [import_module(name) for name in names if name.endswith("_pb2")]
    services = [service for proto in protos for service in proto.DESCRIPTOR.services_by_name.values()]
    return {f"/{service.full_name}/{method.name}": method for service in services for method in service.methods}
