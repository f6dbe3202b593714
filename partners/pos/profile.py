"""A profile: where the gateway is, whom to sign for and with which key. One TOML file a till, no secret in it."""

import ipaddress
import tomllib
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import tomli_w

from gateway.domain.errors import InvalidValue
from gateway.domain.ids import check_key_id
from partners.pos.channel import Signer
from partners.pos.errors import ProfileError
from partners.pos.keys import load

FILE_NAME = "pos.toml"

# The till repeats calls itself, signed anew; grpc's own repeats would send the old signature.
_CHANNEL_OPTIONS = (("grpc.enable_retries", 0), ("grpc.max_receive_message_length", 4 << 20))
_TEXTS = ("target", "audience", "key_id", "key", "ca")


@dataclass(frozen=True, slots=True)
class Profile:
    """`ca_file`: who vouches for the gateway's certificate; None: the machine's own list. Plaintext only to this machine."""

    target: str
    audience: str
    key_id: str
    key_file: Path
    ca_file: Path | None = None
    is_plaintext: bool = False

    @property
    def partner_id(self) -> str:
        """The partner that the profile signs for."""
        return self.key_id.split("/")[0]

    @classmethod
    def load(cls, path: Path | str) -> "Profile":
        """Reads and checks a profile; paths in it are relative to it. Raises ProfileError, naming all that is wrong."""
        path = Path(path)
        try:
            content = tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise ProfileError(
                f"no profile at {path}: write one with 'tallystick pos profile', or name it with --profile"
            ) from None
        except OSError as error:
            raise ProfileError(f"{path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ProfileError(f"{path}: {error}") from None
        problems = _problems(content)
        if problems:
            raise ProfileError(f"{path}: " + "; ".join(problems))
        home = path.parent
        return cls(
            target=content["target"],
            audience=content["audience"],
            key_id=content["key_id"],
            key_file=home / content["key"],
            ca_file=home / content["ca"] if "ca" in content else None,
            is_plaintext=content.get("plaintext", False),
        )

    def check(self) -> None:
        """Raises ProfileError, naming all that is wrong."""
        problems = _problems(self._plain())
        if problems:
            raise ProfileError("; ".join(problems))

    def to_toml(self) -> str:
        """As `load` reads it."""
        return tomli_w.dumps(self._plain())

    def signer(self) -> Signer:
        """With the key of the profile's file. Raises ProfileError."""
        return Signer(self.key_id, load(self.key_file).sign)

    def channel(self) -> grpc.Channel:
        """To the gateway; it connects at its first call. Raises ProfileError."""
        credentials = self._credentials()
        if credentials is None:
            return grpc.insecure_channel(self.target, options=_CHANNEL_OPTIONS)
        return grpc.secure_channel(self.target, credentials, options=_CHANNEL_OPTIONS)

    def async_channel(self) -> grpc.aio.Channel:
        """The same for grpc.aio; call it inside the running loop."""
        credentials = self._credentials()
        if credentials is None:
            return grpc.aio.insecure_channel(self.target, options=_CHANNEL_OPTIONS)
        return grpc.aio.secure_channel(self.target, credentials, options=_CHANNEL_OPTIONS)

    def _plain(self) -> dict[str, object]:
        content: dict[str, object] = {
            "target": self.target,
            "audience": self.audience,
            "key_id": self.key_id,
            "key": str(self.key_file),
        }
        if self.ca_file is not None:
            content["ca"] = str(self.ca_file)
        if self.is_plaintext:
            content["plaintext"] = True
        return content

    def _credentials(self) -> grpc.ChannelCredentials | None:
        if self.is_plaintext:
            return None
        try:
            return grpc.ssl_channel_credentials(self.ca_file.read_bytes() if self.ca_file else None)
        except OSError as error:
            raise ProfileError(f"{self.ca_file}: {error.strerror}; it is the certificate that the operator gave you") from None


def _problems(content: dict[str, object]) -> list[str]:
    problems = [f"unknown setting {name}" for name in sorted(content.keys() - {*_TEXTS, "plaintext"})]
    problems += [f"{name} is missing" for name in _TEXTS if name != "ca" and name not in content]
    problems += [f"{name}: must be a text" for name in _TEXTS if not isinstance(content.get(name, ""), str)]
    if problems:
        return problems
    try:
        check_key_id(str(content["key_id"]))
    except InvalidValue as error:
        problems.append(str(error))
    plaintext = content.get("plaintext", False)
    if not isinstance(plaintext, bool):
        problems.append("plaintext: must be true or false")
    elif plaintext and not _is_loopback(str(content["target"])):
        problems.append("plaintext: only to a gateway on this machine; elsewhere use TLS, with `ca` for a private certificate")
    return problems


def _is_loopback(target: str) -> bool:
    host = target.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
