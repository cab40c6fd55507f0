"""One label a row out of several annotators' answers: (n, K) probabilities, classes in the order given.

An answer that names no label is missing (None), never a class. A row without any answer is unknown (NaN).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Answers = Sequence[Sequence[str | None]]  # a list a row, the annotators in one order

ROUNDS = 100  # of expectation maximisation, at most
CLOSE = 1e-6  # change of a probability at which it ends
TRUST = 4.0  # prior count of right answers that an annotator gives to rows of a class, for one wrong answer


def codes(answers: Answers, classes: Sequence[str]) -> np.ndarray:
    """(n, annotators): each answer's class, -1 where it is missing."""
    at = {y: k for k, y in enumerate(classes)}
    return np.array([[at.get(y, -1) if y is not None else -1 for y in row] for row in answers], dtype=int)


def votes(code: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """(n, annotators, K): 1 at the class of each answer; a missing one has none."""
    return (code[:, :, None] == np.arange(len(classes))).astype(float)


def majority(answers: Answers, classes: Sequence[str]) -> np.ndarray:
    """Shares of the known answers."""
    counts = votes(codes(answers, classes), classes).sum(axis=1)
    known = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, known, out=np.full_like(counts, np.nan), where=known > 0)


def dawid_skene(answers: Answers, classes: Sequence[str]) -> np.ndarray:
    """Probabilities of the true labels (Dawid and Skene 1979): each annotator has a confusion matrix, each
    class a share; found by expectation maximisation from the majority's shares on.

    The prior answers are the same for every annotator and class, and more of them right than wrong: without
    them few annotators, or few rows a class, may end with fewer classes than there are.
    """
    said = votes(codes(answers, classes), classes)
    p = majority(answers, classes)
    known = ~np.isnan(p).any(axis=1)
    said, at = said[known], p[known]
    prior = np.where(np.eye(len(classes)) > 0, TRUST, 1 / (len(classes) - 1))
    for _ in range(ROUNDS if len(at) else 0):
        confusion = np.einsum("nt,nas->ats", at, said) + prior
        confusion /= confusion.sum(axis=2, keepdims=True)
        share = (at.sum(axis=0) + 1) / (len(at) + len(classes))
        log = np.log(share) + np.einsum("nas,ats->nt", said, np.log(confusion))
        new = np.exp(log - log.max(axis=1, keepdims=True))
        new /= new.sum(axis=1, keepdims=True)
        at, moved = new, float(np.abs(new - at).max())
        if moved < CLOSE:
            break
    p[known] = at
    return p


def label_model(answers: Answers, student: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Annotators and a student, each trusted as much as it agrees with the others (CROWDLAB: Goh et al. 2022,
    as cleanlab has it). `student` (n, K) are probabilities by a student that did not see the row.

    ValueError where no row has answers of two annotators: they cannot be compared.
    """
    from cleanlab.multiannotator import get_label_quality_multiannotator

    code = codes(answers, classes)
    known = (code >= 0).any(axis=1)
    if not ((code >= 0).sum(axis=1) > 1).any():
        raise ValueError("no row has answers of two annotators")
    p = np.full(student.shape, np.nan)
    there = (code >= 0).any(axis=0)  # an annotator without any answer has no column
    given = np.where(code < 0, np.nan, code)[known][:, there]
    found = get_label_quality_multiannotator(
        given, student[known], return_weights=True, return_detailed_quality=False,
        return_annotator_stats=False, verbose=False,
    )  # fmt: skip
    agreement = found["label_quality"]["annotator_agreement"].to_numpy()
    right = agreement[(~np.isnan(given)).sum(axis=1) != 1].mean()
    said = votes(code[known][:, there], classes)
    other = (1 - right) / (len(classes) - 1)
    by_answer = np.where(said > 0, right, other) * said.sum(axis=2, keepdims=True)
    weights = found["annotator_weight"]
    total = found["model_weight"] + said.sum(axis=2) @ weights
    p[known] = found["model_weight"] * student[known] + np.einsum("nak,a->nk", by_answer, weights)
    p[known] /= total[:, None]
    return p
