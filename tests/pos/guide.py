"""The messages that docs/pos-guide.md shows, from a real run: `make guide` writes them, a test compares them.

A block of the page stands under a mark, `<!-- run: NAME -->`; what is around it is written by hand. Bytes are shown by their
number, for keys are made anew for each run; all else is the same each time.
"""

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from partners.pos import requests, requests_till
from partners.pos.channel import Signing, SigningChannel
from partners.pos.errors import NoAnswer, NotOffline, Refused
from partners.pos.offline_queue import OfflineQueue
from partners.pos.requests import BOOKINGS, Booking, Method, amount, card
from partners.pos.till import Till
from tallystick.v1 import offline_pb2, points_pb2, types_pb2
from tests.e2e.tills import signer_of
from tests.edge.running import RunningGateway
from tests.given import AUDIENCE, GivenNetwork, at, create_network
from tests.shared import ROOT

PAGE = ROOT / "docs" / "pos-guide.md"
BLOCK = re.compile(r"(<!-- run: ([\w.-]+) -->\n```json\n)(.*?)(```\n)", re.DOTALL)
_DETAILS = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.RetryInfo,
    error_details_pb2.QuotaFailure,
    types_pb2.Answer,
)


def shown(message: Message) -> dict[str, Any]:
    """The fields that are set, as JSON has them, but bytes by their number, and what is packed or signed opened."""
    if message.DESCRIPTOR.full_name == "google.protobuf.Any":
        return _unpacked(message)
    return {field.name: _value(field, value) for field, value in message.ListFields()}


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(sorted(value.items()))
    return [_single(field, one) for one in value] if field.is_repeated else _single(field, value)


def _single(field: FieldDescriptor, value: Any) -> Any:
    if isinstance(value, offline_pb2.Event):
        return shown(value) | {"command": shown(points_pb2.Command.FromString(value.command))}
    if isinstance(value, types_pb2.SignedReceipt):
        opened = types_pb2.Receipt.FromString(value.receipt)
        return {"receipt": shown(opened), "signature": _bytes(value.signature), "key_id": value.key_id}
    if isinstance(value, Message):
        return shown(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    if isinstance(value, bytes):
        return _bytes(value)
    return str(value) if field.type == FieldDescriptor.TYPE_INT64 else value


def _bytes(value: bytes) -> str:
    return f"({len(value)} bytes)"


def _unpacked(packed: Any) -> dict[str, Any]:
    for kind in _DETAILS:
        if packed.Is(kind.DESCRIPTOR):
            detail = kind()
            packed.Unpack(detail)
            return {"@type": packed.type_url, **shown(detail)}
    raise AssertionError(packed.type_url)


class Story:
    """One day of a till: what it sends and what it gets, by name."""

    def __init__(self, network: GivenNetwork) -> None:
        self.blocks: dict[str, dict[str, Any]] = {}
        self.network = network

    def till(self, gateway: RunningGateway, *ears: grpc.UnaryUnaryClientInterceptor) -> Till:
        """By the network's clock; it does not wait between its attempts."""
        signer = signer_of(self.network, "acme")
        options = {"audience": AUDIENCE, "now": self.network.clock, "sleep": lambda _: None}
        channel = grpc.intercept_channel(grpc.insecure_channel(gateway.address), *ears)
        return Till(channel, signer, **options)  # type: ignore[arg-type]  # of a dict

    def queue(self) -> OfflineQueue:
        """The till's queue, by the same clock."""
        path = self.network.folder / "till-1.queue"
        return OfflineQueue(path, signer_of(self.network, "acme"), audience=AUDIENCE, now=self.network.clock)

    def book(self, name: str, till: Till, command: Booking) -> None:
        """Both messages of a command that is booked, with a receipt that verifies."""
        method, _ = BOOKINGS[type(command)]
        answer = till.call(method, command)
        till.verify(answer.answer.receipt)
        self.blocks[f"{name}.request"] = shown(command)
        self.blocks[f"{name}.answer"] = shown(answer)

    def ask(self, name: str, till: Till, method: Method[Any, Any], question: Message) -> None:
        """Both messages of a question."""
        self.blocks[f"{name}.request"] = shown(question)
        self.blocks[f"{name}.answer"] = shown(till.call(method, question))

    def status(self, name: str, gateway: RunningGateway, command: Booking) -> None:
        """The rich status of a command that is refused, as it comes over the wire."""
        method, _ = BOOKINGS[type(command)]
        signing = Signing(AUDIENCE, signer_of(self.network, "acme"), self.network.clock)
        try:
            method.on(SigningChannel(gateway.channel, signing))(command, timeout=5)
        except grpc.RpcError as error:
            trailing: Any = error.trailing_metadata()
            details = next(value for key, value in trailing if key == "grpc-status-details-bin")
            self.blocks[f"{name}.request"] = shown(command)
            self.blocks[f"{name}.status"] = shown(status_pb2.Status.FromString(details))
        else:
            raise AssertionError(f"{name}: was not refused")

    def raised(self, name: str, call: Callable[[], object]) -> None:
        """What the till raises, and what the cashier reads."""
        try:
            call()
        except (NoAnswer, Refused) as error:
            reason: dict[str, Any] = {"attempts": error.attempts} if isinstance(error, NoAnswer) else {"reason": error.reason}
            if isinstance(error, Refused) and error.facts.details:
                reason["details"] = dict(sorted(error.facts.details.items()))
            texts = {language: error.cashier_text(language).splitlines() for language in ("en", "de", "fr")}
            self.blocks[name] = {"raised": type(error).__name__, **reason, "cashier_text": texts}
        else:
            raise AssertionError(f"{name}: nothing was raised")


class Overheard(grpc.UnaryUnaryClientInterceptor):
    """Notes both messages of the calls that a till makes by itself, by the name of the block that shows them."""

    def __init__(self, story: Story, names: Mapping[str, tuple[Method[Any, Any], str]]) -> None:
        self._story = story
        self._names = names

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        """Hands the signed bytes on, and reads them."""
        call = continuation(client_call_details, request)
        if client_call_details.method in self._names:
            method, name = self._names[client_call_details.method]
            self._story.blocks[f"{name}.request"] = shown(method.request.FromString(request))
            self._story.blocks[f"{name}.answer"] = shown(call.result())
        return call


def run(folder: Path) -> Mapping[str, str]:
    """The blocks by name, as they stand in the page."""
    network = create_network(folder)
    network.onboard("acme", {"EUR": "1"})
    network.now_ms = at("2026-06-01", "17:04")
    story = Story(network)
    with RunningGateway(network) as gateway, story.till(gateway) as till:
        address = gateway.address
        _purchase(story, gateway, till)
        _refund(story, till)
    _outage(story, address)
    return {name: json.dumps(block, indent=2, ensure_ascii=False) + "\n" for name, block in story.blocks.items()}


def _purchase(story: Story, gateway: RunningGateway, till: Till) -> None:
    member, total = card("1234-5678"), amount("42.50 EUR")
    story.book("enrol", till, requests.enrol("1234-5678", key="till-1:2026-06-01:0041"))
    till.checkout(member, amount("600.00 EUR"), key="till-1:2026-06-01:0042")
    story.ask("quote", till, requests.QUOTE, requests_till.quote(member, total))
    too_much = requests_till.place_hold(member, 4_250, key="till-1:2026-06-01:0043/too-much")
    story.status("refused", gateway, too_much)
    story.raised("refused.raised", lambda: till.book(too_much))
    hold = requests_till.place_hold(member, amount("5.00 EUR"), key="till-1:2026-06-01:0043/hold", receipt_number="0043")
    story.book("hold", till, hold)
    sale = requests_till.checkout(
        member, total, key="till-1:2026-06-01:0043", hold_key="till-1:2026-06-01:0043/hold", receipt_number="0043"
    )
    story.book("checkout", till, sale)


def _refund(story: Story, till: Till) -> None:
    story.network.now_ms = at("2026-06-02", "10:31")
    sale, part = "till-1:2026-06-01:0043", amount("20.00 EUR")
    back = requests_till.refund(key="till-1:2026-06-02:0007", checkout_key=sale, part=part, receipt_number="0007")
    story.book("refund", till, back)
    more = requests_till.refund(key="till-1:2026-06-02:0008", checkout_key=sale, part=amount("42.50 EUR"))
    story.raised("refund.refused", lambda: till.book(more))


def _outage(story: Story, address: str) -> None:
    story.network.now_ms = at("2026-06-02", "18:20")
    sale = requests_till.checkout(card("1234-5678"), amount("12.00 EUR"), key="till-1:2026-06-02:0112", receipt_number="0112")
    with RunningGateway(story.network, listen=address) as gateway, story.till(gateway) as till:
        till.learn()
        gateway.stop()
        story.raised("outage.raised", lambda: till.book(sale))
    queue = story.queue()
    try:
        _queued(story, queue, sale)
        _caught_up(story, queue, address)
    finally:
        queue.close()
    with RunningGateway(story.network, listen=address) as gateway, story.till(gateway) as till:
        again = till.call(requests.CHECKOUT, sale)
        story.blocks["outage.again"] = {"replayed": again.answer.replayed, "server_time_ms": str(again.answer.server_time_ms)}
        story.raised("lookup.raised", lambda: till.get_entry(key="till-1:2026-06-02:0114"))


def _queued(story: Story, queue: OfflineQueue, sale: Booking) -> None:
    story.blocks["outage.queued"] = asdict(queue.append(sale))
    story.network.now_ms = at("2026-06-02", "18:26")
    stranger = requests_till.checkout(card("5678-1234"), amount("8.00 EUR"), key="till-1:2026-06-02:0113", receipt_number="0113")
    queue.append(stranger)
    by_points = requests_till.checkout(card("1234-5678"), amount("3.00 EUR"), points=300, key="till-1:2026-06-02:0114")
    try:
        queue.append(by_points)
    except NotOffline as error:
        story.blocks["outage.not_queued"] = {"raised": type(error).__name__, "text": str(error)}


def _caught_up(story: Story, queue: OfflineQueue, address: str) -> None:
    story.network.now_ms = at("2026-06-02", "18:55")
    ear = Overheard(
        story,
        {
            requests.GET_TERMINAL.path: (requests.GET_TERMINAL, "outage.terminal"),
            requests.SUBMIT_OFFLINE.path: (requests.SUBMIT_OFFLINE, "outage.submit"),
        },
    )
    with RunningGateway(story.network, listen=address) as gateway, story.till(gateway, ear) as till:
        story.blocks["outage.drained"] = asdict(queue.drain(till))


def filled(page: str, blocks: Mapping[str, str]) -> str:
    """The page with the blocks of a run. Raises KeyError for a mark that no run gives."""
    return BLOCK.sub(lambda found: found[1] + blocks[found[2]] + found[4], page)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(filled(PAGE.read_text("utf-8"), run(Path(folder) / "net")), "utf-8")
