"""All that is measured of one round: accuracy of students, baselines, diversity and yield, as metric rows.

A metric row is (name, slice, value, low, high, n): what was measured on which set, with its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synth_assets.evaluation.diversity import diversity
from synth_assets.evaluation.usefulness import TrainingSet, compare, correct, wilson, word_list_labels
from synth_assets.selection.select import ranked
from synth_assets.students.calibration import batch_calibrated

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.protocols import Encode, LabelLogprobs

COLUMNS = ["name", "slice", "value", "low", "high", "n"]
VARIED = ("generations", "filtered", "real")  # sets whose diversity is compared
Annotate = Callable[[Sequence[str]], Sequence["LabelLogprobs | None"]]


def training_sets(
    generations: pd.DataFrame,
    filtered: pd.DataFrame,
    weighted: pd.DataFrame,
    seeds: pd.DataFrame,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """What is compared: name -> rows with text, label and, where it weighs, weight.

    `real` are as many real rows of each label as `weighted` has synthetic ones, drawn from the unlabeled
    split, whose labels are used for nothing but this reference; absent when there are too few.
    """
    import pandas as pd

    synthetic = weighted[weighted["origin"] == "synthetic"]
    shown = seeds[seeds["split"] == "demonstration"]
    with_seeds = (
        weighted if len(synthetic) < len(weighted) else pd.concat([shown.assign(weight=1.0), synthetic])
    )
    sets = {
        "seeds": shown,
        "generations": generations[generations["accepted"]],
        "filtered": filtered,
        "weighted": synthetic,
        "seeds + weighted": with_seeds,
    }
    rest = seeds[seeds["split"] == "unlabeled"]
    drawn: list[str] = []
    for label, n in synthetic["label"].value_counts().items():
        drawn += ranked(rest.loc[rest["label"] == label, "row_id"], seed, "reference")[:n]
    if len(drawn) == len(synthetic) > 0:
        sets["real"] = rest[rest["row_id"].isin(drawn)]
    return sets


def student_hits(sets: Mapping[str, pd.DataFrame], test: pd.DataFrame, encode: Encode) -> dict[str, Any]:
    """Whether each set's student is right, one bool a test row; None for a set that lacks a class."""
    features, gold = encode(list(test["text"])), list(test["label"])
    hits = {}
    for name, rows in sets.items():
        weights = list(rows["weight"]) if "weight" in rows else None
        train = TrainingSet(encode(list(rows["text"])), list(rows["label"]), weights)
        hits[name] = correct(train, features, gold)
    return hits


def word_list_hits(test: pd.DataFrame, words: Mapping[str, Sequence[str]]) -> Any:
    """Whether the hand-made word list is right, one bool a test row."""
    import numpy as np

    return np.asarray(word_list_labels(list(test["text"]), words)) == np.asarray(test["label"])


def drawn_for_the_model(test: pd.DataFrame, n: int, seed: int = 0) -> pd.DataFrame:
    """The test rows that the model labels by itself."""
    return test[test["row_id"].isin(ranked(test["row_id"], seed, "model alone")[:n])]


def model_alone(test: pd.DataFrame, n: int, annotate: Annotate, by_seeds: Any, seed: int = 0) -> pd.DataFrame:
    """Metric rows of the annotator on `n` of the test rows, its gain over `by_seeds` on the same rows.

    A row that the annotator gives no label is missing, and not wrong.
    """
    import numpy as np

    sample = drawn_for_the_model(test, n, seed)
    probabilities = batch_calibrated(annotate(list(sample["text"])))
    sample = sample[[p is not None for p in probabilities]]
    if sample.empty:
        return compare({"model alone": None}, 0, "seeds")
    guessed = [max(p, key=p.__getitem__) for p in probabilities if p is not None]
    hits = {"model alone": np.asarray(guessed) == np.asarray(sample["label"])}
    if by_seeds is not None:
        hits["seeds"] = by_seeds[sample.index]
    rows = compare(hits, len(sample), "seeds")
    return rows[rows["slice"] == "model alone"]


def diversities(sets: Mapping[str, pd.DataFrame], encode: Encode) -> pd.DataFrame:
    """Diversity of as many rows of each set as the smallest has: most measures fall as a set grows."""
    import pandas as pd

    compared = {name: sets[name] for name in VARIED if name in sets}
    n = min(map(len, compared.values()))
    parts = []
    for name, rows in compared.items():
        drawn = rows[rows["row_id"].isin(ranked(rows["row_id"], "diversity")[:n])]
        parts.append(diversity(list(drawn["text"]), encode).assign(slice=name))
    return pd.concat(parts)


def yields(generations: pd.DataFrame, filtered: pd.DataFrame) -> pd.DataFrame:
    """Kept rows over rows asked for, in all and by cell."""
    import pandas as pd

    counts = {"all": (len(filtered), len(generations))}
    for cell, asked in generations["cell"].value_counts().sort_index().items():
        counts[str(cell)] = (int((filtered["cell"] == cell).sum()), int(asked))
    rows = [("yield", name, kept / n, *wilson(kept, n), n) for name, (kept, n) in counts.items()]
    return pd.DataFrame(rows, columns=COLUMNS)
