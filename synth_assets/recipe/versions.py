"""What each stage of a recipe rests on, as a hash: a change of it concerns every partition of the stage.

A stage turns stale only by what it uses, and so some names stand for a part of a section, or for more than
stands in it. `labels` are the labels' names, `codebook` has their definitions too. `seeds` includes what
stands in their file. `annotator` is what the annotator is told and who that is. `scorers` are the filters
without their thresholds: moving one changes no score. `weights.columns` are those that weights are made of,
and not how. `reviews` are the decisions of people, `by_people` and `agreement` what the section `review` says
of them. `steps.NAME` is one step of the chain, with the models that it asks, its file, and what its templates
say of the task (not of a label: see the conditions).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.filter import RULE
from synth_assets.core.identity import tagged_hash
from synth_assets.core.registry import made_of
from synth_assets.core.text.words import special
from synth_assets.recipe.measuring import Student
from synth_assets.recipe.remembering import turns
from synth_assets.recipe.review_files import was_edited
from synth_assets.recipe.sections import BY
from synth_assets.recipe.steering import made_by
from synth_assets.resources.gateway.models import what_answers
from synth_assets.resources.home import decisions
from synth_assets.resources.storage.files import digest
from synth_assets.resources.storage.sources import fingerprint

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe

Said = Mapping[str, Any]  # the recipe as JSON


def version(recipe: Recipe, *sections: str) -> str:
    """Hash of these sections. KeyError for a section that there is not."""
    said = recipe.model_dump(mode="json")
    return tagged_hash("recipe/1", {name: _part(recipe, said, name) for name in sections})[:12]


def _part(recipe: Recipe, said: Said, section: str) -> Any:
    if section.startswith("steps."):
        return _step(recipe, section.removeprefix("steps."))
    if section == "weights.columns":
        return sorted(recipe.weights.columns_needed())
    part = PARTS[section](recipe, said) if section in PARTS else said[section]
    if written := {name: said["task"][name] for name in OF_TASK.get(section, ()) if said["task"].get(name)}:
        part = [part, written]  # enters a version once it is written
    if encoded(recipe, section):
        name = str(recipe.encoder)
        folder = digest(Path(name).expanduser())  # None: a name on the hub, which is whole with its owner
        part = [part, "encoder", Path(name).name if folder else name, folder]
    if section in OF_WORDS and special(json.dumps(said, ensure_ascii=False)):
        return [part, "words/2"]  # of such a script as the recipe itself is written in, words are cut anew
    return part


def encoded(recipe: Recipe, section: str) -> bool:
    """Whether what the section decides rests on the recipe's own encoder."""
    if section in ("filters", "scorers"):
        rules = recipe.filters.values()
        rests = any(rule.encodes and (rule.raw or section == "filters") for rule in rules)
    elif section == "demonstrations":
        shown = recipe.demonstrations
        rests = shown is not None and "vectors" in BY[shown.by]
    else:
        rests = section in ("labelled", "weights", "metrics", "vectors")
    return rests and recipe.encoder is not None


def _plugged(part: Any, *methods: Any) -> Any:
    """A part of the recipe, and what the plug-ins are made of that it names. Of what is built in, the tag of
    an algorithm that has changed since its name came into versions."""
    tags = (getattr(method, "algorithm", "") for method in methods)
    made = [of for of in (*tags, *map(made_of, methods)) if of]
    return [part, *made] if made else part


def _seeds(recipe: Recipe, said: Said) -> Any:
    seeds = dict(said["seeds"])
    if not recipe.seeds.fields:
        seeds.pop("fields")
    files = recipe.seeds.files
    of_splits = files[1:] if recipe.seeds.file else files
    return [seeds, recipe.seeds.file and fingerprint(files[0]), *map(fingerprint, of_splits)]


def _labelled(recipe: Recipe, said: Said) -> Any:
    human = recipe.labelled.human
    part = [said["labelled"], fingerprint(human), "draw/1"] if human else said["labelled"]
    return _plugged(part, type(recipe.labelled))


def _conditions(recipe: Recipe, said: Said) -> Any:
    if recipe.task.annotate:
        return [texts_of(recipe), recipe.shards, fingerprint(recipe.task.annotate.file)]
    files = recipe.condition_files
    written = recipe.model_fields_set & {"constraints", "design", "cell", "shards"}
    extra = {name: said[name] for name in written} | ({"remember": turns(recipe)} if recipe.remember else {})
    part = said["conditions"]
    if files or extra:
        part = [part, extra, [fingerprint(str(path)) for path in files]]
    return _plugged(part, *map(type, recipe.attributes.values()))


def texts_of(recipe: Recipe) -> dict[str, Any]:
    """What the task says of the texts that are annotated."""
    assert recipe.task.annotate
    annotate = recipe.task.annotate.model_dump(mode="json", exclude={"shown", "acquire"})
    return {"annotate": annotate, "pair": recipe.task.pair}


def asked_of(recipe: Recipe) -> dict[str, Any]:
    """What the task says of how they are asked, besides what prompts say of any task."""
    assert recipe.task.annotate
    predict = recipe.task.predict and recipe.task.predict.model_dump(mode="json")
    return {"annotate": {"shown": recipe.task.annotate.shown}, "predict": predict, "pair": recipe.task.pair}


def _values(recipe: Recipe, said: Said) -> Any:
    edited = [path for path in sorted(recipe.reviews.glob("*.yaml")) if was_edited(path)]
    part = [
        {name: v.model_dump(mode="json") for name, v in recipe.listed.items()},
        said["task"],
        what_answers(recipe.model),
        [fingerprint(str(path)) for path in edited],
    ]
    return _plugged(part, *map(type, recipe.listed.values()))


def _step(recipe: Recipe, name: str) -> Any:
    step = recipe.steps[name]
    models: dict[str, Any] = {"model": True, "user_model": True, "cascade": {"model"}}
    said = step.model_dump(mode="json", exclude={"samples": True, **models})
    if not said.get("logprobs"):  # enters a version once it is written
        said.pop("logprobs", None)
    asked = [what_answers(model) for model in recipe.models_of(name)]
    part = [said, *asked, recipe.task.told_by(step)]
    part += [file and fingerprint(file) for file in step.works_with]
    if name == "text" and recipe.task.annotate:
        part.append(asked_of(recipe))
        if (times := getattr(step, "samples", 1)) > 1:  # here, answers that a row has
            part.append({"samples": times})
    if step.votes or recipe.shared(name):
        part.append({"samples": recipe.samples})
    return _plugged(part, *step.methods)


def _weights(recipe: Recipe, said: Said) -> Any:
    part = {name: value for name, value in said["weights"].items() if name != "levelled"}
    way = recipe.weights
    levelled = ["levelled/1"] if way.levelled and not way.weighs_labels and recipe.labels else []
    return _plugged([part, *levelled] if levelled else part, type(way))


def _annotator(recipe: Recipe, said: Said) -> Any:
    task = recipe.task
    told = [task.text, task.label, task.verbalizers()]
    part = [told, recipe.annotator.k, what_answers(recipe.annotator_model)]
    limit = said["annotator"].get("max_tokens")  # enters a version once it is written
    return [*part, limit] if limit else part


def _metrics(recipe: Recipe, said: Said) -> Any:
    part, wanted = said["metrics"], recipe.metrics
    if recipe.student != Student():
        part = [part, said["student"]]
        if recipe.student.features == "tfidf":
            part.append("tfidf/2")
    if "label" in wanted.truth and recipe.labelled.by != "condition":
        part = [part, "truth/2"]  # of the new labels as well
    if wanted.judge:
        part = [part, what_answers(wanted.judge.model or recipe.annotator_model)]
        if wanted.judge.people:
            part.append(fingerprint(wanted.judge.people))
    if wanted.facts:
        asked = what_answers(wanted.facts.model or recipe.annotator_model)
        part = [part, asked, wanted.facts.file and fingerprint(wanted.facts.file)]
    if shown := wanted.in_context:
        told = recipe.task.told_by(shown)
        part = [part, [told, what_answers(shown.model or recipe.annotator_model)]]
    if wanted.knowledge:
        part = [part, [fingerprint(str(file)) for file in recipe.condition_files]]
    for word, metric in wanted.others.items():
        asked = [what_answers(model or recipe.annotator_model) for model in metric.models()]
        part = [part, word, asked, made_of(type(metric))]
    return part


def _scorers(recipe: Recipe, said: Said) -> Any:
    scorers = {name: rule for name, rule in recipe.filters.items() if rule.raw}
    asked = {f"{n}.models": [what_answers(m) for m in f.models()] for n, f in scorers.items() if f.models()}
    part = {n: f.model_dump(mode="json", exclude=RULE) for n, f in scorers.items()} | asked
    return _plugged(part, *map(type, scorers.values()))


OF_TASK: Mapping[str, tuple[str, ...]] = {  # section -> what it rests on of the task, besides its labels
    **dict.fromkeys(("seeds", "scorers", "filters", "labelled", "weights"), ("pair", "predict")),
    "metrics": ("pair", "predict", "ordered"),
}
OF_WORDS = ("scorers", "filters", "metrics", "weights")
PARTS: Mapping[str, Callable[[Recipe, Said], Any]] = {
    "seeds": _seeds,
    "labels": lambda recipe, said: [recipe.cells, recipe.labels] if recipe.task.annotate else recipe.cells,
    "codebook": lambda recipe, said: said["task"]["classify"] if not recipe.task.annotate else {},
    "samples": lambda recipe, said: recipe.samples,
    "model": lambda recipe, said: what_answers(recipe.model),
    "conditions": _conditions,
    "values": _values,
    "labelled": _labelled,
    "weights": _weights,
    "annotator": _annotator,
    "metrics": _metrics,
    "reviews": lambda recipe, said: decisions().fingerprint(recipe.name),
    "by_people": lambda recipe, said: said["review"]["by_people"],
    "shows_decided": lambda recipe, said: recipe.shows_decided,
    "agreement": lambda recipe, said: said["review"]["agreement"],
    "costs": lambda recipe, said: {name: said["review"][name] for name in ("price", "dollars", "minutes")},
    "signals": lambda recipe, said: made_by(recipe),
    "vectors": lambda recipe, said: [said["task"].get("pair")],
    "filters": lambda recipe, said: _plugged(said["filters"], *map(type, recipe.filters.values())),
    "scorers": _scorers,
}
