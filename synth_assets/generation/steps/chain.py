"""A chain of steps (sample-wise decomposition, Long et al. 2024, section 3.1.2): what each step may know of
the answers before, and which rows it asks about. A recipe with one step is a chain of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from synth_assets.core import templates
from synth_assets.core.errors import UserError
from synth_assets.generation.steps import dialogue, prompt, tool, vote
from synth_assets.generation.steps.tools import own_function

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.asking import Completes, RunsTools
    from synth_assets.generation.steps.kinds import AnyStep
    from synth_assets.recipe.recipe import Recipe

Columns = Mapping[str, list[Any]]  # column -> a value a row
CARRIED = ["row_id", "text", "reason", "error", "stage"]  # of a dropped row, to the stages after


def check(recipe: Recipe) -> None:
    """UserError when a step's prompt uses a field that it cannot know."""
    known: dict[str, list[str] | None] = dict.fromkeys(prompt.fields(recipe.task, list(recipe.attributes)))
    for name, step in recipe.steps.items():
        inside = dict.fromkeys(dialogue.EXAMPLE) if step.kind == "turns" else {}
        for template in step.templates:
            templates.check(template, {**known, **inside}, f"steps.{name}")
        if step.kind == "tool" and step.function:
            own_function(step.function)
        known[name] = list(step.output) if step.kind == "prompt" and step.output else None


def placeholders(recipe: Recipe, conditions: pd.DataFrame) -> prompt.Said:
    """What stands in a prompt for the answers of steps that were not asked: `<their name>`, or an answer
    that fits."""
    said: dict[str, dict[str, Any]] = {}
    for name, step in recipe.steps.items():
        schema = step.answer_schema
        answer = SimpleNamespace(**schema.example(f"<{name}>")) if schema else f"<{name}>"
        said[name] = dict.fromkeys(conditions["row_id"], answer)
    return said


def run(
    recipe: Recipe,
    stage: str,
    conditions: pd.DataFrame,
    seeds: pd.DataFrame,
    model: Completes | None,
    before: Mapping[str, pd.DataFrame] | None = None,
    tools: RunsTools | None = None,
    user: Completes | None = None,
) -> pd.DataFrame:
    """One row a condition row, in the same order: `accepted`, or with a reason and the stage that dropped it.

    `before`: stage -> rows of each step before this one. What one of them dropped is not asked, and is
    carried on as it is. A step needs what it works with: `model`, `tools`, or in a dialogue, `user` if that
    is another model; without tools, what a step that asks nobody makes is foreseen. Raises UserError when a
    row was not asked there yet.
    """
    name = recipe.step_stages[stage]
    if tools is None and not recipe.steps[name].asks:
        return foresee(recipe, stage, conditions, seeds, before or {})
    step, task, suffix = recipe.steps[name], recipe.task, "" if name == "text" else f"/{name}"

    def make(asked: pd.DataFrame, said: prompt.Said) -> Columns:
        if step.kind == "vote":
            return vote.run_vote(step, task, asked, seeds, recipe.samples, said)
        if step.kind == "tool":
            assert tools is not None
            return tool.run_tool(step, task, asked, seeds, tools, said)
        assert model is not None
        if step.kind == "turns":
            return dialogue.run(step, task, asked, seeds, model, user or model, suffix, said)
        return prompt.answered(step, task, asked, seeds, model, suffix, said)

    return _rows(recipe, stage, conditions, seeds, before or {}, make)


def foresee(
    recipe: Recipe,
    stage: str,
    conditions: pd.DataFrame,
    seeds: pd.DataFrame,
    before: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """The rows of a step that asks no model, before there is what it works on: its tool is not run, and of
    each question the samples agree. Only what composes a text from answers is done."""
    step, task = recipe.steps[recipe.step_stages[stage]], recipe.task

    def make(asked: pd.DataFrame, said: prompt.Said) -> Columns:
        if step.kind == "vote":
            return vote.run_vote(step, task, asked, seeds, recipe.samples, said, foresee=True)
        assert step.kind == "tool"
        if step.tool == "compose":
            return tool.run_tool(step, task, asked, seeds, lambda *_: (), said)
        return tool.foreseen(step, asked, said)

    return _rows(recipe, stage, conditions, seeds, before, make)


def _rows(
    recipe: Recipe,
    stage: str,
    conditions: pd.DataFrame,
    seeds: pd.DataFrame,
    before: Mapping[str, pd.DataFrame],
    make: Callable[[pd.DataFrame, prompt.Said], Columns],
) -> pd.DataFrame:
    """The rows that are asked, as `make` makes their columns, with those that were dropped before."""
    name = recipe.step_stages[stage]
    step, gone = recipe.steps[name], _dropped(conditions, before)
    said = {recipe.step_stages[s]: _said(recipe.steps[recipe.step_stages[s]], t) for s, t in before.items()}
    asked = conditions[~conditions["row_id"].isin(gone)]
    if said and step.kind != "turns":  # a dialogue's prompts are made one after the other
        gone |= {row: {**why, "stage": stage} for row, why in _unasked(step, recipe, asked, seeds, said)}
        asked = asked[~asked["row_id"].isin(gone)]
    made = _once(asked, recipe.samples, said, make) if recipe.shared(name) else make(asked, said)
    rows = asked.drop(columns=prompt.DROPPED).assign(**made)
    rows = rows.assign(stage=[None if fine else stage for fine in rows["reason"].isna()])
    rows = _with(rows, conditions, gone) if gone else rows
    return rows.assign(accepted=rows["reason"].isna())


def _once(
    asked: pd.DataFrame,
    samples: int,
    said: prompt.Said,
    make: Callable[[pd.DataFrame, prompt.Said], Columns],
) -> Columns:
    """Of each question one row is asked, by the number of its first; the others have the same answer."""
    questions = asked["replicate"] // samples
    first = ~questions.duplicated()
    made = make(asked.assign(replicate=questions * samples)[first], said)
    places = {question: place for place, question in enumerate(questions[first])}
    return {name: [values[places[q]] for q in questions] for name, values in made.items()}


def _dropped(conditions: pd.DataFrame, before: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    """Row id -> what is carried on of it, from the first step that dropped it."""
    gone: dict[str, dict[str, Any]] = {}
    for stage, table in before.items():
        if missing := len(set(conditions["row_id"]) - set(table["row_id"])):
            raise UserError(f"{stage} does not have {missing:,} of the rows yet: materialize {stage} first.")
        rows = table.loc[~table["accepted"].astype(bool), CARRIED]
        gone = {row["row_id"]: row for row in rows.to_dict("records")} | gone
    return gone


def _said(step: AnyStep, table: pd.DataFrame) -> dict[str, Any]:
    """Row id -> what a prompt finds under the step's name: the text, or the answer's fields."""
    rows = table[table["accepted"].astype(bool)]
    schema = step.answer_schema
    if schema is None:
        sure = rows["logprob"] if "logprob" in rows else [None] * len(rows)
        return dict(zip(rows["row_id"], map(_Text, rows["text"], sure), strict=True))
    kinds = dict(schema.columns) | ({"logprob": "double"} if "logprob" in rows else {})
    answers = rows[list(kinds)].to_dict("records")
    # a namespace and no dict: of a dict, {{ draft.items }} would be the method
    plain = [SimpleNamespace(**{n: _plain(v, kinds[n]) for n, v in a.items()}) for a in answers]
    return dict(zip(rows["row_id"], plain, strict=True))


class _Text(str):
    """An answer, with the column that its step may have beside it."""

    logprob: float | None

    def __new__(cls, text: str, logprob: float | None) -> _Text:
        made = super().__new__(cls, text)
        made.logprob = logprob
        return made


def _plain(value: Any, kind: str) -> Any:
    """As the answer had it: in a table with unknown values, pandas makes floats of whole numbers."""
    if kind.startswith("list"):
        return list(value) if isinstance(value, list) else value.tolist()
    return int(value) if kind == "int64" else value


def _unasked(
    step: AnyStep, recipe: Recipe, asked: pd.DataFrame, seeds: pd.DataFrame, said: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of whose earlier answers no prompt can be made (the third of two keywords, say), and why. They
    fail alone; where a prompt has nothing to do with answers, its mistake is the recipe's."""
    values = prompt.values(recipe.task, asked, seeds, said)
    for row_id, fields in zip(asked["row_id"], values, strict=True):
        try:
            templates.render(step.template, fields)
        except UserError as error:
            yield row_id, {"row_id": row_id, "text": None, "reason": "no_prompt", "error": str(error)}


def _with(rows: pd.DataFrame, conditions: pd.DataFrame, gone: Mapping[str, Any]) -> pd.DataFrame:
    """Rows that were asked and those that were not, in the order of the conditions."""
    import pandas as pd

    carried = conditions.merge(pd.DataFrame(list(gone.values()), columns=CARRIED), on="row_id")
    # as objects: whole numbers stay whole, and what was not asked is unknown
    both = pd.concat([rows.astype(object), carried.astype(object)]).set_index("row_id")
    both = both.loc[list(conditions["row_id"])].reset_index()
    return both.where(both.notna(), None)
