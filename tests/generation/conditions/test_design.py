"""Designs: what each plan promises of counts, and which rows an edit leaves."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import prod, sqrt
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.core.errors import UserError
from synth_assets.core.identity import row_id
from synth_assets.generation.conditions.table import draw
from synth_assets.selection.select import pick

ATTRPROMPT = Path(__file__).parents[4] / "shared/data/attrprompt/datasets"

names = st.text("abcdef", min_size=1, max_size=3)
alike = st.lists(names, min_size=1, max_size=6, unique=True).map(lambda vs: dict.fromkeys(vs, 1.0))
weighted = st.dictionaries(names, st.floats(0.1, 10), min_size=1, max_size=6)
seeds = st.integers(0, 999)
rows = st.integers(0, 40)


def attributes(values: st.SearchStrategy[dict[str, float]]) -> st.SearchStrategy[dict[str, dict[str, float]]]:
    return st.dictionaries(names, values, min_size=1, max_size=3)


@given(attributes(weighted), rows, seeds)
@settings(max_examples=30, deadline=None)
def test_product_draws_each_attribute_by_itself(values, n, seed):
    expected = [{a: pick(vs, seed, "r", i, a) for a, vs in values.items()} for i in range(n)]
    assert draw(values, n, "product", seed, "r") == expected


@given(attributes(weighted), names, rows, seeds)
@settings(max_examples=30, deadline=None)
def test_in_a_product_a_value_changes_only_the_rows_that_have_it(values, value, n, seed):
    name = next(iter(values))
    with_it = values | {name: values[name] | {value: 1.0}}
    without = values | {name: {v: w for v, w in values[name].items() if v != value} or {"other": 1.0}}
    if set(without[name]) <= set(with_it[name]):
        for a, b in zip(draw(with_it, n, "product", seed), draw(without, n, "product", seed), strict=True):
            assert a == b or a[name] == value


@given(attributes(alike), st.sampled_from(["product", "balanced", "coverage"]), rows, rows, seeds)
@settings(max_examples=60, deadline=None)
def test_more_rows_leave_the_earlier_ones(values, plan, n, more, seed):
    whole = draw(values, n + more, plan, seed)
    assert draw(values, n, plan, seed) == whole[:n]


@given(attributes(alike), st.sampled_from(["balanced", "coverage", "latin"]), rows, seeds)
@settings(max_examples=60, deadline=None)
def test_counts_of_two_values_differ_by_at_most_one(values, plan, n, seed):
    design = draw(values, n, plan, seed)
    for name, weights in values.items():
        counts = Counter(dict.fromkeys(weights, 0)) + Counter(row[name] for row in design)
        found = [counts[v] for v in weights]
        assert sum(found) == n
        assert max(found) - min(found) <= 1  # so none is used twice before each was


@given(attributes(weighted), rows, seeds)
@settings(max_examples=40, deadline=None)
def test_a_latin_design_gives_each_value_its_share_to_within_one_row(values, n, seed):
    design = draw(values, n, "latin", seed)
    for name, weights in values.items():
        counts = Counter(row[name] for row in design)
        for value, weight in weights.items():
            assert abs(counts[value] - n * weight / sum(weights.values())) <= 1 + 1e-9


def test_coverage_meets_all_pairs_of_values_in_half_the_rows_of_balanced():
    values = {name: dict.fromkeys("abcde", 1.0) for name in ("tone", "topic", "length")}

    def needed(plan: str, seed: int) -> int:
        seen: set[object] = set()
        for i, row in enumerate(draw(values, 1000, plan, seed)):
            seen.update(combinations(row.items(), 2))
            if len(seen) == 3 * 25:
                return i + 1
        raise AssertionError("1,000 rows do not have all pairs")

    coverage, balanced = (sum(needed(plan, s) for s in range(5)) for plan in ("coverage", "balanced"))
    assert 5 * 25 <= coverage < balanced / 2


def test_in_a_latin_design_attributes_are_permuted_independently():
    values = {name: dict.fromkeys("abcd", 1.0) for name in ("tone", "topic")}
    pairs = Counter((row["tone"], row["topic"]) for row in draw(values, 1600, "latin", 0))
    assert all(abs(pairs[a, b] - 100) < 4 * sqrt(100) for a in "abcd" for b in "abcd")


@pytest.mark.parametrize(
    ("values", "plan", "message"),
    [
        ({"tone": {}}, "product", "tone has no values"),
        ({"tone": {"calm": 1.0, "angry": 2.0}}, "balanced", "tone has weights, and balanced uses"),
    ],
)
def test_what_cannot_be_drawn_is_said(values, plan, message):
    with pytest.raises(UserError) as error:
        draw(values, 3, plan)
    assert message in str(error.value)


def listed(file: Path) -> dict[str, float]:
    if not file.exists():
        pytest.skip(f"{file} is absent")
    return {line.strip(): 1.0 for line in file.read_text(encoding="utf-8").splitlines() if line.strip()}


def news() -> dict[str, dict[str, float]]:
    """Attributes of AttrPrompt's NYT set: 5 styles, 6 places, 2 lengths."""
    folder = ATTRPROMPT / "nyt/attrprompt/gpt-3.5-turbo"
    files = {"style": "style/style.txt", "place": "location /location.txt", "length": "length/length.txt"}
    return {name: listed(folder / file) for name, file in files.items()}


@pytest.mark.parametrize(
    ("name", "classes"),
    zip(
        ["nyt", "amazon", "reddit", "stackexchange", "arxiv", "agnews", "sst-2", "yelp"],
        [26, 23, 45, 50, 98, 4, 2, 2],
        strict=True,
    ),
)
def test_every_class_of_attrprompt_is_drawn_under_coverage(name, classes):
    labels = listed(ATTRPROMPT / name / "label.txt")
    assert {row["label"] for row in draw({"label": labels}, classes, "coverage")} == set(labels)
    assert len(labels) == classes


def test_a_product_reaches_every_joint_configuration_of_attrprompt_at_its_share():
    values, n = news(), 3000
    design = draw(values, n, "product", 7)
    assert len({tuple(row.items()) for row in design}) == prod(map(len, values.values())) == 60
    for name, weights in values.items():
        counts = Counter(row[name] for row in design)
        p = 1 / len(weights)
        assert all(abs(counts[v] - n * p) < 4 * sqrt(n * p * (1 - p)) for v in weights)


def test_removing_one_value_of_attrprompt_changes_no_other_rows_identity():
    values = news()
    gone = next(iter(values["style"]))
    fewer = values | {"style": {v: w for v, w in values["style"].items() if v != gone}}
    before, after = (draw(v, 200, "product", 7) for v in (values, fewer))
    ids, now = ([row_id("r", "golf", i, row) for i, row in enumerate(rows)] for rows in (before, after))
    changed = {i for i in range(200) if ids[i] != now[i]}
    assert changed == {i for i in range(200) if before[i]["style"] == gone}
    assert changed
