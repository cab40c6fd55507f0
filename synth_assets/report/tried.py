"""A row that was asked for at a first look, as data and for people: prompts, answers, scores, verdicts."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from synth_assets.contracts.step import SKIPPED
from synth_assets.report.trace import block, plain, valued

HTML = """
{% set top = 'style="text-align:left;vertical-align:top"' | safe %}
<table>
<tr><th {{ top }}>cell</th><th {{ top }}>text</th><th {{ top }}>verdict</th></tr>
{% for row in rows %}
<tr>
<td {{ top }}>{{ row.cell }}</td>
<td {{ top }}>{{ row.text or "nothing" }}
<details><summary>conditions, prompt, answer, scores</summary>
<pre style="font-family:monospace;white-space:pre-wrap;word-break:normal">{{ lines(row) | join("\n") }}</pre>
</details></td>
<td {{ top }}>{{ row.verdict }}</td>
</tr>
{% endfor %}
</table>
"""


@dataclass(frozen=True)
class Step:
    """What one step made of a row. What was not asked, or not made, is None."""

    name: str
    prompt: str | None  # of its first call
    answer: str | None  # the last one that was given, as it came
    text: str | None
    columns: Mapping[str, Any]  # what the step gives besides
    reason: str | None  # why the row ended here, or that it was not asked for it (`skipped`)
    error: str | None

    def told(self) -> Iterator[tuple[str, str]]:
        """What there is to read, under its name."""
        text = None if self.text == (self.answer or "").strip() else self.text
        parts = {"prompt": self.prompt, "answer": self.answer, "row": text, "error": self.error}
        yield from ((name, words) for name, words in parts.items() if words)
        yield from ((name, valued(value)) for name, value in self.columns.items())


@dataclass(frozen=True)
class Verdict:
    """What one filter says of a row."""

    filter: str
    score: float | None
    passed: bool | None  # None: nothing can be said of a row alone
    wanted: str
    why: str = ""

    @property
    def words(self) -> str:
        """Passed, dropped, or why neither is known."""
        return self.why if self.passed is None else "passed" if self.passed else "dropped"


@dataclass(frozen=True)
class Tried:
    """A row that was asked for."""

    recipe: str
    row_id: str
    round: str
    cell: str
    place: int  # among the rows that were asked for
    conditions: Mapping[str, Any]
    steps: Sequence[Step]
    filters: Sequence[Verdict]  # none, where the row ended before them

    @property
    def text(self) -> str | None:
        """The row's text, or what there is of it."""
        return self.steps[-1].text

    @property
    def reason(self) -> str | None:
        """Why it is no row of the set; None as far as can be told."""
        ended = (step.reason for step in self.steps if step.reason not in (None, SKIPPED))
        dropped = (f"dropped by {verdict.filter}" for verdict in self.filters if verdict.passed is False)
        return next(ended, None) or next(dropped, None)

    @property
    def verdict(self) -> str:
        """The reason, or that nothing speaks against the row so far."""
        return self.reason or ("passed, but for what needs the whole set" if self._open else "passed")

    def data(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "text": self.text, "reason": self.reason, "verdict": self.verdict}

    @property
    def _open(self) -> bool:
        return any(verdict.passed is None for verdict in self.filters)


def lines(row: Tried) -> Iterator[str]:
    """For a terminal."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 110)
    yield f"{row.recipe}.{row.row_id}"
    yield f"round {row.round}, cell {plain(row.cell)}: {plain(row.verdict)}"
    for name, value in row.conditions.items():
        yield from block(str(value), width, f"  {name:24}")
    for step in row.steps:
        yield from (
            "",
            f"{step.name}: {plain(step.reason or ('not asked' if step.text is None else 'accepted'))}",
        )
        for name, words in step.told():
            yield f"  {name}"
            yield from block(words, width, "    ")
    yield from ("", "filters") if row.filters else ()
    for verdict in row.filters:
        wanted = f", wanted {verdict.wanted}" if verdict.wanted else ""
        value = "" if verdict.passed is None else valued(verdict.score)
        yield f"  {verdict.filter:24}{value:>10}  {verdict.words}{wanted}"


def html(rows: Iterable[Tried]) -> str:
    """For a notebook: a line a row; what was asked and said of it is folded."""
    from jinja2 import Environment

    return Environment(autoescape=True).from_string(HTML).render(rows=rows, lines=lines)
