"""`synth new`: write a commented recipe to start from, with data, so that it runs as it is."""

import argparse
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from synth_assets.core.errors import UserError, unknown

HERE = Path(__file__).parent
CHAT = "gpt-4.1-mini"
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


def command(options: argparse.Namespace) -> None:
    from synth_assets.contracts.section import NAME
    from synth_assets.recipe.load import TAKEN
    from synth_assets.recipe.schema import LINE, save
    from synth_assets.resources.home import recipes

    if not NAME.fullmatch(options.name):
        raise UserError(f"a recipe's name has lower-case letters, digits and _, not {options.name!r}.")
    if options.name in TAKEN:
        raise UserError(f"in SQL, {options.name} is the name of something else: choose another name.")
    path = recipes() / f"{options.name}.yaml"
    if path.exists():
        raise UserError(f"{path} exists: choose another name, or edit it.")
    there = any(os.environ.get(name) for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"))
    model = options.model or (CHAT if there else "embedded")
    if options.provider:
        model = _provider(options.provider, options.model)
    if options.like and options.annotate:
        raise UserError("--like and --annotate both say what to write: leave one of them out.", "usage")
    if options.annotate:
        text = _texts(options.annotate, model)
    else:
        text = _like(options.like, model) if options.like else _own(options.name, model)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path.parent)
    path.write_text(LINE + text, encoding="utf-8")
    then = f"synth check {options.name}, and synth try {options.name}"
    print(f"wrote {path}\nIts model is {model}. Edit it, then: {then}")


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
