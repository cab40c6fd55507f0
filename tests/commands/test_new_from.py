"""`synth new --from`: a model writes the recipe, the check judges, and a foreign text stays one."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from synth_assets.cli import main
from synth_assets.core.errors import UserError
from synth_assets.planning.foreign import programs, read
from synth_assets.planning.planner import nearest, yaml_of
from synth_assets.recipe.load import load
from tests.endpoint import Endpoint

Printed = pytest.CaptureFixture[str]
WORDS = "polite and angry questions of a bank's customers"
RIGHT = """\
# Two intents are enough to begin with.
task:
  classify: {lost: the card is lost, declined: a payment was declined} # what the desk sorts by
  text: question
conditions:
  tone: [polite, angry] # both were asked for
steps:
  text: "Write one {{ tone }} question of a bank's customer: {{ definition }}."
filters: {words: {between: [2, 40]}} # short ones
rows: 10
"""
WRONG = RIGHT.replace("filters: {words:", "filters: {wordz:")


class Author:
    """Writes these answers to who asks for a recipe, one after the other, and rows to everyone else."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), list[Sequence[dict[str, str]]]()

    def __call__(self, body: dict[str, Any]) -> str:
        if "what a recipe may say here" not in body["messages"][0]["content"]:
            return f"Where is card number {body['seed']}, please?"
        self.asked.append(body["messages"])
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


@pytest.fixture
def new(project: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`synth new` with an author's answers: its exit status."""
    with Endpoint() as endpoint:
        endpoint.logprobs = False
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)

        def run(author: Author, *more: str, words: str = WORDS, name: str = "bank") -> int:
            endpoint.say = author
            return main(["new", name, "--from", words, "--model", "author", *more])

        run.endpoint = endpoint  # type: ignore[attr-defined]
        yield run


def test_a_wrong_answer_is_mended_and_its_rows_are_shown(new: Any, project: Path, capsys: Printed) -> None:
    author = Author(
        f"Here it is:\n\n```yaml\n{WRONG}```\nI hope that it helps!", f"Sorry.\n\n{RIGHT}\nDone now."
    )
    assert new(author, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert [len(each["mistakes"]) for each in said["tries"]] == [1, 0]
    assert (said["asking"]["calls"], said["calls"]["calls"], len(said["rows"])) == (2, 5, 5)
    system, first, answer, again = author.asked[1]
    assert "`near_duplicate`" in system["content"]
    assert WORDS in first["content"]
    assert answer["role"] == "assistant"
    assert "unknown filter 'wordz'. Did you mean 'words'?" in again["content"]
    assert "line `filters: {wordz:" in again["content"]
    assert str(project) not in json.dumps(author.asked)  # no path of this machine
    path = project / "recipes" / "bank.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.splitlines()[1:4] == [f"# {WORDS}", "", "# Two intents are enough to begin with."]
    assert "hope" not in text
    assert "Done now" not in text
    assert load(path).model == "author"
    path.unlink()  # the same words again are in the call log, and so are the rows
    assert new(author, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["asking"]["calls"], said["asking"]["from_log"], said["calls"]["calls"]) == (0, 2, 0)
    assert path.read_text(encoding="utf-8") == text


def test_what_never_comes_right_is_shown_and_not_written(new: Any, project: Path, capsys: Printed) -> None:
    author = Author(WRONG)
    assert new(author) == 2
    assert len(author.asked) == 3
    out, err = capsys.readouterr()
    assert "    | filters: {wordz: {between: [2, 40]}} # short ones" in out
    assert "no recipe was written, since no answer of author is right" in err
    assert "unknown filter 'wordz'" in err
    assert sorted(path.name for path in (project / "recipes").iterdir()) == ["reviews.yaml"]
    new.endpoint.fail_next(400, times=9)
    assert new(Author(WRONG), words="others") == 2
    assert "scripted" in capsys.readouterr().err


def test_the_embedded_model_is_too_weak_and_the_gallery_is_near(project: Path, capsys: Printed) -> None:
    words = "named entities such as persons in sentences"
    assert main(["new", "names", "--from", words, "--json"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert next(iter(said["gallery"])) == "ner"
    assert "--like ner" in said["errors"][0]["message"]
    assert "name another one with --model" in said["errors"][0]["fix"]
    assert not (project / "recipes" / "names.yaml").exists()
    assert nearest("zzz") == {}


def test_data_of_the_user_are_told_and_named(new: Any, project: Path, capsys: Printed) -> None:
    rows = [f"where is card {n},{'lost' if n % 2 else 'declined'}" for n in range(40)]
    (project / "mine.csv").write_text("\n".join(["question,intent", *rows]), encoding="utf-8")
    seeds = "seeds: {file: mine.csv, text: question, label: intent, splits: {test: 10}}\n"
    author = Author(RIGHT + seeds)
    assert new(author, "--data", "mine.csv") == 0
    asked = author.asked[0][1]["content"]
    assert '"intent": 2 different; "declined", "lost", "declined"; all of them: "declined" (20)' in asked
    assert load(project / "recipes" / "bank.yaml").seeds.file == "mine.csv"
    out = capsys.readouterr().out
    assert "5 of its rows, which are calls, too:" in out
    assert "They took 5 calls; tokens: 35; cost: unknown." in out
    other = Author(RIGHT + seeds.replace("mine.csv", "seeds.csv"))
    assert new(other, "--data", "mine.csv", name="other", words="others") == 2
    assert "seeds.csv is not the data: the only file that it may name is mine.csv" in capsys.readouterr().err


PROGRAM = RIGHT.replace(
    "steps:\n", 'steps:\n  code: "Write a program that prints a {{ tone }} question."\n'
).replace(
    '  text: "Write one {{ tone }} question of a bank\'s customer: {{ definition }}."',
    "  text: {tool: python, input: '{{ code }}'}",
)


def test_what_runs_programs_is_said_and_not_tried(new: Any, project: Path, capsys: Printed) -> None:
    assert new(Author(PROGRAM)) == 0
    out = capsys.readouterr().out
    assert "steps.text runs what a model writes as a program" in out
    assert "look at it before you let it: `synth try bank`" in out
    assert len(new.endpoint.requests) == 1
    assert programs(load(project / "recipes" / "bank.yaml"))


REFUSED = {
    "a filter of a module": ("filters: {words:", "filters: {'antigravity:Filter': {}, words:"),
    "a way to label": ("rows: 10", "rows: 10\nlabelled: {by: 'antigravity:Label'}"),
    "a metric": ("rows: 10", "rows: 10\nmetrics: {'antigravity:Metric': {}}"),
    "a source of values": ("[polite, angry]", "{source: 'antigravity:Source', n: 3}"),
    "a tool": ("steps:\n", "steps:\n  made: {tool: 'antigravity:tool', input: x}\n"),
    "a function": (
        "steps:\n",
        "steps:\n  made: {tool: function, function: 'antigravity.off:fly', input: x}\n",
    ),
    "a file of the system": ("[polite, angry]", "{file: /etc/passwd}"),
    "a file above": ("[polite, angry]", "{documents: '../**/*.md'}"),
    "a file of the home": ("[polite, angry]", "{taxonomy: '~'}"),
    "a file beside": ("[polite, angry]", "{file: seeds.csv}"),
    "all that is here": ("[polite, angry]", "{taxonomy: .}"),
    "seeds beside": ("rows: 10", "rows: 10\nseeds: {file: seeds.csv, splits: {test: 2}}"),
    "another set": ("rows: 10", "rows: 10\nseeds: {asset: my/table, splits: {test: 2}}"),
    "a stage": ("rows: 10", "rows: 10\nseeds: {file: 'stage://reviews/weighted', splits: {test: 2}}"),
    "labels of people": ("rows: 10", "rows: 10\nlabelled: {human: people.csv}"),
    "an encoder": ("rows: 10", "rows: 10\nencoder: someone/model"),
    "a step's model": ("steps:\n", "steps:\n  made: {prompt: x, model: dear}\n"),
    "an address": (
        "steps:\n",
        "steps:\n  made: {prompt: x, model: {name: m, base_url: 'http://x.test/v1'}}\n",
    ),
    "a judge's model": ("filters: {words:", "filters: {judge: {model: dear, rubric: 'Is it good?'}, words:"),
    "annotators": (
        "filters: {words:",
        "filters: {annotators: {of: {a: dear, b: author}, at_least: 1}, words:",
    ),
    "SQL": ("rows: 10", "rows: 10\nseeds: {file: mine.db, read: {query: 'select 1'}, splits: {test: 2}}"),
}


@pytest.mark.parametrize("way", REFUSED)
def test_an_answer_names_nothing_that_was_not_given_to_it(project: Path, way: str) -> None:
    """Nor is anything imported, opened or fetched to find that out."""
    text, path = RIGHT.replace(*REFUSED[way]), Path("recipes/bank.yaml")
    assert text != RIGHT
    with pytest.raises(UserError) as refused:
        read(text.encode(), path, "mine.db", ["mine.db"])
    assert "antigravity" not in sys.modules
    words = (
        "not built in",
        "is not here",
        "is not the data",
        "another set",
        "fetched",
        "not the model",
        "SQL may",
    )
    assert len(refused.value.mistakes) <= 2
    assert any(each in str(refused.value) for each in words), refused.value


def test_the_recipe_is_found_in_an_answer() -> None:
    body = RIGHT.strip()
    for said in (
        RIGHT,
        f"```yaml\n{RIGHT}```",
        f"Sure!\n```\n{RIGHT}```\nAnd the shell:\n```sh\nsynth check bank\n```\n",
        f"1. The recipe:\n\n   ```yaml\n{''.join('   ' + line for line in RIGHT.splitlines(True))}   ```\n",
        f"```yaml\n{RIGHT}",  # cut off
        f"Of course. This is it: a recipe.\n\n{RIGHT}\nNote: it has ten rows.\nHave fun.",
        RIGHT.replace("\n", "\r\n"),
    ):
        assert yaml_of(said).strip() == body
    code = RIGHT.replace(
        '  text: "Write', '  made: |\n    Write a block:\n    ```python\n    ```\n  text: "Write'
    )
    assert yaml_of(f"~~~yaml\n{code}~~~\n").strip() == code.strip()
    assert yaml_of(f"```yaml\n{code}```\n").strip() == code.strip()
    assert yaml_of("I cannot do that.") == "I cannot do that."


def test_a_condition_or_a_field_may_be_called_model(project: Path) -> None:
    text = RIGHT.replace("[polite, angry]", "[polite]\n  model: [a phone, a car]").replace(
        '  text: "Write', '  made: {prompt: "Name a {{ model }}.", output: {brand: text}}\n  text: "Write'
    )
    assert read(text.encode(), Path("recipes/bank.yaml"), None, ()).attributes["model"]


def test_the_guide_says_it_as_it_is(new: Any, project: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    command = re.search(r"^synth (new \w+ --from .*)", text, re.MULTILINE)
    assert command
    (project / "cards.csv").write_text("question,intent\nWhere is it?,lost\n", encoding="utf-8")
    new.endpoint.say = Author(RIGHT)
    assert main(shlex.split(command[1])) == 0
    assert load(project / "recipes" / "desk.yaml").model == "gpt-4.1-mini"


def test_from_is_one_way_and_data_belong_to_it(project: Path, capsys: Printed) -> None:
    assert main(["new", "a", "--from", "x", "--like", "ner"]) == 2
    assert "--like and --from each say what to write" in capsys.readouterr().err
    assert main(["new", "a", "--data", "seeds.csv"]) == 2
    assert "--data goes with --from" in capsys.readouterr().err
    assert main(["new", "a", "--from", " "]) == 2
    assert "say in a few words" in capsys.readouterr().err
