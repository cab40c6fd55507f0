"""Stage `reviews`: what people decided about a round's rows, as it holds now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from synth_assets.annotation.votes import written
from synth_assets.contracts.decision import GOLD, Decision, text_id
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages.run import Run, decisions
from synth_assets.stages.stage import Chart, Made, Stage, Table

COLUMNS = (
    *("row_id", "person", "kind", "value", "seconds", "saw_suggestion", "draw", "probability", "note"),
    *("time", "text_id", "decision_id"),
)


def compute(run: Run, filtered: Table) -> Made:
    """What people decided about the rows, after corrections: a person, row and kind a line."""
    import pandas as pd

    ids = {*filtered["row_id"]}
    held = [each for each in decisions(run.recipe.name) if _is_of(each, run.round, ids)]
    texts = read_as(run.recipe, filtered, held)
    count = [each for each in held if counts(run.recipe, each, texts)]
    rows = [
        [written(each.kind, each.value) if name == "value" else getattr(each, name) for name in COLUMNS]
        for each in count
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).assign(round=run.round)
    return Made(table, _numbers(count, len(held) - len(count)))


def _is_of(decision: Decision, round_: str, ids: set[str]) -> bool:
    """A row's id says its round; a seed's and a pair's do not."""
    if decision.draw == GOLD or decision.kind == "choice":
        return decision.round == round_
    return decision.row_id in ids


def read_as(recipe: Recipe, rows: Table, held: list[Decision]) -> dict[str, set[str]]:
    """Row id -> the ids of its text, and of what people made of it."""
    second = recipe.task.pair
    others = dict(zip(rows["row_id"], rows[second], strict=True)) if second else {}

    def read_of(row: str, text: str) -> str:
        return text_id(text, str(others[row] or "")) if row in others else text_id(text)

    texts = zip(rows["row_id"], rows["text"], strict=True)
    found = {row: {read_of(row, text)} for row, text in texts}
    for each in held:
        read = found.get(each.row_id, set())
        if each.kind == "text" and (not each.text_id or each.text_id in read):
            read.add(read_of(each.row_id, each.value))
    return found


def counts(recipe: Recipe, decision: Decision, texts: Mapping[str, set[str]]) -> bool:
    """Whether a decision says something of a row as it is now: of its text, in names that the task has."""
    read = texts.get(decision.row_id)
    if read is not None and decision.text_id and decision.text_id not in read:
        return False
    match decision.kind:
        case "label":
            said = {decision.value}
        case "labels":
            said = {*decision.value}
        case "spans":
            said = {kind for _, _, kind in decision.value}
        case _:
            return True
    return said <= {*recipe.task.definitions}


def _numbers(count: list[Decision], other: int) -> dict[str, Any]:
    """By kind and by person, and how many say nothing of the rows as they are now."""
    return {
        "decisions": Chart("bars", "decisions by kind", Counter(each.kind for each in count)),
        "people": Chart("bars", "decisions by person", Counter(each.person for each in count)),
        "measuring": sum(each.measures for each in count),
        "of_other_texts_or_labels": other,
    }


def stage(recipe: Recipe) -> Stage:
    """The stage of a recipe."""
    return Stage("reviews", compute, reads=["filtered"], sections=["reviews"], foretold=True)
