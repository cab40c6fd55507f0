"""Set filters: their score depends on the other rows of the round and of the rounds before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from synth_assets.contracts.filter import Context, Filter
from synth_assets.core.text.normal_form import normal_form
from synth_assets.students import LEAST

if TYPE_CHECKING:
    import pandas as pd


class OfStudents(Filter):
    """Base of what students of the round's own rows say of a row's label.

    Rows of earlier rounds teach them nothing: a round is judged by itself.
    """

    of_labels = True
    of_pairs = True
    encodes = True
    least = LEAST

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        import numpy as np

        copies = [normal_form(text) for text in rows["text"]]
        if len(set(copies)) < 2:  # nothing is left to learn from
            return {name: [np.nan] * len(rows) for name in self.columns}
        return self.by_column(self.says(self.features(rows, context), list(rows["label"]), copies))

    def by_column(self, found: Sequence[Any]) -> dict[str, list[Any]]:
        """Its columns by name."""
        import numpy as np

        return {name: np.asarray(v).tolist() for name, v in zip(self.columns, found, strict=True)}

    def features(self, rows: pd.DataFrame, context: Context) -> Any:
        """(n, d): what a student sees of the rows."""
        if context.encode is None:
            raise ValueError(f"filters.{self.name}: students read sentence vectors, and there is no encoder")
        return context.encode(list(rows["text"]))

    def says(self, vectors: Any, labels: list[str], copies: list[str]) -> Sequence[Any]:
        """Its columns, each (n,), of rows with these vectors (n, d) and labels; copies of a row have one
        name, and are never on both sides of a student. By default, what the function of its name in noise.py
        says."""
        from synth_assets.curation import noise

        return [getattr(noise, self.name)(vectors, labels, copies)]


class StudentConfidence(OfStudents):
    """Probability of the row's label by a student that saw neither the row nor its copies (cross-fitting)."""

    name = "student_confidence"
    within = (0, 1)
    better = "higher"
    at_least: float | None = 0.2


class StudentAgreement(OfStudents):
    """1 when a student that saw neither the row nor its copies finds the row's label likeliest, else 0: the
    self-consistency of ReGen (Yu et al. 2023)."""

    name = "student_agreement"
    within = (0, 1)
    better = "higher"
    columns: ClassVar[Mapping[str, str]] = {"student_agreement": "double", "student_label": "string"}
    at_least: float | None = 1

    def says(self, vectors: Any, labels: list[str], copies: list[str]) -> Sequence[Any]:
        from synth_assets.curation import noise

        p, classes = noise.cross_fitted(vectors, labels, copies), sorted(set(labels))
        agrees = noise.given(p, labels) >= p.max(axis=1)
        return [agrees.astype(float), [classes[k] for k in p.argmax(axis=1)]]

    def why(self, row: Mapping[str, Any]) -> str:
        return f"the student says {row['student_label']}, not {row['label']}"


class LossMixture(OfStudents):
    """Probability that a row's loss, under a student that saw neither the row nor its copies, is of the clean
    kind: a mixture of two Gaussians a label tells small losses from large ones (FreeAL, Xiao et al. 2023)."""

    name = "loss_mixture"
    within = (0, 1)
    better = "higher"
    algorithm = "loss_mixture/2"
    columns: ClassVar[Mapping[str, str]] = {"loss_mixture": "double", "student_loss": "double"}
    at_least: float | None = 0.5

    def says(self, vectors: Any, labels: list[str], copies: list[str]) -> Sequence[Any]:
        from synth_assets.curation import noise

        confidence = noise.student_confidence(vectors, labels, copies)
        return [noise.loss_mixture(confidence, labels), noise.loss(confidence)]

    def why(self, row: Mapping[str, Any]) -> str:
        return f"the student's loss is {row['student_loss']:.3g}"


class Influence(OfStudents):
    """How much the row lowers the loss of a student on rows that the student was not trained with (ProGen, Ye
    et al. 2022); below 0 it does harm. The loss is the reversed cross-entropy, which bears wrong labels."""

    name = "influence"
    better = "higher"
    at_least: float | None = 0


class Variability(OfStudents):
    """How much the checkpoints of a student that saw neither the row nor its copies differ on it: the most
    ambiguous rows stay, by default half of each label (estimated max variability: WANLI, Liu et al. 2022)."""

    name = "variability"
    within = (0, 0.5)
    share: float | None = Field(0.5, gt=0, le=1)


class NeighbourAgreement(OfStudents):
    """Share of the `k` most similar rows, its copies aside, that have the row's label."""

    name = "neighbour_agreement"
    within = (0, 1)
    better = "higher"
    k: int = Field(20, ge=1)
    """Similar rows that are looked at."""
    at_least: float | None = 0.2

    def says(self, vectors: Any, labels: list[str], copies: list[str]) -> Sequence[Any]:
        from synth_assets.curation import noise

        return [noise.neighbours(vectors, labels, self.k, copies)[0]]
