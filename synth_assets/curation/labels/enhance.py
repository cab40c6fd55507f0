"""Label enhancement: every label keeps its source, its former value and its confidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from synth_assets.contracts.labelling import Annotate, LabelContext, Labelling
from synth_assets.core.asking import Encode
from synth_assets.core.errors import UserError

Mark = tuple[str, str, dict[str, float] | None]  # label, source and probabilities of one row


def enhance(
    rows: pd.DataFrame,
    way: Labelling,
    *,
    encode: Encode,
    labels: Sequence[str] = (),
    annotate: Annotate | None = None,
    human: Sequence[str | None] = (),
    warn: Callable[[str], None] = lambda words: None,
    gold: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Rows with `label`, `former_label`, `machine_label`, `label_source`, `confidence` and
    `label_probabilities`.

    Where the way to label knows nothing, or finds two labels as likely, the former label stays. `human` has
    a label or None for each row, and overrides all: it counts as certain, and `machine_label` is the label
    without it. Confidence is the probability of
    the label, or None. `labels`: those of the task, besides those of the rows. `gold`: seeds, whose labels
    are right. UserError where a student has too few rows.
    """
    former = list(rows["label"])
    known = (y for p in rows.get("label_probabilities", ()) if isinstance(p, Mapping) for y in p)
    classes = sorted({y for y in (*labels, *former, *known) if isinstance(y, str)})
    marks = _marks(rows, way, LabelContext(classes, encode, annotate, warn, gold)) if former else []
    machine = [label for label, _, _ in marks]
    for i, label in enumerate(human):
        if label is not None:
            marks[i] = (label, "human", {y: float(y == label) for y in classes})
    return rows.assign(
        label=[label for label, _, _ in marks],
        former_label=former,
        machine_label=machine,
        label_source=[source for _, source, _ in marks],
        confidence=[None if p is None else p[label] for label, _, p in marks],
        label_probabilities=[p for _, _, p in marks],
    )


def likeliest(former: str, p: np.ndarray, classes: Sequence[str]) -> str:
    """The likeliest label; the former one where nothing is known, or two labels are as likely."""
    best = (p == p.max()).nonzero()[0]
    return classes[best[0]] if len(best) == 1 else former


def _marks(rows: pd.DataFrame, way: Labelling, context: LabelContext) -> list[Mark]:
    (probabilities, source, decides), n = way.label(rows, context), len(rows)
    if np.shape(probabilities) != (n, len(context.classes)):
        shape = f"{np.shape(probabilities)}, wanted {(n, len(context.classes))}"
        raise UserError(f"{way.place}: label() gave probabilities of the shape {shape}.")
    sources = [source] * n if isinstance(source, str) else source
    marks: list[Mark] = []
    for former, p, by, decided in zip(
        rows["label"], probabilities, sources, np.broadcast_to(decides, n), strict=True
    ):
        if not np.isfinite(p).any():
            marks.append((former, "condition", None))
            continue
        label = likeliest(former, p, context.classes) if decided else former
        each = dict(zip(context.classes, p.tolist(), strict=True))
        marks.append((label, "condition" if label == former else by, each))
    return marks
