"""The way from the Dagster UI to the review page."""

from __future__ import annotations

import dagster as dg
import pytest

from synth_assets.assets.factory import build
from synth_assets.stages import filtered, reviews
from tests.review.made_up import recipe

pytestmark = pytest.mark.usefixtures("project")


def test_the_rows_of_a_recipe_that_asks_people_name_the_command_and_its_page() -> None:
    of = recipe()
    named = {
        "review": "synth review reviews",
        "review_page": dg.UrlMetadataValue("http://127.0.0.1:3100"),
    }
    assert metadata(build(of, filtered.stage(of), never), "filtered") == named
    assert metadata(build(of, reviews.stage(of), never), "reviews") == named
    assert metadata(build(of, filtered.stage(of), never), "rejected") == {}
    without = of.model_copy(update={"review": None})
    assert metadata(build(without, filtered.stage(without), never), "filtered") == {}


def never(*_: object, **__: object) -> None:
    """Of stages that nobody makes here."""


def metadata(asset: dg.AssetsDefinition, stage: str) -> dict[str, object]:
    found = asset.metadata_by_key[dg.AssetKey(["reviews", stage])]
    return {name: value for name, value in found.items() if name.startswith("review")}
