"""A small gateway and a till that talks to it; time and chance stand still."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from partners.pos import keys
from partners.pos.attempts import RetryPolicy
from partners.pos.channel import Signer
from partners.pos.profile import Profile
from partners.pos.till import Till
from tests.pos.small_gateway import AUDIENCE, NOW_MS, SmallGateway

KEY_ID = "acme/till-1/2026a"


@pytest.fixture
def gateway() -> Iterator[SmallGateway]:
    """Listens on a free port until the test is over."""
    with SmallGateway() as running:
        yield running


@dataclass
class Pauses:
    """Takes the place of sleep: notes how long, in milliseconds, and returns at once."""

    taken_ms: list[int] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        """Notes."""
        self.taken_ms.append(round(seconds * 1000))


@pytest.fixture
def pauses() -> Pauses:
    """Empty."""
    return Pauses()


MakeTill = Callable[..., Till]


@pytest.fixture
def make_till(gateway: SmallGateway, pauses: Pauses) -> Iterator[MakeTill]:
    """Makes tills of acme; arguments replace the defaults."""
    made: list[Till] = []

    def make(key_id: str = KEY_ID, *, now_ms: int = NOW_MS, audience: str = AUDIENCE) -> Till:
        key = gateway.keys.get(key_id) or gateway.new_key(key_id)
        till = Till(
            grpc.insecure_channel(gateway.target),
            Signer(key_id, key.sign),
            audience=audience,
            now=lambda: now_ms,
            policy=RetryPolicy(attempts_max=4),
            sleep=pauses,
            spread=lambda _: 0,
        )
        made.append(till)
        return till

    yield make
    for till in made:
        till.close()


@pytest.fixture
def till(make_till: MakeTill) -> Till:
    """A till of acme's."""
    return make_till()


@pytest.fixture
def profile(gateway: SmallGateway, tmp_path: Path) -> Path:
    """The file pos.toml of a till whose key the gateway knows."""
    key, pem = keys.generate()
    gateway.keys[KEY_ID] = key
    keys.save(pem, tmp_path / "till.pem")
    path = tmp_path / "pos.toml"
    path.write_text(Profile(gateway.target, AUDIENCE, KEY_ID, Path("till.pem"), is_plaintext=True).to_toml(), "utf-8")
    return path
