"""A chain of steps (sample-wise decomposition, Long et al. 2024, section 3.1.2): what each step may know of
the answers before, and which rows it asks about. A recipe with one step is a chain of one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.provider import Draw
from synth_assets.contracts.step import COLUMNS, SKIPPED, Said, StepBase, Work
from synth_assets.core import templates
from synth_assets.core.asking import Completes, RunsTools
from synth_assets.core.errors import UserError, together
from synth_assets.generation.steps.skipping import Decided, decided

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.recipe.recipe import Recipe

Columns = Mapping[str, list[Any]]  # column -> a value a row
Maybe = Callable[[Completes, int], None]  # a model, and how many calls to it there may be, or not
Seen = Callable[[Mapping[str, Any]], None]  # is told a row as it comes: its `text`, or the `reason`
CARRIED = ["row_id", "text", "reason", "error", "stage"]  # of a dropped row, to the stages after
NOT_THERE = "not there yet"  # the error of rows that are foreseen, in a plan
DROPPED = ["replicate", "demonstration_set", "demonstration_ids"]  # of the conditions


def fields(recipe: Recipe) -> list[str]:
    """The names that the template of the first step may use."""
    of_label = ["label", "definition", "verbalizer"] if recipe.of_labels else []
    return [*recipe.task.fields(), *of_label, "demonstrations", *recipe.condition_columns]


def check(recipe: Recipe) -> None:
    """UserError when a step's prompt uses a field that it cannot know, or what it needs is not there; of all
    steps."""
    known: dict[str, list[str] | None] = dict.fromkeys(fields(recipe))
    of_task = {*recipe.task.fields(), "demonstrations"}  # of no row
    wrong: list[UserError] = []
    for name, step in recipe.steps.items():
        try:
            for template in step.templates:
                templates.check(template, {**known, **dict.fromkeys(step.inside)}, f"steps.{name}")
            if step.when is not None:
                of_rows = {n: parts for n, parts in known.items() if n not in of_task}
                templates.check_expression(step.when, of_rows, f"steps.{name}", "when")
            step.prepare()
        except UserError as error:
            wrong.append(error.of(f"steps.{name}"))
        schema = step.answer_schema
        known[name] = [field for field, _ in schema.fields] if schema else None
    if wrong:
        raise together(wrong)


def shown(recipe: Recipe, step: str, conditions: pd.DataFrame, seeds: pd.DataFrame) -> list[str]:
    """What a step is asked, or works on, for the first row, with placeholders for the answers before it."""
    work = Work(conditions, seeds, recipe.task.fields(), placeholders(recipe, conditions), of=recipe.task)
    return list(recipe.steps[step].shown(work))


def placeholders(recipe: Recipe, conditions: pd.DataFrame) -> Said:
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
    seen: Seen | None = None,
    maybe: Maybe | None = None,
    perhaps: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> pd.DataFrame:
    """One row a condition row, in the same order: `accepted`, or with a reason and the stage that dropped it.
    A row of which the step's `when` is not true is accepted unasked, with the reason `skipped`.

    `before`: stage -> rows of each step before this one. What one of them dropped is carried on unasked; a
    row that is not there is a UserError. A step needs its `model`, `tools`, or in a dialogue, `user` if that
    is another model; without tools, what a step that asks nobody makes is foreseen. `seen` is told each row
    as it comes, and of a plan `maybe` how many calls there may be besides; `perhaps` stands around those of
    which it cannot be known yet whether they are made.
    """
    name = recipe.step_stages[stage]
    step, before = recipe.steps[name], before or {}
    gone = _dropped(conditions, before) if before else _without_value(recipe, conditions, stage)
    said = {recipe.step_stages[s]: _said(recipe.steps[recipe.step_stages[s]], t) for s, t in before.items()}
    suffix, asked = "" if name == "text" else f"/{name}", conditions[~conditions["row_id"].isin(gone)]
    told = recipe.task.fields()
    work = Work(asked, seeds, told, said, recipe.samples, suffix, model, user, tools, recipe.task)
    work = replace(work, maybe=maybe) if maybe else work
    found = Decided()
    if step.when is not None:
        found = decided(step, work, stage, _foreseen(recipe, before) if tools is None else {})
        gone |= found.gone
        work = replace(work, rows=work.rows[~work.rows["row_id"].isin(gone)])
    if said and not step.in_turns:
        gone |= {row: {**why, "stage": stage} for row, why in _unasked(step, work)}
        work = replace(work, rows=work.rows[~work.rows["row_id"].isin(gone)])
    columns = [*COLUMNS, *step.columns_of(recipe)]
    make = _once if recipe.shared(name) else _made
    rows = _rows(make, step, work, columns, seen or (lambda row: None), found.unsure, perhaps)
    rows = rows.assign(stage=[None if fine else stage for fine in rows["reason"].isna()])
    rows = _with(rows, conditions, gone) if gone or found.unsure else rows
    return rows.assign(accepted=rows["reason"].isna() | rows["row_id"].isin(found.skipped))


def _rows(
    make: Callable[..., Columns],
    step: StepBase,
    work: Work,
    columns: Sequence[str],
    seen: Seen,
    unsure: Collection[str],
    perhaps: Callable[[], AbstractContextManager[None]],
) -> pd.DataFrame:
    """What the step made of its rows; of those of a plan that may not be asked, behind the others."""
    import pandas as pd

    if not unsure:
        return work.rows.drop(columns=DROPPED).assign(**make(step, work, columns, seen))
    may_be = work.rows["row_id"].isin(unsure)
    sure, rest = replace(work, rows=work.rows[~may_be]), replace(work, rows=work.rows[may_be])
    tables = [_rows(make, step, sure, columns, seen, (), perhaps)]
    with perhaps():
        tables.append(_rows(make, step, rest, columns, seen, (), perhaps))
    return pd.concat([table.astype(object) for table in tables])


def _made(step: StepBase, work: Work, columns: Sequence[str], seen: Seen) -> Columns:
    made: dict[str, list[Any]] = {name: [] for name in columns}
    foreseen = work.tools is None and not step.asks
    for row in _not_there(step.foresee(work)) if foreseen else step.run(work):
        for name, values in made.items():
            values.append(row.get(name))
        seen(row)
    return made


def _not_there(rows: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    yield from ({**row, "error": row.get("error") or NOT_THERE} for row in rows)


def _foreseen(recipe: Recipe, before: Mapping[str, pd.DataFrame]) -> dict[str, set[str]]:
    """Of a plan: step -> the rows that go on with an answer which is not there yet."""
    rows = {name: before[stage] for stage, name in recipe.step_stages.items() if stage in before}
    return {n: set(t["row_id"][t["accepted"].astype(bool) & t["error"].notna()]) for n, t in rows.items()}


def _once(step: StepBase, work: Work, columns: Sequence[str], seen: Seen) -> Columns:
    """Of each question one row is asked, by the number of its first; the others have the same answer."""
    questions = work.rows["replicate"] // work.samples
    first = ~questions.duplicated()
    rows = work.rows.assign(replicate=questions * work.samples)[first]
    places = {question: place for place, question in enumerate(questions[first])}
    made = _made(step, replace(work, rows=rows), columns, seen)
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


def _without_value(recipe: Recipe, conditions: pd.DataFrame, stage: str) -> dict[str, dict[str, Any]]:
    """Row id -> why a row is dropped for which a condition has no value; the first step says so."""
    gone: dict[str, dict[str, Any]] = {}
    for name, values in recipe.attributes.items():
        if not isinstance(values, Draw):
            continue
        for row in conditions[conditions[name].isna()].to_dict("records"):
            told = {**recipe.task.fields(), **recipe.task.of_label(row["label"]), **row}
            why = {"text": None, "reason": "no_value", "error": f"{name}: {values.missing(told)}"}
            gone.setdefault(row["row_id"], {"row_id": row["row_id"], "stage": stage, **why})
    return gone


def _said(step: StepBase, table: pd.DataFrame) -> dict[str, Any]:
    """Row id -> what a prompt finds under the step's name: the text, or the answer's fields. Of a row that
    the step was not asked for they are empty, and numbers are None."""
    rows = table[table["accepted"].astype(bool)]
    schema = step.answer_schema
    if schema is None:
        sure = rows["logprob"] if "logprob" in rows else [None] * len(rows)
        texts = ("" if text is None or text != text else text for text in rows["text"])
        return dict(zip(rows["row_id"], map(_Text, texts, sure), strict=True))
    kinds = dict(schema.columns) | ({"logprob": "double"} if "logprob" in rows else {})
    answers = rows[list(kinds)].to_dict("records")
    skipped = rows["reason"] == SKIPPED
    # a namespace and no dict: of a dict, {{ draft.items }} would be the method
    plain = [
        SimpleNamespace(**{n: _empty(v, kinds[n]) if none else _plain(v, kinds[n]) for n, v in a.items()})
        for a, none in zip(answers, skipped, strict=True)
    ]
    return dict(zip(rows["row_id"], plain, strict=True))


class _Text(str):
    """An answer, with the column that its step may have beside it."""

    logprob: float | None

    def __new__(cls, text: str, logprob: float | None) -> _Text:
        made = super().__new__(cls, text)
        made.logprob = logprob
        return made


def _empty(value: Any, kind: str) -> Any:
    """What a field is that nobody was asked for; the text may be that of another step."""
    if isinstance(value, str):
        return value
    return "" if kind == "string" else [] if kind.startswith("list") else None


def _plain(value: Any, kind: str) -> Any:
    """As the answer had it: in a table with unknown values, pandas makes floats of whole numbers."""
    if kind.startswith("list"):
        return list(value) if isinstance(value, list) else value.tolist()
    return int(value) if kind == "int64" else value


def _unasked(step: StepBase, work: Work) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of whose earlier answers no prompt can be made (the third of two keywords, say), and why. They
    fail alone; where a prompt has nothing to do with answers, its mistake is the recipe's."""
    for row_id, fields in zip(work.rows["row_id"], work.fields(), strict=True):
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
