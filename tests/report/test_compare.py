"""`synth compare A B`: two sets side by side, whether they are recipes, rounds or exported folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synth_assets.cli import main
from synth_assets.report.comparison import _whose
from tests.assets.test_round import ROUND, one_in
from tests.conftest import settle
from tests.endpoint import Endpoint
from tests.report.test_report import Page, run

BEFORE = "2026-11-20"
TITLES = ["The sets", "Dropped rows", "Cost", "Students on the same test rows", "Diversity", "Metrics"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with two rounds, and the first of them exported."""
    with pytest.MonkeyPatch.context() as patch, Endpoint(say=one_in(3, "short")) as served:
        folder = settle(tmp_path_factory.mktemp("finished"), patch)
        patch.setenv("SYNTH_MODEL", "scripted")
        patch.setenv("OPENAI_BASE_URL", served.url)
        path = folder / "recipes" / "reviews.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace(f"{folder}/", ""), encoding="utf-8")
        run(BEFORE, ROUND)
        for kind in ("hf", "jsonl"):
            assert main(["export", "reviews", "--to", kind, "--format", kind, "--round", BEFORE]) == 0
        yield folder


@pytest.fixture
def made(finished: Path, project: Path) -> Path:
    shutil.copytree(finished, project, dirs_exist_ok=True)
    return project


@pytest.fixture
def compared(made: Path, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """What the command prints; with a code that is not 0, the error."""

    def compare(a: str, b: str, *more: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main(["compare", a, b, *more]) == code
        out, err = capsys.readouterr()
        return err if code else out

    return compare


def line(said: str, *start: str) -> list[str]:
    """The words of the one line that begins so."""
    (found,) = (words for words in map(str.split, said.splitlines()) if tuple(words[: len(start)]) == start)
    return found[len(start) :]


def test_two_rounds_side_by_side(made: Path, compared: Callable[..., str]) -> None:
    said = compared(f"reviews@{BEFORE}", "reviews", "--html", "page.html")
    assert [title for title in said.splitlines() if title in TITLES] == TITLES
    assert line(said, "rows", "asked", "for") == ["12", "24"]
    assert line(said, "words", "at", "least", "2", "and", "at", "most", "40") == ["3", "0.250", "5", "0.208"]
    assert line(said, "generations", "scripted") == ["12", "84", "unknown", "24", "168", "unknown"]
    assert "tested on 4 real rows" in said
    page = Page((made / "page.html").read_text(encoding="utf-8"))
    assert f"reviews@{BEFORE} and reviews" in page.text
    assert page.ids == ["sets", "funnel", "cost", "students", "diversity", "metrics"]


@pytest.mark.parametrize("folder", ["hf", "jsonl"])
def test_an_export_is_as_good_as_its_round(compared: Callable[..., str], folder: str) -> None:
    said = compared(folder, f"reviews@{BEFORE}")
    assert line(said, "rows", "kept") == ["9", "9"]
    assert line(said, "all")[:3] == line(said, "all")[3:]
    assert line(said, "B", "against", "A") == ["+0.000", "-0.490", "to", "+0.490"]  # of four test rows
    assert "the fast one (by: logistic), as the folder of an export does not say" in said
    again, metrics = said.split("\nMetrics\n")
    assert "0" in line(again, "vocabulary")  # the difference
    assert line(metrics, "yield", "all")[-4] == line(metrics, "accuracy", "filtered")[-4] == "0"


def test_test_rows_that_a_set_has_are_not_tested_on(made: Path, compared: Callable[..., str]) -> None:
    seeds = compared(f"reviews@{BEFORE}", "jsonl")
    assert "tested on 4 real rows" in seeds
    main(["export", "reviews", "--to", "seeds", "--format", "jsonl", "--stage", "seeds"])
    rows = [json.loads(row) for row in (made / "seeds" / "train.jsonl").read_text().splitlines()]
    (leaked, *_) = [row["text"] for row in rows if row["split"] == "test"]
    file = made / "jsonl" / "train.jsonl"
    first, *rest = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps(json.loads(first) | {"text": leaked}), *rest]))
    assert "tested on 3 real rows" in compared(f"reviews@{BEFORE}", "jsonl")


def test_rows_without_a_label_train_nobody(made: Path, compared: Callable[..., str]) -> None:
    file = made / "jsonl" / "train.jsonl"
    first, *rest = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps(json.loads(first) | {"label": None}), *rest]))
    assert line(compared(f"reviews@{BEFORE}", "jsonl"), "B", "against", "A")
    file.write_text("\n".join(json.dumps(json.loads(row) | {"label": None}) for row in rest))
    said = compared(f"reviews@{BEFORE}", "jsonl")
    assert "jsonl: a label of the test rows is in no row." in said


def test_two_folders_have_no_test_rows(compared: Callable[..., str]) -> None:
    said = compared("hf", "jsonl")
    assert "Both are folders, which have no test rows." in said
    assert line(said, "both") == ["unknown"]


def test_the_student_is_the_one_that_both_recipes_ask_for(made: Path, compared: Callable[..., str]) -> None:
    path = made / "recipes" / "reviews.yaml"
    text = path.read_text()
    path.write_text(text.replace("schedule:", "student: {by: boosting, features: tfidf}\nschedule:"))
    said = compared(f"reviews@{BEFORE}", "reviews")
    assert "The student is that of both recipes (by: boosting, features: tfidf)." in said
    (made / "recipes" / "others.yaml").write_text(text)
    lake = made / ".synth" / "lake"
    shutil.copytree(lake / "reviews", lake / "others")
    said = compared("reviews", "others")
    assert "the fast one (by: logistic), as A's recipe asks for another (by: boosting" in said


def test_whose_encoder_reads_both_sets_is_said() -> None:
    assert _whose([]) == _whose([None]) == _whose(["a/b", "a/b"]) == ""
    words = "read by the encoder of A's recipe (the one that comes with it), and not by that of B's (a/b)"
    assert words in _whose([None, "a/b"])


def test_metrics_that_are_missing_are_said_with_what_makes_them(
    made: Path, compared: Callable[..., str]
) -> None:
    shutil.rmtree(made / ".synth" / "lake" / "reviews" / "metrics" / f"round={ROUND}")
    said = compared("hf", "reviews")
    assert f"reviews@{ROUND} has no metrics. `synth run reviews --round {ROUND}` measures it." in said
    assert line(said, "accuracy", "weighted")[-1] == "unknown"


def test_what_is_not_there_is_said_with_what_is(made: Path, compared: Callable[..., str]) -> None:
    assert "Recipes are: reviews." in compared("reviews", "revues", code=2)
    assert f"the latest are {BEFORE}, {ROUND}" in compared("reviews@2026-11-01", "reviews", code=2)
    (made / "hf" / "card.json").write_text("[]")
    assert "not the card of an export" in compared("hf", "reviews", code=2)
    (made / "hf" / "card.json").unlink()  # as exports were before
    assert "hf has no card.json" in compared("hf", "reviews", code=2)
    main(["export", "reviews", "--to", "scores", "--stage", "scores"])
    assert "of the stage scores has no rows with row_id" in compared("scores", "reviews", code=2)
    (made / "jsonl" / "train.jsonl").write_text('{"row_id": 1, "text": "fine", "weight": "heavy"}')
    assert "cannot be read, export the set again" in compared("jsonl", "reviews", code=2)
    (made / "jsonl" / "train.jsonl").write_text("")
    assert "has no rows" in compared("jsonl", "reviews", code=2)


def test_sets_of_different_tasks_are_not_compared(made: Path, compared: Callable[..., str]) -> None:
    text = (made / "recipes" / "reviews.yaml").read_text()
    seeds = (made / "seeds.csv").read_text()
    (made / "moods.csv").write_text(seeds.replace(",negative", ",sad"))
    text = text.replace("seeds.csv", "moods.csv").replace("negative: the", "sad: the")
    (made / "recipes" / "moods.yaml").write_text(text)
    lake = made / ".synth" / "lake"
    shutil.copytree(lake / "reviews", lake / "moods")
    assert "moods" in compared("reviews", "moods", code=2)
    assert "has negative, positive and" in compared("reviews", "moods", code=2)
