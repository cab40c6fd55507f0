"""A recipe that is wrong takes nothing of the others with it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from synth_assets import code_location
from synth_assets.assets.in_process import dagster_instance
from synth_assets.commands.options import recipes_named


@pytest.mark.parametrize(
    "name",
    ["My-Recipe", "a b", "1", "main", "Ünïcode", ".#lock", "x.y", "\udcff", "a" * 200],
    ids=ascii,
)
def test_a_file_that_cannot_be_called_so_is_an_asset_all_the_same(project: Path, name: str) -> None:
    (project / "recipes" / f"{name}.yaml").write_text("on: \x1b[31m\n", encoding="utf-8")
    repository = code_location.defs().get_repository_def()
    assert repository.has_job("reviews_round")
    assert len([key for key in repository.asset_graph.get_all_asset_keys() if key.path[-1] == "recipe"]) == 1


@pytest.mark.parametrize("content", ["task: {classify: [a, b]}\ncolour: red\n", "a: [", "", "steps: 1"])
def test_one_typo_costs_nobody_else_the_night(
    project: Path, content: str, capsys: pytest.CaptureFixture
) -> None:
    (project / "recipes" / "typo.yaml").write_text(content, encoding="utf-8")
    asset = dg.AssetKey(["typo", "recipe"])
    with dagster_instance() as instance:
        for _ in range(2):
            made = code_location.defs()
        repository = made.get_repository_def()
        assert {s.name for s in repository.schedule_defs} == {"reviews_nightly"}
        assert repository.has_job("reviews_round")
        assert "typo.yaml" in str(made.resolve_asset_graph().get(asset).description)
        key = dg.AssetCheckKey(asset, code_location.CHECK)
        (said,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
        assert said.status.value == "FAILED"
    assert [recipe.name for recipe in recipes_named(None)] == ["reviews"]
    assert "note: typo is left out" in capsys.readouterr().err
