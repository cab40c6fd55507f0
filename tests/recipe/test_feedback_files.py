"""Files of what a round asks of the next one: what a person may write, and what is refused where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from synth_assets.core.errors import UserError
from synth_assets.recipe.feedback_files import Asked, Line, read_feedback, write_feedback

TOLD = Asked({"negative": 12, "positive": 4}, {"kind": {"film": 0.5, "opera": 1.5}})
STEERED = {"kind": ["film", "opera", "play"], "place": None}  # None: the values of a file


def read(path: Path, text: str) -> Asked:
    path.write_text(text, encoding="utf-8")
    return read_feedback(path, TOLD, STEERED)


def test_what_a_file_does_not_say_stays_as_it_was_told(tmp_path: Path) -> None:
    found = read(tmp_path / "day.yaml", "rows: {negative: 3}\nweights: {kind: {play: 2}, place: {here: 3}}")
    assert found.rows == {"negative": 3, "positive": 4}
    assert found.weights == {"kind": {"film": 0.5, "opera": 1.5, "play": 2.0}, "place": {"here": 3.0}}
    assert TOLD.weights == {"kind": {"film": 0.5, "opera": 1.5}}


@pytest.mark.parametrize(
    ("text", "why"),
    {
        "rows:\n  negative: 3\n  negative: 5": ":3: rows.negative is written twice: keep one",
        "rows:\n  negatve: 3": ":2: rows.negatve: unknown cell 'negatve'. Did you mean 'negative'",
        "weights:\n  kindd: {film: 2}": ":2: weights.kindd: unknown condition 'kindd'. Did you mean 'kind'",
        "weights:\n  kind:\n    filmm: 2": ":3: weights.kind.filmm: unknown value 'filmm'. Did you mean",
        "rows: {negative: " + "9" * 900 + "}": "9': write a whole number from 1 to 10,000,000",
        "rows: " + "[" * 3000: "nested deeper than 50 levels",
        "": "the file is not a mapping",
    }.items(),
    ids=("twice", "cell", "condition", "value", "huge", "deep", "empty"),
)
def test_what_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(UserError, match=re.escape(why)) as error:
        read(tmp_path / "day.yaml", text)
    assert len(str(error.value)) < 400


def test_a_file_as_it_is_written_can_be_read(tmp_path: Path) -> None:
    """Values are any texts: a description of a person may be long, or of several lines."""
    values = ["no", "2026-01-01", "a: b # c", "a writer " * 30, "two\nlines", "é " * 700 + "\u2028\n: 0"]
    lines = [Line("cell", "negative", 1_234_567, None, 0.5), *(Line("who", v, 1.5, 1.0, 0.1) for v in values)]
    assert write_feedback(tmp_path / "day.yaml", ["a round"], lines, "error")
    found = read_feedback(tmp_path / "day.yaml", TOLD, {"who": None})
    assert found.rows == {"negative": 1_234_567, "positive": 4}
    assert found.weights["who"] == dict.fromkeys(values, 1.5)
