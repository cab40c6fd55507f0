"""What calls can take before any was made: a bound that holds, an estimate, and sums for people."""

from __future__ import annotations

import pytest

from synth_assets.contracts.model_spec import Price
from synth_assets.core.answer_schema import Schema
from synth_assets.core.text.amounts import count, dollars, duration
from synth_assets.planning.bounds import NOT_THERE, TO_ANOTHER, Bounds, Tokens
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request

MODEL, OTHER = Model("small", "http://127.0.0.1/v1"), Model("large", "http://127.0.0.1/v1")


def ask(text: str, longest: int = 100, schema: Schema | None = None) -> Request:
    return Request([{"role": "user", "content": text}], {"max_tokens": longest}, schema=schema)


def test_no_prompt_has_more_tokens_than_bytes() -> None:
    most, likely = Bounds(usual=20).of(ask("Schreib eine Frage über Käse. 🧀"), "a1", MODEL)
    assert most == (len("Schreib eine Frage über Käse. 🧀".encode()) + 32, 100)
    assert likely == (9, 20)


def test_an_answer_is_likely_half_of_the_longest_where_no_row_is_there_to_go_by() -> None:
    assert Bounds().of(ask("Hello", longest=30), "a1", MODEL)[1].completion == 15
    assert Bounds(usual=40).of(ask("Hello", longest=1), "a2", MODEL)[1].completion == 1


def test_an_answer_that_is_shown_before_it_is_there_counts_with_its_longest() -> None:
    bounds = Bounds(usual=20)
    bounds.of(ask("Write a question", longest=50), "ab12", MODEL)
    text = f"Judge: {NOT_THERE} ab12"
    alone = len(text) + 32
    assert bounds.of(ask(text, longest=5), "c1", MODEL)[0] == (alone + 50, 5)
    assert bounds.of(ask(text, longest=5), "c2", OTHER)[0] == (alone + TO_ANOTHER * 50, 5)
    assert bounds.of(ask(text, longest=5), "c3", MODEL)[1].prompt == pytest.approx(len("Judge: ") / 4 + 20)


def test_an_answer_that_does_not_fit_is_asked_for_once_more() -> None:
    schema = Schema.of({"text": "text"})
    once, twice = (Bounds().of(ask("Write", schema=s), "a1", MODEL)[0] for s in (None, schema))
    assert twice.completion == 2 * once.completion
    assert twice.prompt > 2 * once.prompt + 100


def test_a_row_that_is_not_there_counts_as_the_longest_prompt_of_the_plan() -> None:
    bounds = Bounds()
    for text in ("short", "a much longer prompt than that"):
        bounds.of(ask(text), text.encode().hex(), MODEL)
    assert bounds.unseen()[0] == (30 + 32 + TO_ANOTHER * 100, 100)


def test_tokens_cost_what_the_price_says() -> None:
    price = Price.model_validate({"from": "2026-01-01", "prompt": 0.4, "completion": 1.6})
    assert Tokens(1e6, 5e5).dollars(price) == pytest.approx(1.2)
    assert Tokens(1, 1).dollars(None) is None


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (count(12_345), "12,345"),
        (count(17_840_000), "17.8 million"),
        (count(999_999.7), "1.0 million"),
        (count(2.5e9), "2.5 billion"),
        (count(None), "unknown"),
        (dollars(0.02), "$0.02"),
        (dollars(0.000461), "$0.00046"),
        (dollars(1234.5), "$1,234.50"),
        (dollars(0), "$0"),
        (duration(45.2), "45 s"),
        (duration(600), "10 min"),
        (duration(9000), "2.5 h"),
    ],
)
def test_sums_for_people(shown: str, words: str) -> None:
    assert shown == words
