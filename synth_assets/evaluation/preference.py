"""Preference: levels that raters give, ranks of responses, and verdicts on pairs of systems.

A verdict on a pair is a number from the view of the first system: 1 it won, 0.5 a tie, 0 it lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from synth_assets.contracts.measured import NO_ROWS, Measured, proportion, unknown
from synth_assets.evaluation.faithfulness import kappa, one_hot, pairs
from synth_assets.evaluation.resampling import (
    DRAWS,
    ONE_ROW,
    bootstrap,
    bootstrap_mean,
    interval,
    resampled,
)

LEVELS = "ABCD"  # from right and helpful to useless (Self-Instruct, Wang et al. 2023)
OUTCOMES = {"win": 1, "tie": 0, "lose": -1}  # on which side of 0.5 a verdict is
SCALE = 400  # of Elo's scale: a system 400 above another wins ten games of eleven
START = 1000


class Comparison(NamedTuple):
    """Two systems that answered the same question, and the verdict of `first`'s answer."""

    first: str
    second: str
    verdict: float | None


def level_shares(ratings: Sequence[str | None], levels: Sequence[str] = LEVELS) -> dict[str, Measured]:
    """Share of the ratings that is each level."""
    return {level: proportion([None if r is None else r == level for r in ratings]) for level in levels}


def level_agreement(
    first: Sequence[str | None], second: Sequence[str | None], levels: Sequence[str] = LEVELS
) -> dict[str, Measured]:
    """Of two raters of the same rows: `kappa`, `weighted_kappa` (quadratic: levels far apart disagree more)
    and Spearman's correlation. Raises KeyError for a rating that is not a level."""
    rows = pairs(first, second, levels)
    spearman = bootstrap(rows, _spearman, "a rater gave one level only")
    return {"kappa": kappa(rows), "weighted_kappa": kappa(rows, 2), "spearman": spearman}


def _spearman(cells: np.ndarray, counts: np.ndarray) -> np.ndarray:
    ranks = []
    for members in one_hot(cells):
        sizes = counts @ members
        ranks.append((sizes.cumsum(axis=1) - sizes / 2 - sizes.sum(axis=1, keepdims=True) / 2) @ members.T)
    one, other = ranks
    shared, *spread = ((counts * a * b).sum(axis=1) for a, b in ((one, other), (one, one), (other, other)))
    both = np.sqrt(spread[0] * spread[1])
    return np.divide(shared, both, out=np.full(len(both), np.nan), where=both > 0)


def mean_ranks(rankings: Sequence[Mapping[str, float]]) -> dict[str, Measured]:
    """Mean rank of each system; a ranking is system -> rank, 1 is best, equal ranks are ties."""
    systems = sorted({system for ranking in rankings for system in ranking})
    return {s: bootstrap_mean([ranking.get(s) for ranking in rankings]) for s in systems}


def win_tie_lose(verdicts: Sequence[float | None]) -> dict[str, Measured]:
    """Shares of `win`, `tie` and `lose`: verdicts above, at and below 0.5, so graded ones count as well.

    `win_score` is (win - lose) / n + 1, so that 1 is par (AlpaGasus, Chen et al. 2023); `win_rate` is the
    mean verdict, in which a tie is half a win, and `standard_error` is that of it (AlpacaEval).
    """
    known = [v for v in verdicts if v is not None and v == v]
    shares = {name: proportion([np.sign(v - 0.5) == side for v in known]) for name, side in OUTCOMES.items()}
    error = unknown(NO_ROWS if not known else ONE_ROW, len(known))
    if len(known) > 1:
        spread = float(np.std(known, ddof=1)) / len(known) ** 0.5
        error = Measured(spread, n=len(known), why="it is itself how far win_rate is sure")
    means = {"win_score": bootstrap_mean([2 * v for v in known]), "win_rate": bootstrap_mean(known)}
    return {**shares, **means, "standard_error": error}


def position_bias(forward: Sequence[float | None], swapped: Sequence[float | None]) -> dict[str, Measured]:
    """`flipped`: share of pairs whose verdict is another when the order is swapped; `first_place`: share of
    the verdicts that go to the answer shown first, ties one half: 0.5 is no bias (Zheng et al. 2023)."""
    seen = [(f, s) for f, s in zip(forward, swapped, strict=True) if f is not None and s is not None]
    return {
        "flipped": proportion([f != 1 - s for f, s in seen]),
        "first_place": bootstrap_mean([(f + s) / 2 for f, s in seen]),
    }


def route(confidence: Sequence[float | None], at_least: float) -> tuple[list[int], list[int]]:
    """Places of the verdicts that stand, and of those that go to people, the least confident first.

    A verdict of unknown confidence goes to people, before all others.
    """
    known = [-1.0 if c is None else c for c in confidence]
    sure = [i for i, c in enumerate(confidence) if c is not None and c >= at_least]
    return sure, sorted({*range(len(known))} - {*sure}, key=lambda i: (known[i], i))


def elo(comparisons: Sequence[Comparison], k: float = 32, start: float = START) -> dict[str, Measured]:
    """Online Elo ratings (Bai et al. 2022), from `start`, game after game.

    They depend on the order of the games and on how many each system has; `bradley_terry` does not. The
    intervals are of resampled games in other orders: a value outside its own rests on the order.
    """
    systems, rows = _numbered(comparisons)
    if not len(rows):
        return {}
    n, generator = len(rows), np.random.default_rng(0)
    at, ratings = np.arange(DRAWS + 1), np.full((DRAWS + 1, len(systems)), float(start))
    for game in range(n):
        games = rows[np.append(game, generator.integers(n, size=DRAWS))]  # the real order, and drawn ones
        first, second = ((at, places.astype(int)) for places in games[:, :2].T)
        won = k * (games[:, 2] - 1 / (1 + 10 ** ((ratings[second] - ratings[first]) / SCALE)))
        ratings[first] += won
        ratings[second] -= won
    return {s: interval(float(ratings[0, i]), ratings[1:, i], n) for i, s in enumerate(systems)}


def bradley_terry(comparisons: Sequence[Comparison]) -> dict[str, Measured]:
    """Strengths of systems by maximum likelihood (Bradley & Terry 1952), a tie being half a win for each.

    On Elo's scale with mean 1000; the order of the comparisons does not matter. Unknown where a system, or a
    group of them, never won or never lost against the others: their strengths have no finite estimate.
    """
    systems, rows = _numbered(comparisons)
    if not len(rows):
        return {}
    why = "a group of systems won, or lost, all its games against the others"
    values, drawn = resampled(rows, lambda cells, counts: _strengths(cells, counts, len(systems)))
    return {s: interval(float(values[i]), drawn[:, i], len(rows), why) for i, s in enumerate(systems)}


def _numbered(comparisons: Sequence[Comparison]) -> tuple[list[str], np.ndarray]:
    """The systems in their order, and the comparisons with a verdict as rows of two places and it."""
    known = [c for c in comparisons if c.verdict is not None and c.verdict == c.verdict]
    systems = sorted({s for c in known for s in (c.first, c.second)})
    places = {s: i for i, s in enumerate(systems)}
    return systems, np.array([(places[c.first], places[c.second], c.verdict) for c in known], dtype=float)


def _strengths(cells: np.ndarray, counts: np.ndarray, systems: int) -> np.ndarray:
    """Strengths (draws, systems) on Elo's scale; NaN where there is no finite estimate."""
    a, b = cells[:, 0].astype(int), cells[:, 1].astype(int)
    wins = np.zeros((len(counts), systems, systems))
    for i in range(len(cells)):
        wins[:, a[i], b[i]] += counts[:, i] * cells[i, 2]
        wins[:, b[i], a[i]] += counts[:, i] * (1 - cells[i, 2])
    found = np.full((len(counts), systems), np.nan)
    known = _comparable(wins > 0)
    found[known] = START + SCALE / np.log(10) * _most_likely(wins[known])
    return found


def _most_likely(wins: np.ndarray) -> np.ndarray:
    """Natural logarithms of the strengths, mean 0, from how often the row's system beat the column's.

    Newton's method on the concave log-likelihood, with steps of at most 1.
    """
    games, found = wins + wins.transpose(0, 2, 1), np.zeros(wins.shape[:2])
    systems = wins.shape[1]
    for _ in range(100):
        p = 1 / (1 + np.exp(found[:, None, :] - found[:, :, None]))  # that the row's system wins
        slope = (wins - games * p).sum(axis=2)
        curve = games * p * (1 - p)
        laplacian = curve.sum(axis=2)[:, :, None] * np.eye(systems) - curve
        # a constant for all changes nothing: one more curvature along it keeps the mean at 0
        step = np.linalg.solve(laplacian + 1 / systems, slope[:, :, None])[:, :, 0]
        step /= np.maximum(1, np.abs(step).max(axis=1, keepdims=True))
        found += step
        if np.abs(step).max(initial=0) < 1e-10:
            break
    return found


def _comparable(won: np.ndarray) -> np.ndarray:
    """Whether every system won, perhaps by way of others, against every other (Ford 1957): (draws,)."""
    reached = won | np.eye(won.shape[1], dtype=bool)
    for _ in range(won.shape[1].bit_length()):
        reached = (reached.astype(float) @ reached.astype(float)) > 0
    return np.asarray(reached.all(axis=(1, 2)))
