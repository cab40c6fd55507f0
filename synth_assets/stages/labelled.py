"""Stage `labelled`: whose label each row carries on, and how sure it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from synth_assets.annotation import annotators
from synth_assets.annotation.people import read_human
from synth_assets.annotation.votes import Vote, Word, together, votes_of
from synth_assets.core.errors import NotInstalled
from synth_assets.core.records import records
from synth_assets.core.text.pairs import both
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages.run import Run
from synth_assets.stages.splits import gold
from synth_assets.stages.stage import ANSWERED, Chart, Made, Markdown, Stage, Table


def compute(run: Run, filtered: Table, seeds: Table | None = None, reviews: Table | None = None) -> Made:
    """Labels with source, former value and confidence."""
    way = run.recipe.labelled
    filtered = edited(filtered, reviews)
    words = _people(run, filtered, reviews)
    said = [words.get(row) for row in filtered["row_id"]]
    is_label = bool(run.recipe.labels)
    rows = _enhanced(run, filtered, seeds, [word and word.value for word in said] if is_label else ())
    if run.recipe.task.annotate:
        rows = _annotated(rows, filtered)
    if way.human or run.recipe.by_people:
        rows = rows.assign(**_drawn(said))
    if run.recipe.task.predict and run.recipe.by_people:
        rows = _with_values(run.recipe, rows, said)
    unknown = int(rows["confidence"].isna().sum())
    if way.by != "condition" and 2 * unknown > len(rows):
        run.warn(
            f"{way.by} knows nothing of {unknown} of {len(rows)} rows, which keep the label "
            "that was asked for: do the annotators answer with the labels' words?"
        )
    return Made(rows, {**_numbers(rows), **_divided(run, words)})


def asks(run: Run, filtered: Table | None, seeds: Table | None = None, reviews: Table | None = None) -> None:
    """Of rows that are not there yet, any may be in doubt."""
    if filtered is None:
        asked = [run.made.get(("conditions", cell)) for cell in run.recipe.cells]
        run.expect(run.model(), sum(run.recipe.most_rows if rows is None else len(rows) for rows in asked))
    else:
        _enhanced(run, edited(filtered, reviews), seeds)


def _enhanced(run: Run, rows: Table, seeds: Table | None, human: Sequence[str | None] = ()) -> Table:
    from synth_assets.curation.labels.enhance import enhance

    recipe, model = run.recipe, run.model() if run.recipe.labelled.asks else None
    asked: dict[str, Any] = {"task": recipe.task, "model": model, "max_tokens": recipe.annotator.max_tokens}
    annotate = partial(annotators.label_logprobs, **asked) if model else None
    way, labels = recipe.labelled, recipe.labels
    given: dict[str, Any] = {"encode": run.encode, "labels": labels, "annotate": annotate, "human": human}
    pair = recipe.task.pair
    given |= {"warn": run.warn, "gold": None if seeds is None else both(gold(seeds), pair)}
    read = both(rows, pair)
    try:
        made = enhance(read, way, **given)
    except NotInstalled as error:
        from synth_assets.curation.labels.condition import Condition

        run.warn(f"{way.place} is unknown, rows keep the label that was asked for: {error}")
        made = enhance(read, Condition(by="condition"), **given)
    return with_target(recipe, made.assign(text=list(rows["text"])))


def _annotated(rows: Table, filtered: Table) -> Table:
    """The rows, whose label nobody asked for: the annotator gave it, and is as sure as its answers say."""
    source = rows["label_source"].replace("condition", "annotator")
    return rows.assign(label_source=source, confidence=rows["confidence"].fillna(filtered["confidence"]))


def with_target(recipe: Recipe, rows: Table) -> Table:
    """The rows, with what is learned of them as training sets have it."""
    if (target := recipe.task.predict) is None:
        return rows
    values = [target.stored(row) for row in records(rows)]
    return rows.assign(**{target.columns[0]: values})


def edited(rows: Table, reviews: Table | None) -> Table:
    """The rows with the texts that people made of them: the last one, of several."""
    if reviews is None or not reviews["kind"].eq("text").any():
        return rows
    texts = dict(reviews.loc[reviews["kind"] == "text", ["row_id", "value"]].itertuples(index=False))
    old = zip(rows["row_id"], rows["text"], strict=True)
    return rows.assign(text=[texts.get(row, text) for row, text in old])


def _people(run: Run, rows: Table, reviews: Table | None) -> dict[str, Word]:
    """Row id -> what people say of it, in a file and on the review page. The file is for all rounds: what it
    labels is a row of one of them."""
    from synth_assets.curation.labels import aggregation

    recipe, votes = run.recipe, list[Vote]()
    if recipe.labelled.human is not None:
        human = read_human(recipe.labelled.human, recipe.labels, bool(recipe.task.pair))
        if human.beyond(rows[human.column]):
            human.refuse(set(run.of_all("generations", human.column).dropna()))
        votes += human.votes(rows)
    kind = recipe.task.predict.word if recipe.task.predict else "label"
    if reviews is not None and recipe.by_people:
        texts = dict(zip(rows["row_id"], rows["text"], strict=True))
        votes += votes_of(reviews.to_dict("records"), kind, texts)
    way = aggregation.dawid_skene if recipe.review and recipe.review.by_people == "dawid_skene" else None
    return together(votes, list(recipe.task.definitions), kind, way or aggregation.majority)


def _drawn(said: Sequence[Word | None]) -> dict[str, list[Any]]:
    """How each of the rows was drawn, and how likely; None for those of which people say nothing."""
    return {
        "human_draw": [word and word.draw.how for word in said],
        "human_probability": [word and word.draw.probability for word in said],
    }


def _with_values(recipe: Recipe, rows: Table, said: Sequence[Word | None]) -> Table:
    """What is learned of the rows, where that is no label, as people have it."""
    target = recipe.task.predict
    assert target is not None
    values = [
        target.given(row["text"], word.value) if word else row[target.columns[0]]
        for row, word in zip(records(rows), said, strict=True)
    ]
    source = rows["label_source"].where([word is None for word in said], "human")
    return rows.assign(**{target.columns[0]: values, "label_source": source})


def _divided(run: Run, words: Mapping[str, Word]) -> dict[str, int]:
    """How many rows people are divided about."""
    divided = sum(word.divided for word in words.values())
    if divided:
        run.warn(
            f"people are divided about {divided} of {len(words)} rows, of which the first one's word holds: "
            "let one more person decide."
        )
    return {"people_divided": divided} if words else {}


def _numbers(rows: Table) -> dict[str, Any]:
    """Confidence, which labels became which, and how many labels each source changed."""
    import pandas as pd

    changed = rows[rows["label"] != rows["former_label"]].dropna(subset=["label"])
    former = pd.crosstab(rows["former_label"], rows["label"])
    by_source = Counter(changed["label_source"])
    confidence = {label: list(group["confidence"]) for label, group in rows.groupby("label")}
    return {
        "confidence": Chart("histogram", "confidence", confidence),
        "unknown_labels": int(rows["confidence"].isna().sum()),
        "changed_labels": len(changed),
        **{f"changed_by/{source}": n for source, n in sorted(by_source.items())},
        "labels_by_source": Chart("bars", "rows by who gave the label", Counter(rows["label_source"])),
        "former_to_label": Markdown(former.to_markdown() if len(former) else "no labels"),
    }


def stage(recipe: Recipe) -> Stage:
    """The stage of a recipe."""
    pays, carries = recipe.labelled.asks, recipe.weights.columns_needed()
    people = ["reviews"] if recipe.review else []
    return Stage(
        "labelled",
        compute,
        reads=["filtered", *(["seeds"] if recipe.labelled.reads_gold else []), *people],
        sections=[
            "labelled",
            *(["annotator"] if pays else []),
            *(["weights.columns"] if carries else []),
            *(["by_people"] if recipe.by_people else []),
        ],
        checks=ANSWERED if pays else {},
        asks=asks if pays else None,
        model=recipe.annotator_model if pays else None,
        pays=pays,
    )
