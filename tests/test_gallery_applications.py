"""Recipes of the gallery for applications: what each is told, what comes of it, what is dropped and why; and
the table of the whole gallery."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from synth_assets.resources.home import recipes
from synth_assets.stages.seeds import seed_rows
from tests.gallery import Answer, Made, Say, make, script, turns

GALLERY = Path(__file__).parents[1] / "docs" / "gallery"


def make_again(system: str, say: Say, **more: Any) -> Made:
    """Another round of a recipe that was made before."""
    (recipes() / f"like_{system}.yaml").unlink()
    return make(system, say, **more)


def asked(made: Made, words: str) -> list[str]:
    return [prompt for prompt in made.model.prompts if words in prompt]


def dropped(made: Made) -> Counter[tuple[str, str]]:
    """(stage, reason) of the rows that a step dropped."""
    rows = made.generations[~made.generations["accepted"].astype(bool)]
    return Counter(zip(rows["stage"], rows["reason"], strict=True))


def listed(prompt: str) -> str:
    return "\n".join(f"- value {n}" for n in range(int(re.search(r"List (\d+)", prompt)[1])))


def test_ner_keeps_spans_that_stand_in_the_sentence_each_with_a_known_kind(project: Path) -> None:
    marked = turns(
        {"spans": ["Ola Moen", "Tarn"], "kinds": ["person", "place"]},
        {"spans": [], "kinds": []},
        {"spans": ["Tarn"], "kinds": ["person", "place"]},
        {"spans": ["Tarn"], "kinds": ["animal"]},
        {"spans": ["Ola Berg"], "kinds": ["person"]},
    )
    count = iter(range(99))
    say = script({"Find the": marked, "Write": lambda _: f"Ola Moen went to Tarn {next(count)} times."})
    made = make("ner", say, rows=5)
    assert len(made.model.prompts) == 2 * 5
    seeds = seed_rows(made.recipe)
    assert any("every winter. => none\n" in prompt for prompt in made.model.prompts)
    for prompt in asked(made, "Find the"):
        assert sum(text in prompt for text in seeds["text"]) == 5
        assert prompt.endswith("times. =>")
    assert dropped(made) == {("generations", "empty"): 2}
    assert list(made.rejected["scorer"]) == ["spans"]
    assert [list(spans) for spans in made.kept["spans"]] == [["Ola Moen", "Tarn"], []]
    assert [list(kinds) for kinds in made.kept["kinds"]] == [["person", "place"], []]


def test_question_answering_keeps_answers_of_the_passage_that_the_translated_question_has_too(
    project: Path,
) -> None:
    def pair(prompt: str) -> Answer:
        passage = prompt.splitlines()[-1]
        return {"question": "What is it about?", "answer": " ".join(passage.split()[:2])}

    def found(prompt: str) -> str:
        passage, last = prompt.splitlines()
        return {"1": "something else", "2": passage.upper()}.get(last[-1], " ".join(passage.split()[:2]))

    count = iter(range(99))
    translated = {"Translate": lambda _: f"Worum geht es in diesem Text, Teil {next(count)}"}
    made = make("question_answering", script({"Write a question": pair, **translated, "": found}))
    assert len(made.model.prompts) == 3 * 4
    for row, prompt in zip(made.conditions.to_dict("records"), asked(made, "Write a question"), strict=True):
        assert row["passage"] in prompt
        assert f"({row['asks_for']})" in prompt
    assert dropped(made) == {("generations", "empty"): 2}
    for row in made.kept.to_dict("records"):
        assert row["answer"] in row["passage"]
        assert row["question_in_english"] == "What is it about?"
    invented = {"question": "What is it about?", "answer": "an elephant"}
    say = script({"Write a question": invented, **translated, "": "an Elephant."})
    again = make_again("question_answering", say)
    assert set(again.rejected["scorer"]) == {"evidence"}
    assert again.kept.empty


def test_relation_extraction_keeps_the_relation_that_is_found_without_the_label_between_two_names(
    project: Path,
) -> None:
    count = iter(range(99))

    def told(prompt: str) -> Answer:
        n = next(count)
        pair = ["Ida Falk", f"Bo{n} Ltd"][: 1 if n == 1 else 2] if n != 2 else ["Ida Falk", "Elsewhere"]
        return {"sentence": f"Ida Falk is at Bo{n} Ltd these days.", "pair": pair}

    say = script(
        {"List": listed, "Write a": told, "Which relation": {"why": "it says so", "relation": "works_for"}}
    )
    made = make("relation_extraction", say, rows=4)
    assert len(made.model.prompts) == 1 + 2 * 16  # the domains once
    assert made.conditions["label"].value_counts().to_dict() == dict.fromkeys(made.recipe.labels, 4)
    judged = asked(made, "Which relation")
    assert all(name in judged[0] for name in made.recipe.labels)
    assert len({re.sub(r"Bo\d+ Ltd", "", prompt) for prompt in judged}) <= 3  # it knows no label
    assert set(made.kept["label"]) == {"works_for"}
    assert dropped(made)["generations", "empty"] >= 12
    assert all(span in row["text"] for row in made.kept.to_dict("records") for span in row["pair"])


def test_relation_extraction_drops_a_pair_that_is_not_in_the_sentence_or_not_a_pair(project: Path) -> None:
    say = script(
        {
            "List": listed,
            "Write a": turns(
                {"sentence": "Ida Falk was born in Tarn.", "pair": ["Ida Falk", "Tarn"]},
                {"sentence": "Ida Falk comes from Tarn.", "pair": ["Ida Falk", "Oslo"]},
                {"sentence": "Tarn is where Ida Falk was born.", "pair": ["Ida Falk"]},
            ),
            "Which relation": {"why": "it says so", "relation": "born_in"},
        }
    )
    made = make("relation_extraction", say, rows=3)
    assert list(made.kept["text"]) == ["Ida Falk was born in Tarn."]
    assert list(made.rejected["scorer"]) == ["spans"]


def test_nli_asks_each_premise_for_every_label_and_keeps_what_the_judge_labels_alike(project: Path) -> None:
    count = iter(range(99))
    say = script(
        {
            "Write a hypothesis": lambda _: {"hypothesis": f"Something {next(count)} happened."},
            "What is true": {"relation": "neutral"},
        }
    )
    made = make("nli", say, rows=12)
    premises = {label: set(rows["premise"]) for label, rows in made.conditions.groupby("label")}
    assert len(premises) == 3
    assert all(len(found) == 12 for found in premises.values())
    seeds = seed_rows(made.recipe).set_index("text")["label"]
    for row, prompt in zip(made.conditions.to_dict("records"), asked(made, "Write a"), strict=True):
        shown = [text for text in seeds.index if text in prompt]
        assert [seeds[text] for text in shown] == [row["label"]] * 3
    assert not any("Write" in prompt for prompt in asked(made, "What is true"))
    assert list(made.kept["label"]) == ["neutral"] * 12
    assert dropped(made) == {("generations", "empty"): 24}
    first = made.kept.iloc[0]
    assert first["text"] == f"Premise: {first['premise']} Hypothesis: {first['hypothesis']}"


def test_math_problems_are_calculated_again_line_by_line_and_as_a_whole(project: Path) -> None:
    worked = turns(
        {"solution": "She has 2*3=<<2*3=6>>6.\n#### 6", "expression": "2*3"},
        {"solution": "She has 2*3=<<2*3=6>>6.\n#### 6", "expression": "2+3"},
        {"solution": "First <<1+1=3>>3, then <<2*3=6>>6.\n#### 6", "expression": "2*3"},
        {"solution": "It is clear.\n#### many", "expression": "many"},
    )
    problems = turns(*(f"A {thing} costs 3. How much are two?" for thing in ("cup", "boat", "hat", "pen")))
    made = make("math_problems", script({"Solve it": worked, "Write one more": problems}), rows=4)
    assert len(made.model.prompts) == 2 * 4
    assert dropped(made) == {("generations", "empty"): 1, ("generations_value", "error"): 1}
    assert list(made.rejected["scorer"]) == ["arithmetic"]
    assert made.recipe.filters["arithmetic"].why(made.rejected.iloc[0]) == "1+1 is not 3"
    assert list(made.kept["text"]) == ["A cup costs 3. How much are two?\nShe has 2*3=<<2*3=6>>6.\n#### 6"]
    seeds = seed_rows(made.recipe)
    for prompt in asked(made, "Solve it"):
        shown = seeds[[text in prompt for text in seeds["text"]]]
        assert len(shown) == 4
        assert all(f"{d.solution} #### {d.answer}" in prompt for d in shown.itertuples())


def test_code_runs_the_tests_and_keeps_a_function_when_two_of_five_pass(project: Path) -> None:
    right, wrong = {"code": "def add(a, b):\n    return a + b"}, {"code": "def add(a, b):\n    return a - b"}
    problem = "Write add(a, b), which returns the sum of two numbers."
    say = script(
        {
            "each an assert": {"lines": ["assert add(1, 2) == 3", "print(1)"]},
            "Write the function.": turns(wrong, right, right, wrong, {"code": "while"}),
            "programming problem": problem,
        }
    )
    made = make("code", say, rows=5)
    assert len(made.model.prompts) == 1 + 1 + 5  # one problem, its tests, five functions
    assert dropped(made) == {("generations_ran", "error"): 3, ("generations_agreed", "outvoted"): 1}
    kept = made.kept.iloc[0]
    assert (len(made.kept), kept["code"]) == (1, right["code"])
    assert list(kept["tests"]) == ["assert add(1, 2) == 3", "print(1)"]
    untested = script({"each an assert": {"lines": ["add(1, 2)"]}, "programming problem": problem})
    again = make_again("code", untested, rows=5)
    assert dropped(again) == {("generations_checked", "empty"): 5}


def test_tabular_shows_twenty_rows_of_both_classes_and_keeps_typed_rows_within_their_ranges(
    project: Path,
) -> None:
    row = {"age": 34, "hours": 41, "education": "school", "children": 1}
    seed = {"age": 23, "hours": 20, "education": "school", "children": 0}
    said = turns(row, row, row | {"age": 7}, row | {"age": "34"}, row | {"age": "34"}, seed)
    made = make("tabular", script({"Rows of a table": said}), rows=4)
    seeds = seed_rows(made.recipe)
    shown = seeds[[f"{text}: " in made.model.prompts[0] for text in seeds["text"]]]
    assert len(shown) == 20
    assert set(shown["label"]) == {"low", "high"}
    assert set(shown["split"]) == {"demonstration"}
    first = made.kept.iloc[0]
    assert first["text"] == "age 34, hours 41, education school, children 1"
    assert (first["age"], first["hours"], first["children"]) == (34, 41, 1)
    assert set(made.rejected["scorer"]) >= {"ranges", "duplicate"}
    assert ("generations_row", "invalid") in dropped(made)


def test_tabular_drops_a_row_that_was_shown(project: Path) -> None:
    say = script({"Rows": lambda prompt: as_fields(re.search(r"(?m)^(age .*): (?:low|high)$", prompt)[1])})
    made = make("tabular", say, rows=1)
    assert list(made.rejected["scorer"]) == ["copied_ngram"] * 2


def as_fields(text: str) -> dict[str, Any]:
    pairs = (part.split() for part in text.split(", "))
    return {name: int(value) if value.isdigit() else value for name, value in pairs}


def test_translation_asks_in_three_ways_and_keeps_pairs_that_translate_back(project: Path) -> None:
    german = "Heute Abend gehen wir zusammen in das neue Theater, Nummer {}."
    count = iter(range(99))
    say = script(
        {
            "German:": lambda _: {"english": "We go out.", "german": german.format(next(count))},
            "Translate into English": "We go to the theatre tonight.",
            "Do both": turns({"same": True}, {"same": True}, {"same": False}),
        }
    )
    made = make("translation", say, rows=6)
    assert Counter(made.conditions["way"]) == {"paraphrase": 2, "multi-target": 2, "storytelling": 2}
    seeds = seed_rows(made.recipe).set_index("text")
    for row, prompt in zip(made.conditions.to_dict("records"), asked(made, "German:"), strict=True):
        assert seeds.loc[row["target"], "english"] == row["source"]
        assert seeds.loc[row["target"], "split"] == "demonstration"  # what is asked in the test is not shown
        assert f"English: {row['source']}\nGerman: {row['target']}" in prompt
        assert ("in a story" in prompt) == (row["way"] == "storytelling")
    assert len(made.model.prompts) == 3 * 6
    assert dropped(made) == {("generations", "empty"): 2}
    assert len(made.kept) == 4


def test_translation_drops_what_is_not_german(project: Path) -> None:
    english = "Tonight we all go to the new theatre together, and to the cinema."
    say = script({"German:": {"english": english, "german": english}, "Do": {"same": True}, "": english})
    assert set(make("translation", say, rows=1).rejected["scorer"]) == {"language"}


def test_stance_keeps_a_post_when_both_wordings_find_its_stance(project: Path) -> None:
    count = iter(range(99))
    say = script(
        {
            "List": listed,
            "Write a": lambda _: " ".join(f"word{next(count)}" for _ in range(5)),
            "Which stance": {"stance": "against"},
            "True or false": turns({"holds": True}, {"holds": False}),
        }
    )
    made = make("stance", say, rows=4)
    assert len(made.model.prompts) == 1 + 3 * 12  # the authors once
    for row, prompt in zip(made.conditions.to_dict("records"), asked(made, "Write a"), strict=True):
        assert all(row[name] in prompt for name in ("target", "author", "tone", "definition"))
    assert list(made.kept["label"]) == ["against"] * 2
    assert dropped(made) == {("generations", "empty"): 10}


def test_spam_lets_two_of_three_questions_outvote_the_label(project: Path) -> None:
    count = iter(range(99))
    say = script(
        {
            "List": listed,
            "Write a": lambda _: " ".join(f"word{next(count)}" for _ in range(5)),
            "visit, follow or buy": {"promotes": True},
            "not about": turns({"unrelated": True}, {"unrelated": False}),
            "gain or a gift": {"promises": False},
        }
    )
    made = make("spam", say, rows=4)
    assert set(made.listed) == {("style", "spam"), ("style", "ham")}
    assert len(made.model.prompts) == 2 + 4 * 8
    assert made.kept["label"].value_counts().to_dict() == {"spam": 2, "ham": 2}
    assert set(made.kept["unrelated"][made.kept["label"] == "ham"]) == {False}
    assert dropped(made) == {("generations", "empty"): 4}


def test_image_captions_stand_in_for_the_image_and_its_reference_goes_with_the_row(project: Path) -> None:
    pairs = turns(
        {"question": "How many dogs are there?", "answer": "Three."},
        {"question": "What does the caption say?", "answer": "Dogs run."},
        {"question": "Where is the bus?", "answer": "At 0.40 0.22."},
    )
    made = make("image_captions", script({"You see an image": pairs}), rows=3)
    seeds = seed_rows(made.recipe).set_index("text")
    for row, prompt in zip(made.conditions.to_dict("records"), made.model.prompts, strict=True):
        assert row["captions"] in prompt
        assert row["boxes"] in prompt
        assert row["image"] not in prompt
        assert seeds.loc[row["captions"], "image"] == row["image"]
    assert set(made.conditions["kind"]) == {"conversation", "detail", "reasoning"}
    assert dropped(made) == {("generations", "empty"): 2}
    kept = made.kept.iloc[0]
    assert (kept["answer"], kept["image"]) == ("Three.", made.conditions["image"][0])


@pytest.mark.parametrize("system", sorted(path.stem for path in GALLERY.glob("*.yaml")))
def test_every_system_stands_once_in_the_table_of_the_gallery(system: str) -> None:
    table = (GALLERY / "README.md").read_text(encoding="utf-8")
    rows = re.findall(rf"(?m)^\| \[{system}\]\({system}\.yaml\) \| .+ \| .+ \|$", table)
    assert len(rows) == 1


def test_the_table_of_the_gallery_names_no_system_that_is_not_there() -> None:
    named = re.findall(r"\]\((\w+)\.yaml\)", (GALLERY / "README.md").read_text(encoding="utf-8"))
    assert set(named) == {path.stem for path in GALLERY.glob("*.yaml")}
