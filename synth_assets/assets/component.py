"""Component `synth_assets.SynthRecipes`: recipes in a project of Dagster components."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
from pydantic import BaseModel

from synth_assets.assets.code_location import definitions, loaded
from synth_assets.core.errors import UserError, together
from synth_assets.recipe.load import placed
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages.generations import check_steps
from synth_assets.stages.seeds import seed_rows

PROJECT = {"pyproject.toml", "dg.toml"}  # one of these stands at its root
Recipes = list[str] | dict[str, dict[str, Any]]


class Scaffold(dg.Scaffolder):
    """Writes `defs.yaml`, and the recipe that it names: one that runs, as `synth new` writes it."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        root, name = request.project_root or Path.cwd(), request.target_path.name
        if not (root / "recipes" / f"{name}.yaml").exists():
            subprocess.run([sys.executable, "-m", "synth_assets.cli", "new", name], cwd=root, check=True)
        dg.scaffold_component(request, {"recipes": [name]})


@dg.scaffold_with(Scaffold)
class SynthRecipes(dg.Component, dg.Model, dg.Resolvable):
    """Synthetic data sets: each recipe is an asset graph, with its jobs, schedule and sensors.

    `recipes` are names in the project's folder `recipes` (or paths), or a mapping from names to recipes.
    """

    recipes: Annotated[
        Recipes,
        dg.Resolver(  # as they are written: a prompt's braces are not Dagster's
            lambda _, value: value,
            model_field_type=Recipes,
            inject_before_resolve=False,
            description="Names in the folder `recipes` or paths; or a mapping from names to whole recipes.",
        ),
    ]
    home: Annotated[str | None, dg.Resolver.default(description="Where rows and calls are kept.")] = None
    key_prefix: Annotated[
        list[str] | None, dg.Resolver.default(description="What the assets' keys begin with.")
    ] = None
    group: Annotated[
        str | None, dg.Resolver.default(description="Of the assets; by default the recipe's name.")
    ] = None
    automation: Annotated[
        bool, dg.Resolver.default(description="Whether schedules and sensors make rounds by themselves.")
    ] = True

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        place = settle(context.project_root)
        home = place / self.home if self.home else None
        return definitions(self.recipes, home, self.key_prefix or (), self.group, self.automation)

    @classmethod
    def get_model_cls(cls) -> type[BaseModel] | None:
        """The attributes; `dg check yaml` looks at them by their JSON Schema alone."""
        model: Any = super().get_model_cls()

        class Attributes(model):
            @classmethod
            def model_json_schema(cls, *given: Any, **named: Any) -> dict[str, Any]:
                schema = super().model_json_schema(*given, **named)
                right = _Right("a recipe that is right")
                schema["properties"]["recipes"] |= {
                    "type": ["array", "object"],
                    "const": right,  # is given the whole, before the parts
                    "items": {"const": right},
                    "propertyNames": {"const": right},
                }
                del schema["properties"]["recipes"]["anyOf"]  # which would say of all only that it is wrong
                return schema

        return Attributes


def settle(root: Path) -> Path:
    """The recipes and the data home of this process are those of a project, wherever Dagster was started."""
    os.environ.setdefault("SYNTH_RECIPES", str(root / "recipes"))
    os.environ.setdefault("SYNTH_HOME", str(root / ".synth"))
    return root


class _Right(str):
    """A `const` of a JSON Schema: equal to each name whose recipe is right, and what is wrong with the last
    one that is not is how it is written. So `dg check yaml` says a recipe's own mistakes (twice, as all that
    it says: in front of the line of the file, and below it)."""

    def __new__(cls, words: str) -> "_Right":
        made = super().__new__(cls, words)
        made._inline, made._wrong = {}, ""
        return made

    _inline: dict[str, Any]
    _wrong: str

    def __eq__(self, given: object) -> bool:
        if not isinstance(given, str):
            self._inline = given if isinstance(given, dict) else {}
            return True
        here = Path.cwd()
        root = next((p for p in (here, *here.parents) if PROJECT & {f.name for f in p.iterdir()}), here)
        settle(root)
        try:
            with chdir(root):  # where its runs read the files that it names
                for recipe in loaded({given: self._inline[given]} if given in self._inline else given):
                    with_its_data(recipe)
        except UserError as error:
            self._wrong = str(error)
            return False
        return True

    def __hash__(self) -> int:
        return super().__hash__()

    def __repr__(self) -> str:
        """As a message of jsonschema begins, which goes on with "was expected"."""
        return f"{self._wrong}\nA recipe that `synth check` finds right"


def with_its_data(recipe: Recipe) -> None:
    """UserError with all that is wrong of its prompts, its tools and its seeds."""
    wrong = list[UserError]()
    looks: dict[str, Callable[[], object]] = {"steps": lambda: check_steps(recipe)}
    if recipe.seeds.file:
        looks["seeds"] = lambda: seed_rows(recipe)
    for field, look in looks.items():
        try:
            look()
        except UserError as error:
            wrong.append(placed(error, recipe, field))
    if wrong:
        raise together(wrong)
