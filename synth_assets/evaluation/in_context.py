"""What a set teaches a model that is shown rows of it: the indirect evaluation of a set whose answers are
texts. No weights are trained: the demonstrations are the training set (in-context learning, Brown et al.
2020).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.measure import Look, Metric, Passes, row
from synth_assets.contracts.measured import Measured
from synth_assets.core import templates
from synth_assets.evaluation.faithfulness import agreement, proportion
from synth_assets.evaluation.metric_rows import table
from synth_assets.evaluation.resampling import bootstrap_mean
from synth_assets.evaluation.task_metrics import BY_NAME, NO_REFERENCE, members
from synth_assets.recipe.measuring import PASSES
from synth_assets.recipe.measuring import InContext as Wanted
from synth_assets.recipe.measuring import Truth as Right
from synth_assets.selection.select import ranked

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.contracts.model_spec import NamedModel
    from synth_assets.core.asking import Completes, Message
    from synth_assets.evaluation.metric_rows import Sets

CODE = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
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


def right(by: str, value: Any) -> list[str] | None:
    """The right answers of a row, or the members of its set, as its column has them; None if it has none."""
    if _missing(value):
        return None
    if _is_list(value):
        return [str(one) for one in value]
    return members(str(value)) if by == "set_f1" else [str(value)]


def score(by: str, answers: Sequence[str | None], gold: Sequence[Sequence[str] | None]) -> Measured:
    """The metric `by` of the answers. A row that lacks its answer, or what is right, is left out."""
    known = [(a, g) for a, g in zip(answers, gold, strict=True) if a is not None and g is not None]
    return BY_NAME[by]([a for a, _ in known], [g for _, g in known])


def _passes(
    answers: Sequence[str | None], gold: Sequence[Sequence[str] | None], run: Passes
) -> list[float | None]:
    """1 for a program that passes its tests, 0 for another, None where there is no answer or no test."""
    known = [i for i, (a, g) in enumerate(zip(answers, gold, strict=True)) if a is not None and g]
    passed = run([program(str(answers[i]), gold[i] or ()) for i in known])
    found = dict(zip(known, map(float, passed), strict=True))
    return [found.get(i) for i in range(len(answers))]


def program(answer: str, tests: Sequence[str]) -> str:
    """The code of an answer, of a fenced block where it has one, and the tests after it."""
    fenced = CODE.search(answer)
    return "\n".join([fenced[1] if fenced else answer, *tests])


def taught(
    by: str,
    answers: Mapping[str, Sequence[str | None]],
    gold: Sequence[Sequence[str] | None],
    run: Passes,
    against: str = "seeds",
) -> pd.DataFrame:
    """Metric rows of what the model answered with rows of each set, and its mean gain, row by row, over what
    it answered with rows of the set `against`."""
    found, each = [], {}
    for name, said in answers.items():
        if by == PASSES:
            each[name] = _passes(said, gold, run)
            whole = proportion([None if v is None else v == 1 for v in each[name]], NO_REFERENCE)
        else:
            each[name] = [score(by, [a], [g]).value for a, g in zip(said, gold, strict=True)]
            whole = score(by, said, gold)
        found.append(row(f"in_context_{by}", name, whole))
    base = each.pop(against, None)
    for name, values in each.items() if base else ():
        pairs = zip(values, base or (), strict=True)
        gains = [None if a is None or b is None else a - b for a, b in pairs]
        found.append(row("in_context_gain", name, bootstrap_mean(gains, "no row was answered with both")))
    return table(found)


def truth(by: str, set_: str, column: str, rows: pd.DataFrame, is_: str) -> pd.DataFrame:
    """Metric rows of a column against the column of what is right (faithfulness with ground truth, Zhu et al.
    2023). `by: label` compares labels: accuracy, macro-F1 and Cohen's kappa."""
    slice_ = f"{column} of {set_}"
    if by == "label":
        told = [[None if _missing(v) else _text(v) for v in rows[c]] for c in (column, is_)]
        return table(row(f"truth_{name}", slice_, found) for name, found in agreement(*told).items())
    answers = [None if _missing(answer) else _text(answer) for answer in rows[column]]
    return table([row(f"truth_{by}", slice_, score(by, answers, [right(by, v) for v in rows[is_]]))])


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _is_list(value: Any) -> bool:
    """Whether it has members: pandas has the lists of a column as arrays."""
    return hasattr(value, "__iter__") and not isinstance(value, str)


def _text(value: Any) -> str:
    return "\n".join(map(str, value)) if _is_list(value) else str(value)


class InContext(Metric):
    """A model answers test rows, shown rows of each set, and of none."""

    name = "in_context"

    wanted: Wanted

    def models(self) -> Sequence[str | NamedModel | None]:
        """The one that it names, or the annotator's."""
        return (self.wanted.model,)

    def measure(self, look: Look) -> pd.DataFrame:
        """What each set teaches, and its gain over the seeds."""
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
            told = {**recipe.task.fields(), **one, "demonstrations": demonstrations}
            text = templates.render(wanted.template, told)
            chat = wanted.prompt is not None
            yield templates.chat(text, recipe.task.role) if chat else templates.completion(text, api)


class Truth(Metric):
    """Columns of the rows against the columns of what is right."""

    name = "truth"

    wanted: dict[str, Right]

    def measure(self, look: Look) -> pd.DataFrame:
        """Rows of each column, of all rows and of those that were kept."""
        import pandas as pd

        return pd.concat(
            truth(right.by, name, column, look.sets()[name], right.column)
            for column, right in self.wanted.items()
            for name in ("generations", "filtered")
        )
