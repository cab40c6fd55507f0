"""`synth tune`: thresholds move over scores that are there, and nobody is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.home import home
from resources.lake import Lake
from synth_assets.cli import main
from synth_assets.recipe import load
from synth_assets.summary import warehouse
from synth_assets.tuning import Tuning
from tests.endpoint import Endpoint
from tests.test_judge import ROUND, endpoint

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


def test_a_higher_threshold_keeps_no_more_rows_and_the_recipes_own_keeps_what_the_round_has(
    project: Path, endpoint: Endpoint, edit
) -> None:
    path = edit("  duplicate: {}", "  judge: {at_least: 4}")
    main(["run", "reviews", "--round", ROUND])
    tuning = Tuning(load(path), Lake(home() / "lake"), ROUND, lambda texts: [[1.0, len(t)] for t in texts])
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
