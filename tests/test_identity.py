"""Ids depend on everything that decides the answer, and on nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.identity import canonical, request_id, row_id, seed_from, tagged_hash

REQUEST: dict[str, Any] = {
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
    "model": "small",
    "endpoint": "https://example.org/v1",
    "api": "chat",
    "sampling": {"temperature": 1.0, "max_tokens": 10},
    "replicate": "0",
    "schema": None,
}
CHANGES = [
    ("messages", [{"role": "system", "content": "Be long."}, {"role": "user", "content": "Hello"}]),
    ("messages", [{"role": "user", "content": "Hello"}, {"role": "system", "content": "Be brief."}]),
    ("messages", [{"role": "user", "content": "Be brief."}, {"role": "user", "content": "Hello"}]),
    ("model", "large"),
    ("endpoint", "https://example.com/v1"),
    ("api", "completions"),
    ("sampling", {"temperature": 0.9, "max_tokens": 10}),
    ("sampling", {"temperature": 1.0, "max_tokens": 10, "stop": ["\n"]}),
    ("replicate", "1"),
    ("schema", {"type": "object"}),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(("part", "value"), CHANGES)
def test_every_part_of_a_request_counts(part: str, value: Any) -> None:
    assert request_id(**REQUEST) != request_id(**{**REQUEST, part: value})


@given(first=st.text(), second=st.text())
def test_another_question_has_another_id(first: str, second: str) -> None:
    ids = [request_id(**{**REQUEST, "messages": [{"role": "user", "content": c}]}) for c in (first, second)]
    assert (ids[0] == ids[1]) == (first == second)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_the_order_of_keys_does_not_count(value: dict[str, Any]) -> None:
    backwards = dict(reversed(value.items()))
    assert canonical(value) == canonical(backwards)
    assert tagged_hash("row/1", value) == tagged_hash("row/1", backwards)


def test_order_of_sampling_keys_does_not_count() -> None:
    assert request_id(**REQUEST) == request_id(
        **{**REQUEST, "sampling": {"max_tokens": 10, "temperature": 1.0}}
    )


@given(st.text(min_size=1), st.text(min_size=1))
def test_parts_do_not_run_together(first: str, second: str) -> None:
    assert row_id(first, second) != row_id(first + second)
    assert row_id(first, second) != row_id([first, second])


def test_the_tag_counts() -> None:
    assert tagged_hash("request/1", "x") != tagged_hash("request/2", "x")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_nan_and_infinity_have_no_id(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical(value)


@pytest.mark.parametrize("value", [{1: "a"}, {"a": [{None: 1}]}])
def test_keys_must_be_text(value: Any) -> None:
    with pytest.raises(TypeError, match="keys of an identity must be text"):
        canonical(value)


def test_what_json_does_not_know_has_no_id() -> None:
    with pytest.raises(TypeError):
        canonical({"a": object()})


@given(json_values)
def test_seeds_fit_every_sampler(value: Any) -> None:
    assert 0 <= seed_from(value) < 2**31
    assert seed_from(value) == seed_from(value)
