"""What the command of an event says by itself, for whoever proves the books. Knows nothing of calls."""

from google.protobuf.message import DecodeError

from gateway.domain.ids import IDEMPOTENCY_KEY, entry_id
from tallystick.v1 import points_pb2


def entry_of_event(partner_id: str, command: bytes) -> str:
    """The id of the entry that an event's command books; empty if it names no key, so that nothing is ever booked of it."""
    try:
        message = points_pb2.Command.FromString(command)
    except DecodeError:
        return ""
    field = message.WhichOneof("command")
    key: str = getattr(message, field).idempotency_key if field is not None else ""
    return entry_id(partner_id, key) if IDEMPOTENCY_KEY.fullmatch(key) is not None else ""
