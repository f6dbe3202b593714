"""`tallystick demo`: a coalition's day and night on one machine. Runs only commands that a user has, each its own process."""

import csv
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import tomli_w

from gateway.terminal import Refused

AUDIENCE = "demo.example:demo"
TIME_ZONE = "Europe/Berlin"
READY_S_MAX = 20
_MARK = ".tallystick-demo"
_SEED = 7


@dataclass(frozen=True, slots=True)
class Shop:
    """A partner of the demo. `issue_rate` in points per euro; None: it only redeems. Prices in cents per point."""

    partner_id: str
    legal_name: str
    iban: str
    issue_rate: str | None
    issue_price: str
    reimbursement_rate: str
    stores: tuple[str, ...] = ()


SHOPS = (
    Shop("meadow", "Meadow Grocers GmbH", "DE89370400440532013000", "1/2", "1.10", "0.96", ("101", "102", "103")),
    Shop("torque", "Torque Fuel AG", "DE75512108001245126199", "1", "1.20", "0.90", ("201", "202")),
    Shop("quire", "Quire Books KG", "DE02120300000000202051", "2", "1.05", "1.00", ("301",)),
    Shop("lantern", "Lantern Relief e.V.", "DE02500105170137075030", None, "0", "1.00"),
)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("demo-network"))
def demo(folder: Path) -> None:
    """Watch a coalition live through a day and a night, in FOLDER [default: demo-network].

    A grocer, a fuel chain, a book shop and a charity share one point. Everything is real: TLS, signatures, the books in
    SQLite, the statements. What the demo runs is printed, so that you can run it yourself afterwards.
    """
    stage = _Stage(_fresh(folder))
    click.echo(f"All of it happens in {stage.folder}, with TALLYSTICK_CONFIG=net/tallystick.toml.")
    stage.found()
    stage.take_partners_in()
    with stage.gateway() as address:
        stage.open_tills(address)
        stage.day()
        stage.night()
    stage.prove()


class _Stage:
    """The demo's folder, and how commands are run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started = time.monotonic()

    def found(self) -> None:
        self.scene("A network, two operators, a development CA")
        self.run("network", "create", "net", "--audience", AUDIENCE, "--currency", "EUR", "--time-zone", TIME_ZONE)
        self.run("network", "dev-certificates")
        for operator_id, name in (("ada", "Ada Fisher"), ("bob", "Bob Miller")):
            self.run("operators", "keygen", "--out", f"{operator_id}.pem")
            self.run("operators", "add", operator_id, "--name", name, "--key", f"{operator_id}.pem")

    def take_partners_in(self) -> None:
        self.scene("Each partner makes its key and its application on its own machine; two operators take them in")
        (self.folder / "applications").mkdir()
        with ThreadPoolExecutor(len(SHOPS)) as pool:
            for lines in pool.map(self._apply, SHOPS):
                click.echo(lines)
        ada = ("--operator", "ada", "--key", "ada.pem")
        self.run("partners", "onboard", "applications", *ada)
        self.remark("Ada cannot approve what she proposed herself:")
        self.run("operators", "approve", "--all", *ada, refused=True)
        self.run("operators", "approve", "--all", "--operator", "bob", "--key", "bob.pem")
        self.run("partners", "list")

    @contextmanager
    def gateway(self) -> Iterator[str]:
        """Runs the gateway in the background; yields where it listens. Stops it as an operator would."""
        self.scene("The gateway")
        ready = self.folder / "gateway.ready"
        words = ("serve", "--listen", "127.0.0.1:0", "--ready-file", ready.name)
        self._say(words)
        with (self.folder / "gateway.log").open("wb") as log:
            process = subprocess.Popen(self._command(words), cwd=self.folder, env=self._environ(), stdout=log, stderr=log)
        try:
            give_up_at = time.monotonic() + READY_S_MAX
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > give_up_at:
                    raise Refused(f"the gateway did not start: see {log.name}")
                time.sleep(0.02)
            address = ready.read_text("utf-8").strip()
            click.echo(f"serving on {address}, with TLS; its log is {self.folder / 'gateway.log'}")
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(READY_S_MAX)

    def open_tills(self, address: str) -> None:
        (self.folder / "profiles").mkdir()
        with ThreadPoolExecutor(len(SHOPS)) as pool:
            for lines in pool.map(lambda shop: self._profile(shop, address), SHOPS):
                click.echo(lines)

    def day(self) -> None:
        self.scene("The day: 400 baskets of 60 households; some redeem, some bring goods back")
        baskets, stores = self._baskets()
        self.run("pos", "replay", baskets, "--profiles", "profiles", "--map", stores, "--unit", "EUR", "--return-share", "0.1")
        till = ("--profile", "profiles/lantern.toml")
        self.remark("A household gives 20 points to the charity; the till lost the answer, and asks again with the same key:")
        self.run("pos", "redeem", *till, "--card", "hh-7", "--points", "20", "--key", "gift-1")
        self.run("pos", "redeem", *till, "--card", "hh-7", "--points", "20", "--key", "gift-1")
        self.remark("They meant to give 10: the charity gives half of it back.")
        self.run("pos", "reverse", *till, "--original-key", "gift-1", "--points", "10", "--key", "gift-1-back")
        self.remark("Somebody signs as the grocer with a key of their own. The caller is told nothing, the operator is:")
        self._forge()

    def night(self) -> None:
        self.scene("The night, while the gateway goes on serving")
        self.run("settlement", "run")

    def prove(self) -> None:
        self.scene("The audit")
        self.run("audit", "--full")
        click.echo()
        click.secho(f"A day and a night in {time.monotonic() - self.started:.0f} seconds.", bold=True)
        click.echo(f"Statements and instructions lie in {self.folder / 'net' / 'statements'}. Look around with, for example:")
        program = "tallystick" if shutil.which("tallystick") else Path(sys.executable).with_name("tallystick")
        for words in (("partners", "show", "meadow"), ("settlement", "list"), ("settlement", "show", "1")):
            click.echo(f"  {program} --config {self.folder / 'net' / 'tallystick.toml'} {shlex.join(words)}")

    def scene(self, title: str) -> None:
        """A heading."""
        click.echo()
        click.secho(f"── {title} ", bold=True)

    def remark(self, text: str) -> None:
        """What the next command shows."""
        click.secho(f"# {text}", fg="yellow")

    def run(self, *words: str, refused: bool = False) -> None:
        """Runs a command with its output on this terminal. `refused`: it must be."""
        self._say(words)
        code = subprocess.run(self._command(words), cwd=self.folder, env=self._environ(), check=False).returncode
        if (code == 1) != refused or code not in (0, 1):
            raise Refused(f"'tallystick {shlex.join(words)}' ended with exit code {code}; its folder is {self.folder}")

    def _quietly(self, *words: str) -> str:
        """Runs a command and returns its line and its output, for those that run side by side."""
        done = subprocess.run(
            self._command(words),
            cwd=self.folder,
            env=self._environ(),
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode:
            raise Refused(f"'tallystick {shlex.join(words)}': {done.stdout.decode()}")
        return click.style(f"$ tallystick {shlex.join(words)}", fg="cyan")

    def _apply(self, shop: Shop) -> str:
        name = shop.partner_id
        (self.folder / f"{name}-draft.toml").write_text(tomli_w.dumps(_draft(shop)), "utf-8")
        key_id = f"{name}/till-1/2026a"
        keygen = self._quietly("pos", "keygen", "--out", f"{name}.pem")
        application = f"applications/{name}.toml"
        apply = ("pos", "apply", f"{name}-draft.toml", "--key-file", f"{name}.pem", "--key-id", key_id, "--out", application)
        return f"{keygen}\n{self._quietly(*apply)}"

    def _profile(self, shop: Shop, address: str, key: str = "", out: str = "") -> str:
        name = shop.partner_id
        words = ["pos", "profile", "--target", address, "--audience", AUDIENCE, "--key-id", f"{name}/till-1/2026a"]
        words += ["--key-file", f"{key or name}.pem", "--ca", "net/tls/ca.pem", "--out", out or f"profiles/{name}.toml"]
        return self._quietly(*words)

    def _forge(self) -> None:
        grocer = SHOPS[0]
        address = (self.folder / "gateway.ready").read_text("utf-8").strip()
        self.run("pos", "keygen", "--out", "forger.pem")
        click.echo(self._profile(grocer, address, key="forger", out="forger.toml"))
        forged = ("pos", "issue", "--profile", "forger.toml", "--card", "hh-7", "--amount", "999.00 EUR", "--key", "forged-1")
        self.run(*forged, refused=True)
        self.run("partners", "signatures", "tail", grocer.partner_id)

    def _baskets(self) -> tuple[str, str]:
        """A day's file of baskets, and which partner each store belongs to."""
        chance = random.Random(_SEED)  # noqa: S311 - a play, not a secret
        opening = datetime.now(ZoneInfo(TIME_ZONE)).replace(hour=8, minute=0, second=0, microsecond=0)
        stores = [(store, shop.partner_id) for shop in SHOPS for store in shop.stores]
        with (self.folder / "day.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("occurred_at_utc", "basket_id", "store_id", "household_id", "sales_usd", "coupon_usd", "lines"))
            for number in range(1, 401):
                at = opening + timedelta(seconds=100 * number)
                sales = f"{chance.randrange(2, 120)}.{chance.randrange(100):02}"
                store = chance.choices(stores, weights=(4, 3, 3, 2, 2, 1))[0][0]
                writer.writerow((f"{at:%Y-%m-%dT%H:%M:%SZ}", number, store, chance.randrange(1, 61), sales, "0.00", 1))
        (self.folder / "stores.toml").write_text(
            tomli_w.dumps({shop.partner_id: list(shop.stores) for shop in SHOPS if shop.stores}), "utf-8"
        )
        return "day.csv", "stores.toml"

    def _say(self, words: Sequence[str]) -> None:
        click.secho(f"$ tallystick {shlex.join(words)}", fg="cyan")

    def _command(self, words: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "gateway", *words]

    def _environ(self) -> dict[str, str]:
        return {**os.environ, "TALLYSTICK_CONFIG": str(self.folder / "net" / "tallystick.toml")}


def _draft(shop: Shop) -> dict[str, object]:
    units = {"EUR": shop.issue_rate} if shop.issue_rate else {}
    return {
        "audience": AUDIENCE,
        "partner_id": shop.partner_id,
        "legal_name": shop.legal_name,
        "address": "Marktplatz 1, 10115 Berlin, DE",
        "vat_id": "DE123456789",
        "iban": shop.iban,
        "currency": "EUR",
        "time_zone": TIME_ZONE,
        "roles": ["issuer", "redeemer"] if units else ["redeemer"],
        "units": list(units),
        "contact": f"points@{shop.partner_id}.example",
        "rate_card": {
            "effective_from": f"{datetime.now(ZoneInfo(TIME_ZONE)):%Y-%m-%d}",
            "issue_price": shop.issue_price,
            "face_value": "1.00",
            "reimbursement_rate": shop.reimbursement_rate,
            "issue_rates": units,
        },
    }


def _fresh(folder: Path) -> Path:
    """An empty folder; removes only what an earlier demo left there."""
    if folder.exists():
        if not (folder / _MARK).is_file():
            raise Refused(f"{folder} exists, and is no earlier demo: name another folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
    return folder.resolve()
