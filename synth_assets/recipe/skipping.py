"""What a step's `when` needs around it in the recipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from synth_assets.contracts.section import wrong
from synth_assets.core.errors import unknown

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe


def skipping(recipe: Recipe) -> Iterator[ValueError]:
    """Rows that the last step is not asked for have a text all the same, which `otherwise` names."""
    for name, step in recipe.steps.items():
        place = ("steps", name, "otherwise")
        if step.when is None:
            if step.otherwise is not None:
                yield wrong("it is the text of rows that `when` leaves out: write `when`, too", *place)
        elif name != "text":
            if step.otherwise is not None:
                why = f"where {name} is not asked, it is empty: leave it out, or write it at the last step"
                yield wrong(why, *place)
        elif recipe.task.annotate:
            why = "every text that is annotated needs an answer: choose texts by `task.annotate.where`"
            yield wrong(why, "steps", name, "when")
        elif (known := _texts(recipe)) and step.otherwise is None:
            texts = ", ".join(known)
            why = f"rows that are not asked need a text: add `otherwise:` and one of {texts}"
            yield wrong(why, "steps", name, "when")
        elif not known:
            why = "rows that are not asked need a text, and nothing before this step has one: leave it out"
            yield wrong(why, "steps", name, "when")
        elif step.otherwise not in known:
            yield wrong(unknown("column of texts", step.otherwise, known), *place)


def _texts(recipe: Recipe) -> list[str]:
    """What may be the text of a row: conditions and earlier answers that are texts."""
    found = [name for name, kind in recipe.condition_columns.items() if kind == "string"]
    for name, step in list(recipe.steps.items())[:-1]:
        schema = step.answer_schema
        columns = schema.columns if schema else None
        found += [name] if columns is None else [f"{name}.{c}" for c, k in columns.items() if k == "string"]
    return found
