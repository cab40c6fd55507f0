"""`synth report` and the asset `report`: one page that says what a round is worth, whatever its rows say."""

from __future__ import annotations

import html as html_of
import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from synth_assets.assets.code_location import build
from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.evaluation.map_of_rows import sample
from synth_assets.recipe.load import load
from synth_assets.report.metrics import Metrics, differences, metric_sections
from synth_assets.report.one_round import latest_verdict
from synth_assets.report.pages import Number, Section, Table, html, inert, lines, markdown
from synth_assets.report.round import _nights, summary
from synth_assets.resources.home import home, warehouse
from tests.assets.test_round import ROUND, one_in
from tests.browser import FLAGS
from tests.conftest import settle
from tests.endpoint import Endpoint, reviewer

BEFORE = "2026-11-20"
HOSTILE = "<script>document.title = 'taken'</script> <img src=x onerror=alert(1)> | $\\frac{1}$ </td>"
SECTIONS = [
    "made",
    "funnel",
    "map",
    "accuracy",
    "trust",
    "diversity",
    "conditions",
    "examples",
    "labels",
    "weights",
    "changes",
]
TAGS = {
    *(
        "html",
        "head",
        "meta",
        "link",
        "title",
        "style",
        "body",
        "header",
        "nav",
        "section",
        "h1",
        "h2",
        "p",
        "a",
    ),
    *("div", "table", "caption", "thead", "tbody", "tr", "th", "td", "wbr", "figure", "figcaption"),
    *("svg", "defs", "g", "path", "use", "text", "clippath", "rect", "tspan"),
}


OF_MAP = {
    "real": "select * from reviews.seeds",
    "kept": f"select * from reviews.filtered where round = '{ROUND}'",
    "dropped": f"select g.* from reviews.generations as g anti join reviews.filtered using (row_id) "
    f"where round = '{ROUND}' and accepted",
}


class Page(HTMLParser):
    """What a browser makes of the page: its tags, their attributes, its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.ids = set[str](), set[str](), list[str]()
        self.targets, self.words = list[str](), list[str]()
        self.feed(page)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.tags.add(tag)
        self.attributes |= set(given)
        self.ids += [str(given["id"])] if "id" in given else []
        self.targets += [str(v) for k, v in given.items() if k in ("src", "href", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def hostile() -> Callable[[dict[str, Any]], str]:
    """Every third answer means harm, and is too long."""
    number = itertools.count(1)
    return lambda body: f"{HOSTILE} {n}" if (n := next(number)) % 3 == 0 else reviewer(body)


def run(*rounds: str) -> None:
    """Checks of the metrics may fail with so few rows; nothing comes after them."""
    for round_ in rounds:
        main(["run", "reviews", "--round", round_])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with two rounds of rows that mean harm."""
    with pytest.MonkeyPatch.context() as patch, Endpoint(say=hostile()) as served:
        folder = settle(tmp_path_factory.mktemp("finished"), patch)
        patch.setenv("SYNTH_MODEL", "scripted")
        patch.setenv("OPENAI_BASE_URL", served.url)
        path = folder / "recipes" / "reviews.yaml"
        text = path.read_text(encoding="utf-8").replace("[angry, calm, witty]", "['<b>angry</b>', calm]")
        text = text.replace("words: {between: [2, 40]}", "words: {between: [2, 8]}")
        path.write_text(text.replace(f"{folder}/", ""), encoding="utf-8")
        run(BEFORE, ROUND)
        yield folder


@pytest.fixture
def made(finished: Path, project: Path) -> Path:
    shutil.copytree(finished, project, dirs_exist_ok=True)
    return project


@pytest.fixture
def written(made: Path) -> str:
    assert main(["report", "reviews", "--to", "page.html"]) == 0
    return (made / "page.html").read_text(encoding="utf-8")


def test_a_page_has_a_section_for_each_thing_that_is_known(made: Path, written: str) -> None:
    page = Page(written)
    assert [name for name in page.ids if name in SECTIONS] == SECTIONS
    assert f"reviews, round {ROUND}" in page.text
    assert "prompt tokens completion tokens US dollars generations scripted 12 60 24 unknown" in page.text
    assert (
        "dropped by stage wanted rows of all dropped words filtered at least 2 and at most 8 4 1.000"
        in page.text
    )
    assert "the seeds alone" in page.text
    assert f"Before is round {BEFORE}" in page.text
    assert len(page.ids) == len(set(page.ids))


def test_everything_begins_with_the_same_verdict(
    made: Path, written: str, capsys: pytest.CaptureFixture
) -> None:
    recipe = load(made / "recipes" / "reviews.yaml")
    title, _, verdict, *_ = summary(recipe, ROUND)
    assert title == f"reviews, round {ROUND}"
    assert verdict.startswith("It cannot be told with 4 test rows whether the set is better than the seeds")
    assert written.index(f'<p class="verdict">{verdict}</p>') < written.index("<nav")
    assert main(["show", "reviews"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == verdict
    for command in (["show"], ["report", "--to", "again.html"]):
        assert main([command[0], "reviews", *command[1:], "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["verdict"] == verdict
    assert main(["export", "reviews", "--to", "set"]) == 0
    assert (made / "set" / "README.md").read_text().split("# reviews")[1].strip().startswith(verdict)
    assert json.loads((made / "set" / "card.json").read_text())["verdict"] == verdict
    with dagster_instance() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["reviews", "metrics"]))
    assert event.asset_materialization.metadata["verdict"].value == verdict


def test_a_map_shows_where_rows_are_and_says_each_under_the_mouse(made: Path, written: str) -> None:
    of = {kind: warehouse().query(sql).df() for kind, sql in OF_MAP.items()}
    drawn = {kind: sample(rows) for kind, rows in of.items()}
    shown = re.search('<section id="map">.*?</section>', written, re.DOTALL)[0]
    said = [html_of.unescape(words) for words in re.findall("<use [^>]*><title>(.*?)</title></use>", shown)]
    for kind, texts in drawn.items():  # the report draws in SQL what the stage draws in Python
        found = [words.partition(": ")[2] for words in said if re.match(rf"{kind}( \(|:)", words)]
        assert found == [" ".join(text.split()) for text in texts], kind
    assert any(words.startswith("dropped (words ") and HOSTILE in words for words in said)
    for name in ("dropped (4)", "kept (8)", "real (12)"):
        assert name in Page(shown).text
    with dagster_instance() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["reviews", "metrics"]))
    assert "](data:image/png;base64," in event.asset_materialization.metadata["map"].value


def test_what_rows_and_conditions_say_stays_text(written: str) -> None:
    page = Page(written)
    assert page.tags <= TAGS
    assert not [name for name in page.attributes if name.startswith("on")]
    assert HOSTILE in page.text
    assert "<b>angry</b>" in page.text
    assert all(target == "data:," or target.startswith("#") for target in page.targets)
    assert "default-src 'none'" in written


def test_the_first_round_has_no_changes_and_the_default_place_is_in_the_home(
    made: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["report", "reviews", "--round", BEFORE]) == 0
    place = home() / "reports" / "reviews" / f"{BEFORE}.html"
    assert capsys.readouterr().out.strip() == str(place)
    assert "changes" not in Page(place.read_text(encoding="utf-8")).ids


def test_a_round_that_is_not_there_is_said_with_those_that_are(
    made: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["report", "reviews", "--round", "2026-11-01"]) == 2
    said = capsys.readouterr().err
    assert f"the latest are {BEFORE}, {ROUND}. `synth run reviews --round 2026-11-01` makes it." in said
    assert main(["report", "reviews", "--round", "2025-01-01"]) == 2
    assert capsys.readouterr().err.endswith(f"{ROUND}.\n")  # before the recipe's start: nothing makes it


def test_a_round_that_is_half_made_says_what_is_not_known(made: Path) -> None:
    for stage in ("filtered", "rejected", "labelled", "weighted", "metrics"):
        shutil.rmtree(made / ".synth" / "lake" / "reviews" / stage / f"round={ROUND}")
    assert main(["report", "reviews", "--to", "page.html"]) == 0
    page = Page((made / "page.html").read_text(encoding="utf-8"))
    assert [name for name in page.ids if name in SECTIONS] == ["made", "funnel"]
    assert "all 12 12 unknown unknown" in page.text


def test_rows_without_labels_have_a_page_too(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (project / "recipes" / "notes.yaml").write_text(
        "task: {text: note}\nconditions: {tone: [calm, loud]}\nsteps: {text: 'A {{ tone }} note.'}\n"
        "rows: 4\nfilters: {words: {at_least: 1}}\nminimum_yield: 0.0\nmetrics: {diversity: false}\n"
    )
    with Endpoint(say=one_in(2, "short")) as served:
        monkeypatch.setenv("SYNTH_MODEL", "scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        assert main(["run", "notes", "--round", ROUND]) == 0
    assert main(["report", "notes", "--to", "page.html"]) == 0
    page = Page((project / "page.html").read_text(encoding="utf-8"))
    assert [name for name in page.ids if name in SECTIONS] == [
        *("made", "funnel", "conditions", "examples", "weights")
    ]


def test_metrics_of_any_name_find_a_place() -> None:
    metrics: Metrics = {
        ("accuracy", "filtered"): (0.7, 0.6, 0.8, 50),
        ("accuracy_change", "filtered, against before"): (0.1, -0.05, 0.25, 50),
        ("auc", "filtered"): (0.83, 0.71, 0.9, 50),
        ("kappa", "filtered"): (0.62, 0.4, 0.8, 30),
        ("learning_curve", "filtered@100"): (0.6, 0.5, 0.7, 50),
        ("learning_curve", "filtered@200"): (0.7, 0.6, 0.8, 50),
        ("confusion", "a>b>c"): (3, None, None, 50),
        ("confusion", "a>a"): (40, None, None, 50),
        ("entity_error", "all"): (0.1, 0.05, 0.2, 50),
        ("entity_error", "real"): (None, None, None, 50),
        ("vendi", "filtered"): (12.5, 11.0, 13.0, 28),
        ("vendi", "real"): (19.0, 17.0, 21.0, 28),
    }
    found = {s.name: s for s in metric_sections(metrics, ["a", "b>c"]) if s.parts}
    assert set(found) == {"accuracy", "curves", "confusion", "trust", "diversity"}
    said = "\n".join(lines(list(found.values())))
    assert "filtered, against before  +0.100  -0.050 to +0.250" in said
    assert ["filtered", "0.83", "0.710", "to", "0.900"] in [line.split() for line in said.splitlines()]
    assert "beyond chance (Cohen's kappa)" in said
    assert "vendi" in said
    assert "11.0 to 13.0" in said
    assert ["a", "b>c", "3"] in [line.split() for line in said.splitlines()]
    assert "entities that are not in the evidence" in said
    assert ["real", "unknown", "50"] in [line.split()[-3:] for line in said.splitlines()]


def test_students_of_numbers_stand_where_those_of_labels_do() -> None:
    metrics: Metrics = {
        ("rmse", "seeds"): (1.2, 1.1, 1.3, 50),
        ("rmse", "weighted"): (1.0, 0.9, 1.1, 50),
        ("rmse_gain", "weighted"): (0.2, 0.1, 0.3, 50),
        ("spearman", "weighted"): (0.7, 0.6, 0.8, 50),
    }
    students, *others = metric_sections(metrics, [])
    table, picture, more = students.parts
    assert table.columns[1] == "root mean squared error"
    assert [str(cell) for cell in table.rows[1]][1:4] == ["1.000", "0.900 to 1.100", "+0.200"]
    assert picture.title == "root mean squared error on real test rows"
    assert more.columns[1] == "Spearman's correlation"
    assert not any(section.parts for section in others)


def test_answers_of_a_model_stand_beside_those_without_rows_and_truth_beside_faith() -> None:
    metrics: Metrics = {
        ("in_context_chrf", "no rows"): (20.5, 15.0, 26.0, 50),
        ("in_context_chrf", "seeds"): (31.0, 25.0, 36.0, 50),
        ("in_context_chrf", "filtered"): (35.5, 30.0, 41.0, 50),
        ("in_context_gain", "no rows"): (-10.5, -14.0, -7.0, 50),
        ("in_context_gain", "filtered"): (4.5, 1.0, 8.0, 50),
        ("truth_exact_match", "answer of filtered"): (0.75, 0.6, 0.85, 40),
    }
    found = {s.name: s for s in metric_sections(metrics, []) if s.parts}
    assert set(found) == {"answers", "trust"}
    said = "\n".join(lines(list(found.values())))
    words = [" ".join(line.split()) for line in said.splitlines()]
    assert "no rows 20.5 15.0 to 26.0 -10.500 -14.0 to -7.0 50" in words
    assert "filtered 35.5 30.0 to 41.0 +4.500 +1.000 to +8.000 50" in words
    assert any(w.startswith("exact match, against what is right answer of filtered 0.75") for w in words)


def test_a_page_stays_small_however_many_slices_and_labels_there_are() -> None:
    labels = [f"label {i}" for i in range(500)]
    metrics: Metrics = {
        ("confusion", f"{a}>{b}"): (1, None, None, 500) for a in labels[:60] for b in labels[:60]
    }
    metrics |= {("recall", label): (0.5, 0.4, 0.6, 9) for label in labels}
    page = html("many", "", [*metric_sections(metrics, labels)])
    assert len(page) < 700_000
    assert "and 200 more" in page
    assert "of 500" in page


def test_a_difference_has_an_interval_where_both_have_one_and_compares_only_equals() -> None:
    a: Metrics = {("accuracy", "x"): (0.6, 0.5, 0.7, 100), ("distinct_1", "x"): (0.5, None, None, 20)}
    b: Metrics = {("accuracy", "x"): (0.8, 0.7, 0.9, 100), ("distinct_1", "x"): (0.4, None, None, 40)}
    accuracy, distinct = ([str(cell) for cell in row] for row in differences(a, b, "a", "b", 10).rows)
    assert accuracy[-2:] == ["+0.2", "+0.059 to +0.341"]  # 0.2 -+ the root of 0.1 ** 2 + 0.1 ** 2
    assert distinct[-2:] == ["", ""]


def test_what_changes_with_the_size_of_a_set_is_compared_on_as_many_rows_only() -> None:
    a: Metrics = {("vocabulary", "x"): (500, 450, 550, 100), ("auc", "x"): (0.8, 0.7, 0.9, 100)}
    b: Metrics = {("vocabulary", "x"): (900, 850, 950, 200), ("auc", "x"): (0.9, 0.8, 1.0, 200)}
    words, area = ([str(cell) for cell in row] for row in differences(a, b, "a", "b", 10).rows)
    assert words[-2:] == ["", ""]
    assert area[-2] == "+0.1"
    b["vocabulary", "x"] = (900, 850, 950, 100)
    assert str(differences(a, b, "a", "b", 10).rows[0][-2]) == "+400"


def test_the_asset_writes_the_page_and_shows_it_in_the_ui(made: Path) -> None:
    key = dg.AssetKey(["reviews", "report"])
    job = build({"reviews": load(made / "recipes" / "reviews.yaml")}).resolve_implicit_global_asset_job_def()
    with dagster_instance() as instance:
        done = job.execute_in_process(instance=instance, asset_selection=[key], partition_key=ROUND)
    (event,) = done.asset_materializations_for_node("reviews__report")
    path = home() / "reports" / "reviews" / f"{ROUND}.html"
    assert event.metadata["page"].value == str(path)
    assert Page(path.read_text(encoding="utf-8")).ids
    assert event.metadata["open"].value == f"synth report reviews --round {ROUND} --open"
    shown = str(event.metadata["report"].value)
    verdict = latest_verdict(load(made / "recipes" / "reviews.yaml"), warehouse())
    assert shown.startswith(f"{inert(verdict)}\n\n### ")
    assert event.metadata["verdict"].value == verdict
    assert "### From generated to kept" in shown
    assert "](data:image/svg+xml;base64," in shown
    assert "<" not in shown
    assert main(["verify", "reviews"]) == 0  # a page is no table of the lake


def test_tables_in_markdown_have_their_rule_under_the_names() -> None:
    sections = [Section("s", "S", "", [Table(["a", "b"], [["x|y", Number("1")]]), Table(["c"], [])])]
    assert list(markdown(sections)) == [
        *("### S", "", "", "| a | b |", "|---|---|", "| x&#124;y | 1 |", "", "| c |", "|---|", "")
    ]


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("chromium") and shutil.which("chromedriver")), reason="no chromium")
def test_a_browser_shows_the_page_and_loads_nothing_else(made: Path, written: str) -> None:
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
    ask = driver.execute_script
    try:
        for width in (390, 1280):
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            driver.get((made / "page.html").as_uri())
            assert driver.get_log("browser") == []
            assert ask("return performance.getEntriesByType('resource').length") == 0
            assert driver.title == f"reviews, round {ROUND}"
            shown = "return [...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect())"
            boxes = ask(f"{shown}.map(box => [box.width, box.height])")
            assert len(boxes) >= 2
            assert all(200 < w <= width and h > 50 for w, h in boxes)
            assert ask("return document.documentElement.scrollWidth") <= width
            shown = ask("return [...document.querySelectorAll('section')].map(s => s.id)")
            assert [name for name in shown if name in SECTIONS] == SECTIONS
            driver.find_element("link text", "Weights").click()
            assert driver.current_url.endswith("#weights")
    finally:
        driver.quit()


def test_a_report_lists_the_nights_before() -> None:
    night = {
        "round": "2026-11-20",
        "state": "failed",
        "made": "nothing was made",
        "cost": None,
        "changed": "",
    }
    before: Any = SimpleNamespace(ask=lambda *_, **__: [{**night, "why": "nobody answers at http://m"}])
    (table,) = _nights(before).parts
    assert table.rows[0][:3] == ["2026-11-20", "failed", "nothing was made"]
    assert table.rows[0][-1] == "nobody answers at http://m"
    assert _nights(SimpleNamespace(ask=lambda *_, **__: [])).parts == []
