"""What students that are trained on a set are worth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.measure import Look, Metric, Row
from synth_assets.evaluation import usefulness as useful
from synth_assets.evaluation.metric_rows import MAIN, against, table
from synth_assets.selection.select import ranked
from synth_assets.students.calibration import batch_calibrated
from synth_assets.students.made import Made

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.asking import LabelLogprobs
    from synth_assets.evaluation.metric_rows import Sets


def training_sets(
    generations: pd.DataFrame,
    filtered: pd.DataFrame,
    labelled: pd.DataFrame,
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
    each = {
        "generations": generations[generations["accepted"]],
        "filtered": filtered,
        "labelled": labelled,
        "weighted": synthetic,
    }
    sets = {"seeds": shown, **each}
    for name, rows in each.items():
        sets[f"seeds + {name}"] = pd.concat([shown.assign(weight=1.0) if "weight" in rows else shown, rows])
    if len(synthetic) < len(weighted):  # the recipe says what the seeds weigh
        sets["seeds + weighted"] = weighted
    rest = seeds[seeds["split"] == "unlabeled"]
    drawn: list[str] = []
    for label, n in synthetic["label"].value_counts().items():
        drawn += ranked(rest.loc[rest["label"] == label, "row_id"], seed, "reference")[:n]
    if len(drawn) == len(synthetic) > 0:
        sets["real"] = rest[rest["row_id"].isin(drawn)]
    return sets


def training_set(rows: pd.DataFrame, student: Made) -> useful.TrainingSet:
    """Rows (text, label; weight and label_probabilities where there are some) as a student learns them."""
    weights, labels = list(rows["weight"]) if "weight" in rows else None, list(rows["label"])
    soft = (
        _soft(rows["label_probabilities"], labels) if student.soft and "label_probabilities" in rows else None
    )
    return useful.TrainingSet(student.features(list(rows["text"])), labels, weights, soft)


def _soft(probabilities: Iterable[Mapping[str, float] | None], labels: Sequence[str]) -> Any:
    """(n, K) probabilities of the sorted labels; of a row whose are not known, 1 at its label."""
    import numpy as np

    classes = sorted(set(labels))
    known = [
        [p[c] for c in classes] if isinstance(p, Mapping) else [float(c == label) for c in classes]
        for p, label in zip(probabilities, labels, strict=True)
    ]
    found = np.asarray(known).reshape(len(known), len(classes))
    return found / found.sum(axis=1, keepdims=True)


def predictions(sets: Sets, test: pd.DataFrame, student: Made) -> dict[str, useful.Predicted | None]:
    """What each set's student says of the test rows; None for a set that lacks a class."""
    features, gold = student.features(list(test["text"])), list(test["label"])
    trained = {name: training_set(rows, student) for name, rows in sets.items()}
    return {name: useful.predicted(train, features, gold, student.new) for name, train in trained.items()}


def usefulness(
    said: Mapping[str, useful.Predicted | None], others: Mapping[str, Any], n: int
) -> pd.DataFrame:
    """Accuracy and its gain over the seeds for all sets and baselines (`others`, one bool a test row); of
    students what `of_one` says, of the main set the errors by class and the confusion."""
    right = {name: None if p is None else p.right for name, p in said.items()}
    rows = [found for name, p in said.items() if p is not None for found in useful.of_one(name, p)]
    main = said.get(MAIN)
    rows += [] if main is None else useful.errors(main)
    return table([*useful.compare({**right, **others}, n, "seeds"), *rows])


def curves(sets: Sets, test: pd.DataFrame, student: Made, seed: int = 0) -> pd.DataFrame:
    """Accuracy over rows, of the main set and of as many real rows."""
    features, gold = student.features(list(test["text"])), list(test["label"])

    def accuracy(part: pd.DataFrame) -> float | None:
        found = useful.predicted(training_set(part, student), features, gold, student.new)
        return None if found is None else float(found.right.mean())

    compared = [name for name in (MAIN, "real") if len(sets.get(name, ()))]
    return table(
        row for name in compared for row in useful.learning_curve(name, sets[name], accuracy, len(gold), seed)
    )


def change(now: useful.Predicted | None, before: useful.Predicted | None, round_: str) -> pd.DataFrame:
    """Paired gain in accuracy of the main set's student over that of the round before, `round_`."""
    if now is None or before is None:
        return table([])
    gain = useful.paired_gain(now.right, before.right)
    return table([Row("accuracy_change", against(round_), *gain, len(now.gold), against=round_)])


def model_alone(sample: pd.DataFrame, said: Sequence[LabelLogprobs | None], by_seeds: Any) -> pd.DataFrame:
    """Metric rows of the annotator on a sample of the test rows, its gain over `by_seeds` on the same rows.

    A row that the annotator gives no label is missing, and not wrong.
    """
    import numpy as np

    probabilities = batch_calibrated(said)
    sample = sample[[p is not None for p in probabilities]]
    if sample.empty:
        return table(useful.compare({"model alone": None}, 0, "seeds"))
    guessed = [max(p, key=p.__getitem__) for p in probabilities if p is not None]
    hits = {"model alone": np.asarray(guessed) == np.asarray(sample["label"])}
    if by_seeds is not None:
        hits["seeds"] = by_seeds[sample.index]
    return table(
        found for found in useful.compare(hits, len(sample), "seeds") if found.slice == "model alone"
    )


class WordList(Metric):
    """The baseline that a person writes by hand. It stands among the students, where there are some."""

    name = "word_list"

    wanted: dict[str, list[str]]  # label -> words

    def measure(self, look: Look) -> pd.DataFrame:
        """Its accuracy on the test rows."""
        import numpy as np

        test = test_of(look)
        if test.empty:
            return table([])
        labels = useful.word_list_labels(list(test["text"]), self.wanted)
        hits = {"word list": np.asarray(labels) == np.asarray(test["label"])}
        look.shared["baselines"] = hits
        return table([] if look.recipe.metrics.student else useful.compare(hits, len(test), "seeds"))


class OfStudents(Metric):
    """What students of the sets do on the test rows, and what they gain on the last round's."""

    name = "student"

    def measure(self, look: Look) -> pd.DataFrame:
        """Nothing where there are no test rows with labels."""
        import pandas as pd

        test = test_of(look)
        if test.empty:
            return table([])
        said = look.shared["students"] = predictions(look.sets(), test, look.student)
        parts = [usefulness(said, look.shared.get("baselines", {}), len(test))]
        parts.append(curves(look.sets(), test, look.student, look.recipe.seed))
        if before := look.before():
            last = {MAIN: before.weighted[before.weighted["origin"] == "synthetic"]}
            parts.append(change(said[MAIN], predictions(last, test, look.student)[MAIN], before.round))
        return pd.concat(parts)


class ModelAlone(Metric):
    """The model labels test rows by itself: the baseline without a student."""

    name = "model_alone"

    wanted: int  # test rows

    def models(self) -> Sequence[None]:
        """The annotator's."""
        return (None,)

    def measure(self, look: Look) -> pd.DataFrame:
        """Nothing where there are no test rows with labels."""
        sample, said = self._asked(look)
        seeds = look.shared.get("students", {}).get("seeds")
        return model_alone(sample, said, seeds and seeds.right) if len(sample) else table([])

    def ask(self, look: Look) -> None:
        """It rests on the seeds alone."""
        self._asked(look)

    def _asked(self, look: Look) -> tuple[pd.DataFrame, Sequence[LabelLogprobs | None]]:
        test = test_of(look)
        drawn = ranked(test["row_id"], look.recipe.seed, "model alone")[: self.wanted]
        sample = test[test["row_id"].isin(drawn)]
        return sample, look.annotate(list(sample["text"])) if len(sample) else []


def test_of(look: Look) -> pd.DataFrame:
    """The test rows, of a task that has labels."""
    test = look.seeds[look.seeds["split"] == "test"].reset_index(drop=True)
    return test if look.recipe.labels else test[:0]
