"""One round as a report sees it, which round is the latest, and where its page is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.core.errors import UserError
from synth_assets.evaluation.metric_rows import Parts, parts_of
from synth_assets.report.metrics import Metrics
from synth_assets.resources.home import reports
from synth_assets.resources.storage.warehouse import Warehouse, identifier

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe


class Round:
    """One round of a recipe, as the warehouse has it."""

    def __init__(self, recipe: Recipe, warehouse: Warehouse, round_: str) -> None:
        self.recipe, self.day, self._warehouse = recipe, round_, warehouse
        (self.counts,) = self.ask("select * from {recipe}.rounds where round = $round")

    def ask(self, sql: str, round_: str | None = None) -> list[dict[str, Any]]:
        """Rows of a query about {recipe} and $round, by default this one."""
        sql = sql.replace("{recipe}", identifier(self.recipe.name))
        answer = self._warehouse.query(sql, {"round": round_ or self.day})
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]

    def slices(self) -> Parts:
        """What the slices of the metrics say."""
        rows = self.ask("select * from {recipe}.metrics where round = $round")
        return parts_of(rows, self.recipe.labels)

    def metrics(self, round_: str | None = None) -> Metrics:
        rows = self.ask("select * exclude (round) from {recipe}.metrics where round = $round", round_)
        return {
            (row["name"], row["slice"]): (row["value"], row["low"], row["high"], row["n"]) for row in rows
        }


def latest_round(recipe: Recipe, warehouse: Warehouse, stage: str, round_: str | None = None) -> str:
    """This round, or the latest one that has rows of the stage. UserError names the rounds that are there."""
    sql = f"select distinct round::varchar from {identifier(recipe.name)}.{identifier(stage)} order by 1"
    rounds = [day for (day,) in warehouse.query(sql).fetchall()]
    if not rounds:
        raise UserError(f"{recipe.name}.{stage} has no rows yet: `synth run {recipe.name}` makes a round.")
    if round_ and round_ not in rounds:
        raise UserError(
            f"{recipe.name}.{stage} has no round {round_}: the latest are {', '.join(rounds[-5:])}. "
            f"`synth run {recipe.name}` makes one."
        )
    return round_ or rounds[-1]


def place(recipe: str, round_: str) -> Path:
    return reports(recipe) / f"{round_}.html"
