"""What is measured of the sets themselves: how varied they are, what they copy, whether their labels are
right, and what students that are trained on them are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synth_assets.contracts.measure import Look, Metric
from synth_assets.core.errors import NotInstalled
from synth_assets.evaluation.metric_rows import MAIN, table
from synth_assets.selection.select import ranked

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.asking import LabelLogprobs

ROUNDS = 5  # before this one, that its diversity is held against


class WordList(Metric):
    """The baseline that a person writes by hand. It stands among the students, where there are some."""

    name = "word_list"
    of_pairs = True

    wanted: dict[str, list[str]]  # label -> words

    def measure(self, look: Look) -> pd.DataFrame:
        """Its accuracy on the test rows."""
        from synth_assets.evaluation import usefulness

        test = test_of(look)
        if test.empty:
            return table([])
        labels = usefulness.word_list_labels(list(test["text"]), self.wanted)
        hits = {"word list": (test["label"] == labels).to_numpy()}
        look.shared["baselines"] = hits
        return table([] if look.recipe.metrics.student else usefulness.compare(hits, len(test), "seeds"))


class OfStudents(Metric):
    """What students of the sets do on the test rows, and what they gain on the last round's."""

    name = "student"
    of_pairs = True

    def measure(self, look: Look) -> pd.DataFrame:
        """Each set is in the table: where there is no accuracy, with the reason. Nothing of a task of which
        nothing is learned."""
        import pandas as pd

        from synth_assets.evaluation import targets
        from synth_assets.evaluation import usefulness as useful

        if look.recipe.task.predict:
            return targets.usefulness(look)

        test, baselines = test_of(look), look.shared.get("baselines", {})
        if not look.recipe.labels:
            return table([])
        sets, why = look.sets(), useful.untrained(look.sets(), test["label"])
        if test.empty:
            why = dict.fromkeys([*sets, "real"], "the seeds have no test rows: see seeds.splits.test")
            return table(useful.compare(dict.fromkeys(why), 0, "seeds", why))
        try:
            said = look.shared["students"] = useful.predictions(sets, test, look.student)
        except NotInstalled as error:
            why = dict.fromkeys(sets, str(error)) | why
            return table(useful.compare({**dict.fromkeys(why), **baselines}, len(test), "seeds", why))
        order = look.recipe.task.order
        parts = [useful.usefulness(said, baselines, len(test), why, order), useful.weights_gain(sets, said)]
        parts.append(useful.curves(sets, test, look.student, look.recipe.seed))
        if before := look.before():
            last = {MAIN: before.weighted[before.weighted["origin"] == "synthetic"]}
            then = useful.predictions(last, test, look.student)[MAIN]
            parts.append(useful.change(said[MAIN], then, before.round))
        return pd.concat(parts)


class ModelAlone(Metric):
    """The model labels test rows by itself: the baseline without a student."""

    name = "model_alone"
    of_pairs = True

    wanted: int  # test rows

    def models(self) -> Sequence[None]:
        """The annotator's."""
        return (None,)

    def measure(self, look: Look) -> pd.DataFrame:
        """Nothing where there are no test rows with labels."""
        from synth_assets.evaluation.usefulness import model_alone

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


class Faithfulness(Metric):
    """Whether the labels of the rows are right, by a student of the real rows and by people."""

    name = "faithfulness"
    of_pairs = True

    def measure(self, look: Look) -> pd.DataFrame:
        """Nothing of a task without labels."""
        from synth_assets.evaluation.round import faithfulness

        recipe = look.recipe
        kinds = recipe.condition_columns
        attributes = [n for n in recipe.attributes if kinds[n] == "string" and n != recipe.task.pair]
        if not recipe.labels:
            return table([])
        if recipe.task.annotate:  # the text, or an id, is of one row alone
            attributes = [name for name in attributes if not look.filtered[name].is_unique]
        told = look.labelled.merge(look.filtered[["row_id", *attributes]], on="row_id")
        return faithfulness(told, look.seeds, attributes, look.encode, recipe.task.order)


class Diversity(Metric):
    """How varied the sets are, and the rows of each round by itself."""

    name = "diversity"

    def measure(self, look: Look) -> pd.DataFrame:
        """Rows about the sets, and about the last rounds."""
        import pandas as pd

        from synth_assets.evaluation.diversity import diversities, of_rounds

        rows_of = look.latest("filtered", ROUNDS).groupby("round")
        latest = {str(name): list(rows["text"]) for name, rows in rows_of}
        validation = look.seeds[look.seeds["split"] == "validation"]
        of_sets = diversities(look.sets(), validation, look.encode)
        return pd.concat([of_sets, of_rounds(latest, look.encode)])


class Privacy(Metric):
    """What the rows have in common with seeds and test rows."""

    name = "privacy"
    of_pairs = True

    def measure(self, look: Look) -> pd.DataFrame:
        """Nothing where there are no seeds."""
        from synth_assets.evaluation.privacy import leaks

        return leaks(look.filtered, look.seeds, look.encode) if len(look.seeds) else table([])
