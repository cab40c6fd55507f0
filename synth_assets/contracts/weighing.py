"""What a way to weigh is: a section of a recipe that gives each row a score.

A recipe names it as `weights: {by: NAME}`, with its fields beside that; docs/plugins.md has an example.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from synth_assets.contracts.section import Section, one_form, wrong

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from synth_assets.core.asking import Encode


@dataclass(frozen=True)
class WeighContext:
    """What a way to weigh may use besides the rows."""

    encode: Encode
    gold: pd.DataFrame  # seeds whose labels are right: `text` and `label`


class MixedIn(Section):
    """What the seeds together weigh, in times of the synthetic rows, by how far the diversity of the round
    before had fallen: real rows against model collapse (Shumailov et al. 2024)."""

    least: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    """Where it had not fallen, or is not known."""
    most: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Where it had fallen by `fall`, or further."""
    fall: float = Field(default=0.2, gt=0, le=1)
    """The fall that calls for `most`, as a share; that which the check diversity_holds allows, by default."""

    @model_validator(mode="after")
    def _rises(self) -> MixedIn:
        if self.most < self.least:
            raise wrong(f"it is what they weigh after a fall: write {self.least:g} or more", "most")
        return self

    def at(self, fall: float | None) -> float:
        """What they weigh after a fall."""
        return self.least + (self.most - self.least) * min(1.0, max(0.0, fall or 0.0) / self.fall)


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Weighing(Section):
    """Base of all ways to weigh: weight = score ** power, levelled over the labels. Seeds weigh `seeds` times
    the synthetic rows."""

    name: ClassVar[str] = ""
    needs: ClassVar[Mapping[str, str]] = {}  # filter that it rests on -> how that is written
    needs_labels: ClassVar[bool] = True
    needs_gold: ClassVar[bool] = False  # seeds in a split of `GOLD` (recipe/sections.py)
    labelled_by: ClassVar[Sequence[str]] = ()  # ways to label whose confidence it reads; empty: it reads none
    weighs_labels: ClassVar[bool] = False  # its scores say what a whole label weighs: they are not levelled

    by: str = ""
    """The way to weigh."""
    power: float = Field(default=1.0, ge=0, le=1_000, allow_inf_nan=False)
    """Weight is score to this power."""
    levelled: bool = True
    """The mean weight of each label is 1, so that a label counts as much as it has rows."""
    seeds: Annotated[Weight | MixedIn, one_form(Weight, MixedIn)] = 0.0
    """What the seeds together weigh, in times of the synthetic rows; or more, the further diversity fell."""

    @property
    def place(self) -> str:
        """Where it stands in a recipe, for messages."""
        return f"weights.by: {self.by or self.name}"

    def of_seeds(self, fall: float | None = None) -> float:
        """What the seeds weigh, where the diversity of the round before had fallen by this share."""
        return self.seeds.at(fall) if isinstance(self.seeds, MixedIn) else self.seeds

    def columns_needed(self) -> list[str]:
        """Numeric columns of the kept rows that it reads, besides those of every way to label."""
        return []

    def score(self, rows: pd.DataFrame, context: WeighContext) -> np.ndarray | Sequence[float]:
        """(n,) not negative, of all rows of the training set so far, of which there is one or more."""
        raise NotImplementedError(f"{type(self).__name__} needs score()")
