"""What the papers say, before any browser sees them: numbers, names, folding, the page's policy."""

import base64
import hashlib
import re
from dataclasses import replace
from itertools import product

import pytest
from markupsafe import escape

from gateway.domain.units import CURRENCY_EXPONENTS
from settlement.obligation import Obligation
from settlement.papers.flows import flows
from settlement.papers.folding import REST, fold, sides, summed
from settlement.papers.heat_map import heat_map
from settlement.papers.report_page import report_html
from settlement.papers.svg import label, scaled, shortened
from settlement.papers.words import MODELS, exact, money, price, reason_to
from tests.settlement.coalitions import HOSTILE_NAME, coalition, partner_id

_CELL = re.compile(r"<td[^>]*>([^<]*)</td>")


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (0, "EUR", "0.00"),
        (5, "EUR", "0.05"),
        (-5, "EUR", "-0.05"),
        (100_000, "EUR", "1,000.00"),
        (-123_456_789, "EUR", "-1,234,567.89"),
        (1_234, "JPY", "1,234"),
        (1_234, "BHD", "1.234"),
        (9_007_199_254_740_993, "EUR", "90,071,992,547,409.93"),
    ],
)
def test_money_is_written_exactly_with_the_decimals_of_its_currency(amount: int, currency: str, text: str) -> None:
    """Also beyond what a float holds."""
    assert money(amount, currency) == text


@pytest.mark.parametrize(
    ("micros", "currency", "text"),
    [(900_000, "EUR", "0.009"), (1_000_000, "JPY", "1"), (1, "BHD", "0.000000001"), (123_456_000_000, "EUR", "1,234.56")],
)
def test_a_price_is_written_exactly_in_the_major_unit(micros: int, currency: str, text: str) -> None:
    """Without needless zeros."""
    assert price(micros, currency) == text


def test_an_exact_amount_has_more_decimals_only_where_it_needs_them() -> None:
    """Whole minor units look like money."""
    assert (exact(144_000_000, "EUR"), exact(787_500_000, "EUR"), exact(787_600_001, "EUR")) == ("1.44", "7.875", "7.87600001")


def test_a_name_from_a_partner_cannot_leave_its_place_in_a_picture() -> None:
    """Escaped where it is written."""
    assert "<script>" not in label(0, 0, HOSTILE_NAME, "name")
    assert "<script>" not in label(0, 0, "text", f'"{HOSTILE_NAME}')


def test_a_hostile_name_is_escaped_in_the_page() -> None:
    """And none of a template's own words are carried out."""
    page = report_html(coalition(3)).decode()

    assert "<script" not in page
    assert "<img" not in page
    assert "{{ 7 * 7 }}" in page


@pytest.mark.parametrize("partners", [2, 300])
def test_a_page_needs_nothing_but_itself(partners: int) -> None:
    """No script, no address of anything, no style in attributes; its policy allows its own style and nothing else."""
    page = report_html(coalition(partners)).decode().replace(escape(HOSTILE_NAME), "")
    style = page.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert not re.search(r"""<script|<link|<iframe|\son\w+=|\sstyle=|\ssrc=|\shref=|url\(|@import""", page)
    assert f"default-src 'none'; style-src 'sha256-{digest}'".replace("'", "&#39;") in page


@pytest.mark.parametrize("currency", ["EUR", "JPY", "BHD"])
def test_the_report_is_the_same_bytes_each_time_in_whatever_order_partners_come(currency: str) -> None:
    """Nothing in it comes from a clock or a hash's order."""
    facts = coalition(40, currency=currency)
    turned = replace(facts, names=dict(reversed(list(facts.names.items()))), movements=list(reversed(facts.movements)))

    assert report_html(facts) == report_html(turned) == report_html(facts)


def test_a_coalition_of_300_is_folded_and_says_so() -> None:
    """Its sums are those of all; the page names how many others there are."""
    facts = coalition(300)
    page = report_html(facts).decode()
    gross = sum(line.amount for line in facts.obligations if not line.is_own)

    assert "294 others" in page
    assert "the other 294 are summed up" in page
    assert _CELL.findall(page).count(money(gross, "EUR")) >= 5
    assert all(partner_id(number) in page for number in range(300))


def test_folding_keeps_every_amount() -> None:
    """Whatever is named, pairs sum to the same."""
    amounts = {(f"p{a}", f"p{b}"): 100 * a + b + 1 for a, b in product(range(12), repeat=2) if a != b}
    sizes = sides(amounts)[0] + sides(amounts)[1]

    for most in range(1, 13):
        folded = fold(sizes, most=most)
        assert sum(folded.pairs(amounts).values()) == sum(amounts.values())


def test_a_rest_of_one_is_named() -> None:
    """A row for it costs no more than a row for the rest."""
    sizes = {f"p{number}": 10 - number for number in range(4)}

    assert fold(sizes, most=3).shown == ("p0", "p1", "p2", "p3")
    assert fold(sizes, most=2).shown == ("p0", "p1", REST)


def test_what_partners_owe_themselves_is_in_no_picture() -> None:
    """Nor is a debt of nothing."""
    assert summed([("a", "a", 5), ("a", "b", 0), ("a", "b", 3), ("a", "b", 4)]) == {("a", "b"): 7}


def test_bands_are_as_wide_as_the_bars_at_their_ends() -> None:
    """Their places come from running sums, so no rounding opens a gap."""
    amounts = {("a", f"b{number}"): 33 for number in range(3)}
    folded = fold(sides(amounts)[0] + sides(amounts)[1], most=6)
    picture = flows("x", folded, amounts, "EUR", title="t", total=99, tallest=99)
    tops = [int(top) for top in re.findall(r'd="M110 (\d+)C', picture)]

    assert tops == [30, 80, 130]
    assert '<rect class="pays" x="104" y="30" width="6" height="150"/>' in picture


def test_the_largest_debt_has_the_deepest_shade_and_sums_of_others_have_none() -> None:
    """Else the sum of hundreds would make all single debts pale."""
    amounts = {("a", "b"): 600, ("b", "a"): 100, ("a", REST): 90_000}
    folded = replace(fold({"a": 3, "b": 2}, most=2), others=7)
    picture = heat_map("x", folded, amounts, "EUR")

    shades = dict(re.findall(r"shade-(\d)\"><rect[^>]*/><text[^>]*>([\d,.]+)<", picture))
    assert shades == {"6": "6.00", "1": "1.00", "0": "900.00"}


@pytest.mark.parametrize(("value", "length"), [(-1, 0), (0, 0), (1, 1), (5, 2), (15, 8), (100, 50)])
def test_a_bar_is_rounded_half_to_even_and_never_vanishes(value: int, length: int) -> None:
    """Where there is anything at all, there is something to see."""
    assert scaled(value, maximum=100, length=50) == length


def test_a_long_name_keeps_its_ends() -> None:
    """Names of one family differ there."""
    assert (shortened("shop-berlin", 11), shortened("shop-berlin-0042", 12)) == ("shop-berlin", "shop-be…0042")


def test_every_model_says_who_pays_whom() -> None:
    """The report explains itself under each of them."""
    assert all(escape(MODELS[model]) in report_html(replace(coalition(3), model=model)).decode() for model in MODELS)


def test_a_kind_that_the_words_do_not_know_says_its_own_name() -> None:
    """A line is never silent."""
    assert reason_to("a", kind="some_new_kind", payer_id="a", payee_id="b") == "Some new kind"


def test_a_window_without_debts_says_so() -> None:
    """Nobody has to guess what an empty page means."""
    facts = replace(coalition(2), obligations=[], positions=[], instructions=[], movements=[], liability={}, windows=[])

    assert b"Nobody owes anybody anything." in report_html(facts)


def test_nets_that_wait_for_a_payment_run_are_not_called_payments() -> None:
    """A window of a monthly term has none of its own."""
    page = report_html(replace(coalition(5), instructions=[])).decode()

    assert "No payment is due in EUR yet" in page


def test_each_currency_has_its_own_part() -> None:
    """Amounts of two currencies are never added."""
    facts = coalition(3)
    other = [replace(line, currency="JPY") for line in facts.obligations]
    page = report_html(replace(facts, obligations=[*facts.obligations, *other])).decode()

    assert all(f"Every party, in {currency}" in page for currency in ("EUR", "JPY"))


def test_all_currencies_are_written_with_their_decimals() -> None:
    """As ISO 4217 has them."""
    assert {len(money(1, currency).partition(".")[2]) for currency in CURRENCY_EXPONENTS} == {0, 2, 3}


def test_the_largest_payers_and_receivers_are_explained() -> None:
    """What a party owes less what it is owed is what it pays."""
    facts = replace(coalition(2), obligations=[_line("alpha", "bravo", 560), _line("bravo", "alpha", 144)])
    facts = replace(facts, positions=[replace(facts.positions[0], party_id="alpha", amount=-416)])

    assert b"alpha pays 4.16 EUR: it owes 5.60 and is owed 1.44." in report_html(facts)


def _line(payer_id: str, payee_id: str, amount: int) -> Obligation:
    return Obligation(payer_id, payee_id, "redemption", 1, "EUR", amount, amount * 10**6, amount)
