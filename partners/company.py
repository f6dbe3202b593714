"""Facts about a company that can be checked without asking anybody: VAT id, currency.

Pure. Says that a number is well formed, not that it is this company's.
"""

import re

from gateway.domain.errors import InvalidValue
from gateway.domain.units import is_currency

# Forms of the European VAT Information Exchange System; other countries by a loose rule.
_VAT_FORMS = {
    "AT": r"U[0-9]{8}",
    "BE": r"[01][0-9]{9}",
    "CZ": r"[0-9]{8,10}",
    "DE": r"[0-9]{9}",
    "DK": r"[0-9]{8}",
    "ES": r"[A-Z0-9][0-9]{7}[A-Z0-9]",
    "FR": r"[A-Z0-9]{2}[0-9]{9}",
    "GB": r"[0-9]{9}([0-9]{3})?",
    "IE": r"[0-9][A-Z0-9+*][0-9]{5}[A-Z]{1,2}",
    "IT": r"[0-9]{11}",
    "LU": r"[0-9]{8}",
    "NL": r"[A-Z0-9+*]{10}[0-9]{2}",
    "PL": r"[0-9]{10}",
    "PT": r"[0-9]{9}",
    "SE": r"[0-9]{12}",
}
_VAT_ID = re.compile(r"([A-Z]{2})([A-Z0-9+*]{2,13})")


def check_vat_id(text: str) -> str:
    """The VAT id without spaces, or empty for who has none; raises InvalidValue unless it has its country's form."""
    vat_id = text.replace(" ", "")
    if not vat_id:
        return vat_id
    match = _VAT_ID.fullmatch(vat_id)
    if match is None or re.fullmatch(_VAT_FORMS.get(match[1], ".*"), match[2]) is None:
        raise InvalidValue(f"VAT id {text!r}: must be the country's two letters and its number, such as DE123456789")
    return vat_id


def check_currency(text: str) -> str:
    """Returns the code; raises InvalidValue unless ISO 4217 knows it."""
    if not is_currency(text):
        raise InvalidValue(f"currency {text!r}: must be an ISO 4217 code such as EUR")
    return text
