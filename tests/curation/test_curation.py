"""Filters, labels and weights: every dropped row says why; nothing unknown counts as zero."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from synth_assets.annotation.annotators import read, why_unread
from synth_assets.contracts.filter import Context
from synth_assets.core.asking import Answer, TokenLogprob
from synth_assets.core.errors import UserError
from synth_assets.core.registry import FILTERS
from synth_assets.curation.keep import keep
from synth_assets.curation.weights.weigh import effective_size
from synth_assets.students.calibration import batch_calibrated
from tests.curation.methods import labelled, weighed
from tests.generation.test_generation import Said

WORDS = {"negative": "negative", "positive": "positive"}
CONTEXT = Context(verbalizers=WORDS, demonstrations=["a dull and lifeless film without a single good idea"])


def table(*texts: str, label: str = "negative") -> pd.DataFrame:
    return pd.DataFrame({"row_id": [f"r{i}" for i in range(len(texts))], "label": label, "text": list(texts)})


def run(rows: pd.DataFrame, context: Context = CONTEXT, **rules: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    filters = [FILTERS.find(name).model_validate(rule) for name, rule in rules.items()]
    for rule in filters:
        rows = rows.assign(**rule.measure(rows, context))
    return keep(rows, filters, context)


@pytest.mark.parametrize(
    ("name", "rule", "good", "bad"),
    [
        ("words", {"between": [4, 45]}, "four words are enough", "too few words"),
        ("distinct_words", {"at_least": 0.5}, "good and bad and ugly", "very very very very good"),
        ("refusal", {}, "the hero cannot help himself", "I'm sorry, but I cannot write that"),
        ("refusal", {}, "here is a film to see", "Here is a negative movie review:"),
        ("leaked_label", {}, "a film with no hope", "a negative review of a film"),
        ("language", {"language": "en"}, "the film has its moments", "der Film ist leider viel zu lang"),
        ("copied_ngram", {"n": 6}, "a dull and lifeless film, sadly", "a dull and lifeless film without end"),
    ],
)
def test_a_rule_keeps_the_good_and_drops_the_bad(name: str, rule: dict, good: str, bad: str) -> None:
    kept, rejected = run(table(good, bad), **{name: rule})
    assert list(kept["text"]) == [good]
    assert list(rejected["text"]) == [bad]
    row = rejected.iloc[0]
    assert row["scorer"] == name
    assert row["threshold"]
    assert row["reason"].startswith(f"{name} ")


def test_copies_by_meaning_are_found_by_the_encoder() -> None:
    def encode(texts: list[str]) -> np.ndarray:  # one axis a topic
        return np.array([[1.0, 0.0] if "dull" in t else [0.0, 1.0] for t in texts], dtype=np.float32)

    context = Context(verbalizers=WORDS, demonstrations=CONTEXT.demonstrations, encode=encode)
    kept, rejected = run(table("how dull", "what fun"), context, copied_meaning={"at_most": 0.9})
    assert list(kept["text"]) == ["what fun"]
    assert rejected["value"].tolist() == [1.0]


def test_duplicates_of_kept_rows_are_dropped_within_and_across_rounds() -> None:
    rows = table("A fine film.", "a fine film", "seen before", "quite new")
    context = Context(verbalizers=WORDS, earlier=["Seen before!"])
    kept, _ = run(rows, context, duplicate={})
    assert list(kept["text"]) == ["A fine film.", "quite new"]


def test_a_dropped_row_is_no_reason_to_drop_its_duplicate() -> None:
    rows = table("good", "good", "one two three four").assign(words=[1.0, 9.0, 4.0])
    filters = [
        FILTERS.find("words").model_validate({"at_least": 4}),
        FILTERS.find("duplicate").model_validate({}),
    ]
    kept, rejected = keep(rows, filters, CONTEXT)
    assert list(kept["row_id"]) == ["r1", "r2"]
    assert list(rejected["scorer"]) == ["words"]


def test_near_duplicates() -> None:
    text = "this is a long and winding film about a man who counts the trees in his garden"
    kept, rejected = run(table(text, text + " twice", "and now for another"), near_duplicate={"at_most": 0.7})
    assert list(kept["row_id"]) == ["r0", "r2"]
    assert rejected["value"].iloc[0] > 0.7


def test_an_unknown_score_is_dropped_and_says_so() -> None:
    rows = table("a", "b").assign(label_logprobs=[None, {"negative": -1.0, "positive": -2.0}])
    kept, rejected = keep(rows, [FILTERS.find("label_agreement").model_validate({"at_least": 0.0})], CONTEXT)
    assert list(kept["row_id"]) == ["r1"]
    assert "label_agreement is unknown" in rejected["reason"].iloc[0]


def test_label_agreement_is_calibrated_on_the_batch() -> None:
    """A model that says positive whatever it reads still tells the two rows apart."""
    rows = table("bad", "good").assign(
        label=["negative", "positive"],
        label_logprobs=[{"negative": -3.0, "positive": -1.0}, {"negative": -5.0, "positive": -1.0}],
    )
    kept, _ = keep(rows, [FILTERS.find("label_agreement").model_validate({})], CONTEXT)
    assert kept["label_agreement"].tolist() == pytest.approx([1 / (1 + math.exp(-1))] * 2)


def test_calibration_ignores_a_constant_that_is_added_to_one_label() -> None:
    plain = [{"negative": -1.0, "positive": -2.0}, {"negative": -2.5, "positive": -0.5}]
    biased = [{"negative": p["negative"] + 3, "positive": p["positive"]} for p in plain]
    for a, b in zip(batch_calibrated(plain), batch_calibrated(biased), strict=True):
        assert a == pytest.approx(b)
    assert batch_calibrated([None, None]) == [None, None]


class Token:
    def __init__(self, **top: float) -> None:
        self.top = {k.replace("_", " "): v for k, v in top.items()}


def test_a_soft_label_is_the_mass_of_the_tokens_that_begin_its_verbalizer() -> None:
    """Tokens that name no label are left out; the hand value of GPT3Mix's soft label."""
    found = read(Said("x", logprobs=[Token(positive=-0.1, _Pos=-3.0, negative=-2.5, foo=-1.0)]), WORDS)
    assert found is not None
    assert found["positive"] == pytest.approx(math.log(math.exp(-0.1) + math.exp(-3.0)), abs=1e-9)
    assert found["negative"] == pytest.approx(-2.5)


def test_the_commonest_reason_why_no_label_can_be_read_is_said_with_what_helps() -> None:
    words = {"negative": "bad", "positive": "good"}
    spoken = [TokenLogprob("!", -0.1, {"!": -0.1, "?": -3.0})]
    voted = Answer("1", "ok", "good", logprobs=spoken)
    other = Answer("2", "ok", "I cannot say", logprobs=spoken)
    failed = Answer("3", "provider_error")
    assert [read(each, words) for each in (voted, other, failed)] == [None] * 3
    said = why_unread([voted, voted, other], words)
    assert said.startswith(
        "the log-probabilities hold no label, though the answer is one (2 of 3, as 'good')."
    )
    assert "`parameters: {logprobs: null}`" in said
    assert why_unread([other], words).startswith("the answer is no label (1 of 1, as 'I cannot say').")
    assert why_unread([failed], words).startswith("the call has no answer (1 of 1, as 'provider_error').")
    assert why_unread([], words) == ""


def test_a_label_outside_the_list_gets_the_lists_least() -> None:
    found = read(Said("x", logprobs=[Token(positive=-0.1, foo=-6.0)]), WORDS)
    assert found == pytest.approx({"positive": -0.1, "negative": -6.0})


def test_an_answer_that_names_no_label_is_unknown() -> None:
    assert read(Said("x", logprobs=[Token(foo=-0.1)]), WORDS) is None
    assert read(Said("maybe"), WORDS) is None
    assert read(Said(None, "timed_out"), WORDS) is None


SAID = (" Positive.", "pos", "**positive**", "Sentiment: positive", "Not negative, but positive")


@pytest.mark.parametrize("text", SAID)
def test_without_alternatives_the_answered_word_is_a_hard_vote(text: str) -> None:
    found = read(Said(text), WORDS)
    assert found is not None
    assert max(found, key=found.__getitem__) == "positive"
    assert read(Said(""), {"positive": "+", "negative": "bad"}) is None
    for none in ("not positive", "either positive or negative"):
        assert read(Said(none), WORDS) is None


def test_labels_keep_their_source_and_former_value() -> None:
    rows = table("a", "b").assign(
        label_probabilities=[{"negative": 0.8, "positive": 0.2}, {"negative": 0.1, "positive": 0.9}]
    )
    kept, changed = labelled(rows, "condition"), labelled(rows, "label_agreement")
    assert list(kept["label"]) == ["negative", "negative"]
    assert list(kept["confidence"]) == [0.8, 0.1]
    assert list(changed["label"]) == ["negative", "positive"]
    assert list(changed["former_label"]) == ["negative", "negative"]
    assert list(changed["label_source"]) == ["condition", "label_agreement"]


def test_weights_follow_confidence_and_seeds_weigh_their_share() -> None:
    rows = table("a", "b").assign(confidence=[0.5, 1.0])
    training = weighed(rows, table("s"), by="label_agreement", power=2, seeds=0.25, levelled=False)
    assert training["weight"].tolist() == pytest.approx([0.25, 1.0, 1.25 / 4])
    assert list(training["origin"]) == ["synthetic", "synthetic", "seed"]
    assert effective_size(pd.Series([1.0, 1.0, 1.0])) == pytest.approx(3)
    assert effective_size(pd.Series([1.0, 0.0])) == pytest.approx(1)


@pytest.mark.parametrize(("confidence", "message"), [([None, 1.0], "no confidence"), ([0.0, 0.0], "zero")])
def test_weights_that_cannot_be_are_refused(confidence: list, message: str) -> None:
    with pytest.raises(UserError, match=message):
        weighed(
            table("a", "b").assign(confidence=confidence),
            table(),
            by="label_agreement",
            power=1,
            seeds=0,
        )


@pytest.mark.parametrize("name", ["student_confidence", "neighbour_agreement"])
def test_a_row_among_rows_of_another_label_is_dropped(name: str) -> None:
    def encode(texts: list[str]) -> np.ndarray:
        angles = np.array([int(text.split()[1]) / 100 + 1.2 * text.startswith("bad") for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    texts = [f"{side} {n}" for side in ("good", "bad") for n in range(20)]
    labels = ["positive"] * 20 + ["negative"] * 19 + ["positive"]  # the last one is wrong
    rows = table(*texts).assign(label=labels)
    rule = FILTERS.find(name).model_validate({})
    _, dropped = keep(rows, [rule], Context(verbalizers={}, encode=encode))
    assert list(dropped["text"]) == ["bad 19"]


def test_bilevel_weights_are_low_where_a_label_is_wrong() -> None:
    def encode(texts: list[str]) -> np.ndarray:
        angles = np.array([int(text.split()[1]) / 100 + 1.2 * text.startswith("bad") for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    rows = table(*(f"{side} {n}" for side in ("good", "bad") for n in range(20)))
    rows = rows.assign(label=["positive"] * 20 + ["negative"] * 18 + ["positive"] * 2, confidence=None)
    weights = weighed(rows, rows.iloc[:0], by="bilevel", power=1, seeds=0, encode=encode)["weight"]
    assert weights.iloc[38:].max() < weights.iloc[:38].min()
    equal = weighed(rows, rows.iloc[:0], by="inverse_frequency", power=1, seeds=0)
    assert equal.groupby("label")["weight"].sum().tolist() == pytest.approx([20, 20])
    with pytest.raises(UserError, match="bilevel needs an encoder, two labels and 20 different rows"):
        weighed(rows.head(9), rows.iloc[:0], by="bilevel", power=1, seeds=0, encode=encode)
