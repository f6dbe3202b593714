"""What a partner runs: signing channel, client, receipt check. Needs no database.

    from partners.pos import Till, amount, card

A name is loaded when it is first asked for: whoever wants one command of `tallystick pos` does not wait for all of gRPC.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partners.pos.answers import Booked
    from partners.pos.attempts import RetryPolicy
    from partners.pos.channel import AsyncSigningChannel, Signer, SigningChannel
    from partners.pos.errors import (
        NoAnswer,
        NotOffline,
        PosError,
        ProfileError,
        QueueDiverged,
        QueueError,
        QueueFull,
        ReceiptError,
        Refused,
    )
    from partners.pos.offline_queue import Drained, OfflineQueue, Queued
    from partners.pos.profile import Profile
    from partners.pos.receipts import ReceiptKeys
    from partners.pos.requests import amount, card, member
    from partners.pos.requests_till import basket_line, returned_line
    from partners.pos.till import AsyncTill, Till

__all__ = [
    "AsyncSigningChannel", "AsyncTill", "Booked", "Drained", "NoAnswer", "NotOffline", "OfflineQueue", "PosError",
    "Profile", "ProfileError", "QueueDiverged", "QueueError", "QueueFull", "Queued", "ReceiptError", "ReceiptKeys",
    "Refused", "RetryPolicy", "Signer", "SigningChannel", "Till", "amount", "basket_line", "card", "member",
    "returned_line",
]  # fmt: skip

_MODULES = {
    "answers": ("Booked",),
    "attempts": ("RetryPolicy",),
    "channel": ("AsyncSigningChannel", "Signer", "SigningChannel"),
    "errors": (
        "NoAnswer",
        "NotOffline",
        "PosError",
        "ProfileError",
        "QueueDiverged",
        "QueueError",
        "QueueFull",
        "ReceiptError",
        "Refused",
    ),
    "offline_queue": ("Drained", "OfflineQueue", "Queued"),
    "profile": ("Profile",),
    "receipts": ("ReceiptKeys",),
    "requests": ("amount", "card", "member"),
    "requests_till": ("basket_line", "returned_line"),
    "till": ("AsyncTill", "Till"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Loads a public name. Raises AttributeError for any other."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
