"""`synth plan` says what a run then does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from synth_assets.assets.code_location import build
from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.recipe.load import load
from tests.assets.test_round import ROUND
from tests.conftest import settle
from tests.endpoint import Endpoint, reviewer


@pytest.fixture(scope="module")
def served() -> Iterator[Endpoint]:
    with Endpoint(say=reviewer) as served:
        served.logprobs = False  # the word that it says is its label
        yield served


def begin(folder: Path, served: Endpoint, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("SYNTH_MODEL", "scripted")
    patch.setenv("OPENAI_BASE_URL", served.url)
    path = folder / "recipes" / "reviews.yaml"
    text = path.read_text(encoding="utf-8").replace(f"{folder}/", "")  # a copy has seeds of its own
    text = text.replace("  duplicate: {}", "  duplicate: {}\n  label_agreement: {at_least: 0.0}")
    path.write_text(
        text.replace("minimum_yield: 0.0", "minimum_yield: 0.0\nmetrics: {model_alone: 3}"), encoding="utf-8"
    )


@pytest.fixture
def endpoint(project: Path, served: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    begin(project, served, monkeypatch)
    served.requests.clear()
    return served


@pytest.fixture(scope="module")
def finished(served: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one finished round."""
    with pytest.MonkeyPatch.context() as patch:
        folder = settle(tmp_path_factory.mktemp("finished"), patch)
        begin(folder, served, patch)
        run()
    return folder


@pytest.fixture
def made(finished: Path, project: Path, endpoint: Endpoint) -> Endpoint:
    """The endpoint of a project whose round is finished. Dagster's own tables name no path to copy."""
    shutil.copytree(finished, project, dirs_exist_ok=True)
    endpoint.requests.clear()
    return endpoint


@pytest.fixture
def planned(capsys: pytest.CaptureFixture):
    """The plan as `--json` has it: stage and cell -> line, and the totals."""

    def plan(*more: str) -> tuple[dict[tuple[str, str | None], Any], dict[str, Any]]:
        capsys.readouterr()
        assert main(["plan", "reviews", "--round", ROUND, "--json", *more]) == 0
        found = json.loads(capsys.readouterr().out)
        return {(line["stage"], line["cell"]): line for line in found["lines"]}, found["total"]

    return plan


def run() -> None:
    assert main(["run", "reviews", "--round", ROUND]) == 0


def states(lines: dict[tuple[str, str | None], Any]) -> dict[str, set[tuple[str, str | None]]]:
    found: dict[str, set[tuple[str, str | None]]] = {}
    for where, line in lines.items():
        found.setdefault(line["state"], set()).add(where)
    return found


def test_the_first_round_is_all_new_and_costs_what_the_plan_said(
    project: Path, endpoint: Endpoint, planned
) -> None:
    lines, total = planned()
    assert set(states(lines)) == {"new"}
    assert endpoint.requests == []
    assert (total["cost"], total["at_most_cost"], total["seconds"]) == (None, None, None)  # no price yet
    assert 7 * 27 < total["tokens"] < total["at_most_tokens"]
    run()
    assert total["calls"] == len(endpoint.requests) == 12 + 12 + 3
    lines, total = planned()
    assert set(states(lines)) == {"unchanged"}
    assert (total["calls"], total["from_log"]) == (0, 27)


@pytest.mark.parametrize(
    ("old", "new", "stale", "why"),
    [
        ("rows: 6", "rows: 8", {"conditions", "generations", "scores"}, "rows 6 -> 8"),
        (
            "tone: [angry, calm, witty]",
            "tone: [angry, calm, dry]",
            {"conditions", "generations", "scores"},
            "gone: conditions.tone.witty; new: conditions.tone.dry 1.0",
        ),
        (
            "({{ tone }})",
            "[{{ tone }}]",
            {"generations", "scores"},
            'steps.text.complete: "({{ tone }}):" -> "[{{ tone }}]:", after "}}"',
        ),
        ("between: [2, 40]", "between: [2, 30]", set(), "filters.words.at_most 40.0 -> 30.0"),
    ],
)
def test_after_an_edit_the_plan_is_what_the_run_then_pays(
    project: Path, made: Endpoint, planned, edit, old: str, new: str, stale: set[str], why: str
) -> None:
    edit(old, new)
    lines, total = planned()
    by_cell = {where for where in states(lines).get("stale", set()) if where[1]}
    assert by_cell == {(stage, cell) for stage in stale for cell in ("negative", "positive")}
    assert lines["filtered", None]["state"] == "stale"
    first = next(line for line in lines.values() if line["state"] == "stale")
    assert first["why"] == why
    assert total["calls"] == 0 or total["tokens"] == pytest.approx(7 * total["calls"])
    run()
    assert len(made.requests) == total["calls"]


def test_an_edit_that_is_not_saved_can_be_planned(project: Path, made: Endpoint, planned) -> None:
    text = (project / "recipes" / "reviews.yaml").read_text(encoding="utf-8")
    other = project / "other.yaml"
    other.write_text(text.replace("positive: the reviewer liked it", "positive: a fan wrote it"))
    lines, total = planned("--diff", str(other))
    assert lines["conditions", "positive"]["state"] == "stale"
    assert lines["conditions", "negative"]["state"] == "unchanged"
    assert total["calls"] == 0  # the prompt does not speak of the definition
    assert set(states(planned()[0])) == {"unchanged"}


def test_a_cell_that_is_gone_is_orphaned(project: Path, made: Endpoint, planned, edit) -> None:
    seeds = project / "seeds.csv"
    seeds.write_text(seeds.read_text().replace(",negative", ",bad"))
    edit("negative: the reviewer did not like it", "bad: the reviewer did not like it")
    found = states(planned()[0])
    assert ("generations", "negative") in found["orphaned"]
    assert ("generations", "bad") in found["new"]
    assert ("generations", "positive") in found["unchanged"]


def test_a_plan_for_people(project: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture) -> None:
    assert main(["plan", "reviews", "--round", ROUND]) == 0
    out = capsys.readouterr().out
    assert "generations           negative          new                6           0" in out
    assert "27 calls to make, 0 answered by the log" in out
    total = out.splitlines()[-3]
    assert total.split()[:4] == ["total", "of", "unknown", "cost,"]
    assert ", 27 calls, at most " in total
    assert out.splitlines()[-1] == "What has no price in models.yaml costs an unknown amount."


def test_the_plan_of_a_round_can_be_looked_at_in_the_ui(project: Path, endpoint: Endpoint) -> None:
    recipe = load(project / "recipes" / "reviews.yaml")
    with dagster_instance() as instance:
        job = build({"reviews": recipe}).resolve_implicit_global_asset_job_def()
        asset = dg.AssetKey(["reviews", "plan"])
        assert job.execute_in_process(instance=instance, asset_selection=[asset], partition_key=ROUND).success
        metadata = instance.get_latest_materialization_event(asset).asset_materialization.metadata
    assert metadata["calls"].value == 27
    assert metadata["total"].value.startswith("of unknown cost, 27 calls, ")
    assert "cost" not in metadata  # which is not known
    assert "why" not in metadata["plan"].value.splitlines()[0]  # all is new
    row = next(line for line in metadata["plan"].value.splitlines() if "| generations | negative" in line)
    assert [part.strip() for part in row.split("|")[1:6]] == ["generations", "negative", "new", "6", "0"]
    assert endpoint.requests == []
