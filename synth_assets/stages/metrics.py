"""Asset `metrics`: what the set is worth, beside baselines, with intervals."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from synth_assets.annotation import annotators
from synth_assets.assets.factory import LANGUAGE_MODEL_POOL, asset, check_all, follows, partition_of, result
from synth_assets.assets.logged_model import CHECKS as OF_CALLS
from synth_assets.assets.logged_model import BoundModel
from synth_assets.assets.nightly import freshness
from synth_assets.core.asking import Encode
from synth_assets.evaluation import in_context, metric_rows, of_students, of_texts
from synth_assets.evaluation import round as evaluation_round
from synth_assets.evaluation.facts import entity_error
from synth_assets.recipe import columns
from synth_assets.recipe.recipe import Recipe
from synth_assets.report import plots
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages import by_model, feedback, tables
from synth_assets.stages.stage import Table, Verdict, rounds_before
from synth_assets.students import made as students

SECTIONS = ["labels", "metrics", "annotator", "feedback", "seed"]
PLOTTED = (  # over the rounds
    *("accuracy", "accuracy_change", "macro_f1", "auc", "yield", "correctness", "kappa"),
    *("contamination", "vendi_score"),
)
TABLED = (
    "vocabulary",
    "distinct_1",
    "distinct_2",
    "self_bleu_4",
    "average_pairwise_similarity",
    "vendi_score",
)
CHECKS = {
    "contamination": "Do at most metrics.contamination of the kept rows repeat eight words of a test row?",
    "accuracy_holds": "Is the accuracy of the training set at least where the last round's interval begins, "
    "or the fall on the same test rows within chance?",
    "diversity_holds": "Is the diversity of this round's rows at most metrics.collapse under the best of the "
    "rounds before? (Else the set may feed on itself.)",
}


class _Before:
    """The last round that was measured before this one: its day, its training set and its metrics."""

    def __init__(self, recipe: Recipe, lake: Lake, round_: str) -> None:
        self.round = round_
        self.kept, self.weighted, self.metrics = (
            lake.read(recipe.name, stage, [{"round": round_}], tables.schema(recipe, stage))
            for stage in ("filtered", "weighted", "metrics")
        )


def last_measured(recipe: Recipe, lake: Lake, round_: str) -> str | None:
    """The last round before this one that has metrics, and the rows that they are of."""
    measured = [
        place["round"]
        for place in lake.partitions(recipe.name, "metrics", columns.STAGES["metrics"])
        if place["round"] < round_ and lake.path(recipe.name, "weighted", place).exists()
    ]
    return max(measured, default=None)


def build(recipe: Recipe) -> dg.AssetsDefinition:
    wanted = recipe.metrics
    asks = bool(wanted.model_alone or wanted.in_context or wanted.facts or wanted.judge)

    @asset(
        recipe,
        "metrics",
        reads=["generations", "filtered", "labelled", "weighted", "seeds"],
        sections=SECTIONS,
        checks={**OF_CALLS, **CHECKS},
        pool=LANGUAGE_MODEL_POOL if asks else None,
        automation_condition=follows(recipe),
        freshness_policy=freshness(recipe),
    )
    def compute(
        context: dg.AssetExecutionContext,
        language_model: dg.ResourceParam[LanguageModel],
        encoder: dg.ResourceParam[MiniLM],
        lake: dg.ResourceParam[Lake],
        generations: Table,
        filtered: Table,
        labelled: Table,
        weighted: Table,
        seeds: Table,
    ) -> dg.MaterializeResult:
        """Usefulness, faithfulness, diversity, privacy and yield, with intervals."""
        import pandas as pd

        round_ = partition_of(context)["round"]
        made_now = {"generations": generations, "filtered": filtered, "labelled": labelled}
        so_far = {  # `weighted` has the rows of all rounds so far: what it is compared with has them, too
            stage: pd.concat([rounds_before(recipe, lake, stage, round_), rows], ignore_index=True)
            for stage, rows in made_now.items()
        }
        sets = of_students.training_sets(**so_far, weighted=weighted, seeds=seeds, seed=recipe.seed)
        last = last_measured(recipe, lake, round_)
        before = _Before(recipe, lake, last) if last else None
        model = BoundModel(language_model, recipe, context, recipe.annotator_model)
        parts = _usefulness(recipe, sets, seeds, encoder, before, model)
        parts += _of_rows(recipe, sets, so_far["filtered"], filtered, labelled, seeds, encoder.encode)
        parts += _by_model(recipe, sets, seeds, filtered, model)
        judged, told = _judged(recipe, filtered, before, model)
        parts += judged
        model.save_calls(lake)
        yields = evaluation_round.yields(generations, filtered)
        rows = pd.concat([*parts, yields], ignore_index=True).assign(round=round_)
        by_cell = yields.set_index("slice")["value"].to_dict()
        feedback.report(recipe, lake, context, round_, {cell: by_cell[cell] for cell in recipe.cells})
        answered = check_all(recipe, "metrics", "answered", *model.verdicts())
        return result(
            recipe,
            "metrics",
            rows,
            {**_metadata(rows), **told, **model.metadata()},
            [answered, *_checks(recipe, rows, before)],
        )

    return compute


def _usefulness(
    recipe: Recipe,
    sets: dict[str, Table],
    seeds: Table,
    encoder: MiniLM,
    before: _Before | None,
    model: BoundModel,
) -> list[Table]:
    """Students and baselines, as far as the recipe wants them and there are test rows with labels."""
    test = seeds[seeds["split"] == "test"].reset_index(drop=True)
    if test.empty or not recipe.labels:
        return []
    wanted, others = recipe.metrics, dict[str, Any]()
    made = students.build(recipe.student, encoder.encode, encoder.folder)
    said = of_students.predictions(sets, test, made) if wanted.student else {}
    if wanted.word_list:
        others["word list"] = of_students.word_list_hits(test, wanted.word_list)
    parts = [of_students.usefulness(said, others, len(test))]
    if wanted.student:
        parts.append(of_students.curves(sets, test, made, recipe.seed))
    if wanted.student and before:
        last = {metric_rows.MAIN: before.weighted[before.weighted["origin"] == "synthetic"]}
        was = of_students.predictions(last, test, made)[metric_rows.MAIN]
        parts.append(of_students.change(said[metric_rows.MAIN], was, before.round))
    if wanted.model_alone:
        shown = annotators.demonstrations(seeds, recipe.annotator.k, recipe.seed)
        by_seeds = said.get("seeds")
        parts.append(
            of_students.model_alone(
                test,
                wanted.model_alone,
                lambda texts: annotators.label_logprobs(texts, recipe.task, shown, model),
                None if by_seeds is None else by_seeds.right,
                recipe.seed,
            )
        )
    return parts


def _of_rows(
    recipe: Recipe,
    sets: dict[str, Table],
    kept: Table,
    filtered: Table,
    labelled: Table,
    seeds: Table,
    encode: Encode,
) -> Iterator[Table]:
    """What is measured without a student of each set: diversity (of `kept`, round by round), leaks, faith."""
    wanted = recipe.metrics
    if wanted.diversity:
        by_round = {str(name): list(rows["text"]) for name, rows in kept.groupby("round")}
        latest = dict(sorted(by_round.items())[-1 - of_texts.ROUNDS :])
        yield of_texts.diversities(sets, seeds[seeds["split"] == "validation"], encode)
        yield of_texts.of_rounds(latest, encode)
    if wanted.privacy and len(seeds):
        yield of_texts.leaks(filtered, seeds, encode)
    if wanted.evidence:
        evidence = [text or "" for text in filtered[wanted.evidence]]
        found = entity_error(list(filtered["text"]), evidence)
        yield metric_rows.table([metric_rows.row("entity_error", "filtered", found)])
    for column, truth in wanted.truth.items():
        for name in ("generations", "filtered"):
            yield in_context.truth(truth.by, name, column, sets[name], truth.column)
    if wanted.faithfulness and recipe.labels:
        told = labelled.merge(filtered[["row_id", *recipe.attributes]], on="row_id")
        yield evaluation_round.faithfulness(told, seeds, list(recipe.attributes), encode)


def _by_model(
    recipe: Recipe, sets: dict[str, Table], seeds: Table, filtered: Table, model: BoundModel
) -> Iterator[Table]:
    """What a model measures of the sets."""
    if shown := recipe.metrics.in_context:
        yield by_model.in_context_rows(recipe, shown, sets, seeds, model.other(shown.model))
    if looked := recipe.metrics.facts:
        found = by_model.verdicts_on_facts(recipe, looked, filtered, model.other(looked.model))
        yield evaluation_round.facts(found, looked.k)


def _judged(
    recipe: Recipe, filtered: Table, before: _Before | None, model: BoundModel
) -> tuple[list[Table], dict[str, Any]]:
    """What a judge says of this round and the last, and, for people, pairs of which it is not sure."""
    judge = recipe.metrics.judge
    if judge is None or before is None:
        return [], {}
    pairs = evaluation_round.drawn_pairs(filtered, before.kept, judge.rows)
    verdicts = by_model.judged(recipe, judge, pairs, model.other(judge.model))
    lines = by_model.doubted(pairs, verdicts)
    head = ["| this round | the round before |", "| --- | --- |"]
    told = {"judge_not_sure": dg.MetadataValue.md("\n".join([*head, *lines]))} if lines else {}
    return [by_model.preference(judge, pairs, verdicts, before.round)], told


def _checks(recipe: Recipe, rows: Table, before: _Before | None) -> Iterator[dg.AssetCheckResult]:
    verdicts = {
        "contamination": _contamination(rows, recipe.metrics.contamination),
        "accuracy_holds": _accuracy(rows, before),
        "diversity_holds": _diversity(rows, recipe.metrics.collapse),
    }
    for name, verdict in verdicts.items():
        yield check_all(recipe, "metrics", name, verdict)


def _contamination(rows: Table, most: float) -> Verdict:
    share = _value(rows, "contamination", "filtered")
    if share is None:
        return Verdict(True, "Not measured.")
    words = (
        f"{share:.2%} of the kept rows share eight words in a row with a test row, at most {most:.2%} may."
    )
    return Verdict(share <= most, words)


def _accuracy(rows: Table, before: _Before | None) -> Verdict:
    now = _value(rows, "accuracy", metric_rows.MAIN)
    least = _value(before.metrics, "accuracy", metric_rows.MAIN, "low") if before else None
    if now is None or least is None or before is None:
        return Verdict(True, "There is no earlier round to hold it against.")
    words = f"Accuracy {now:.3f}, the interval of {before.round} begins at {least:.3f}."
    if now >= least:
        return Verdict(True, words)
    # the interval alone says "worse" of one round in twelve that is not: it leaves this round's chance out
    most = _value(rows, "accuracy_change", metric_rows.against(before.round), "high")
    if most is None or most < 0:
        return Verdict(False, words)
    return Verdict(True, f"{words} On the same test rows the fall is within chance (up to {most:+.3f}).")


def _diversity(rows: Table, most: float) -> Verdict:
    falls = of_texts.falls(rows)
    if not falls:
        return Verdict(True, "There is no earlier round to hold it against.")
    name = max(falls, key=falls.__getitem__)
    words = f"{name} is {falls[name]:.0%} under the best round's, {most:.0%} are allowed."
    return Verdict(falls[name] <= most, words if falls[name] > 0 else "No round before was more varied.")


def _value(rows: Table, name: str, slice_: str, column: str = "value") -> float | None:
    found = rows.loc[(rows["name"] == name) & (rows["slice"] == slice_), column].dropna()
    return float(found.iloc[0]) if len(found) else None


def _metadata(rows: Table) -> dict[str, Any]:
    """Pictures of this round, and numbers that Dagster plots over rounds."""
    known = rows[rows["value"].notna()]
    table = known[known["name"].isin(TABLED)].pivot_table(index="name", columns="slice", values="value")
    numbers = known[known["name"].isin(PLOTTED) | known["name"].str.startswith(("truth_", "in_context_"))]
    pictures = {
        "accuracy": ("accuracy on real test rows (95 % interval)", "accuracy"),
        "correctness": ("right labels, by a student of real rows or people (95 % interval)", "correctness"),
        "errors": ("errors by class (95 % interval)", "error"),
        "learning_curve": ("accuracy over rows (95 % interval)", "learning_curve"),
        "truth": ("rows against what is right (95 % interval)", "truth_.*"),
        "in_context": ("the model, when shown rows of (95 % interval)", "in_context_(?!gain).*"),
    }
    drawn = {key: (title, known[known["name"].str.fullmatch(of)]) for key, (title, of) in pictures.items()}
    return {
        **{key: plots.intervals(title, part) for key, (title, part) in drawn.items() if len(part)},
        "diversity": dg.MetadataValue.md(table.round(3).to_markdown() if len(table) else "not measured"),
        **{
            f"{name}/{part}": round(float(value), 4)
            for name, part, value in zip(numbers["name"], numbers["slice"], numbers["value"], strict=True)
        },
    }
