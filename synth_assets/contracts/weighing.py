"""What a way to weigh is: a section of a recipe that gives each row a score.

A recipe names it as `weights: {by: NAME}`, with its fields beside that; docs/plugins.md has an example.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from synth_assets.contracts.section import Section

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from synth_assets.core.asking import Encode


@dataclass(frozen=True)
class WeighContext:
    """What a way to weigh may use besides the rows."""

    encode: Encode
    gold: pd.DataFrame  # seeds whose labels are right: `text` and `label`


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
    seeds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """What the seeds together weigh, in times of the synthetic rows."""

    @property
    def place(self) -> str:
        """Where it stands in a recipe, for messages."""
        return f"weights.by: {self.by or self.name}"

    def columns_needed(self) -> list[str]:
        """Numeric columns of the kept rows that it reads, besides those of every way to label."""
        return []

    def score(self, rows: pd.DataFrame, context: WeighContext) -> np.ndarray | Sequence[float]:
        """(n,) not negative, of all rows of the training set so far, of which there is one or more."""
        raise NotImplementedError(f"{type(self).__name__} needs score()")
