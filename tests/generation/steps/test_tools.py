"""Tools of a step: arithmetic, answers, votes, queries; on the field's own data where it is there."""

from __future__ import annotations

import json
import math
import random
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from synth_assets.core.asking import Result
from synth_assets.core.errors import UserError
from synth_assets.core.text.arithmetic import calculate, check_annotations, final_answer, normalise
from synth_assets.core.text.entities import pattern_entities
from synth_assets.generation.steps.tool import own_function
from synth_assets.generation.steps.vote import ballot
from synth_assets.resources.sandbox.sql import result_key, run_queries, run_sql

DATA = Path(__file__).parents[4] / "shared/data"


def lines(name: str) -> list[dict[str, Any]]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs {path}")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("48/2", 24),
        ("1,000 + 2", 1002),
        ("$5*(2+.5)", 12.5),
        ("20%*50", 10),
        ("10/20%", 50),
        ("7 % 3", 1),
        ("7//2 - -1", 4),
        ("6 × 7 ÷ 2", 21),
        ("2**10", 1024),
        ("05+1", 6),
    ],
)
def test_a_calculator(expression: str, value: float) -> None:
    assert calculate(expression) == pytest.approx(value)


@pytest.mark.parametrize(
    "expression",
    *[
        [
            "",
            "1/0",
            "9**9**9**9",
            "(-1)**.5",
            "x+1",
            "2^3",
            "True",
            "__import__('os')",
            "(" * 400,
            "1" * 501,
            "1j",
        ]
    ],
)
def test_what_is_no_arithmetic_has_no_value(expression: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be calculated|more than"):
        calculate(expression)


def test_annotations_are_calculated_again() -> None:
    text = "She has <<48/2=24>>24, then <<24+1=26>>26, a third is <<1/3=0.33>>0.33 of <<x*2=4>>4."
    assert [a.right for a in check_annotations(text)] == [True, False, True, None]


def test_every_annotation_of_gsm8k_that_is_a_number_is_right() -> None:
    answers = [row["answer"] for row in lines("gsm8k/gsm8k_test.jsonl")]
    found = Counter(a.right for answer in answers for a in check_annotations(answer))
    assert found == {True: 4281, None: 1}  # <<3/4=3/4>>


def test_answers_are_found() -> None:
    assert final_answer("2+2\n#### 1,234.50") == "1234.5"
    assert final_answer("So it is $1,200.") == "1200"
    assert final_answer("first 3, then -4") == "-4"
    assert final_answer("A: 1/5") == "1/5"
    assert final_answer("none") is None


def test_the_answers_of_four_models_agree_with_their_verdicts() -> None:
    rows = lines("gsm8k/example_model_solutions.jsonl")
    agreed: Counter[str] = Counter()
    for row in rows:
        gold = final_answer(row["ground_truth"])
        for name in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
            agreed[name] += (final_answer(row[name]["solution"]) == gold) == row[name]["is_correct"]
    assert list(agreed.values()) == [1319] * 4


def test_normal_forms_and_patterns() -> None:
    assert normalise("The  Cat, an A-team!") == "cat ateam"
    found = pattern_entities("On 18 June 1815 the Duke of Wellington paid $1,200.50, or 5%.")
    assert [(e.kind, e.text) for e in found] == [
        ("name", "On"),
        ("date", "18 June 1815"),
        ("name", "Duke of Wellington"),
        ("number", "$1,200.50"),
        ("number", "5%"),
    ]


def test_a_vote() -> None:
    def reasons(*texts: str, at_least: int = 1) -> list[str | None]:
        return [reason for reason, _, _ in ballot(texts, at_least)]

    assert reasons("a", "b", "b", "", "") == ["outvoted", None, "outvoted", "empty", "empty"]
    assert reasons("b", "a", "a", "b") == [None, "outvoted", "outvoted", "outvoted"]
    assert reasons("a", "b", "c", at_least=2) == ["no_majority"] * 3
    assert reasons("", "") == ["empty"] * 2
    assert reasons() == []


def test_execution_vote_beats_the_likeliest_candidate_when_40_percent_are_wrong() -> None:
    gold = [row["query"] for row in lines("symgen/geoquery_sql/dev.json")]
    base = DATA / "symgen/geoquery_sql/geography_db.sqlite"
    results = {query: ran.text for query, ran in zip(gold, run_queries(gold, base), strict=True)}
    chance, voted, likeliest = random.Random(0), 0, 0
    for query in gold:
        wrong = [q for q in gold if results[q] != results[query]]
        candidates = [query] * 6 + chance.sample(wrong, 4)
        logprobs = [chance.gauss(-1, 0.5) for _ in candidates]  # a wrong one may be as likely
        said = [str(results[q]) for q in candidates]
        winner = [reason for reason, _, _ in ballot(said, at_least=5)].index(None)
        chosen = [place for place, text in enumerate(said) if text == said[winner]]
        best = max(chosen, key=lambda i: logprobs[i])
        voted += results[candidates[best]] == results[query]
        likeliest += results[candidates[logprobs.index(max(logprobs))]] == results[query]
    assert None not in results.values()
    assert voted == len(gold)
    assert likeliest < 0.8 * len(gold)


def test_a_function_of_the_users_own() -> None:
    assert own_function("math:sqrt")(9) == 3
    for path, message in {
        "math": "package.module:function",
        "no_such_module:f": "cannot be imported",
        "math:sqr": "Did you mean 'sqrt'",
        "math:pi": "is a float",
    }.items():
        with pytest.raises(UserError, match=message):
            own_function(path)


def test_equal_results_have_equal_keys() -> None:
    assert result_key([(1, "a"), (2.0, None)]) == result_key([(2, None), (1.0, "a")])
    assert result_key([(1,), (2,)], ordered=True) != result_key([(2,), (1,)], ordered=True)
    assert result_key([(math.inf, b"\x01")]) == '[["inf",{"bytes":"01"}]]'


@pytest.fixture(params=["sqlite", "duckdb"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A small data base with a table of two towns."""
    import duckdb

    path = tmp_path / f"towns #.{request.param}"
    connect: Any = sqlite3.connect if request.param == "sqlite" else duckdb.connect
    connection = connect(str(path))
    connection.execute("create table town (name text, people int)")
    connection.execute("insert into town values ('Ulm', 126000), ('Jena', 111000)")
    connection.commit()
    connection.close()
    return path


def test_a_query_reads(base: Path) -> None:
    query = "select name, people from town order by people"
    assert run_sql(query, base) == Result("ok", '[["Jena",111000],["Ulm",126000]]')
    assert run_sql("select name from town where people < 0", base).text == "[]"


def test_a_query_can_do_nothing_else(base: Path, tmp_path: Path) -> None:
    before = base.read_bytes()
    text = tmp_path / "secret.csv"
    text.write_text("hunter2\n", encoding="utf-8")
    for query in (
        "insert into town values ('Bonn', 1)",
        "drop table town",
        f"attach '{tmp_path / 'other'}' as other",
        "update town set people = 0",
        "create table t (x int)",
    ):
        assert run_sql(query, base).reason == "forbidden", query
    for query in (
        "select 1; select 2",
        "selekt 1",
        "select nothing from town",
        f"select * from '{text}'",
        "",
    ):
        assert run_sql(query, base).reason in ("error", "forbidden"), query
    assert base.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {base.name, text.name}


def test_a_query_ends(base: Path) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
    assert run_sql(endless, base, timeout_s=0.3).reason == "timed_out"
    assert run_sql("select a.name from town a, town b", base, max_rows=3).reason == "too_large"
    assert run_sql("select 1", base).reason == "ok"


def test_a_file_that_is_no_data_base_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such data base"):
        run_sql("select 1", tmp_path / "none.sqlite")
    (tmp_path / "text").write_text("hello", encoding="utf-8")
    with pytest.raises(UserError, match="Known: SQLite 3, DuckDB"):
        run_sql("select 1", tmp_path / "text")
