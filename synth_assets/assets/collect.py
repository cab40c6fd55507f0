"""What comes back from the provider's Batch API: collected by a sensor, which then asks for the partition."""

from typing import Any

import dagster as dg

from synth_assets.assets.factory import Assets, key, partitions_of
from synth_assets.assets.nightly import keep
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.gateway.batches.collect import collect
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.stages.stage import asset_name

EVERY_SECONDS = 60
AT_MOST_SECONDS = 30.0  # Dagster gives a tick 60; what is left is collected in the next one


def sensor(recipe: Recipe, job: Any, assets: Assets) -> dg.SensorDefinition:
    """Collects what the provider's Batch API has ready, and asks for the partitions that waited for it, but
    for those of nights that the keeper of rounds looks after: it asks for the whole round."""
    stages = list(recipe.step_stages)
    steps = [key(recipe, stage) for stage in stages]
    partitions = partitions_of(recipe, "generations")

    @dg.sensor(
        name=f"{recipe.name}_collect",
        job=job,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Collects batches, and asks for each partition whose batches have all ended.",
    )
    def collects(
        context: dg.SensorEvaluationContext, synth_language_model: dg.ResourceParam[LanguageModel]
    ) -> dg.SensorResult | dg.SkipReason:
        requests, said = list[dg.RunRequest](), dict[str, None]()
        nights = keep(recipe, context.instance, assets).looked_after
        for i, stage in enumerate(stages):
            seconds = AT_MOST_SECONDS / len(steps)
            found = collect(synth_language_model.call_log, asset_name(recipe, stage), seconds=seconds)
            said[str(found)] = None
            requests += [
                dg.RunRequest(
                    run_key=f"{partition}/{latest}",
                    partition_key=partition,
                    asset_selection=[*steps[i:], key(recipe, "scores")],
                )
                for partition, latest in found.partitions.items()
                if latest and partitions and partitions.has_partition_key(partition)
                if partition.rpartition("|")[2] not in nights
            ]
        if not requests:
            return dg.SkipReason("; ".join(said))
        context.log.info("; ".join(said))
        return dg.SensorResult(run_requests=requests)

    return collects
