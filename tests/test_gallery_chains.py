"""Recipes of the gallery that chain steps: what each is told, what comes of it, what is dropped and why."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pandas as pd

from synth_assets.generation.conditions.trees import leaves
from synth_assets.recipe.measuring import Metrics
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.home import recipes
from synth_assets.stages.seeds import seed_rows
from tests.gallery import Answer, Made, Say, make, recipe_like, script, turns
from tests.through import through

OFF = dict.fromkeys(("diversity", "student", "privacy", "faithfulness"), False)


def asked(made: Made, words: str) -> list[str]:
    return [prompt for prompt in made.model.prompts if words in prompt]


def dropped(made: Made) -> Counter[tuple[str, str]]:
    """(stage, reason) of the rows that a step dropped."""
    rows = made.generations[~made.generations["accepted"].astype(bool)]
    return Counter(zip(rows["stage"], rows["reason"], strict=True))


def seeds_of(system: str) -> pd.DataFrame:
    """Its seeds by their text."""
    recipe = recipe_like(system)
    forget(recipe)
    return seed_rows(recipe).set_index("text")


def forget(recipe: Recipe) -> None:
    """Make room for another `synth new` of that name."""
    (recipes() / f"{recipe.name}.yaml").unlink()


def earlier(*texts: str) -> pd.DataFrame:
    return pd.DataFrame({"row_id": [f"kept {t}" for t in texts], "text": texts, "label": None})


def ideas(n: int) -> list[str]:
    """`n` instructions without a word in common."""
    return [f"alpha{i} beta{i} gamma{i} delta{i}" for i in range(n)]


def test_self_instruct_shows_six_seeds_and_two_of_its_own_and_makes_an_instance_of_each_idea(
    project: Path,
) -> None:
    own = ["sort my letters by their stamps", "name a colour that bees like", "fold a paper crane in words"]
    say = script(
        {
            "Come up with": turns(*ideas(4)),
            "classification task": turns({"classification": True}, {"classification": False}),
            "an example of this task": turns({"class_label": "", "input": "", "output": "an output"}),
        }
    )
    made = make("self_instruct", say, rows=4, earlier=earlier(*own))
    human = set(seed_rows(made.recipe)["text"])
    assert len(made.model.prompts) == 3 * 4
    for prompt in asked(made, "Come up with"):
        shown = re.findall(r"(?m)^\d\. (.+)$", prompt)
        assert len(set(shown)) == 8
        assert len(set(shown) & human) == 6
        assert len(set(shown) & set(own)) == 2
        assert prompt.endswith("\n9.")
    instances = asked(made, "an example of this task")
    assert ["choose a class label" in prompt for prompt in instances] == [True, False, True, False]
    assert list(made.kept["text"]) == ideas(4)
    assert set(made.kept["output"]) == {"an output"}


def test_self_instruct_drops_what_its_rules_its_novelty_and_its_instances_refuse(project: Path) -> None:
    good, copied, other = ideas(3)
    seen = "Name three things that should be in a first-aid box."  # 9 of 10 words of a seed
    say = script(
        {
            "Come up with": turns(
                good, "Draw a picture of a cat", "Write a program that sorts", seen, copied, other
            ),
            "classification task": {"classification": False},
            copied: {"class_label": "", "input": "the same", "output": "the same"},
            other: {"class_label": "", "input": "something", "output": ""},
            "an example": {"class_label": "", "input": "", "output": "fine"},
        }
    )
    made = make("self_instruct", say, rows=6)
    assert list(made.kept["text"]) == [good]
    assert list(made.rejected["scorer"]) == ["instruction_rules", "instruction_rules", "novelty"]
    assert dropped(made) == {("generations", "empty"): 2}


def children(prompt: str) -> str:
    """As many names below the node as a tree asks for."""
    node = re.search(r"'(.*?)'", prompt)[1]
    return "\n".join(f"- {node}-{n}" for n in range(int(re.search(r"list of (\d+)", prompt)[1])))


def test_ultrachat_talks_about_every_leaf_and_tells_each_turn_all_turns_before(project: Path) -> None:
    count = iter(range(10**6))
    say = script(
        {
            "subtopics": children,
            "an encyclopedia answers about": lambda prompt: children(
                f"'{prompt.split('.')[0][-5:]}'{prompt}"
            ),
            "": lambda _: f"a sentence number {next(count)} about it",
        }
    )
    made = make("ultrachat", say, rows=36)
    assert Counter(path.count(" / ") for path in made.listed["topic", ""]) == {2: 36}  # root / 6 / 6
    of_leaf = made.conditions[made.conditions["sector"] == "the world"]
    assert set(of_leaf["topic"]) == set(made.listed["topic", ""])  # each leaf once
    assert len(asked(made, "with an interest in")) == 36
    about = made.conditions[made.conditions["sector"] == "an entity"]
    assert all(row["about"] in made.listed["about", row["entity"]] for row in about.to_dict("records"))
    assert {len(made.listed["about", entity]) for entity in about["entity"]} == {5}
    assert len(asked(made, "Write one specific question")) < len(asked(made, "Write one general question"))
    lengths = [len(turns) for turns in made.generations["turns"]]
    assert set(lengths) <= {6, 8, 10, 12, 14}
    assert len(made.model.prompts) == 7 + 6 + 2 * 36 + sum(lengths)
    first = made.generations.iloc[0]
    told = [p for p in asked(made, "You are a helpful assistant") if first["turns"][0] in p]
    assert [p.splitlines()[1:] for p in told] == [first["turns"][:n] for n in range(1, lengths[0], 2)]
    assert re.findall(r"(?m)^(\w+): ", first["text"]) == ["User", "Assistant"] * (lengths[0] // 2)
    assert len(made.kept) == 2 * 36


def test_ultrachat_drops_a_dialogue_in_which_somebody_repeats_a_turn(project: Path) -> None:
    count = iter(range(10**6))
    say = script(
        {
            "subtopics": children,
            "an encyclopedia answers": "- Who?\n- When?\n- Where?\n- Why?\n- How?",
            "would ask an assistant": "What is there to know?",
            "would come up about": "What is there to say?",
            "You are a helpful": lambda _: f"this is fact number {next(count)}",
            "You talk to": "Tell me more.",
        }
    )
    made = make("ultrachat", say, rows=2)
    assert set(made.rejected["scorer"]) == {"alternation"}
    assert made.rejected["reason"].str.contains("turn 3 repeats turn 1").all()


def test_symgen_keeps_the_query_of_the_largest_group_of_equal_executions(project: Path) -> None:
    """The first four of ten candidates are wrong: a pick of one would be too, and the vote is right."""
    gold = seeds_of("symgen")["sql"]
    wrong = ["SELECT -1", "SELECT -2", "SELECT 'x'", "SELEC name"]
    questions, candidates = iter(gold.index), {}

    def query(prompt: str) -> Answer:
        question = prompt.splitlines()[-1]
        of_it = candidates.setdefault(question, iter([*wrong, *[gold[question]] * 6]))
        return {"sql": next(of_it)}

    say = script({"Write the SQL": query, "Questions about": lambda _: next(questions)})
    made = make("symgen", say, rows=100)
    assert len(made.model.prompts) == 10 + 100
    kept = pd.concat([made.kept, made.rejected])
    assert len(kept) == 10
    assert (kept["sql"] == kept["text"].map(gold)).all()
    assert dropped(made)["generations_agreed", "outvoted"] == 10 * (3 + 5)
    assert dropped(made)["generations_result", "error"] == 10  # what does not run
    assert set(made.rejected["text"].str.split().str.len()) == {5}  # and with over five words they stay
    assert made.kept["text"].str.split().str.len().min() == 6


def test_symgen_drops_a_question_whose_queries_all_give_something_else(project: Path) -> None:
    numbers = iter(range(100))
    say = script(
        {
            "Write the SQL": lambda _: {"sql": f"SELECT {next(numbers)}"},
            "Questions about": "Which of the countries has no river?",
        }
    )
    made = make("symgen", say, rows=10)
    assert dropped(made) == {("generations_agreed", "no_majority"): 10}
    shown = re.findall(r"(?m)^Question: (.+)$", made.model.prompts[0])
    assert len(set(shown)) == 10


def test_chain_of_thought_answers_each_problem_with_what_most_chains_say(project: Path) -> None:
    seeds = seeds_of("chain_of_thought")
    turn = Counter[str]()

    def say(prompt: str, *_: Any) -> str:
        *shown, problem = re.findall(r"(?m)^Q: (.+)$", prompt)
        assert len(shown) == 8
        assert set(seeds.loc[shown, "split"]) == {"demonstration"}
        assert seeds.loc[problem, "split"] == "unlabeled"
        turn[problem] += 1
        if turn[problem] in (1, 4, 7, 9):  # wrong, each with another answer
            return f"So it must be so. The answer is {1000 + turn[problem]}."
        return f"{seeds.loc[problem, 'solution']} The answer is {seeds.loc[problem, 'answer']}."

    made = make("chain_of_thought", say, rows=80)
    assert len(made.model.prompts) == 80
    assert set(turn.values()) == {10}
    assert len(made.kept) == 8
    for row in made.kept.to_dict("records"):
        assert row["text"].endswith(f"#### {seeds.loc[row['problem'], 'answer']}")
    votes = made.steps["generations_agreed"]
    assert set(votes.loc[votes["accepted"].astype(bool), "votes"]) == {6}


def test_chain_of_thought_drops_a_chain_that_calculates_wrongly(project: Path) -> None:
    made = make("chain_of_thought", lambda *_: "He has 3 * 4 = 14 of them. The answer is 14.", rows=10)
    assert list(made.rejected["scorer"]) == ["arithmetic"]
    assert "3 * 4 is not 14" in made.rejected["reason"].iloc[0]


def evolve(prompt: str) -> str:
    return prompt.rsplit("\n", 1)[-1] + " Give two reasons for it."


def test_evol_instruct_evolves_the_seeds_and_then_what_it_kept(project: Path) -> None:
    say = script({"Rewrite an instruction": evolve, "First:": {"equal": False}, "": {"response": "Well."}})
    first = make("evol_instruct", say, rows=24)
    assert set(first.conditions["base"]) == set(seed_rows(first.recipe)["text"])  # each once
    assert set(first.conditions["operation"]) <= set(first.recipe.attributes["operation"])
    assert all(op in p for op, p in zip(first.conditions["operation"], first.model.prompts, strict=False))
    assert len(first.model.prompts) == 3 * 24
    forget(first.recipe)
    second = make("evol_instruct", say, rows=24, round_="2026-11-23", earlier=first.kept)
    assert set(second.conditions["base"]) == set(first.kept["text"])
    assert second.kept["text"].str.len().mean() > first.kept["text"].str.len().mean()
    assert set(second.kept["response"]) == {"Well."}
    forget(first.recipe)
    both = pd.concat([first.kept, second.kept], ignore_index=True)
    third = make("evol_instruct", say, rows=24, round_="2026-11-24", earlier=both)
    assert set(third.conditions["base"]) == set(second.kept["text"])  # the last generation alone


def test_evol_instruct_eliminates_what_has_no_gain_copies_its_prompt_or_its_base(project: Path) -> None:
    evolved = turns("the same in green", "Here is the rewritten prompt: do it", "Tell a secret", "no")
    say = script(
        {
            "Rewrite an instruction": lambda p: p.splitlines()[-1] if (new := evolved(p)) == "no" else new,
            "Second: the same in green": {"equal": True},
            "First:": {"equal": False},
            "Tell a secret": {"response": "I am sorry, but no."},
            "": {"response": "Well."},
        }
    )
    made = make("evol_instruct", say, rows=4)
    assert dropped(made) == {("generations_new", "empty"): 1, ("generations", "empty"): 1}
    assert len(made.model.prompts) == 4 + 4 + 3  # no answer to what is dropped
    assert list(made.rejected["scorer"]) == ["eliminator"] * 2
    assert "'rewritten prompt'" in made.rejected["reason"].iloc[0]
    assert "is the same as base" in made.rejected["reason"].iloc[1]


def test_constitutional_ai_revises_by_the_draft_its_critique_and_the_principle(project: Path) -> None:
    number = iter(range(10**6))
    say = script(
        {
            "Write the new answer": lambda _: (
                f"revision {next(number)} has {next(number)} words like {next(number)}"
            ),
            "Name the ways": lambda _: f"critique {next(number)}",
            "": lambda _: f"draft {next(number)}",
        }
    )
    made = make("constitutional_ai", say, rows=12)
    assert len(made.model.prompts) == 3 * 12
    assert set(made.conditions["request"]) == set(seed_rows(made.recipe)["text"])
    assert len(set(made.conditions["principle"])) > 3
    columns = [made.steps[f"generations_{step}"]["text"] for step in ("draft", "critique")]
    parts = zip(made.conditions["request"], made.conditions["principle"], *columns, strict=True)
    for prompt, told in zip(asked(made, "Write the new answer"), parts, strict=True):
        assert all(part in prompt for part in told)
    assert made.kept["text"].str.startswith("revision").all()


def test_self_prompting_keeps_what_is_answered_twice_as_it_was_asked_for(project: Path) -> None:
    sentence = "The Danube ends in the Black Sea."
    by_passage = ("the Black Sea.", "the Black Sea", "a river")
    by_sentence = ("Black Sea", "the North Sea", "a lake")
    entities = ("the Black Sea", "the Black Sea", "a lake")
    say = script(
        {
            "have an article": "- the Danube\n- Ulm\n- the Alps",
            "short passage": "The Danube is a long river. It ends in the Black Sea.",
            "Choose an entity": turns(*({"answer": e, "sentence": sentence} for e in entities)),
            "Write the question to": turns("Where does the Danube end?", "Where does it end?", "What is it?"),
            "Explain": {"explanation": "The sentence says so."},
            "Answer in at most": turns(*by_passage, *by_sentence),
        }
    )
    made = make("self_prompting", say, rows=3)
    checks = asked(made, "Answer in at most")
    assert ["long river" in prompt for prompt in checks] == [True] * 3 + [False] * 3
    assert all(sentence in prompt for prompt in checks)
    assert asked(made, "Write the question")[0].endswith("the Black Sea")
    assert dropped(made) == {("generations_sure", "empty"): 2}
    assert len(asked(made, "Explain")) == 1
    assert list(made.kept["answer"]) == ["the Black Sea"]


def test_self_prompting_drops_an_answer_that_its_sentence_does_not_have(project: Path) -> None:
    say = script(
        {
            "have an article": "- the Danube",
            "Choose an entity": {"answer": "Vienna", "sentence": "It is a long river."},
            "Explain": {"explanation": "So it is."},
            "Write the question to": "Where is it?",
            "Answer in at most": "Vienna",
            "": "A passage.",
        }
    )
    made = make("self_prompting", say, rows=1)
    assert list(made.rejected["scorer"]) == ["evidence"]


def test_unnatural_instructions_says_each_task_in_two_ways_and_answers_it_once(project: Path) -> None:
    tasks = [{"instruction": text, "input": f"input {text}", "constraints": "none"} for text in ideas(3)]
    say = script(
        {
            "Write one more example": turns(*tasks),
            "in other words": turns(*ideas(12)[4:10]),
            "Constraints: none": turns({"output": "first"}, {"output": ""}, {"output": "third"}),
        }
    )
    made = make("unnatural_instructions", say, rows=6)
    assert len(made.model.prompts) == 3 + 3 + 6
    shown = [re.findall(r"(?m)^Instruction: (.+)$", p) for p in asked(made, "Write one more example")]
    assert {len(set(texts)) for texts in shown} == {3}
    assert dropped(made) == {("generations", "empty"): 2}  # a task without an output
    expanded = made.kept.groupby("core")
    assert expanded.size().to_dict() == {tasks[0]["instruction"]: 2, tasks[2]["instruction"]: 2}
    assert (expanded[["input", "output"]].nunique() == 1).all(axis=None)
    assert made.kept["text"].nunique() == 4


def test_alpaca_makes_a_whole_task_a_call_from_seeds_alone(project: Path) -> None:
    texts = [*ideas(2), "Draw a map", ideas(2)[0]]
    say = script({"one more task": turns(*({"instruction": t, "input": "", "output": "o"} for t in texts))})
    made = make("alpaca", say, rows=4, earlier=earlier("sort my letters by their stamps"))
    assert len(made.model.prompts) == 4
    for prompt in made.model.prompts:
        shown = re.findall(r"(?m)^Instruction: (.+)$", prompt)
        assert len(shown) == 3
        assert set(shown) <= set(seed_rows(made.recipe)["text"])
    assert list(made.rejected["scorer"]) == ["instruction_rules", "novelty"]


def test_metamath_keeps_the_solutions_that_reach_the_known_answer(project: Path) -> None:
    seeds, count = seeds_of("metamath"), iter(range(10**6))

    def other(prompt: str) -> Answer:
        answer = re.search(r"The answer is (\d+)\.", prompt)[1]
        known = "9" if " as x" in prompt else answer
        return {"text": f"Which x is {known}?", "known": known}

    def solve(prompt: str) -> str:
        asked_for = re.match(r"Which x is (\d+)", prompt)
        right = asked_for[1] if asked_for else seeds.loc[prompt.splitlines()[0], "answer"]
        n = next(count)
        return f"Number {n}: 2 + 2 = 4. The answer is {'77' if n % 4 == 0 else right}."

    made = make("metamath", script({"`known`": other, "step by step": solve}), rows=64)
    assert len(made.model.prompts) == 16 + 64
    assert dropped(made) == {("generations", "empty"): 16}  # the wrong one of four
    assert made.kept["way"].value_counts().to_dict() == dict.fromkeys(made.recipe.attributes["way"], 12)
    for row in made.kept.to_dict("records"):
        known = row["answer"] if row["way"] in ("as it is", "rephrase") else "9"
        assert row["text"].endswith(f"The answer is {known}.")
        assert row["text"].startswith(row["problem"] if row["way"] == "as it is" else "Which x is")
        if row["way"] == "FOBAR":
            assert f"If we know the answer to the above question is {row['answer']}, what" in row["text"]


def test_oss_instruct_takes_some_lines_of_code_and_a_row_knows_which(project: Path) -> None:
    n = iter(range(100))
    say = script({"": lambda _: {"problem": " ".join(ideas(40)[next(n) :][:4]), "solution": "return 1"}})
    made = make("oss_instruct", say, rows=5)
    code = (project / "data" / "snippets.txt").read_text(encoding="utf-8")
    for prompt, snippet in zip(made.model.prompts, made.kept["snippet"], strict=True):
        assert snippet in code
        assert 1 <= len(snippet.splitlines()) <= 15
        assert snippet in prompt
    assert set(made.kept["solution"]) == {"return 1"}


def test_orca_asks_under_every_system_message_and_a_row_knows_which(project: Path) -> None:
    made = make(
        "orca", lambda prompt, *_: f"{prompt} Well, {len(prompt)} letters, so ten words or more.", rows=48
    )
    messages = (project / "data" / "system_messages.txt").read_text(encoding="utf-8").splitlines()
    assert set(Counter(made.conditions["system_message"]).values()) == {3}
    assert set(made.conditions["system_message"]) == set(messages)
    assert set(Counter(made.conditions["query"]).values()) == {2}
    for row, prompt in zip(made.generations.to_dict("records"), made.model.prompts, strict=True):
        assert prompt.startswith(row["system_message"])
        assert row["query"] in prompt
        assert prompt.endswith(row["input"])


def test_lab_shows_examples_of_the_row_s_leaf_and_covers_the_leaves_alike(project: Path) -> None:
    say = script(
        {
            "one more question": turns(*ideas(20)),
            "can no language model": turns(
                {"unfit": False}, {"unfit": False}, {"unfit": False}, {"unfit": True}
            ),
            "Rate the answer": turns({"rating": 3}, {"rating": 3}, {"rating": 2}),
            "": {"answer": "an answer"},
        }
    )
    made = make("lab", say, rows=20)
    leaf = seed_rows(made.recipe).set_index("row_id")["leaf"]
    for row in made.conditions.to_dict("records"):
        assert set(leaf[row["demonstration_ids"]]) == {row["leaf"]}
        assert len(row["demonstration_ids"]) == 3
    assert set(Counter(made.conditions["leaf"]).values()) == {5}
    assert dropped(made) == {("generations_good", "empty"): 5}
    assert len(made.model.prompts) == 20 + 20 + 15 + 15  # a task that is dropped is not answered
    assert list(made.rejected["rating"]) == [2] * 5
    assert list(made.kept["rating"]) == [3] * 10


def test_synthetic_prompting_asks_from_a_chain_and_keeps_questions_whose_programs_agree(
    project: Path,
) -> None:
    programs = ["print(6 * 7)", "print(42)", "print(6 + 7)", "print(1)", "print(2)", "print(3)"]
    say = script(
        {
            "everyday words": "- bread\n- boats",
            "Python program": turns(*({"program": program} for program in programs)),
            "Question:": turns(
                "How many loaves are in six bags of seven?", "How many boats are there in all?"
            ),
            "Reasoning in": turns("There are 6 * 7 = 42 of them.", "There are 9 - 1 = 8 left."),
        }
    )
    made = make("synthetic_prompting", say, rows=6)
    assert len(asked(made, "Python program")) == 6
    backward, questions = asked(made, "calculations, about"), asked(made, "\nQuestion:")
    assert re.search(r"in [2-6] calculations, about (bread|boats):$", backward[0])
    assert "There are 6 * 7 = 42 of them.\nQuestion:" in questions[0]
    assert list(made.kept["text"]) == ["How many loaves are in six bags of seven?"]
    assert list(made.kept["program"]) == ["print(6 * 7)"]
    assert dropped(made) == {("generations_agreed", "outvoted"): 2, ("generations_agreed", "no_majority"): 3}


def test_s3_lists_reasons_of_each_label_and_writes_from_one_of_them(project: Path) -> None:
    say = script(
        {
            "List 20 reasons": lambda p: "\n".join(
                f"- {'bad' if 'negative' in p else 'good'} reason {n}" for n in range(20)
            ),
            "is negative for": turns("I looked at my watch all the time", "it is a negative thing to me"),
            "is positive for": turns(*(f"I laughed {n} times in the first scene" for n in "abcd")),
        }
    )
    made = make("s3", say, rows=4)
    assert {given: len(found) for (_, given), found in made.listed.items()} == {
        "negative": 20,
        "positive": 20,
    }
    for row in made.conditions.to_dict("records"):
        assert row["rationale"].startswith("bad" if row["label"] == "negative" else "good")
    written = asked(made, "for this reason")
    assert all(r in p for r, p in zip(made.conditions["rationale"], written, strict=True))
    assert Counter(made.rejected["scorer"]) == {"leaked_label": 2, "duplicate": 1}
    assert made.kept["label"].value_counts().to_dict() == {"positive": 4, "negative": 1}
    assert not asked(made, "may take it for another one")

    seeds = seed_rows(made.recipe).query("split == 'validation' and label == 'positive'")
    misread = dict(zip(seeds["row_id"], (0.9, 0.7, 0.0, 0.0), strict=True))
    (project / "recipes" / "like_s3.yaml").unlink()
    more = {"round_": "2026-11-23", "signals": {"error": misread}}
    again = make("s3", lambda *_: "I wept at the end of it and laughed", rows=4, **more)
    shown = asked(again, "may take it for another one")
    wrong = [text for row, text in zip(seeds["row_id"], seeds["text"], strict=True) if misread[row]]
    assert [sum(text in prompt for prompt in shown) for text in wrong] == [2, 2]
    assert len(asked(again, "for this reason")) == 4  # of the label that is read right


def explorer(texts: Iterator[str]) -> Say:
    """A model that lists sub-tasks, other ones for each prompt, and writes the texts one by one."""

    def say(prompt: str, *_: Any) -> str:
        if "is a task of writing for a small business" in prompt:
            wanted = int(re.search(r"list of (\d+)", prompt)[1])
            return "\n".join(f"- task {crc32(prompt.encode())} part{n}" for n in range(wanted))
        return json.dumps({"instruction": next(texts), "input": "", "output": "done"})

    return say


def test_explore_instruct_grows_a_tree_and_writes_for_every_leaf_of_it(project: Path) -> None:
    texts = iter([*ideas(26), ideas(1)[0]])
    made = make("explore_instruct", explorer(texts), rows=27)
    grown = asked(made, "Its peers are")
    assert len(grown) == 1 + 3 + 9
    assert len(re.search(r"peers are: (.*)\.", grown[1])[1].split(", ")) == 2
    assert {*made.conditions["task"]} == {*made.listed["task", ""]}  # 27 leaves of 3 levels
    assert len(made.listed["task", ""]) == 27
    assert all(prompt.count("\nInstruction: ") == 2 for prompt in asked(made, "an example of the task"))
    assert list(made.rejected["scorer"]) == ["novelty"]
    assert len(made.kept) == 26


def test_explore_instruct_covers_every_leaf_before_any_twice_while_its_tree_grows(project: Path) -> None:
    of = recipe_like("explore_instruct").model_copy(
        update={"rows": 12, "metrics": Metrics(**OFF, knowledge=True)}
    )
    taken, there = Counter[str](), set[str]()
    for day in range(1, 6):
        made = through(of, explorer(iter(ideas(12))), project, f"2026-11-{day:02}")
        there |= {*made.rows("values")["value"], *made.rows("grown")["value"]}
        there = {*leaves(there)}
        unused = there - {*taken}
        now = Counter(made.rows("conditions")["task"])
        assert len({*now} & unused) == min(12, len(unused))
        taken.update(now)
        assert made.metric("knowledge_used", "task") == len({*taken} & there) / len(there)
        assert len(made.rows("grown")) == (5 if day > 1 else 0)
    assert len(there) > 27 + 2 * 5
    assert max(taken.values()) <= 2
