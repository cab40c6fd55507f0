"""A recipe that is right is read; one that is wrong is refused with file, line, alternatives and fix."""

import re
import sqlite3
from pathlib import Path

import pytest
import yaml

from synth_assets.cli import main
from synth_assets.core.answer_schema import Schema
from synth_assets.core.errors import UserError
from synth_assets.recipe.load import load
from synth_assets.stages import tables
from synth_assets.stages.graph import graph
from tests.test_docs import examples


def test_a_recipe_reads_as_sections(project: Path) -> None:
    recipe = load(project / "recipes" / "reviews.yaml")
    assert recipe.name == "reviews"
    assert recipe.cells == ["negative", "positive"]
    assert recipe.attributes == {"tone": {"angry": 1.0, "calm": 1.0, "witty": 1.0}}
    assert recipe.filters["words"].at_least == 2


def test_the_shipped_recipes_are_right() -> None:
    for path in sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml")):
        assert load(path).name == path.stem


@pytest.mark.parametrize(
    ("old", "new", "at", "parts"),
    [
        ("rows: 6", "rowz: 6", "rowz", ["unknown field 'rowz'", "Did you mean 'rows'", "Known: annotator"]),
        ("between: [2, 40]", "betwen: [2, 40]", "betwen", ["unknown field 'betwen'", "at_least, at_most"]),
        ("words: {b", "wordz: {b", "wordz", ["unknown filter 'wordz'", "Did you mean 'words'", "{filter: "]),
        ("words: {b", "length: {filter: wordz, b", "length", [".filter: unknown filter", "mean 'words'"]),
        ("words: {b", "length: {filter: words, pe: 1, b", "length", ["'pe'", "Did you mean 'per'"]),
        ("words: {b", "judge: {filter: words, b", "judge", ["judge is a filter itself"]),
        ("words: {b", "Length: {filter: words, b", "Length", ["lower-case letters"]),
        ("words: {b", "row_id: {filter: words, b", "row_id", ["is a column of the row"]),
        ("words: {b", "tone: {filter: words, b", "  tone:", ["is a column of the row"]),
        ("words: {b", "judge_answer: {filter: judge}\n  words: {b", "judge_answer", ["this kind of filter"]),
        ("duplicate: {}", "x: {filter: judge}\n  x_judge_answer: {filter: words}", "x: {", ["the filter x_"]),
        ("tone: [", "words: [", "words: {b", ["words is a column of the conditions"]),
        ("[2, 40]", "[40, 2]", "words", ["no row could pass"]),
        (
            "negative: the reviewer did not like it",
            "negative: ",
            "classify",
            ["'negative' has no definition"],
        ),
        ("negative: the reviewer did not like it", "no: disliked", "classify", ["put it in quotes"]),
        ("negative: the reviewer did not like it, ", "", "classify", ["write two or more"]),
        ("{label: labels, ", "{label: [a], ", "conditions", ["label: labels"]),
        ("rows: 6", "rows: 0", "rows", ["rows: ", "greater than or equal to 1"]),
        ("rows: 6", "rows: 6\nrows: 7", "rows: 7", ["rows is written twice"]),
        ("rows: 6", "rows: 6\nname: other", "name", ["remove `name`"]),
        ('"0 2 * * *"', "nightly", "schedule", ["five fields"]),
        ('"0 2 * * *"', '"0 25 * * *"', "schedule", ["its hour is 25, which is not from 0 to 23"]),
        ('"0 2 * * *"', '"0 2 * * fry"', "schedule", ["its day of the week is 'fry'"]),
        ("rows: 6", "rows: 6\nstart: 2026-11-31", "start", ["2026-11-31 is no day"]),
        ("rows: 6", "rows: 6\nseed: {file: x.csv}", "seed: ", ["rows of your own are `seeds`"]),
        ("test: 4", "tests: 4", "splits", ["splits.tests: cannot be 'tests': write 'demonstration'"]),
        ("rows: 6", "rows: 6\nbudget: 3", "budget", ["cannot be 3: write its fields, as in {round: ...}"]),
        ("rows: 6", "rows: 6\nmetrics: [judge]", "metrics", ["write its fields", "Known: ", "model_alone"]),
        ("duplicate: {}", "duplicate: 0.8", "duplicate", ["write its fields, as in {at_", "Known: "]),
        ("rows: 6", "rows: 6\ntimezone: Mars", "timezone", ["Europe/Berlin"]),
        ("    stop:", "    prompt: hello\n    stop:", "  text:\n", ["exactly one of"]),
        ("rows: 6", "rows: 6\nmodel: {nme: x}", "model", ["nme"]),
        ("rows: 6", "rows: 6\nmodel: {name: x, top_p: 1}", "model", ["as `parameters: {top_p: 1}`"]),
        ("minimum_yield: 0.0", "weights: {by: label_agreement}", "", ["needs that filter"]),
        ("rows: 6", "rows: [6", "filters", ["not YAML"]),
        (
            "seeds.csv,",
            "seeds.csv, text: body, fields: [text],",
            "seeds",
            ["text is a column that"],
        ),
        ("seeds.csv,", "seeds.csv, fields: [Label],", "seeds", ["Label is a column that every seed has"]),
        ("seeds.csv,", "seeds.csv, fields: [split],", "seeds", ["give that column of yours another name"]),
        ("seeds.csv,", "seeds.csv, fields: [id, ID],", "seeds", ["'ID' and 'id' are one name to SQL"]),
        ("positive: the", "'NULL': the", "classify", ["label 'NULL' means that there is no value"]),
        ("positive: the", "Negative: the", "classify", ["'Negative' and 'negative' are one name"]),
        (
            "{k: 2",
            "{within: nothing, k: 2",
            "within",
            ["unknown field of the seeds 'nothing'"],
        ),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(edit, old: str, new: str, at: str, parts: list[str]) -> None:
    path = edit(old, new)
    text = path.read_text(encoding="utf-8")
    line = text[: text.index(at)].count("\n") + 1
    with pytest.raises(UserError) as caught:
        load(path)
    for part in [f"{path}:{line}: ", *parts]:
        assert part in str(caught.value)


OUTPUT = """    output:
      text: text
      rating: integer
      mood: [polite, angry]
      keywords: [text]
"""


@pytest.fixture
def edit_output(edit):
    """`edit` on a recipe that asks for an answer with fields."""
    edit("complete: |", "prompt: |")
    edit('    stop: ["\\n"]\n', OUTPUT)
    return edit


def test_a_step_declares_the_fields_of_its_answer(edit_output) -> None:
    recipe = load(edit_output("rows: 6", "rows: 7"))
    assert recipe.steps["text"].answer_schema == Schema.of(
        {"text": "text", "rating": "integer", "mood": ["polite", "angry"], "keywords": ["text"]}
    )
    columns = tables.columns(recipe, "generations")
    assert {n: columns[n] for n in ("rating", "mood", "keywords")} == {
        "rating": "int64",
        "mood": "string",
        "keywords": "list<string>",
    }
    assert set(tables.columns(recipe, "filtered")) >= {"rating", "mood", "keywords"}
    assert "rating" not in tables.columns(recipe, "labelled")


@pytest.mark.parametrize(
    ("old", "new", "at", "parts"),
    [
        ("integer", "integr", "rating", ["unknown type 'integr'", "Did you mean 'integer'", "[word, word]"]),
        ("integer", "5", "rating", ["a type is one of text, integer, number, boolean"]),
        ("integer", "", "rating", ["a type is one of"]),
        ("integer", "{least: 1}", "rating", ["a type is one of"]),
        ("[text]", "[polite]", "keywords", ["a list holds one type", "two words or more"]),
        ("[polite, angry]", "[yes, no]", "mood", ["True is not a word to YAML", "put it in quotes"]),
        ("[polite, angry]", "[polite, polite]", "mood", ["listed twice"]),
        ("rating:", "Rating:", "Rating", ["'Rating' is no name of a column: use lower-case letters"]),
        ("rating:", "on:", "output:", ["True is no name of a column", "quotes around yes"]),
        ("rating:", "row_id:", "row_id", ["row_id is a column of the platform: choose another name"]),
        ("rating:", "label:", "label: integer", ["a column of the platform"]),
        ("rating:", "confidence:", "confidence", ["a column of the platform"]),
        ("rating:", "tone:", "tone: integer", ["tone is a column of the conditions"]),
        ("rating:", "words:", "words: integer", ["words is a column of the filter words"]),
        ("text: text", "text: integer", "text: integer", ["the text of a row has the type text"]),
        ("      text: text\n", "", "output", ["needs `text: text`"]),
        ("output:", "output: [text]\n    unused:", "output", ["`field: type`"]),
        ("output:", "output:\n    unused:", "output", ["`field: type`"]),
        ("prompt:", "complete:", "output", ["ask with `prompt`"]),
        ("    max_tokens", "    stop: ['.']\n    max_tokens", "stop", ["leave out `stop`"]),
    ],
)
def test_a_field_that_cannot_be_is_refused_with_its_line(
    edit_output, old: str, new: str, at: str, parts: list[str]
) -> None:
    path = edit_output(old, new)
    text = path.read_text(encoding="utf-8")
    line = text[: text.index(at)].count("\n") + 1
    with pytest.raises(UserError) as caught:
        load(path)
    for part in [f"{path}:{line}: steps.text", *parts]:
        assert part in str(caught.value)


SECTIONS_OF_THE_GUIDE = [
    e for e in examples("yaml", "docs/recipes.md") if e.startswith(("steps:", "filters:\n  helpful:"))
]


@pytest.mark.parametrize("example", SECTIONS_OF_THE_GUIDE)
def test_the_steps_and_filters_of_the_guide_are_right(project: Path, example: str) -> None:
    with sqlite3.connect(project / "geography.db") as connection:
        connection.execute("create table state (name)")
    path = project / "recipes" / "reviews.yaml"
    recipe = yaml.safe_load(path.read_text(encoding="utf-8")) | yaml.safe_load(example)
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    assert main(["check", "reviews"]) == 0


def test_the_order_of_the_fields_is_asked_for_too(edit_output) -> None:
    fields = ["      rating: integer\n", "      mood: [polite, angry]\n"]
    before = load(edit_output("rows: 6", "rows: 7"))
    after = load(edit_output("".join(fields), "".join(reversed(fields))))
    assert before.version("steps") != after.version("steps")


def test_check_shows_the_fields_of_the_answer(edit_output, capsys) -> None:
    assert main(["check", "reviews"]) == 0
    out = capsys.readouterr().out
    assert 'output       text: text, rating: an integer, mood: one of "polite", "angry"' in out


def test_a_recipe_that_is_not_there_names_those_that_are(project: Path) -> None:
    with pytest.raises(UserError, match=r"unknown recipe 'review'.*Did you mean 'reviews'"):
        load(project / "recipes" / "review.yaml")


def test_a_recipe_that_is_not_utf8(project: Path) -> None:
    path = project / "recipes" / "reviews.yaml"
    path.write_bytes(path.read_bytes() + b"# caf\xe9\n")
    with pytest.raises(UserError, match="not UTF-8 at byte"):
        load(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds.csv", "seed.csv", r"seed\.csv does not exist\. In that folder: seeds\.csv"),
        ("seeds.csv,", "seeds.csv, text: body,", r"seeds\.text.*unknown column 'body'.*Known: label, text"),
        ("test: 4", "test: 400", r"asks for 406 rows, there are 12: lower the splits"),
        ("k: 2", "k: 3", r"cell 'negative' has 2 demonstration rows, fewer than demonstrations\.k = 3"),
        ("positive: the", "good: the", r"value 'positive' is no label of the task \(negative, good\)"),
        ("({{ tone }})", "({{ mood }})", r"unknown field in the prompt 'mood'.*tone"),
        ("{{ label }}: {{", "{% label }}: {{", r"prompt, line 2"),
        ("seeds.csv,", "seeds.csv, where: {label: neutral},", r"no row of .* has label = neutral"),
    ],
)
def test_check_finds_what_only_the_data_shows(edit, capsys, old: str, new: str, message: str) -> None:
    edit(old, new)
    assert main(["check", "reviews"]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert re.match(r"error: \S+reviews\.yaml:\d+: ", error), error


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"text,label\n", "has no rows"),
        (b"text,label\nok,negative\ncaf\xe9,positive\n", r"not UTF-8 (line 3)"),
    ],
)
def test_a_seeds_file_that_cannot_be_used(project: Path, capsys, content: bytes, message: str) -> None:
    (project / "seeds.csv").write_bytes(content)
    assert main(["check", "reviews"]) == 2
    assert message in capsys.readouterr().err


def test_new_writes_a_recipe_and_keeps_what_is_there(project: Path, capsys) -> None:
    assert main(["new", "bank"]) == 0
    assert load(project / "recipes" / "bank.yaml").cells == ["lost_card", "declined"]
    assert main(["new", "bank"]) == 2
    assert "exists" in capsys.readouterr().err


def test_check_prints_the_first_prompt_of_each_cell(project: Path, capsys) -> None:
    assert main(["check", "reviews"]) == 0
    out = capsys.readouterr().out
    assert "reviews is right" in out
    assert "model        SmolLM2" in out
    assert "    | positive (" in out


def test_seeds_without_test_rows_are_warned_of(edit, capsys) -> None:
    edit("test: 4", "test: 0")
    assert main(["check", "reviews"]) == 0
    assert "the seeds have no test rows" in capsys.readouterr().out


def test_what_reads_english_alone_is_named_where_the_seeds_are_in_another_language(
    project: Path, edit, capsys
) -> None:
    edit("  duplicate: {}", "  duplicate: {}\n  refusal: {}\n  profanity: {}\n  boilerplate: {language: de}")
    assert main(["check", "reviews"]) == 0
    assert "is English" not in capsys.readouterr().out
    lines = [
        f"Der Film Nummer {n} ist lang und die Geschichte erzählt nichts Neues,{label}"
        for n in range(6)
        for label in ("negative", "positive")
    ]
    german = [line.replace("Film", "Ton") if "positive" in line else line for line in lines]
    (project / "seeds.csv").write_text("\n".join(["text,label", *german]), encoding="utf-8")
    assert main(["check", "reviews"]) == 0
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if "is English" in line]
    assert "the seeds read as 'de'" in warning
    assert "filters.refusal (its phrases" in warning
    assert "filters.profanity (its words" in warning
    assert "boilerplate" not in warning


def test_a_filter_that_seeds_teach_needs_some(edit) -> None:
    load(edit("  duplicate: {}", "  learning_dynamics: {taught_by: seeds}"))
    needs = r"learning_dynamics\.taught_by: it needs seeds in the split demonstration"
    with pytest.raises(UserError, match=needs):
        load(edit("demonstration: 4, ", ""))


def test_the_version_of_a_section_is_of_that_section_alone(edit, project: Path) -> None:
    before = load(project / "recipes" / "reviews.yaml")
    after = load(edit("between: [2, 40]", "between: [2, 41]"))
    assert before.version("filters") != after.version("filters")
    assert before.version("task", "steps", "model") == after.version("task", "steps", "model")


def test_a_filter_of_its_own_name_may_say_which_it_is(edit, project: Path) -> None:
    before = load(project / "recipes" / "reviews.yaml")
    after = load(edit("{between: [2, 40]}", "{filter: words, between: [2, 40]}"))
    assert before == after
    assert before.version("filters") == after.version("filters")


def test_rows_are_weighed_by_a_number_that_they_have(edit_output) -> None:
    recipe = load(edit_output("rows: 6", "weights: {by: field, of: rating}\nrows: 6"))
    assert tables.columns(recipe, "labelled")["rating"] == "double"
    sections = next(s for s in graph(recipe) if s.name == "labelled").sections
    assert "weights.columns" in sections
    other = load(edit_output("by: field,", "by: field, power: 2,"))  # weighs the same columns otherwise
    assert other.version(*sections) == recipe.version(*sections)
    assert other.version("weights") != recipe.version("weights")
    with pytest.raises(UserError, match=r"unknown numeric column 'mood'.*rating"):
        load(edit_output("of: rating", "of: mood"))
