"""Configuration: one frozen value from a TOML file and the environment, checked at the start. Reads, never writes.

The file is `--config FILE`, else `$TALLYSTICK_CONFIG`, else `tallystick.toml` in the working directory. Paths in it are
relative to it. `$TALLYSTICK_DATABASE_URL` overrides `database.url`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from gateway.domain.errors import InvalidValue

FILE_NAME = "tallystick.toml"


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Section `gateway`: how the server listens, and its limits. Each limit bounds memory or time of one caller."""

    listen: str = "127.0.0.1:7443"
    tls_certificate: str = "tls/server.pem"
    tls_private_key: str = "tls/server.key"
    queue_max: int = 10_000  # commands waiting; beyond it QUEUE_FULL
    batch_max: int = 500  # commands in one database transaction
    partner_calls_per_s_max: int = 5_000
    auth_failures_per_s_max: int = 50  # of one address; beyond it AUTH_FAILURES_LIMITED
    deadline_ms_max: int = 30_000
    body_timeout_ms: int = 5_000
    lock_wait_ms_max: int = 10_000  # while another process writes to the same SQLite file; beyond it STORE_UNAVAILABLE
    directory_refresh_ms: int = 1_000
    drain_ms_max: int = 10_000
    metrics_listen: str = ""  # where Prometheus asks; worker n of several listens n - 1 ports above. Empty: nowhere
    traces_endpoint: str = ""  # of an OpenTelemetry collector (OTLP over gRPC); needs the extra `tracing`. Empty: none


@dataclass(frozen=True, slots=True)
class Config:
    """All of it. `home` is the folder of the file."""

    home: Path
    database_url: str = field(repr=False)
    keys_dir: Path
    statements_dir: Path
    gateway: GatewayConfig

    @property
    def database_name(self) -> str:
        """The database's URL without its password, for people."""
        return name_of(make_url(self.database_url))

    def path(self, name: str) -> Path:
        """A path of the file, relative to it."""
        return self.home / name


def parse_url(text: object, *, named: str = "database.url") -> URL:
    """The URL of a database. Raises InvalidValue, without repeating what may hold a password."""
    try:
        url = make_url(text) if isinstance(text, str) else None
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise InvalidValue(f"{named}: must be a URL such as sqlite:///books.db or postgresql://user@host/database")
    return url


def name_of(url: URL) -> str:
    """The URL without its password, for people."""
    return url.difference_update_query(("password", "sslpassword")).render_as_string(hide_password=True)


def load_config(file: Path | None, environ: Mapping[str, str]) -> Config:
    """Reads and checks the configuration. Raises InvalidValue, naming the file and all that is wrong with it."""
    path = file or Path(environ.get("TALLYSTICK_CONFIG", FILE_NAME))
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InvalidValue(
            f"no configuration at {path}: run 'tallystick network create', or name the file with --config"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidValue(f"{path}: {error}") from None
    return _checked(path, content, environ)


def _checked(path: Path, content: dict[str, Any], environ: Mapping[str, str]) -> Config:
    home = path.resolve().parent
    known = {
        "database": {"url"},
        "network": {"keys_dir"},
        "settlement": {"statements_dir"},
        "gateway": {f.name for f in fields(GatewayConfig)},
    }
    problems = [f"unknown section [{name}]" for name in content.keys() - known.keys()]
    sections: dict[str, dict[str, Any]] = {}
    for name, keys in known.items():
        section = content.get(name, {})
        if not isinstance(section, dict):
            problems.append(f"{name}: must be a section: [{name}]")
            section = {}
        sections[name] = section
        problems += [f"unknown setting {name}.{key}" for key in sections[name].keys() - keys]
    for f in fields(GatewayConfig):
        value = sections["gateway"].get(f.name, f.default)
        if type(value) is not type(f.default) or (isinstance(value, int) and value < 1):
            problems.append(f"gateway.{f.name}: must be {'a number above 0' if isinstance(f.default, int) else 'a text'}")
    for name, key in (("network", "keys_dir"), ("settlement", "statements_dir")):
        if not isinstance(sections[name].get(key, ""), str):
            problems.append(f"{name}.{key}: must be a text")
    try:
        parsed = parse_url(environ.get("TALLYSTICK_DATABASE_URL") or sections["database"].get("url", "sqlite:///books.db"))
    except InvalidValue as error:
        problems.append(str(error))
    if problems:
        raise InvalidValue(f"{path}: " + "; ".join(sorted(problems)))
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        parsed = parsed.set(database=str(home / parsed.database))
    return Config(
        home=home,
        database_url=parsed.render_as_string(hide_password=False),
        keys_dir=home / sections["network"].get("keys_dir", "keys"),
        statements_dir=home / sections["settlement"].get("statements_dir", "statements"),
        gateway=GatewayConfig(**sections["gateway"]),
    )
