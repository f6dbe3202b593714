"""A file of real baskets, played by `tallystick pos replay` against a gateway of its own, and what a naive script makes of it.

python -m tests.e2e.year FOLDER FILE.csv.gz [PROCESSES]    plays all of it into a new folder; the suite plays a sample
"""

import csv
import gzip
import sys
from dataclasses import dataclass
from pathlib import Path

from gateway.dev_ca import make_certificates, write_certificates
from gateway.terminal import system_clock
from partners.pos import keys
from partners.pos.profile import Profile
from tests.e2e.processes import gateway_process, run_process
from tests.given import AUDIENCE, KEY_SUFFIX, GivenNetwork, create_network
from tests.pos.naive import balances

ANCHOR = "grocer"
# Points for so many euros, and what a point is worth in cents.
PARTNERS = {"books": ("2", "0.50"), "fuel": ("1/2", "1.00"), ANCHOR: ("1", "1.25")}


@dataclass(frozen=True, slots=True)
class Year:
    """What the replay printed, the balances that it wrote, and those of the naive script; what the audit printed."""

    printed: str
    told: dict[str, int]
    computed: dict[str, int]
    audited: str


def founded(folder: Path) -> GivenNetwork:
    """A network of three partners with TLS; each has its profile in `folder`/profiles."""
    network = create_network(folder, expiry="after 90 days")
    network.now_ms = system_clock() - 60_000
    write_certificates(folder / "tls", make_certificates(network.now_ms))
    (folder / "profiles").mkdir()
    for partner_id, (rate, worth) in PARTNERS.items():
        key, pem = keys.generate()
        keys.save(pem, folder / "profiles" / f"{partner_id}.pem")
        network.onboard(partner_id, {"EUR": rate}, key=key, face_value=worth)
    return network


def play(folder: Path, file: Path, *, processes: int = 1) -> Year:
    """All baskets of the file, and a full audit when the gateway has ended."""
    network = founded(folder)
    profiles = folder / "profiles"
    with gateway_process(folder) as gateway:
        for partner_id in PARTNERS:
            key_file = profiles / f"{partner_id}.pem"
            profile = Profile(gateway.address, AUDIENCE, f"{partner_id}/{KEY_SUFFIX}", key_file, ca_file=gateway.ca_file)
            (profiles / f"{partner_id}.toml").write_text(profile.to_toml(), "utf-8")
        options = ("--profiles", profiles, "--anchor", ANCHOR, "--unit", "EUR", "--processes", str(processes))
        printed = run_process(folder, "pos", "replay", file, *options, "--balances-out", folder / "told.csv", seconds_max=3_000)
    network.engine.dispose()
    rows = csv.DictReader((folder / "told.csv").read_text("utf-8").splitlines())
    with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8") as lines:
        computed = balances(lines, {partner_id: _rate(*terms) for partner_id, terms in PARTNERS.items()}, ANCHOR)
    return Year(
        printed=printed,
        told={row["household_id"]: int(row["balance_points"]) for row in rows},
        computed=computed,
        audited=run_process(folder, "--config", folder / "tallystick.toml", "audit", "--full", seconds_max=3_000),
    )


def _rate(rate: str, worth: str) -> tuple[int, int, int]:
    """As the naive script takes it: points, per so many euros, millionths of a cent."""
    points, _, per = rate.partition("/")
    cents, _, hundredths = worth.partition(".")
    return int(points), int(per or 1), int(cents) * 1_000_000 + int(hundredths) * 10_000


if __name__ == "__main__":
    year = play(Path(sys.argv[1]), Path(sys.argv[2]).resolve(), processes=int(sys.argv[3]) if len(sys.argv) > 3 else 2)
    differing = [one for one in year.told.keys() | year.computed.keys() if year.told.get(one) != year.computed.get(one)]
    sys.stdout.write(f"{year.printed}\n{year.audited}\n{len(year.told)} households, {len(differing)} differ from the script\n")
