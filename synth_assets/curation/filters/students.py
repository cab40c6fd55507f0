"""Set filters: their score depends on the other rows of the round and of the rounds before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from synth_assets.contracts.filter import RULE, Context, Filter
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
        if context.encode is None:
            raise ValueError(f"filters.{self.name}: students read sentence vectors, and there is no encoder")
        found = self.says(context.encode(list(rows["text"])), list(rows["label"]), copies)
        return {name: np.asarray(v).tolist() for name, v in zip(self.columns, found, strict=True)}

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


class LearningDynamics(OfStudents):
    """Mean confidence in the row's label of a student's checkpoints while it learns the round (CLLM, Seedat
    et al. 2023).

    It drops one region, the rows that cannot be learned: confidence <= .2 and aleatoric uncertainty <= `tau`,
    .2 or adaptive (.75 of its range in the round). Ambiguous rows stay. The student is theirs, boosting whose
    checkpoints are its first trees of 100, but it learns the round itself, as there are few seeds: while it
    slowly gets the rows by heart, only the hardest stay at .2. On TREC with 40 % of noise that is 22 % of the
    rows, 94 % of them noise; a linear student, which gets no row by heart, would drop 41 % with 83 %. Of a
    few hundred rows it drops next to none.
    """

    name = "learning_dynamics"
    columns: ClassVar[Mapping[str, str]] = {"checkpoint_confidence": "double", "aleatoric": "double"}
    tau: Annotated[float, Field(ge=0, le=0.25)] | Literal["adaptive"] = 0.2
    """Highest uncertainty of a row that is dropped, or adaptive."""

    @model_validator(mode="after")
    def _only_tau(self) -> LearningDynamics:
        given = sorted(name for name in RULE & self.model_fields_set if getattr(self, name))
        if given:
            raise ValueError(f"it drops a region that tau alone bounds: leave out {', '.join(given)}")
        return self

    def says(self, vectors: Any, labels: list[str], copies: list[str]) -> Sequence[Any]:
        from synth_assets.curation import noise
        from synth_assets.students.boosting import Boosting

        student = Boosting(sorted(set(labels))).fit(vectors, labels)
        return noise.watched(noise.given(p, labels) for p in student.checkpoints(vectors))

    def passes(self, rows: pd.DataFrame) -> pd.Series:
        from synth_assets.curation import noise

        tau = None if self.tau == "adaptive" else self.tau
        return ~noise.hard(rows["checkpoint_confidence"], rows["aleatoric"], tau)

    def threshold(self) -> str:
        from synth_assets.curation import noise

        tau = ".75 of its range" if self.tau == "adaptive" else f"{self.tau:g}"
        return f"above {noise.HARD:g}, or an aleatoric uncertainty above {tau}"

    def why(self, row: Mapping[str, Any]) -> str:
        return f"its aleatoric uncertainty is {row['aleatoric']:.3g}"


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
