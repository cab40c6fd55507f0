"""Conditions: one row a request-to-be (Long et al. 2024, section 3.1.1, conditional prompting).

Every choice is made by rank of a hash (see selection): a row keeps its values when rows, values or
seeds are added elsewhere, and so keeps its identity and its paid answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.provider import Around, Draw, Pool, Provider
from synth_assets.core import templates
from synth_assets.core.errors import UserError
from synth_assets.core.identity import row_id
from synth_assets.generation.conditions.demonstrations import demonstrations_of
from synth_assets.generation.conditions.design import draw
from synth_assets.selection.select import pick

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.recipe.recipe import Recipe

PLACE = 3  # seed, round, cell
ATTEMPTS = 50  # draws of a question's values until the constraints allow them


def design(
    recipe: Recipe, seeds: pd.DataFrame, *, round_: str, cell: str, rows: int, around: Around | None = None
) -> pd.DataFrame:
    """The condition table of one cell: `rows` rows, values spread over them by the recipe's design.

    Rows share `sets` sets of `k` demonstrations of the cell's label; neighbouring rows use different
    sets, but for the `samples` rows of one question, which stand together. Raises UserError when there are
    fewer than `k` demonstrations, or no values that the constraints allow.
    """
    import pandas as pd

    label = cell if recipe.labels else None
    of_label = recipe.task.of_label(label)
    around = around or Around(rows={"seeds": seeds})
    questions = list(_questions(recipe, -(-rows // recipe.samples), around, round_, cell))
    place = (recipe.seed, round_, cell)
    shown = [demonstrations_of(recipe, around, i, row, place) for i, row in enumerate(questions)]
    table = []
    for i in range(rows):
        question = i // recipe.samples
        values = {name: questions[question][name] for name in recipe.attributes}
        table.append(
            {
                "row_id": row_id(round_, cell, i, values),
                "round": round_,
                "cell": cell,
                "replicate": i,
                "label": label,
                **values,
                "definition": of_label.get("definition"),
                "verbalizer": of_label.get("verbalizer"),
                "demonstration_set": shown[question][0],
                "demonstration_ids": shown[question][1],
            }
        )
    return pd.DataFrame(table)


def _questions(recipe: Recipe, n: int, around: Around, round_: str, cell: str) -> Iterator[dict[str, Any]]:
    """The values of `n` questions. What the constraints do not allow is drawn again; under a design that
    counts values, the next row of it is taken."""
    place = (recipe.seed, round_, cell)
    counted = iter(_counted(recipe, n * (ATTEMPTS if recipe.constraints else 1), around, place))
    for question in range(n):
        for attempt in range(ATTEMPTS):
            parts = place if not attempt else (*place, f"attempt {attempt}")
            row = _row(recipe, next(counted, {}), around, parts, question, cell)
            if allowed(row, recipe.constraints):
                yield row
                break
        else:
            why = f"none of {ATTEMPTS} draws of values for cell {cell!r} is allowed"
            fix = "loosen them, or list the values that go together with `by`."
            raise UserError(f"constraints: {why}: {fix}")


def _counted(recipe: Recipe, n: int, around: Around, place: Sequence[object]) -> Iterable[dict[str, str]]:
    """Rows of a design that counts values; product draws each value by itself, where the row is made."""
    if recipe.design == "product":
        return ()
    pools: dict[str, Mapping[str, float]] = {}  # of the attributes that have the same values in all rows
    for name, values in recipe.attributes.items():
        if isinstance(values, Mapping) and name != recipe.cell:
            pools[name] = values
        elif isinstance(values, Pool) and not values.depends:
            pools[name] = values.pool(name, {}, around)
    return draw(pools, n, recipe.design, *place)


def _row(
    recipe: Recipe,
    counted: Mapping[str, str],
    around: Around,
    place: Sequence[object],
    question: int,
    cell: str,
) -> dict[str, Any]:
    """The values of one question, attribute by attribute: each may depend on those above it."""
    label = cell if recipe.labels else None
    row: dict[str, Any] = {**recipe.task.fields(), "label": label, **recipe.task.of_label(label)}
    for name, values in recipe.attributes.items():
        in_turn = isinstance(values, Provider) and values.in_turn  # taken whatever the constraints refused
        parts = (*(place[:PLACE] if in_turn else place), question, name)
        if name == recipe.cell:
            row[name] = cell
        elif name in counted:
            row[name] = counted[name]
        elif isinstance(values, Mapping):
            row[name] = pick(values, *parts)
        elif isinstance(values, Pool):
            row[name] = pick(values.pool(name, row, around), *parts)
        elif isinstance(values, Draw):
            row[name] = values.draw(row, around, *parts)
    return row


def allowed(row: Mapping[str, str], rules: Sequence[str]) -> bool:
    """Whether every rule holds: Jinja expressions about the row's values, `tone != "angry" or to == "bank"`.

    Raises UserError, with the rule, when it is no expression or names no value of the row.
    """
    for rule in rules:
        expression = templates.expression(rule)
        try:
            if not expression(**row):
                return False
        except Exception as error:  # an expression is a program: 1 / (length | int) may divide by zero
            known = ", ".join(sorted(row)) or "none"
            raise UserError(f"constraint {rule!r}: {error}. Known values: {known}.") from error
    return True
