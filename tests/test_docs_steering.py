"""The guide to rounds that steer: its recipes are right, its queries run, its example of a signal works."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from synth_assets.cli import main
from synth_assets.core.errors import UserError
from synth_assets.core.registry import SIGNALS, made_of
from synth_assets.evaluation.signal_rows import signalled
from synth_assets.recipe.load import load
from synth_assets.report.views import current
from synth_assets.resources.home import warehouse
from tests.conftest import forget
from tests.evaluation.test_signals import KEPT, SEEDS, look
from tests.test_docs import ROOT, examples

GUIDE = "docs/steering.md"


@pytest.fixture
def guide(project: Path) -> Path:
    """A project with the recipe of the guide."""
    shutil.copytree(ROOT / "docs" / "gallery" / "data", project / "data")
    (project / "recipes" / "steered.yaml").write_text(examples("yaml", GUIDE)[0], encoding="utf-8")
    return project


def test_the_recipe_of_the_guide_is_right_and_its_query_runs(guide: Path) -> None:
    assert main(["check", "steered"]) == 0
    current()
    assert warehouse().query(examples("sql", GUIDE)[0]).fetchall() == []


def test_the_guide_names_every_signal() -> None:
    text = (ROOT / GUIDE).read_text(encoding="utf-8")
    assert [name for name in SIGNALS.known if f"`{name}`" not in text] == []


def test_a_signal_of_ones_own_is_named_by_its_place(guide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = guide / "my_methods.py"
    module.write_text("\n\n".join(examples("python", "docs/plugins.md")), encoding="utf-8")
    monkeypatch.syspath_prepend(guide)
    forget("my_methods")
    path = guide / "recipes" / "steered.yaml"
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, known in {"my_methods:brevty": False, "my_methods:brevity": True}.items():
        said["conditions"]["misread"]["rows"] = {"from": "kept", "by": name}
        path.write_text(yaml.safe_dump(said), encoding="utf-8")
        if not known:
            with pytest.raises(UserError, match=r"my_methods.*unknown signal 'brevty'"):
                load(path)
    before = load(path).version("signals")
    found = {s.row_id: s.value for s in signalled("my_methods:brevity", look(KEPT, SEEDS)) if s.row_id}
    assert found == {"k0": 1, "k1": 0.5, "k2": 1, "k3": 0.5}
    module.write_text(module.read_text(encoding="utf-8") + "# another one", encoding="utf-8")
    made_of.cache_clear()
    assert load(path).version("signals") != before
    forget("my_methods")
