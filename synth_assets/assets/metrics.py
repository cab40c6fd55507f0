"""Asset `metrics`: what the set is worth, beside baselines, with intervals."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from resources.encoder import MiniLM
from resources.lake import Lake
from resources.language_model import LanguageModel
from synth_assets.annotation import annotators
from synth_assets.assets import feedback, plots
from synth_assets.assets.model import BoundModel
from synth_assets.assets.stage import LANGUAGE_MODEL_POOL, Table, asset, follows, partition_of, result
from synth_assets.evaluation.diversity import diversity
from synth_assets.evaluation.usefulness import TrainingSet, compare, correct, word_list_labels
from synth_assets.recipe import Recipe
from synth_assets.selection.select import ranked
from synth_assets.students.calibration import batch_calibrated

SECTIONS = ["task", "metrics", "annotator", "feedback", "model"]


def build(recipe: Recipe) -> dg.AssetsDefinition:
    @asset(
        recipe,
        "metrics",
        reads=["generations", "filtered", "weighted", "seeds"],
        sections=SECTIONS,
        pool=LANGUAGE_MODEL_POOL,
        automation_condition=follows(recipe),
    )
    def compute(
        context: dg.AssetExecutionContext,
        language_model: dg.ResourceParam[LanguageModel],
        encoder: dg.ResourceParam[MiniLM],
        lake: dg.ResourceParam[Lake],
        generations: Table,
        filtered: Table,
        weighted: Table,
        seeds: Table,
    ) -> dg.MaterializeResult:
        """Accuracy on real rows, diversity and yield, beside baselines."""
        import pandas as pd

        round_ = partition_of(context)["round"]
        model = BoundModel(language_model, recipe, context)
        accepted = generations[generations["accepted"]]
        sets = _training_sets(recipe, accepted, filtered, weighted, seeds)
        parts = [_accuracies(recipe, sets, seeds, encoder.encode, model)]
        if recipe.metrics.diversity:
            texts = _same_size(
                {name: sets[name] for name in ("generations", "filtered", "real") if name in sets}
            )
            parts += [diversity(t, encoder.encode).assign(slice=name) for name, t in texts.items()]
        parts.append(_yields(generations, filtered))
        rows = pd.concat([p for p in parts if len(p)], ignore_index=True).assign(round=round_)
        yields = rows[rows["name"] == "yield"].set_index("slice")["value"]
        feedback.report(recipe, lake, context, round_, {c: float(yields[c]) for c in recipe.cells})
        return result(recipe, "metrics", rows, {**_metadata(rows), **model.metadata()})

    return compute


def _training_sets(
    recipe: Recipe, accepted: Table, filtered: Table, weighted: Table, seeds: Table
) -> dict[str, Table]:
    """What students are compared on: name -> rows with text, label and, where it weighs, weight.

    `real` are as many real rows of each label as the set kept, drawn from the unlabeled split, whose labels
    are used for nothing but this reference.
    """
    import pandas as pd

    synthetic = weighted[weighted["origin"] == "synthetic"]
    shown = seeds[seeds["split"] == "demonstration"]
    sets = {
        "seeds": shown,
        "generations": accepted,
        "filtered": filtered,
        "weighted": synthetic,
        "seeds + weighted": weighted
        if (weighted["origin"] == "seed").any()
        else pd.concat([shown, synthetic]),
    }
    rest = seeds[seeds["split"] == "unlabeled"]
    wanted = synthetic["label"].value_counts().to_dict()
    drawn = [i for y, n in wanted.items() for i in _some(rest[rest["label"] == y], n, recipe.seed)]
    if len(drawn) == len(synthetic) > 0:
        sets["real"] = rest[rest["row_id"].isin(drawn)]
    return sets


def _some(rows: Table, n: int, seed: int) -> list[str]:
    return ranked(rows["row_id"], seed, "reference")[:n]


def _same_size(sets: Mapping[str, Table]) -> dict[str, list[str]]:
    """As many texts of each set as the smallest has: most measures of diversity fall as a set grows."""
    n = min(map(len, sets.values()))
    drawn = {name: set(ranked(rows["row_id"], "diversity")[:n]) for name, rows in sets.items()}
    return {name: list(rows.loc[rows["row_id"].isin(drawn[name]), "text"]) for name, rows in sets.items()}


def _yields(generations: Table, filtered: Table) -> Table:
    """Kept rows over rows asked for, in all and by cell, with Wilson intervals."""
    import pandas as pd

    from synth_assets.evaluation.usefulness import wilson

    rows = []
    for name, asked, kept in [
        ("all", generations, filtered),
        *((c, g, filtered[filtered["cell"] == c]) for c, g in generations.groupby("cell")),
    ]:
        rows.append(("yield", name, len(kept) / len(asked), *wilson(len(kept), len(asked)), len(asked)))
    return pd.DataFrame(rows, columns=["name", "slice", "value", "low", "high", "n"])


def _accuracies(
    recipe: Recipe,
    sets: Mapping[str, Table],
    seeds: Table,
    encode: Callable[[Sequence[str]], Any],
    model: BoundModel,
) -> Table:
    """Accuracy on the test split: students, and the baselines that need no student."""
    import numpy as np
    import pandas as pd

    test = seeds[seeds["split"] == "test"].reset_index(drop=True)
    if test.empty:
        return pd.DataFrame()
    hits: dict[str, Any] = {}
    if recipe.metrics.student:
        features = encode(list(test["text"]))
        for name, rows in sets.items():
            weights = list(rows["weight"].fillna(1.0)) if "weight" in rows and name != "real" else None
            train = TrainingSet(encode(list(rows["text"])), list(rows["label"]), weights)
            hits[name] = correct(train, features, list(test["label"]))
    if recipe.metrics.word_list:
        guessed = word_list_labels(list(test["text"]), recipe.metrics.word_list)
        hits["word list"] = np.asarray(guessed) == np.asarray(test["label"])
    parts = [compare(hits, len(test), "seeds")]
    if recipe.metrics.model_alone:
        parts.append(_model_alone(recipe, test, seeds, model, hits.get("seeds")))
    return pd.concat(parts, ignore_index=True)


def _model_alone(recipe: Recipe, test: Table, seeds: Table, model: BoundModel, by_seeds: Any) -> Table:
    """The annotator on a sample of the test rows, beside the seeds' student on the same sample."""
    import numpy as np

    drawn = ranked(test["row_id"], recipe.seed, "model alone")[: recipe.metrics.model_alone]
    sample = test[test["row_id"].isin(drawn)]
    shown = annotators.demonstrations(seeds, recipe.annotator.k, recipe.seed)
    logprobs = annotators.label_logprobs(list(sample["text"]), recipe.task, shown, model)
    guessed = [max(p, key=p.__getitem__) if p else None for p in batch_calibrated(logprobs)]
    right = np.asarray([g == y for g, y in zip(guessed, sample["label"], strict=True)])
    hits = (
        {"model alone": right}
        if by_seeds is None
        else {"seeds": by_seeds[sample.index], "model alone": right}
    )
    rows = compare(hits, len(sample), "seeds")
    return rows[rows["slice"] == "model alone"]


def _metadata(rows: Table) -> dict[str, Any]:
    """Numbers that Dagster plots over rounds, and pictures of this round."""
    accuracy = rows[rows["name"] == "accuracy"]
    diverse = rows[
        rows["name"].isin(["vocabulary", "distinct_2", "self_bleu_4", "average_pairwise_similarity"])
    ]
    numbers = {
        f"{r.name_}/{r.slice}": round(float(r.value), 4)
        for r in rows.rename(columns={"name": "name_"}).itertuples()
        if r.name_ in ("accuracy", "yield") and r.value == r.value
    }
    table = diverse.pivot_table(index="name", columns="slice", values="value").round(3)
    return {
        "accuracy": plots.intervals("accuracy on real test rows (95 % interval)", accuracy),
        "diversity": dg.MetadataValue.md(table.to_markdown() if len(table) else "not measured"),
        **numbers,
    }
