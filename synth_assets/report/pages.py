"""What a page holds, and how it is written: sections of tables and pictures, as HTML, Markdown or lines.

A page is one file without scripts that loads nothing: its text may come from a model, and is escaped; its
content security policy forbids the rest.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import yaml

from synth_assets.contracts.measured import wilson
from synth_assets.report import charts

TEMPLATE = "report.html.j2"
WORDS = yaml.safe_load(Path(__file__).with_name("words.yaml").read_text(encoding="utf-8"))
IN_NOTEBOOK = "vertical-align:top;white-space:pre-wrap"
LONGEST = 300  # characters of a text that a cell shows


@dataclass(frozen=True)
class Number:
    """A number as it is shown; `share` (0 to 1) is how dark its cell is."""

    text: str
    share: float | None = None
    value: object = None  # for programs: a number, or both ends of an interval

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Table:
    """The first column names the line."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]  # texts and Numbers
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A drawing of charts.py; it is drawn when it is printed."""

    title: str  # for those who cannot see it
    drawing: charts.Drawing
    caption: str
    hover: Sequence[str] = ()  # texts of its points (see charts.svg)

    @property
    def svg(self) -> str:
        """Safe to put into a page."""
        return charts.svg(self.title, self.drawing, self.hover)


@dataclass(frozen=True)
class Section:
    """`name` is its anchor. A section without parts is left out."""

    name: str
    title: str
    words: str
    parts: Sequence[Table | Picture]

    @classmethod
    def of(cls, name: str, parts: Sequence[Table | Picture], *more: str, **facts: object) -> Section:
        """With title and words of words.yaml, filled with `facts`; `more` stands behind them."""
        title, words = WORDS["sections"][name]
        return cls(name, title, " ".join([words.format_map(facts), *more]) if parts else "", parts)


def number(value: float | None, digits: int = 3, sign: str = "", share: float | None = None) -> Number:
    """A number with thousands separated; what is not known says so."""
    if value is None or value != value:
        return Number("unknown")
    return Number(f"{value:{sign},.{digits}f}", share, value)


def general(value: float | None, sign: str = "") -> Number:
    """A number of any size: whole numbers as they are, others with four digits."""
    if value is None or value != value:
        return Number("unknown")
    if not value:
        return Number("0", value=0)
    whole = value == round(value) and abs(value) >= 10
    return Number(f"{value:{sign},.0f}" if whole else f"{value:{sign},.4g}", value=value)


def dollars(value: float | None) -> Number:
    """US dollars."""
    return Number("unknown") if value is None or value != value else Number(f"${value:,.4f}", value=value)


def interval(low: float | None, high: float | None, sign: str = "") -> Number:
    """Both ends of an interval; empty where there is none."""
    if low is None or high is None or low != low or high != high:
        return Number("")
    digits = 3 if max(abs(low), abs(high)) < 10 else 1
    return Number(f"{low:{sign},.{digits}f} to {high:{sign},.{digits}f}", value=(low, high))


def share(part: float | None, of: float | None) -> list[Number]:
    """A share of rows with its 95 % interval (Wilson's)."""
    if part is None or not of:
        return [number(None), Number("")]
    return [number(part / of), interval(*wilson(int(part), int(of)))]


def total(rows: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """The sum of a column, if all of it is known."""
    values = [row[name] for row in rows]
    return None if any(v is None for v in values) else float(sum(values))


def text(value: object, longest: int = LONGEST) -> str:
    """A value as one line that is not too long; its control characters do nothing."""
    if value is None:
        return "unknown"
    words = " ".join(str(value)[: 4 * longest].split())
    words = "".join(f"\\x{ord(c):02x}" if unicodedata.category(c) == "Cc" else c for c in words)
    return words if len(words) <= longest else words[: longest - 1] + "…"


def html(title: str, words: str, sections: Sequence[Section], verdict: str = "") -> str:
    """The sections as a page of their own, which begins with the verdict."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    files = FileSystemLoader(Path(__file__).parent)
    pages = Environment(
        loader=files, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    pages.tests["number"] = lambda cell: isinstance(cell, Number)
    pages.tests["picture"] = lambda part: isinstance(part, Picture)
    shown = [section for section in sections if section.parts]
    colours = {"light": charts.LIGHT, "dark": charts.DARK}
    return pages.get_template(TEMPLATE).render(
        title=title, words=words, verdict=verdict, sections=shown, **colours
    )


def lines(sections: Sequence[Section]) -> Iterator[str]:
    """The tables for a terminal."""
    for section in sections:
        if section.parts:
            yield from ("", section.title, *([section.words] if section.words else []))
        for part in section.parts:
            if isinstance(part, Table):
                yield from ("", *([part.caption] if part.caption else []), *aligned(part))


def data(sections: Sequence[Section]) -> list[dict[str, Any]]:
    """The tables for programs: a number is a number, an interval both of its ends, what is not known null."""
    return [
        {
            "name": section.name,
            "title": section.title,
            "words": section.words,
            "tables": [_data(part) for part in section.parts if isinstance(part, Table)],
        }
        for section in sections
        if section.parts
    ]


def _data(table: Table) -> dict[str, Any]:
    rows = [[c.value if isinstance(c, Number) else str(c) for c in row] for row in table.rows]
    return {"caption": table.caption, "columns": list(table.columns), "rows": rows}


def aligned(table: Table) -> Iterator[str]:
    """A table for a terminal: numbers to the right, texts to the left."""
    rows = [table.columns, *table.rows]
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(table.columns))]
    right = [any(isinstance(row[i], Number) for row in table.rows) for i in range(len(widths))]
    for row in rows:
        cells = (
            f"{cell!s:{'>' if r else '<'}{width}}" for cell, width, r in zip(row, widths, right, strict=True)
        )
        yield f"  {'  '.join(cells)}".rstrip()


def fragment(table: Table) -> str:
    """A table by itself, for a notebook."""
    right = [any(isinstance(row[i], Number) for row in table.rows) for i in range(len(table.columns))]

    def line(tag: str, cells: Sequence[object]) -> str:
        sides = ("right" if each else "left" for each in right)
        styled = (
            f'<{tag} style="text-align:{side};{IN_NOTEBOOK}">{escape(str(cell))}</{tag}>'
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{''.join(styled)}</tr>"

    rows = "\n".join(line("td", row) for row in table.rows)
    return f"<table>\n<thead>{line('th', table.columns)}</thead>\n<tbody>\n{rows}\n</tbody></table>"


def inert(value: object) -> str:
    """What Markdown takes as text, and as one cell."""
    return "".join(f"&#{ord(c)};" if c in "|<>[]`*_\\$" else c for c in str(value))


def in_card(value: object) -> str:
    """The same for a card, which people also read as it is: what is in it is less wild."""
    return " ".join(str(value).split()).replace("|", "\\|")


def markdown(
    sections: Sequence[Section], level: str = "###", cell: Callable[[object], str] = inert
) -> Iterator[str]:
    """The sections for the Dagster UI, or for a card."""
    for section in sections:
        if section.parts:
            yield from (f"{level} {section.title}", cell(section.words), "")
        for part in section.parts:
            yield from (cell(part.caption), "") if part.caption else ()
            if isinstance(part, Picture):
                yield from (
                    f"![{cell(part.caption)}]({charts.alone(charts.svg(part.title, part.drawing))})",
                    "",
                )
            else:
                names, *rows = (f"| {' | '.join(map(cell, row))} |" for row in (part.columns, *part.rows))
                yield from (names, f"|{'---|' * len(part.columns)}", *rows, "")
