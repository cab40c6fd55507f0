"""What steering is worth with the embedded model, on the demo's task (`movie_reviews`): three rounds that go
on from the validation rows that the student gets wrong, against three rounds that go on from random ones, and
against one round of as many calls.

    python benchmarks/steering.py --rows 40 --draws 3

Each contestant is a recipe that differs from the others in one condition alone: which real review stands last
in the prompt. They have the same seeds, filters, weights and number of rows; of each draw (`seed`), students
of the three sets are compared on the same 1,000 test rows. One JSON line a draw, and one of all draws:
accuracy, and the paired gain of the steered set with its 95 % interval (over rows of a draw; over draws,
Student's).
"""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml

RECIPE = Path(__file__).parents[1] / "recipes" / "movie_reviews.yaml"
ROUNDS = ["2026-11-01", "2026-11-02", "2026-11-03"]
PROMPT = """\
A list of {{ label }} movie reviews, one sentence each.
{% for d in demonstrations %}
{{ label | capitalize }} review: {{ d.text }}
{% endfor %}
{{ label | capitalize }} review: {{ like }}
{{ label | capitalize }} review:
"""


def contestants(rows: int, seed: int) -> dict[str, tuple[dict[str, Any], list[str]]]:
    """Name -> its recipe, and the rounds that are made of it."""
    demo = yaml.safe_load(RECIPE.read_text())
    real = {"rows": "seeds", "split": "validation", "label": "same"}
    step = {**demo["steps"]["text"], "complete": PROMPT}
    metrics = {"student": True, "diversity": False}
    same = {**demo, "steps": {"text": step}, "metrics": metrics, "schedule": None, "seed": seed}

    def of(rows: int, like: Mapping[str, Any]) -> dict[str, Any]:
        return {**same, "rows": rows, "conditions": {"label": "labels", "like": dict(like)}}

    return {
        "one_round": (of(rows * len(ROUNDS), real), ROUNDS[:1]),
        "random": (of(rows, real), ROUNDS),
        "steered": (of(rows, {**real, "by": "error", "top": 50}), ROUNDS),
    }


def right(data: Any, round_: str) -> np.ndarray:
    """(1000,) bool: whether the student of the set after a round is right about each test row."""
    from synth_assets.evaluation.usefulness import predictions
    from synth_assets.resources import home
    from synth_assets.stages import tables
    from synth_assets.students import made

    recipe, lake, encoder = data.recipe, home.lake(), home.encoder()
    schemas = tables.schemas(recipe)
    rows = lake.read(recipe.name, "weighted", [{"round": round_}], schemas["weighted"])
    seeds = lake.read(recipe.name, "seeds", [{}], schemas["seeds"])
    student = made.build(recipe.student, encoder.encode, encoder.folder)
    test = seeds[seeds["split"] == "test"].reset_index(drop=True)
    said = predictions({"set": rows}, test, student)["set"]
    assert said is not None
    return said.right


def draw(rows: int, seed: int) -> dict[str, np.ndarray]:
    """Contestant -> what its student is right about, of one draw."""
    import synth_assets as synth

    found = {}
    for name, (recipe, rounds) in contestants(rows, seed).items():
        data = synth.load(recipe, name=f"{name}_{seed}")
        for round_ in rounds:
            data.run(round=round_)
        found[name] = right(data, rounds[-1])
    return found


def main() -> None:
    from synth_assets.evaluation.usefulness import paired_gain

    parser = ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=40, help="a label and round")
    parser.add_argument("--draws", type=int, default=3)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        os.environ["SYNTH_HOME"] = str(Path(folder) / "data")
        os.chdir(folder)
        draws = []
        for seed in range(given.draws):
            found = draw(given.rows, seed)
            draws.append({name: float(hits.mean()) for name, hits in found.items()})
            gains = {
                f"steered - {other}": [round(v, 4) for v in paired_gain(found["steered"], found[other])]
                for other in ("one_round", "random")
            }
            print(json.dumps({"seed": seed, **draws[-1], **gains}), flush=True)
    if len(draws) > 1:
        print(json.dumps({name: round(float(np.mean([d[name] for d in draws])), 4) for name in draws[0]}))
        for other in ("one_round", "random"):
            print(json.dumps({f"steered - {other}": over_draws([d["steered"] - d[other] for d in draws])}))


def over_draws(gains: list[float]) -> list[float]:
    """Mean over draws, and Student's 95 % interval of it."""
    from scipy.stats import t

    values = np.asarray(gains)
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return [round(float(v), 4) for v in (values.mean(), values.mean() - half, values.mean() + half)]


if __name__ == "__main__":
    main()
