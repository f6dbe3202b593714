"""Where the time of a call goes: each part by itself, by the gateway's own functions, in processor time of one thread.

A part by itself finds its code in the processor's cache; between all the others it seldom does. So the parts sum up to
less than a call takes, and show what is large rather than how large it is.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from bench.network import AUDIENCE, PARTNERS, BenchNetwork, now_ms
from gateway.config import load_config
from gateway.domain.command import Command
from gateway.domain.receipt import Answer
from gateway.edge.caller import Caller
from gateway.edge.convert import answer_message, to_command
from gateway.edge.receipts import encode_receipt
from gateway.edge.requestlog import RequestLine, RequestLog
from gateway.edge.signatures import Received, SignatureGate, read_header
from gateway.edge.validate import unknown_fields
from gateway.founding import IDENTIFIER_KEY
from gateway.key_file import load_key
from gateway.services.directory import Directory
from gateway.services.receipts import ReceiptSigner
from gateway.storage.booking import save_book
from gateway.storage.books import load_book, lock_heads
from gateway.storage.directory import load_receipt_keys
from gateway.storage.engine import open_engine, writing_on
from partners.pos.requests import ISSUE
from tallystick.v1 import points_pb2

CALLS, BATCH = 1_280, 64
PEER = "ipv4:127.0.0.1"


class Parts:
    """Takes calls through all of it but grpc, in one thread, and notes what each part took. No gateway may run beside it."""

    def __init__(self, network: BenchNetwork) -> None:
        self._network = network
        config = load_config(network.given.folder / "tallystick.toml", {})
        self._pepper = (config.keys_dir / IDENTIFIER_KEY).read_bytes()
        self._engine = open_engine(config.database_url)
        self._connection: Connection = self._engine.connect()
        with writing_on(self._connection):
            self._directory = Directory(self._connection)
            keys = (key,) = load_receipt_keys(self._connection)
        private_key = load_key(config.keys_dir / f"receipt-{key.key_id}.pem")
        self._signer = ReceiptSigner(
            audience=AUDIENCE, known=lambda: keys, load=lambda _key_id: private_key, note=print, settle_ms=0
        )
        self._took_ns: Counter[str] = Counter()

    def measure(self) -> dict[str, float]:
        """Microseconds a call, by part. The first round is for warming up."""
        for _ in range(2):
            self._took_ns.clear()
            commands = self._commands()
            answers = [answer for start in range(0, CALLS, BATCH) for answer in self._booked(commands[start : start + BATCH])]
            self._leave(answers)
        self._connection.close()
        self._engine.dispose()
        return {part: took_ns / 1_000 / CALLS for part, took_ns in self._took_ns.items()}

    def _commands(self) -> list[Command]:
        requests = self._network.issues(CALLS).requests
        gate = SignatureGate(self._directory, record=_unexpected, failures_per_s_max=1)
        with self._timed("signature: read, hash, verify"):
            for body, metadata in requests:
                gate.prove(read_header(metadata), Received(ISSUE.path, body, lambda: PEER, now_ms(), 0))
        commands = []
        callers = [Caller(partner_id, f"{partner_id}/till-1/1", 0) for partner_id in PARTNERS]
        with self._timed("convert: parse, check, make a command"):
            for number, (body, _) in enumerate(requests):
                message = points_pb2.IssuePointsRequest.FromString(body)
                unknown_fields(message, body)
                commands.append(to_command(message, callers[number % len(callers)], self._pepper))
        return [command for command in commands if isinstance(command, Command)]

    def _booked(self, commands: list[Command]) -> list[Answer]:
        connection = self._connection
        transaction = writing_on(connection)
        with self._timed("SQL: begin, terms, load"):
            transaction.__enter__()
            locked = lock_heads(connection, (0,))
            terms = self._directory.refresh(connection)
            book = load_book(
                connection,
                commands,
                locked=locked,
                now_ms=now_ms(),
                terms=terms,
                encode=encode_receipt,
                receipt_key_id=self._signer.key_id_at(now_ms()),
            )
        with self._timed("decide: Book.execute, receipt"):
            results = [book.execute(command) for command in commands]
        with self._timed("SQL: save"):
            save_book(connection, book)
        with self._timed("commit"):
            transaction.__exit__(None, None, None)
        return [result for result in results if isinstance(result, Answer)]

    def _leave(self, answers: list[Answer]) -> None:
        with self._timed("receipt signature"):
            signatures = [self._signer.sign(answer.receipt, answer.receipt_key_id) for answer in answers]
        with self._timed("answer: message, bytes"):
            for answer, signature in zip(answers, signatures, strict=True):
                message = points_pb2.IssuePointsResponse(answer=answer_message(answer, signature, now_ms=now_ms()))
                message.SerializeToString()
        asyncio.run(self._log_lines())

    async def _log_lines(self) -> None:
        log = RequestLog(_nowhere)
        with self._timed("log line"):
            for _ in range(CALLS):
                log.request(RequestLine(ISSUE.path), at_ms=now_ms(), took_us=1)

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        started_ns = time.thread_time_ns()
        yield
        self._took_ns[part] += time.thread_time_ns() - started_ns


def _unexpected(failure: object) -> None:
    raise AssertionError(failure)


def _nowhere(_lines: str) -> None:
    pass
