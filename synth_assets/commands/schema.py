"""`synth schema`: print the JSON Schema of a recipe, for editors and programs."""

import argparse
import json


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--write", action="store_true", help="beside the recipes, where the first line of each looks for it"
    )


def command(options: argparse.Namespace) -> None:
    from synth_assets.recipe.schema import LINE, save, schema
    from synth_assets.resources.home import recipes

    if not options.write:
        print(json.dumps(schema(), indent=1, ensure_ascii=False))
        return
    print(f"wrote {save(recipes())}")
    without = [p.name for p in sorted(recipes().glob("*.yaml")) if LINE not in p.read_text(encoding="utf-8")]
    if without:
        print(
            f"an editor looks for it where the first line of a recipe is\n{LINE}{', '.join(without)}: without"
        )
