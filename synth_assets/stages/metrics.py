"""Stage `metrics`: what the set is worth, beside baselines, with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from synth_assets.annotation import annotators
from synth_assets.evaluation import in_context, of_students, of_texts
from synth_assets.evaluation import round as of_round
from synth_assets.evaluation.facts import entity_error
from synth_assets.evaluation.metric_rows import MAIN, against, row, table
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages import by_model, feedback
from synth_assets.stages.run import Run
from synth_assets.stages.stage import ANSWERED, Chart, Made, Markdown, Stage, Table, Verdict
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


@dataclass(frozen=True)
class Before:
    """The last round that was measured before this one: its kept rows, its training set and its metrics."""

    round: str
    kept: Table
    weighted: Table
    metrics: Table

    @classmethod
    def of(cls, run: Run) -> Before | None:
        round_ = last_measured(run)
        if round_ is None:
            return None
        place = {"round": round_}
        return cls(round_, *(run.read(stage, place) for stage in ("filtered", "weighted", "metrics")))


def last_measured(run: Run) -> str | None:
    """The last round before this one that has metrics, and the rows that they are of."""
    measured = [r for r in run.rounds("metrics") if run.there("weighted", {"round": r})]
    return max(measured, default=None)


def compute(
    run: Run, generations: Table, filtered: Table, labelled: Table, weighted: Table, seeds: Table
) -> Made:
    """Usefulness, faithfulness, diversity, privacy and yield, with intervals."""
    import pandas as pd

    recipe = run.recipe
    made_now = {"generations": generations, "filtered": filtered, "labelled": labelled}
    # `weighted` has the rows of all rounds so far: what it is compared with has them, too
    so_far = {stage: so_far_of(run, stage, rows) for stage, rows in made_now.items()}
    sets = of_students.training_sets(**so_far, weighted=weighted, seeds=seeds, seed=recipe.seed)
    before = Before.of(run)
    parts = _usefulness(run, sets, seeds, before)
    parts += _of_rows(run, sets, so_far["filtered"], filtered, labelled, seeds)
    parts += _by_model(run, sets, seeds, filtered)
    judged, told = _judged(run, filtered, before)
    yields = of_round.yields(generations, filtered)
    rows = pd.concat([*parts, *judged, yields], ignore_index=True).assign(round=run.round)
    by_cell = yields.set_index("slice")["value"].to_dict()
    next_round = feedback.told({cell: by_cell[cell] for cell in recipe.cells}, recipe.rows, run.round)
    numbers = {**_numbers(rows), **told}
    return Made(rows, numbers, _verdicts(recipe, rows, before), beside={"feedback": Made(next_round)})


def so_far_of(run: Run, stage: str, rows: Table) -> Table:
    """The rows of a stage in all rounds up to this one."""
    import pandas as pd

    return pd.concat([run.before(stage), rows], ignore_index=True)


def _usefulness(run: Run, sets: dict[str, Table], seeds: Table, before: Before | None) -> list[Table]:
    """Students and baselines, as far as the recipe wants them and there are test rows with labels."""
    recipe, test = run.recipe, seeds[seeds["split"] == "test"].reset_index(drop=True)
    if test.empty or not recipe.labels:
        return []
    wanted, others = recipe.metrics, dict[str, Any]()
    made = students.build(recipe.student, run.encode, run.encoder.folder)
    said = of_students.predictions(sets, test, made) if wanted.student else {}
    if wanted.word_list:
        others["word list"] = of_students.word_list_hits(test, wanted.word_list)
    parts = [of_students.usefulness(said, others, len(test))]
    if wanted.student:
        parts.append(of_students.curves(sets, test, made, recipe.seed))
    if wanted.student and before:
        last = {MAIN: before.weighted[before.weighted["origin"] == "synthetic"]}
        was = of_students.predictions(last, test, made)[MAIN]
        parts.append(of_students.change(said[MAIN], was, before.round))
    if wanted.model_alone:
        by_seeds = said.get("seeds")
        right = None if by_seeds is None else by_seeds.right
        parts.append(of_students.model_alone(*_labels_by_model(run, test, seeds), right))
    return parts


def _labels_by_model(run: Run, test: Table, seeds: Table) -> tuple[Table, list[Any]]:
    """The test rows that the annotator labels by itself, and what it says of each."""
    recipe = run.recipe
    sample = of_students.drawn_for_the_model(test, recipe.metrics.model_alone, recipe.seed)
    shown = annotators.demonstrations(seeds, recipe.annotator.k, recipe.seed)
    return sample, annotators.label_logprobs(list(sample["text"]), shown, recipe.task, run.model())


def _of_rows(
    run: Run, sets: dict[str, Table], kept: Table, filtered: Table, labelled: Table, seeds: Table
) -> Iterator[Table]:
    """What is measured without a student of each set: diversity (of `kept`, round by round), leaks, faith."""
    recipe, wanted = run.recipe, run.recipe.metrics
    if wanted.diversity:
        by_round = {str(name): list(rows["text"]) for name, rows in kept.groupby("round")}
        latest = dict(sorted(by_round.items())[-1 - of_texts.ROUNDS :])
        yield of_texts.diversities(sets, seeds[seeds["split"] == "validation"], run.encode)
        yield of_texts.of_rounds(latest, run.encode)
    if wanted.privacy and len(seeds):
        yield of_texts.leaks(filtered, seeds, run.encode)
    if wanted.evidence:
        evidence = [text or "" for text in filtered[wanted.evidence]]
        found = entity_error(list(filtered["text"]), evidence)
        yield table([row("entity_error", "filtered", found)])
    for column, truth in wanted.truth.items():
        for name in ("generations", "filtered"):
            yield in_context.truth(truth.by, name, column, sets[name], truth.column)
    if wanted.faithfulness and recipe.labels:
        told = labelled.merge(filtered[["row_id", *recipe.attributes]], on="row_id")
        yield of_round.faithfulness(told, seeds, list(recipe.attributes), run.encode)


def _by_model(run: Run, sets: dict[str, Table], seeds: Table, filtered: Table) -> Iterator[Table]:
    """What a model measures of the sets."""
    if run.recipe.metrics.in_context:
        yield by_model.in_context_rows(run, sets, seeds)
    if looked := run.recipe.metrics.facts:
        yield of_round.facts(by_model.verdicts_on_facts(run, filtered), looked.k)


def _judged(run: Run, filtered: Table, before: Before | None) -> tuple[list[Table], dict[str, Any]]:
    """What a judge says of this round and the last, and, for people, pairs of which it is not sure."""
    judge = run.recipe.metrics.judge
    if judge is None or before is None:
        return [], {}
    pairs = of_round.drawn_pairs(filtered, before.kept, judge.rows)
    verdicts = by_model.judged(run, pairs)
    lines = by_model.doubted(pairs, verdicts)
    head = ["| this round | the round before |", "| --- | --- |"]
    told = {"judge_not_sure": Markdown("\n".join([*head, *lines]))} if lines else {}
    return [by_model.preference(judge, pairs, verdicts, before.round)], told


def asks(
    run: Run,
    generations: Table | None,
    filtered: Table | None,
    labelled: Table | None,
    weighted: Table | None,
    seeds: Table,
) -> None:
    """What is asked of the sets: of those that are not there yet, the most that it may be."""
    wanted, test = run.recipe.metrics, seeds[seeds["split"] == "test"]
    if wanted.model_alone and len(test):
        _labels_by_model(run, test, seeds)
    if wanted.in_context:
        by_model.ask_in_context(run, {"generations": generations, "filtered": filtered}, seeds)
    if wanted.facts:
        by_model.verdicts_on_facts(run, filtered)
    last = last_measured(run) if wanted.judge else None
    if wanted.judge and last:
        kept, n = run.read("filtered", {"round": last}), wanted.judge.rows
        by_model.judged(run, None if filtered is None else of_round.drawn_pairs(filtered, kept, n))


def _verdicts(recipe: Recipe, rows: Table, before: Before | None) -> dict[str, list[Verdict]]:
    return {
        "contamination": [_contamination(rows, recipe.metrics.contamination)],
        "accuracy_holds": [_accuracy(rows, before)],
        "diversity_holds": [_diversity(rows, recipe.metrics.collapse)],
    }


def _contamination(rows: Table, most: float) -> Verdict:
    share = _value(rows, "contamination", "filtered")
    if share is None:
        return Verdict(True, "Not measured.")
    words = (
        f"{share:.2%} of the kept rows share eight words in a row with a test row, at most {most:.2%} may."
    )
    return Verdict(share <= most, words)


def _accuracy(rows: Table, before: Before | None) -> Verdict:
    now = _value(rows, "accuracy", MAIN)
    least = _value(before.metrics, "accuracy", MAIN, "low") if before else None
    if now is None or least is None or before is None:
        return Verdict(True, "There is no earlier round to hold it against.")
    words = f"Accuracy {now:.3f}, the interval of {before.round} begins at {least:.3f}."
    if now >= least:
        return Verdict(True, words)
    # the interval alone says "worse" of one round in twelve that is not: it leaves this round's chance out
    most = _value(rows, "accuracy_change", against(before.round), "high")
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


def _numbers(rows: Table) -> dict[str, Any]:
    """Pictures of this round, and numbers that Dagster plots over rounds."""
    known = rows[rows["value"].notna()]
    tabled = known[known["name"].isin(TABLED)].pivot_table(index="name", columns="slice", values="value")
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
        **{key: Chart("intervals", title, part) for key, (title, part) in drawn.items() if len(part)},
        "diversity": Markdown(tabled.round(3).to_markdown() if len(tabled) else "not measured"),
        **{
            f"{name}/{part}": round(float(value), 4)
            for name, part, value in zip(numbers["name"], numbers["slice"], numbers["value"], strict=True)
        },
    }


def stage(recipe: Recipe) -> Stage:
    wanted = recipe.metrics
    return Stage(
        "metrics",
        compute,
        reads=["generations", "filtered", "labelled", "weighted", "seeds"],
        sections=SECTIONS,
        checks={**ANSWERED, **CHECKS},
        asks=asks,
        model=recipe.annotator_model,
        pays=bool(wanted.model_alone or wanted.in_context or wanted.facts or wanted.judge),
    )
