"""The canonical form: golden bytes that every version of the gateway must make."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.canonical import Plain, canonical, canonical_hash

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ({"b": 1, "a": {"d": [], "c": None}}, b'{"a":{"c":null,"d":[]},"b":1}'),
        (["TS1", 0, -1, True, False], b'["TS1",0,-1,true,false]'),
        ((1, 2), b"[1,2]"),
        ("Ünïcode \U0001f642", rb'"\u00dcn\u00efcode \ud83d\ude42"'),
        ('"\\/\b\f\n\r\t\x00\x7f', b'"\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u007f"'),
        (2**63 - 1, b"9223372036854775807"),
        ({}, b"{}"),
        ("", b'""'),
    ],
)
def test_the_canonical_form_never_changes(value: Plain, form: bytes) -> None:
    """Sorted keys, no spaces, ASCII, lower-case escapes."""
    assert canonical(value) == form


def test_the_canonical_hash_never_changes() -> None:
    """SHA-256 of the form."""
    assert canonical_hash({"b": 1, "a": 2}).hex() == "d3626ac30a87e6f7a6428233b3c68299976865fa5508e4267c5415c76af7a772"


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_keys_makes_no_difference(value: dict[str, int]) -> None:
    """However the mapping was built."""
    turned = dict(reversed(value.items()))

    assert canonical(turned) == canonical(value)


@given(PLAIN)
def test_the_canonical_form_is_json_of_the_same_value(value: Plain) -> None:
    """So that nothing is lost, and two values never share a form."""
    assert json.loads(canonical(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": {1, 2}}, b"bytes"])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    """Loudly, since only a bug brings it here."""
    with pytest.raises((TypeError, ValueError)):
        canonical(value)  # type: ignore[arg-type]  # the types refuse it as well


@given(PLAIN | st.text(alphabet='\x7f\x1fé\u2028\ud800"\\a'))
def test_the_quick_way_makes_the_bytes_of_the_standard_library(value: Plain) -> None:
    """Which defines the form: also beyond 64 bits, beyond ASCII, and for half a character."""
    by_the_book = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    assert canonical(value) == by_the_book.encode("ascii")
