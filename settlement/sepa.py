"""What SEPA asks of a payment: its letters, its countries, its business days. Pure.

Letters: EPC217-08, "SEPA Requirements for an Extended Character Set (UNICODE Subset) - Best Practices" of the European Payments
Council. Without an agreement with the bank only its basic set may be sent; other letters become their nearest, and what has
none becomes a full stop.
"""

import unicodedata

NAME_MAX = 70
TEXT_MAX = 140

_BASIC = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-?:().,'+ ")

# Letters that are no other letter with a mark on it. The others are told by Unicode itself.
_NEAREST = {
    "ß": "s", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D",
    "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH", "ħ": "h", "Ħ": "H", "\u0131": "i", "ŋ": "n", "Ŋ": "N", "ŧ": "t", "Ŧ": "T",
    "&": "+", "_": "-", "’": "'", "\u2018": "'", "–": "-", "—": "-", "…": ".", "@": "(at)", "€": "E",
}  # fmt: skip

# By Unicode's names, since many of these letters look like Latin ones.
_GREEK = """
    ALPHA a  BETA v  GAMMA g  DELTA d  EPSILON e  ZETA z  ETA i  THETA th  IOTA i  KAPPA k  LAMDA l  MU m  NU n  XI x  OMICRON o
    PI p  RHO r  SIGMA s  FINAL-SIGMA s  TAU t  UPSILON y  PHI f  CHI ch  PSI ps  OMEGA o
"""
_CYRILLIC = """
    A a  BE b  VE v  GHE g  DE d  IE e  ZHE zh  ZE z  I i  SHORT-I y  KA k  EL l  EM m  EN n  O o  PE p  ER r  ES s  TE t  U u
    EF f  HA h  TSE ts  CHE ch  SHA sh  SHCHA sht  HARD-SIGN a  SOFT-SIGN y  YU yu  YA ya
"""

# The geographical scope of the schemes: EPC409-09, by the countries that their IBANs begin with.
_COUNTRIES = """
    AD AL AT BE BG CH CY CZ DE DK EE ES FI FR GB GI GR HR HU IE IS IT LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS SE SI SK SM VA
"""
SEPA_COUNTRIES = frozenset(_COUNTRIES.split())


def sepa_text(text: str, *, length_max: int) -> str:
    """The text in SEPA's letters, cut to its length; neither slash nor space at its ends, nor two of them in a row."""
    written = "".join(map(_nearest, unicodedata.normalize("NFC", text)))
    while "//" in written:
        written = written.replace("//", "/")
    return " ".join(written.split())[:length_max].strip("/ ")


def is_written(text: str) -> bool:
    """Whether a name is still one in SEPA's letters: has a letter or a digit."""
    return any(character.isalnum() for character in sepa_text(text, length_max=NAME_MAX))


def is_within_sepa(iban: str) -> bool:
    """Whether the account is held where SEPA reaches."""
    return iban[:2] in SEPA_COUNTRIES


def _nearest(character: str) -> str:
    if character in _BASIC:
        return character
    if character in _NEAREST:
        return _NEAREST[character]
    base = unicodedata.normalize("NFD", character)[0]
    if base in _BASIC:
        return base
    alphabet, _, rest = unicodedata.name(base, "").partition(" ")
    size, _, letter = rest.partition(" LETTER ")
    nearest = _OTHER_ALPHABETS.get((alphabet, letter.replace(" ", "-")))
    if nearest is None:
        return " " if character.isspace() else "."
    return nearest.capitalize() if size == "CAPITAL" else nearest


def _alphabet(name: str, letters: str) -> dict[tuple[str, str], str]:
    words = letters.split()
    return {(name, letter): nearest for letter, nearest in zip(words[::2], words[1::2], strict=True)}


_OTHER_ALPHABETS = _alphabet("GREEK", _GREEK) | _alphabet("CYRILLIC", _CYRILLIC)
