"""Condition values from rows: a seed or a kept row, fields of it, and what a field of the seeds has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from synth_assets.contracts.provider import Around, Draw, Pool, Weights
from synth_assets.core.errors import UserError, unknown
from synth_assets.core.values import missing, plain_value
from synth_assets.generation.conditions.turns import Turns
from synth_assets.selection.select import ranked

TAKEN = "taken"  # beside a condition's name: id of the row that it took last


class Rows(Draw):
    """The text of a row as a condition: a seed, or a row that an earlier round kept. Each is taken before any
    is taken twice (annotation, Evol-Instruct, DataTune). `label`: the row's own, another one, or any."""

    name = "rows"
    in_turn = True
    remembers = True
    rows: Literal["seeds", "kept"]
    """Your seeds, or what earlier rounds kept."""
    split: Literal["demonstration", "validation", "unlabeled"] = "demonstration"
    """Of the seeds."""
    label: Literal["same", "other", "any"] = "any"
    """Of the rows, against the row's own."""

    @property
    def takes_kept(self) -> bool:
        return self.rows == "kept"

    def draw(self, row: Mapping[str, Any], around: Around, *parts: object) -> str:
        *place, number, name = parts
        texts = around.once((name, row["label"]), lambda: self._texts(row, around, str(name)))
        turns = around.once((*place, name, "turns"), lambda: self._turns(texts, around, place, str(name)))
        order = around.once((*place, name, "order"), list)
        while len(order) <= int(str(number)):
            order.append(turns.take(turns.left[0]))
        around.made[TAKEN, name] = order[int(str(number))]
        return str(texts[order[int(str(number))]])

    def items(self, name: str, around: Around) -> Collection[str]:
        return {*self._table(around)["text"]}

    def _turns(self, texts: Mapping[str, str], around: Around, place: Sequence[object], name: str) -> Turns:
        of: dict[str, list[str]] = {}
        for row, text in texts.items():
            of.setdefault(text, []).append(row)
        before = [row for text in around.taken(name) for row in of.get(text, ())]
        return Turns(texts, lambda rows, turn: ranked(rows, *place, name, turn), before)

    def _texts(self, row: Mapping[str, Any], around: Around, name: str) -> dict[str, str]:
        """Row id -> text of the rows that may be taken; while no round has kept any, of the seeds."""
        table = self._table(around)
        if self.label != "any":
            table = table[(table["label"] == row["label"]) == (self.label == "same")]
        if table.empty:
            why = f"there is no row of {self.rows} to take ({self.split}, {self.label})."
            raise UserError(f"conditions.{name}: {why}")
        return dict(zip(table["row_id"], table["text"], strict=True))

    def _table(self, around: Around) -> Any:
        table = around.rows.get(self.rows)
        table = around.rows["seeds"] if table is None or table.empty else table
        return table[table["split"] == self.split] if "split" in table else table


class FieldOf(Draw):
    """Another field of the row that a condition above took (`rows`): its label, its answer."""

    name = "of"
    of: str
    """The condition above that took a row."""
    field: str
    """The field of that row."""

    def rests_on(self) -> str:
        return self.of

    def column_type(self, fields: Mapping[str, str]) -> str:
        return fields.get(self.field, "string")

    def draw(self, row: Mapping[str, Any], around: Around, *parts: object) -> Any:
        text = row[self.of]
        for name, table in around.rows.items():
            ids, texts = around.once(("places", name), partial(_places, table))
            at = ids.get(around.made.get((TAKEN, self.of)))
            at = at if at is not None and table["text"].iloc[at] == text else texts.get(text)
            if at is not None:
                if self.field not in table:
                    raise unknown("field", self.field, set(table), f"conditions.{parts[-1]}")
                value = table[self.field].iloc[at]
                typed = self.field in around.rows.get("seeds", ())  # as the seeds have it
                return None if missing(value) else plain_value(value) if typed else str(value)
        raise UserError(f"conditions.{parts[-1]}: {self.of} is no row of the seeds or of earlier rounds.")

    def missing(self, row: Mapping[str, Any]) -> str:
        return f"{self.of} has no {self.field}"


def _places(table: Any) -> tuple[dict[str, int], dict[str, int]]:
    """Id -> place of its row, and text -> place of the first row with it."""
    texts: dict[str, int] = {}
    for at, text in enumerate(table["text"]):
        texts.setdefault(text, at)
    return {name: at for at, name in enumerate(table["row_id"])}, texts


class Column(Pool):
    """The values that a field of the seeds has (`seeds.fields`)."""

    name = "column"
    column: str
    """A field of the seeds."""

    def pool(self, name: str, row: Mapping[str, Any], around: Around) -> Weights:
        found = around.rows["seeds"].get(self.column)
        if found is None:
            why = f"{self.column!r} is no field of the seeds: add it to seeds.fields."
            raise UserError(f"conditions.{name}: {why}")
        return dict.fromkeys(sorted({str(plain_value(v)) for v in found if not missing(v)}), 1.0)
