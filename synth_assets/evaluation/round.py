"""All that is measured of one round, as metric rows.

A metric row is (name, slice, value, low, high, n, reason): what was measured on which set, with its 95 %
interval, or why it is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from synth_assets.evaluation.facts import verdict_scores
from synth_assets.evaluation.faithfulness import agreement, correctness, proportion, right_share
from synth_assets.evaluation.judging import Verdict, reliability
from synth_assets.evaluation.metric_rows import row, table
from synth_assets.evaluation.of_students import training_set
from synth_assets.evaluation.preference import position_bias, win_tie_lose
from synth_assets.evaluation.usefulness import TrainingSet, correct, wilson
from synth_assets.selection.select import ranked
from synth_assets.students.classifier import Student
from synth_assets.students.made import Made

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.asking import Encode


def faithfulness(
    rows: pd.DataFrame, seeds: pd.DataFrame, attributes: Sequence[str], encode: Encode
) -> pd.DataFrame:
    """Share of the rows' labels that a student of the real rows gives them, in all, by label and by condition
    value; all corrected by people where `label_source` says that they labelled some (`label` is theirs). Of
    those rows, how far people and the labels that were asked for agree (Cohen's kappa)."""
    by_people = rows["label_source"].eq("human") if "label_source" in rows else rows["label"].isna()
    asked = rows["former_label"] if "former_label" in rows else rows["label"]
    found = []
    if by_people.any():
        kappa = agreement(list(asked[by_people]), list(rows["label"][by_people]))["kappa"]
        found.append(row("kappa", "filtered", kappa))
    real = seeds[seeds["split"].isin(["demonstration", "validation"])]
    if real["label"].nunique() < 2 or rows.empty:
        return table(found)
    trained = training_set(real, Made(encode, Student))
    people = {i: bool(rows["label"].iloc[i] == asked.iloc[i]) for i, seen in enumerate(by_people) if seen}
    whole = TrainingSet(encode(list(rows["text"])), list(asked))
    found.append(row("correctness", "filtered", correctness(trained, whole, people or None)))
    agrees = correct(trained, whole.features, whole.labels)
    if agrees is None:
        return table(found)
    for attribute in ["label", *attributes]:
        values = asked if attribute == "label" else rows[attribute]
        for value in sorted(values.dropna().unique()) if values.nunique() <= 50 else ():
            at = (values == value).to_numpy().nonzero()[0]
            seen = {j: people[i] for j, i in enumerate(at) if i in people} if people else None
            found.append(row("correctness", f"{attribute}={value}", right_share(list(agrees[at]), seen)))
    return table(found)


def drawn_pairs(now: pd.DataFrame, last: pd.DataFrame, n: int) -> list[tuple[Any, Any]]:
    """Pairs of a row of this round and one of the last, of the same cell, as dicts: the cells take turns."""
    by_cell = []
    for cell, rows in now.groupby("cell"):
        both = [
            {r["row_id"]: r for r in side.to_dict("records")} for side in (rows, last[last["cell"] == cell])
        ]
        order = [ranked(side, "pairs") for side in both]
        by_cell.append([(both[0][a], both[1][b]) for a, b in zip(*order, strict=False)])
    longest = max(map(len, by_cell), default=0)
    return [pairs[i] for i in range(longest) for pairs in by_cell if i < len(pairs)][:n]


def preference(
    verdicts: Sequence[Verdict], round_: str, people: Sequence[float | None] | None = None
) -> pd.DataFrame:
    """How often the judge prefers this round's rows to those of `round_`, how much the order decides, and how
    far it says what people say of the same pairs."""
    if not verdicts:
        return table([])
    slice_ = f"against {round_}"
    found = {
        **win_tie_lose([v.verdict for v in verdicts]),
        **position_bias([v.forward for v in verdicts], [v.swapped for v in verdicts]),
        "unread": proportion([v.verdict is None for v in verdicts]),
    }
    rows = [row(f"judge_{name}", slice_, measured) for name, measured in found.items()]
    if people is not None:
        held = reliability([v.verdict for v in verdicts], people)
        rows += [row(f"judge_{name}", f"people, {slice_}", measured) for name, measured in held.items()]
    return table(rows)


def facts(verdicts: Sequence[Sequence[bool | None]], k: int) -> pd.DataFrame:
    """Precision, recall and F1@K of the facts of kept rows, each True, False, or None: it claims nothing."""
    return table(row(name, "filtered", found) for name, found in verdict_scores(verdicts, k).items())


def yields(generations: pd.DataFrame, filtered: pd.DataFrame) -> pd.DataFrame:
    """Kept rows over rows asked for, in all and by cell."""
    counts = {"all": (len(filtered), len(generations))}
    for cell, asked in generations["cell"].value_counts().sort_index().items():
        counts[str(cell)] = (int((filtered["cell"] == cell).sum()), int(asked))
    return table(("yield", name, kept / n, *wilson(kept, n), n) for name, (kept, n) in counts.items())
