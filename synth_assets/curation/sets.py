"""Set filters: their score depends on the other rows of the round and of the rounds before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from synth_assets.curation import noise
from synth_assets.curation.base import Context, Filter
from synth_assets.curation.duplicates import exact_duplicates, near_duplicates, normal_form
from synth_assets.curation.novelty import Pool
from synth_assets.errors import UserError
from synth_assets.students.calibration import batch_calibrated
from synth_assets.students.crossfit import out_of_fold
from synth_assets.students.softmax import SoftmaxRegression

if TYPE_CHECKING:
    import pandas as pd

LEAST = 10  # rows of a label, of which a student can learn


class Duplicate(Filter):
    """1 when an earlier row has the same words, else 0."""

    name = "duplicate"
    at_most: float | None = 0

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        same = exact_duplicates(list(rows["text"]), context.earlier)
        return {self.name: [0.0 if i is None else 1.0 for i in same]}


class NearDuplicate(Filter):
    """Highest Jaccard similarity of shingles to an earlier row that was kept."""

    name = "near_duplicate"
    at_most: float | None = 0.8

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        limit = 1.0 if self.at_most is None else self.at_most
        return {self.name: near_duplicates(list(rows["text"]), limit, context.earlier)[0]}


class Novelty(Filter):
    """Highest ROUGE-L F1 to a demonstration or to an earlier row that was kept (Self-Instruct, Wang 2023).

    A text without a word of a-z or 0-9 is unknown.
    """

    name = "novelty"
    raw: ClassVar[Mapping[str, str]] = {"seed_rouge_l": "double"}
    columns: ClassVar[Mapping[str, str]] = {"novelty": "double"}
    at_most: float | None = 0.7

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        pool = Pool(context.demonstrations)
        return {"seed_rouge_l": [pool.nearest(text)[0] for text in rows["text"]]}

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        limit = 1.0 if self.at_most is None else self.at_most
        pool, scores = Pool(context.earlier), []
        for text, to_seeds in zip(rows["text"], rows["seed_rouge_l"], strict=True):
            score, _ = pool.nearest(text)
            if score is not None:
                score = max(score, to_seeds)
                if score <= limit:
                    pool.add(text)
            scores.append(score)
        return {self.name: scores}


class OfStudents(Filter):
    """Base of what students of the round's own rows say of a row's label; it needs LEAST rows of each."""

    at_least: float | None = 0.2

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        counts = rows["label"].value_counts()
        if not len(rows):
            return {self.name: []}
        if len(counts) < 2 or counts.min() < LEAST or context.encode is None:
            few = ", ".join(f"{n} {label}" for label, n in counts.items())
            raise UserError(
                f"filters.{self.name}: students need {LEAST} rows of each of two labels or more, there are "
                f"{few}: ask for more rows, put it behind fewer filters, or leave it out."
            )
        vectors = context.encode(list(rows["text"]))
        return {self.name: [float(v) for v in self.says(vectors, rows)]}

    def says(self, vectors: Any, rows: pd.DataFrame) -> Any:
        """(n,) scores of rows with these vectors (n, d)."""
        raise NotImplementedError


class StudentConfidence(OfStudents):
    """Probability of the row's label by a student that saw neither the row nor its copies (cross-fitting)."""

    name = "student_confidence"

    def says(self, vectors: Any, rows: pd.DataFrame) -> Any:
        labels = list(rows["label"])
        student = SoftmaxRegression(sorted(set(labels)))
        copies = [normal_form(text) for text in rows["text"]]
        return noise.given(out_of_fold(vectors, labels, copies, student.fit), labels)


class NeighbourAgreement(OfStudents):
    """Share of the `k` most similar rows that have the row's label."""

    name = "neighbour_agreement"
    k: int = 20

    def says(self, vectors: Any, rows: pd.DataFrame) -> Any:
        return noise.neighbours(vectors, list(rows["label"]), self.k)[0]


class LabelAgreement(Filter):
    """Probability that the annotator gives the row the label that it was generated for.

    The annotator's log-probability of each label's verbalizer is calibrated on the batch (Zhou et al.
    2024, batch calibration), because a few-shot model prefers one label whatever the text says.
    """

    name = "label_agreement"
    raw: ClassVar[Mapping[str, str]] = {"label_logprobs": "labels"}
    columns: ClassVar[Mapping[str, str]] = {"label_agreement": "double", "label_probabilities": "labels"}
    at_least: float | None = 0.5

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        if context.annotate is None:
            return {"label_logprobs": [None] * len(rows)}
        return {"label_logprobs": list(context.annotate(list(rows["text"])))}

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        probabilities = batch_calibrated(list(rows["label_logprobs"]))
        own = [None if p is None else p[y] for p, y in zip(probabilities, rows["label"], strict=True)]
        return {"label_agreement": own, "label_probabilities": probabilities}
