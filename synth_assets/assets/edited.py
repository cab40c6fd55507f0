"""What people make of what a round tells the next one: Dagster learns of an edited file by a new data version
of `feedback`, and so shows the conditions of the round after it as stale."""

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.assets.factory import feedback_events, key
from synth_assets.assets.states import DATA_VERSION
from synth_assets.core.errors import UserError
from synth_assets.partitions import cell_key
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.review_files import was_edited
from synth_assets.resources import home
from synth_assets.stages import feedback
from synth_assets.stages.run import Run

EVERY_SECONDS = 30


def edited(
    run: Run, round_: str, cells: Iterable[str], instance: dg.DagsterInstance
) -> Iterator[dg.AssetObservation | dg.AssetMaterialization]:
    """What Dagster is to be told of the feedback of a round, which that of `run` goes by: of each cell for
    which a person asks for something else than Dagster knows, or no longer does."""
    recipe, file = run.recipe, run.recipe.feedback_file(round_)
    names = {str(cell_key(round_, cell)): cell for cell in cells}
    known = instance.event_log_storage.get_latest_tags_by_partition(
        key(recipe, "feedback"), dg.DagsterEventType.ASSET_OBSERVATION, [DATA_VERSION], list(names)
    )
    for partition, tags in sorted(known.items()):
        place, before = {"round": round_, "cell": names[partition]}, tags[DATA_VERSION]
        measured, was, _ = before.partition(feedback.EDITED)
        if (was or was_edited(file)) and run.there("feedback", place):
            told = run.read("feedback", place)
            now = feedback.version(recipe, told, measured)
            if now != before:
                (row,) = told.to_dict("records")
                yield from feedback_events(recipe, row, now, _shown(run, file, place["cell"]))


def _shown(run: Run, file: Path, cell: str) -> dict[str, Any]:
    """For people: what the round of the run is asked for now, or why the file cannot be read."""
    try:
        lines = feedback.compared(run)
    except UserError as error:
        return {"wrong": str(error), "file": str(file)}
    rows = next((line.now for line in lines if (line.of, line.name) == ("cell", cell)), None)
    asked = dg.MetadataValue.md(feedback.as_table(lines, run.recipe.feedback.rows))
    return {"rows": rows, "asked": asked, "file": str(file)}


def sensor(recipe: Recipe) -> dg.SensorDefinition:
    """Sees that a file of feedback was edited, by the hashes of those that are: its cursor."""

    @dg.sensor(
        name=f"{recipe.name}_feedback",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Shows the round after a feedback that a person has edited as stale.",
    )
    def sees_edits(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        before, now = json.loads(context.cursor or "{}"), _files(recipe)
        changed = sorted(round_ for round_ in {*before, *now} if before.get(round_) != now.get(round_))
        if not changed:
            return dg.SkipReason("nobody has edited what a round tells the next one.")
        found = list[dg.AssetObservation | dg.AssetMaterialization]()
        for round_ in changed:
            run = Run(recipe, home.lake(), home.encoder(), feedback.day_after(round_))
            found += edited(run, round_, recipe.cells, context.instance)
        return dg.SensorResult(asset_events=found, cursor=json.dumps(now))

    return sees_edits


def _files(recipe: Recipe) -> dict[str, str]:
    """Round -> hash of its file, where a person has edited it."""
    folder = recipe.feedback_file("").parent
    return {
        path.stem: sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("*.yaml"))
        if was_edited(path)
    }
