"""A pattern on texts, with a limit of time a text."""

from __future__ import annotations

import re

import pytest

from synth_assets.core.text.matching import whole_matches

STUCK = {  # pattern -> a text on which it takes for ever
    r"(\w+\s?)+$": "word " * 30 + "!",
    r"(a+)+$": "a" * 40 + "!",
    r"(a|a)*b": "a" * 40,
    r"(.*)*x": "y" * 40,
    r"^(([a-z])+.)+[A-Z]([a-z])+$": "a" * 60,
    r"(x+x+)+y": "x" * 40,
}


@pytest.mark.parametrize("pattern", STUCK)
def test_a_text_that_takes_too_long_is_unknown_and_no_other_is(pattern: str) -> None:
    without = re.fullmatch(pattern, "") is not None
    assert whole_matches(pattern, ["", STUCK[pattern], ""], seconds=0.1) == [without, None, without]


@pytest.mark.filterwarnings("ignore:Possible nested set")
def test_it_finds_what_re_finds() -> None:
    texts = ["abc", "", "हिन्दी", "a\nb", "x\x1cy", "half \ud83d", "ABC", "é" * 1000]
    for pattern in (r"\w+", r"(?i)abc", r".*", r"(?s).*", r"\w\s\w", r"[[:alpha:]]", r"(\w+){e<=1}"):
        wanted = [re.fullmatch(pattern, text) is not None for text in texts]
        assert whole_matches(pattern, texts) == wanted
    assert whole_matches("a", []) == []
