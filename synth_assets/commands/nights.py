"""`synth nights`: each night: rows, cost, changes of metrics, what failed and why, and what happens next."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from synth_assets.commands.options import recipe_named
from synth_assets.commands.output import add_json


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--last", type=int, default=14, metavar="N", help="the last N rounds; default: 14")
    add_json(parser)


def command(options: argparse.Namespace) -> int:
    """Exit status 0: each of them is whole, or goes on by itself; 1: one needs somebody."""
    recipe = recipe_named(options.name)

    from synth_assets.assets.code_location import stage_assets
    from synth_assets.assets.in_process import dagster_instance
    from synth_assets.assets.morning import note
    from synth_assets.assets.nightly import keep
    from synth_assets.resources.home import lake, on_disk

    with dagster_instance(reads=True) as instance:
        keeper = keep(recipe, instance, stage_assets(recipe))
        nights = keeper.last(options.last)
        found = note(recipe, lake(), nights)
        late = keeper.late()
    options.out.give(recipe=recipe.name, nights=found, late=late, ended=keeper.ended)
    if not found:
        options.out.lines([f"{recipe.name} has no rounds yet. To make one: synth run {recipe.name}"])
    for row in found:
        options.out.lines(_lines(row))
    options.out.lines([f"{recipe.name} {late}"] if late else [])
    options.out.lines([keeper.ended] if keeper.ended else [])
    options.out.lines(["", on_disk()])
    return int(bool(late) or any(night.needs_somebody for night in nights))


def _lines(row: Mapping[str, Any]) -> Iterator[str]:
    """A night for a person: state, rows, cost, and below it what is not as it should be."""
    cost = "" if row["cost"] is None else f"${row['cost']:,.4f}"
    yield f"{row['round']}  {row['state']:18}{row['made']:28}{cost:>12}".rstrip()
    below = [row["changed"], row["why"], row["next"] if row["why"] or row["state"] != "whole" else ""]
    yield from (f"            {words}" for words in below if words)
