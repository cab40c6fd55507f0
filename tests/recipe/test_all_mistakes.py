"""All that is wrong with a recipe's file is said at once, each mistake with its place, code and fix."""

from pathlib import Path

import pytest

from synth_assets.core.errors import CODES, Mistake, UserError
from synth_assets.recipe.load import load

WRONG = """
task:
  classify: {bad: it was bad, good: it was good}
seeds: {file: seeds.csv, splits: {test: 4}, label_values: {0: baad}}
conditions: {tone: [angry, calm], other: {by: tune, values: {angry: [a]}}}
steps: {text: "Write a {{ tone }} review."}
rows: none
rowz: 3
design: latim
budget: {day: -1}
filters:
  words: {between: [9, 4]}
  mentions: {of: ton}
rows: 5
"""


FROM_1 = "write a number from 1 to 9"


def mistakes(path: Path) -> tuple[Mistake, ...]:
    with pytest.raises(UserError) as caught:
        load(path)
    assert str(caught.value) == "\n".join(str(mistake) for mistake in caught.value.mistakes)
    return caught.value.mistakes


def test_every_mistake_of_a_file_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "reviews.yaml"
    path.write_text(WRONG, encoding="utf-8")
    found = mistakes(path)
    assert [(m.line, m.field, m.code) for m in found] == [
        (4, "seeds.label_values.0", "unknown_name"),
        (5, "conditions.other", "unknown_name"),
        (8, "rowz", "unknown_field"),
        (9, "design", "unknown_name"),
        (10, "budget.day", "out_of_range"),
        (12, "filters.words", "wrong_value"),
        (14, None, "written_twice"),
    ]
    assert {m.file for m in found} == {str(path)}
    assert found[0].fix == "write bad in the place of baad"
    assert found[2].fix == "write rows in the place of rowz"
    assert found[4].fix == "write more than 0.0"
    assert {m.code for m in found} <= {*CODES}


def test_what_rests_on_a_broken_section_is_not_blamed(tmp_path: Path) -> None:
    """The filter that the weights need may stand among the filters of which one cannot be read."""
    path = tmp_path / "reviews.yaml"
    more = "weights: {by: label_agreement}\nfilters: {wordz: {}, label_agreement: {}}\n"
    path.write_text(WRONG.partition("rows: none")[0].replace("baad", "bad").replace("tune", "tone") + more)
    assert [(m.field, m.code) for m in mistakes(path)] == [
        ("rows", "missing_field"),
        ("filters.wordz", "unknown_name"),
    ]


def test_several_mistakes_between_sections_are_said_at_once(edit) -> None:
    path = edit("  duplicate: {}", "  mentions: {of: ton}\n  spans: {of: tone}\ncell: tone")
    assert [m.field for m in mistakes(path)] == ["filters.mentions", "filters.spans", "cell"]


def test_a_misspelt_field_is_one_mistake(edit) -> None:
    (found,) = mistakes(edit("rows: 6", "row: 6"))
    assert (found.field, found.fix) == ("row", "write rows in the place of row")


@pytest.mark.parametrize(
    ("written", "field", "code", "fix"),
    [
        ("label_agreement: {at_least: 5}", "at_least", "out_of_range", "write a number from 0 to 1"),
        ("near_duplicate: {at_most: -1}", "at_most", "out_of_range", "write a number from 0 to 1"),
        ("refusal: {at_most: -1}", "at_most", "out_of_range", "write a number 0 or more"),
        ("generation_logprob: {at_least: 1}", "at_least", "out_of_range", "write a number 0 or less"),
        (
            "q: {filter: judge, scale: [1, 9], at_least: 0}",
            "at_least",
            "out_of_range",
            "write a number from 1 to 9",
        ),
        ("near_duplicate: {at_least: 0.5}", "at_least", "wrong_value", "write `at_most: 0.8`"),
        ("label_agreement: {at_most: 0.3}", "at_most", "wrong_value", "write `at_least: 0.5`"),
        ("near_duplicate: {share: 0.9}", "share", "wrong_value", "add lowest: true"),
    ],
)
def test_a_bound_that_cannot_be_or_does_the_opposite(
    edit, written: str, field: str, code: str, fix: str
) -> None:
    (found,) = mistakes(edit("duplicate: {}", written))
    assert (found.field, found.code, found.fix) == (f"filters.{written.partition(':')[0]}.{field}", code, fix)
    assert found.line


@pytest.mark.parametrize(
    "written",
    [
        *("near_duplicate: {between: [0.1, 0.8]}", "near_duplicate: {share: 0.9, lowest: true}"),
        *("label_agreement: {at_least: 0}", "pattern: {pattern: 'x+', at_most: 0}"),
    ],
)
def test_bounds_that_somebody_may_want(edit, written: str) -> None:
    load(edit("duplicate: {}", written))


NO_END = [
    *("rows: 1000000000000000000", "rows: .inf", "rows: 99999999999", "shards: 1.0e+300", "seed: 1.0e+300"),
    *("budget: {round: .inf}", "budget: {tokens: {day: 1.0e+300}}", "minimum_yield: .nan"),
    "model: {name: m, timeout_s: .inf}",
    "model: {name: m, timeout_s: 1.0e+9}",
    "model: {name: m, max_concurrency: 1000000000}",
    "model: {name: m, requests_per_minute: 1000000000000000000}",
    "model: {name: m, parameters: {top_k: .inf}}",
    "model: {name: m, prices: [{from: 2026-01-01, prompt: .inf, completion: 1}]}",
    "model: {name: m, prices: [{from: 2026-01-01, prompt: 1, completion: 1.0e+300}]}",
    "model: {name: m, base_url: 'file:///etc/passwd'}",
    "metrics: {model_alone: 1000000000000}",
    "weights: {by: none, power: 1.0e+300}",
]


@pytest.mark.parametrize("written", NO_END)
def test_a_number_without_end_is_refused_with_its_bounds(edit, written: str) -> None:
    line = written.partition(":")[0]
    path = edit(
        "minimum_yield: 0.0", written if line == "minimum_yield" else f"minimum_yield: 0.0\n{written}"
    )
    if line == "rows":
        path.write_text(path.read_text(encoding="utf-8").replace("rows: 6\n", ""), encoding="utf-8")
    (found,) = mistakes(path)
    assert found.code in ("out_of_range", "wrong_value")
    assert found.fix
    assert (found.field or "").startswith(line)


@pytest.mark.parametrize(
    "written",
    [
        *("1: 2", "on: x", "null: 3", "2026-01-01: 4", "1.5: x", "[a]: b", "? {a: b}\n: c", "yes: [1]"),
        *("start: !!int x", "seed: !!float x", "rows: !!bool x", "start: !!timestamp x"),
        *("x: !!python/name:os.system y", "x: &x [*x]", "x: " + "[" * 500 + "]" * 500),
        "a: &a [0,0,0,0,0,0,0,0,0]\n"
        + "\n".join(f"{b}: &{b} [{(f'*{a},') * 9}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        *("seed: " + "9" * 5000, "filters: {pattern: {pattern: 'a{4294967296}'}}"),
        "filters: {pattern: {pattern: '" + "(" * 3000 + ")" * 3000 + "'}}",
    ],
    ids=lambda text: text[:16],
)
def test_whatever_yaml_takes_is_a_mistake_with_its_line_and_no_traceback(edit, written: str) -> None:
    path = edit("filters:\n  words: {between: [2, 40]}\n  duplicate: {}", written)
    first = next(
        n for n, each in enumerate(path.read_text().splitlines(), 1) if each == written.splitlines()[0]
    )
    found = mistakes(path)
    assert all(str(path) == each.file for each in found)
    assert any((each.line or 0) >= first for each in found) or written.startswith("x: [")


def test_a_file_that_cannot_be_read_is_a_mistake(project: Path) -> None:
    (project / "recipes" / "folder.yaml").mkdir()
    assert mistakes(project / "recipes" / "folder.yaml")[0].message.endswith("Is a directory.")


def test_a_day_that_no_calendar_has_is_no_traceback(edit) -> None:
    path = edit("rows: 6", "rows: 6\nstart: 2026-02-31")
    (found,) = mistakes(path)
    line = path.read_text(encoding="utf-8").splitlines().index("start: 2026-02-31") + 1
    assert (found.code, found.line) == ("not_yaml", line)
    assert found.message.startswith("2026-02-31 is no day")


def test_a_field_that_is_written_twice_in_a_list_is_said(edit) -> None:
    price = "{from: 2026-01-01, prompt: 1, prompt: 2, completion: 1}"
    path = edit("minimum_yield: 0.0", f"model: {{name: m, prices: [{price}]}}")
    (found,) = mistakes(path)
    assert (found.code, found.message) == ("written_twice", "model.prices.prompt is written twice: keep one.")
