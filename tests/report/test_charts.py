"""Pictures of labels in any script."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial

import pytest
from matplotlib.font_manager import fontManager, get_font

from synth_assets.report import charts


def drawn(label: str) -> bytes:
    """As a picture; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return charts.png("rows by label", partial(charts.bars, {label: 3, "b": 2}))


@pytest.fixture
def fonts_of_matplotlib(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a machine that has no other ones."""
    own = [font for font in fontManager.ttflist if "mpl-data" in font.fname]
    monkeypatch.setattr(fontManager, "ttflist", own)
    charts._fonts_of.cache_clear()
    yield
    charts._fonts_of.cache_clear()


def test_letters_that_no_font_has_are_written_as_their_codes(fonts_of_matplotlib: None) -> None:
    assert drawn("正面") == drawn("\\u6b63\\u9762")
    assert drawn("हिन्दी") != drawn("தமிழ்")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = charts.svg("rows by label", partial(charts.bars, {"正面": 3}))
    assert "正面" in page  # which the browser draws


def test_letters_that_another_font_has_are_drawn_with_it(fonts_of_matplotlib: None) -> None:
    has: dict[str, set[int]] = {}
    for font in fontManager.ttflist:  # of those of one name, the first counts
        if font.style == "normal" and font.name not in has:
            has[font.name] = {*get_font(font.fname).get_charmap()}
    code = max(code for code in has["STIXGeneral"] - has["DejaVu Sans"] if chr(code).isprintable())
    (font,), left = charts._fonts_of(frozenset({code, ord("正")}))
    assert code in has[font]  # which of several it is, depends on the order in which they were found
    assert left == {ord("正")}
    assert drawn(f"a {chr(code)}") not in (drawn("a"), drawn(f"a \\u{code:04x}"))
