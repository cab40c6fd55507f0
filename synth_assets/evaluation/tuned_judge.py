"""A judge tuned on what people rated (He et al. 2023; Prometheus, Kim et al. 2023; ARES, Saad-Falcon et al.
2023).

A student reads a question and an answer, and its classes are the ratings that people gave: a transformer, or
a fast student where there is no torch. How far to trust the judge is what `faithfulness.agreement` and
`preference.level_agreement` say of `held_out` beside the people; `faithfulness.ppi_mean` corrects its mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from synth_assets.core.errors import UserError
from synth_assets.core.identity import tagged_hash
from synth_assets.students.crossfit import Model, out_of_fold
from synth_assets.students.made import Made


class Rated(NamedTuple):
    """An answer and what people said of it."""

    question: str
    answer: str
    rating: float


class Judged(NamedTuple):
    """What a tuned judge says of an answer."""

    rating: float  # the mean of the ratings under their probabilities
    level: float  # the rating that is most probable
    confidence: float  # its probability


class TunedJudge:
    """Rates as the people whose ratings it was tuned on.

    `settings` are what the student is: its kind, its options, its encoder. Another row or another setting is
    another judge, and `version` says so. UserError where the people gave one rating only.
    """

    def __init__(self, rated: Sequence[Rated], student: Made, settings: Mapping[str, Any]) -> None:
        names = _names(rated)
        self.version = tagged_hash("tuned judge/1", {"rows": [list(r) for r in rated], "settings": settings})
        self._levels, self._student = [float(name) for name in names], student
        self._model: Model = student.new(names).fit(
            student.features(_read([r[:2] for r in rated])), [_name(r) for r in rated]
        )

    def rate(self, answers: Sequence[tuple[str, str]]) -> list[float]:
        """The rating of each (question, answer), as `judging.rate` gives it; it is never unknown."""
        return [judged.rating for judged in self.judge(answers)]

    def judge(self, answers: Sequence[tuple[str, str]]) -> list[Judged]:
        """The same with the confidence, by which `preference.route` sends some to people."""
        if not answers:
            return []
        return _judged(self._model.predict_proba(self._student.features(_read(answers))), self._levels)


def held_out(rated: Sequence[Rated], student: Made, k: int = 5, seed: int = 0) -> list[Judged]:
    """Each answer as rated by a judge that was tuned on other questions: one of `k` judges."""
    names, texts = _names(rated), _read([r[:2] for r in rated])
    questions = [r.question for r in rated]
    if len(set(questions)) < k:
        raise UserError(
            f"{k} judges need {k} questions that people rated, there are {len(set(questions))}: "
            "rate answers of more questions, or lower k."
        )
    labels, fit = [_name(r) for r in rated], student.new(names).fit
    return _judged(
        out_of_fold(student.features(texts), labels, questions, fit, k, seed), [float(name) for name in names]
    )


def _names(rated: Sequence[Rated]) -> list[str]:
    """The ratings as names of classes, in the order of a student's columns."""
    found = sorted({_name(r) for r in rated})
    if len(found) < 2:
        raise UserError(
            f"a judge learns from two different ratings at least, people gave {len(found)}: have more rated."
        )
    return found


def _name(rated: Rated) -> str:
    return repr(float(rated.rating))


def _read(answers: Sequence[tuple[str, str]]) -> list[str]:
    """One text each: an encoder then sees the answer beside its question."""
    return [f"{question}\n\n{answer}" for question, answer in answers]


def _judged(p: np.ndarray, levels: Sequence[float]) -> list[Judged]:
    best = p.argmax(axis=1)
    means = p @ np.asarray(levels)
    return [
        Judged(float(mean), levels[at], float(row[at])) for mean, at, row in zip(means, best, p, strict=True)
    ]
