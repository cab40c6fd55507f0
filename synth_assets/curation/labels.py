"""Label enhancement: every label keeps its source, its former value and its confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def enhance(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """Rows with `label`, `former_label`, `label_source` and `confidence`.

    by = condition: the label that the row was asked for. by = label_agreement: the label that the
    annotator finds likeliest (as ZeroGen's and FreeAL's annotators relabel), the condition's where the
    annotator's answer is unknown. Confidence is the annotator's probability of the label, or None.
    """
    known = "label_probabilities" in rows
    probabilities = list(rows["label_probabilities"]) if known else [None] * len(rows)
    former = list(rows["label"])
    labels, sources, confidence = [], [], []
    for asked, p in zip(former, probabilities, strict=True):
        best = max(p, key=p.get) if p is not None and by == "label_agreement" else asked
        labels.append(best)
        sources.append("condition" if best == asked else by)
        confidence.append(None if p is None else p[best])
    return rows.assign(label=labels, former_label=former, label_source=sources, confidence=confidence)
