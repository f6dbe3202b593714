"""The Chromium of the machine, which opens the papers as their readers do."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MISSING = "THE PAPERS ARE OPENED IN NO BROWSER: there is no Chromium; install chromium, or name one in CHROMIUM"
PHONE = 360
DESKTOP = 1280
SHEET = 680  # the width of A4 between its margins

# Text and what lies behind it, with the contrast between both as WCAG reckons it, where that is below 4.5.
_TOO_PALE = """() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const channel = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = element => {
    const box = element.closest('.map-cell')?.querySelector('rect');
    if (box) return rgb(getComputedStyle(box).fill);
    for (let one = element; one; one = one.parentElement) {
      const colour = rgb(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].filter(node => node.nodeType === 3).map(node => node.data).join('').trim();
    if (!text || element.closest('title, desc') || getComputedStyle(element).display === 'none') continue;
    const style = getComputedStyle(element);
    const one = light(rgb(element instanceof SVGElement ? style.fill : style.color)), other = light(behind(element));
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) found.push(`${text.slice(0, 40)}: ${contrast.toFixed(2)}`);
  }
  return found;
}"""

# For each figure: its numbers in pictures, and the cells of its table.
_FIGURES = """() => [...document.querySelectorAll('.figure')].map(figure => ({
  name: figure.id,
  numbers: [...figure.querySelectorAll('svg .number')].map(text => text.textContent),
  cells: [...figure.querySelectorAll('td')].map(cell => cell.textContent),
}))"""


@dataclass(frozen=True, slots=True)
class Opened:
    """A page that is open, and what the browser had to say of it."""

    page: "Page"
    complaints: Sequence[str]
    asked_for: Sequence[str]

    def width(self) -> int:
        """How wide its content is, in CSS pixels."""
        return int(self.page.evaluate("document.documentElement.scrollWidth"))

    def too_pale(self) -> list[str]:
        """Texts with a contrast below 4.5."""
        return list(self.page.evaluate(_TOO_PALE))

    def figures(self) -> list[dict[str, Any]]:
        """Each figure's name, the numbers in its pictures, and the cells of its table."""
        return list(self.page.evaluate(_FIGURES))

    def background(self) -> str:
        """Of the page, as CSS says it."""
        return str(self.page.evaluate("getComputedStyle(document.body).backgroundColor"))


def find_chromium() -> str | None:
    """The program, or None."""
    named = os.environ.get("CHROMIUM")
    return named or next((found for name in _NAMES if (found := shutil.which(name))), None)


def describe() -> str:
    """For the header of a run."""
    found = find_chromium()
    return f"browser for the papers: {found}" if found else MISSING


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A browser without a window. While it runs, this thread has an event loop: no test beside it may run another."""
    from playwright.sync_api import sync_playwright  # the header of every run asks this module, and needs no driver

    with sync_playwright() as started:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = started.chromium.launch(executable_path=find_chromium(), args=arguments)
        yield browser
        browser.close()


@contextmanager
def opened(browser: "Browser", file: Path, *, width: int, scheme: str = "light", medium: str = "screen") -> Iterator[Opened]:
    """Opens a file as a reader does: `scheme` light or dark, `medium` screen or print."""
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", media="print" if medium == "print" else "screen")
    complaints: list[str] = []
    asked_for: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked_for.append(request.url))
    page.goto(file.as_uri())
    yield Opened(page, complaints, asked_for)
    context.close()
