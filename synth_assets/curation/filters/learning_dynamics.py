"""Rows that cannot be learned: how a student's confidence in their labels goes while it learns (CLLM)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from synth_assets.contracts.filter import RULE, Context, Filter
from synth_assets.core.errors import UserError
from synth_assets.curation.filters.students import OfStudents
from synth_assets.students import LEAST

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.answer_schema import Kind

ENOUGH = 50  # seeds that teach by themselves


class LearningDynamics(OfStudents):
    """Mean confidence in the row's label of a student's checkpoints, while it learns the seeds (CLLM, Seedat
    et al. 2023).

    It drops one region, the rows that cannot be learned: confidence <= .2 and aleatoric uncertainty <= `tau`,
    .2 or adaptive (.75 of its range in the round). Ambiguous rows stay. The student is theirs, boosting whose
    checkpoints are its first trees of 100. It sees a row's text and, of the fields that rows and seeds share,
    the numbers, the truth values and the words of a list.
    """

    name = "learning_dynamics"
    algorithm = "learning_dynamics/2"
    columns: ClassVar[Mapping[str, str]] = {"checkpoint_confidence": "double", "aleatoric": "double"}
    newer = (*Filter.newer, "taught_by")
    tau: Annotated[float, Field(ge=0, le=0.25)] | Literal["adaptive"] = 0.2
    """Highest uncertainty of a row that is dropped, or adaptive."""
    taught_by: Literal["seeds", "round"] | None = None
    """Whose rows the student learns: the seeds' demonstrations, or the round itself. Default: the seeds,
    where rows have fields besides the text and there are 50 seeds or more, 10 of each label."""

    @model_validator(mode="after")
    def _only_tau(self) -> LearningDynamics:
        given = sorted(name for name in RULE & self.model_fields_set if getattr(self, name))
        if given:
            raise ValueError(f"it drops a region that tau alone bounds: leave out {', '.join(given)}")
        return self

    @property
    def reads_seeds(self) -> bool:
        return self.taught_by != "round"

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        import pandas as pd

        from synth_assets.curation import noise

        seeds = self._teachers(rows, context)
        if seeds is None:
            return super().score(rows, context)
        both = self.features(pd.concat([seeds, rows], ignore_index=True), context)
        learned, seen = both[: len(seeds)], both[len(seeds) :]
        taught, labels = list(seeds["label"]), list(rows["label"])
        return self.by_column(noise.learning_dynamics(learned, taught, seen, labels, noise.TRUSTED))

    def says(self, vectors: Any, labels: list[str], copies: list[str]) -> Sequence[Any]:
        from synth_assets.curation import noise

        return noise.learning_dynamics(vectors, labels, vectors, labels)

    def features(self, rows: pd.DataFrame, context: Context) -> Any:
        import numpy as np

        from synth_assets.curation import noise

        text = super().features(rows, context)
        typed = [column for name, kind in context.typed.items() for column in columns_of(rows[name], kind)]
        return np.column_stack([noise.main_axes(text), *typed]) if typed else text

    def _teachers(self, rows: pd.DataFrame, context: Context) -> pd.DataFrame | None:
        """The seeds that the student learns; None where it learns the round. UserError where it is said that
        it learns the seeds, and they are too few."""
        seeds = context.seeds
        if self.taught_by == "round":
            return None
        counts = {} if seeds is None else seeds["label"].value_counts().to_dict()
        few = {y: n for y in sorted(set(rows["label"])) if (n := counts.get(y, 0)) < LEAST}
        if self.taught_by is None:
            return seeds if context.typed and not few and sum(counts.values()) >= ENOUGH else None
        if few:
            there = ", ".join(f"{n} {label}" for label, n in few.items())
            raise UserError(
                f"filters.{self.name}: taught_by: seeds needs {LEAST} rows of each label in the split "
                f"`demonstration`, there are {there}: put more there, or write `taught_by: round`."
            )
        return seeds

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


def columns_of(values: pd.Series, kind: Kind) -> list[list[float]]:
    """A field as numbers: one a word where it is one of several, NaN where it is unknown."""
    if isinstance(kind, tuple):
        return [[float(value == word) for value in values] for word in kind]
    return [[float("nan") if value is None or value != value else float(value) for value in values]]
