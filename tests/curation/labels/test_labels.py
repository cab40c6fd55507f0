"""Label enhancement: people, students and several annotators, in that order of trust."""

from __future__ import annotations

import functools
import itertools
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from types import SimpleNamespace
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synth_assets.annotation.people import read_human
from synth_assets.annotation.votes import Draw, Word, together
from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.contracts.filter import Context
from synth_assets.contracts.weighing import WeighContext
from synth_assets.core.errors import UserError
from synth_assets.core.registry import FILTERS, made_of
from synth_assets.curation import noise
from synth_assets.curation.labels import aggregation, relabel
from synth_assets.curation.labels.enhance import enhance
from synth_assets.curation.weights.weigh import weigh
from synth_assets.recipe.load import load
from synth_assets.report.one_round import Round
from synth_assets.report.rows import changed_labels
from synth_assets.resources.home import warehouse
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.stages import tables
from synth_assets.students.classifier import Student
from synth_assets.students.crossfit import folds, out_of_fold
from synth_assets.students.softmax import SoftmaxRegression
from tests.assets.test_round import ROUND, ask
from tests.curation import test_noise
from tests.curation.methods import labelled, no_encoder
from tests.curation.test_noise import GOLD
from tests.endpoint import Endpoint, reviewer
from tests.test_docs import examples

LABELS = ["negative", "positive"]


@dataclass(frozen=True)
class NoisyOracle:
    """An annotator of known skill: it is right so often, gives no label so often, and otherwise the label
    that it falls back to, or any other one."""

    classes: Sequence[str]
    right: float
    invalid: float = 0.0
    favourite: str | None = None
    seed: int = 0

    def says(self, text: str, gold: str) -> str | None:
        draw = random.Random(f"{self.seed} {text}")
        if draw.random() < self.invalid:
            return None
        if draw.random() < self.right:
            return gold
        return self.favourite or draw.choice([y for y in self.classes if y != gold])


def answered(oracles: Sequence[NoisyOracle], n: int) -> tuple[list[list[str | None]], list[str]]:
    classes = oracles[0].classes
    gold = [classes[i % len(classes)] for i in range(n)]
    return [[o.says(str(i), y) for o in oracles] for i, y in enumerate(gold)], gold


def right(p: np.ndarray, gold: Sequence[str], classes: Sequence[str]) -> float:
    """Share of rows whose likeliest label is the gold one; of a tie its share."""
    found = np.nan_to_num(p)
    best = found == found.max(axis=1, keepdims=True)
    at = [list(classes).index(y) for y in gold]
    return float((best[np.arange(len(gold)), at] / best.sum(axis=1)).mean())


def two_kinds(n: int = 120) -> tuple[pd.DataFrame, list[str], Callable[..., np.ndarray]]:
    """Rows of two clouds of which one in five has the other label, the right labels, and the encoder."""
    gold = [LABELS[i % 2] for i in range(n)]
    former = [LABELS[1 - i % 2] if i % 5 == 0 else LABELS[i % 2] for i in range(n)]
    texts = [f"{y} {i}" for i, y in enumerate(gold)]

    def encode(texts: Sequence[str]) -> np.ndarray:
        side = np.array([-1.0 if text.startswith("negative") else 1.0 for text in texts])
        noise = np.random.default_rng(0).normal(size=(len(texts), 8)) * 0.2
        vectors = np.column_stack([side, noise])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    ids = [f"row{i}" for i in range(n)]
    return pd.DataFrame({"row_id": ids, "text": texts, "label": former}), gold, encode


@pytest.mark.parametrize("by", ["confident_learning", "clean_pool", "cross_partition"])
def test_students_that_did_not_see_a_row_correct_its_label(by: str) -> None:
    rows, gold, encode = two_kinds()
    found = labelled(rows, by, labels=LABELS, encode=encode)
    assert (rows["label"] == gold).mean() == 0.8
    assert (found["label"] == gold).mean() >= 0.98
    assert list(found["former_label"]) == list(rows["label"])
    changed = found["label"] != found["former_label"]
    assert set(found.loc[changed, "label_source"]) == {"student"}
    assert set(found.loc[~changed, "label_source"]) == {"condition"}
    for label, confidence, p in zip(
        found["label"], found["confidence"], found["label_probabilities"], strict=True
    ):
        assert confidence == p[label]
        assert sum(p.values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("student", "labels", "changes"),
    [(0.77, 0.945, False), (0.65, 0.945, False), (0.6, 0.9, False), (0.9, 0.7, True), (0.95, 0.6, True)],
)
def test_only_a_student_that_is_better_than_the_labels_changes_some(
    student: float, labels: float, changes: bool
) -> None:
    """2,000 rows of two kinds, of which the best student is right of so many, and so are the labels."""
    draw, half = np.random.default_rng(1), NormalDist().inv_cdf(student)
    kind = draw.integers(0, 2, 2000)
    vectors = draw.normal(size=(2000, 10)).astype(np.float32) / 4
    vectors[:, 0] += np.where(kind, half, -half) / 4
    gold = np.array(LABELS)[kind]
    former = np.where(draw.random(2000) < labels, gold, np.array(LABELS)[1 - kind])
    texts = [f"row {i}" for i in range(2000)]
    rows, said = pd.DataFrame({"row_id": texts, "text": texts, "label": former}), list[str]()
    found = labelled(rows, "confident_learning", labels=LABELS, encode=lambda _: vectors, warn=said.append)
    right, before = (found["label"] == gold).mean(), (former == gold).mean()
    if changes:
        assert right > before + 0.05
        assert not said
    else:
        assert right == before
        (words,) = said
        assert words.startswith(
            "labelled.by: confident_learning changes no label: labels are right of about "
        )


def test_gold_rows_tell_whether_the_student_is_better() -> None:
    """It is right of .8 of the rows, the labels of .7: by themselves they are told to be equal, at .73."""
    draw, half = np.random.default_rng(1), NormalDist().inv_cdf(0.8)
    kind = draw.integers(0, 2, 2400)
    vectors = draw.normal(size=(2400, 10)).astype(np.float32) / 4
    vectors[:, 0] += np.where(kind, half, -half) / 4
    right = np.array(LABELS)[kind]
    label = np.where(draw.random(2400) < 0.7, right, np.array(LABELS)[1 - kind])
    table = pd.DataFrame({"text": [f"row {i}" for i in range(2400)], "label": label})
    rows, gold = table.head(2000), table.assign(label=right).tail(400)

    def told(gold: pd.DataFrame | None) -> float:
        found = labelled(
            rows,
            "confident_learning",
            labels=LABELS,
            encode=lambda texts: vectors[[int(text.split()[1]) for text in texts]],
            gold=gold,
        )
        return float((found["label"] == right[:2000]).mean())

    assert told(None) == told(gold.head(0)) == (label == right)[:2000].mean()
    assert told(gold) > 0.78


def test_what_is_not_clean_takes_the_annotators_label_and_else_the_students() -> None:
    rows, gold, encode = two_kinds()
    surely = {"negative": 0.1, "positive": 0.9}
    annotator = [surely if i % 2 else None for i in range(len(rows))]
    found = labelled(rows.assign(label_probabilities=annotator), "clean_pool", labels=LABELS, encode=encode)
    wrong = rows["label"] != gold
    asked = np.array([p is not None for p in annotator])
    assert set(found.loc[wrong & asked, "label_source"]) == {"label_agreement"}
    assert set(found.loc[wrong & asked, "confidence"]) == {0.9}
    assert set(found.loc[wrong & ~asked, "label_source"]) == {"student"}
    assert (found["label"] == gold)[~asked | wrong].mean() >= 0.98


def test_students_refuse_a_round_of_too_few_rows() -> None:
    rows, _, encode = two_kinds(12)
    with pytest.raises(
        UserError,
        match=r"labelled\.by: clean_pool: students need 10 different rows .* 5 negative, 7 positive",
    ):
        labelled(rows, "clean_pool", labels=LABELS, encode=encode)


def test_a_tie_and_a_row_without_an_answer_keep_their_label() -> None:
    said = [["positive", None, "positive"], ["positive", "negative", None], [None, None, None], None]
    rows = pd.DataFrame({"text": list("abcd"), "label": ["negative"] * 4, "annotator_labels": said})
    found = labelled(rows, "majority", labels=LABELS)
    assert list(found["label"]) == ["positive", "negative", "negative", "negative"]
    assert list(found["label_source"]) == ["annotators", "condition", "condition", "condition"]
    assert [*found["confidence"]][:2] == [1.0, 0.5]
    assert list(found["label_probabilities"])[2:] == [None, None]


@pytest.mark.parametrize(
    ("skills", "better"), [((0.9, 0.6, 0.6), 0.03), ((0.9, 0.8, 0.6, 0.55, 0.5), 0.02)], ids=["three", "five"]
)
@pytest.mark.parametrize("favourite", [None, "c0"])
def test_unequal_annotators_are_better_weighed_than_counted(
    skills: Sequence[float], better: float, favourite: str | None
) -> None:
    classes = [f"c{k}" for k in range(4)]
    oracles = [NoisyOracle(classes, s, 0.05, favourite, seed) for seed, s in enumerate(skills)]
    answers, gold = answered(oracles, 1000)
    p = aggregation.dawid_skene(answers, classes)
    counted = right(aggregation.majority(answers, classes), gold, classes)
    assert right(p, gold, classes) >= counted + better
    shares = Counter(p.argmax(axis=1))  # no class takes the others' rows, and none is lost
    assert min(shares.values()) > 0.2 * 1000
    assert len(shares) == 4


def test_few_rows_of_many_labels_lose_none_of_them() -> None:
    classes = [f"c{k:02}" for k in range(20)]
    oracles = [NoisyOracle(classes, s, 0.05, "c00", seed) for seed, s in enumerate((0.9, 0.7, 0.6))]
    answers, gold = answered(oracles, 100)
    p = aggregation.dawid_skene(answers, classes)
    assert right(p, gold, classes) >= right(aggregation.majority(answers, classes), gold, classes)
    assert len(set(p.argmax(axis=1))) == 20


def test_equal_annotators_are_weighed_as_well_as_counted() -> None:
    classes = ["a", "b", "c"]
    answers, gold = answered([NoisyOracle(classes, 0.75, seed=s) for s in range(3)], 600)
    counted = right(aggregation.majority(answers, classes), gold, classes)
    assert right(aggregation.dawid_skene(answers, classes), gold, classes) >= counted - 0.01


def test_the_label_model_gives_cleanlabs_posterior_for_every_label() -> None:
    from cleanlab.multiannotator import get_label_quality_multiannotator

    classes = ["a", "b", "c"]
    oracles = [NoisyOracle(classes, s, 0.1, seed=i) for i, s in enumerate((0.8, 0.75, 0.7))]
    answers, gold = answered(oracles, 600)
    own = NoisyOracle(classes, 0.8, seed=9)
    student = np.array(
        [[0.8 if own.says(str(i), y) == c else 0.1 for c in classes] for i, y in enumerate(gold)]
    )
    p = aggregation.label_model(answers, student, classes)
    code = aggregation.codes(answers, classes)
    known = (code >= 0).any(axis=1)
    assert np.isnan(p[~known]).all()
    given = np.where(code < 0, np.nan, code)[known]
    quality = get_label_quality_multiannotator(given, student[known], verbose=False)["label_quality"]
    at = quality["consensus_label"].to_numpy()
    assert p[known][np.arange(len(at)), at] == pytest.approx(quality["consensus_quality_score"])


@pytest.mark.parametrize("by", ["majority", "dawid_skene", "label_model"])
def test_several_annotators_correct_labels(by: str) -> None:
    rows, gold, encode = two_kinds()
    oracles = [NoisyOracle(LABELS, s, 0.1, seed=i) for i, s in enumerate((0.95, 0.9, 0.9))]
    said = [[o.says(text, y) for o in oracles] for text, y in zip(rows["text"], gold, strict=True)]
    found = labelled(rows.assign(annotator_labels=said), by, labels=LABELS, encode=encode)
    assert (found["label"] == gold).mean() >= 0.92
    assert set(found["label_source"]) == {"annotators", "condition"}
    assert found["confidence"].between(0.4, 1).all()


def test_one_annotator_alone_makes_no_label_model() -> None:
    rows, _, encode = two_kinds()
    rows = rows.assign(annotator_labels=[[label, None] for label in rows["label"]])
    with pytest.raises(UserError, match="no row has answers of two annotators"):
        labelled(rows, "label_model", labels=LABELS, encode=encode)


noisy = functools.cache(test_noise.noisy)


def trec() -> tuple[np.ndarray, list[str]]:
    """Labels and texts of the rows of `noisy("trec", ...)`."""
    if not GOLD.exists():
        pytest.skip(f"needs {GOLD}")
    lines = (GOLD / "TREC.train.all").read_text("utf-8", "replace").splitlines()
    gold, texts = zip(*(line.split(" ", 1) for line in lines), strict=True)
    return np.array(gold), list(texts)


def test_other_parts_students_correct_40_percent_of_noise() -> None:
    gold, _ = trec()
    x, labels, _ = noisy("trec")
    classes = np.unique(labels)
    p = relabel.cross_partition(x, labels, range(len(x)), SoftmaxRegression(list(classes), 10.0).fit)
    assert np.mean(np.array(labels) == gold) == pytest.approx(0.6, abs=0.01)
    assert np.mean(classes[p.argmax(axis=1)] == gold) >= 0.74


def test_annotators_and_a_student_of_their_labels_are_better_than_a_majority() -> None:
    gold, _ = trec()
    x, _, _ = noisy("trec", 0)
    classes = sorted(set(gold))
    oracles = [NoisyOracle(classes, s, 0.05, seed=i) for i, s in enumerate((0.8, 0.75, 0.7))]
    answers = [[o.says(str(i), y) for o in oracles] for i, y in enumerate(gold)]
    shares = aggregation.majority(answers, classes)
    counted = [classes[k] for k in np.nan_to_num(shares).argmax(axis=1)]
    student = out_of_fold(x, counted, range(len(x)), SoftmaxRegression(classes).fit)
    p = aggregation.label_model(answers, student, classes)
    assert right(student, gold, classes) <= 0.8
    assert right(p, gold, classes) >= right(shares, gold, classes) + 0.03


def test_a_student_that_learns_single_rows_does_not_correct_its_own() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    gold, texts = trec()
    _, labels, _ = noisy("trec", 0)
    words = TfidfVectorizer(sublinear_tf=True).fit_transform(texts).tocsr()
    classes, n = np.unique(labels), len(labels)
    student = Student(list(classes), 10.0)
    p = relabel.cross_partition(words, labels, range(n), student.fit, stages=2, parts=2)
    crossed, own = classes[p.argmax(axis=1)], np.array(labels)
    for stage in range(2):
        part = folds(range(n), 2, stage)
        for k in range(2):
            own[part == k] = student.fit(words[part == k], own[part == k]).predict(words[part == k])
    assert np.mean(own == gold) <= 0.65
    assert np.mean(crossed == gold) >= 0.70


def test_the_demonstration_pool_has_100_different_rows_that_are_nearly_all_right() -> None:
    x, labels, is_right = noisy("trec", 0)
    p = out_of_fold(x, labels, range(len(x)), SoftmaxRegression(sorted(set(labels))).fit)
    pool = relabel.demonstration_pool(x, labels, noise.given(p, labels))
    assert len(pool) == len(set(pool)) == 100
    counts = Counter(np.array(labels)[pool])
    assert set(counts.values()) == {16, 17}
    assert is_right.mean() == pytest.approx(0.6, abs=0.01)
    assert is_right[pool].mean() >= 0.9


def test_an_answer_that_names_no_label_is_missing_and_never_a_class() -> None:
    rule = FILTERS.find("annotators").model_validate({"of": {"small": "s", "big": {"model": "b", "k": 8}}})
    said = {"s": [{"negative": -0.1, "positive": -2.0}, None], "b": [None, None]}
    asked = []

    def annotate(texts: Sequence[str], model: str | None = None, k: int | None = None) -> Any:
        asked.append((model, k))
        return said[str(model)]

    rows = pd.DataFrame({"text": ["x", "y"], "label": ["negative", "positive"]})
    raw = rule.measure(rows, Context(verbalizers={}, annotate=annotate))
    assert raw == {"annotator_labels": [["negative", None], [None, None]]}
    assert rule.score(rows.assign(**raw), Context(verbalizers={}))["annotators"] == [1.0, None]
    assert asked == [("s", None), ("b", 8)]


def test_a_persons_label_overrides_all_and_counts_as_certain(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("text,label,annotator\n a ,positive,ann\nb,negative,ann\nc,,ann\n", encoding="utf-8")
    p = {"negative": 0.9, "positive": 0.1}
    rows = pd.DataFrame({"text": list("abc"), "label": ["negative", "negative", "positive"]})
    rows = rows.assign(label_probabilities=[p, p, p], row_id=["r1", "r2", "r3"])
    human = read_human(str(file), LABELS)
    human.refuse(set(rows["text"]))
    said = together(human.votes(rows), LABELS, "label", aggregation.majority)
    found = labelled(rows, "label_agreement", labels=LABELS, human=[said["r1"].value, said["r2"].value, None])
    assert list(found["label"]) == ["positive", "negative", "negative"]
    assert list(found["label_source"]) == ["human", "human", "label_agreement"]
    assert list(found["confidence"]) == [1.0, 1.0, 0.9]
    assert found["label_probabilities"][0] == {"negative": 0.0, "positive": 1.0}
    assert list(found["former_label"]) == list(rows["label"])


def test_a_file_of_labels_says_how_each_row_was_drawn(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(
        "row_id,label,draw,probability\n"
        "r1,positive,chosen by confidence,\nr1,negative,random,0.1\nr1,negative,chosen,\n"  # three people
        "r2,positive\nr3,,random,0.1\n",
        encoding="utf-8",
    )
    human = read_human(str(file), LABELS)
    rows = pd.DataFrame({"row_id": ["r1", "r2", "r3"]})
    said = together(human.votes(rows), LABELS, "label", aggregation.majority)
    assert said == {
        "r1": Word("negative", Draw("random", 0.1)),
        "r2": Word("positive", Draw("chosen")),
    }
    assert (human.labels, human.random) == (2, 1)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("row_id,label\nr1,postive\n", r"labels.csv:2: unknown label 'postive'. Did you mean 'positive'"),
        ('row_id,label\n"r\n1",positive\nr2,bad\n', r"labels.csv:4: unknown label 'bad'"),
        (
            "row_id,label\nr1,positive\nr1,negative\n",
            r"labels.csv:3: 'r1' is positive, and as often negative: let one more person decide",
        ),
        (
            "row_id,label,person\nr1,positive,ann\nr1,negative,bo\nr1,negative,ann\n",
            r"labels.csv:4: ann says positive of 'r1', and negative: take one of the lines out",
        ),
        ("row_id,label,draw\nr1,positive,radom\n", r"csv:2: unknown draw 'radom'. Did you mean 'random'"),
        (
            'row_id,label,draw,probability\nr1,positive,random,"0,1"\n',
            r"labels.csv:2: 0,1 is the probability of a row that was drawn at random: write how many rows",
        ),
        (
            "row_id,label\nrow_two,positive\n",
            r"labels.csv:2: no row has the row_id 'row_two'. Did you mean 'row_2'",
        ),
        ("id,label\nr1,positive\n", r"wanted the columns row_id \(or text\) and label, there are id, label"),
        ("row_id,label\nr1,\xff\n", r"save it as CSV in UTF-8"),
        ("row_id,label\nr1,positive\n,negative\n", r"labels.csv:3: negative is the label of no row"),
        ("label,text\npositive,warm, and clever\n", r"labels.csv:2: more values than columns: put what has"),
        (None, r"there is no such file"),
    ],
)
def test_what_is_wrong_in_a_persons_file_is_told_with_its_line(
    tmp_path: Path, written: str | None, told: str
) -> None:
    file = tmp_path / "labels.csv"
    if written is not None:
        file.write_text(written, encoding="latin-1")
    with pytest.raises(UserError, match=told):
        read_human(str(file), LABELS).refuse({"r1", "r\n1", "r2", "row_2"})


def test_a_pair_is_labelled_by_its_row_since_several_have_its_first_text(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("text,label\na,positive\n", encoding="utf-8")
    with pytest.raises(UserError, match="wanted the columns row_id and label"):
        read_human(str(file), LABELS, pairs=True)
    file.write_text("row_id,text,label\nr1,a,positive\n", encoding="utf-8")
    (vote,) = read_human(str(file), LABELS, pairs=True).said
    assert (vote.row_id, vote.value) == ("r1", "positive")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("labelled: {by: majority}", "labelled.by: majority needs that filter: add `annotators: {of: "),
        ("labelled: {stages: 2}", "labelled.stages: unknown field 'stages'. Known: by, human."),
        ("labelled: {by: clean_pool, stages: 2}", "unknown field 'stages'. Known: by, human, reannotate."),
        ("labelled: {by: mayority}", "labelled.by: unknown way to label 'mayority'. Did you mean 'majority'"),
    ],
)
def test_what_a_recipe_says_wrongly_of_labels_is_refused(project: Path, edit, line: str, told: str) -> None:
    with pytest.raises(UserError, match=told.replace("{", r"\{").replace(".", r"\.")):
        load(edit("rows: 6", f"rows: 6\n{line}"))


JUDGES = {"kind": "positive", "grim": "negative", "blunt": "negative"}  # what each always says


def judged(body: dict[str, Any]) -> str:
    if body["model"] in JUDGES:
        return JUDGES[body["model"]]
    return reviewer(body)


def test_a_round_labelled_by_three_models_and_a_person(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    endpoint.say, endpoint.logprobs = judged, False
    edit(
        "  duplicate: {}",
        "  duplicate: {}\n  annotators: {of: {one: kind, two: {model: grim, k: 2}, three: blunt}}",
    )
    edit("rows: 6", "rows: 6\nlabelled: {by: majority, human: labels.csv}")
    file = project / "labels.csv"
    file.write_text("row_id,label\nr1,mixed\n", encoding="utf-8")
    assert main(["check", "reviews"]) == 2
    assert "labels.csv:2" in capsys.readouterr().err
    file.write_text("row_id,label\n", encoding="utf-8")
    assert main(["check", "reviews"]) == 0
    assert "0 labels in labels.csv" in capsys.readouterr().out
    assert main(["plan", "reviews", "--round", ROUND]) == 0
    assert "48 calls to make" in capsys.readouterr().out
    assert main(["run", "reviews", "--round", ROUND]) == 0
    assert len(endpoint.requests) == 12 + 3 * 12
    assert ask(
        "select used_by, model, count(*) from reviews.calls where used_by = 'scores' group by all order by 2"
    ) == [("scores", model, 12) for model in sorted(JUDGES)]
    by_source = (
        "select former_label, label, label_source, count(*) from reviews.labelled group by all order by all"
    )
    assert ask(by_source) == [
        ("negative", "negative", "condition", 6),
        ("positive", "negative", "annotators", 6),
    ]
    assert ask("select distinct round(annotators, 2) from reviews.filtered order by 1") == [(0.33,), (0.67,)]

    (row,) = ask("select min(row_id) from reviews.labelled")[0]
    file.write_text(f"row_id,label\n{row},positive\n", encoding="utf-8")
    capsys.readouterr()
    assert main(["plan", "reviews", "--round", ROUND]) == 0
    states = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    assert {line[0]: line[1] for line in states if line[0] in ("filtered", "labelled")} == {
        "filtered": "unchanged",
        "labelled": "stale",
    }
    assert main(["run", "reviews", "--round", ROUND]) == 0
    assert len(endpoint.requests) == 48
    assert ask("select label, confidence, row_id from reviews.labelled where label_source = 'human'") == [
        ("positive", 1.0, row)
    ]
    soft = "select label_probabilities.positive from reviews.weighted where row_id = "
    assert ask(f"{soft}'{row}'") == [(1.0,)]
    assert ask(
        "select count(*) from reviews.weighted where round(label_probabilities.negative, 2) = 0.67"
    ) == [(11,)]
    a_sample_has_no_row_that_a_person_has_labelled(row)
    metadata = latest("labelled")
    assert metadata["changed_labels"].value == sum(
        metadata[name].value for name in metadata if name.startswith("changed_by/")
    )
    assert "| negative" in metadata["former_to_label"].value

    file.write_text("row_id,label\nnobody,positive\n", encoding="utf-8")
    assert main(["run", "reviews", "--round", ROUND]) != 0
    assert "labels.csv:2: no row has the row_id 'nobody'" in capsys.readouterr().err


def a_sample_has_no_row_that_a_person_has_labelled(row: str) -> None:
    assert main(["sample", "reviews", "-n", "2", "--least-sure", "3", "--to", "people.csv"]) == 0
    drawn = pd.read_csv("people.csv", dtype={"probability": str})
    assert list(drawn["draw"]) == ["random"] * 2 + ["chosen by confidence"] * 3
    assert list(drawn["probability"].dropna()) == ["0.166667"] * 2
    assert drawn["row_id"].is_unique
    assert row not in set(drawn["row_id"][2:])  # a person has said what it is


def mixed() -> Callable[[dict[str, Any]], str]:
    """Writes reviews, every fifth of them of the other label; labels each by what it says."""
    count = {"positive": itertools.count(), "negative": itertools.count()}

    def say(body: dict[str, Any]) -> str:
        prompt = body["messages"][-1]["content"]
        if prompt.endswith("Sentiment:"):
            return "positive" if "warm" in prompt.split("Review:")[-1] else "negative"
        label = "positive" if prompt.rstrip().splitlines()[-1].startswith("positive") else "negative"
        n = next(count[label])
        warm = (label == "positive") != (n % 5 == 0)
        things = f"{THINGS[n % 10]} and {THINGS[(n // 10 + n) % 10]} in {THINGS[n // 4]}"
        return f"a {'warm and clever story' if warm else 'dull and tired mess'} with {things}"

    return say


THINGS = "love war cats trains music chess rain bread night snow".split()  # noqa: SIM905


def test_rows_in_doubt_are_labelled_again_beside_the_clean_ones(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    endpoint.say, endpoint.logprobs = mixed(), False
    edit("rows: 6", "rows: 40\nlabelled: {by: clean_pool, reannotate: 3}")
    assert main(["plan", "reviews", "--round", ROUND]) == 0
    assert "160 calls to make" in capsys.readouterr().out  # 80 rows, and at the most as many in doubt
    assert main(["run", "reviews", "--round", ROUND]) == 0
    told = capsys.readouterr().out
    again = [p for p in endpoint.prompts if p.endswith("Sentiment:")]
    assert 0 < len(again) < 40
    assert all(p.count("Review:") == 4 for p in again)  # three of the round's own, and the row
    shown = [[part.split("\n")[0] for part in p.split("Review: ")[1:]] for p in again]
    assert not any(texts[-1] in texts[:-1] for texts in shown)  # it is not told its own label
    wrong = "(label = 'positive') != (text like 'a warm%')"
    sql = "select count(*) filter ({wrong}), count(*) from reviews.{stage}"
    before, rows = ask(sql.format(wrong=wrong, stage="filtered"))[0]
    assert 4 < before < rows / 2
    assert ask(sql.format(wrong=wrong, stage="labelled")) == [(0, rows)]
    assert ask("select distinct label_source from reviews.labelled where label != former_label") == [
        ("label_agreement",)
    ]
    assert f"labelled by clean_pool: {before} of {rows} labels changed.\n" in told
    assert re.search(r"label asked for +now +rows\n *(negative +positive|positive +negative) +\d+\n", told)
    recipe = load(project / "recipes" / "reviews.yaml")
    metrics = recipe.metrics.model_copy(update={"truth": {"label": SimpleNamespace(column="label")}})
    known = Round(recipe.model_copy(update={"metrics": metrics}), warehouse(), ROUND)
    words, moves = changed_labels(known)
    assert words == f"labelled by clean_pool: {before} of {rows} labels changed, 0 of {before} rightly."
    assert moves.columns == ["label asked for", "now", "rows", "rightly"]
    assert ask("select count(*) from reviews.calls where used_by = 'labelled'") == [(len(again),)]
    ((row_id,),) = ask("select row_id from reviews.labelled where label != former_label limit 1")
    capsys.readouterr()
    assert main(["trace", row_id]) == 0
    assert "labelled: the annotator was asked" in capsys.readouterr().out
    assert main(["run", "reviews", "--round", ROUND]) == 0
    assert len([p for p in endpoint.prompts if p.endswith("Sentiment:")]) == len(again)


def latest(stage: str) -> Any:
    with dagster_instance() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["reviews", stage]))
        assert event is not None
        return event.asset_materialization.metadata


def test_labels_of_before_there_were_probabilities_are_still_read(project: Path) -> None:
    recipe = load(project / "recipes" / "reviews.yaml")
    schema = tables.schema(recipe, "labelled")
    old = schema.remove(schema.get_field_index("label_probabilities"))
    lake, place = FolderLake(project / "lake"), {"round": ROUND}
    row = {name: None if name == "confidence" else "x" for name in old.names}
    lake.write(recipe.name, "labelled", place, pa.Table.from_pylist([row], old))
    assert lake.read(recipe.name, "labelled", [place], schema)["label_probabilities"].tolist() == [None]


def test_a_way_to_label_and_one_to_weigh_of_ones_own_are_used_as_the_guide_says(
    project: Path, edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(project)
    module = project / "my_methods.py"
    lines = [e for e in examples("yaml", "docs/plugins.md") if e.startswith(("labelled:", "weights:"))]
    module.write_text("\n".join(examples("python", "docs/plugins.md")), encoding="utf-8")
    recipe = load(edit("rows: 6", "".join(["rows: 6\n", *lines])))
    texts = ["a wonderful film", "a dull film", "a dull film, and a wonderful one", "no word"]
    rows = pd.DataFrame({"text": texts, "label": "negative"})
    found = enhance(rows, recipe.labelled, encode=no_encoder, labels=LABELS)
    assert list(found["label"]) == ["positive", "negative", "negative", "negative"]
    assert list(found["label_source"]) == ["keywords", "condition", "condition", "condition"]
    assert list(found["confidence"].isna()) == [False, False, True, True]
    rows = rows.assign(text=["x " * 12, "x " * 24, "x", "x"])
    weighted = weigh(rows, rows, recipe.weights, WeighContext(no_encoder, rows))
    assert list(weighted["weight"] * 3.25 / 4) == [1.0, 0.25, 1.0, 1.0]  # their mean is 1
    before = recipe.version("labelled"), recipe.version("weights"), recipe.version("conditions")
    made_of.cache_clear()
    module.write_text(module.read_text("utf-8") + "\n# edited\n", encoding="utf-8")
    after = recipe.version("labelled"), recipe.version("weights"), recipe.version("conditions")
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]
    with pytest.raises(UserError, match=r"unknown field 'word'. Did you mean 'words'"):
        load(edit("words: 12", "word: 12"))
