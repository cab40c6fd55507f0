"""Ids depend on everything that decides the answer, and on nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.core.identity import canonical, request_id, row_id, seed_from, tagged_hash, verify
from synth_assets.resources.gateway.models import FREE, Model
from synth_assets.resources.gateway.request import Request

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
message = st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": st.text()})
PARTS: dict[str, st.SearchStrategy[Any]] = {
    "messages": st.lists(message, max_size=3),
    "model": st.text(),
    "endpoint": st.text(),
    "api": st.sampled_from(["chat", "completions"]),
    "sampling": st.dictionaries(st.text(), json_values, max_size=3),
    "replicate": st.text(),
    "schema": st.none() | st.dictionaries(st.text(), json_values, max_size=3),
}


@pytest.mark.parametrize(("part", "value"), CHANGES)
def test_every_part_of_a_request_counts(part: str, value: Any) -> None:
    assert request_id(**REQUEST) != request_id(**{**REQUEST, part: value})


@pytest.mark.parametrize("part", PARTS)
@given(request=st.fixed_dictionaries(PARTS), data=st.data())
def test_any_change_of_any_part_counts(part: str, request: dict[str, Any], data: st.DataObject) -> None:
    value = data.draw(PARTS[part])
    same = canonical(value) == canonical(request[part])
    assert (request_id(**request) == request_id(**{**request, part: value})) == same


def backwards(value: Any) -> Any:
    """The same value, with the keys of all its mappings the other way round."""
    if isinstance(value, dict):
        return {key: backwards(item) for key, item in reversed(value.items())}
    return [backwards(item) for item in value] if isinstance(value, list) else value


@given(st.fixed_dictionaries(PARTS))
def test_the_order_of_keys_in_a_request_does_not_count(request: dict[str, Any]) -> None:
    assert request_id(**request) == request_id(**backwards(request))


@given(
    concurrency=st.integers(1, 1000),
    timeout_s=st.floats(0.1, 1000),
    key_env=st.text(),
    price=st.sampled_from([None, FREE]),
)
def test_who_pays_and_how_long_we_wait_does_not_count(
    concurrency: int, timeout_s: float, key_env: str, price: Any
) -> None:
    asked = Request([{"role": "user", "content": "Hello"}], {"temperature": 1.0})
    model = Model("small", "https://example.org/v1")
    other = replace(model, max_concurrency=concurrency, timeout_s=timeout_s, key_env=key_env, price=price)
    assert asked.identity(model) == asked.identity(other)
    for change in ({"name": "large"}, {"base_url": "https://example.com/v1"}, {"api": "completions"}):
        assert asked.identity(model) != asked.identity(replace(other, **change))


@given(request=st.fixed_dictionaries(PARTS), seed=st.integers())
def test_the_identity_is_derived_again_from_what_a_log_keeps(request: dict[str, Any], seed: int) -> None:
    parameters = {name: request[name] for name in ("api", "sampling", "schema", "replicate")} | {"seed": seed}
    row = json.dumps([request["messages"], parameters], ensure_ascii=False, sort_keys=True)
    assert verify(*json.loads(row), request["model"], request["endpoint"]) == request_id(**request)


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
