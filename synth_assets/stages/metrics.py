"""Stage `metrics`: what the set is worth, beside baselines, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from typing import Any

from synth_assets.annotation import annotators, people
from synth_assets.contracts.measure import Before, Look, Metric, Row
from synth_assets.core.errors import NotInstalled
from synth_assets.core.text.pairs import both
from synth_assets.evaluation import verdict
from synth_assets.evaluation.metric_rows import MAIN, table
from synth_assets.generation.conditions.knowledge import retrieve
from synth_assets.generation.steps.prompt import parsed
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.target import Target
from synth_assets.stages import feedback, front, signals
from synth_assets.stages.knowledge import shares
from synth_assets.stages.run import Run, passes
from synth_assets.stages.samples import Samples
from synth_assets.stages.stage import ANSWERED, Chart, Check, Made, Markdown, Stage, Table, Verdict, short
from synth_assets.students import made

READS = ["generations", "filtered", "labelled", "weighted", "seeds"]
UNCUT = ("seeds", "reviews")  # tables that are looked at as they are
SECTIONS = ["labels", "metrics", "annotator", "feedback", "seed"]
PLOTTED = (  # over the rounds
    *(
        "accuracy",
        "accuracy_gain",
        "weights_gain",
        "accuracy_change",
        "macro_f1",
        "auc",
        "yield",
        "correctness",
        "kappa",
        "people_agreement",
        "people_alpha",
    ),
    *("contamination", "vendi_score"),
    *("quadratic_kappa", "mae", "rmse", "rmse_gain", "spearman", "micro_f1", "micro_f1_gain"),
    *("subset_accuracy", "hamming_loss", "span_f1", "span_f1_gain", "knowledge_used", "knowledge_kept"),
)
TABLED = (
    *("vocabulary", "distinct_1", "distinct_2", "self_bleu_4", "average_pairwise_similarity", "vendi_score"),
)
CHECKS = {
    "contamination": Check(
        "Do at most metrics.contamination of the kept rows repeat eight words of a test row?",
        ("filters.contamination", "metrics.contamination"),
        "synth tune {recipe}",
    ),
    "accuracy_holds": Check(
        "Is the accuracy of the training set at least where the last round's interval begins, or the fall on "
        "the same test rows within chance?",
        ("filters", "weights", "rows"),
        "synth sql --query accuracy_over_rounds",
    ),
    "diversity_holds": Check(
        "Is the diversity of this round's rows at most metrics.collapse under the best of the rounds before? "
        "(Else the set may feed on itself.)",
        ("conditions", "weights.seeds", "metrics.collapse"),
        "synth sql --query diversity_over_rounds",
    ),
    "weights_help": Check(
        "Is a student of the weighted rows as good as one of the same rows of equal weight? (It warns where "
        "the whole paired interval is under 0.)",
        ("weights", "labelled"),
        "synth report {recipe}",
    ),
    "better_than_seeds": Check(
        "Is the set at least as good as the seeds alone? (It warns where the whole paired interval is under "
        "0.)",
        ("filters", "conditions", "rows", "weights"),
        "synth tune {recipe}",
    ),
}
RELEASE = {
    "people_agree": Check(
        "Do people agree with the labels of rows drawn at random as far as review.agreement wants, with the "
        "whole interval? (Until then `synth export` refuses; the round is none the worse for it.)",
        ("review", "labelled", "filters"),
        "synth report {recipe}",
        stops=False,
    ),
}


def compute(run: Run, **now: Table) -> Made:
    """All that the recipe measures, and the yield of each cell, which the next round is told."""
    import pandas as pd

    from synth_assets.evaluation.people import of_people, released
    from synth_assets.evaluation.round import yields

    recipe, samples, cost = run.recipe, Samples(run.recipe.seed), dict[str, Any]()
    look = looking(run, samples, **now)
    pairs = of_pairs(look)
    of_cells = yields(now["generations"], now["filtered"])
    parts = [
        samples.noted(_measured(run, metric, pairs if metric.of_pairs else look))
        for metric in recipe.metrics.chosen()
    ]
    own = {name for part in parts[len(parts) - len(recipe.metrics.others) :] for name in part["name"]}
    if recipe.review:
        parts.append(of_people(recipe, now["reviews"], now))
        lines, cost = front.of_round(recipe, now) if recipe.review.priced and recipe.labels else ([], {})
        parts.append(table(lines))
    rows = pd.concat([*parts, of_cells], ignore_index=True).assign(round=run.round)
    by_cell = of_cells.set_index("slice")["value"].to_dict()
    told = verdict.sentence(recipe, rows.to_dict("records"), run.round)
    lists = {name: _listed(*lines) for name, lines in look.told.items()}
    numbers = {"verdict": told, **_map(run, **now), **_numbers(rows, own), **cost, **lists}
    verdicts = _verdicts(recipe, rows, look.before())
    if (wanted := recipe.released_at) is not None:
        verdicts["people_agree"] = [Verdict(*released(wanted, rows.to_dict("records"), recipe.name))]
    beside = {"signals": Made(signals.signalled(run, pairs))} if recipe.signals else {}
    said = beside["signals"].rows if recipe.signals else None
    beside["feedback"] = feedback.compute(run, by_cell, now["generations"], said)
    return Made(rows, numbers, verdicts, beside=beside)


def _measured(run: Run, metric: Metric, look: Look) -> Table:
    """Its rows; where it needs what is not installed, one that says so."""
    try:
        with nullcontext() if metric.models() else run.doing(f"measures {metric.name}"):
            return table(metric.measure(look))
    except NotInstalled as error:
        return table([Row(metric.name, "all", None, reason=str(error))])


def _map(run: Run, **now: Table) -> dict[str, Any]:
    """The picture of where this round's rows and the real ones are; nothing where no diversity is wanted."""
    from synth_assets.evaluation.map_of_rows import map_of_rows, sample

    if not run.recipe.metrics.diversity:
        return {}
    made, kept = now["generations"], now["filtered"]
    dropped = made[made["accepted"] & ~made["row_id"].isin(kept["row_id"])]
    texts = {"dropped": sample(dropped), "kept": sample(kept), "real": sample(now["seeds"])}
    try:
        found = map_of_rows(texts, run.encode)
    except NotInstalled as error:
        return {"map": Markdown(f"unknown: {error}")}
    return {"map": Chart("places", "real, kept and dropped rows", found.series())} if found else {}


def looking(run: Run, samples: Samples | None = None, **now: Table) -> Look:
    """What the metrics look at, by way of a run: of very many rows, `samples`. What several of them want is
    worked out once."""
    recipe, seeds = run.recipe, now["seeds"]
    whole, samples = now, samples or Samples(recipe.seed)
    now = {stage: rows if stage in UNCUT else samples.of(rows) for stage, rows in whole.items()}

    @cache
    def so_far(stage: str) -> Table:
        return samples.with_before(run, stage, whole[stage])

    @cache
    def sets() -> dict[str, Table]:
        from synth_assets.evaluation.usefulness import training_sets

        # `weighted` has the rows of all rounds so far: what it is compared with has them, too
        rows = {stage: so_far(stage) for stage in ("generations", "filtered", "labelled")}
        return training_sets(**rows, weighted=now["weighted"], seeds=seeds, seed=recipe.seed)

    @cache
    def before() -> Before | None:
        if (last := last_measured(run)) is None:
            return None
        kept, weighted = (samples.of_round(run, stage, last) for stage in ("filtered", "weighted"))
        return Before(last, kept, weighted, run.read("metrics", {"round": last}))

    def annotate(texts: Sequence[str]) -> Sequence[Any]:
        pairs = both(seeds, recipe.task.pair)
        shown = annotators.demonstrations(pairs, recipe.annotator.k, recipe.seed)
        limit = recipe.annotator.max_tokens
        return annotators.label_logprobs(texts, shown, recipe.task, run.model(), limit)

    return Look(
        recipe=recipe,
        round=run.round,
        so_far=so_far,
        latest=lambda stage, last: samples.of_last(run, stage, whole[stage], last),
        sets=sets,
        before=before,
        encode=run.encode,
        student=made.build(recipe.student, run.encode, run.encoder.folder),
        model=run.model,
        expect=run.expect,
        annotate=annotate,
        text_of=lambda answer, one_line: parsed(answer, None, one_line)["text"] or "",
        retrieve=retrieve,
        passes=passes,
        verdicts=people.read_verdicts,
        knowledge=lambda: shares(run, whole["generations"], whole["filtered"], seeds),
        **now,
    )


def of_pairs(look: Look) -> Look:
    """The same, in which texts are both of a pair; what is shared and told goes to one place."""
    if (second := look.recipe.task.pair) is None:
        return look

    @cache
    def sets() -> dict[str, Table]:
        return {name: both(rows, second) for name, rows in look.sets().items()}

    @cache
    def before() -> Before | None:
        if (last := look.before()) is None:
            return None
        return last._replace(kept=both(last.kept, second), weighted=both(last.weighted, second))

    stages = ("generations", "filtered", "labelled", "weighted", "seeds")
    there = {stage: rows for stage in stages if (rows := getattr(look, stage, None)) is not None}
    return replace(
        look,
        **{stage: both(rows, second) for stage, rows in there.items()},
        so_far=lambda stage: both(look.so_far(stage), second),
        latest=lambda stage, last: both(look.latest(stage, last), second),
        sets=sets,
        before=before,
    )


def last_measured(run: Run) -> str | None:
    """The last round before this one that has metrics, and the rows that they are of."""
    measured = [r for r in run.rounds("metrics") if run.there("weighted", {"round": r})]
    return max(measured, default=None)


def asks(run: Run, **now: Table | None) -> None:
    """What is asked of the sets: of those that are not there yet, the most that it may be."""
    look = looking(run, **now)
    pairs = of_pairs(look)
    for metric in run.recipe.metrics.chosen():
        metric.ask(pairs if metric.of_pairs else look)


def _verdicts(recipe: Recipe, rows: Table, before: Before | None) -> dict[str, list[Verdict]]:
    told = rows.to_dict("records")
    return {
        "contamination": [_contamination(rows, recipe.metrics.contamination)],
        "accuracy_holds": [_accuracy(rows, before, recipe.task.predict)],
        "diversity_holds": [_diversity(rows, recipe.metrics.collapse)],
        "weights_help": [_gain(verdict.weights_gain(told), "the same rows of equal weight")],
        "better_than_seeds": [_gain(verdict.gain_over_seeds(recipe, told), "the seeds alone")],
    }


def _gain(gain: Mapping[str, Any] | None, over: str) -> Verdict:
    if gain is None:
        return Verdict(True, "Not measured.", blocks=False)
    words = f"{gain['slice']} gains {gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})"
    words += f" over {over}, on the same {int(gain['n']):,} test rows."
    return Verdict(not gain["high"] < 0, words, blocks=False)


def _contamination(rows: Table, most: float) -> Verdict:
    share = _value(rows, "contamination", "filtered")
    if share is None:
        return Verdict(True, "Not measured.")
    words = f"{share:.2%} of the kept rows share eight words in a row with a test row"
    return Verdict(share <= most, f"{words}, at most {most:.2%} may.")


def _accuracy(rows: Table, before: Before | None, target: Target | None = None) -> Verdict:
    """Of the metric of students by which sets are compared."""
    name = target.measure if target else "accuracy"
    end = "high" if target and target.lower else "low"
    now = _value(rows, name, MAIN)
    worst = _value(before.metrics, name, MAIN, end) if before else None
    if now is None or worst is None or before is None:
        return Verdict(True, "There is no earlier round to hold it against.")
    reaches = "ends" if end == "high" else "begins"
    title = "Accuracy" if target is None else name
    words = f"{title} {now:.3f}, the interval of {before.round} {reaches} at {worst:.3f}."
    if now <= worst if end == "high" else now >= worst:
        return Verdict(True, words)
    # the interval alone says "worse" of one round in twelve that is not: it leaves this round's chance out
    most = _value(rows, f"{name}_change", before.round, "high", by="against")
    if most is None or most < 0:
        return Verdict(False, words)
    return Verdict(True, f"{words} On the same test rows the fall is within chance (up to {most:+.3f}).")


def _diversity(rows: Table, most: float) -> Verdict:
    from synth_assets.evaluation.diversity import falls

    found = falls(rows)
    if not found:
        return Verdict(True, "There is no earlier round to hold it against.")
    name = max(found, key=found.__getitem__)
    words = f"{name} is {found[name]:.0%} under the best round's, {most:.0%} are allowed."
    return Verdict(found[name] <= most, words if found[name] > 0 else "No round before was more varied.")


def _value(rows: Table, name: str, of: str, column: str = "value", by: str = "slice") -> float | None:
    found = rows.loc[(rows["name"] == name) & (rows[by] == of), column].dropna()
    return float(found.iloc[0]) if len(found) else None


def _numbers(rows: Table, own: set[str]) -> dict[str, Any]:
    """Pictures of this round, and numbers that Dagster plots over rounds: those of one's own metrics, too."""
    known = rows[rows["value"].notna()]
    tabled = known[known["name"].isin(TABLED)].pivot_table(index="name", columns="slice", values="value")
    plotted = known["name"].isin({*PLOTTED, *own}) | known["name"].str.startswith(("truth_", "in_context_"))
    pictures = {
        "accuracy": ("accuracy on real test rows (95 % interval)", "accuracy"),
        "correctness": ("right labels, by a student of real rows or people (95 % interval)", "correctness"),
        "errors": ("errors by class (95 % interval)", "error"),
        "learning_curve": ("accuracy over rows (95 % interval)", "learning_curve"),
        "quadratic_kappa": ("quadratic kappa on real test rows (95 % interval)", "quadratic_kappa"),
        "rmse": ("root mean squared error on real test rows (95 % interval)", "rmse"),
        "micro_f1": ("micro-F1 on real test rows (95 % interval)", "micro_f1"),
        "span_f1": ("F1 of spans on real test rows (95 % interval)", "span_f1"),
        "label_f1": ("F1 by label or kind (95 % interval)", "label_f1"),
        "truth": ("rows against what is right (95 % interval)", "truth_.*"),
        "in_context": ("the model, when shown rows of (95 % interval)", "in_context_(?!gain).*"),
    }
    bounded = ["slice", "value", "low", "high"]
    return {
        **{
            key: Chart("intervals", title, part[bounded].values.tolist())
            for key, (title, of) in pictures.items()
            if len(part := known[known["name"].str.fullmatch(of)])
        },
        "diversity": Markdown(tabled.round(3).to_markdown() if len(tabled) else "not measured"),
        **{
            f"{name}/{part}": round(float(value), 4)
            for name, part, value in known.loc[plotted, ["name", "slice", "value"]].itertuples(index=False)
        },
    }


def _listed(columns: Sequence[str], *rows: Sequence[str]) -> Markdown:
    lines = [columns, ["---"] * len(columns), *(map(short, row) for row in rows)]
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def stage(recipe: Recipe) -> Stage:
    """The stage of a recipe."""
    gate = recipe.released_at is not None
    priced = recipe.review is not None and recipe.review.priced
    more = {"agreement": gate, "costs": priced, "signals": bool(recipe.signals)}
    return Stage(
        "metrics",
        compute,
        reads=[*READS, *(["reviews"] if recipe.review else [])],
        sections=[*SECTIONS, *(name for name, has in more.items() if has)],
        checks={**ANSWERED, **CHECKS, **(RELEASE if gate else {})},
        also={"signals": signals.TOLD} if recipe.signals else {},
        asks=asks,
        model=recipe.annotator_model,
        pays=any(metric.models() for metric in recipe.metrics.chosen()),
    )
