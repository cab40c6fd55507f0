"""Steps that ask no model: a tool makes something of a text, the samples of a question vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from synth_assets.generation import prompts, steps
from synth_assets.generation.providers import retrieve
from synth_assets.generation.tools import OF_A_TEXT, own_function, vote

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.protocols import Result, RunsTools
    from synth_assets.recipe_sections import Task
    from synth_assets.step_kinds import ToolStep, VoteStep


class Made(NamedTuple):
    """What a function made of one text."""

    reason: str
    text: str | None = None
    error: str | None = None


def rendered(
    template: str, task: Task, conditions: pd.DataFrame, seeds: pd.DataFrame, said: steps.Said
) -> list[str]:
    filled = steps.values(task, conditions, seeds, said)
    return [prompts.render(template, fields).strip() for fields in filled]


def run_tool(
    step: ToolStep,
    task: Task,
    conditions: pd.DataFrame,
    seeds: pd.DataFrame,
    tools: RunsTools,
    said: steps.Said,
) -> dict[str, list[Any]]:
    """Column -> a value a condition row: the text that the tool made, or the reason why it made none."""
    inputs = rendered(step.input, task, conditions, seeds, said)
    own = _own(step)
    results = map(_tried(own), inputs) if own else tools(step.tool, step.settings, inputs)
    columns = _columns([*steps.COLUMNS, *step.fields])
    for row_id, result in zip(conditions["row_id"], results, strict=True):
        row = _row(result)
        if row["reason"] is None:
            row |= {name: _field(said, field, row_id) for name, field in step.fields.items()}
        _add(columns, row)
    return columns


def _own(step: ToolStep) -> Callable[[str], Any] | None:
    """The tool as a function of a text; None where it needs a process or a data base."""
    if step.function:
        return own_function(step.function)
    if step.tool == "retrieve":
        return lambda query: "\n".join(retrieve(str(step.file), query, step.k))
    return OF_A_TEXT.get(step.tool)


def foreseen(step: ToolStep, conditions: pd.DataFrame, said: steps.Said) -> dict[str, list[Any]]:
    """The same without the tool: a text that is there for no other row."""
    columns = _columns([*steps.COLUMNS, *step.fields])
    for row_id in conditions["row_id"]:
        fields = {name: _field(said, field, row_id) for name, field in step.fields.items()}
        _add(columns, {"text": f"a result that is not there yet {row_id}", **fields})
    return columns


def run_vote(
    step: VoteStep,
    task: Task,
    conditions: pd.DataFrame,
    seeds: pd.DataFrame,
    samples: int,
    said: steps.Said,
    foresee: bool = False,
) -> dict[str, list[Any]]:
    """Column -> a value a condition row: what the rows of each question voted for in the first row of the
    winners; the others are `outvoted`, or all have `no_majority`. `foresee`: all are taken to agree."""
    texts = rendered(step.vote, task, conditions, seeds, said)
    columns = _columns([*steps.COLUMNS, "votes"])
    for group in _groups([replicate // samples for replicate in conditions["replicate"]]):
        voted = ["foreseen" if foresee else texts[place] for place in group]
        ballot = _ballot(voted, 1 if foresee else step.at_least)
        for place, (reason, error, votes) in zip(group, ballot, strict=True):
            row = {"text": texts[place] or None, "reason": reason, "error": error, "votes": votes}
            _add(columns, row)
    return columns


def _ballot(texts: Sequence[str], at_least: int) -> Iterator[tuple[str | None, str | None, int | None]]:
    """Reason (None: goes on), error and votes of each candidate. An empty text votes for nothing."""
    votes = Counter(texts)
    winners = vote([text or None for text in texts], at_least)
    for place, text in enumerate(texts):
        if not text:
            yield "empty", None, None
        elif not winners:
            most = max(n for t, n in votes.items() if t)
            yield "no_majority", f"the largest group has {most} of {at_least} votes", votes[text]
        elif place == winners[0]:
            yield None, None, votes[text]
        else:
            yield "outvoted", f"{votes[text]} votes, the winner has {len(winners)}", votes[text]


def _groups(questions: Sequence[int]) -> Iterator[list[int]]:
    """Places of the rows of each question, which stand together."""
    group: list[int] = []
    for place, question in enumerate(questions):
        if group and question != questions[group[0]]:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def _tried(function: Any) -> Any:
    """The function; of a text that it cannot work on, the reason."""

    def tried(text: str) -> Made:
        try:
            made = function(text)
            if isinstance(made, str):
                made.encode()  # half a character (a lone surrogate) fits no table
        except Exception as error:
            words = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            return Made("error", error=words[:500])
        if not isinstance(made, str):
            return Made("error", error=f"the function gave a {type(made).__name__}, not a text")
        return Made("ok", made)

    return tried


def _row(result: Result) -> dict[str, Any]:
    text = (result.text or "").strip() or None
    reason = result.reason if result.reason != "ok" else None if text else "empty"
    return {"text": text, "reason": reason, "error": result.error}


def _field(said: steps.Said, field: str, row_id: str) -> Any:
    name, _, part = field.partition(".")
    return getattr(said[name][row_id], part)


def _columns(names: Iterable[str]) -> dict[str, list[Any]]:
    return {name: [] for name in names}


def _add(columns: Mapping[str, list[Any]], row: Mapping[str, Any]) -> None:
    for name, values in columns.items():
        values.append(row.get(name))
