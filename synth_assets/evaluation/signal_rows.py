"""The table `signals`: what the signals say of rows, and of the cells and condition values of those rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from synth_assets.contracts.measure import Look
from synth_assets.contracts.signal import Signal
from synth_assets.core.errors import UserError, unknown
from synth_assets.core.registry import SIGNALS
from synth_assets.core.values import missing, plain_value
from synth_assets.recipe.steering import columns_steered, score_columns

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe


def signalled(name: str, look: Look) -> list[Signal]:
    """What a signal says of a round: a function of this name, or else a column of the kept rows."""
    if name not in SIGNALS.known and name in score_columns(look.recipe):
        found = list(of_rows(look, dict(zip(look.filtered["row_id"], look.filtered[name], strict=True))))
    else:
        said = map(partial(_checked, name, look.recipe), SIGNALS.find(name)(look) or ())
        found = list(_once(name, (each for each in said if each)))
    if all(each.row_id is not None for each in found):
        found += means(look, {str(each.row_id): each.value for each in found})
    return found


def _checked(name: str, recipe: Recipe, said: Any) -> Signal | None:
    """What a function said, which may be one's own; None where it is unknown."""
    if not isinstance(said, Signal):
        why = f"it says {said!r:.80}, which is no `synth_assets.contracts.signal.Signal`"
        raise UserError(f"signal {name}: {why}: yield Signal(value, row_id=...), or of a cell or value.")
    said = Signal(said.value, *(None if missing(of) else of for of in said[1:]))
    if why := _of_nothing(said):
        raise UserError(f"signal {name}: {said!r:.120} {why}.")
    if said.row_id is None and said.cell is not None and said.cell not in recipe.cells:
        raise unknown("cell", said.cell, recipe.cells, f"signal {name}")
    if said.attribute is not None and said.attribute not in {*recipe.attributes, "label"}:
        raise unknown("condition", said.attribute, recipe.attributes, f"signal {name}")
    if missing(said.value):
        return None
    if not isinstance(said.value, int | float | np.number) or not np.isfinite(said.value):
        raise UserError(
            f"signal {name}: it says {said.value!r:.80} of {_of(said)}, which is no finite number."
        )
    return said


def _of_nothing(said: Signal) -> str:
    """Why it is not known what the number is of; empty where it is."""
    for field, of in zip(Signal._fields[1:], said[1:], strict=True):
        if of is not None and not isinstance(of, str):
            return f"names its {field} by {of!r:.40}, which is no text: write str({field})"
    if (said.attribute is None) != (said.attribute_value is None):
        return "names half of a value: give attribute and attribute_value"
    return "" if any(of is not None for of in said[1:]) else "is of nothing: give row_id, cell, or a value"


def _once(name: str, said: Iterable[Signal]) -> Iterator[Signal]:
    """As it was said. UserError where two numbers are said of the same."""
    there: dict[object, float] = {}
    for each in said:
        of = each.row_id if each.row_id is not None else each[1:]
        if of in there:
            numbers = f"{there[of]!r} and {each.value!r}"
            raise UserError(f"signal {name}: it says two numbers of {_of(each)}, {numbers}: yield one.")
        there[of] = each.value
        yield each


def _of(said: Signal) -> str:
    """What the number is of."""
    return said.row_id or " and ".join(of for of in (said.cell, said.attribute_value) if of)


def of_rows(look: Look, values: Mapping[str, Any]) -> Iterator[Signal]:
    """A line a row with a known value."""
    cells = places(look)["cell"].to_dict()
    for row, value in values.items():
        if not missing(value):
            yield Signal(float(value), row, cells.get(row))


def means(look: Look, values: Mapping[str, float]) -> Iterator[Signal]:
    """The mean of each cell's rows, and of the rows that have the same value of an attribute."""
    rows = places(look).assign(signal=pd.Series(values, dtype=float))
    rows = rows[rows["signal"].notna()]
    for cell, mean in rows.groupby("cell")["signal"].mean().items():
        yield Signal(mean, cell=str(cell))
    for attribute in columns_steered(look.recipe):
        for value, mean in rows.groupby(attribute)["signal"].mean().items():
            yield Signal(mean, attribute=attribute, attribute_value=str(value))


def places(look: Look) -> pd.DataFrame:
    """Row id -> cell, and the values of the attributes that are steered: of the kept rows, and of the seeds
    as far as they have such fields."""
    if "places" not in look.shared:
        recipe, seeds = look.recipe, look.seeds
        cells = "label" if recipe.of_labels else recipe.cell if recipe.cell in seeds else None
        of = {"cell": cells or "", **columns_steered(recipe)}
        there = {name: list(seeds[column]) for name, column in of.items() if column in seeds}
        real = pd.DataFrame(there, index=list(seeds["row_id"]), columns=list(of))
        rows = pd.concat([look.filtered.set_index("row_id").reindex(columns=list(of)), real])
        rows = rows.map(lambda value: None if missing(value) else str(plain_value(value)))
        look.shared["places"] = rows[~rows.index.duplicated()]
    found: pd.DataFrame = look.shared["places"]
    return found


def table(round_: str, found: Mapping[str, Iterable[Signal]]) -> pd.DataFrame:
    """Rows of the table `signals`."""
    rows = [{"round": round_, "name": name, **each._asdict()} for name, of in found.items() for each in of]
    return pd.DataFrame(rows, columns=["round", "name", *Signal._fields])
