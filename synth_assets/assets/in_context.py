"""Part of the asset `metrics`: the model answers test rows, shown rows of each set."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from resources.sandbox import run_many
from synth_assets.assets.stage import Table
from synth_assets.evaluation import in_context
from synth_assets.generation import prompts
from synth_assets.generation.steps import parsed
from synth_assets.protocols import Completes, Message
from synth_assets.recipe import Recipe
from synth_assets.recipe_sections import InContext
from synth_assets.selection.select import ranked

NOTHING = "no rows"
SETS = ("seeds", "generations", "filtered")
ANSWERED = ("ok", "truncated", "refused")  # a text that was cut may hold the answer; a refusal is wrong


def measured(recipe: Recipe, sets: Mapping[str, Table], seeds: Table, model: Completes) -> Table:
    """Metric rows of what the model answers with the rows of each set, and with none."""
    wanted = recipe.metrics.in_context
    assert wanted
    test = test_rows(recipe, wanted, seeds)
    gold = [in_context.right(wanted.by, value) for value in test[wanted.answer]]
    return in_context.taught(wanted.by, answers(recipe, wanted, sets, test, model), gold, _run)


def answers(
    recipe: Recipe, wanted: InContext, sets: Mapping[str, Table], test: Table, model: Completes
) -> dict[str, list[str | None]]:
    """Set -> an answer a test row, None where the model gave none."""
    found = {}
    known = {name: rows[rows[wanted.answer].notna()] for name, rows in sets.items() if name in SETS}
    for name, rows in {NOTHING: None, **{n: r for n, r in known.items() if len(r)}}.items():
        questions = list(_questions(recipe, wanted, rows, test, model.api))
        said = model.complete(questions, wanted.sampling(), ["in context"] * len(questions))
        one_line = "\n" in wanted.stop
        found[name] = [
            parsed(answer, None, one_line)["text"] or "" if answer.outcome in ANSWERED else None
            for answer in said
        ]
    return found


def _questions(
    recipe: Recipe, wanted: InContext, rows: Table | None, test: Table, api: str
) -> Iterator[Sequence[Message]]:
    """A prompt a test row. All that it may say of the row itself is not the answer."""
    common, told = recipe.task.fields(), recipe.shown_fields
    each: list[list[dict[str, Any]]] = [[] for _ in range(len(test))]
    if rows is not None:
        each = in_context.shown(rows[["row_id", *told]], len(test), wanted.k, recipe.seed)
    for row, shown in zip(
        test[[n for n in told if n != wanted.answer]].to_dict("records"), each, strict=True
    ):
        text = prompts.render(wanted.template, {**common, **row, "demonstrations": shown})
        under = wanted.prompt is not None
        yield prompts.chat(text, recipe.task.role) if under else prompts.completion(text, api)


def test_rows(recipe: Recipe, wanted: InContext, seeds: Table) -> Table:
    """The real rows that are asked: `wanted.rows` of those of which it is known what is right."""
    test = seeds[(seeds["split"] == "test") & seeds[wanted.answer].notna()]
    drawn = ranked(test["row_id"], recipe.seed, "in context")[: wanted.rows]
    return test[test["row_id"].isin(drawn)].reset_index(drop=True)


def _run(programs: Sequence[str]) -> list[bool]:
    return [ran.ok for ran in run_many(programs)]
