"""Students of what is not one label a row: a number, several labels, or spans of the text.

Each is fitted on texts, and on what is right of each (`fit(texts, targets, weights)`), and then says what is
right of others (`predict(texts)`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from synth_assets.core.text.marks import Span, tagged, tokens
from synth_assets.students.boosting import BINS, LITTLE, PENALTY, RATE, TREES
from synth_assets.students.crossfit import Weights, one_thread, shares
from synth_assets.students.made import Made
from synth_assets.students.tfidf import Terms

ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0)  # penalties of which leaving one row out finds the best
MANY = 2_000  # rows and features, above which that would take minutes
YES, NO = "yes", "no"
SURE = 0.5  # probability at which a row has a label


class _Features:
    """Vectors of texts, or of their terms (which are those of the texts that it was fitted on)."""

    def __init__(self, student: Made, by: str) -> None:
        self._encode = student.features
        self._terms = Terms(sparse=by == "logistic") if student.of_vectors else None

    def fit(self, texts: Sequence[str]) -> Any:
        return self._terms.fit(texts) if self._terms else self._encode(texts)

    def of(self, texts: Sequence[str]) -> Any:
        return self._terms.vectors(texts) if self._terms else self._encode(texts)


class OfNumbers:
    """Ridge regression on vectors or terms of the texts, or gradient boosting on histograms."""

    def __init__(self, student: Made, by: str) -> None:
        self._features, self._by = _Features(student, by), by
        self._model: Any = None

    @one_thread
    def fit(self, texts: Sequence[str], targets: Sequence[float], weights: Weights = None) -> OfNumbers:
        """ValueError where there are fewer than two rows."""
        n = len(texts)
        if n < 2:
            raise ValueError("two rows or more teach a number")
        features = self._features.fit(texts)
        w, values = shares(weights, n) * n, np.asarray(targets, dtype=float)
        new = _boosting(n) if self._by == "boosting" else _ridge(features, values, w)
        self._model = new.fit(features, values, sample_weight=w)
        return self

    @one_thread
    def predict(self, texts: Sequence[str]) -> list[float]:
        return self._model.predict(self._features.of(texts)).tolist()


def _ridge(features: Any, targets: np.ndarray, weights: np.ndarray) -> Any:
    """Not fitted yet. Where rows and features are MANY, as terms are, the penalty is what some of the rows
    find best: to leave out one after the other takes the cube of their number."""
    from sklearn.linear_model import Ridge, RidgeCV

    new = RidgeCV(alphas=ALPHAS)
    if min(features.shape) <= MANY:
        return new
    some = np.linspace(0, len(targets) - 1, MANY).astype(int)
    return Ridge(new.fit(features[some], targets[some], sample_weight=weights[some]).alpha_)


def _boosting(n: int) -> Any:
    """Not fitted yet, for n rows."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        learning_rate=RATE,
        max_iter=TREES,
        min_samples_leaf=5,
        l2_regularization=min(PENALTY, LITTLE * n),
        max_bins=BINS,
        early_stopping=False,
        random_state=0,
    )


class OfLabels:
    """A student for each label, which says whether a row has it (binary relevance). What all rows of the
    training set have, or none, is said of every row."""

    def __init__(self, student: Made, by: str, labels: Sequence[str]) -> None:
        self._features, self._new = _Features(student, by), student.of_vectors or student.new
        self._labels = labels
        self._each: dict[str, Any] = {}

    def fit(
        self, texts: Sequence[str], targets: Sequence[Sequence[str]], weights: Weights = None
    ) -> OfLabels:
        """ValueError where there is no row."""
        if not texts:
            raise ValueError("there is no row")
        features = self._features.fit(texts)
        for label in self._labels:
            has = [YES if label in of else NO for of in targets]
            if len(set(has)) == 1:
                self._each[label] = has[0] == YES
            else:
                self._each[label] = self._new([NO, YES]).fit(features, has, weights)
        return self

    def predict(self, texts: Sequence[str]) -> list[set[str]]:
        features, found = self._features.of(texts), [set[str]() for _ in texts]
        for label, student in self._each.items():
            if isinstance(student, bool):
                has = np.full(len(texts), student)
            else:
                has = student.predict_proba(features)[:, 1] > SURE
            for at in has.nonzero()[0]:
                found[at].add(label)
        return found


class OfSpans:
    """Logistic regression on what a token and its neighbours look like, decoded to the likeliest BIO tags in
    which no `I-` follows another kind (a maximum-entropy tagger: Borthwick 1999)."""

    def __init__(self) -> None:
        self._looks: Any = None
        self._model: Any = None

    @one_thread
    def fit(
        self, texts: Sequence[str], targets: Sequence[Sequence[Span]], weights: Weights = None
    ) -> OfSpans:
        """ValueError where no row has a span, or every token is in one of the same kind."""
        from sklearn.feature_extraction import DictVectorizer
        from sklearn.linear_model import LogisticRegression

        sentences = [tagged(text, spans) for text, spans in zip(texts, targets, strict=True)]
        tags = [tag for _, of in sentences for tag in of]
        if len(set(tags)) < 2:
            raise ValueError("no row has a span" if {*tags} <= {"O"} else "all tokens have one tag")
        of_row = shares(weights, len(texts)) * len(texts)
        w = [of_row[at] for at, (_, of) in enumerate(sentences) for _ in of]
        self._looks = DictVectorizer()
        looks = self._looks.fit_transform(look for words, _ in sentences for look in looks_of(words))
        self._model = LogisticRegression(C=10.0, max_iter=200).fit(looks, tags, w)
        return self

    @one_thread
    def predict(self, texts: Sequence[str]) -> list[list[Span]]:
        places = [tokens(text) for text in texts]
        words = ([text[a:b] for a, b in at] for text, at in zip(texts, places, strict=True))
        looks = [look for of_text in words for look in looks_of(of_text)]
        if not looks:
            return [[] for _ in texts]
        scores = self._model.predict_log_proba(self._looks.transform(looks))
        ends = np.cumsum([len(at) for at in places])[:-1]
        each = zip(places, np.split(scores, ends), strict=True)
        return [_spans(at, decoded(of_text, list(self._model.classes_))) for at, of_text in each]


def _spans(places: Sequence[tuple[int, int]], tags: Sequence[str]) -> list[Span]:
    found: list[Span] = []
    for (start, end), tag in zip(places, tags, strict=True):
        prefix, _, kind = tag.partition("-")
        if prefix == "I" and found:
            found[-1] = found[-1]._replace(end=end)
        elif prefix != "O":
            found.append(Span(kind, start, end))
    return found


def decoded(scores: np.ndarray, tags: Sequence[str]) -> list[str]:
    """The likeliest tags, from log-probabilities (n, K) of each token's, in which an `I-` follows a tag of
    its kind (Viterbi 1967)."""
    if not len(scores):
        return []
    allowed = np.array([[_follows(now, before) for now in tags] for before in tags])
    steps = np.where(allowed, 0.0, -np.inf)
    best = np.where([_follows(tag, "O") for tag in tags], scores[0], -np.inf)
    came = []
    for row in scores[1:]:
        through = best[:, None] + steps
        came.append(through.argmax(axis=0))
        best = through.max(axis=0) + row
    at = [int(best.argmax())]
    for before in reversed(came):
        at.append(int(before[at[-1]]))
    return [tags[i] for i in reversed(at)]


def _follows(tag: str, before: str) -> bool:
    prefix, _, kind = tag.partition("-")
    return prefix != "I" or before in (f"B-{kind}", f"I-{kind}")


def looks_of(words: Sequence[str]) -> Iterator[dict[str, bool]]:
    """What each token looks like: itself, its ends and shape, and the two tokens on each side."""
    for at, word in enumerate(words):
        lower = word.lower()
        look = {"": True, f"word {lower}": True, f"shape {_shape(word)}": True}
        look |= {f"starts {lower[:n]}": True for n in (2, 3)} | {f"ends {lower[-n:]}": True for n in (2, 3)}
        for apart in (-2, -1, 1, 2):
            near = words[at + apart] if 0 <= at + apart < len(words) else "<end>"
            look[f"{apart} {near.lower()}"] = True
            look[f"{apart} shape {_shape(near)}"] = True
        yield look


def _shape(word: str) -> str:
    """`Xx` of `Oslo`, `d` of `1999`: runs of capitals, letters and digits."""
    signs = (
        "X" if sign.isupper() else "x" if sign.isalpha() else "d" if sign.isdigit() else sign for sign in word
    )
    made = ""
    for sign in signs:
        made += sign if not made.endswith(sign) else ""
    return made


def build(target: Any, spec: Any, student: Made) -> Any:
    """A new student of a target (recipe/target.py), of the kind that the recipe's `student` is."""
    if target.word == "number":
        return OfNumbers(student, spec.by)
    if target.word == "labels":
        return OfLabels(student, spec.by, [*target.of])
    return OfSpans()
