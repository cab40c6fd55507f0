"""What a way to label is: a section of a recipe that says how likely each label of a row is.

A recipe names it as `labelled: {by: NAME}`, with its fields beside that; docs/plugins.md has an example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from synth_assets.contracts.section import Section

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from synth_assets.core.asking import Encode, LabelLogprobs

# texts and the rows shown beside each -> log-probabilities of the labels, None where none can be read
Annotate = Callable[[Sequence[str], Sequence["pd.DataFrame"]], Sequence["LabelLogprobs | None"]]


class Labels(NamedTuple):
    """What a way to label says of n rows."""

    probabilities: np.ndarray  # (n, K), in the order of the context's classes; NaN where nothing is known
    source: str | Sequence[str]  # who says it: of all rows, or (n,)
    decides: bool | np.ndarray = True  # (n,) where the likeliest label replaces the row's own


@dataclass(frozen=True)
class LabelContext:
    """What a way to label may use besides the rows."""

    classes: Sequence[str]  # the K labels, sorted
    encode: Encode
    annotate: Annotate | None = None  # for those that ask alone
    warn: Callable[[str], None] = lambda words: None  # says what whoever runs it has to know
    gold: pd.DataFrame | None = None  # seeds whose labels are right, where it `reads_gold`


class Labelling(Section):
    """Base of all ways to label. What a person says in `human` overrides them, wherever it is used."""

    newer: ClassVar[tuple[str, ...]] = ("human",)
    name: ClassVar[str] = ""
    algorithm: ClassVar[str] = (
        ""  # a tag, once it computes something else than before: see recipe/versions.py
    )
    needs: ClassVar[Mapping[str, str]] = {}  # filter that it rests on -> how that is written
    reads_gold: ClassVar[bool] = False  # whether it looks at seeds, whose labels are right

    by: str = ""
    """The way to label."""
    human: str | None = None
    """CSV file of labels by people, which override all: row_id or text, label; draw and probability say which
    rows were drawn at random, and only those measure."""

    @property
    def place(self) -> str:
        """Where it stands in a recipe, for messages."""
        return f"labelled.by: {self.by or self.name}"

    @property
    def asks(self) -> bool:
        """Whether it asks the annotator's model."""
        return False

    def label(self, rows: pd.DataFrame, context: LabelContext) -> Labels:
        """What it says of the rows, of which there is one or more; their own label is in `label`."""
        raise NotImplementedError(f"{type(self).__name__} needs label()")
