"""`synth new`: write a commented recipe to start from, with data, so that it runs as it is."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from synth_assets.commands.options import check_round, named_line, tried
from synth_assets.commands.output import add_json
from synth_assets.core.errors import Mistake, UserError, refused, unknown

if TYPE_CHECKING:
    from synth_assets.planning.planner import Try
    from synth_assets.recipe.recipe import Recipe

HERE = Path(__file__).parent
CHAT = "gpt-4.1-mini"
ROWS = 5  # of a recipe that a model wrote, which are shown
TOKENS = 200_000  # that they may take, where it has no budget
STEPS = {  # a model that follows instructions, and one that is too small for them
    "prompt": """\
  text: |
    {{ definition | capitalize }}. Write one {{ tone }} {{ text_type }}, and nothing else. Examples:
    {% for d in demonstrations %}
    - {{ d.text }}
    {% endfor %}
""",
    "complete": """\
  text:
    complete: | # text that the model goes on with: small models follow this better than an instruction
      Questions of a bank's customers: {{ definition }}.
      {% for d in demonstrations %}
      Question: {{ d.text }}
      {% endfor %}
      Question ({{ tone }}):
    stop: ["\\n"]
    temperature: 0.8
    top_p: 0.9
    max_tokens: 44
""",
}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument(
        "--like", metavar="SYSTEM", help="one of the gallery, such as attrprompt, with its data"
    )
    parser.add_argument("--annotate", metavar="FILE", help="your own texts, which a model is to label")
    parser.add_argument(
        "--from",
        dest="wish",
        metavar="WORDS",
        help="what the data set is for: a model writes the recipe, and five of its rows are shown",
    )
    parser.add_argument(
        "--data", metavar="FILE", help="with --from: your own rows or documents, which the recipe is to use"
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help=f"embedded, a name, or an alias of models.yaml; default: {CHAT} where OPENAI_API_KEY or "
        "OPENAI_BASE_URL is set, else embedded",
    )
    parser.add_argument(
        "--provider",
        metavar="PROVIDER",
        help="write an entry for it into models.yaml, of the model that --model names: openai, azure, "
        "anthropic, gemini, mistral, deepseek, groq, openrouter, together, vllm, sglang, ollama, llamacpp, "
        "lmstudio",
    )
    add_json(parser)


def command(options: argparse.Namespace) -> None:
    from synth_assets.contracts.section import NAME
    from synth_assets.recipe.load import TAKEN
    from synth_assets.recipe.schema import LINE
    from synth_assets.resources.home import recipes
    from synth_assets.resources.storage.warehouse import plain

    if not NAME.fullmatch(options.name):
        raise UserError(f"a recipe's name has lower-case letters, digits and _, not {options.name!r}.")
    if options.name in TAKEN or plain(options.name) != options.name:
        raise UserError(f"in SQL, {options.name} is the name of something else: choose another name.")
    path = recipes() / f"{options.name}.yaml"
    if path.exists():
        raise _exists(path)
    ways = {"--like": options.like, "--annotate": options.annotate, "--from": options.wish}
    if len(said := [name for name, value in ways.items() if value is not None]) > 1:
        raise UserError(f"{' and '.join(said)} each say what to write: leave all but one out.", "usage")
    there = any(os.environ.get(name) for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"))
    model = options.model or (CHAT if there else "embedded")
    if options.provider:
        model = _provider(options.provider, options.model)
    if options.wish is not None:
        _planned(options, model, path)
        return
    if options.data is not None:
        raise UserError("--data goes with --from, which says what is to be made of it.", "usage")
    if options.annotate:
        text = _texts(options.annotate, model)
    else:
        text = _like(options.like, model) if options.like else _own(options.name, model)
    _write(options, path, LINE + text, model)
    options.out.lines([f"Edit it, then: synth check {options.name}, and synth try {options.name}"])


def _exists(path: Path) -> UserError:
    return UserError(f"{path} exists: choose another name, or edit it.")


def _write(options: argparse.Namespace, path: Path, text: str, model: str) -> None:
    from synth_assets.recipe.schema import save

    path.parent.mkdir(parents=True, exist_ok=True)
    save(path.parent)
    try:
        with path.open("x", encoding="utf-8") as file:  # it may have come while a model was asked
            file.write(text)
    except FileExistsError:
        raise _exists(path) from None
    options.out.give(recipe=options.name, path=str(path), model=model)
    options.out.lines([f"wrote {path}", f"Its model is {model}."])


def _planned(options: argparse.Namespace, model_named: str, path: Path) -> None:
    """A model writes it. What does not check is shown, and not written."""
    from synth_assets.core.text.utf8 import clean
    from synth_assets.planning import planner
    from synth_assets.planning.checked import is_small
    from synth_assets.planning.foreign import programs
    from synth_assets.resources.gateway.models import resolve_model
    from synth_assets.resources.home import language_model

    wish = planner.Wish(options.name, clean(options.wish).strip(), options.data, model_named)
    if not wish.words:
        raise UserError("--from: say in a few words what the data set is for.", "usage")
    if is_small(model_named):
        _like_these(options, planner.nearest(wish.words))
    out, model = options.out, resolve_model(model_named)
    messages = planner.question(wish)
    use = planner.about_at_most(messages, model)
    cost = f"${use.nanodollars / 1e9:.2f}" if model.price else "its price is not known"
    asked = f"{planner.TRIES} questions at most, of about {use.tokens:,} tokens in all ({cost})"
    out.lines([named_line("ask", f"{model.name} at {model.endpoint}: {asked}")])
    lm, made = language_model(), list[planner.Try]()
    for one in planner.tries(lm, model, messages, wish, path):
        made.append(one)
        wrong = len(one.wrong.mistakes) if one.wrong else 0
        out.lines([named_line("", f"answer {len(made)}: {f'{wrong} mistakes' if wrong else 'right'}")])
    out.lines([named_line("", f"They took {lm.calls}.")])
    out.give(recipe=options.name, tries=[each.data() for each in made], asking=lm.calls)
    last = made[-1]
    if last.recipe is None:
        _refuse(options, last, model.name)
    _write(options, path, last.text, model_named)
    out.lines(named_line(name, says) for name, says in last.notes if name in ("warning", "note", "missing"))
    if unseen := programs(last.recipe):
        fix = f"look at it before you let it: `synth try {options.name}`"
        out.lines([named_line("warning", f"{'; '.join(unseen)}: {fix}.")])
        out.give(runs=unseen)
        return
    out.lines([f"{ROWS} of its rows, which are calls, too:", ""])
    tried(out, _capped(last.recipe), check_round(last.recipe), ROWS)


def _like_these(options: argparse.Namespace, near: Mapping[str, str]) -> NoReturn:
    """UserError: the embedded model cannot; what it can go by."""
    options.out.give(gallery=dict(near))
    told = "".join(f"\n- synth new {options.name} --like {name}: {what}" for name, what in near.items())
    fix = "name another one with --model"
    why = "the embedded model has 135 million parameters, and writes no recipe"
    begin = f". Or begin with one of the gallery that is near to it:{told}" if near else ""
    raise UserError(f"{why}: {fix}{begin}", fix=fix)


def _refuse(options: argparse.Namespace, last: Try, model: str) -> NoReturn:
    """UserError with all that is wrong with the last answer, which is shown."""
    options.out.lines(["The last answer was", *(f"    | {line}" for line in last.text.splitlines())])
    assert last.wrong is not None
    same = "the same words get the same answers, from the call log"
    fix = "say more in --from, or name another model"
    why = f"no recipe was written, since no answer of {model} is right; {same}: {fix}. Of the last one:"
    raise refused([Mistake(why, fix=fix), *last.wrong.mistakes])


def _capped(recipe: Recipe) -> Recipe:
    """With a budget for the rows that are shown, where it has none: nobody has looked at it yet."""
    budget = recipe.budget
    if budget.round or budget.tokens.round:
        return recipe
    tokens = budget.tokens.model_copy(update={"round": TOKENS})
    return recipe.model_copy(update={"budget": budget.model_copy(update={"tokens": tokens})})


def _provider(provider: str, name: str | None) -> str:
    """Write the provider's entry into models.yaml, where it is not there; returns its alias."""
    import yaml

    from synth_assets.resources.gateway.models import models_file, named_models

    known = yaml.safe_load((HERE / "providers.yaml").read_text(encoding="utf-8"))
    if provider not in known:
        raise unknown("provider", provider, list(known))
    entry, path = known[provider]["entry"], models_file()
    if provider in named_models(path):
        print(f"{path} has {provider} already, and stays as it is")
        return provider
    entry = {**entry, "name": name or entry["name"]}
    text = path.read_text(encoding="utf-8").rstrip() + "\n\n" if path.exists() else ""
    words = [f"# refuses: {known[provider]['refuses']}", *(f"# {url}" for url in known[provider]["sources"])]
    said = yaml.safe_dump({provider: entry}, sort_keys=False, width=100)
    path.write_text(text + "\n".join([*words, said]), encoding="utf-8")
    key = f" Its key goes into the variable {entry['key_env']}." if "key_env" in entry else ""
    print(f"wrote {provider} into {path}: see whether its name and address are right.{key}")
    return provider


def _own(name: str, model: str) -> str:
    """The template, and rows to try it with."""
    data = f"data/{name}.csv"
    _copy(HERE / "new_data.csv", data)
    text = _written("new_recipe.yaml", {"DATA": data}, model)
    return text.replace("STEP\n", STEPS["complete" if _small(model) else "prompt"])


def _texts(file: str, model: str) -> str:
    """The template for texts that are to be labelled; theirs is the column with the longest ones."""
    from synth_assets.resources.storage.sources import read_rows

    rows = read_rows(file)
    lengths = {str(name): rows[name].astype(str).str.len().mean() for name in rows}
    if not lengths:
        raise UserError(f"{file} has no column: name a file with texts, one a row.")
    text = max(lengths, key=lengths.__getitem__)
    others = ", ".join(_quoted(name) for name in lengths if name != text) or "none"
    how = "logprobs" if _small(model) else "answer"
    words = {"FILE": _quoted(file), "TEXT": _quoted(text), "COLUMNS": others, "HOW": how}
    return _written("new_annotation.yaml", words, model)


def _quoted(name: str) -> str:
    """As a flow mapping of YAML may have it."""
    return name if re.fullmatch(r"[A-Za-z][\w./-]*", name) else json.dumps(name, ensure_ascii=False)


def _small(model: str) -> bool:
    return model == "embedded" or model.endswith(".gguf")


def _written(template: str, words: Mapping[str, str], model: str) -> str:
    """A template, with these words and those of the place."""
    from synth_assets.core.days import timezone_here, today

    timezone = timezone_here()
    words = {**words, "MODEL": model, "TODAY": today(timezone), "TIMEZONE": timezone}
    text = (HERE / template).read_text(encoding="utf-8")
    return re.sub("|".join(words), lambda found: words[found[0]], text)


def _like(system: str, model: str) -> str:
    """A recipe of the gallery; its data are copied beside it."""
    gallery = HERE.parent / "gallery"
    if not (gallery / f"{system}.yaml").is_file():
        raise unknown("system of the gallery", system, [path.stem for path in gallery.glob("*.yaml")])
    text = (gallery / f"{system}.yaml").read_text(encoding="utf-8")
    for file in sorted(set(re.findall(r"\bdata/\w+\.\w+", text))):
        _copy(gallery / file, file)
    return text if model == "embedded" else f"{text}model: {model}\n"


def _copy(source: Path, to: str) -> None:
    if Path(to).exists():
        print(f"{to} is there already, and stays as it is")
        return
    Path(to).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, to)
    print(f"wrote {to}")
