"""A partner's own record: what is of its form is read, and everything else is named by its line."""

import pytest

from gateway.domain.units import POINTS_MAX
from settlement.partner_file import KINDS, LINE_BYTES_MAX, LineError, PartnerLine, read_record

HEADER = "idempotency_key,kind,points,business_date,receipt_number"
LINE = "k1,issue,600,2026-06-01,R-17"
READ = PartnerLine(2, "k1", "issue", 600, "2026-06-01", "R-17")
OBJECT = '{"idempotency_key":"k1","kind":"issue","points":600,"business_date":"2026-06-01","receipt_number":"R-17"}'


def read(text: str | bytes, *, piece: int = 1_000_000) -> list[PartnerLine | LineError]:
    """A record that comes in pieces of so many bytes."""
    data = text.encode() if isinstance(text, str) else text
    return list(read_record(data[start : start + piece] for start in range(0, len(data), piece)))


def error(text: str | bytes) -> LineError:
    """The only error of a record."""
    errors = [one for one in read(text) if isinstance(one, LineError)]
    assert len(errors) == 1, errors
    return errors[0]


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n{LINE}\n",
        f"{HEADER}\n{LINE}",
        f"{HEADER}\r\n{LINE}\r\n",
        f"\ufeff{HEADER}\r\n{LINE}\r\n",
        f"{HEADER}\n\n{LINE}\n".replace("\n\n", "\n"),
        f'{HEADER}\n"k1","issue","600","2026-06-01","R-17"\n',
        f"{HEADER};store\n{LINE};5\n".replace(",", ";"),
        "kind,points,note,receipt_number,business_date,idempotency_key\nissue,600,=1+1,R-17,2026-06-01,k1\n",
    ],
    ids=["plain", "no end", "CRLF", "BOM", "one line", "quotes", "semicolons", "other order and further columns"],
)
def test_csv_is_read_as_spreadsheets_write_it(text: str) -> None:
    """The same line, however it is dressed."""
    assert read(text) == [READ]


@pytest.mark.parametrize("piece", [1, 2, 7, 64])
def test_pieces_of_any_size_make_the_same_lines(piece: int) -> None:
    """A chunk ends where it ends, also between CR and LF."""
    assert read(f"\ufeff{HEADER}\r\n{LINE}\r\n\r\n{LINE}\r\n", piece=piece) == [
        READ,
        PartnerLine(4, "k1", "issue", 600, "2026-06-01", "R-17"),
    ]


def test_json_lines_are_read_and_further_fields_passed_over() -> None:
    """The first character tells them from CSV."""
    other = OBJECT.replace("R-17", "R-18").replace("}", ',"store":{"id":5}}')

    assert read(f"{OBJECT}\n{other}\n") == [
        PartnerLine(1, "k1", "issue", 600, "2026-06-01", "R-17"),
        PartnerLine(2, "k1", "issue", 600, "2026-06-01", "R-18"),
    ]


def test_a_receipt_number_may_be_left_out() -> None:
    """Not every till prints one."""
    assert read("idempotency_key,kind,points,business_date\nk1,issue,600,2026-06-01\n") == [
        PartnerLine(2, "k1", "issue", 600, "2026-06-01", "")
    ]


def test_a_record_of_a_day_without_events_is_a_header_alone() -> None:
    """Which is no error."""
    assert read(f"{HEADER}\n") == []


def test_all_that_a_partner_may_book_has_a_word() -> None:
    """Numbers of kinds are the gateway's affair."""
    text = HEADER + "".join(f"\nk1,{word},1,2026-06-01," for word in KINDS)

    assert [line.kind for line in read(text) if isinstance(line, PartnerLine)] == list(KINDS)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"", "no header"),
        (b"\n" + LINE.encode(), "no header"),
        (f"{HEADER}\n{LINE}\n".encode("utf-16"), "save it as UTF-8"),
        (f"{HEADER}\n{LINE}\n".encode("utf-16-le"), "save it as UTF-8"),
        (b"PK\x03\x04\x14\0\x06\0", "no text at all"),
        (HEADER.replace("points", "kind").encode(), "stand twice: 'kind'"),
        (f"{HEADER},points\n".encode(), "stand twice: 'points'"),
        (HEADER.replace("points", "Points").encode(), "missing: points"),
        (LINE.encode(), "missing: idempotency_key, kind, points, business_date"),
        (b'"idempotency_key,kind', "quotes that are not closed"),
        (b"x" * 10_000, f"longer than {LINE_BYTES_MAX} bytes"),
        (HEADER.encode("cp1252") + b",\xfc\n", "is not UTF-8"),
    ],
)
def test_a_header_that_is_wrong_is_the_only_error(text: bytes, what: str) -> None:
    """Nothing behind it can be read."""
    found = read(text)

    assert [one.number for one in found if isinstance(one, LineError)] == [1]
    assert len(found) == 1
    assert what in str(found[0])


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("k1,issue,600,2026-06-01", "4 columns instead of 5"),
        ("k1,issue,600,2026-06-01,R,17", "6 columns instead of 5"),
        ('k1,issue,600,2026-06-01,"R-17', "quotes that are not closed"),
        ('k1,issue,600,2026-06-01,"R"17', "quotes"),
        (",issue,600,2026-06-01,R-17", "idempotency_key ''"),
        ("=cmd|'/c calc'!A0,issue,600,2026-06-01,R-17", "idempotency_key"),
        ("k" * 65 + ",issue,600,2026-06-01,R-17", "idempotency_key"),
        ("k1,ISSUE,600,2026-06-01,R-17", "kind 'ISSUE': must be one of issue, redeem"),
        ("k1,enrol,600,2026-06-01,R-17", "kind 'enrol'"),
        ("k1,issue,600.0,2026-06-01,R-17", "points '600.0': must be an integer"),
        ('k1,issue,"600,0",2026-06-01,R-17', "points '600,0'"),
        ("k1,issue,6e2,2026-06-01,R-17", "points '6e2'"),
        ("k1,issue,-600,2026-06-01,R-17", "points '-600'"),
        ("k1,issue,+600,2026-06-01,R-17", "points '+600'"),
        ("k1,issue, 600,2026-06-01,R-17", "points ' 600'"),
        ("k1,issue,0600,2026-06-01,R-17", "points '0600'"),
        ("k1,issue,=300+300,2026-06-01,R-17", "points '=300+300'"),
        ("k1,issue,\u0666\u0660\u0660,2026-06-01,R-17", "points"),
        (f"k1,issue,{POINTS_MAX + 1},2026-06-01,R-17", "points"),
        ("k1,issue," + "9" * 400 + ",2026-06-01,R-17", "points"),
        ("k1,issue,600,01.06.2026,R-17", "business_date '01.06.2026'"),
        ("k1,issue,600,2026-06-31,R-17", "business_date"),
        ("k1,issue,600,20260601,R-17", "business_date"),
        ("k1,issue,600,2026-W23-1,R-17", "business_date"),
        ("k1,issue,600,2026-06-01," + "R" * 65, "receipt_number"),
        ("k1,issue,600,2026-06-01,R\x1f17", "receipt_number"),
        ("k1,issue,600,2026-06-01,R\u202e17", "receipt_number"),
        ("k1,issue,600,2026-06-01," + "R" * 5_000, f"longer than {LINE_BYTES_MAX} bytes"),
    ],
)
def test_a_line_that_is_wrong_is_named_by_its_number(line: str, what: str) -> None:
    """Lines before and behind it are read."""
    text = f"{HEADER}\n{LINE}\n{line}\n{LINE}\n"

    assert error(text).number == 3
    assert what in error(text).what
    assert len(read(text)) == 3


def test_a_line_of_another_encoding_is_named_by_its_byte() -> None:
    """Windows writes an umlaut as one byte."""
    assert error(f"{HEADER}\n{LINE}ü\n".encode("cp1252")) == LineError(2, "byte 29 is not UTF-8: save the file as UTF-8")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (OBJECT.replace("600", '"600"'), "points: must be an integer, without quotes"),
        (OBJECT.replace("600", "600.0"), "points: must be an integer"),
        (OBJECT.replace("600", "6e2"), "points: must be an integer"),
        (OBJECT.replace("600", "true"), "points: must be an integer"),
        (OBJECT.replace("600", "null"), "points: must be an integer"),
        (OBJECT.replace("600", "NaN"), "not a JSON object"),
        (OBJECT.replace("600", "9" * 30), "points"),
        (OBJECT.replace("600", "-1"), "points '-1'"),
        (OBJECT.replace('"k1"', "1"), "idempotency_key '1'"),
        (OBJECT.replace('"issue"', '["issue"]'), "kind"),
        (OBJECT.replace('"R-17"', "17"), "receipt_number '17'"),
        (OBJECT.replace('"R-17"', '"\\ud800"'), "receipt_number"),
        (OBJECT.replace('"kind"', '"points"'), "a field stands twice"),
        (OBJECT.replace('"kind":"issue",', ""), "fields that are missing: kind"),
        (OBJECT[:-1], "not a JSON object"),
        (f"[{OBJECT}]", "not a JSON object"),
        ("[" * 3_000, "not a JSON object"),
        (LINE, "not a JSON object"),
    ],
)
def test_an_object_that_is_wrong_is_named_by_its_number(line: str, what: str) -> None:
    """Numbers are numbers, texts are texts."""
    found = error(f"{OBJECT}\n{line}\n")

    assert found.number == 2
    assert what in found.what


def test_an_error_repeats_little_of_what_was_sent() -> None:
    """It goes into logs and onto terminals, whatever the line held."""
    found = error(f"{HEADER}\n{LINE}\n\x1b[2J{'x' * 2_000},issue,600,2026-06-01,R-17\n")

    assert len(found.what) < 150
    assert found.what.isascii()
    assert found.what.isprintable()
