"""A home whose rows come into an object store, and stores that do not let it in."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from synth_assets.core.errors import UserError
from synth_assets.recipe.load import load
from synth_assets.report.views import show
from synth_assets.resources import home
from synth_assets.resources.storage.delta_lake import DeltaLake
from synth_assets.stages import tables
from tests.endpoint import Endpoint
from tests.s3 import KEY

pytest.importorskip("deltalake", reason="no deltalake: pip install 'synth-assets[cluster]'")
PLACE = {"round": "2026-11-21", "cell": "a"}


def test_an_account_that_nobody_named_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    monkeypatch.setenv("SYNTH_CALL_LOG", "postgresql://somebody@host/calls")
    monkeypatch.setenv("SYNTH_LAKE", "az://container/prefix")
    with pytest.raises(UserError, match="on Azure, and nothing says of which account: set AZURE_STORAGE"):
        home.lake()


def test_rows_of_the_time_before_a_store_are_not_in_its_views(
    project: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load(Path("recipes/reviews.yaml"))
    for where, n in (("", 3), (f"{s3}/", 2), ("", 3)):
        monkeypatch.setenv("SYNTH_LAKE", where)
        monkeypatch.setenv("SYNTH_CALL_LOG", "postgresql://somebody@host/calls" if where else "")
        seeds = pa.table({name: [f"{n}"] * n for name in tables.schema(recipe, "seeds").names})
        home.lake().write("reviews", "seeds", {}, seeds)
        shown = show(recipe).query("select count(*) from reviews.seeds").fetchall()
        assert shown == [(n,)]


def test_a_store_that_refuses_is_named(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = r"SYNTH_LAKE is {}, which cannot be read or written: is the store there, .* right\? \(.*40"
    with pytest.raises(OSError, match=words.format("s3://nobody/x")):
        DeltaLake("s3://nobody/x/", tmp_path).has("r", "s", PLACE)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(OSError, match=words.format(s3)) as said:
        DeltaLake(s3, tmp_path).has("r", "s", PLACE)
    assert KEY not in str(said.value)


def test_what_a_home_paid_before_its_rows_were_in_a_store_is_not_paid_again(
    after_a_round: Endpoint, s3: str, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = [identity for (identity,) in home.call_log().execute("SELECT identity FROM calls")]
    assert paid
    monkeypatch.setenv("SYNTH_LAKE", s3)
    monkeypatch.setenv("SYNTH_CALL_LOG", postgres)
    assert home.call_log().has(paid)


def test_who_only_reads_a_store_needs_no_home_from_before(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_HOME", str(project / "new"))
    with pytest.raises(UserError, match="no data home at"):
        home.needed()
    monkeypatch.setenv("SYNTH_LAKE", "s3://bucket/prefix")
    assert home.needed().is_dir()
