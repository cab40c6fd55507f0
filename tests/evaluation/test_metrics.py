"""The asset `metrics`: what is measured of a round, and the checks that stop a set that gets worse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from synth_assets.cli import main
from synth_assets.contracts.measure import Row
from synth_assets.core.registry import METRICS, made_of
from synth_assets.evaluation.metric_rows import parts_of, table
from synth_assets.evaluation.task_metrics import BY_NAME
from synth_assets.recipe.columns import COLUMNS
from synth_assets.recipe.load import load
from synth_assets.recipe.measuring import BUILT_IN, OF_TEXTS, Metrics
from synth_assets.resources.home import home, warehouse
from synth_assets.stages import metrics
from tests.endpoint import Endpoint

FIRST, SECOND = "2026-11-19", "2026-11-20"
WORDS = "love war cats trains music chess rain bread night snow".split()  # noqa: SIM905


class Author:
    """Writes reviews of their label; `rut` makes it write one and the same, `copies` what the test has, and
    when it `lies` labels are wrong."""

    def __init__(self) -> None:
        self.rut = self.copies = self.lies = False

    def __call__(self, body: dict[str, Any]) -> str:
        prompt = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
        if "Start of Assistant 1" in prompt:
            return "9 1\nThe first is better."
        seed = body["seed"]
        label = "positive" if prompt.rstrip().splitlines()[-1].startswith("positive") else "negative"
        if self.lies:
            label = {"positive": "negative", "negative": "positive"}[label]
        opinion = "a warm and clever story" if label == "positive" else "a dull and tired story"
        if self.copies:  # of a seed
            return f"the plot is dull and the jokes are old {opinion} about {WORDS[seed % 10]} {seed % 1000}"
        if self.rut:
            return f"{opinion} again and again and again and again number {seed % 1000}"
        return f"{opinion} of {WORDS[seed % 10]} and {WORDS[seed // 10 % 10]} in {WORDS[seed // 100 % 10]}"


@pytest.fixture
def author() -> Author:
    return Author()


@pytest.fixture
def endpoint(author: Author, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with Endpoint(say=author) as served:
        monkeypatch.setenv("SYNTH_MODEL", "scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        yield served


def ask(sql: str) -> list[tuple]:
    return warehouse().query(sql).fetchall()


def test_a_round_is_measured_beside_seeds_and_its_errors_are_told(
    project: Path, endpoint: Endpoint, edit
) -> None:
    edit("rows: 6", "rows: 20")
    assert main(["run", "reviews", "--round", FIRST]) == 0
    names = {name for (name,) in ask("select distinct name from reviews.metrics")}
    assert {"accuracy", "macro_f1", "calibration_error", "error", "confusion", "correctness"} <= names
    assert {"vendi_score", "contamination", "membership_signal", "learning_curve", "yield"} <= names
    guide = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in guide] == []
    assert ask("select count(*) from reviews.metrics where isnan(value) or isnan(low) or isnan(high)") == [
        (0,)
    ]
    unknown = ask("select count(*) from reviews.metrics where value is null and reason is null and n > 0")
    assert unknown == [(0,)]
    tones = ask("select slice from reviews.metrics where name = 'correctness' and slice like 'tone=%'")
    assert tones


def test_a_set_that_feeds_on_itself_is_stopped(
    project: Path, endpoint: Endpoint, author: Author, capsys: pytest.CaptureFixture
) -> None:
    assert main(["run", "reviews", "--round", FIRST]) == 0
    author.rut = True
    assert main(["run", "reviews", "--round", SECOND]) == 1
    assert "diversity_holds" in capsys.readouterr().err


def test_a_set_that_gets_worse_is_stopped(
    project: Path, endpoint: Endpoint, author: Author, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("rows: 6", "rows: 20")
    edit("test: 4}", "test: 60}")
    edit("schedule:", "metrics: {contamination: 1, collapse: 1}\nschedule:")
    with (project / "seeds.csv").open("a") as seeds:
        for n, word in enumerate(WORDS * 5):
            seeds.write(f"a warm story of {word} {n},positive\na dull story of {word} {n},negative\n")
    assert main(["run", "reviews", "--round", FIRST]) == 0
    author.lies = True
    assert main(["run", "reviews", "--round", SECOND]) == 1
    assert "accuracy_holds" in capsys.readouterr().err


@pytest.mark.parametrize(("most", "holds"), [(0.0, True), (-0.05, False), (None, False)])
def test_a_fall_under_the_last_interval_stops_only_where_the_same_test_rows_say_so(
    most: float | None, holds: bool
) -> None:
    before = SimpleNamespace(round=FIRST, metrics=table([Row("accuracy", "weighted", 0.75, 0.301, 0.954, 4)]))
    now = table(
        [
            Row("accuracy", "weighted", 0.25, 0.05, 0.7, 4),
            Row("accuracy_change", f"weighted, against {FIRST}", -0.5, -1.0, most, 4, against=FIRST),
        ]
    )
    assert metrics._accuracy(now, before).fine is holds  # type: ignore[arg-type]


def test_rows_that_repeat_the_test_are_stopped(
    project: Path, endpoint: Endpoint, author: Author, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("splits: {demonstration: 4, validation: 2, test: 4}", "splits: {demonstration: 4, test: 8}")
    author.copies = True
    assert main(["run", "reviews", "--round", FIRST]) == 1
    assert "contamination" in capsys.readouterr().err
    edit("schedule:", "metrics: {contamination: 1}\nschedule:")
    assert main(["run", "reviews", "--round", FIRST]) == 0


def test_a_judge_holds_a_round_against_the_last_in_both_orders(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("schedule:", "metrics: {judge: {rows: 4}}\nschedule:")
    main(["run", "reviews", "--round", FIRST])
    assert not [p for p in endpoint.prompts if "Assistant" in p]  # there is nothing to hold it against
    capsys.readouterr()
    main(["plan", "reviews", "--round", SECOND])
    assert "20 calls" in capsys.readouterr().out  # 12 rows, 4 pairs twice
    main(["run", "reviews", "--round", SECOND])
    asked = [p for p in endpoint.prompts if "Assistant" in p]
    assert len(asked) == 8
    assert "Its sentiment is positive: the reviewer liked it." in " ".join(asked)
    judged = dict(ask(f"select name, value from reviews.metrics where slice = 'against {FIRST}'"))
    assert judged["judge_first_place"] == judged["judge_flipped"] == 1.0
    assert judged["judge_win_rate"] == 0.5  # whatever stands first wins: no preference


def test_people_say_how_far_the_judge_is_right_and_correct_it(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("schedule:", "metrics: {judge: {rows: 8}, collapse: 1}\nschedule:")
    for round_ in (FIRST, SECOND):
        main(["run", "reviews", "--round", round_])
    asked = len(endpoint.requests)
    assert main(["sample", "reviews", "--pairs", "-n", "6", "--to", "pairs.csv"]) == 0
    pairs = pd.read_csv("pairs.csv")
    new = {i for (i,) in ask(f"select row_id from reviews.filtered where round = '{SECOND}'")}
    assert 0 < pairs["first_id"].isin(new).sum() < 6  # people cannot tell which round a text is of
    pairs["better"] = ["first" if i in new else "second" for i in pairs["first_id"]]
    pairs.loc[0, "better"] = None  # not judged yet
    pairs.to_csv("pairs.csv", index=False)

    edit("rows: 8}", "rows: 8, people: pairs.csv}")
    assert main(["check", "reviews"]) == 0
    assert "5 verdicts of people in pairs.csv" in capsys.readouterr().out
    main(["run", "reviews", "--round", SECOND])
    assert len(endpoint.requests) == asked  # the judge is not asked again
    held = f"select name, value, n from reviews.metrics where slice = 'people, against {FIRST}'"
    told = {name: (value, n) for name, value, n in ask(held)}
    assert told["judge_accuracy"] == (0, 5)  # it says tie, whatever it sees
    assert told["judge_win_rate"] == (1, 5)

    pairs.loc[0, "better"] = "frist"
    pairs.to_csv("pairs.csv", index=False)
    assert main(["check", "reviews"]) == 2
    assert "pairs.csv:2: unknown verdict 'frist'. Did you mean 'first'?" in capsys.readouterr().err


def test_facts_of_rows_are_looked_up_in_passages(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    def says(body: dict[str, Any]) -> str:
        prompt = body["messages"][-1]["content"]
        if "List the facts" in prompt:
            return "- Tarn lies on a lake.\n- Tarn has no harbour.\n- Tarn is a fine name."
        if "support this statement" in prompt:
            passages, _, fact = prompt.partition("Do the passages")
            if "fine name" in fact:
                return "irrelevant"
            return "Supported." if "lies on a lake" in passages and "on a lake" in fact else "unsupported"
        return f"We saw Tarn, number {body['seed']} of many."

    endpoint.say = says
    wanted = "{file: passages.txt, rows: 4, k: 2, passages: 1, max_tokens: 900}"
    edit("schedule:", f"metrics: {{facts: {wanted}}}\nschedule:")
    assert main(["check", "reviews"]) == 2
    assert "passages.txt" in capsys.readouterr().err
    (project / "passages.txt").write_text("Tarn lies on a lake.\nOla has a harbour.\n", encoding="utf-8")
    assert main(["check", "reviews"]) == 0
    main(["run", "reviews", "--round", FIRST])
    told = dict(ask("select name, value from reviews.metrics where name like 'fact_%'"))
    assert told == {"fact_precision": 0.5, "fact_recall_at_k": 0.5, "fact_f1_at_k": 0.5}
    assert [body["max_tokens"] for body in endpoint.requests].count(900) == 4 + 3  # each fact once
    capsys.readouterr()
    main(["plan", "reviews", "--round", FIRST])
    assert "0 calls to make" in capsys.readouterr().out


def test_a_question_with_an_unknown_field_is_refused(
    project: Path, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("schedule:", "metrics: {judge: {question: 'Which {{ colour }}?'}}\nschedule:")
    assert main(["check", "reviews"]) == 2
    assert "colour" in capsys.readouterr().err


def test_people_label_a_sample_and_correct_what_is_said_of_the_rest(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("rows: 6", "rows: 20")
    main(["run", "reviews", "--round", FIRST])
    assert main(["sample", "reviews", "-n", "12", "--to", "people.csv"]) == 0
    assert main(["sample", "reviews", "--to", "people.csv"]) == 2  # what people wrote is not overwritten
    assert "people.csv exists" in capsys.readouterr().err
    assert main(["sample", "reviews", "--to", "nowhere/people.csv"]) == 2
    assert "there is no folder nowhere" in capsys.readouterr().err
    assert main(["sample", "reviews", "-n", "0", "--to", "none.csv"]) == 2
    assert main(["sample", "reviews", "--least-sure", "4", "--to", "none.csv"]) == 2
    assert "reviews: no label of 2026-11-19 has a confidence" in capsys.readouterr().err
    assert not Path("none.csv").exists()
    rows = pd.read_csv("people.csv")
    assert {*rows["draw"]} == {"random"}
    assert {*rows["probability"]} == {12 / 40}
    rows["label"] = ["negative" if "dull" in text else "positive" for text in rows["text"]]
    rows.loc[0, "label"] = {"negative": "positive", "positive": "negative"}[rows.loc[0, "label"]]
    rows.to_csv("people.csv", index=False)
    edit("schedule:", "labelled: {human: people.csv}\nschedule:")
    assert main(["run", "reviews", "--round", FIRST]) == 0
    by = dict(ask("select label_source, count(*) from reviews.labelled group by all"))
    assert by["human"] == 12
    (n,) = ask("select n from reviews.metrics where name = 'correctness' and slice = 'filtered'")[0]
    assert n == 12  # rows that people judged
    ((kappa, n),) = ask("select value, n from reviews.metrics where name = 'kappa'")
    assert 0 < kappa < 1  # one label in twelve is another
    assert n == 12
    drawn = "select human_draw, human_probability, count(*) from reviews.labelled group by all"
    assert set(ask(drawn)) >= {("random", 12 / 40, 12)}


def test_entities_are_looked_up_in_the_evidence_that_the_recipe_names(
    project: Path, endpoint: Endpoint, edit
) -> None:
    edit("tone: [angry, calm, witty]", "tone: [angry, calm, witty], place: [Paris is in France]")
    edit("schedule:", "metrics: {evidence: place}\nschedule:")
    endpoint.say = lambda body: f"We saw it. The film shows Paris and Rome {body['seed']} times."
    main(["run", "reviews", "--round", FIRST])
    assert ask("select value from reviews.metrics where name = 'entity_error'") == [(0.5,)]


def test_a_metric_of_ones_own_is_checked_made_and_read_like_any_other(
    project: Path, endpoint: Endpoint, edit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n([^`]*class Ended.*?)```", guide, re.DOTALL)
    (project / "endings.py").write_text(example)
    monkeypatch.syspath_prepend(str(project))
    edit("schedule:", "metrics: {student: false, diversity: false, 'endings:Ended': {mrk: x}}\nschedule:")
    assert main(["check", "reviews"]) == 2
    assert "metrics.endings:Ended.mrk" in capsys.readouterr().err
    edit("{mrk: x}", "{mark: r}")
    assert main(["run", "reviews", "--round", FIRST]) == 0
    ended = "select avg((text like '%r')::int)::double, count(*) from reviews.filtered"
    assert ask("select value, n from reviews.metrics where name = 'ended'") == ask(ended)
    recipe = project / "recipes" / "reviews.yaml"
    before = load(recipe).version("metrics")
    (project / "endings.py").write_text(f"{example}# another one")
    made_of.cache_clear()
    assert load(recipe).version("metrics") != before
    assert main(["report", "reviews", "--round", FIRST]) == 0
    assert "ended" in (home() / "reports" / "reviews" / f"{FIRST}.html").read_text(encoding="utf-8")


def test_unknown_metrics_are_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValidationError, match=r"unknown metric 'diversty'. Did you mean 'diversity'"):
        Metrics.model_validate({"diversty": True})
    with pytest.raises(ValidationError, match=r"no class with Metric as its base"):
        Metrics.model_validate({"json:dumps": True})


def test_the_words_of_metrics_are_those_of_the_tasks_and_of_the_built_in_classes() -> None:
    assert tuple(BY_NAME) == OF_TEXTS
    assert set(METRICS.known) == set(BUILT_IN)
    assert COLUMNS["metrics"].keys() - {"round"} == set(Row._fields)


def test_what_slices_say_is_read_from_their_columns_and_of_old_rounds_from_their_words() -> None:
    curve, pair = Row("curve", "a@b@20", 0.5), Row("confusion", "a>b>c", 3.0)
    old = parts_of([curve._asdict(), pair._asdict()], ["a", "b>c"])
    assert old["curve", "a@b@20"] == {"set": "a@b", "set_rows": 20}
    assert old["confusion", "a>b>c"] == {"gold": "a", "said": "b>c"}
    new = parts_of([curve._asdict(), pair._replace(gold="a>b", said="c")._asdict()], ["a", "b>c"])
    assert new["curve", "a@b@20"] == {}
    assert new["confusion", "a>b>c"] == {"gold": "a>b", "said": "c"}
