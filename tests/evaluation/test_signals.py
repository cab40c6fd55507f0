"""What each signal says of rows whose right answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synth_assets.contracts.measure import Share
from synth_assets.contracts.signal import Signal
from synth_assets.core.errors import UserError
from synth_assets.core.registry import Registry
from synth_assets.evaluation.signal_rows import signalled, table
from synth_assets.recipe.load import inline
from synth_assets.students.classifier import Student
from synth_assets.students.made import Made

PLACES = {"north": (1, 0, 0), "east": (0, 1, 0), "south": (-1, 0, 0), "up": (0, 0, 1)}


def encode(texts: Sequence[str]) -> np.ndarray:
    """The words of a text are directions."""
    found = np.array([np.sum([PLACES[word] for word in text.split()], axis=0) for text in texts], float)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def look(kept: Any, seeds: Any, earlier: Any = None, **told: Any) -> Any:
    """Rows (text, label, and what is said of them) of two labels, a and b, with the condition `size`."""
    recipe = inline(
        {
            "task": {"classify": {"a": "the first", "b": "the second"}},
            "conditions": {"size": ["big", "small"]},
            "steps": {"text": {"prompt": "{{ size }}", "output": {"text": "text", "stars": "number"}}},
            "rows": 4,
        },
        "places",
    )
    rows = pd.DataFrame(kept, columns=["text", "label"])
    rows = rows.assign(row_id=[f"k{i}" for i in range(len(rows))], cell=rows["label"], size="big", round="2")
    real = pd.DataFrame(seeds, columns=["text", "label", "split"])
    return SimpleNamespace(
        recipe=recipe,
        round="2",
        filtered=rows,
        labelled=rows.assign(former_label=rows["label"], **told),
        weighted=rows.assign(weight=1.0),
        seeds=real.assign(
            row_id=[f"s{i}" for i in range(len(real))], size=["big", "small"] * (len(real) // 2)
        ),
        so_far=lambda _: pd.concat([earlier, rows]),
        student=Made(encode, Student),
        encode=encode,
        shared={},
    )


KEPT = [("north", "a"), ("north up", "a"), ("south", "b"), ("south up", "b")]
SEEDS = [
    *(("north", "a", "validation"), ("south", "a", "validation"), ("south", "b", "validation")),
    *(("south east", "b", "validation"), ("north", "a", "demonstration"), ("south up", "b", "demonstration")),
]


def of(found: Sequence[Signal]) -> dict[Any, float]:
    """By row, or by cell and value."""
    return {s.row_id or (s.cell, s.attribute_value): s.value for s in found}


def test_an_error_is_a_row_that_the_student_takes_for_another_label() -> None:
    found = of(signalled("error", look(KEPT, SEEDS)))
    assert found["s0"] == found["s2"] == 0.0
    assert found["s1"] > 0.5  # how sure it was of the wrong label
    assert found["a", None] == 0.5  # the share of its rows
    assert found[None, "small"] == pytest.approx(0.5)
    assert of(signalled("confusion", look(KEPT, SEEDS)))["a", "b"] == 0.5


@pytest.mark.parametrize(
    ("predict", "kept", "real", "off"),
    [
        ({"number": "stars"}, [5.0, 5.0, 5.0, 5.0], [5.0, 3.0, "many", 5.5], [0.0, 2.0, None, 0.5]),
        (
            {"labels": "stars", "of": ["fun", "loud"]},
            [["fun"]] * 4,
            [["fun"], ["fun", "loud"], ["loud"], []],
            [0.0, 1 / 3, 1.0, 1.0],
        ),
        (
            {"spans": "stars", "of": ["place"]},
            ["<place>north</place>", "<place>north</place> up", "south", "south up"],
            ["<place>north</place>", "south", "<place>south</place>", "<place>south</place> east"],
            [0.0, 0.0, 1.0, 1.0],
        ),
        ({"spans": "stars", "of": ["place"]}, ["north", "north up", "south", "south up"], ["north"] * 4, []),
    ],
)
def test_an_error_of_another_target_is_how_far_off_the_student_is(
    predict: Any, kept: list[Any], real: list[Any], off: list[float | None]
) -> None:
    seen = look(KEPT, [row for row in SEEDS if row[2] == "validation"])
    seen.recipe = inline(
        {
            "task": {"text": "note", "predict": predict},
            "seeds": {"file": "seeds.csv", "fields": ["stars"], "splits": {"validation": 4}},
            "conditions": {"size": ["big", "small"]},
            "steps": {"text": {"prompt": "{{ size }}", "output": {"text": "text", "stars": "text"}}},
            "feedback": {"rows": "error"},
            "rows": 4,
        },
        "places",
    )
    seen.weighted["stars"], seen.seeds["stars"] = kept, real
    found = of(signalled("error", seen))
    known = {f"s{at}": value for at, value in enumerate(off) if value is not None}
    assert {row: value for row, value in found.items() if str(row).startswith("s")} == pytest.approx(known)
    if off:
        small = [value for value in off[1::2] if value is not None]
        assert found[None, "small"] == pytest.approx(sum(small) / len(small))
    else:
        assert not found  # no student learns spans of a set that has none


def test_all_rows_of_a_label_that_the_set_lacks_are_wrong() -> None:
    assert of(signalled("error", look(KEPT[:2], SEEDS)))["b", None] == 1.0
    assert of(signalled("error", look([], SEEDS)))["a", None] == 1.0


def test_a_gap_is_a_real_row_that_no_synthetic_row_of_its_label_is_near() -> None:
    found = of(signalled("coverage", look(KEPT, SEEDS)))
    assert found["s0"] == 0.0  # a synthetic row says the same
    assert found["s1"] == pytest.approx(2 / 3)  # as far away as it is from real rows, others are not
    assert "s4" not in found  # which is no validation row
    assert of(signalled("coverage", look(KEPT[:2], SEEDS)))["b", None] == 1.0


def test_diversity_is_what_a_cell_has_lost() -> None:
    before = [("north", "a"), ("east", "a"), ("south", "b"), ("south", "b")]
    earlier = look(before, SEEDS).filtered.assign(round="1")
    found = of(signalled("diversity", look(KEPT, SEEDS, earlier=earlier)))
    assert found == {("a", None): pytest.approx(0.5**0.5), ("b", None): 0.0}


def test_what_is_said_of_kept_rows_is_a_signal() -> None:
    half, sure = {"a": 0.5, "b": 0.5}, {"a": 1.0, "b": 0.0}
    told = look(KEPT, SEEDS, label_probabilities=[half, sure, half, None])
    assert of(signalled("entropy", told)) == {
        **{"k0": 1.0, "k1": 0.0, "k2": 1.0},
        **{("a", None): 0.5, ("b", None): 1.0, (None, "big"): pytest.approx(2 / 3)},
    }
    assert of(signalled("disagreement", told))["b", None] == 0.5


def test_a_column_of_the_kept_rows_is_a_signal() -> None:
    told = look(KEPT, SEEDS)
    told.filtered["stars"] = [3, 5, 1, None]
    found = signalled("stars", told)
    assert of(found) == {"k0": 3, "k1": 5, "k2": 1, ("a", None): 4, ("b", None): 1, (None, "big"): 3}
    assert list(table("2", {"stars": found})["name"].unique()) == ["stars"]


def test_what_no_kept_row_has_used_is_a_signal_of_values_and_of_rows() -> None:
    lines, rows = {"fire": 0, "ice": 1, "wind": 3}, {"north": 1, "south": 0}
    seen = look(KEPT, SEEDS)
    seen.recipe = inline(
        {
            "task": {"classify": {"a": "the first", "b": "the second"}},
            "seeds": {"file": "seeds.csv", "splits": {"validation": 4}},
            "conditions": {"theme": {"file": "themes.txt"}, "like": {"rows": "seeds", "split": "validation"}},
            "steps": {"text": "{{ theme }} {{ like }}"},
            "rows": 4,
        },
        "places",
    )
    seen.knowledge = lambda: {"theme": Share(3, 3, 2, lines), "like": Share(2, 1, 1, rows)}
    found = of(signalled("unused", seen))
    assert {value: found[None, value] for value in lines} == {"fire": 1.0, "ice": 0.5, "wind": 0.25}
    assert {name: found[name] for name in ("s0", "s1", "s2")} == {"s0": 0.5, "s1": 1.0, "s2": 1.0}
    assert "s4" not in found  # of another split


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([1], "it says 1, which is no"),
        ([Signal(float("inf"), cell="a")], "inf of a"),
        ([Signal("many", "k1")], "'many' of k1"),  # type: ignore[arg-type]
        ([Signal(1, 5)], "names its row_id by 5, which is no text"),  # type: ignore[arg-type]
        ([Signal(1)], "is of nothing: give row_id, cell"),
        ([Signal(1, attribute="size")], "names half of a value"),
        ([Signal(1, cell="c")], "unknown cell 'c'.*Known: a, b"),
        ([Signal(1, None, None, "colour", "red")], "unknown condition 'colour'"),
        ([Signal(1, "k1"), Signal(2, "k1", "a")], "two numbers of k1, 1 and 2: yield one"),
        ([Signal(1, cell="a"), Signal(2, cell="a")], "two numbers of a, 1 and 2"),
    ],
)
def test_what_a_signal_of_ones_own_may_not_say_names_it(
    monkeypatch: pytest.MonkeyPatch, said: Any, why: str
) -> None:
    seen = look(KEPT, SEEDS)
    monkeypatch.setattr(Registry, "find", lambda self, name: lambda look: said)
    with pytest.raises(UserError, match=f"signal mine:own: .*{why}"):
        signalled("mine:own", seen)
