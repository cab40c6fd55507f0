"""`synth new`: write a commented recipe to start from, with data, so that it runs as it is."""

import argparse
import os
import re
import shutil
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
    from synth_assets.core.days import timezone_here, today

    small = model == "embedded" or model.endswith(".gguf")
    data = f"data/{name}.csv"
    _copy(HERE / "new_data.csv", data)
    timezone = timezone_here()
    words = {"DATA": data, "MODEL": model, "TODAY": today(timezone), "TIMEZONE": timezone}
    text = (HERE / "new_recipe.yaml").read_text(encoding="utf-8")
    text = re.sub("|".join(words), lambda found: words[found[0]], text)
    return text.replace("STEP\n", STEPS["complete" if small else "prompt"])


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
