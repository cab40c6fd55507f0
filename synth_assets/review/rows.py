"""The rows of a round as people are shown them, what each is worth, and rows whose answer is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from synth_assets.annotation.people import pairs_to_judge
from synth_assets.contracts.decision import GOLD, text_id
from synth_assets.core.errors import UserError
from synth_assets.selection.select import ranked
from synth_assets.stages import tables
from synth_assets.stages.splits import gold

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_assets.recipe.recipe import Recipe
    from synth_assets.resources.storage.lake import Lake

PAIRS = 200  # that people compare, where no judge says how many
Worth = dict[str, float | None]


@dataclass(frozen=True)
class Item:
    """What is shown: one text or two, and around it what a rating needs. `suggestion` is what the row has,
    `explanation` why; of a hidden row `known` is the right answer."""

    row_id: str
    texts: tuple[str, ...]
    around: Mapping[str, str]
    suggestion: Any = None
    explanation: str = ""
    known: Any = None
    draw: str = ""  # of a hidden row; others have the queue's

    @cached_property
    def text_id(self) -> str:
        return text_id(*self.texts)


class Rows:
    """The kept rows of a round. Their texts stay in Arrow, which holds 100,000 of them in little space."""

    def __init__(self, recipe: Recipe, lake: Lake, round_: str) -> None:
        self.recipe, self.round, self._lake = recipe, round_, lake
        self._table: Any = lake.table(recipe.name, "filtered", {"round": round_}, self._columns())
        ids = self._table["row_id"].to_pylist()
        self._at = {row_id: n for n, row_id in enumerate(ids)}

    def _columns(self) -> list[str]:
        task, wanted = self.recipe.task, ["row_id", "text", "label", "explanation", *self._around()]
        wanted += [*filter(None, [task.pair]), *(task.predict.columns if task.predict else [])]
        wanted += ["answers", "confidence"] if task.annotate else []
        return [*wanted, "annotator_labels", "label_agreement"]

    def _around(self) -> list[str]:
        """A label is given by the text alone: what was asked for might tell it."""
        review, known = self.recipe.review, {"text", "label", self.recipe.task.pair}
        if review is None or review.ask != "rating":
            return []
        return [name for name in self.recipe.row_columns if name not in known]

    def worth(self) -> Worth:
        """Row id -> what its answer is worth by the recipe's `review.by`; None where that is not known."""
        assert self.recipe.review is not None
        found: Worth = dict.fromkeys(self._at)
        return (
            found
            | {"disagreement": self._disagreement, "influence": self._influence}.get(
                self.recipe.review.by, self._unsure
            )()
        )

    def _disagreement(self) -> Worth:
        """The share of annotators that say something else than most of them; of one alone, how little likely
        it holds the row's label."""
        for several in ("annotator_labels", "answers"):
            if several in self._table.column_names:
                split = {i: _split(said) for i, said in self._column(several)}
                if any(value is not None for value in split.values()):
                    return split
        if "label_agreement" in self._table.column_names:
            return {i: _less(p) for i, p in self._column("label_agreement")}
        return self._unsure()

    def _column(self, name: str) -> Iterator[tuple[str, Any]]:
        return zip(self._at, self._table[name].to_pylist(), strict=True)

    def _unsure(self) -> Worth:
        """How unlikely the label is, by `labelled` or the annotator; those that people gave are left out."""
        rows = self._of("labelled", ["row_id", "confidence", "label_source"])
        if rows is None and "confidence" in self._table.column_names:
            return {i: _less(p) for i, p in self._column("confidence")}
        if rows is None:
            return {}
        columns = (rows[name].to_pylist() for name in ("row_id", "confidence", "label_source"))
        return {
            i: 1 - p
            for i, p, source in zip(*columns, strict=True)
            if p is not None and source != "human" and i in self._at
        }

    def _influence(self) -> Worth:
        """How far the row moves a student that learns it: its weight times how unlikely its label is, the
        size of the gradient of the loss at that label."""
        rows, unsure = self._of("weighted", ["row_id", "weight"]), self._unsure()
        if rows is None:
            return unsure
        weights = dict(zip(rows["row_id"].to_pylist(), rows["weight"].to_pylist(), strict=True))
        return {i: None if p is None else p * (weights.get(i) or 0.0) for i, p in unsure.items()}

    def _of(self, stage: str, columns: list[str]) -> pa.Table | None:
        place = {"round": self.round}
        if not self._lake.has(self.recipe.name, stage, place):
            return None
        return self._lake.table(self.recipe.name, stage, place, columns)

    def item(self, row_id: str) -> Item | None:
        """The row of this id, or a hidden one; None where there is none."""
        if (at := self._at.get(row_id)) is None:
            return self.hidden.get(row_id)
        row = {name: self._table[name][at].as_py() for name in self._table.column_names}
        around = {name: str(row[name]) for name in self._around() if row.get(name) not in (None, "")}
        suggestion = self._value(row) if self.recipe.review and self.recipe.review.ask == "label" else None
        suggestion = self._machine.get(row_id, suggestion)
        return Item(row_id, self._texts(row), around, suggestion, row.get("explanation") or "")

    @cached_property
    def _machine(self) -> dict[str, str | None]:
        """Row id -> the label that `labelled` gives it without people, where that was made."""
        rows = self._of("labelled", ["row_id", "machine_label"]) if self.recipe.labels else None
        if rows is None or "machine_label" not in rows.column_names:
            return {}
        return dict(zip(rows["row_id"].to_pylist(), rows["machine_label"].to_pylist(), strict=True))

    def _texts(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        pair = self.recipe.task.pair
        return tuple(str(row.get(name) or "") for name in ("text", *filter(None, [pair])))

    def _value(self, row: Mapping[str, Any]) -> Any:
        """The label of a row or seed, as a decision would have it."""
        if (target := self.recipe.task.predict) is None:
            return row.get("label")
        value = target.known_of({**dict.fromkeys(target.columns), **row})
        if value is not None and target.word == "spans":
            return [[span.start, span.end, span.kind] for span in value]
        return value

    @cached_property
    def hidden(self) -> dict[str, Item]:
        """Seeds whose label is known, in the order in which everybody gets them."""
        recipe = self.recipe
        if recipe.review is None or recipe.review.ask != "label" or not recipe.review.gold:
            return {}
        if not self._lake.has(recipe.name, "seeds", {}):
            return {}
        rows = gold(self._lake.read(recipe.name, "seeds", [{}], tables.schema(recipe, "seeds")))
        by_id = {
            row["row_id"]: row for row in rows.astype(object).where(rows.notna(), None).to_dict("records")
        }
        order = ranked([i for i, row in by_id.items() if self._value(row) is not None], recipe.seed, GOLD)
        return {i: Item(i, self._texts(by_id[i]), {}, known=self._value(by_id[i]), draw=GOLD) for i in order}


class Pairs(Rows):
    """Pairs of a row of this round and one of the round measured before it, sides drawn."""

    def __init__(self, recipe: Recipe, lake: Lake, round_: str, before: str | None) -> None:
        from synth_assets.evaluation.judging import drawn_pairs

        if before is None:
            raise UserError(
                f"{recipe.name} has no round before {round_} that was measured: pairs are of two rounds."
            )
        self.recipe, self.round, self._lake = recipe, round_, lake
        schema = tables.schema(recipe, "filtered")
        now, then = (lake.read(recipe.name, "filtered", [{"round": r}], schema) for r in (round_, before))
        judge = recipe.metrics.judge
        drawn = drawn_pairs(now, then, judge.rows if judge else PAIRS)
        self._pairs = {
            f"{row.first_id}/{row.second_id}": (row.first, row.second)
            for row in pairs_to_judge(drawn, len(drawn)).itertuples()
        }

    def worth(self) -> Worth:
        """All of them were drawn at random."""
        return dict.fromkeys(self._pairs)

    def item(self, row_id: str) -> Item | None:
        """The pair of these ids, in the order in which it is shown."""
        texts = self._pairs.get(row_id)
        return texts and Item(row_id, texts, {})


def _less(likely: float | None) -> float | None:
    return None if likely is None else 1 - likely


def _split(said: list[str | None] | None) -> float | None:
    """One answer alone disagrees with nothing, and says nothing."""
    known = [label for label in said or () if label is not None]
    return 1 - Counter(known).most_common(1)[0][1] / len(known) if len(known) > 1 else None
