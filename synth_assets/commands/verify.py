"""`synth verify`: is all of the call log and the lake there, and unchanged?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from synth_assets.assets import records
from synth_assets.assets.code_location import stage_assets
from synth_assets.assets.dagster_internals import rounds_at_work
from synth_assets.assets.in_process import dagster_instance, planned, run_round
from synth_assets.assets.known_again import know_again
from synth_assets.assets.made_rounds import MadeRounds
from synth_assets.assets.rounds import RoundFailed
from synth_assets.assets.states import DagsterInstance, versions
from synth_assets.assets.unchanged import Known
from synth_assets.commands.options import recipes_named
from synth_assets.commands.output import Output, add_json
from synth_assets.core.errors import Mistake, UserError
from synth_assets.recipe import columns
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources import home
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.call_log.mending import compare
from synth_assets.resources.call_log.mending import repair as repair_log
from synth_assets.resources.call_log.salvage import salvage
from synth_assets.resources.storage.lake import Lake, Partition
from synth_assets.resources.storage.parts import PARTS, STAGE
from synth_assets.resources.storage.vectors import files
from synth_assets.review.kept import lost as lost_decisions
from synth_assets.stages import tables
from synth_assets.stages.graph import graph


@dataclass(frozen=True)
class Damage:
    """A partition that was made and whose file is missing, damaged, or holds other rows."""

    stage: str
    partition: Partition
    why: str
    readable: bool
    version: str | None = None  # that Dagster knows


def damages(recipe: Recipe, lake: Lake, instance: DagsterInstance) -> Iterator[Damage]:
    """The recipe's partitions that are not on disk as they were made last, or of which Dagster knows nothing
    and that have changed since they were written."""
    asking = {stage.name for stage in graph(recipe) if stage.model is not None and not stage.ahead}
    for _, part in lake.everything(recipe.name, PARTS):
        yield from (replace(damage, readable=False) for damage in _look(recipe, lake, PARTS, part, None))
    for stage, cut in tables.stages(recipe).items():
        known = versions(recipe, stage, instance)
        told = {tuple(sorted(partition.items())) for partition, _ in known}
        for place in lake.partitions(recipe.name, stage, cut) if stage != "calls" else ():
            if (
                tuple(sorted(place.items())) not in told
                and place.get("cell", recipe.cells[0]) in recipe.cells
            ):
                yield from _look(recipe, lake, stage, place, None)
        for partition, version in known:
            yield from _look(recipe, lake, stage, partition, version)
            if stage in asking and "round" in partition:
                place = {"used_by": stage, "cell": "all", **partition}
                place = {column: place[column] for column in columns.STAGES["calls"]}
                yield from _look(recipe, lake, "calls", place, None) or _unnamed(
                    recipe, lake, partition, place
                )


def mixed(recipe: Recipe, lake: Lake, instance: DagsterInstance, log: CallLog) -> Iterator[Damage]:
    """Rounds whose stages do not belong together: one was made again, and what reads it was not. Those at
    which a run is at work are left out."""
    rounds = MadeRounds(Known(recipe, instance, stage_assets(recipe), lake, log, home.encoder()))
    there = {place["round"] for place in lake.partitions(recipe.name, "conditions", ("round", "cell"))}
    for round_ in sorted(there - rounds_at_work(instance).get(recipe.name, set())):
        with suppress(UserError):  # a file is missing or damaged, which is said by itself
            if why := rounds.mixed(round_):
                words = f"{recipe.name}, round {round_}: {why}: `synth run {recipe.name} --round {round_}`."
                yield Damage(why.partition(" ")[0], {"round": round_}, words, readable=True)


def _look(recipe: Recipe, lake: Lake, stage: str, partition: Partition, version: str | None) -> list[Damage]:
    """`version` None: Dagster does not know these rows (the calls behind another stage's)."""
    try:
        table = lake.table(recipe.name, stage, partition)
    except UserError as error:
        at = recipe.name, stage, partition
        shared = stage == STAGE and lake.has(*at) and lake.size(*at)[0] > 0  # what is damaged
        return [Damage(stage, partition, str(error), readable=shared, version=version)]
    if version is not None and tables.version_made(table) != version:
        why = "holds other rows than those that were made last"
    elif not lake.is_as_written(recipe.name, stage, partition):
        why = "has changed since it was written"
    else:
        return []
    return [replace(_changed(recipe, lake, stage, partition, why), version=version)]


def _unnamed(recipe: Recipe, lake: Lake, partition: Partition, place: Partition) -> list[Damage]:
    """The table of the calls behind a partition, where it has not all that the partition's rows name."""
    try:
        rows = lake.table(recipe.name, place["used_by"], partition)
    except UserError:  # which is said by itself
        return []
    named = set[str | None]()
    for column in rows.column_names:
        if column == "call_id":
            named.update(rows[column].to_pylist())
        elif column.endswith("_calls"):
            named.update(call for calls in rows[column].to_pylist() for call in calls or ())
    there = lake.table(recipe.name, "calls", place, ["call_id"])["call_id"].to_pylist()
    if not named - {None, *there}:
        return []
    return [_changed(recipe, lake, "calls", place, "has not all calls behind the rows")]


def _changed(recipe: Recipe, lake: Lake, stage: str, partition: Partition, why: str) -> Damage:
    path = lake.place(recipe.name, stage, partition)
    repair = f"`synth verify {recipe.name} --repair` makes it again from the call log"
    return Damage(stage, partition, f"{recipe.name}.{stage}: {path} {why}: {repair}.", readable=True)


def beside_the_log(recipe: Recipe, lake: Lake, log: CallLog, proves: bool) -> tuple[list[Damage], int]:
    """The recipe's tables of calls that are wrong by the log, and how many calls the log has not as the lake
    has them. `proves`: calls without a digest get theirs where the two agree."""
    wrong, lost = [], 0
    for place in lake.partitions(recipe.name, "calls", columns.STAGES["calls"]):
        found = compare(log, lake, recipe.name, place)
        lost += len(found.missing) + len(found.changed) + len(found.other)
        if found.strange:
            wrong.append(_changed(recipe, lake, "calls", place, "has other answers than the call log"))
        if proves:
            log.prove(found.proven)
    return wrong, lost


def repair(
    recipe: Recipe, found: Sequence[Damage], lake: Lake, instance: DagsterInstance, log: CallLog
) -> Iterator[str]:
    """Make the rounds of these partitions again, the earliest first, as long as the call log has all their
    answers; yields what it does."""
    for damage in found:
        if not damage.readable:
            lake.remove(recipe.name, damage.stage, damage.partition)
    rounds = {damage.partition["round"] for damage in found if "round" in damage.partition}
    if not rounds and {damage.stage for damage in found} != {PARTS}:  # the seeds: any round makes them
        rounds = {p["round"] for p in lake.partitions(recipe.name, "weighted", ["round"])[-1:]}
    for round_ in sorted(rounds):
        of_it = [damage for damage in found if damage.partition.get("round") == round_]
        if of_it and all(d.stage == STAGE for d in of_it) and not any(_again(recipe, lake, d) for d in of_it):
            continue  # it came back with a round before, which has the same rows
        calls = sum(line.calls for line in planned(recipe, round_, instance, lake, log))
        if calls:
            words = f"round {round_} is left as it is: {calls:,} of its calls are not in the call log. "
            yield f"{words}`synth run {recipe.name} --round {round_}` makes and pays them."
        else:
            run_round(recipe, round_, instance, again=True)
            yield f"round {round_} was made again from the call log"


def _again(recipe: Recipe, lake: Lake, damage: Damage) -> list[Damage]:
    """What is still wrong."""
    return _look(recipe, lake, damage.stage, damage.partition, damage.version)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="default: all recipes")
    parser.add_argument("--repair", action="store_true", help="make what is lost again, from the call log")
    add_json(parser)


def command(options: argparse.Namespace) -> int:
    home.needed()
    log, out = _readable_log(options.repair, options.out), options.out
    if options.repair:
        repair_log(log, home.lake())
    wrong = list(map(str, log.verify()))
    count = log.count()
    out.lines(wrong)
    out.lines([f"{count:,} calls in {log.name}, {len(wrong):,} do not hold what their identity stands for"])
    out.wrong(*(Mistake(words, "damaged", file=log.name) for words in wrong))
    if home.is_writable():  # else its databases are read as copies
        records.check(home.home())
    out.lines(_of_vectors(options.repair))
    of_lake = {
        recipe.name: _verify_lake(recipe, log, options.repair, out) for recipe in recipes_named(options.name)
    }
    reviews = sum(_verify_reviews(recipe, options.repair, out) for recipe in recipes_named(options.name))
    missing = sum(calls for _, calls in of_lake.values())
    out.give(calls=count, wrong_calls=len(wrong), missing_calls=missing)
    out.give(lost={name: partitions for name, (partitions, _) in of_lake.items()})
    return 1 if wrong or reviews or any(map(any, of_lake.values())) else 0


def _of_vectors(repairs: bool) -> Iterator[str]:
    """What is damaged of the cache of vectors. It is never used, and so nothing is wrong with the rows."""
    for vectors in files(home.home() / "vectors"):
        if damage := vectors.damage():
            yield f"vectors of texts in {vectors.path}, a cache: {damage}. What is damaged is not used."
            if repairs:
                vectors.remove()
            yield "It was removed." if repairs else "`synth verify --repair` removes the file."


def _verify_reviews(recipe: Recipe, repairs: bool, out: Output) -> int:
    """How many decisions of people are not as they were stored, in the end."""
    if recipe.review is None:
        return 0
    store, lake = home.decisions(), home.lake()
    if damage := store.damage():
        out.lines([damage])
        out.wrong(Mistake(damage, "damaged", file=str(home.home() / "reviews.sqlite")))
        return 1
    gone = lost_decisions(recipe, lake, store)
    if gone and repairs:
        out.lines([f"{recipe.name}: {store.append(*gone):,} decisions of people are back from the lake"])
        gone = lost_decisions(recipe, lake, store)
    if gone:
        fix = f"`synth verify {recipe.name} --repair` puts them back"
        words = f"{recipe.name}: {len(gone):,} decisions of people are in the lake alone: {fix}"
        out.lines([words])
        out.wrong(Mistake(words, "damaged", file=str(home.home() / "reviews.sqlite")))
    return len(gone)


def _readable_log(repairs: bool, out: Output) -> CallLog:
    """The call log as it is. UserError where it is no database any more, and is not to be repaired."""
    log = home.call_log(mends=False)
    if damage := log.damage():
        if not repairs:
            raise UserError(damage, "damaged")
        log.close()
        out.lines([damage, salvage(Path(log.name))])
    return log


def _verify_lake(recipe: Recipe, log: CallLog, repairs: bool, out: Output) -> tuple[int, int]:
    """How many partitions of the recipe are not as they were made, and how many of its calls are not in the
    call log as the lake has them, in the end."""
    lake = home.lake()
    with dagster_instance(reads=not repairs) as instance:
        if again := know_again(recipe, lake, instance):
            words = "were in the lake, and nothing said when they were made: Dagster knows of them again"
            out.lines([f"{recipe.name}: {again:,} rounds {words}"])
        found, lost = _wrong(recipe, lake, instance, log)
        out.lines(dict.fromkeys(damage.why for damage in found))  # a part may be many rounds'
        if found and repairs:
            try:
                out.lines(list(repair(recipe, found, lake, instance, log)))
            except RoundFailed as failure:
                print(f"stopped by a check:\n{failure}", file=sys.stderr)
            found, lost = _wrong(recipe, lake, instance, log)
    places = ((lake.place(recipe.name, damage.stage, damage.partition), damage.why) for damage in found)
    out.wrong(*(Mistake(why, "damaged", file=path) for path, why in places))
    if lost:
        fix = f"`synth verify {recipe.name} --repair` puts them back from the lake, for nothing"
        words = f"{recipe.name}: {lost:,} calls of the lake are not, or not so, in the call log: {fix}"
        out.lines([words])
        out.wrong(Mistake(words, "damaged", file=log.name))
    out.lines([f"{recipe.name}: {len(found):,} partitions are missing or not as they were made"])
    return len(found), lost


def _wrong(recipe: Recipe, lake: Lake, instance: DagsterInstance, log: CallLog) -> tuple[list[Damage], int]:
    others, lost = beside_the_log(recipe, lake, log, proves=home.is_writable())
    return [*damages(recipe, lake, instance), *others, *mixed(recipe, lake, instance, log)], lost
