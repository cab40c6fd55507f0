"""What a student of each set is worth on real rows, where it learns a number, several labels or spans.

The slice of a metric row is the set that the student was trained on; of `label_f1`, the label or kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synth_assets.contracts.measure import Look, Row, row
from synth_assets.contracts.measured import Z95, Measured, unknown
from synth_assets.evaluation.metric_rows import MAIN, table
from synth_assets.evaluation.resampling import bootstrap, bootstrap_mean
from synth_assets.evaluation.task_metrics import set_f1
from synth_assets.selection.select import ranked
from synth_assets.students import targets

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.recipe.target import Target

NO_TEST = "the seeds have no test rows: see seeds.splits.test"
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

    return bootstrap(parts, statistic, "nothing was found, and nothing is there to find")


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
    """What students of the sets say of the test rows, the gain over the seeds' student, and of the main set
    each label or kind. A row whose value cannot be read teaches nothing."""
    return table(_rows(look, look.recipe.task.predict))


def _rows(look: Look, target: Target) -> Iterator[Row]:
    task, sets = task_of(target), {**look.sets(), **_real(look)}
    texts, gold = known(target, look.seeds[look.seeds["split"] == "test"])
    said: dict[str, Said] = {}
    for name, rows in sets.items():
        found = NO_TEST if not texts else _predicted(look, target, rows, texts)
        if isinstance(found, str):
            yield Row(target.measure, name, None, n=len(texts), reason=found)
            continue
        said[name] = found
        yield from (row(metric, name, of) for metric, of in task.measures(found, gold).items())
    for name in said if "seeds" in said else ():
        if name != "seeds":
            yield row(f"{target.measure}_gain", name, task.gain(said[name], said["seeds"], gold))
    if MAIN in said and task.by_name:
        yield from (row("label_f1", name, of) for name, of in task.by_name(said[MAIN], gold).items())


def known(target: Target, rows: pd.DataFrame) -> tuple[list[str], list[Any]]:
    """Texts and values of the rows whose value can be read."""
    values = [target.known_of(each) for each in rows.to_dict("records")]
    there = [at for at, value in enumerate(values) if value is not None]
    texts = list(rows["text"])
    return [texts[at] for at in there], [values[at] for at in there]


def _predicted(look: Look, target: Target, rows: pd.DataFrame, texts: Sequence[str]) -> Said | str:
    """What a student of the rows says of the texts, or why there is none."""
    from synth_assets.core.errors import NotInstalled

    weighed = rows[rows["weight"] > 0] if "weight" in rows else rows
    there = [target.known_of(each) is not None for each in weighed.to_dict("records")]
    weighed = weighed[there]
    learned, values = known(target, weighed)
    weights = list(weighed["weight"]) if "weight" in weighed else None
    student = targets.build(target, look.recipe.student, look.student)
    try:
        return student.fit(learned, values, weights).predict(texts)
    except (ValueError, NotInstalled) as error:
        return str(error)


def _real(look: Look) -> dict[str, pd.DataFrame]:
    """As many real rows as the main set has, from seeds that are used for nothing else; none where there are
    too few."""
    rest, n = look.seeds[look.seeds["split"] == "unlabeled"], len(look.sets()[MAIN])
    if not 0 < n <= len(rest):
        return {}
    drawn = ranked(rest["row_id"], look.recipe.seed, "reference")[:n]
    return {"real": rest[rest["row_id"].isin(drawn)]}
