"""Asset `metrics`: what the set is worth, beside baselines, with intervals."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dagster as dg

from resources.encoder import MiniLM
from resources.lake import Lake
from resources.language_model import LanguageModel
from synth_assets import people, tables
from synth_assets.annotation import annotators
from synth_assets.assets import feedback, in_context, plots
from synth_assets.assets.model import CHECKS as OF_CALLS
from synth_assets.assets.model import BoundModel
from synth_assets.assets.nightly import freshness
from synth_assets.assets.stage import (
    LANGUAGE_MODEL_POOL,
    PREVIEW_ROWS,
    Table,
    Verdict,
    asset,
    cell,
    check_all,
    follows,
    partition_of,
    result,
    rounds_before,
)
from synth_assets.evaluation import in_context as of_answers
from synth_assets.evaluation import judging, measure
from synth_assets.evaluation.facts import entity_error
from synth_assets.evaluation.preference import route
from synth_assets.generation import prompts
from synth_assets.protocols import Encode
from synth_assets.recipe import Recipe
from synth_assets.recipe_sections import Judged
from synth_assets.students import made as students

SECTIONS = ["labels", "metrics", "annotator", "feedback", "seed"]
PLOTTED = ("accuracy", "macro_f1", "yield", "correctness", "contamination", "vendi_score")  # over the rounds
TABLED = (
    "vocabulary",
    "distinct_1",
    "distinct_2",
    "self_bleu_4",
    "average_pairwise_similarity",
    "vendi_score",
)
CHECKS = {
    **OF_CALLS,
    "contamination": "Do at most metrics.contamination of the kept rows repeat eight words of a test row?",
    "accuracy_holds": "Is the accuracy of the training set at least where the last round's interval begins, "
    "or the fall on the same test rows within chance?",
    "diversity_holds": "Is the diversity of this round's rows at most metrics.collapse under the best of the "
    "rounds before? (Else the set may feed on itself.)",
}


def build(recipe: Recipe) -> dg.AssetsDefinition:
    @asset(
        recipe,
        "metrics",
        reads=["generations", "filtered", "labelled", "weighted", "seeds"],
        sections=SECTIONS,
        checks=CHECKS,
        pool=LANGUAGE_MODEL_POOL,
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
        model = BoundModel(language_model, recipe, context, recipe.annotator_model)

        made_now = {"generations": generations, "filtered": filtered, "labelled": labelled}
        so_far = {  # `weighted` has the rows of all rounds so far: what it is compared with has them, too
            stage: pd.concat([rounds_before(recipe, lake, stage, round_), rows], ignore_index=True)
            for stage, rows in made_now.items()
        }
        sets = measure.training_sets(**so_far, weighted=weighted, seeds=seeds, seed=recipe.seed)
        shown = annotators.demonstrations(seeds, recipe.annotator.k, recipe.seed)
        last = last_measured(recipe, lake, round_)
        before = _Before(recipe, lake, last) if last else None
        wanted, encode = recipe.metrics, encoder.encode
        parts = _usefulness(
            recipe,
            sets,
            seeds[seeds["split"] == "test"].reset_index(drop=True),
            encoder,
            lambda texts: annotators.label_logprobs(texts, recipe.task, shown, model),
            before,
        )
        parts += _of_rows(recipe, sets, so_far["filtered"], filtered, labelled, seeds, encode)
        parts += _against_truth(recipe, sets)
        if shown := wanted.in_context:
            asked = model.other(shown.model) if shown.model else model
            parts.append(in_context.measured(recipe, sets, seeds, asked))
        doubted: list[str] = []
        if wanted.judge and before:
            judge = model.other(wanted.judge.model) if wanted.judge.model else model
            pairs = measure.drawn_pairs(filtered, before.kept, wanted.judge.rows)
            verdicts = judging.judge_pairs(asked_of_judge(recipe, pairs), judge)
            doubted = _doubted(pairs, verdicts)
            parts.append(measure.preference(verdicts, before.round, _by_people(wanted.judge, pairs)))
        model.save_calls(lake)
        yields = measure.yields(generations, filtered)
        rows = pd.concat([*parts, yields], ignore_index=True).assign(round=round_)
        by_cell = yields.set_index("slice")["value"].to_dict()
        feedback.report(recipe, lake, context, round_, {cell: by_cell[cell] for cell in recipe.cells})
        return result(
            recipe,
            "metrics",
            rows,
            {**_metadata(rows), **_for_people(doubted), **model.metadata()},
            [check_all(recipe, "metrics", "answered", *model.verdicts()), *_checks(recipe, rows, before)],
        )

    return compute


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
        latest = dict(sorted(by_round.items())[-1 - measure.ROUNDS :])
        yield measure.diversities(sets, seeds[seeds["split"] == "validation"], encode)
        yield measure.of_rounds(latest, encode)
    if wanted.privacy and len(seeds):
        yield measure.leaks(filtered, seeds, encode)
    if wanted.evidence:
        evidence = [text or "" for text in filtered[wanted.evidence]]
        found = entity_error(list(filtered["text"]), evidence)
        yield measure.table([measure.row("entity_error", "filtered", found)])
    if wanted.faithfulness and recipe.labels:
        told = labelled.merge(filtered[["row_id", *recipe.attributes]], on="row_id")
        yield measure.faithfulness(told, seeds, list(recipe.attributes), encode)


def _against_truth(recipe: Recipe, sets: dict[str, Table]) -> Iterator[Table]:
    for column, truth in recipe.metrics.truth.items():
        for name in ("generations", "filtered"):
            yield of_answers.truth(truth.by, name, column, sets[name], truth.column)


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
        for place in lake.partitions(recipe.name, "metrics", tables.STAGES["metrics"])
        if place["round"] < round_ and lake.path(recipe.name, "weighted", place).exists()
    ]
    return max(measured, default=None)


def _usefulness(
    recipe: Recipe,
    sets: dict[str, Table],
    test: Table,
    encoder: MiniLM,
    annotate: Callable[..., Any],
    before: _Before | None,
) -> list[Table]:
    """Students and baselines, as far as the recipe wants them and there are test rows with labels."""
    if test.empty or not recipe.labels:
        return []
    wanted, others = recipe.metrics, dict[str, Any]()
    made = students.build(recipe.student, encoder.encode, encoder.folder)
    said = measure.predictions(sets, test, made) if wanted.student else {}
    if wanted.word_list:
        others["word list"] = measure.word_list_hits(test, wanted.word_list)
    parts = [measure.usefulness(said, others, len(test))]
    if wanted.student:
        parts.append(measure.curves(sets, test, made, recipe.seed))
    if wanted.student and before:
        last = {measure.MAIN: before.weighted[before.weighted["origin"] == "synthetic"]}
        was = measure.predictions(last, test, made)[measure.MAIN]
        parts.append(measure.change(said[measure.MAIN], was, before.round))
    if wanted.model_alone:
        by_seeds = said.get("seeds")
        hits = None if by_seeds is None else by_seeds.right
        parts.append(measure.model_alone(test, wanted.model_alone, annotate, hits, recipe.seed))
    return parts


def asked_of_judge(recipe: Recipe, pairs: Sequence[tuple[Any, Any]]) -> list[judging.Pair]:
    """What a judge is shown: a question, and a row of this round and one of the last as its answers."""
    wanted, task = recipe.metrics.judge, recipe.task
    assert wanted
    return [
        judging.Pair(
            prompts.render(wanted.question, {**task.fields(), **task.of_label(new["label"]), **new}),
            new["text"],
            old["text"],
        )
        for new, old in pairs
    ]


def _by_people(wanted: Judged, pairs: Sequence[tuple[Any, Any]]) -> list[float | None] | None:
    if wanted.people is None:
        return None
    said = people.read_verdicts(wanted.people)
    return [said.get((new["row_id"], old["row_id"])) for new, old in pairs]


def _doubted(pairs: Sequence[tuple[Any, Any]], verdicts: Sequence[judging.Verdict]) -> list[str]:
    """Pairs of which the judge is not sure, for people, the least sure first."""
    _, places = route([v.confidence for v in verdicts], at_least=1)
    shown = [pairs[i] for i in places[:PREVIEW_ROWS]]
    return [f"| {cell(new['text'])} | {cell(old['text'])} |" for new, old in shown]


def _for_people(doubted: list[str]) -> dict[str, Any]:
    head = ["| this round | the round before |", "| --- | --- |"]
    return {"judge_not_sure": dg.MetadataValue.md("\n".join([*head, *doubted]))} if doubted else {}


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
    now = _value(rows, "accuracy", measure.MAIN)
    least = _value(before.metrics, "accuracy", measure.MAIN, "low") if before else None
    if now is None or least is None or before is None:
        return Verdict(True, "There is no earlier round to hold it against.")
    words = f"Accuracy {now:.3f}, the interval of {before.round} begins at {least:.3f}."
    if now >= least:
        return Verdict(True, words)
    # the interval alone says "worse" of one round in twelve that is not: it leaves this round's chance out
    most = _value(rows, "accuracy_change", measure.against(before.round), "high")
    if most is None or most < 0:
        return Verdict(False, words)
    return Verdict(True, f"{words} On the same test rows the fall is within chance (up to {most:+.3f}).")


def _diversity(rows: Table, most: float) -> Verdict:
    falls = measure.falls(rows)
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
        "correctness": ("labels that a student of real rows agrees with (95 % interval)", "correctness"),
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
