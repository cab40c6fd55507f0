"""Every check that is red names the field that moves it and a command that runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from synth_assets.cli import main
from synth_assets.contracts.measure import Row
from synth_assets.contracts.section import Strict
from synth_assets.core.registry import FILTERS
from synth_assets.evaluation.metric_rows import table
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages import accepted, filtered, generations, metrics, weighted
from synth_assets.stages.graph import graph
from synth_assets.stages.stage import ANSWERED, Check
from tests.assets.test_round import ROUND

ALL = {
    (where, name): check
    for where, checks in {
        "every stage that asks a model": ANSWERED,
        "`conditions`": accepted.CHECKS,
        "`generations`": generations.CHECKS,
        "`filtered`": filtered.CHECKS,
        "`weighted`": weighted.CHECKS,
        "`metrics`": {**metrics.CHECKS, **metrics.RELEASE},
    }.items()
    for name, check in checks.items()
}
GUIDE = Path(__file__).parents[2] / "docs" / "evaluation.md"


@pytest.mark.parametrize("check", ALL.values(), ids=map(" ".join, ALL))
def test_a_check_names_fields_that_there_are(check: Check) -> None:
    for place in check.moved_by:
        first, _, rest = place.partition(".")
        field = Recipe.model_fields[first]
        if first == "filters":
            assert not rest or rest in FILTERS.known
        elif rest:
            kind = field.annotation
            assert isinstance(kind, type)
            assert issubclass(kind, Strict)
            assert rest in kind.model_fields


def test_the_guide_has_every_check() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| `(synth .+?)` \|$", GUIDE.read_text(), re.MULTILINE)
    told = {(where, name): (fields, command) for name, where, fields, command in rows}
    assert told == {
        key: (", ".join(f"`{field}`" for field in check.moved_by), check.command("NAME"))
        for key, check in ALL.items()
    }


def test_every_check_of_a_stage_is_among_them(project: Path) -> None:
    path = project / "recipes" / "reviews.yaml"
    path.write_text(path.read_text().replace("rows: 6", "rows: {accepted: 6, at_most: 12}"))
    stages = graph(load(path))
    of_people = set(metrics.RELEASE.values())  # of a recipe that asks them
    assert {check for stage in stages for check in stage.checks.values()} == set(ALL.values()) - of_people


@pytest.mark.parametrize(("high", "fine"), [(-0.01, False), (0.0, True)])
def test_weights_and_a_set_that_do_harm_are_warned_of(project: Path, high: float, fine: bool) -> None:
    recipe = load(project / "recipes" / "reviews.yaml")
    gains = [Row(name, "weighted", -0.1, -0.2, high, 1200) for name in ("weights_gain", "accuracy_gain")]
    found = metrics._verdicts(recipe, table(gains), None)
    ((weights,), (seeds,)) = found["weights_help"], found["better_than_seeds"]
    assert (weights.fine, seeds.fine) == (fine, fine)
    assert not weights.blocks
    assert not seeds.blocks
    gains_ = f"weighted gains -0.100 (-0.200 to {high:+.3f}) over"
    assert weights.words == f"{gains_} the same rows of equal weight, on the same 1,200 test rows."
    assert seeds.words == f"{gains_} the seeds alone, on the same 1,200 test rows."
    (unknown,) = metrics._verdicts(recipe, table([]), None)["better_than_seeds"]
    assert (unknown.fine, unknown.words) == (True, "Not measured.")


def test_a_red_check_says_what_helps_and_its_commands_run(
    project: Path, endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("minimum_yield: 0.0", "minimum_yield: 0.9")
    edit("between: [2, 40]", "between: [2, 3]")
    assert main(["run", "reviews", "--round", ROUND]) == 1
    said = capsys.readouterr().err
    assert "check minimum_yield: 0% of 12 rows kept, the recipe wants 90%." in said
    advice = "What moves it: minimum_yield, filters. What that does: synth tune reviews"
    assert advice in said
    for command in {check.command("reviews") for check in ALL.values()}:
        synth, *arguments = shlex.split(command)
        assert (synth, main(arguments)) == ("synth", 0), command
