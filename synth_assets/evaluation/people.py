"""What people's decisions measure: how far people agree with each other, and the labels with them.

Only decisions measure that are about rows drawn at random and were made without a suggestion. What is not
known says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from synth_assets.contracts.decision import BETTER, GOLD, RANDOM
from synth_assets.contracts.measure import Row, row
from synth_assets.contracts.measured import Z95, Measured, proportion, unknown
from synth_assets.core.values import plain_value
from synth_assets.evaluation.faithfulness import kappa, pairs
from synth_assets.evaluation.metric_rows import table
from synth_assets.evaluation.resampling import bootstrap, ratio
from synth_assets.evaluation.round import share_of_sample
from synth_assets.recipe.review import kind_asked

AGREES = ("people_agreement", "labelled")  # name and slice of what the gate looks at
RATINGS = ["1", "2", "3", "4"]
ONE_VALUE = "people say the same of all rows: agreement by chance is complete"
NO_TWO = (
    "no row that was drawn at random was decided on by two people without a suggestion: raise review.double "
    "(or review.control)"
)
NOBODY = "people decided on no row that was drawn at random without a suggestion: `synth review NAME`"
MOST_PEOPLE = 10  # whose kappas are told pair by pair


def alpha(units: Sequence[Sequence[Any]], order: Sequence[Any] | None = None) -> Measured:
    """Krippendorff's alpha (2011) of what people say of each unit, some of whom may say nothing; with an
    `order` of levels, two of them disagree by their squared distance. Units with one answer say nothing of
    agreement; the interval is of units drawn again."""
    told = [said for said in units if len(said) > 1]
    values = list(order) if order else sorted({str(value) for said in told for value in said})
    at = {value: i for i, value in enumerate(values)}
    counts = np.zeros((len(told), len(values)))
    for i, said in enumerate(told):
        for value in said:
            counts[i, at[value if order else str(value)]] += 1
    if not told:
        return unknown(NO_TWO)
    levels = np.arange(len(values))
    apart = np.abs(levels[:, None] - levels) ** 2 if order else (levels[:, None] != levels).astype(float)

    def statistic(cells: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        each = cells.sum(axis=1)
        within = np.einsum("ci,ij,cj->c", cells, apart, cells) / (each - 1)
        of_value = drawn @ cells
        chance = np.einsum("di,ij,dj->d", of_value, apart, of_value) / (of_value.sum(axis=1) - 1)
        out = np.full(len(drawn), np.nan)
        return 1 - np.divide(drawn @ within, chance, out=out, where=chance > 0)

    return bootstrap(counts, statistic, ONE_VALUE)


def of_people(recipe: Any, reviews: pd.DataFrame, now: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """All that the decisions about a round measure."""
    kind = kind_asked(recipe)
    said = reviews[reviews["kind"] == kind]
    blind = said[said["draw"].eq(RANDOM) & ~said["saw_suggestion"]]
    order = RATINGS if kind == "rating" else recipe.task.order or None
    found = [
        *_between(blind, order),
        *(_with_labels(recipe, now["filtered"], now["labelled"]) if recipe.by_people else ()),
        *_on_seeds(recipe, said[said["draw"] == GOLD], now["seeds"]),
        *_skipped(reviews, kind),
    ]
    if kind == "rating":
        found.append(row("people_rating", "filtered", _mean_rating(blind)))
    return table(found)


def _between(blind: pd.DataFrame, order: Sequence[str] | None) -> Iterator[Row]:
    """Agreement of people with each other."""
    units = [list(rows["value"]) for _, rows in blind.groupby("row_id")]
    yield row("people_alpha", "people", alpha(units, order))
    by_person = {
        person: dict(zip(r["row_id"], r["value"], strict=True)) for person, r in blind.groupby("person")
    }
    for one, other in combinations(sorted(by_person)[:MOST_PEOPLE], 2):
        first, second = by_person[one], by_person[other]
        if shared := sorted(first.keys() & second.keys()):
            told = pairs([first[r] for r in shared], [second[r] for r in shared], order)
            yield row("people_kappa", f"{one}, {other}", kappa(told, 2 if order else None))


def _with_labels(recipe: Any, filtered: pd.DataFrame, labelled: pd.DataFrame) -> Iterator[Row]:
    """Agreement of the labels, as they are without people, with people's."""
    drawn = labelled[labelled["human_draw"].eq(RANDOM)] if "human_draw" in labelled else labelled.iloc[:0]
    if drawn.empty:
        yield row(*AGREES, unknown(NOBODY))
        return
    weights = 1 / drawn["human_probability"].astype(float)
    right = list(_right(recipe, filtered, drawn))
    yield row(*AGREES, share_of_sample(right, list(weights) if weights.nunique() > 1 else None))


def _right(recipe: Any, filtered: pd.DataFrame, drawn: pd.DataFrame) -> Iterator[bool]:
    """Of rows that people labelled, whether all that the machine says of each is what they say."""
    target = recipe.task.predict
    if target is None:
        yield from (drawn["machine_label"] == drawn["label"]).astype(bool)
        return
    there = filtered[filtered["row_id"].isin(drawn["row_id"])]
    made = {each["row_id"]: each for each in there.to_dict("records")}
    for each in drawn.to_dict("records"):
        machine, people = (target.known_of(said) for said in (made[each["row_id"]], each))
        yield machine is not None and people is not None and sorted(machine) == sorted(people)


def _on_seeds(recipe: Any, said: pd.DataFrame, seeds: pd.DataFrame) -> Iterator[Row]:
    """How often each person says of a hidden seed what it is."""
    target = recipe.task.predict
    by_id = {each["row_id"]: each for each in seeds.to_dict("records")}
    for person, rows in said[said["row_id"].isin(by_id)].groupby("person"):
        both = zip(rows["row_id"], rows["value"], strict=True)
        told = [(by_id[at], value if target is None else json.loads(value)) for at, value in both]
        right = [_known(target, seed) == value for seed, value in told]
        yield row("people_gold", str(person), proportion(right))


def _known(target: Any, seed: Mapping[str, Any]) -> Any:
    """What a seed is, as decisions say it."""
    if target is None:
        return seed["label"]
    known = target.known_of(seed)
    if known is not None and target.word == "spans":
        known = [[span.start, span.end, span.kind] for span in known]
    return known and sorted(known)


def _skipped(reviews: pd.DataFrame, kind: str) -> Iterator[Row]:
    """Rows drawn at random that were shown and of which nobody said anything, or only after a look at what
    the row has, where others did without: these are missing, and not at random."""
    drawn = reviews[reviews["draw"].eq(RANDOM) & reviews["kind"].isin([kind, "skip"])]
    if len(drawn):
        said = drawn["kind"].eq(kind)
        blind = said & ~drawn["saw_suggestion"].astype(bool)
        answered = (blind if blind.any() else said).groupby(drawn["row_id"]).any()
        yield row("people_skipped", "random", proportion(list(~answered)))


def _mean_rating(blind: pd.DataFrame) -> Measured:
    rated = blind.assign(value=blind["value"].astype(float), weight=1 / blind["probability"].astype(float))
    each = rated.groupby("row_id")[["value", "weight"]].mean()
    parts = [(value * weight, weight) for value, weight in each.itertuples(index=False)]
    return ratio(parts, NOBODY) if parts else unknown(NOBODY)


def verdicts(reviews: pd.DataFrame | None) -> dict[tuple[str, str], float]:
    """Both ids of a pair -> what people who saw no suggestion say of the first: 1 it is better, 0.5, 0."""
    found: dict[tuple[str, str], float] = {}
    if reviews is None:
        return found
    said = reviews[reviews["kind"].eq("choice") & ~reviews["saw_suggestion"]]
    by_pair: dict[tuple[str, str], list[float]] = {}
    for ids, value in zip(said["row_id"], said["value"], strict=True):
        first, _, second = ids.partition("/")
        by_pair.setdefault((first, second), []).append(BETTER[value])
        by_pair.setdefault((second, first), []).append(1 - BETTER[value])
    for both, each in by_pair.items():
        mean = sum(each) / len(each)
        found[both] = float(mean > 0.5) if mean != 0.5 else 0.5
    return found


def released(at_least: float, rows: Iterable[Mapping[str, Any]], recipe: str) -> tuple[bool, str]:
    """Whether the labels agree with people as far as the recipe wants, by a round's metrics; and how far they
    do, with what helps."""
    found = next((each for each in rows if (each["name"], each["slice"]) == AGREES), None)
    value, low, high = (plain_value(found[c]) if found else None for c in ("value", "low", "high"))
    if found is None or value is None or value != value:
        return False, f"Nobody has said whether the labels are right: synth review {recipe}."
    of = f"of {int(found['n']):,} rows drawn at random"
    told = f"People agree with {value:.1%} of the labels"
    if low is None or low != low:
        return False, f"{told}, {of}: {found['reason']}. Label more of them."
    told += f" ({low:.1%} to {high:.1%}, {of})"
    if low >= at_least:
        return True, f"{told}, the recipe wants {at_least:.0%}."
    told += f"; the whole interval has to reach {at_least:.0%}."
    if value <= at_least:
        return False, f"{told} Look at what they say otherwise, and change filters, prompts or `labelled`."
    more = int(np.ceil(Z95**2 * value * (1 - value) / (value - at_least) ** 2)) - int(found["n"])
    return False, f"{told} If it stays so, about {max(1, more):,} more such rows tell: synth review {recipe}."
