"""A request to pay, for a partner that the operator does not debit: one HTML file that needs nothing else. Pure."""

from collections.abc import Sequence
from html import escape

from gateway.domain.bank import BankAccount
from gateway.domain.units import format_amount
from settlement.banking import Request, bank_name
from settlement.pain import Order, purpose

_BLOCK = 4


def payment_request(order: Order, debtor_id: str, debtor: BankAccount, requests: Sequence[Request]) -> bytes:
    """All that the partner is to transfer in this payment run. The reference tells the payee which instruction is paid."""
    title = f"Request to pay: window {order.window_id}, {debtor_id}"
    rows = "".join(_row(request) for request in requests)
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p>To <strong>{escape(debtor.holder)}</strong>. In the network {escape(order.audience)} you owe what is
listed here, net of what you are owed. Please transfer each amount, with its reference, by
<strong><time datetime="{order.due}">{order.due}</time></strong>.</p>
<div class="wide"><table>
<thead><tr><th scope="col">Pay to</th><th scope="col">IBAN</th><th scope="col" class="right">Amount</th>\
<th scope="col">Reference</th></tr></thead>
<tbody>
{rows}</tbody>
<tfoot>
{_totals(requests)}</tfoot>
</table></div>
<p>Your statement of this window says how the amount comes about. Purpose of the payment: {escape(purpose(order))}.</p>
</main>
</body>
</html>
"""
    return page.encode()


def _row(request: Request) -> str:
    one, account = request.instruction, request.account
    bank = f"<br>BIC {escape(account.bic)}" if account.bic else ""
    return (
        f"<tr><td>{escape(bank_name(account))}<br><small>{escape(one.creditor_id)}</small></td>"
        f"<td><code>{_grouped(account.iban)}</code>{bank}</td>"
        f'<td class="right">{format_amount(one.amount, one.currency)} {one.currency}</td>'
        f"<td><code>{escape(one.instruction_id)}</code></td></tr>\n"
    )


def _totals(requests: Sequence[Request]) -> str:
    """One for each currency: a sum over several would be none."""
    lines = []
    for currency in sorted({request.instruction.currency for request in requests}):
        total = sum(request.instruction.amount for request in requests if request.instruction.currency == currency)
        lines.append(
            f'<tr><th scope="row" colspan="2">In all</th><td class="right">{format_amount(total, currency)} {currency}</td>'
            "<td></td></tr>\n"
        )
    return "".join(lines)


def _grouped(iban: str) -> str:
    return " ".join(iban[start : start + _BLOCK] for start in range(0, len(iban), _BLOCK))


_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .5rem .75rem; border-bottom: 1px solid #8886; }
.right { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td:nth-child(2) { white-space: nowrap; }
@media print { main { max-width: none; padding: 0; } .wide { overflow: visible; } code { font-size: .8rem; } }
"""
