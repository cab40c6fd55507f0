"""`synth clean`: say what nobody needs any more, and what a night takes on disk; remove it with --yes.

The answers of the call log stay: what was paid comes back free.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.commands.options import as_day, as_days, recipes_named
from synth_assets.core.errors import UserError
from synth_assets.recipe.columns import STAGES
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources import home
from synth_assets.resources.storage.lake import Lake, Partition
from synth_assets.stages.tables import marked, stages, version_made

if TYPE_CHECKING:
    from synth_assets.assets.states import DagsterInstance

ORPHAN, GONE, OLD = "orphaned", "of a recipe that is gone", "old round"
TEXTS, LEFT = "texts of rejected rows", "left by a killed process"
VECTORS = "vectors of texts"  # a cache of the whole home
PAGE = "report"  # the stage whose files are pages beside the lake
PLAN = "plan"  # the asset that has no files, which a round begins with


@dataclass(frozen=True)
class Removal:
    """One file that goes, or (TEXTS) is written again without some texts."""

    kind: str
    recipe: str
    stage: str
    partition: Partition
    place: str
    bytes: int
    rows: int = 0

    @property
    def round(self) -> str | None:
        """The round that it belongs to, if it belongs to one."""
        return self.partition.get("round")


def orphans(recipe: Recipe, lake: Lake) -> Iterator[Removal]:
    """Partitions of stages and cells that the recipe no longer has."""
    known, cells = stages(recipe), {*recipe.cells, "all"}
    for removal in _everything(ORPHAN, recipe.name, lake):
        stage, place = removal.stage, removal.partition
        if not {stage, place.get("used_by", stage)} <= {*known} or place.get("cell", "all") not in cells:
            yield removal


def gone(names: Collection[str], lake: Lake) -> Iterator[Removal]:
    """Everything of the recipes that are not among these names."""
    for name in lake.recipes():
        if name not in names:
            yield from (*_everything(GONE, name, lake), *_pages(GONE, name))


def old_rounds(recipe: Recipe, lake: Lake, keep: int | None, before: str | None) -> Iterator[Removal]:
    """Rounds but the latest `keep`, or before a day."""
    rows = list(_everything(OLD, recipe.name, lake))
    rounds = sorted({removal.round for removal in rows if removal.round})
    latest = rounds if keep is None else rounds[-keep:]
    old = {round_ for round_ in rounds if round_ not in latest or round_ < (before or "")}
    yield from (removal for removal in (*rows, *_pages(OLD, recipe.name)) if removal.round in old)


def rejected_texts(recipe: Recipe, lake: Lake) -> Iterator[Removal]:
    """Texts of rows that are in no set, and the reports, which quote them. Reasons and calls stay."""
    for stage, partition in lake.everything(recipe.name):
        if stage == "rejected" or stage in recipe.step_stages:
            table = lake.table(recipe.name, stage, partition)
            rows = _without_texts(table)["text"].null_count - table["text"].null_count
            if rows:
                at = recipe.name, stage, partition
                yield Removal(TEXTS, *at, lake.place(*at), lake.size(*at)[1], rows)
    yield from _pages(TEXTS, recipe.name)


def vectors() -> Iterator[Removal]:
    """The cache of the vectors of texts: they are encoded again when they are asked for."""
    for path in sorted((home.home() / "vectors").glob("*")):
        yield Removal(VECTORS, "*", path.stem, {}, str(path), path.stat().st_size)


def remove(removals: Iterable[Removal], lake: Lake, instance: DagsterInstance) -> Iterator[str]:
    """Remove them, and tell Dagster which partitions are no longer there. What a run may be writing stays;
    yields a line on each of those."""
    from synth_assets.assets.dagster_internals import forget, rounds_at_work

    busy = rounds_at_work(instance)
    wiped: dict[tuple[str, str], list[Partition]] = {}
    for removal in removals:
        place, rounds = (removal.recipe, removal.stage, removal.partition), busy.get(removal.recipe, set())
        if None in rounds or removal.round in rounds:
            yield f"{removal.place} is left: a run is at work on it."
        elif removal.kind == LEFT:
            lake.discard(removal.place)
        elif removal.kind == VECTORS:
            Path(removal.place).unlink(missing_ok=True)
        elif removal.kind == TEXTS and removal.stage != PAGE:
            table = lake.table(*place)
            lake.write(*place, marked(_without_texts(table), version_made(table)))
        else:
            if removal.stage == PAGE:
                page = Path(removal.place)
                page.unlink(missing_ok=True)
                home.shared(page.parent, page.name, changed=True)
            else:
                lake.remove(*place)
            if removal.round:
                lake.looks.forget(removal.recipe, removal.round)
            wiped.setdefault((removal.recipe, removal.stage), []).append(removal.partition)
            if removal.round and removal.kind in (GONE, OLD):  # of a round that goes, its plan does
                plans = wiped.setdefault((removal.recipe, PLAN), [])
                if {"round": removal.round} not in plans:
                    plans.append({"round": removal.round})
    for (recipe, stage), partitions in wiped.items():
        forget(instance, recipe, stage, partitions)
    lake.tidy(at_work=busy)


def report(removals: Sequence[Removal]) -> Iterator[str]:
    """Files, rows and bytes by kind and stage."""
    groups: dict[tuple[str, str, str], list[Removal]] = {}
    for removal in removals:
        groups.setdefault((removal.kind, removal.recipe, removal.stage), []).append(removal)
    yield f"{'what':26}{'stage':40}{'files':>8}{'rows':>12}{'bytes':>14}"
    for (kind, recipe, stage), group in groups.items():
        rows, size = sum(r.rows for r in group), sum(r.bytes for r in group)
        yield f"{kind:26}{f'{recipe}.{stage}':40}{len(group):>8,}{rows:>12,}{size:>14,}"


def _pages(kind: str, recipe: str) -> Iterator[Removal]:
    for path in sorted(home.shared(home.reports(recipe)).glob("*.html")):
        yield Removal(kind, recipe, PAGE, {"round": path.stem}, str(path), path.stat().st_size)


def _everything(kind: str, recipe: str, lake: Lake) -> Iterator[Removal]:
    """All partitions of the recipe, also of stages that it no longer has."""
    for stage, partition in lake.everything(recipe):
        rows, size = lake.size(recipe, stage, partition)
        yield Removal(kind, recipe, stage, partition, lake.place(recipe, stage, partition), size, rows)


def _without_texts(table: pa.Table) -> pa.Table:
    """The table without the texts of rows that were not accepted; without any where none says so."""
    keep = table["accepted"] if "accepted" in table.column_names else pa.scalar(False)
    text = pc.if_else(keep, table["text"], pa.scalar(None, pa.string()))
    return table.set_column(table.column_names.index("text"), "text", text).combine_chunks()


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="default: all recipes")
    parser.add_argument("--keep-rounds", type=int, metavar="N", help="old rounds: all but the latest N")
    parser.add_argument("--before", metavar="DATE", type=as_day, help="old rounds: those before this day")
    parser.add_argument(
        "--older-than",
        metavar="90d",
        type=as_days,
        help="what is older of Dagster's runs, logs and ticks, prompts that the lake has too, and rounds "
        "beyond `schedule: {keep: N}` of their recipe",
    )
    parser.add_argument("--rejected-texts", action="store_true", help="texts of rejected rows; reasons stay")
    parser.add_argument("--gone", action="store_true", help="all rows of recipes whose YAML is gone")
    parser.add_argument(
        "--vectors", action="store_true", help="the cache of the vectors of texts, which are encoded again"
    )
    parser.add_argument("--yes", action="store_true", help="do it")


def command(options: argparse.Namespace) -> None:
    lake = home.lake()
    removals = list(_removals(options, lake))
    if options.vectors or any(
        removal.kind in (GONE, TEXTS) for removal in removals
    ):  # whose texts go for good
        removals += vectors()
    found = list(report(removals)) if removals else []
    if options.older_than is None:
        _finish(options, lake, removals, found)
        return
    from synth_assets.assets.dagster_internals import rounds_at_work
    from synth_assets.assets.history import history
    from synth_assets.assets.history import remove as remove_history
    from synth_assets.assets.in_process import dagster_instance

    before, log = datetime.now(UTC) - timedelta(days=options.older_than), home.call_log()
    prompts, size = log.prompts(_held(lake), before.isoformat())
    with dagster_instance() as instance:
        old = history(instance, before)
        found += [
            f"{len(old.runs):>8,} runs of Dagster's, logs of {len(old.logs):,} more: {old.bytes:,} bytes",
            f"{old.ticks:>8,} ticks of schedules and sensors",
            f"{prompts:>8,} prompts of the call log, which the lake has too: {size:,} bytes",
        ]
        _finish(options, lake, removals, found, more=bool(old or prompts))
        if options.yes:
            remove_history(instance, old, home.home())
            if rounds_at_work(instance):  # which write the prompts into the lake when they end
                print("Prompts of the call log stay this time: runs are at work.")
            else:
                log.put_away(_held(lake), before.isoformat())


def _finish(
    options: argparse.Namespace,
    lake: Lake,
    removals: Sequence[Removal],
    found: Sequence[str],
    more: bool = False,
) -> None:
    """Say what was found, remove the files if that is wanted, and say what is on disk."""
    print("\n".join(found) if removals or more else "nothing to remove.")
    if options.yes and removals:
        from synth_assets.assets.in_process import dagster_instance

        with dagster_instance() as instance:
            left = list(remove(removals, lake, instance))
        print("\n".join(["", *left, f"removed {len(removals) - len(left):,} of {len(removals):,}."]))
    if options.yes and (removals or more):
        print("The answers of the call log stay: what was paid comes back free when it is made again.")
    elif removals or more:
        print("\nnothing was removed: add --yes to do it. The answers of the call log stay in any case.")
    print(f"\n{home.on_disk()}")


def _held(lake: Lake) -> Iterator[str]:
    """The calls whose prompts are in the lake, in files that are as they should be."""
    for recipe in lake.recipes():
        for place in lake.partitions(recipe, "calls", STAGES["calls"]):
            with suppress(UserError):  # damaged
                calls = lake.table(recipe, "calls", place, ["call_id", "messages"])
                yield from (call["call_id"] for call in calls.to_pylist() if call["messages"])


def _removals(options: argparse.Namespace, lake: Lake) -> Iterator[Removal]:
    before, keep = options.before, options.keep_rounds
    if keep is not None and keep < 1:
        raise UserError(f"--keep-rounds {keep}: keep at least one round.")
    yield from (Removal(LEFT, name, stage, {}, at, size) for name, stage, at, size in lake.unfinished())
    if options.gone:
        if not home.recipes().is_dir():
            raise UserError(f"--gone: there is no folder {home.recipes()}: set SYNTH_RECIPES.")
        yield from gone([path.stem for path in home.recipes().glob("*.yaml")], lake)
    for recipe in recipes_named(options.name):
        if keep or before:
            yield from old_rounds(recipe, lake, keep, before)
        elif options.older_than is not None and recipe.nightly and recipe.nightly.keep:
            yield from old_rounds(recipe, lake, recipe.nightly.keep, None)
        if options.rejected_texts:
            yield from rejected_texts(recipe, lake)
        if not (keep or before or options.rejected_texts or options.gone or options.vectors):
            yield from orphans(recipe, lake)
