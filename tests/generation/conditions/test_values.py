"""Condition values: drawn, read from graphs, folders and files, retrieved, and asked of a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from math import log
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from synth_assets.core.errors import UserError
from synth_assets.generation.conditions import asking
from synth_assets.generation.conditions.asking import ask, parse_list
from synth_assets.generation.conditions.drawn import day, number
from synth_assets.generation.conditions.files import read_words, snippet, taxonomy, words
from synth_assets.generation.conditions.knowledge import Index, Triple, read_triples, subgraphs
from synth_assets.generation.conditions.table import allowed
from synth_assets.generation.conditions.trees import tree
from synth_assets.recipe.review_files import read_review, write_review


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# words, numbers, days


def test_words_of_each_part_of_speech(tmp_path):
    pool = read_words(
        write(tmp_path / "words.csv", "word,pos\ncat,noun\nrun,verb\ndog,noun\nfly,noun\nfly,verb\n")
    )
    assert pool == {"noun": ["cat", "dog", "fly"], "verb": ["run", "fly"]}
    drawn = words(pool, 2, 7, "row 1")
    assert len(set(drawn[:2])) == 2
    assert set(drawn[:2]) <= set(pool["noun"])
    assert set(drawn[2:]) == set(pool["verb"])
    with pytest.raises(UserError, match="2 of 'verb', fewer than 3"):
        words(pool, 3)
    with pytest.raises(UserError, match=r"words.csv:2: 'run' is no word"):
        read_words(write(tmp_path / "words.csv", "cat,noun\nrun\n"))


def test_a_new_word_changes_only_the_rows_that_take_it():
    pool = {"noun": [f"w{i}" for i in range(50)]}
    for i in range(100):
        before, after = words(pool, 1, i), words({"noun": [*pool["noun"], "new"]}, 1, i)
        assert after in (before, ["new"])


def test_numbers_keep_to_their_range_and_distribution():
    dice = Counter(number(1, 6, "dice", i, whole=True) for i in range(3000))
    assert set(dice) == {1, 2, 3, 4, 5, 6}
    assert all(abs(c - 500) < 4 * (3000 * 5 / 36) ** 0.5 for c in dice.values())
    for distribution, middle in (("uniform", 500.5), ("normal", 500.5), ("log_uniform", 1000**0.5)):
        drawn = [number(1, 1000, i, distribution=distribution) for i in range(2000)]
        assert min(drawn) >= 1
        assert max(drawn) <= 1000
        assert abs(sum(d < middle for d in drawn) - 1000) < 4 * 500**0.5
    assert number(2, 3, "row 1") == number(2, 3, "row 1") != number(2, 3, "row 2")
    assert {number(0.5, 2.9, i, whole=True) for i in range(50)} == {1, 2}
    with pytest.raises(UserError, match=r"between 1\.2 and 1\.8"):
        number(1.2, 1.8, whole=True)
    with pytest.raises(UserError, match="begin above 0"):
        number(0, 10, distribution="log_uniform")


def test_days_include_both_ends():
    days = {day(date(2024, 2, 28), date(2024, 3, 1), i) for i in range(50)}
    assert days == {date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)}


# knowledge graphs


def test_triples_are_read_from_tables_and_rdf(tmp_path):
    import pandas as pd

    expected = [("Ada Lovelace", "born in", "London"), ("Ada Lovelace", "name", 'Ada "Countess" é')]
    table = pd.DataFrame(expected, columns=["head", "relation", "tail"])
    table.to_csv(tmp_path / "g.csv", index=False)
    table.to_csv(tmp_path / "g.tsv", index=False, header=False, sep="\t")
    table.to_parquet(tmp_path / "g.parquet")
    write(
        tmp_path / "g.nt",
        "# people\n<http://x.org/Ada_Lovelace> <http://x.org/v#born%20in> <http://x.org/London/> .\n"
        '<http://x.org/Ada_Lovelace> <http://x.org/name> "Ada \\"Countess\\" \\u00e9"@en . # a literal\n',
    )
    for name in ("g.csv", "g.tsv", "g.parquet", "g.nt"):
        assert read_triples(tmp_path / name) == expected, name


def test_what_is_no_graph_is_refused_with_its_place(tmp_path):
    with pytest.raises(UserError, match=r"g.csv:2: \['a', 'b'\] is no triple"):
        read_triples(write(tmp_path / "g.csv", "a,b,c\na,b\n"))
    with pytest.raises(UserError, match=r"g.nt:1: not N-Triples"):
        read_triples(write(tmp_path / "g.nt", "<a> <b> c .\n"))
    with pytest.raises(UserError, match="has no triples"):
        read_triples(write(tmp_path / "empty.csv", "head,relation,tail\n"))


def test_turtle_is_read_by_rdflib_or_the_error_says_how(tmp_path):
    path = write(tmp_path / "g.ttl", "@prefix x: <http://x.org/> . x:Ada x:born_in x:London .")
    try:
        import rdflib  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match="pip install rdflib"):
            read_triples(path)
    else:
        assert read_triples(path) == [("Ada", "born in", "London")]


def zipf_graph() -> list[Triple]:
    """30 relations whose frequencies fall with rank ** 1.5, among 800 entities."""
    random, graph = Random(0), []
    for rank in range(30):
        for _ in range(max(1, int(1500 / (rank + 1) ** 1.5))):
            graph.append((f"e{random.randrange(800)}", f"r{rank}", f"e{random.randrange(800)}"))
    return graph


def entropy(relations: Iterable[str]) -> float:
    counts = Counter(relations)
    return -sum(c / counts.total() * log(c / counts.total()) for c in counts.values())


def connected(triples: list[Triple]) -> bool:
    reached, left = {triples[0][0]}, list(triples)
    while near := [t for t in left if reached & {t[0], t[2]}]:
        reached |= {e for h, _, t in near for e in (h, t)}
        left = [t for t in left if t not in near]
    return not left


def test_sets_of_triples_are_connected_and_cover_relations_evenly():
    graph = zipf_graph()
    sets = subgraphs(graph, 200, 4, "seed")
    assert all(connected(s) and len(set(s)) == 4 for s in sets)
    raw = Random(1).choices([r for _, r, _ in graph], k=800)
    assert entropy(r for s in sets for _, r, _ in s) >= 1.3 * entropy(raw)
    assert subgraphs(graph, 50, 4, "seed") == sets[:50]
    assert subgraphs(graph, 50, 4, "other seed") != sets[:50]


def test_a_set_is_as_large_as_its_component():
    assert subgraphs([("a", "r", "b")], 2, 3) == [[("a", "r", "b")]] * 2
    assert subgraphs([], 2, 3) == []


# folders and files


def test_leaves_of_a_taxonomy(tmp_path):
    write(
        tmp_path / "skills/rhymes/qna.yaml",
        "seed_examples:\n- {question: 'Moon?', answer: June}\n- {question: Day, answer: May, context: b}\n",
    )
    write(
        tmp_path / "knowledge/stars/qna.yaml",
        "seed_examples:\n- context: The sun is a star.\n  questions_and_answers:\n"
        "  - {question: 'What is it?', answer: A star}\n  - {question: 'Which?', answer: The sun}\n",
    )
    write(tmp_path / "knowledge/cats/a.csv", 'text,label\n"a cat,\nasleep",calm\n')
    write(tmp_path / "knowledge/cats/b.jsonl", '{"text": "a cat"}\n\n')
    leaves = taxonomy(tmp_path)
    assert list(leaves) == ["knowledge/cats", "knowledge/stars", "skills/rhymes"]
    assert leaves["knowledge/cats"] == [{"text": "a cat,\nasleep", "label": "calm"}, {"text": "a cat"}]
    assert [row["context"] for row in leaves["knowledge/stars"]] == ["The sun is a star."] * 2
    assert leaves["skills/rhymes"][0] == {"question": "Moon?", "answer": "June"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("qna.yaml", "seed_examples: [{question: why}]", "not a list of examples with question and answer"),
        ("a.csv", "words\nhello\n", "not every row has a text"),
        ("a.jsonl", '{"text": "x"}\n{', "a.jsonl:2: not JSON"),
        ("notes.txt", "hello", "has no leaf"),
    ],
)
def test_a_taxonomy_with_a_mistake_is_refused(tmp_path, name, text, message):
    write(tmp_path / "leaf" / name, text)
    with pytest.raises(UserError, match=message):
        taxonomy(tmp_path)


def test_a_snippet_is_a_run_of_lines(tmp_path):
    write(tmp_path / "code.py", "\n".join(f"line {i}" for i in range(1, 31)))
    (tmp_path / "picture.bin").write_bytes(b"line\0\nline\n" * 30)
    (tmp_path / "latin.txt").write_bytes("é\n".encode("latin-1") * 30)
    files, starts = sorted(tmp_path.iterdir()), set()
    for i in range(40):
        found = snippet(files, (2, 5), i)
        shown = found.splitlines()
        first = int(shown[0].removeprefix("line "))
        assert shown == [f"line {first + k}" for k in range(len(shown))]
        assert 2 <= len(shown) <= 5
        starts.add(first)
    assert len(starts) > 10
    with pytest.raises(UserError, match="none of 3 files"):
        snippet(files, (31, 31))


# retrieved passages


def test_passages_are_ranked_by_bm25():
    index = Index(["the cat sat", "the dog sat on the cat", "a bird", "a bird", "Cat! cat"])
    places = [place for place, _ in index.search("CAT", 5)]
    assert places == [4, 0, 1]
    assert [place for place, _ in index.search("bird", 5)] == [2, 3]  # as good: the earlier first
    assert index.search("whale", 5) == []
    # by hand: idf = ln(1 + (5 - 3 + .5) / (3 + .5)), tf 1, length 3, mean length 15 / 5
    assert index.search("cat", 3)[1][1] == pytest.approx(log(1 + 2.5 / 3.5) / (1 + 1.2))
    with pytest.raises(UserError, match="no words"):
        Index(["", "?!"])


def test_passages_in_chinese_are_found_by_pairs_of_signs() -> None:
    index = Index(["如何办理房屋贷款，需要收入证明。", "信用卡丢失怎么办？", "How is a 房屋贷款 paid back?"])
    assert {place for place, _ in index.search("房屋贷款", 3)} == {0, 2}
    assert [place for place, _ in index.search("卡", 3)] == [1]
    assert [place for place, _ in index.search("paid", 3)] == [2]
    assert index.search("天气", 3) == []


# lists asked of a model


@pytest.mark.parametrize(
    ("answer", "items"),
    [
        (
            "Sure! Here are three:\n\n1. Lost card\n2) **PIN blocked**\n3. lost card.\n",
            ["Lost card", "PIN blocked"],
        ),
        ("- one\n  - detail of one\n- two: explained\n", ["one", "two: explained"]),
        ('```json\n["a, b", "c"]\n```', ["a, b", "c"]),
        ('{"topics": [{"name": "a", "why": "x"}, {"name": "b"}]}', ["a", "b"]),
        ('["whole", "also whole", "cut o', ["whole", "also whole"]),
        ("Topics: rain, snow, and hail.", ["rain", "snow", "hail"]),
        ("Here they are:\nC\nC++\nC#\n", ["C", "C++", "C#"]),
        ('* "quoted"\n* \n', ["quoted"]),
        ('Sure! Here:\n["angry", "calm"]\nEnjoy!', ["angry", "calm"]),
        ("**1. angry**\n**2. calm**", ["angry", "calm"]),
        ("好的：\n1、愤怒\n2、平静", ["愤怒", "平静"]),
        ("语气：愤怒，平静、幽默", ["愤怒", "平静", "幽默"]),
        ("", []),
    ],
)
def test_lists_as_models_write_them(answer, items):
    assert parse_list(answer) == items


@dataclass
class Model:
    """A model that a function plays: the prompt and the replicate -> the answer's text, or its outcome."""

    said: Callable[[str, str], str]
    asked: list[str] = field(default_factory=list)
    replicates: list[str] = field(default_factory=list)
    outcome: str = "ok"
    api: str = "chat"

    def complete(
        self,
        messages: Iterable[Any],
        sampling: Mapping[str, Any],
        replicates: Iterable[str],
        schema: object = None,
    ) -> Iterator[Any]:
        for message, replicate in zip(messages, replicates, strict=True):
            self.asked.append(message[-1]["content"])
            self.replicates.append(replicate)
            text = self.said(self.asked[-1], replicate)
            yield SimpleNamespace(text=text, outcome=self.outcome, error=None)


def test_a_model_is_asked_until_there_are_enough_and_told_what_is_there():
    answers = ["- rain\n- snow\n- Rain.", "- snow\n- hail", "- fog\n- wind"]
    model = Model(lambda _, replicate: answers[int(replicate[-1])])
    assert ask("List 4 kinds of weather.", 4, model, {}, "kinds") == ["rain", "snow", "hail", "fog"]
    assert model.replicates == ["kinds/0", "kinds/1", "kinds/2"]
    assert model.asked[0].startswith("List 4 kinds of weather.\n\nAnswer with a list of 4,")
    assert "already:\n- rain\n- snow\n\nGive others. Answer with a list of 2," in model.asked[1]


def test_a_model_that_has_no_more_is_asked_a_bounded_number_of_times():
    model = Model(lambda *_: "1. rain")
    assert ask("List 9 kinds of weather.", 9, model, {}, "kinds") == ["rain"]
    assert len(model.asked) == asking.ROUNDS


def test_the_last_item_of_an_answer_that_was_cut_off_is_left_out():
    model = Model(lambda *_: "1. rain\n2. sn", outcome="truncated")
    assert ask("List 2 kinds of weather.", 2, model, {}, "kinds") == ["rain"]


def test_no_value_at_all_is_an_error_with_the_reason():
    with pytest.raises(UserError, match="no list in its answer"):
        ask("List 2.", 2, Model(lambda *_: ""), {}, "kinds")
    with pytest.raises(UserError, match=r"no value to 'List 2.' \(refused\)"):
        ask("List 2.", 2, (model := Model(lambda *_: "- rain", outcome="refused")), {}, "kinds")
    assert len(model.asked) == asking.SILENT


QUESTION = "{{ path | join('>') }} beside {{ siblings | join('+') }}: {{ breadth }} parts."


def test_a_tree_has_its_fan_out_and_no_path_twice():
    model = Model(lambda _, replicate: "\n".join(f"- {replicate} {i}".replace("/", "|") for i in range(5)))
    paths = tree("sports", 2, 3, QUESTION, model, {}, "t")
    assert len(paths) == len(set(paths)) == 3 + 9
    assert [len(path) for path in paths] == [2] * 3 + [3] * 9
    assert all(path[:-1] in [("sports",), *paths] for path in paths)
    first, second, third = (path[-1] for path in paths[:3])
    assert model.asked[1].startswith(f"sports>{first} beside {second}+{third}: 3 parts.")


def test_a_name_stands_in_a_tree_once():
    model = Model(lambda *_: "- Tennis\n- golf\n- tennis.\n- Sports")
    assert tree("sports", 3, 2, QUESTION, model, {}, "t") == [("sports", "Tennis"), ("sports", "golf")]
    assert "already:\n- Tennis\n- golf\n" in model.asked[-1]  # told what others have
    with pytest.raises(UserError, match="nothing below 'golf'"):
        tree("golf", 2, 2, QUESTION, Model(lambda *_: ""), {}, "t")
    with pytest.raises(UserError, match="unknown field in the prompt 'peers'"):
        tree("golf", 2, 2, "{{ peers }}", model, {}, "t")


# review files


def test_a_review_file_is_written_again_until_someone_edits_it(tmp_path):
    path = tmp_path / "review/topics.yaml"
    values = ["no", "12", "a: b", "# c", "Größe", "long " * 40 + "line"]
    assert write_review(path, "List topics\nof banks.", values)
    assert read_review(path) == values
    assert "#   List topics\n#   of banks.\n" in path.read_text(encoding="utf-8")
    assert write_review(path, "List topics of shops.", ["queue", "price"])
    path.write_text(path.read_text(encoding="utf-8") + "- no\n", encoding="utf-8")
    assert not write_review(path, "List topics.", ["other"])
    assert read_review(path) == ["queue", "price", "no"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- a\n", "repeats 'a'"),
        ("- a: b\n", "is no text"),
        ("# nothing\n", "has no values"),
        ("- [a\n", "not YAML"),
    ],
)
def test_a_review_file_with_a_mistake_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_review(write(tmp_path / "topics.yaml", text))


# constraints


def test_constraints_allow_or_refuse_a_row():
    rules = ['not (tone == "angry" and topic == "thanks")', "length | int <= 50"]
    assert allowed({"tone": "angry", "topic": "loss", "length": "50"}, rules)
    assert not allowed({"tone": "angry", "topic": "thanks", "length": "50"}, rules)
    assert not allowed({"tone": "calm", "topic": "thanks", "length": "80"}, rules)
    assert allowed({}, [])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("tone = 'calm'", "is no expression"),
        ("tune == 'calm'", "'tune' is undefined. Known values: tone"),
        ("mood", "'mood' is undefined"),
        ("1 / 0 > tone", "division by zero"),
        ("tone.__class__.__mro__", "unsafe"),
    ],
)
def test_a_constraint_with_a_mistake_is_named(rule, message):
    with pytest.raises(UserError) as error:
        allowed({"tone": "calm"}, [rule])
    assert repr(rule) in str(error.value)
    assert message in str(error.value)
