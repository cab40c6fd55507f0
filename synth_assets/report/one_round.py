"""One round as a report sees it, which round is the latest, and where its page is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.core.days import today
from synth_assets.core.errors import UserError
from synth_assets.evaluation.verdict import sentence
from synth_assets.resources.home import home, lake, reports, shared
from synth_assets.resources.storage.quoted import identifier
from synth_assets.resources.storage.warehouse import Warehouse
from synth_assets.stages import tables

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe
    from synth_assets.report.metrics import Metrics


class Round:
    """One round of a recipe, as the warehouse has it."""

    def __init__(self, recipe: Recipe, warehouse: Warehouse, round_: str) -> None:
        self.recipe, self.day, self._warehouse = recipe, round_, warehouse.held()
        (self.counts,) = self.ask("select * from {recipe}.rounds where round = $round")

    def ask(self, sql: str, **given: Any) -> list[dict[str, Any]]:
        """Rows of a query about {recipe} and $round, by default this one."""
        return ask(self._warehouse, self.recipe.name, sql, **{"round": self.day, **given})

    def data(self) -> dict[str, Any]:
        """What is known of it, for programs: counts of rows, metrics, and what its calls cost."""
        of = {"recipe": self.recipe.name, "round": self.day, "rows": self.counts}
        cost = self.ask("select * from {recipe}.cost where round = $round")
        return {**of, "verdict": self.verdict(), "metrics": self.metrics(), "cost": cost}

    def verdict(self) -> str:
        """What the metrics come to, in one sentence."""
        return sentence(self.recipe, self.metrics(), self.day)

    def metrics(self, **given: str) -> list[dict[str, Any]]:
        """What was measured of a round, by default of this one."""
        return self.ask("select * from {recipe}.metrics where round = $round", **given)


def latest_verdict(recipe: Recipe, warehouse: Warehouse, round_: str | None = None) -> str:
    """The verdict on the last round, up to this one, that has metrics."""
    sql = "select max(round)::varchar as day from {recipe}.metrics where round <= $round"
    (found,) = ask(warehouse, recipe.name, sql, round=round_ or "9999-12-31")
    if not found["day"]:
        return sentence(recipe, [], "")
    return Round(recipe, warehouse, found["day"]).verdict()


def ask(warehouse: Warehouse, recipe: str, sql: str, **given: Any) -> list[dict[str, Any]]:
    """Rows of a query about {recipe}, as JSON can hold them."""
    answer = warehouse.query(sql.replace("{recipe}", identifier(recipe)), given)
    return [
        {n: v.isoformat() if isinstance(v, date) else v for n, v in zip(answer.columns, row, strict=True)}
        for row in answer.fetchall()
    ]


@cache
def query(name: str) -> str:
    """The SQL of a file of report/queries."""
    return (Path(__file__).parent / "queries" / f"{name}.sql").read_text(encoding="utf-8")


def by_name(rows: Iterable[Mapping[str, Any]]) -> Metrics:
    """Rows of metrics by their name and slice; what is no number is unknown."""
    known: Iterable[dict[str, Any]] = (
        {name: None if v != v else v for name, v in row.items()} for row in rows
    )
    return {(r["name"], r["slice"]): (r["value"], r["low"], r["high"], r["n"]) for r in known}


def latest_round(recipe: Recipe, stage: str, asked: str | None = None) -> str:
    """The round that is asked for, or the latest one that has rows of the stage. UserError names those that
    are there."""
    there = must_have_rows(recipe, stage, asked)
    rounds = sorted({place["round"] for place in there})
    if asked and asked not in rounds:
        then = f" {_makes(recipe, asked)} makes it." if _can_be(recipe, asked) else ""
        raise UserError(
            f"{recipe.name}.{stage} has no round {asked}: the latest are {', '.join(rounds[-5:])}.{then}"
        )
    return asked or rounds[-1]


def must_have_rows(recipe: Recipe, stage: str, asked: str | None = None) -> list[dict[str, str]]:
    """The partitions of a stage. UserError where there are none yet, with what makes them (`asked`: a round
    of them)."""
    there = lake().partitions(recipe.name, stage, tables.stages(recipe)[stage])
    there = [place for place in there if place.get("cell", "all") in (*recipe.cells, "all")]
    if there:
        return there
    never = ""
    if asked and not _can_be(recipe, asked):
        never = f" Its rounds are from {recipe.start} to {today(recipe.timezone)}."
    nowhere = "" if home().is_dir() else f" There is no data home at {home()}: is SYNTH_HOME right?"
    raise UserError(
        f"{recipe.name}.{stage} has no rows yet: run {_makes(recipe, asked)} first.{never}{nowhere}"
    )


def _can_be(recipe: Recipe, round_: str) -> bool:
    return recipe.start.isoformat() <= round_ <= today(recipe.timezone)


def _makes(recipe: Recipe, round_: str | None) -> str:
    """The command that makes a round, or today's."""
    of = f" --round {round_}" if round_ and _can_be(recipe, round_) else ""
    return f"`synth run {recipe.name}{of}`"


def place(recipe: str, round_: str) -> Path:
    """Where the page of a round is."""
    return shared(reports(recipe), f"{round_}.html") / f"{round_}.html"
