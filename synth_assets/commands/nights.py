"""`synth nights`: how far each night's round is, what failed and why, and what happens next."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from synth_assets.commands.options import recipe_named
from synth_assets.commands.output import add_json

if TYPE_CHECKING:
    from synth_assets.assets.keeper import Night
    from synth_assets.recipe.recipe import Recipe


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--last", type=int, default=14, metavar="N", help="the last N rounds; default: 14")
    add_json(parser)


def command(options: argparse.Namespace) -> int:
    """Exit code 0: each of them is whole, or goes on by itself; 1: one needs somebody."""
    recipe = recipe_named(options.name)

    from synth_assets.assets.code_location import stage_assets
    from synth_assets.assets.in_process import dagster_instance
    from synth_assets.assets.nightly import keep

    with dagster_instance() as instance:
        nights = keep(recipe, instance, stage_assets(recipe)).last(options.last)
    found = [{**row, "cost": cost, "rows": rows} for row, rows, cost in _rows(recipe, nights)]
    options.out.give(recipe=recipe.name, nights=found)
    if not found:
        options.out.lines([f"{recipe.name} has no rounds yet. To make one: synth run {recipe.name}"])
    for row in found:
        money = "" if row["cost"] is None else f"${row['cost']:,.4f}"
        kept = "" if row["rows"] is None else f"{row['rows']:,} rows"
        options.out.lines([f"{row['round']}  {row['state']:18}{kept:>12}{money:>12}  {row['why']}".rstrip()])
        if row["state"] not in ("whole", "stale"):
            options.out.lines([f"            {row['next']}"])
    return int(any(night.state in ("failed", "over budget") and night.again is None for night in nights))


def _rows(recipe: Recipe, nights: list[Night]) -> Iterator[tuple[dict[str, Any], int | None, float | None]]:
    """What is known of each night: its state, rows that were kept, and what its calls cost."""
    from synth_assets.resources.home import lake

    for night in nights:
        place, rows, cost = {"round": night.round}, None, None
        if lake().has(recipe.name, "filtered", place):
            rows = lake().table(recipe.name, "filtered", place, ["row_id"]).num_rows
        costs = [
            value
            for asked in lake().partitions(recipe.name, "calls", ("used_by", "round", "cell"), **place)
            for value in lake().table(recipe.name, "calls", asked, ["cost"])["cost"].to_pylist()
        ]
        if costs and None not in costs:
            cost = sum(costs)
        said = {"round": night.round, "state": night.state, "why": night.why}
        yield {**said, "next": night.what_next(recipe)}, rows, cost
