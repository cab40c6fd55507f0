"""Personal data in a text: ways to reach someone, numbers of accounts, cards and persons."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import field_validator

from synth_assets.contracts.filter import Context
from synth_assets.curation.filters.screens import Screened

# a whole run of letters, once, whether or not it is an address: from each of its letters would be quadratic
EMAIL = re.compile(r"[\w.+-]+(?:@[\w-]+(?:\.[\w-]+)+)?")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
CARD = re.compile(
    r"(?<![\w.-])(?:(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|35\d\d|6011|62\d\d|65\d\d)(?:[ -]?\d{4}){3}"
    r"|3[47]\d\d[ -]?\d{6}[ -]?\d{5})(?![\w-])"
)
ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})(?![\w:])"
)
# Country -> the module of python-stdnum that checks a person's number, and how such a number is written.
NATIONAL = {
    "BR": ("cpf", r"\d{3}\.?\d{3}\.?\d{3}-\d{2}"),
    "CA": ("sin", r"\d{3}[ -]\d{3}[ -]\d{3}"),
    "CH": ("ssn", r"756\.?\d{4}\.?\d{4}\.?\d{2}"),
    "CN": ("ric", r"\d{17}[\dX]"),
    "DE": ("idnr", r"\d{2} ?\d{3} ?\d{3} ?\d{3}"),
    "ES": ("dni", r"\d{8}-?[A-Z]"),
    "FR": ("nir", r"[12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}"),
    "GB": ("nhs", r"\d{3}[ -]\d{3}[ -]\d{4}"),
    "IN": ("aadhaar", r"\d{4}[ -]?\d{4}[ -]?\d{4}"),
    "IT": ("codicefiscale", r"[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]"),
    "NL": ("bsn", r"\d{9}|\d{4}\.\d{2}\.\d{3}"),
    "PL": ("pesel", r"\d{11}"),
    "SE": ("personnummer", r"(?:\d{2})?\d{6}[-+]\d{4}"),
    "US": ("ssn", r"\d{3}-\d{2}-\d{4}"),
}


class PersonalData(Screened):
    """Number of e-mail and IP addresses, telephone, bank account, card and national identity numbers.

    Found by their form and their check digits: telephone numbers by phonenumbers (Google's library), the
    others by python-stdnum. Without a country's code a telephone number is read as one of `country`
    (ISO 3166), whose identity numbers are looked for. No names: what they are, only a model can tell.
    """

    name = "personal_data"
    within = (0, math.inf)
    better = "lower"
    country: str = "US"
    """Whose telephone and identity numbers are looked for."""
    at_most: float | None = 0

    @field_validator("country")
    @classmethod
    def _known(cls, country: str) -> str:
        from phonenumbers import SUPPORTED_REGIONS

        if country not in SUPPORTED_REGIONS:
            known = ", ".join(sorted(SUPPORTED_REGIONS))
            raise ValueError(f"{country!r} is no country of ISO 3166 that has telephone numbers: {known}")
        return country

    def screen(self, context: Context) -> str:
        """An @, seven digits without a letter between, numbers with points, two colons, or a code's start."""
        digits = r"(?:\p{Nd}[^A-Za-z\p{Nd}]*){6}\p{Nd}|\d\.\d{1,3}\.\d{1,3}\.\d"
        return rf"@|{digits}|:[0-9a-fA-F]{{0,4}}:|[A-Z]{{2}}\d{{2}} ?[A-Z0-9]{{4}}|[A-Z]{{6}}\d{{2}}[A-Z]"

    def value(self, text: str, context: Context) -> float:
        return float(sum(1 for _ in _kinds(text, self.country)))

    def why(self, row: Mapping[str, Any]) -> str:
        """Kinds and how many of each, never what was found."""
        counts = Counter(_kinds(row["text"], self.country))
        return ", ".join(f"{kind} ({count})" for kind, count in sorted(counts.items()))


def _kinds(text: str, country: str) -> Iterator[str]:
    """The kind of each thing that is found. What is one thing is no longer another."""
    from phonenumbers import Leniency, PhoneNumberMatcher

    for kind, pattern, check in _checks(country):
        found = [match for match in pattern.finditer(text) if check(match.group())]
        ends = [0, *(match.end() for match in found)]
        starts = [*(match.start() for match in found), len(text)]
        text = " | ".join(text[end:start] for end, start in zip(ends, starts, strict=True))
        yield from [kind] * len(found)
    for phone in PhoneNumberMatcher(text, country, leniency=Leniency.VALID):
        if sum(map(str.isdigit, phone.raw_string)) >= 7:  # fewer are as often a year, or a price
            yield "telephone number"


@cache
def _checks(country: str) -> list[tuple[str, re.Pattern[str], Callable[[str], bool]]]:
    """Kind, how it is written, and whether what is written so is one."""
    from stdnum import get_cc_module, iban, luhn

    checks: list[tuple[str, re.Pattern[str], Callable[[str], bool]]] = [
        ("e-mail address", EMAIL, lambda found: "@" in found),
        ("bank account", IBAN, iban.is_valid),
        ("card", CARD, lambda found: luhn.is_valid(re.sub("[ -]", "", found))),
        ("IP address", ADDRESS, _of_the_internet),
    ]
    if country in NATIONAL:
        module, pattern = NATIONAL[country]
        person: Any = get_cc_module(country, module)
        checks.append(("identity number", re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])"), person.is_valid))
    return checks


def _of_the_internet(found: str) -> bool:
    """Whether it is an IP address that is somebody's: a private or reserved one is everybody's."""
    from ipaddress import ip_address

    try:
        return ip_address(found).is_global
    except ValueError:
        return False
