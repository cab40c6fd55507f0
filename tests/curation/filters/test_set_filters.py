"""Filters by students of the round: each on two clouds of rows, some of them in the wrong one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from synth_assets.contracts.filter import Context, named
from synth_assets.core.errors import UserError
from synth_assets.core.registry import FILTERS
from synth_assets.curation import noise
from synth_assets.curation.filters.learning_dynamics import columns_of
from synth_assets.curation.keep import ended, keep
from synth_assets.students.boosting import Boosting

N = 120  # rows of a label
WRONG = 8  # of them in the other's cloud


def encode(texts: Sequence[str]) -> np.ndarray:
    """Words 'good' and 'bad' point two ways, 'odd' a third one; a row's number turns it a little."""
    angles = [float(t.split()[1]) / N + 1.5 * t.startswith("bad") for t in texts]
    odd = [3.0 * t.startswith("odd") for t in texts]
    found = np.stack([np.cos(angles), np.sin(angles), odd], axis=1)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def clouds() -> pd.DataFrame:
    texts = [f"{side} {n}" for side in ("good", "bad") for n in range(N)]
    labels = ["positive"] * N + ["negative"] * (N - WRONG) + ["positive"] * WRONG
    return pd.DataFrame({"row_id": texts, "label": labels, "text": texts})


def apply(name: str, rows: pd.DataFrame | None = None, **rule: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    given = clouds() if rows is None else rows
    return keep(given, [FILTERS.find(name).model_validate(rule)], Context(verbalizers={}, encode=encode))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("student_agreement", "the student says negative, not positive"),
        ("loss_mixture", "the student's loss is "),
        ("influence", "wanted at least 0"),
    ],
)
def test_rows_among_those_of_another_label_are_dropped(name: str, why: str) -> None:
    _, dropped = apply(name)
    wrong = {f"bad {n}" for n in range(N - WRONG, N)}
    assert wrong <= set(dropped["text"])
    assert dropped.set_index("text").loc[sorted(wrong), "reason"].str.contains(why).all()


def test_copies_of_a_wrong_row_do_not_speak_for_it() -> None:
    rows = clouds()
    copies = pd.concat([rows, rows.tail(1), rows.tail(1)], ignore_index=True)
    kept, _ = apply("student_agreement", copies)
    assert not kept["text"].eq(rows["text"].iloc[-1]).any()


@pytest.mark.parametrize(("tau", "stay"), [(0.2, "cd"), (0.1, "bcd"), ("adaptive", "bcd")])
def test_learning_dynamics_drops_the_region_alone(tau: float | str, stay: str) -> None:
    """Adaptive is here .75 of .17 - .05 = .12, so .09. Row c is confident enough; d is ambiguous, b at .1."""
    rows = pd.DataFrame(
        {"checkpoint_confidence": [0.2, 0.2, 0.21, 0.5], "aleatoric": [0.05, 0.16, 0.08, 0.17]}
    )
    passed = FILTERS.find("learning_dynamics").model_validate({"tau": tau}).passes(rows)
    assert "".join(name for name, yes in zip("abcd", passed, strict=True) if yes) == stay


def test_what_learning_dynamics_drops_says_why() -> None:
    """40 % of another label at random in three clouds."""
    draw = np.random.default_rng(0)
    at = draw.integers(0, 3, 1500)
    x = np.eye(6, dtype=np.float32)[at] + draw.normal(0, 0.3, (1500, 6)).astype(np.float32)
    wrong = draw.random(1500) < 0.4
    labels = np.array(["a", "b", "c"])[(at + wrong * draw.integers(1, 3, 1500)) % 3]
    rows = pd.DataFrame({"label": labels, "text": [f"row {i}" for i in range(1500)], "wrong": wrong})
    context = Context(verbalizers={}, encode=lambda _: x)
    _, dropped = keep(rows, [FILTERS.find("learning_dynamics").model_validate({})], context)
    assert len(dropped) >= 30
    assert dropped["wrong"].mean() > 0.9
    words = (
        r"learning_dynamics 0\.[0-2]\d*, wanted above 0\.2, or an .* above 0\.2: its aleatoric uncertainty is"
    )
    assert dropped["reason"].str.match(words).all()


def paper_shaped() -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, Context]:
    """100 seeds, 1,000 rows of 20 numbers, which of these have the other label (30 %); texts say nothing."""
    x, kind = make_classification(1100, 20, n_informative=10, n_redundant=5, flip_y=0, random_state=1)
    draw = np.random.default_rng(1)
    wrong = np.r_[np.zeros(100, dtype=bool), draw.random(1000) < 0.3]
    names, labels = [f"x{i}" for i in range(20)], np.array(["high", "low"])
    texts = [f"row {i}" for i in range(1100)]
    table = pd.DataFrame(x, columns=names).assign(label=labels[kind ^ wrong], text=texts)
    noise_ = draw.normal(size=(1100, 384)).astype(np.float32)

    def encode(texts: Sequence[str]) -> np.ndarray:
        return noise_[[int(text.split()[1]) for text in texts]]

    seeds, rows = table.head(100), table.tail(1000).reset_index(drop=True)
    typed = dict.fromkeys(names, "number")
    return seeds, rows, wrong[100:], Context(verbalizers={}, encode=encode, seeds=seeds, typed=typed)


def test_learning_dynamics_taught_by_seeds_drops_what_is_flipped() -> None:
    """As in CLLM (Seedat et al. 2023): a student of the real rows watches the synthetic ones."""
    _, rows, wrong, context = paper_shaped()
    kept, dropped = keep(rows, [FILTERS.find("learning_dynamics").model_validate({})], context)
    assert 0.15 <= len(dropped) / len(rows) <= 0.3
    assert wrong[dropped["text"].str.split().str[1].astype(int) - 100].mean() >= 0.7

    def area(of: pd.DataFrame) -> float:
        student = LogisticRegression(max_iter=1000).fit(of[list(context.typed)], of["label"] == "low")
        return float(roc_auc_score(test_kind, student.decision_function(test)))

    test, test_kind = rows[list(context.typed)], (rows["label"] == "low").to_numpy() ^ wrong
    assert area(kept) >= area(rows)


def test_learning_dynamics_is_taught_by_the_round_where_seeds_are_few() -> None:
    seeds, rows, _, context = paper_shaped()
    rule = FILTERS.find("learning_dynamics").model_validate({})
    few = replace(context, seeds=seeds.groupby("label").head(20))
    alone = FILTERS.find("learning_dynamics").model_validate({"taught_by": "round"})
    head = rows.head(60)
    assert rule.score(head, few) == (by_round := alone.score(head, context))
    told = FILTERS.find("learning_dynamics").model_validate({"taught_by": "seeds"})
    assert told.score(head, few) != by_round
    with pytest.raises(
        UserError, match=r"taught_by: seeds needs 10 rows of each label .* there are 0 high, 0 low"
    ):
        told.score(head, replace(context, seeds=None))


def test_fields_of_other_types_are_numbers_to_a_student() -> None:
    table = pd.DataFrame({"fine": [True, None], "mood": ["calm", "angry"], "n": [3, None]}, dtype=object)
    found = [
        column
        for name, kind in {"fine": "boolean", "mood": ("calm", "angry"), "n": "integer"}.items()
        for column in columns_of(table[name], kind)
    ]
    assert np.array_equal(found, [[1, np.nan], [1, 0], [0, 1], [3, np.nan]], equal_nan=True)


def test_learning_dynamics_says_what_it_drops() -> None:
    rule = FILTERS.find("learning_dynamics").model_validate({"tau": "adaptive"})
    assert rule.threshold() == "above 0.2, or an aleatoric uncertainty above .75 of its range"
    assert rule.why({"aleatoric": 0.1234}) == "its aleatoric uncertainty is 0.123"
    for wrong in ({"at_least": 0.5}, {"share": 0.5}, {"top": 3}, {"between": [0, 1]}):
        with pytest.raises(ValidationError, match="it drops a region that tau alone bounds"):
            FILTERS.find("learning_dynamics").model_validate(wrong)


def test_the_ambiguous_rows_are_those_where_the_clouds_meet() -> None:
    """They meet at the high numbers of `good` and at the low ones of `bad`."""
    rows = clouds().assign(label=["positive"] * N + ["negative"] * N)
    kept, dropped = apply("variability", rows)
    assert kept["label"].value_counts().to_dict() == {"positive": N / 2, "negative": N / 2}
    assert set(dropped["threshold"]) == {"among the best 50 % of its label"}
    near = {f"good {n}" for n in range(70, N)} | {f"bad {n}" for n in range(50)}
    assert near <= set(kept["text"])


def test_the_row_that_is_far_from_all_others_is_an_outlier() -> None:
    odd = pd.DataFrame({"row_id": ["odd 1"], "label": ["positive"], "text": ["odd 1"]})
    _, dropped = apply("outlier", pd.concat([clouds(), odd], ignore_index=True), share=0.99)
    assert "odd 1" in set(dropped["text"])
    _, dropped = apply("outlier", odd)
    assert "outlier is unknown" in dropped["reason"].iloc[0]


@pytest.mark.parametrize(
    "name", ["student_agreement", "loss_mixture", "learning_dynamics", "influence", "variability"]
)
def test_students_need_rows_to_learn_of(name: str) -> None:
    """Where there are too few, no student is asked, and all rows stay."""
    rows, rule = clouds(), FILTERS.find(name).model_validate({})
    for given, few in ((rows.head(N + 9), {"negative": 9}), (rows.head(N), {"positive": N})):
        kept, dropped = apply(name, given)
        assert kept[[*rule.columns]].isna().all(axis=None)
        assert len(kept) == len(given)
        assert ended([rule], kept, dropped) == (rule, few)
    assert ended([rule], *apply(name, rows)) is None
    kept, _ = apply(name, rows.head(0))
    assert kept.empty


@pytest.mark.parametrize("name", ["student_agreement", "loss_mixture", "influence", "variability"])
def test_of_rows_that_are_all_copies_no_student_says_anything(name: str) -> None:
    kept, dropped = apply(name, clouds().assign(text="Good 1!"))
    assert kept.empty
    assert dropped["reason"].str.contains(f"{name} is unknown").all()


def test_a_filter_under_a_name_of_its_own_has_columns_of_that_name() -> None:
    rule = named("unsure", FILTERS.find("learning_dynamics")).model_validate({"filter": "learning_dynamics"})
    both = [FILTERS.find("learning_dynamics").model_validate({"tau": "adaptive"}), rule]
    kept, _ = keep(clouds(), both, Context(verbalizers={}, encode=encode))
    assert rule.columns == {"unsure": "double", "unsure_aleatoric": "double"}
    assert kept["unsure_aleatoric"].equals(kept["aleatoric"].rename("unsure_aleatoric"))
    rows = pd.DataFrame({"unsure": [0.2, 0.5], "unsure_aleatoric": [0.05, 0.2], "aleatoric": 0.25})
    assert rule.passes(rows).tolist() == [False, True]
    assert rule.why(rows.to_dict("records")[0]) == "its aleatoric uncertainty is 0.05"


def test_boosting_is_a_student_whose_last_checkpoint_is_its_answer() -> None:
    rows = clouds()
    x, labels = encode(list(rows["text"])), list(rows["label"])
    student = Boosting(["positive", "negative", "never"], trees=20).fit(x, labels)
    stages = list(student.checkpoints(x))
    assert len(stages) == 20
    assert stages[-1] == pytest.approx(student.predict_proba(x))
    assert student.predict_proba(x)[:, 1] == pytest.approx(np.zeros(len(x)))  # never
    again = Boosting(["positive", "negative", "never"], trees=20).fit(x, labels, np.full(len(x), 7.0))
    assert again.predict_proba(x) == pytest.approx(student.predict_proba(x))
    with pytest.raises(ValueError, match="two labels"):
        Boosting(["positive"]).fit(x[:20], labels[:20])


def test_watched_checkpoints_are_those_that_are_held() -> None:
    table = np.random.default_rng(0).random((7, 5))
    confidence, aleatoric = noise.watched(iter(table))
    assert confidence == pytest.approx(table.mean(axis=0))
    assert aleatoric == pytest.approx((table * (1 - table)).mean(axis=0))


def test_copies_of_a_row_are_no_neighbours_that_agree_with_it() -> None:
    """Four copies of a wrong row would else vouch for each other."""
    near, far = [1.0, 0.0], [0.0, 1.0]
    vectors = np.array([near] * 8 + [far] * 4, dtype=np.float32)
    labels = ["bad"] * 4 + ["good"] * 4 + ["bad"] * 4
    copies = ["wrong"] * 4 + [f"right {i}" for i in range(4)] + [f"other {i}" for i in range(4)]
    alone, _ = noise.neighbours(vectors, labels, 3)
    apart, _ = noise.neighbours(vectors, labels, 3, copies)
    assert alone[0] > 0
    assert apart[0] == 0
    assert np.isnan(noise.neighbours(vectors[:4], labels[:4], 3, copies[:4])[0]).all()
