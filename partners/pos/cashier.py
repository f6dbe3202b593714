"""What a cashier reads: plain files of texts by language, one text a reason. Another language is another file beside them."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

LANGUAGE = "en"
OTHER = "OTHER"
"""The text for a reason that a file does not have: the gateway may be newer than the till."""

_FOLDER = files("partners.pos").joinpath("texts")


def languages() -> tuple[str, ...]:
    """Those that there are files of."""
    return tuple(sorted(file.name.removesuffix(".toml") for file in _FOLDER.iterdir() if file.name.endswith(".toml")))


def cashier_text(reason: str, language: str = LANGUAGE) -> str:
    """Up to three lines of at most 40 characters, in a language such as "de" or "de-AT"; in English where there is no other."""
    texts = texts_in(_known(language))
    return texts.get(reason) or texts[OTHER]


@cache
def texts_in(language: str) -> Mapping[str, str]:
    """All texts of a language that there is a file of, by reason."""
    content: dict[str, str] = tomllib.loads(_FOLDER.joinpath(f"{language}.toml").read_text("utf-8"))
    return content


@cache
def _known(language: str) -> str:
    base = language.replace("_", "-").partition("-")[0].lower()
    return base if base in languages() else LANGUAGE
