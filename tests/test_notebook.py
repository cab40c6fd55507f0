"""The commands as methods: in a script, and in a notebook with a real kernel."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

import synth_assets as synth
from synth_assets import UserError
from synth_assets.core.days import today
from tests.assets.test_round import ROUND
from tests.conftest import QUICK
from tests.endpoint import Endpoint

DOCS = Path(__file__).parents[1] / "docs"


def test_a_set_is_looked_at_made_and_asked_about(project: Path, endpoint: Endpoint) -> None:
    bank = synth.load("reviews")
    assert "reviews is right." in bank.check()
    (words,) = [found["says"] for found in bank.check().data["found"] if found["what"] == "filters"]
    assert words.startswith("words (at least 2 and at most 40), duplicate")
    assert bank.plan(rows=4, round=ROUND).totals["calls"] == 8
    first = bank.preview(2, round=ROUND)
    assert [row.cell for row in first] == ["negative", "positive"]
    assert bank.plan(rows=4, round=ROUND).totals["from_log"] == 2
    with pytest.raises(UserError, match="no rows yet"):
        bank.rows()
    made = bank.run(rows=4, round=ROUND)
    assert made.startswith(f"reviews, round {ROUND}")
    assert (made.data["round"], made.data["rows"]["accepted"]) == (ROUND, 8)
    assert len(endpoint.requests) == 8
    rows = bank.rows("filtered")
    assert {row.text for row in first} <= set(bank.rows("generations").text)
    assert len(rows) == len(bank.sql("select * from reviews.filtered where round = $day", day=ROUND))
    assert set(bank.metrics().columns) >= {"name", "value", "low", "high"}
    story = bank.trace(rows.row_id[0])
    assert story["text"] == rows.text[0]
    assert rows.text[0] in repr(story)
    page = bank.report()
    assert page.path.is_file()
    assert page._repr_html_().startswith("<iframe sandbox")
    assert (bank.export(project / "set") / "card.json").is_file()
    assert bank.rows("filtered", round=rows["round"][0]).equals(rows)
    with pytest.raises(UserError, match=r"unknown stage 'weigthed'\. Did you mean 'weighted'"):
        bank.rows("weigthed")
    with pytest.raises(UserError, match=r"unknown format 'csv'\. Known: conll, hf, jsonl, parquet"):
        bank.export(project / "other", "csv")


def test_several_rounds_are_made_in_order_and_each_is_told(project: Path, endpoint: Endpoint, edit) -> None:
    edit("rows: 6", QUICK)
    bank, last = synth.load("reviews"), today("UTC")
    days = [(date.fromisoformat(last) - timedelta(days=n)).isoformat() for n in (1, 0)]
    made = bank.run(rows=2, rounds=2)
    assert made.data["rounds"] == days
    assert (made.data["round"], made.data["ended"]) == (last, None)
    assert [line.partition(":")[0] for line in made.splitlines()[:2]] == [
        f"round 1 of 2 ({days[0]})",
        f"round 2 of 2 ({last})",
    ]
    assert f"reviews, round {last}" in made
    assert "round 1 of 2" in made._repr_html_()
    asked = len(endpoint.requests)
    assert bank.run(rows=2, rounds=f"{days[0]}..{last}").data["rounds"] == days
    assert len(endpoint.requests) == asked == 8
    for wrong, why in (
        ({"rounds": 2, "round": last}, "`round` is one day and `rounds` are several"),
        ({"rounds": 0}, "write a number from 1 to"),
        ({"rounds": "all"}, "reviews does not say how many"),
    ):
        with pytest.raises(UserError, match=why):
            bank.run(**wrong)


def test_the_readmes_lines_run(project: Path, endpoint: Endpoint) -> None:
    (project / "recipes" / "reviews.yaml").rename(project / "recipes" / "bank.yaml")
    (example,) = re.findall(
        r"^```python\n(.*?)^```", (DOCS.parent / "README.md").read_text("utf-8"), re.M | re.S
    )
    exec(example, {})
    assert len(endpoint.requests) == 20


def recipe(project: Path) -> dict[str, Any]:
    return yaml.safe_load((project / "recipes" / "reviews.yaml").read_text(encoding="utf-8"))


def test_a_mapping_or_text_is_written_among_the_recipes_and_replaces_none_silently(project: Path) -> None:
    mapping, path = recipe(project), project / "recipes" / "bank.yaml"
    assert synth.load(mapping, name="bank").recipe.rows == 6
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == mapping
    path.write_text("# mine\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    synth.load(yaml.safe_dump(mapping), name="bank")  # says the same
    assert path.read_text(encoding="utf-8").startswith("# mine")
    with pytest.raises(
        UserError, match=r"bank\.yaml says something else: choose another name, or write `repl"
    ):
        synth.load({**mapping, "rows": 7}, name="bank")
    assert synth.load({**mapping, "rows": 7}, name="bank", replace=True).recipe.rows == 7
    assert synth.load("bank").recipe.rows == 7


def test_what_is_wrong_is_written_nowhere(project: Path) -> None:
    for wrong, why in (
        ({**recipe(project), "rows": 0}, r"bank\.yaml:\d+: rows: "),
        ("task: [", r"bank\.yaml:1: not YAML"),
        ({**recipe(project), "seeds": Path("x")}, "a recipe holds texts"),
    ):
        with pytest.raises(UserError, match=why):
            synth.load(wrong, name="bank")
    for wrong, why in (
        (recipe(project), "needs a name"),
        ("review", r"unknown recipe 'review'\. Did you mean 'reviews'"),
        ("Reviews", r"unknown recipe 'Reviews'\. Did you mean 'reviews'"),
        ("review.yaml", r"review\.yaml: there is no such file"),
        (["reviews"], "and no list"),
    ):
        with pytest.raises(UserError, match=why):
            synth.load(wrong)
    assert [path.name for path in (project / "recipes").iterdir()] == ["reviews.yaml"]


def test_a_file_stays_where_it_is_unless_another_has_its_name(project: Path) -> None:
    text = (project / "recipes" / "reviews.yaml").read_text(encoding="utf-8")
    (project / "other.yaml").write_text(text, encoding="utf-8")
    assert "other is right." in synth.load("other.yaml").check()
    assert synth.load(project / "other.yaml").sql("select * from other.seeds").empty
    (project / "reviews.yaml").write_text(text.replace("rows: 6", "rows: 7"), encoding="utf-8")
    with pytest.raises(UserError, match="has the name of"):
        synth.load("reviews.yaml")


class Client(NotebookClient):
    """Counts how often what is displayed was changed."""

    moved = 0

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        self.moved += msg["msg_type"] == "update_display_data"
        return super().process_message(msg, cell, cell_index)


def test_the_notebook_of_the_docs_runs(project: Path, endpoint: Endpoint) -> None:
    notebook = nbformat.read(DOCS / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    notebook.cells.append(
        nbformat.v4.new_code_cell("import asyncio; asyncio.get_running_loop().is_running()")
    )
    notebook.cells.append(nbformat.v4.new_code_cell('bank.rows("seed")'))
    client = Client(
        notebook,
        timeout=1200,
        startup_timeout=1200,
        allow_errors=True,
        resources={"metadata": {"path": str(project)}},
    )
    client.execute()
    *cells, loop, wrong = (cell for cell in notebook.cells if cell.cell_type == "code")
    for cell in cells:
        assert not [out for out in cell.outputs if out.output_type in ("error", "stream")], cell.source
    assert loop.outputs[0].data["text/plain"] == "True"
    assert wrong.outputs[0].traceback[0].startswith("error: unknown stage 'seed'. Did you mean 'seeds'")
    shown = {cell.source: cell.outputs for cell in cells}
    bar, table = shown["bank.preview(3)"]
    assert "<progress" in bar.data["text/html"]
    assert table.data["text/html"].count("<details>") == 3
    bar, made = shown["bank.run(rows=10)"]
    assert "> done<" in bar.data["text/html"]
    assert "95 % interval</th>" in made.data["text/html"]
    assert "accuracy of a student" in made.data["text/html"]
    assert "negative: a tedious film without one idea\n" in shown["bank.check()"][0].data["text/html"]
    assert shown["bank.plan(rows=10)"][0].data["text/html"].count("<tr>") == 13
    assert client.moved > 5
    assert "<iframe sandbox" in shown["bank.report()"][0].data["text/html"]
    assert len(endpoint.requests) == 20
