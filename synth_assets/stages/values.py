"""Stage `values`: condition values that a model lists, in files that a person may edit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from synth_assets.contracts.provider import Around
from synth_assets.generation.conditions.asking import answers, questions
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.review_files import read_review, review_file, was_edited, write_review
from synth_assets.stages import feedback, grown, signals
from synth_assets.stages.run import Run
from synth_assets.stages.stage import ANSWERED, Made, Stage, Table


def compute(run: Run) -> Made:
    """Condition values that the model lists; to be edited in their review files."""
    rows, files = [], []
    for name, section, given, question in questions(run.recipe):
        file = review_file(run.recipe.reviews, name, given)
        if not was_edited(file):
            write_review(file, question, answers(name, section, given, question, run.model()))
        rows += [(name, given, value) for value in read_review(file)]
        files.append(str(file))
    return Made(_table(rows), {"review": files})


def listed(run: Run) -> Table:
    """The same rows; nothing is written for review."""
    rows = []
    for name, section, given, question in questions(run.recipe):
        file = review_file(run.recipe.reviews, name, given)
        found = (
            read_review(file) if was_edited(file) else answers(name, section, given, question, run.model())
        )
        rows += [(name, given, value) for value in found]
    return _table(rows)


def asks(run: Run) -> Table:
    """The questions, as if each answer had as many values as are asked for. What is there is not asked."""
    listed, rows = _there(run), []
    for name, section, given, question in questions(run.recipe):
        file = review_file(run.recipe.reviews, name, given)
        found = listed.get((name, given)) or (read_review(file) if was_edited(file) else ())
        model = run.model(lines=section.wanted)
        rows += [(name, given, v) for v in found or answers(name, section, given, question, model)]
    return _table(rows)


def _table(rows: Sequence[tuple[str, str, str]]) -> Table:
    import pandas as pd

    return pd.DataFrame(rows, columns=["attribute", "given", "value"])


def _there(run: Run) -> dict[tuple[str, str], list[str]]:
    """(attribute, values of other conditions) -> the values that are listed."""
    found: dict[tuple[str, str], list[str]] = {}
    if run.recipe.listed and run.there("values", {}):
        for name, given, value in run.read("values").itertuples(index=False, name=None):
            found.setdefault((name, given), []).append(value)
    return found


def around(run: Run, seeds: Table) -> Around:
    """What the conditions of a round may look at: seeds, rows that were kept before, listed values."""
    rows = {"seeds": seeds}
    if run.recipe.shows_kept:
        rows["kept"] = run.before("filtered", last=run.recipe.last_kept)
    if run.recipe.shows_decided:
        import pandas as pd

        rows["shown"] = pd.concat([seeds, decided(run)], ignore_index=True)
    listed = _there(run)
    for name, source in run.recipe.growing.items():
        listed[name, ""] = source.grown([*listed.get((name, ""), ()), *grown.so_far(run, name)])
    before = taken(run) if run.recipe.remember and run.cell else None
    steered = feedback.asked(run) if run.recipe.feedback.signals and run.cell else None
    return Around(
        rows,
        run.encode,
        lambda name, given: listed.get((name, given), ()),
        before,
        run.shared,
        partial(signals.last, run),
        steered.weights if steered else {},
    )


def taken(run: Run) -> list[dict[str, Any]]:
    """The values of the questions of this cell's earlier rounds, in order. Read, and not declared: a round
    that is made again knows those before it alone, and draws the same."""
    names, samples = list(run.recipe.attributes), run.recipe.samples
    rows = run.before("conditions", ["round", "replicate", *names], run.cell)
    rows = rows.sort_values(["round", "replicate"], ignore_index=True)
    return rows.loc[rows["replicate"] % samples == 0, names].to_dict("records")


def decided(run: Run) -> Table:
    """Rows of earlier rounds whose labels are people's, as demonstrations that stand beside the seeds'."""
    task = run.recipe.task
    target = task.predict.columns[:1] if task.predict else []
    said = run.before("labelled", ["row_id", "text", "label", "label_source", *target])
    said = said[said["label_source"] == "human"].drop(columns=["label_source", "cell"])
    rows = run.before("filtered").drop(columns=["text", "label", *target], errors="ignore")
    return rows.merge(said, on="row_id").assign(split="demonstration")


def shown_rows(run: Run) -> Table:
    """What a prompt may show: the seeds, and the rows that were kept before. Read, and not declared: the
    conditions name those that are shown by what they say: a row that nobody is shown makes nothing stale."""
    import pandas as pd

    recipe, parts = run.recipe, [run.read("seeds")]
    parts += [run.before("filtered", last=recipe.last_kept)] if recipe.shows_kept else []
    parts += [decided(run)] if recipe.shows_decided else []  # last: a row has people's label
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def stage(recipe: Recipe) -> Stage:
    """The stage of a recipe."""
    return Stage(
        "values", compute, sections=["values"], checks=ANSWERED, asks=asks, model=recipe.model, pays=True
    )
