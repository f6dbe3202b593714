"""Catching up after an outage: tills that send 500 events a call, alone and beside live traffic."""

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bench.network import BATCH, BenchNetwork, Traffic, any_member, in_turn, issue, now_ms
from bench.plan import Request
from bench.report import Measurement
from bench.rounds import Bench
from bench.scenarios import Setting
from gateway.domain.events import GENESIS_HASH, Event
from gateway.domain.partner import KeyScope, PartnerKey
from gateway.storage.directory import bump_directory_version
from gateway.storage.engine import writing
from partners.pos.channel import Signer, Signing
from partners.pos.offline_queue import message_of
from partners.pos.requests import SUBMIT_OFFLINE, one_of_batch
from partners.rulings_keys import insert_key
from tallystick.v1 import offline_pb2
from tests.given import AUDIENCE

TERMINALS = 24  # each catches up 500 events in one call
ALONE = 8  # of them, without live traffic
LIVE_PER_S = 100
LIVE_S_MIN = 10
NOTICED_S = 3  # by when a gateway knows new keys
GOAL_PER_S = math.ceil(500_000 / (30 * 60))


def offline(setting: Setting, bench: Bench) -> Iterator[Measurement]:
    """Events a second by SubmitOffline while IssuePoints go on at a steady rate. Every receipt is verified and counted."""
    alone, beside = _catching_up(bench.network, ALONE), _catching_up(bench.network, TERMINALS)
    time.sleep(NOTICED_S)
    first = bench.batch_rate(alone)
    setting.say("catching up alone", f"{first.per_s:,.0f} events/s")
    live_s = max(LIVE_S_MIN, int(2 * TERMINALS * BATCH / first.per_s))
    apart = replace(bench, folder=bench.folder / "live")
    apart.folder.mkdir()
    with ThreadPoolExecutor(1) as pool:
        live = pool.submit(apart.latency, bench.gateway, LIVE_PER_S, live_s)
        rate = bench.batch_rate(beside)
        was_live = not live.done()
        latency = live.result()
    note = (
        f"{first.per_s:,.0f}/s alone; beside {LIVE_PER_S} IssuePoints/s of p50 {latency.p50_us / 1_000:,.0f} ms and p99 "
        f"{latency.p99_us / 1_000:,.0f} ms{'' if was_live else ', which had ended'}; {rate.cpu_us:,.0f} µs of the gateway each"
    )
    yield Measurement("events caught up a second, beside live traffic", rate.per_s, f"{GOAL_PER_S} or more", note)


def _catching_up(network: BenchNetwork, terminals: int) -> Traffic:
    """One call a terminal, of terminals that are new."""
    prefix = f"run-{next(network.runs)}/"
    requests: list[Request] = []
    partners: list[str] = []
    keys: list[PartnerKey] = []
    for number in range(terminals):
        partner = in_turn(number)
        key = network.given.keys[partner]
        key_id = f"{partner}/{prefix.rstrip('/')}-{number}/1"
        keys.append(PartnerKey(key_id, partner, key.algorithm, key.public_bytes(), frozenset({KeyScope.TILL}), 0, None, None))
        events = _chain(Signer(key_id, key.sign), prefix, number * BATCH)
        body = offline_pb2.SubmitOfflineRequest(events=[message_of(event) for event in events]).SerializeToString()
        requests.append((body, Signing(AUDIENCE, Signer(key_id, key.sign), now_ms).metadata(SUBMIT_OFFLINE.path, body)))
        partners += [partner] * BATCH
    with writing(network.given.engine) as connection:
        for record in keys:
            insert_key(connection, record)
        bump_directory_version(connection)
    return Traffic(SUBMIT_OFFLINE, prefix, requests, partners)


def _chain(signer: Signer, prefix: str, first: int) -> list[Event]:
    made: list[Event] = []
    previous, happened_ms = GENESIS_HASH, now_ms() - 3_600_000
    for index in range(BATCH):
        number = first + index
        command = one_of_batch(issue(f"{prefix}{number}", number, any_member)).SerializeToString()
        event = Event(
            key_id=signer.key_id,
            counter=index + 1,
            occurred_at_ms=happened_ms + index,
            previous_hash=previous,
            command=command,
        )
        made.append(replace(event, signature=signer.sign(event.signed_string(AUDIENCE))))
        previous = made[-1].hash(AUDIENCE)
    return made
