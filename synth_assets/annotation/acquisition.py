"""Which texts of a pool are labelled next (Zhang et al. 2023, LLMaAA, arXiv 2310.19596): those of whose label
a student of the rows that have one is least sure, or those that stand for many others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synth_assets.recipe.annotate import UNSURE
from synth_assets.selection.select import METHODS, ranked, select

if TYPE_CHECKING:
    import numpy as np

    from synth_assets.core.asking import Encode
    from synth_assets.students.made import Made


def acquire(
    pool: Mapping[str, str],
    k: int,
    by: str,
    *,
    parts: Sequence[object] = (),
    taken: Collection[str] = (),
    labelled: tuple[Sequence[str], Sequence[str]] = ((), ()),
    student: Made | None = None,
    encode: Encode | None = None,
    candidates: int = 10_000,
) -> list[str]:
    """Ids of `k` texts of the pool (id -> text; all where there are fewer) that are not `taken`. `labelled`:
    the texts and labels that the student learns. While it knows fewer than two labels, the way is `random`,
    and fast_vote_k in the place of vote_k. Of a large pool, so many `candidates`, drawn at random, are looked
    at."""
    before = {*taken}
    free = [name for name in ranked(pool, *parts, "acquire") if name not in before][:candidates]
    if by in UNSURE and (student is None or len(set(labelled[1])) < 2):
        by = "fast_vote_k" if by == "vote_k" else "random"
    if by == "random" or len(free) <= k:
        return free[:k]
    of_vectors = "vectors" in METHODS[by]
    gone = (
        [name for name in ranked(before, *parts, "acquire") if name in pool][:candidates]
        if of_vectors
        else []
    )
    ids, texts, known = [*free, *gone], [pool[name] for name in (*free, *gone)], dict[str, Any]()
    if by in UNSURE and student is not None:
        p = _said(student, *labelled, texts)
        known |= {"probabilities": p, "scores": p.max(axis=1).tolist()}
    if of_vectors:
        assert encode is not None
        known["vectors"] = encode(texts)
    return select(ids, k, by, parts=parts, taken=gone, **known)


def _said(student: Made, texts: Sequence[str], labels: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """(n, K): what a student of some texts says of the others."""
    trained = student.new(sorted(set(labels))).fit(student.features(texts), labels)
    return trained.predict_proba(student.features(others))
