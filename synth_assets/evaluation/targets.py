"""What a student of each set is worth on real rows, where it learns a number, several labels or spans.

The slice of a metric row is the set that the student was trained on; of `label_f1`, the label or kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synth_assets.contracts.measure import Look, Row, row
from synth_assets.contracts.measured import Z95, Measured, unknown, wilson
from synth_assets.evaluation.metric_rows import MAIN, against, table
from synth_assets.evaluation.resampling import bootstrap, bootstrap_mean
from synth_assets.evaluation.task_metrics import set_f1
from synth_assets.selection.select import ranked
from synth_assets.students import targets

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.recipe.target import Target

NO_TEST = "the seeds have no test rows: see seeds.splits.test"
NO_REAL = "the split unlabeled has fewer rows than the set: give seeds more rows"
Said = Sequence[Any]  # a value a test row


def spearman(found: Sequence[float], gold: Sequence[float]) -> Measured:
    """Spearman's rank correlation, in [-1, 1]; its interval is that of Bonett and Wright (2000)."""
    from scipy.stats import spearmanr

    n = len(gold)
    if n < 2 or np.ptp(found) == 0 or np.ptp(gold) == 0:
        return unknown("all numbers are the same, or there are fewer than two", n)
    value = float(spearmanr(found, gold).statistic)
    if n < 5 or abs(value) >= 1:
        return Measured(value, n=n)
    half = Z95 * ((1 + value**2 / 2) / (n - 3)) ** 0.5
    low, high = np.tanh(np.arctanh(value) + np.array([-half, half]))
    return Measured(value, float(low), float(high), n)


def _root_mean(cells: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(draws, f): the root of the mean of each number of a row."""
    return np.sqrt(counts @ cells / counts.sum(axis=1, keepdims=True))


def numbers(found: Sequence[float], gold: Sequence[float]) -> dict[str, Measured]:
    """`rmse` (root of the mean squared error), `mae` (mean absolute error) and `spearman`."""
    off = np.abs(np.asarray(found, dtype=float) - np.asarray(gold, dtype=float))
    rmse = bootstrap(off**2, lambda cells, counts: _root_mean(cells, counts)[:, 0])
    return {"rmse": rmse, "mae": bootstrap_mean(off.tolist()), "spearman": spearman(found, gold)}


def numbers_gain(after: Sequence[float], before: Sequence[float], gold: Sequence[float]) -> Measured:
    """By how much the RMSE is lower, on the same rows."""
    errors = [
        (np.asarray(each, dtype=float) - np.asarray(gold, dtype=float)) ** 2 for each in (before, after)
    ]
    return bootstrap(np.stack(errors, axis=1), lambda *given: -np.diff(_root_mean(*given), axis=1)[:, 0])


def label_sets(
    found: Sequence[set[str]], gold: Sequence[set[str]], names: Sequence[str]
) -> dict[str, Measured]:
    """Of several labels a row: `micro_f1`, `macro_f1` (the mean of the labels' F1), `subset_accuracy` (the
    share of rows of which all labels are right) and `hamming_loss` (the share of wrong decisions)."""
    wrong = [len(a ^ b) / len(names) for a, b in zip(found, gold, strict=True)]
    each = [of.value for of in by_name(found, gold, names).values() if of.value is not None]
    macro = Measured(sum(each) / len(each), n=len(gold)) if each else unknown("no label is there to find")
    return {
        "micro_f1": set_f1(found, gold),
        "macro_f1": macro,
        "subset_accuracy": bootstrap_mean([float(a == b) for a, b in zip(found, gold, strict=True)]),
        "hamming_loss": bootstrap_mean(wrong),
    }


def by_name(
    found: Sequence[set[Any]], gold: Sequence[set[Any]], names: Sequence[str], of: Callable[[Any], str] = str
) -> dict[str, Measured]:
    """Name -> F1 of what is of that name."""

    def only(sets: Sequence[set[Any]], name: str) -> list[set[Any]]:
        return [{each for each in some if of(each) == name} for some in sets]

    return {name: set_f1(only(found, name), only(gold, name)) for name in names}


def sets_gain(after: Sequence[set[Any]], before: Sequence[set[Any]], gold: Sequence[set[Any]]) -> Measured:
    """By how much the micro-averaged F1 is higher, on the same rows."""
    parts = [
        (2 * len(b & g), len(b) + len(g), 2 * len(a & g), len(a) + len(g))
        for a, b, g in zip(after, before, gold, strict=True)
    ]

    def statistic(cells: np.ndarray, counts: np.ndarray) -> np.ndarray:
        old, of_old, new, of_new = (counts @ cells).T
        known = (of_old > 0) & (of_new > 0)
        out = np.full(len(old), np.nan)
        return np.divide(new, of_new, out=out.copy(), where=known) - np.divide(
            old, of_old, out=out, where=known
        )

    found = bootstrap(parts, statistic, "nothing was found, and nothing is there to find")
    if found.value is None or found.low is not None:
        return found
    half = wilson(0, found.n)[1]  # resamples see no chance: as wide as of accuracies (usefulness.paired_gain)
    return Measured(found.value, max(-1.0, found.value - half), min(1.0, found.value + half), found.n)


@dataclass(frozen=True)
class Task:
    """How what was found is measured against what is right."""

    measures: Callable[[Said, Said], Mapping[str, Measured]]
    gain: Callable[[Said, Said, Said], Measured]
    by_name: Callable[[Said, Said], Mapping[str, Measured]] | None = None


def task_of(target: Target) -> Task:
    """That of a target (recipe/target.py)."""
    if target.word == "number":
        return Task(numbers, numbers_gain)
    names: list[str] = [*target.definitions]
    if target.word == "labels":
        return Task(
            lambda found, gold: label_sets(_sets(found), _sets(gold), names),
            lambda *said: sets_gain(*map(_sets, said)),
            lambda found, gold: by_name(_sets(found), _sets(gold), names),
        )
    return Task(
        lambda found, gold: {"span_f1": set_f1(found, gold)},
        lambda *said: sets_gain(*map(_sets, said)),
        lambda found, gold: by_name(_sets(found), _sets(gold), names, lambda span: span.kind),
    )


def _sets(said: Said) -> list[set[Any]]:
    return list(map(set, said))


def usefulness(look: Look) -> pd.DataFrame:
    """What students of the sets say of the test rows, the gains over the seeds' student, over rows of equal
    weight and over the last round, and of the main set each label or kind. A row whose value cannot be read
    teaches nothing."""
    return table(_rows(look, look.recipe.task.predict))


def _rows(look: Look, target: Target) -> Iterator[Row]:
    task, sets = task_of(target), {**look.sets(), **_real(look)}
    test, gold = known(target, look.seeds[look.seeds["split"] == "test"])
    texts = list(test["text"])
    said: dict[str, Said] = {}
    for name, rows in sets.items():
        found = NO_TEST if not texts else _predicted(look, target, rows, texts)
        if isinstance(found, str):
            yield Row(target.measure, name, None, n=len(texts), reason=found)
            continue
        said[name] = found
        yield from (row(metric, name, of) for metric, of in task.measures(found, gold).items())
    if "real" not in sets:
        yield Row(target.measure, "real", None, n=len(texts), reason=NO_REAL)
    for name in said if "seeds" in said else ():
        if name != "seeds":
            yield row(f"{target.measure}_gain", name, task.gain(said[name], said["seeds"], gold))
    if MAIN not in said:
        return
    if "labelled" in said and sets[MAIN]["weight"].nunique() > 1:
        yield row("weights_gain", MAIN, task.gain(said[MAIN], said["labelled"], gold))
    if before := look.before():
        last = before.weighted[before.weighted["origin"] == "synthetic"]
        then = _predicted(look, target, last, texts)
        if not isinstance(then, str):
            change = task.gain(said[MAIN], then, gold)
            yield row(f"{target.measure}_change", against(before.round), change, against=before.round)
    if task.by_name:
        yield from (row("label_f1", name, of) for name, of in task.by_name(said[MAIN], gold).items())


def known(target: Target, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[Any]]:
    """The rows whose value can be read, and the values."""
    values = [target.known_of(each) for each in rows.to_dict("records")]
    there = [at for at, value in enumerate(values) if value is not None]
    return rows.iloc[there], [values[at] for at in there]


def _predicted(look: Look, target: Target, rows: pd.DataFrame, texts: Sequence[str]) -> Said | str:
    """What a student of the rows says of the texts, or why there is none."""
    from synth_assets.core.errors import NotInstalled

    try:
        return predictions(look, target, rows, texts)
    except (ValueError, NotInstalled) as error:
        return str(error)


def predictions(look: Look, target: Target, rows: pd.DataFrame, texts: Sequence[str]) -> Said:
    """What a student of the rows says of the texts. ValueError: the rows teach nothing."""
    learned, values = known(target, rows[rows["weight"] > 0] if "weight" in rows else rows)
    weights = list(learned["weight"]) if "weight" in learned else None
    student = targets.build(target, look.recipe.student, look.student)
    found: Said = student.fit(list(learned["text"]), values, weights).predict(texts)
    return found


def off(target: Target, found: Said, gold: Said) -> list[float]:
    """Of each row, how far what was found is from what is right: of a number, the absolute error; of labels
    and spans, one minus their F1, which is 1 where there is none to find and none was found."""
    if target.word == "number":
        return np.abs(np.asarray(found, dtype=float) - np.asarray(gold, dtype=float)).tolist()
    each = zip(_sets(found), _sets(gold), strict=True)
    return [len(a ^ b) / ((len(a) + len(b)) or 1) for a, b in each]


def _real(look: Look) -> dict[str, pd.DataFrame]:
    """As many real rows as the main set has, from seeds that are used for nothing else; none where there are
    too few."""
    rest, n = look.seeds[look.seeds["split"] == "unlabeled"], len(look.sets()[MAIN])
    if not 0 < n <= len(rest):
        return {}
    drawn = ranked(rest["row_id"], look.recipe.seed, "reference")[:n]
    return {"real": rest[rest["row_id"].isin(drawn)]}
