"""The composition root: the only place that wires. The same composition serves production and tests."""

import asyncio
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Engine

from gateway.apart import KeeperApart
from gateway.config import Config
from gateway.domain.errors import InvalidValue
from gateway.edge.doorkeeper import CallLimits, Doorkeeper
from gateway.edge.housekeeping import Housekeeping
from gateway.edge.requestlog import RequestLog
from gateway.edge.server import Server
from gateway.edge.servicers import Services
from gateway.edge.signatures import SignatureGate
from gateway.edge.tls import ServerCertificate, TlsFiles
from gateway.founding import IDENTIFIER_KEY
from gateway.keeping import make_keeper, make_signer
from gateway.ledger.clerk import Keeping
from gateway.ledger.clock_check import check_clock
from gateway.ledger.writer import Writer
from gateway.metrics import Metrics
from gateway.services.collected import Collected
from gateway.services.directory import Directory
from gateway.services.intake import IntakeService
from gateway.services.offline import OfflineService
from gateway.services.points import CommandPath, PointsService
from gateway.services.reach import StoreReach
from gateway.services.reading import ReadingService
from gateway.services.witness import Witness
from gateway.storage.conformance import save_events
from gateway.storage.engine import open_existing, reading
from gateway.storage.failures import save_signature_failures
from gateway.storage.migrate import check_version

Clock = Callable[[], int]
Around = Callable[[CommandPath, ReadingService], CommandPath]

SEEN_MAX = 5_000  # of tills under conformance, not yet written: ten full batches
BATCHES_AT_ONCE_MIN = 2  # one that waits for a lock must not hold up all others


def as_it_is(path: CommandPath, _reading: ReadingService) -> CommandPath:
    """Nothing around it."""
    return path


class App:
    """A gateway: `async with App(...) as app` starts it, and drains it at the end. `address` is where it listens."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock,
        write_log: Callable[[str], object],
        listen: str | None = None,
        is_plaintext: bool = False,
        reflects: bool = False,
        worker: int = 0,
        keeps_books_apart: bool = False,
        around: Around = as_it_is,
    ) -> None:
        """Opens nothing yet. `clock` gives unix milliseconds; `listen` overrides the configuration's.

        `keeps_books_apart`: in a process of their own, so that the event loop has the interpreter to itself.
        `around` puts something around the path of commands: a sandbox does.
        `worker`: the number of this process among several on one port, from 1; 0 if it is the only one.
        """
        self._config = config
        self._clock = clock
        self._listen = listen or config.gateway.listen
        self._is_plaintext = is_plaintext
        self._reflects = reflects
        self._shares_port = worker > 0
        self._keeps_books_apart = keeps_books_apart
        self._around = around
        self._apart: list[KeeperApart] = []
        self._write_log = write_log
        self._metrics = Metrics(config, clock=clock, worker=worker)
        self._log = RequestLog(write_log, figures=self._metrics.requests)
        self.address = ""
        self.metrics_url = ""

    async def __aenter__(self) -> Self:
        """Starts, or refuses."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drains."""
        await self.stop()

    async def start(self) -> None:
        """Raises InvalidValue or StoreError, with a sentence for people, if the network cannot be served."""
        certificate = None if self._is_plaintext else ServerCertificate(partial(_tls_files, self._config), self._note)
        limits = self._config.gateway
        engine = open_existing(
            self._config.database_url, lock_wait_ms_max=limits.lock_wait_ms_max, statement_ms_max=limits.deadline_ms_max
        )
        try:
            with reading(engine) as connection:
                check_version(connection)
                check_clock(connection, self._clock())
                directory = Directory(connection)
            self._wire(engine, directory, certificate)
            if self._config.gateway.traces_endpoint:
                from gateway.edge.spans import sent_to  # its libraries are an extra

                self._log.spans = sent_to(self._config.gateway.traces_endpoint)
            await self._writer.start()
            try:
                self.metrics_url = await self._metrics.start(
                    self._reading, running=lambda: self._doorkeeper.running, is_plaintext=self._is_plaintext
                )
                self.address = await self._server.start(self._listen, certificate)
            except InvalidValue:
                await self._metrics.stop()
                await self._writer.stop()
                raise
        except BaseException:
            engine.dispose()
            raise
        self._chores = asyncio.create_task(self._house.keep(self._config.gateway.directory_refresh_ms))

    async def stop(self) -> None:
        """Refuses new bookings, finishes what has begun, empties the queue and closes everything."""
        await self._server.stop(self._config.gateway.drain_ms_max / 1_000)
        self._chores.cancel()
        await asyncio.gather(self._chores, return_exceptions=True)
        for collected in self._notes:
            collected.flush()
        await self._writer.stop()
        await self._metrics.stop()
        self._offline.close()
        self._intake.close()
        self._reading.close()
        self._engine.dispose()
        await asyncio.to_thread(self._log.close)

    def _wire(self, engine: Engine, directory: Directory, certificate: ServerCertificate | None) -> None:
        config, limits = self._config, self._config.gateway
        signer, reach = make_signer(config, directory, now_ms=self._clock(), note=self._note), StoreReach()
        watch = self._metrics.batches.committed if self._metrics.batches is not None else None
        self._engine = engine

        def new_keeping() -> Keeping:
            if not self._keeps_books_apart:
                return make_keeper(engine, directory, signer, clock=self._clock, watch=watch)
            self._apart.append(KeeperApart(config, self._clock, watch))
            return self._apart[-1]

        self._writer = Writer(
            engine=engine,
            new_keeping=new_keeping,
            queue_max=limits.queue_max,
            batch_max=limits.batch_max,
            # SQLite takes one at a time, and a second process would only be memory.
            batches_at_once=1 if engine.dialect.name == "sqlite" else max(BATCHES_AT_ONCE_MIN, (os.cpu_count() or 1) // 2),
            tell_store=reach.told,
            figures=self._metrics.batches,
        )
        failures = Collected(self._writer.add_chore, save_signature_failures)
        self._notes: list[Collected[Any]] = [failures]
        self._reading = ReadingService(engine, directory)
        points = self._around(PointsService(self._writer, self._witness(directory)), self._reading)
        self._offline = OfflineService(engine, directory, points, note=self._note)
        self._intake = IntakeService(engine, directory)
        services = Services(
            directory=directory,
            points=points,
            reading=self._reading,
            signer=signer,
            receipt_keys=lambda: directory.receipt_keys,
            pepper=_secret(config.keys_dir / IDENTIFIER_KEY),
            clock=self._clock,
        )
        gate = SignatureGate(directory, record=failures.record, failures_per_s_max=limits.auth_failures_per_s_max)
        self._doorkeeper = Doorkeeper(
            gate,
            limits=_call_limits(config),
            log=self._log,
            clock=self._clock,
            sign_answer=services.signed,
        )
        self._server = Server(
            services, self._offline, self._intake, self._doorkeeper, reflects=self._reflects, shares_port=self._shares_port
        )
        self._house = Housekeeping(
            reading=self._reading,
            notes=self._notes,
            signer=signer,
            reach=reach,
            add_chore=self._writer.add_chore,
            certificate=certificate,
            doorkeeper=self._doorkeeper,
            server=self._server,
            note=self._note,
        )

    def _witness(self, directory: Directory) -> Witness:
        seen = Collected(self._writer.add_chore, save_events, pending_max=SEEN_MAX)
        self._notes.append(seen)
        return Witness(lambda: directory.conformance_runs, seen.record, self._clock)

    @property
    def books_process_id(self) -> int | None:
        """Of the process that keeps the books of the first lane, if it is another one."""
        return self._apart[0].process_id if self._apart else None

    def _note(self, text: str) -> None:
        """A line for the operator. Any thread may write one."""
        self._write_log(json.dumps({"at_ms": self._clock(), "level": "notice", "text": text}, separators=(",", ":")) + "\n")

    async def run_until(self, stop: asyncio.Event) -> None:
        """Waits. Raises what ended the housekeeping: a gateway that stops looking would take revoked keys for ever."""
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, self._chores}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._chores.done():
            self._chores.result()

    async def look_at_store(self) -> None:
        """Reads now what the metrics show of the database, not only every few seconds."""
        await self._metrics.look()

    async def look_around(self) -> None:
        """Looks now at what is looked at every second anyway."""
        await self._house.look_around()


def _call_limits(config: Config) -> CallLimits:
    limits = config.gateway
    return CallLimits(
        body_timeout_ms=limits.body_timeout_ms,
        deadline_ms_max=limits.deadline_ms_max,
        partner_calls_per_s_max=limits.partner_calls_per_s_max,
    )


def _tls_files(config: Config) -> TlsFiles:
    return TlsFiles(
        certificate=_secret(config.path(config.gateway.tls_certificate)),
        private_key=_secret(config.path(config.gateway.tls_private_key)),
    )


def _secret(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidValue(f"{path}: {error.strerror}; 'tallystick network' makes keys and certificates") from None
