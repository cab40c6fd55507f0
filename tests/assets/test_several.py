"""`synth run --rounds N`: which days they are, that each is whole before the next one, and where they end."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from synth_assets.assets import several
from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.commands.options import check_rounds
from synth_assets.core.days import today
from synth_assets.core.errors import UserError
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.report.so_far import rounds_of
from synth_assets.resources.home import lake
from tests.conftest import QUICK
from tests.endpoint import Endpoint


def day(back: int) -> str:
    """So many days before today."""
    return (date.fromisoformat(today("UTC")) - timedelta(days=back)).isoformat()


def days(recipe: Recipe, number: int) -> list[str]:
    with dagster_instance() as instance:
        return several.days(recipe, number, instance)


def there(*rounds: str) -> None:
    """Rounds of which there is something."""
    for round_ in rounds:
        path = lake().file("reviews", "conditions", {"round": round_, "cell": "negative"})
        path.parent.mkdir(parents=True)
        path.touch()


def test_rounds_are_those_that_are_there_and_the_days_after_them(project: Path) -> None:
    recipe = load(project / "recipes" / "reviews.yaml")
    assert days(recipe, 3) == [day(2), day(1), day(0)]  # where there is none yet
    there(day(9), day(6))
    assert days(recipe, 4) == [day(9), day(6), day(5), day(4)]
    assert days(recipe, 1) == [day(9)]


def test_where_there_are_too_few_days_it_is_said_how_many_there_can_be(project: Path, edit) -> None:
    recipe = load(edit("rows: 6", f"rows: 6\nstart: {day(2)}"))
    with pytest.raises(UserError) as error:
        days(recipe, 5)
    assert "reviews can have 3 by today" in str(error.value)
    assert str(error.value).endswith("synth run reviews --rounds 3, or an earlier `start`.")
    there(day(1))
    with pytest.raises(UserError) as error:
        days(recipe, 5)
    assert str(error.value).endswith(
        f"synth run reviews --rounds 2, or {day(-3)} or later this one again."  # there is no day before
    )
    assert days(recipe, 2) == [day(1), day(0)]
    with pytest.raises(UserError) as error:
        days(recipe, 3)
    assert str(error.value).endswith(
        f"with days before {day(1)}, now: synth run reviews --rounds {day(2)}..{day(0)}."
    )
    there(*check_rounds(recipe, f"{day(2)}..{day(0)}")[::2])
    assert days(recipe, 3) == [day(2), day(1), day(0)]


def test_none_is_made_before_the_one_that_it_rests_on_is_whole(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, made = load(project / "recipes" / "reviews.yaml"), list[str]()
    monkeypatch.setattr(several, "run_round", lambda _, round_, *more, **named: made.append(round_) or [])
    monkeypatch.setattr(several, "not_whole", lambda _, rounds: [r for r in rounds if r == day(1)])
    monkeypatch.setattr(several, "latest_verdict", lambda *_: "well")
    said: list[str] = []
    with dagster_instance() as instance:
        found = several.run_rounds(recipe, 3, instance, say=said.append)
    assert made == found.rounds == [day(2), day(1)]
    assert said == [f"round 1 of 3 ({day(2)}): well"]


def test_rounds_are_made_until_they_end_and_a_repeat_pays_nothing(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    """Each keeps twelve rows, and so the third one reaches what is wanted."""
    recipe = load(edit("rows: 6", f"{QUICK}\nrounds: {{count: 5, until: {{accepted: 30}}}}"))
    ended = "The rounds have ended: 36 rows are kept, of 30 that were wanted."
    assert main(["run", "reviews", "--rounds", "all"]) == 0
    out = capsys.readouterr().out
    assert [line[:30] for line in out.splitlines() if line.startswith("round ")] == [
        f"round {at} of 5 ({day(5 - at)}): Whet"[:30] for at in (1, 2, 3)
    ]
    assert out.endswith(f"{ended}\n")
    assert rounds_of(recipe, lake()) == [day(4), day(3), day(2)]
    assert len(endpoint.requests) == 36

    lake().remove("reviews", "filtered", {"round": day(3)})  # as if it had been killed there
    assert main(["run", "reviews", "--rounds", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ended"] == ended
    assert lake().has("reviews", "filtered", {"round": day(3)})
    assert len(endpoint.requests) == 36

    assert main(["run", "reviews"]) == 0  # by a timer, say
    assert capsys.readouterr().out.startswith(ended)
    assert day(0) not in rounds_of(recipe, lake())
    for command in ("plan", "nights"):
        main([command, "reviews"])
        assert ended in capsys.readouterr().out
    assert main(["report", "reviews"]) == 0
    (page,) = (project / ".synth" / "reports" / "reviews").glob(f"*{day(2)}*")
    assert ended in page.read_text(encoding="utf-8")
