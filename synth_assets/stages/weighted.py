"""Stage `weighted`: the training set so far."""

from __future__ import annotations

from typing import Any

from synth_assets.contracts.weighing import MixedIn, WeighContext
from synth_assets.core.errors import NotInstalled
from synth_assets.core.text.pairs import both
from synth_assets.curation.weights.weigh import effective_size, weigh
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages.labelled import with_target
from synth_assets.stages.run import Run
from synth_assets.stages.splits import gold
from synth_assets.stages.stage import Chart, Check, Made, Stage, Table, Verdict

CHECKS = {
    "rows_present": Check("Is there anything to train on?", ("rows", "filters"), "synth tune {recipe}"),
    "weights_spread": Check(
        "Has each label synthetic rows, and are its rows worth a tenth of their number?",
        ("weights", "labelled"),
        "synth report {recipe}",
    ),
}
WORTH = 0.1


def compute(run: Run, labelled: Table, seeds: Table) -> Made:
    """The training set so far, with weights."""
    import pandas as pd

    rows = pd.concat([run.before("labelled"), labelled], ignore_index=True)
    shown = with_target(run.recipe, seeds[seeds["split"] == "demonstration"])
    pair = run.recipe.task.pair
    way, looks, unknown = run.recipe.weights, WeighContext(run.encode, both(gold(seeds), pair)), ""
    texts = pd.concat([rows["text"], shown["text"]], ignore_index=True)
    rows, shown = both(rows, pair), both(shown, pair)
    fall = _fallen(run) if isinstance(way.seeds, MixedIn) else None
    try:
        training = weigh(rows, shown, way, looks, fall)
    except NotInstalled as error:
        from synth_assets.curation.weights.students import Equal

        unknown = f"{way.place} is unknown, every row weighs the same: {error}"
        training = weigh(rows, shown, Equal(by="none", seeds=way.seeds), looks, fall)
    training = training.assign(made_in=training["round"], round=run.round, text=texts.head(len(training)))
    verdicts = _verdicts(run.recipe, training)
    if unknown:
        verdicts["weights_spread"] = [Verdict(False, unknown, blocks=False), *verdicts["weights_spread"]]
    if not (spread := verdicts["weights_spread"][0]).fine:
        run.warn(spread.words)
    return Made(training, _numbers(training), verdicts)


def _fallen(run: Run) -> float | None:
    """How far the diversity of the last round that was measured had fallen, as the check diversity_holds has
    it; None where that is not known. Read, and not declared: it is of a round before."""
    from synth_assets.evaluation.diversity import falls

    if not (measured := run.rounds("metrics")):
        return None
    fall = max(falls(run.read("metrics", {"round": measured[-1]})).values(), default=None)
    if fall is not None and fall > 0:
        times = run.recipe.weights.of_seeds(fall)
        seeds = f"the seeds weigh {times:.2f} times the synthetic rows"
        run.say(f"the diversity of {measured[-1]} had fallen by {fall:.0%}: {seeds}")
    return fall


def _numbers(training: Table) -> dict[str, Any]:
    weights = {origin: group["weight"].tolist() for origin, group in training.groupby("origin")}
    return {
        "weights": Chart("histogram", "weights", weights),
        "labels": Chart("bars", "rows by label", training["label"].value_counts().to_dict()),
        "effective_sample_size": round(effective_size(training["weight"]), 1),
        "largest_weight": round(float(training["weight"].max()), 4) if len(training) else None,
    }


def _verdicts(recipe: Recipe, training: Table) -> dict[str, list[Verdict]]:
    counts = training["origin"].value_counts()
    there = ", ".join(f"{n} {origin} rows" for origin, n in counts.items()) or "no rows"
    worth = {
        str(label): effective_size(rows["weight"]) / len(rows)
        for label, rows in training.groupby(training["label"].fillna("no label"))
    }
    thin = [label for label, share in worth.items() if not share >= WORTH]
    absent = sorted(set(recipe.labels) - {*training.loc[training["origin"] == "synthetic", "label"].unique()})
    told = ", ".join(f"{label} {share:.0%}" for label, share in worth.items()) or "no rows"
    words = f"effective sample size over rows: {told}." + " A few rows weigh nearly all." * bool(thin)
    words += f" No synthetic row is labelled {', '.join(absent)}." * bool(absent)
    return {
        "rows_present": [Verdict(len(training) > 0, f"the training set has {there}.")],
        "weights_spread": [Verdict(not thin and not absent, words, blocks=False)],
    }


def stage(recipe: Recipe) -> Stage:
    """The stage of a recipe."""
    return Stage("weighted", compute, reads=["labelled", "seeds"], sections=["weights"], checks=CHECKS)
