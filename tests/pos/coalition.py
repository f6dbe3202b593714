"""Partners whose keys lie in files as on their own machines, and a real gateway over TLS that they reach by their profiles."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.storage.engine import writing
from partners.onboarding import onboard
from partners.pos import keys
from partners.pos.profile import Profile
from tests.edge.running import RunningGateway
from tests.given import AUDIENCE, KEY_SUFFIX, GivenNetwork, application, create_network


@dataclass(frozen=True)
class Coalition:
    """A running gateway and a profile for each partner."""

    gateway: RunningGateway
    profiles: dict[str, Profile]


@contextmanager
def running_coalition(folder: Path, terms: Mapping[str, tuple[str, str]]) -> Iterator[Coalition]:
    """`terms` by partner: points a euro, cents a point. It is the day after they came into force."""
    network = create_network(folder / "net")
    for partner_id, (rate, face_value) in terms.items():
        onboarded(network, partner_id, rate, face_value, folder / f"{partner_id}.pem")
    network.now_ms += 86_400_000  # the rate cards are in force from the next day on
    with RunningGateway(network, is_plaintext=False) as gateway:
        ca_file = network.folder / "tls" / "ca.pem"
        profiles = {
            partner_id: Profile(gateway.address, AUDIENCE, f"{partner_id}/{KEY_SUFFIX}", folder / f"{partner_id}.pem", ca_file)
            for partner_id in terms
        }
        yield Coalition(gateway, profiles)


def onboarded(network: GivenNetwork, partner_id: str, rate: str, face_value: str, key_file: Path) -> None:
    """An active partner, whose key lies in a file as on its own machine."""
    key, pem = keys.generate()
    keys.save(pem, key_file)
    applied = application(partner_id, {"EUR": rate}, key, face_value=face_value)
    with writing(network.engine) as connection:
        decision = onboard(connection, applied, hand=network.hands[0], now_ms=network.now_ms)
    network.approve(decision)
