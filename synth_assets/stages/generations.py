"""Stages `generations_<step>` and `generations`, a step each: what a model answered or a tool gave."""

from __future__ import annotations

from typing import Any

from synth_assets.core.text.words import count
from synth_assets.generation.steps import chain
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages.run import Run, check_tool
from synth_assets.stages.stage import Chart, Check, Made, Markdown, Stage, Table, Verdict, unique_ids
from synth_assets.stages.values import shown_rows

CHECKS = {
    "answered": Check(
        "Did every request get an answer within the budget, and are enough of them rows "
        "(the recipe's minimum_yield)?",
        ("minimum_yield", "budget", "steps"),
        "synth sql --query failed_calls",
    )
}


def stage(recipe: Recipe, name: str) -> Stage:
    """The stage of one step (its name in the recipe)."""
    step, stages = recipe.steps[name], list(recipe.step_stages)
    of_step = next(s for s, n in recipe.step_stages.items() if n == name)
    models = recipe.models_of(name)

    def make(run: Run, conditions: Table, **before: Table) -> Table:
        shown = shown_rows(run)
        earlier = {s: before[s] for s in stages if s in before}
        asked = [run.model(spec, step.second if at else "") for at, spec in enumerate(models)]
        model, user = (asked[0], asked[-1]) if asked else (None, None)
        given = shown, model, earlier, run.tools, user, run.seen, run.maybe, run.perhaps
        rows = run.sure_first(conditions, lambda asked: chain.run(run.recipe, of_step, asked, *given))
        names = {"dear": user and user.name} if "annotator" in rows else {}
        by = rows["annotator"] if names else [None] * len(rows)
        said = zip(by, rows["call_id"].notna(), strict=True)
        return rows.assign(model=[names.get(who, model.name) if model and one else None for who, one in said])

    def compute(run: Run, conditions: Table, **before: Table) -> Made:
        """What the step made of each row: what a model answered or a tool gave, or why there is nothing."""
        check_steps(run.recipe)  # of all steps, before the first is paid
        return _made(run.recipe, make(run, conditions, **before))

    return Stage(
        of_step,
        compute,
        reads=["conditions", *stages[: stages.index(of_step)]],
        sections=[f"steps.{name}"],
        checks=CHECKS,
        asks=make,
        model=models[0] if models else None,
        pays=step.asks,
        batches=recipe.mode == "batch",
    )


def _made(recipe: Recipe, rows: Table) -> Made:
    reasons = rows["reason"].fillna("accepted").value_counts()
    words = rows.loc[rows["accepted"], "text"].dropna().map(count)
    lengths = dict.fromkeys(rows["cell"].unique(), words)  # a partition has one cell
    numbers: dict[str, Any] = {
        "outcomes": Chart("bars", "rows by outcome", reasons.to_dict()),
        "lengths": Chart("histogram", "words a row", lengths),
        "accepted": int(rows["accepted"].sum()),
    }
    if "annotator" in rows:
        numbers["cascade"] = _cascade(recipe, rows)
        numbers["dear_share"] = round(float((rows["annotator"] == "dear").mean()), 4)
    return Made(rows, numbers, {"answered": _verdicts(recipe, rows)})


def _cascade(recipe: Recipe, rows: Table) -> Markdown:
    """What two models came to, and what is promised of it."""
    promise: Any = recipe.steps["text"]
    target, sure = promise.cascade.target, 1 - promise.cascade.delta
    dear = int((rows["annotator"] == "dear").sum())
    said = f"The dear model was asked about {dear:,} of {len(rows):,} texts."
    return Markdown(
        f"{said} Of all answers at least {target:.0%} are what it says or would say (probability {sure:.0%})."
    )


def check_steps(recipe: Recipe) -> None:
    """UserError when a step cannot be done: its template names what it cannot know, its tool has no file."""
    chain.check(recipe)
    for step in recipe.steps.values():
        for tool, settings in step.tools.items():
            check_tool(tool, settings)


def _verdicts(recipe: Recipe, rows: Table) -> list[Verdict]:
    """Of the samples of a question that was voted on, one was asked for."""
    accepted, asked = int(rows["accepted"].sum()), int((rows["reason"] != "outvoted").sum())
    share = accepted / asked if asked else 0.0
    why = ", ".join(f"{n} {reason}" for reason, n in rows["reason"].value_counts().items()) or "none rejected"
    wanted = f"{recipe.minimum_yield:.0%}" if recipe.minimum_yield else "one at least"
    words = f"{accepted} of {asked} rows accepted, the recipe wants {wanted} ({why})."
    return [Verdict(accepted > 0 and share >= recipe.minimum_yield, words), unique_ids(rows)]
