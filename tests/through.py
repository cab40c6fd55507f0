"""A round through all stages, without Dagster: Parquet in a lake, a scripted model, a quick encoder."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from synth_assets.core.text.words import runs
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.sandbox import tools
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.stages import tables
from synth_assets.stages.graph import graph
from synth_assets.stages.stage import Made
from tests.gallery import ROUND, Asks, Model, Say

WIDTH = 64


def encode(texts: Sequence[str]) -> np.ndarray:
    """(n, WIDTH) of length 1: the words of each text, hashed."""
    found = np.full((len(texts), WIDTH), 1e-3, dtype=np.float32)
    for vector, text in zip(found, texts, strict=True):
        for word in runs(text):
            vector[zlib.crc32(word.encode()) % WIDTH] += 1
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@dataclass
class Through:
    """What the stages made, and what the model was asked."""

    recipe: Recipe
    made: dict[str, list[Made]]
    model: Model

    def rows(self, stage: str) -> pd.DataFrame:
        return pd.concat([made.rows for made in self.made[stage]], ignore_index=True)

    def metric(self, name: str, slice_: str) -> float | None:
        """A value of the metrics; None where it is unknown. KeyError where there is no such line."""
        return self.rows("metrics").set_index(["name", "slice"])["value"].loc[(name, slice_)]


def through(recipe: Recipe, say: Say, folder: Path, round_: str = ROUND) -> Through:
    """One round of a recipe, whose rows are in a lake in the folder."""
    lake, model, found = FolderLake(folder / "lake"), Model(say), dict[str, list[Made]]()
    encoder: Any = SimpleNamespace(encode=encode, folder=Path)
    cut = tables.stages(recipe)

    def places(stage: str, cell: str = "") -> list[dict[str, str]]:
        cells = [cell] if cell else sorted(recipe.cells)
        at: list[dict[str, str]] = [{"round": round_}] if "round" in cut[stage] else [{}]
        return [{**place, "cell": each} for place in at for each in cells] if "cell" in cut[stage] else at

    for stage in graph(recipe):
        for place in places(stage.name):
            run = Asks(recipe, lake, encoder, round_, place.get("cell", ""), tools=tools.run, model_of=model)
            read = {name: run.read(name, *places(name, place.get("cell", ""))) for name in stage.reads}
            made = stage.compute(run, **read)
            found.setdefault(stage.name, []).append(made)
            lake.write(recipe.name, stage.name, place, tables.to_arrow(recipe, stage.name, made.rows))
            for name, beside in made.beside.items():
                found.setdefault(name, []).append(beside)
                for of in places(name):
                    rows = beside.rows[beside.rows["cell"] == of["cell"]] if "cell" in of else beside.rows
                    lake.write(recipe.name, name, of, tables.to_arrow(recipe, name, rows))
    return Through(recipe, found, model)
