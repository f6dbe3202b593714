"""Tills of a network that `tests.given` made: they sign with its keys, and try each call once unless a test says otherwise."""

from pathlib import Path

import grpc
import grpc.aio

from partners.pos.attempts import RetryPolicy
from partners.pos.channel import Signer
from partners.pos.till import AsyncTill, Till
from tests.e2e.processes import GatewayProcess
from tests.given import AUDIENCE, KEY_SUFFIX, GivenNetwork, create_network

DAY_MS = 86_400_000
ONE_ATTEMPT = RetryPolicy(attempts_max=1, timeout_ms=20_000)
# Channels of one process share a connection unless told not to.
_OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


def two_partners(folder: Path) -> GivenNetwork:
    """Two shops, acme and globex: a point a euro, worth a cent; their rate cards are in force."""
    network = create_network(folder)
    network.onboard("acme", {"EUR": "1"})
    network.onboard("globex", {"EUR": "1"})
    network.now_ms += DAY_MS
    return network


def signer_of(network: GivenNetwork, partner_id: str) -> Signer:
    """With the partner's first key."""
    return Signer(f"{partner_id}/{KEY_SUFFIX}", network.keys[partner_id].sign)


def open_till(network: GivenNetwork, partner_id: str, address: str, *, policy: RetryPolicy = ONE_ATTEMPT) -> Till:
    """A till without TLS, by the network's clock."""
    channel = grpc.insecure_channel(address)
    return Till(channel, signer_of(network, partner_id), audience=AUDIENCE, now=network.clock, policy=policy)


def open_live_till(gateway: GatewayProcess, network: GivenNetwork, partner_id: str) -> AsyncTill:
    """A till over TLS by the machine's clock, with a connection of its own; call it inside the running loop."""
    credentials = grpc.ssl_channel_credentials(gateway.ca_file.read_bytes())
    channel = grpc.aio.secure_channel(gateway.address, credentials, options=_OWN_CONNECTION)
    return AsyncTill(channel, signer_of(network, partner_id), audience=AUDIENCE, policy=ONE_ATTEMPT)


def open_async_till(network: GivenNetwork, partner_id: str, address: str, *, policy: RetryPolicy = ONE_ATTEMPT) -> AsyncTill:
    """A till of grpc.aio without TLS, by the network's clock, with a connection of its own."""
    channel = grpc.aio.insecure_channel(address, options=_OWN_CONNECTION)
    return AsyncTill(channel, signer_of(network, partner_id), audience=AUDIENCE, now=network.clock, policy=policy)
