"""The vendors' page of the sandbox, made from its table: `tallystick sandbox --page` prints it, a test compares it."""

from gateway.sandbox import AUDIENCE, MEMBERS, OFFLINE, PARTNERS, published_key

_HEAD = f"""\
# A sandbox for vendors

<!-- Made by 'tallystick sandbox --page' from gateway/sandbox.py: change it there. -->

One command makes a network to try a till against, and serves it; a second one, in another terminal, uses it.

```console
tallystick sandbox
tallystick pos balance --profile sandbox/partners/meadow.toml --card SANDBOX-RICH
```

Or from Python, with the same profile:

```python
from partners.pos import Till, amount, card

with Till.open("sandbox/partners/meadow.toml") as till:
    sale = till.checkout(card("SANDBOX-LOST-ANSWER"), amount("42.50 EUR"), key="sale-0001")
    print(f"{{sale.points}} points; the answer was lost, and came at the second attempt: {{sale.is_replayed}}")
```

It is a network like any other: TLS with a development CA (`sandbox/net/tls/ca.pem`), signed requests, signed receipts, books
that `tallystick --config sandbox/net/tallystick.toml audit --full` proves. Its audience is `{AUDIENCE}`, so no receipt of it can
be taken for one of a real network, and no request that was signed for it holds anywhere else. Its two operators, `ada` and
`bob`, have their keys in `sandbox/operators`: take in partners of your own with them as [operations.md](operations.md) says.
Reasons, and what the cashier should read, are in [errors.md](errors.md).

Your till is judged here, too: `tallystick --config sandbox/net/tallystick.toml partners conformance start meadow`; let it sell,
repeat, correct a clock that you set wrong (the card SANDBOX-CLOCK alone does not show that), refund, and catch up after an
outage; then the same with `show` instead of `start` says what is missing.

`tallystick sandbox DIR` uses another folder; a folder that holds anything else is refused. To begin anew, remove the folder.

## Members

By card, or by the member id, which is the same in each sandbox. What a card does, it does for every partner, also for yours.
Points and debts stand in the books, and are brought back to what the table says before each command that names the member.
They cannot be merged, erased or lose their card: MEMBER_NOT_FOUND.
Once means: at the first attempt of each idempotency key.

| card | member id | what the gateway does | what the till must do |
|---|---|---|---|
"""

_OFFLINE = """
## Catching up after an outage

Cut your till's network, sell, and let it catch up: `SubmitOffline` meets the cards, too. Events are kept before the first of
them is booked, and a call fails as a whole where one of its commands has no answer yet.

| an event | what the gateway does | what the till must do |
|---|---|---|
"""

_PARTNERS = """
## Partners

Their keys are published and prove nothing: each sandbox has the same ones, and no other network takes them. Beside each
profile lies the key, as PKCS #8 PEM.

| partner | key id | public key (Ed25519) | secret seed | what the gateway does | what the till must do |
|---|---|---|---|---|---|
"""


def sandbox_page() -> str:
    """Markdown."""
    members = "".join(f"| `{one.card}` | `{one.member_id}` | {one.does} | {one.till} |\n" for one in MEMBERS)
    partners = ""
    for one in PARTNERS:
        if one.is_published:
            key = published_key(one.partner_id)
            public, secret = key.public_key().public_bytes_raw().hex(), key.private_bytes_raw().hex()
            partners += f"| `{one.partner_id}` | `{one.key_id}` | `{public}` | `{secret}` | {one.does} | {one.till} |\n"
    offline = "".join(f"| {one.event} | {one.does} | {one.till} |\n" for one in OFFLINE)
    return _HEAD + members + _OFFLINE + offline + _PARTNERS + partners
