"""`synth tune`: thresholds move over scores that are there, and nobody is asked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from synth_assets.cli import main
from synth_assets.commands.tune import Tuning, report
from synth_assets.recipe.load import load
from synth_assets.report import charts
from synth_assets.resources.home import home, warehouse
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.stages.run import Run
from synth_assets.students.classifier import Student
from synth_assets.students.made import Made
from tests.endpoint import Endpoint
from tests.evaluation.test_judge import ROUND, endpoint

__all__ = ["endpoint"]


def test_kept_rows_and_accuracy_over_a_thresholds_range(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("  duplicate: {}", "  judge: {at_least: 4}")
    main(["run", "reviews", "--round", ROUND])
    asked, kept = (
        len(endpoint.requests),
        warehouse().query("select count(*) from reviews.filtered").fetchone(),
    )
    capsys.readouterr()
    assert main(["tune", "reviews", "--filter", "judge"]) == 0
    out = capsys.readouterr().out
    assert "judge, at_least" in out
    assert f"{kept[0]}" in next(line for line in out.splitlines() if line.endswith("<- now"))
    assert (home() / "reports" / "reviews" / "tune_judge_at_least.png").stat().st_size > 5_000
    assert len(endpoint.requests) == asked


def tuned(recipe: Path, encode: Any) -> Tuning:
    run = Run(load(recipe), FolderLake(home() / "lake"), SimpleNamespace(encode=encode, folder=Path), ROUND)
    return Tuning(run, Made(encode, Student))


def lengths(texts: Sequence[str]) -> Any:
    return np.array([[1.0, len(text)] for text in texts])


def test_a_higher_threshold_keeps_no_more_rows_and_the_recipes_own_keeps_what_the_round_has(
    project: Path, endpoint: Endpoint, edit
) -> None:
    path = edit("  duplicate: {}", "  judge: {at_least: 4}")
    main(["run", "reviews", "--round", ROUND])
    tuning = tuned(path, lengths)
    (sweep,) = tuning.sweeps("judge")
    counts = [point.kept for point in sweep.points]
    assert counts == sorted(counts, reverse=True)
    for point in sweep.points:
        sql = f"select count(*) from reviews.scores where judge >= {point.threshold}"
        assert (point.kept,) == warehouse().query(sql).fetchone()
    assert [point.threshold for point in sweep.points if point.current] == [4.0]
    low, high = list(tuning.sweeps("words"))
    assert (low.bound, high.bound) == ("at_least", "at_most")


def test_what_cannot_be_tuned_is_said(
    project: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture
) -> None:
    assert main(["tune", "reviews"]) == 2
    assert "run `synth run reviews` first" in capsys.readouterr().err
    assert main(["tune", "reviews", "--filter", "judge"]) == 2
    assert "words" in capsys.readouterr().err


def test_where_a_filter_behind_it_cannot_be_applied_kept_rows_are_unknown(
    project: Path, endpoint: Endpoint, edit
) -> None:
    """Of twelve rows of each label three have 3 words, three 4, and so on; students need ten of each."""
    said = {"positive": count(), "negative": count()}

    def say(body: dict[str, Any]) -> str:
        label = (
            "positive" if "positive" in str(body.get("prompt", body.get("messages")))[-40:] else "negative"
        )
        n = next(said[label])
        return f"{label} film {'very ' * (n % 4)}{n}"

    endpoint.say = say
    edit("rows: 6", "rows: 12")
    edit("  duplicate: {}", "  short: {filter: words, at_most: 6}\n  student_confidence: {at_least: 0}")
    path = edit("words: {between: [2, 40]}", "words: {at_least: 3}")
    main(["run", "reviews", "--round", ROUND])

    def encode(texts: list[str]) -> np.ndarray:
        return np.array([[t.startswith("p"), t.startswith("n")] for t in texts], dtype=np.float32)

    tuning = tuned(path, encode)
    (sweep,) = tuning.sweeps("words")
    assert [p.kept for p in sweep.points] == [24, *[None] * (len(sweep.points) - 1)]
    assert "there are 9 negative, 9 positive" in sweep.points[1].why
    assert "unknown: the filter student_confidence needs 10 rows" in list(report(sweep))[3]
    assert charts.png("sweep", partial(charts.sweep, sweep.points))
    path.write_text(
        path.read_text().replace("words: {at_least: 3}", "words: {at_least: 6}"), encoding="utf-8"
    )
    tuning = tuned(path, encode)
    (sweep,) = tuning.sweeps("student_confidence")
    assert [(p.threshold, p.kept) for p in sweep.points] == [(0, None)]
    assert "there are 3 negative, 3 positive" in sweep.points[0].why
