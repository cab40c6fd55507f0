"""A chain of steps (sample-wise decomposition, Long et al. 2024, section 3.1.2): what each step may know of
the answers before, and which rows it asks about. A recipe with one step is a chain of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from synth_assets.errors import UserError
from synth_assets.generation import prompts, steps

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.protocols import Completes
    from synth_assets.recipe import Recipe, Step

CARRIED = ["row_id", "text", "reason", "error", "stage"]  # of a dropped row, to the stages after


def check(recipe: Recipe) -> None:
    """UserError when a step's prompt uses a field that it cannot know."""
    known: dict[str, list[str] | None] = dict.fromkeys(steps.fields(recipe.task, list(recipe.attributes)))
    for name, step in recipe.steps.items():
        prompts.check(step.template, known, f"steps.{name}")
        known[name] = list(step.output) if step.output else None


def placeholders(recipe: Recipe, conditions: pd.DataFrame) -> steps.Said:
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
    model: Completes,
    before: Mapping[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """One row a condition row, in the same order: `accepted`, or with a reason and the stage that dropped it.

    `before`: stage -> rows of each step before this one. What one of them dropped is not asked, and is
    carried on as it is. Raises UserError when a row was not asked there yet.
    """
    before, name = before or {}, recipe.step_stages[stage]
    step, gone = recipe.steps[name], _dropped(conditions, before)
    said = {recipe.step_stages[s]: _said(recipe.steps[recipe.step_stages[s]], t) for s, t in before.items()}
    asked = conditions[~conditions["row_id"].isin(gone)]
    if said:
        gone |= {row: {**why, "stage": stage} for row, why in _unasked(step, recipe, asked, seeds, said)}
        asked = asked[~asked["row_id"].isin(gone)]
    suffix = "" if name == "text" else f"/{name}"
    rows = steps.run(step, recipe.task, asked, seeds, model, suffix, said)
    rows = rows.assign(stage=[None if fine else stage for fine in rows["reason"].isna()])
    rows = _with(rows, conditions, gone) if gone else rows
    return rows.assign(accepted=rows["reason"].isna())


def _dropped(conditions: pd.DataFrame, before: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    """Row id -> what is carried on of it, from the first step that dropped it."""
    gone: dict[str, dict[str, Any]] = {}
    for stage, table in before.items():
        if missing := len(set(conditions["row_id"]) - set(table["row_id"])):
            raise UserError(f"{stage} does not have {missing:,} of the rows yet: materialize {stage} first.")
        rows = table.loc[~table["accepted"].astype(bool), CARRIED]
        gone = {row["row_id"]: row for row in rows.to_dict("records")} | gone
    return gone


def _said(step: Step, table: pd.DataFrame) -> dict[str, Any]:
    """Row id -> what a prompt finds under the step's name: the text, or the answer's fields."""
    rows = table[table["accepted"].astype(bool)]
    schema = step.answer_schema
    if schema is None:
        return dict(zip(rows["row_id"], rows["text"], strict=True))
    answers = rows[list(schema.columns)].to_dict("records")
    # a namespace and no dict: of a dict, {{ draft.items }} would be the method
    plain = [SimpleNamespace(**{n: _plain(v, schema.columns[n]) for n, v in a.items()}) for a in answers]
    return dict(zip(rows["row_id"], plain, strict=True))


def _plain(value: Any, kind: str) -> Any:
    """As the answer had it: in a table with unknown values, pandas makes floats of whole numbers."""
    if kind.startswith("list"):
        return list(value) if isinstance(value, list) else value.tolist()
    return int(value) if kind == "int64" else value


def _unasked(
    step: Step, recipe: Recipe, asked: pd.DataFrame, seeds: pd.DataFrame, said: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of whose earlier answers no prompt can be made (the third of two keywords, say), and why. They
    fail alone; where a prompt has nothing to do with answers, its mistake is the recipe's."""
    values = steps.values(recipe.task, asked, seeds, said)
    for row_id, fields in zip(asked["row_id"], values, strict=True):
        try:
            prompts.render(step.template, fields)
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
