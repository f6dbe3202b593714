"""The papers as their readers see them: opened in a real browser, on a phone, on a desk, in the dark and on paper."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FloatRect

from settlement.papers.reconciliation_page import Compared, reconciliation_html
from settlement.papers.report_page import report_html
from settlement.reconciliation import Item, Line, MatchClass, Sums
from tests.given import GivenNetwork
from tests.settlement.browser import DESKTOP, MISSING, PHONE, SHEET, chromium, find_chromium, opened
from tests.settlement.coalitions import HOSTILE_NAME, coalition
from tests.settlement.night import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason=MISSING),
]

PAGES = ("operator.report.html", "alpha.html", "report-of-300.html", "reconciliation.html")
MEDIA = [("light", "screen"), ("dark", "screen"), ("dark", "print")]


COMPARED = Compared(
    audience="oracle.example",
    partner_id="alpha",
    name=HOSTILE_NAME,
    window=None,
    business_date="2026-06-30",
    file_lines=1_204,
    entries=1_207,
    file_sha256=bytes(32),
    items_sha256=bytes(32),
    items_name="alpha.reconciliation.2026-06-30.0123456789ab.csv",
)


def differing() -> Sums:
    """Of every class some, with keys and receipt numbers as long as they may be."""
    sums = Sums()
    for number, match_class in enumerate(list(MatchClass) * 3, start=1):
        theirs = Line("k" * 60, "reverse_redemption", 1_000_000 * number, "2026-06-30", HOSTILE_NAME[:64], number=number)
        ours = Line(f"sale-{number}", "issue", 12, "2026-06-29", "", entry_id=f"e{number}", window_id=7)
        is_here, is_there = match_class is not MatchClass.MISSING_HERE, match_class is not MatchClass.MISSING_AT_PARTNER
        sums.add(Item(match_class, ours if is_here else None, theirs if is_there else None, "the business dates differ"))
    return sums


@pytest.fixture(scope="module")
def papers(booked_month: GivenNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The month's papers, the report of a coalition of 300 partners, and a reconciliation in which much differs."""
    folder = tmp_path_factory.mktemp("papers")
    network = booked_month.copy(folder / "net")
    run(network.engine, folder / "out")
    network.engine.dispose()
    window = folder / "out" / "window-0001"
    (window / "report-of-300.html").write_bytes(report_html(coalition(300)))
    (window / "reconciliation.html").write_bytes(reconciliation_html(COMPARED, differing()))
    return window


@pytest.fixture(scope="module")
def browser(papers: Path) -> Iterator[Browser]:
    """One for the module, started when the papers are there."""
    assert papers.is_dir()
    with chromium() as started:
        yield started


@pytest.mark.parametrize("name", PAGES)
def test_a_browser_has_nothing_to_complain_about_and_asks_for_nothing(browser: Browser, papers: Path, name: str) -> None:
    """No error, nothing that the page's own policy blocks, no second file."""
    with opened(browser, papers / name, width=DESKTOP) as seen:
        assert seen.complaints == []
        assert seen.asked_for == [(papers / name).as_uri()]


@pytest.mark.parametrize("name", PAGES)
def test_the_policy_of_a_page_blocks_what_is_not_its_own(browser: Browser, papers: Path, tmp_path: Path, name: str) -> None:
    """Proved by a script and a picture that somebody slipped in."""
    slipped = '<script>document.title = "paid"</script><img src="https://example.invalid/x.png" alt="">'
    file = tmp_path / name
    file.write_text((papers / name).read_text("utf-8").replace("</body>", f"{slipped}</body>"), "utf-8")

    with opened(browser, file, width=DESKTOP) as seen:
        assert seen.page.title() != "paid"
        assert [text for text in seen.complaints if "Content Security Policy" in text]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("width", "medium"), [(PHONE, "screen"), (DESKTOP, "screen"), (SHEET, "print")])
def test_nothing_is_wider_than_its_medium(browser: Browser, papers: Path, name: str, width: int, medium: str) -> None:
    """Nobody scrolls sideways, and no printer cuts anything off."""
    with opened(browser, papers / name, width=width, medium=medium) as seen:
        assert seen.width() == width


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("scheme", "medium"), MEDIA)
def test_every_text_stands_out_from_what_is_behind_it(
    browser: Browser, papers: Path, name: str, scheme: str, medium: str
) -> None:
    """By at least 4.5 to 1, in the cells of the heat map as well."""
    with opened(browser, papers / name, width=DESKTOP, scheme=scheme, medium=medium) as seen:
        assert seen.too_pale() == []


@pytest.mark.parametrize(
    ("scheme", "medium", "background"),
    [("light", "screen", "rgb(255, 255, 255)"), ("dark", "screen", "rgb(18, 24, 31)"), ("dark", "print", "rgb(255, 255, 255)")],
)
def test_a_page_is_dark_where_its_reader_wants_it_and_white_on_paper(
    browser: Browser, papers: Path, scheme: str, medium: str, background: str
) -> None:
    """A printer saves ink, whatever the screen shows."""
    with opened(browser, papers / PAGES[0], width=DESKTOP, scheme=scheme, medium=medium) as seen:
        assert seen.background() == background


@pytest.mark.parametrize("name", PAGES)
def test_each_number_in_a_picture_stands_in_the_table_beside_it(browser: Browser, papers: Path, name: str) -> None:
    """Letter for letter; and each figure has numbers."""
    with opened(browser, papers / name, width=DESKTOP) as seen:
        figures = seen.figures()

    assert figures
    assert [figure["name"] for figure in figures if not figure["numbers"]] == []
    assert {figure["name"]: sorted(set(figure["numbers"]) - set(figure["cells"])) for figure in figures} == {
        figure["name"]: [] for figure in figures
    }


def test_a_hostile_name_is_shown_as_it_is_written(browser: Browser, papers: Path) -> None:
    """It neither runs nor breaks the page."""
    with opened(browser, papers / "report-of-300.html", width=DESKTOP) as seen:
        shown = seen.page.locator("td", has_text="alert").all_text_contents()

    assert shown == [HOSTILE_NAME]


@pytest.mark.parametrize("name", PAGES)
def test_pictures_are_made_for_whoever_looks_at_a_change(browser: Browser, papers: Path, tmp_path: Path, name: str) -> None:
    """On a phone, on a desk, in the dark and on paper. TALLYSTICK_SCREENSHOTS names a folder that keeps them."""
    folder = Path(os.environ.get("TALLYSTICK_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    for kind, width, scheme in (("phone", PHONE, "light"), ("desk", DESKTOP, "light"), ("dark", DESKTOP, "dark")):
        with opened(browser, papers / name, width=width, scheme=scheme) as seen:
            # A browser cannot draw more at once; what is below is tables.
            height = min(8_000, int(seen.page.evaluate("document.documentElement.scrollHeight")))
            clip = FloatRect(x=0, y=0, width=width, height=height)
            seen.page.screenshot(path=folder / f"{name}.{kind}.png", full_page=True, clip=clip)
    with opened(browser, papers / name, width=DESKTOP) as seen:
        seen.page.pdf(path=folder / f"{name}.pdf", format="A4", print_background=True)

    assert sorted(path.name for path in folder.glob(f"{name}.*")) == [
        f"{name}.{kind}" for kind in ("dark.png", "desk.png", "pdf", "phone.png")
    ]
