"""What a set teaches a model that is shown rows of it: the indirect evaluation of a set whose answers are
texts. No weights are trained: the demonstrations are the training set (in-context learning, Brown et al.
2020).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.measure import Look, Metric
from synth_assets.core import templates
from synth_assets.core.values import plain
from synth_assets.recipe.measuring import InContext as Wanted
from synth_assets.recipe.measuring import Truth as Right
from synth_assets.selection.select import ranked

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.contracts.model_spec import NamedModel
    from synth_assets.core.asking import Completes, Message
    from synth_assets.evaluation.metric_rows import Sets

ANSWERED = ("ok", "truncated", "refused")  # a text that was cut may hold the answer; a refusal is wrong
SETS = ("seeds", "generations", "filtered")  # whose rows a model is shown


def shown(rows: pd.DataFrame, n: int, k: int, seed: int = 0) -> list[list[dict[str, Any]]]:
    """For each of `n` test rows `k` of the rows (all, where there are fewer), as dicts. The rows take turns,
    so that no few of them decide."""
    drawn = ranked(rows["row_id"], seed, "in context")[: n * k]
    there = rows[rows["row_id"].isin(drawn)]
    records = dict(zip(there["row_id"], there.to_dict("records"), strict=True))
    k = min(k, len(drawn))
    return [[records[drawn[(i * k + j) % len(drawn)]] for j in range(k)] for i in range(n)]


class InContext(Metric):
    """A model answers test rows, shown rows of each set, and of none."""

    name = "in_context"

    wanted: Wanted

    def models(self) -> Sequence[str | NamedModel | None]:
        """The one that it names, or the annotator's."""
        return (self.wanted.model,)

    def measure(self, look: Look) -> pd.DataFrame:
        """What each set teaches, and its gain over the seeds."""
        from synth_assets.evaluation.task_metrics import right, taught

        wanted, test = self.wanted, self._test(look)
        gold = [right(wanted.by, value) for value in test[wanted.answer]]
        return taught(wanted.by, self._answers(look, look.sets(), test), gold, look.passes)

    def ask(self, look: Look) -> None:
        """The same questions, with those sets that are there."""
        test = self._test(look)
        sets = {"seeds": look.seeds[look.seeds["split"] == "demonstration"]}
        for name in SETS[1:]:
            if getattr(look, name) is None:
                look.expect(self._model(look), len(test))
                continue
            so_far = look.so_far(name)
            sets[name] = so_far[so_far["accepted"]] if "accepted" in so_far else so_far
        self._answers(look, sets, test)

    def _model(self, look: Look) -> Completes:
        return look.model(self.wanted.model, "in context")

    def _test(self, look: Look) -> pd.DataFrame:
        """The real rows that are asked: some of those of which it is known what is right."""
        test = look.seeds[(look.seeds["split"] == "test") & look.seeds[self.wanted.answer].notna()]
        drawn = ranked(test["row_id"], look.recipe.seed, "in context")[: self.wanted.rows]
        return test[test["row_id"].isin(drawn)].reset_index(drop=True)

    def _answers(self, look: Look, sets: Sets, test: pd.DataFrame) -> dict[str, list[str | None]]:
        """Set -> an answer a test row, None where the model gave none."""
        wanted, recipe, model = self.wanted, look.recipe, self._model(look)
        given: dict[str, Sequence[Any]] = {"no rows": [[]] * len(test)}
        for name in SETS:
            rows = sets.get(name, test[:0])
            rows = rows.loc[rows[wanted.answer].notna(), ["row_id", *recipe.shown_fields]]
            if len(rows):
                given[name] = shown(rows, len(test), wanted.k, recipe.seed)
        found = {}
        for name, rows in given.items():
            questions = self._questions(recipe, test, rows, model.api)
            answers = model.complete(questions, wanted.sampling(), ["in context"] * len(test))
            one_line = "\n" in wanted.stop
            found[name] = [look.text_of(a, one_line) if a.outcome in ANSWERED else None for a in answers]
        return found

    def _questions(
        self, recipe: Any, test: pd.DataFrame, given: Sequence[Any], api: str
    ) -> Iterator[Sequence[Message]]:
        """A prompt a test row. All that it may say of the row itself is not the answer."""
        wanted, fields = self.wanted, [name for name in recipe.shown_fields if name != self.wanted.answer]
        for one, demonstrations in zip(test[fields].to_dict("records"), given, strict=True):
            told = {**recipe.task.fields(), **plain(one), "demonstrations": list(map(plain, demonstrations))}
            text = templates.render(wanted.template, told)
            chat = wanted.prompt is not None
            yield templates.chat(text, recipe.task.role) if chat else templates.completion(text, api)


class Truth(Metric):
    """Columns of the rows against the columns of what is right."""

    name = "truth"

    wanted: dict[str, Right]

    def measure(self, look: Look) -> pd.DataFrame:
        """Rows of each column, of all rows and of those that were kept; where labels are made anew, of these
        as well."""
        import pandas as pd

        from synth_assets.evaluation.task_metrics import truth

        sets = {name: look.sets()[name] for name in ("generations", "filtered")}
        found = [
            truth(right.by, name, column, rows, right.column, look.recipe.task.order)
            for column, right in self.wanted.items()
            for name, rows in sets.items()
        ]
        if "label" in self.wanted and look.recipe.labelled.by != "condition":
            right, labels = self.wanted["label"], look.labelled[["row_id", "label"]]
            rows = look.filtered.drop(columns="label").merge(labels, on="row_id")
            found.append(truth(right.by, "labelled", "label", rows, right.column, look.recipe.task.order))
        return pd.concat(found)
