"""Whether each text is encoded once, and what the metrics of a round cost then.

    python benchmarks/vectors.py
    python benchmarks/vectors.py --rows 20000

The metrics of a round (students of ten sets, learning curves, diversity, privacy, faithfulness) are made of
rows that are written by chance, and made again as by another process, which remembers nothing. One JSON line
each: the vectors that were asked for, the texts that were encoded, these as a share of the different texts,
the CPU-seconds of all and of the encoder, the peak of memory so far. Exit code 1 where a text was encoded
twice.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is loaded

from synth_assets.recipe.load import inline
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.stages import metrics
from synth_assets.stages.run import Run

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ROUND = "2026-11-21"
LABELS = ("bad", "good")
RECIPE = {
    "task": {"classify": {label: f"it was {label}" for label in LABELS}, "text": "review"},
    "seeds": {"file": "seeds.csv", "splits": {"demonstration": 4, "test": 4}},
    "conditions": {"label": "labels"},
    "steps": {"text": "Write a review."},
    "rows": 4,
}
WORDS = ["actor", "plot", "ending", "music", "joke", "scene", "story", "hour", "watch", "sister"]


def rows(n: int, kind: str, **more: Any) -> pd.DataFrame:
    """Different texts of seven words, of which one in ten says the label."""
    import pandas as pd

    draw, made = random.Random(kind), []
    for i in range(n):
        label = LABELS[i % 2]
        words = [label if draw.random() < 0.1 else word for word in draw.choices(WORDS, k=5)]
        made.append({"row_id": f"{kind}{i:08d}", "text": f"{' '.join(words)} {kind} {i}", "label": label})
    return pd.DataFrame(made).assign(**more)


def tables(n: int) -> dict[str, pd.DataFrame]:
    """Those that `metrics` reads, of n rows and as many real ones."""
    import pandas as pd

    made = rows(n, "made", accepted=True, round=ROUND)
    made["cell"] = made["label"]
    kept = made[made.index % 10 > 0].reset_index(drop=True)
    labelled = kept.assign(former_label=kept["label"], label_source="condition")
    weighted = labelled.assign(weight=1.0 - 0.5 * (labelled.index % 3 == 0), origin="synthetic")
    sizes = {"demonstration": 100, "validation": 200, "test": 1000, "unlabeled": n}
    seeds = pd.concat([rows(k, split, split=split) for split, k in sizes.items()], ignore_index=True)
    return {
        "generations": made,
        "filtered": kept,
        "labelled": labelled,
        "weighted": weighted,
        "seeds": seeds,
    }


class Counted(MiniLM):
    """How many vectors are asked of it, of which texts, how many it encodes, and its CPU-seconds."""

    def __init__(self, folder: Path) -> None:
        super().__init__(threads=1, store=lambda: folder)
        self.asked, self.texts, self.encoded, self.cpu_s = 0, set[str](), 0, 0.0

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += len(texts)
        self.texts.update(texts)
        before = time.process_time()
        found = super().encode(texts)
        self.cpu_s += time.process_time() - before
        return found

    def _encode_new(self, texts: Sequence[str]) -> np.ndarray:
        self.encoded += len(texts)
        return super()._encode_new(texts)


def measure(n: int, folder: Path) -> list[dict[str, Any]]:
    labels = "".join(f"{i} {label},{label}\n" for label in LABELS for i in range(8))
    Path("seeds.csv").write_text(f"text,label\n{labels}", encoding="utf-8")
    recipe, given, lines = inline(RECIPE, "films"), tables(n), []
    for what in ("the first time", "again"):
        encoder, before = Counted(folder), time.process_time()
        metrics.compute(Run(recipe, FolderLake(folder / "lake"), encoder, ROUND), **given)
        line = {"what": what, "rows": n, "asked": encoder.asked, "encoded": encoder.encoded}
        line["encoded_of_distinct"] = round(encoder.encoded / len(encoder.texts), 4)
        line |= {"cpu_s": round(time.process_time() - before, 1), "of_encoder_cpu_s": round(encoder.cpu_s, 1)}
        line["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps(line), flush=True)
        lines.append(line)
    return lines


def main() -> int:
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=2000)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        first, again = measure(given.rows, Path(folder))
        os.chdir("/")
    print(json.dumps({"again_of_first_cpu": round(again["cpu_s"] / first["cpu_s"], 3)}))
    return int(first["encoded_of_distinct"] > 1 or again["encoded"] > 0)


if __name__ == "__main__":
    sys.exit(main())
