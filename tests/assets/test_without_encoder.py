"""A round goes on where the encoder is not installed: what needs it is unknown, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from synth_assets.cli import main
from synth_assets.contracts.filter import Context
from synth_assets.curation.filters.copies import CopiedMeaning
from synth_assets.curation.filters.duplicates import SemanticDuplicate
from synth_assets.curation.filters.students import StudentAgreement
from synth_assets.curation.keep import keep
from synth_assets.report.views import current
from synth_assets.resources import encoder, home
from tests.assets.test_round import ROUND
from tests.endpoint import Endpoint, reviewer

WHY = "the encoder (all-MiniLM-L6-v2) is not installed. Fix: synth setup encoder"


@pytest.fixture
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(encoder, "MODULE", "no_such_package")
    for each in (encoder._load, home.encoder):
        each.cache_clear()
    yield
    home.encoder.cache_clear()


def test_a_round_is_measured_as_far_as_it_can_be(
    project: Path, edit, no_encoder: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    edit("schedule:", "weights: {by: confidence}\nlabelled: {by: confident_learning}\nschedule:")
    with Endpoint(say=reviewer) as endpoint:
        monkeypatch.setenv("SYNTH_MODEL", "scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
        assert main(["run", "reviews", "--round", ROUND, "--rows", "12"]) == 0
    said = capsys.readouterr()
    assert f"missing      {WHY}" in said.err
    assert "labelled.by: confident_learning is unknown, rows keep the label that was asked for" in said.err
    assert WHY in said.out
    assert main(["report", "reviews", "--to", "page.html"]) == 0
    page = (project / "page.html").read_text(encoding="utf-8")
    assert "map (of the rows)" in page
    assert 'id="map"' not in page
    warehouse, _ = current()
    ask = "select name, slice, value, reason from reviews.metrics"
    rows = {row[:2]: row[2:] for row in warehouse.query(ask).fetchall()}
    for name, part in (
        *(("accuracy", "weighted"), ("correctness", "filtered"), ("centroid_distance", "filtered")),
        ("membership_signal", "filtered"),
    ):
        assert rows[name, part] == (None, WHY)
    assert rows["distinct_2", "filtered"][0] > 0
    assert rows["contamination", "filtered"] == (0, None)
    weights = "select count(distinct weight) from reviews.weighted where origin = 'synthetic'"
    assert warehouse.query(weights).fetchall() == [(1,)]


def test_the_check_says_what_is_missing(
    project: Path, edit, no_encoder: None, endpoint: Endpoint, capsys: pytest.CaptureFixture
) -> None:
    edit("  duplicate: {}", "  semantic_duplicate: {}")
    assert main(["run", "reviews", "--round", ROUND]) == 1
    assert f"The filter semantic_duplicate dropped most of them (12). {WHY}." in capsys.readouterr().err


@pytest.mark.parametrize("rule", [CopiedMeaning(), SemanticDuplicate(), StudentAgreement()])
def test_a_filter_that_needs_it_drops_rows_as_of_unknown_score_and_says_why(rule) -> None:
    rows = pd.DataFrame({"text": [f"text {i}" for i in range(20)], "label": ["a", "b"] * 10})
    rows = rows.assign(**dict.fromkeys(rule.raw))
    kept, dropped = keep(rows, [rule], Context(verbalizers={}, no_encoder=WHY))
    assert (len(kept), len(dropped)) == (0, 20)
    assert set(dropped["reason"]) == {f"{rule.name} is unknown, wanted {rule.threshold()}: {WHY}"}


def test_what_was_unknown_is_made_again_once_the_encoder_is_there(
    project: Path, edit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """And nothing else is: not the cells, and nothing at all before it is there."""

    def run() -> str:
        home.encoder.cache_clear()
        capsys.readouterr()
        assert main(["run", "reviews", "--round", ROUND, "--rows", "12"]) == 0
        return capsys.readouterr().err

    def accuracy() -> object:
        ask = "select value from reviews.metrics where name = 'accuracy' and slice = 'weighted'"
        return current()[0].query(ask).fetchall()[0][0]

    with Endpoint(say=reviewer) as endpoint, monkeypatch.context() as without:
        monkeypatch.setenv("SYNTH_MODEL", "scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
        without.setattr(encoder, "MODULE", "no_such_package")
        encoder._load.cache_clear()
        run()
        assert "filtered, rejected, labelled, weighted, metrics unchanged" in run()
        assert accuracy() is None
        asked = len(endpoint.requests)

        without.undo()
        home.encoder.cache_clear()
        assert main(["plan", "reviews", "--round", ROUND, "--rows", "12"]) == 0
        assert "what was unknown without the encoder" in capsys.readouterr().out
        said = run()
        assert "conditions, generations, scores unchanged" in said
        assert "filtered, rejected, labelled, weighted unchanged" in said
        assert isinstance(accuracy(), float)
        assert len(endpoint.requests) == asked
        assert "weighted, metrics unchanged" in run()
