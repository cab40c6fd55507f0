"""Condition values from rows: a seed or a kept row, fields of it, and what a field of the seeds has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema, model_validator

from synth_assets.contracts.provider import Around, Draw, Earlier, Pool, Weights, number_of, of_last
from synth_assets.core.errors import UserError, unknown
from synth_assets.core.values import missing, plain_value
from synth_assets.generation.conditions.turns import Turns
from synth_assets.selection.select import ranked

Split = Literal["demonstration", "validation", "unlabeled"]
SHORT = {  # `rows: {from: validation, by: error, top: 50}` says in one place what the other fields say
    "anyOf": [
        {"enum": ["seeds", "kept"], "type": "string"},
        {
            "type": "object",
            "required": ["from"],
            "additionalProperties": False,
            "properties": {
                "from": {"enum": ["kept", "demonstration", "validation", "unlabeled"]},
                "by": {"type": "string"},
                "top": {"type": "integer", "minimum": 1},
                "rounds": {"anyOf": [{"enum": ["last", "all"]}, {"type": "integer", "minimum": 1}]},
                "label": {"enum": ["same", "other", "any"]},
            },
        },
    ]
}
TAKEN = "taken"  # beside a condition's name: id of the row that it took last


class Rows(Draw):
    """The text of a row as a condition: a seed, or a row that an earlier round kept. Each is taken before any
    is taken twice (annotation, Evol-Instruct, DataTune). `label`: the row's own, another one, or any.

    By a signal, the rows that it is highest of in the last round that has it are taken: `{rows: {from:
    validation, by: error, top: 50}}` (S3, Wang et al. 2023). Those that it is 0 of, or less, are left out as
    long as there are others. The first round knows no signal yet, and takes all rows. The column NAME_signal
    has the value of the row that was taken, for templates: `{% if misread_signal %}`.
    """

    name = "rows"
    newer = ("by", "top", "rounds")
    in_turn = True
    remembers = True
    rows: Annotated[Literal["seeds", "kept"], WithJsonSchema(SHORT)]
    """Your seeds, or what earlier rounds kept."""
    split: Split = "demonstration"
    """Of the seeds."""
    label: Literal["same", "other", "any"] = "any"
    """Of the rows, against the row's own."""
    by: str | None = None
    """A signal: only rows that it is highest of."""
    top: int | None = Field(default=None, ge=1)
    """So many of them; by default all that it is more than 0 of."""
    rounds: Earlier = "all"
    """Of kept rows: of the last round that kept any, of so many, or of all."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """`rows: {from: ..., by: ...}` is short for `rows`, `split`, `by` and `top`."""
        if not isinstance(value, Mapping) or not isinstance(value.get("rows"), Mapping):
            return value
        said = dict(value["rows"])
        rest = {name: of for name, of in value.items() if name != "rows"}
        if set(said) - {"from", "by", "top", "label", "rounds"} or "from" not in said:
            raise ValueError("`rows` is written as `{from: validation, by: error, top: 50}`")
        if "split" in rest or set(said) & set(rest):
            raise ValueError("`rows` says it already: write it in one place")
        origin = said.pop("from")
        where = {"rows": "kept"} if origin == "kept" else {"rows": "seeds", "split": origin}
        return {**rest, **where, **said}

    @model_validator(mode="after")
    def _by(self) -> Rows:
        if self.top is not None and self.by is None:
            raise ValueError("`top` goes with `by`: name a signal, as error")
        if "rounds" in self.model_fields_set and not self.takes_kept:
            raise ValueError("`rounds` goes with `rows: kept`: seeds are of no round")
        return self

    @property
    def takes_kept(self) -> bool:
        return self.rows == "kept"

    @property
    def last(self) -> int | None:
        return number_of(self.rounds)

    @property
    def signal(self) -> str | None:
        return self.by

    @property
    def beside(self) -> Mapping[str, str]:  # type: ignore[override]
        return {} if self.by is None else {"signal": "double"}

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
            until = ", and until a round has kept some, seeds are taken" if self.takes_kept else ""
            why = f"there is no row of {self.rows} to take ({self.split}, {self.label}){until}"
            raise UserError(f"conditions.{name}: {why}: give `seeds` rows of {self.split}.")
        texts = dict(zip(table["row_id"], table["text"], strict=True))
        return texts if self.by is None else self._top(texts, around.signals(self.by))

    def about(self, value: Any, around: Around) -> Mapping[str, Any]:
        """What the signal is of a row with this text."""
        return {
            "signal": around.once(("signal", self.rows, self.by), partial(self._of_texts, around)).get(value)
        }

    def _of_texts(self, around: Around) -> dict[str, float]:
        """Text -> the highest value of its rows."""
        found: dict[str, float] = {}
        table, values = around.rows.get(self.rows), around.signals(str(self.by))
        if table is None:
            return found
        for row, text in zip(table["row_id"], table["text"], strict=True):
            if row in values:
                found[text] = max(values[row], found.get(text, values[row]))
        return found

    def _top(self, texts: dict[str, str], values: Mapping[str, float]) -> dict[str, str]:
        """Those that the signal is highest of; all, where it is known of none."""
        known = sorted((row for row in texts if row in values), key=lambda row: (-values[row], row))
        positive = [row for row in known if values[row] > 0]
        return {row: texts[row] for row in (positive or known)[: self.top]} or texts

    def _table(self, around: Around) -> Any:
        table = around.rows.get(self.rows)
        if table is None or table.empty:
            table = around.rows["seeds"]
        elif self.takes_kept:
            table = of_last(table, self.last)
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
