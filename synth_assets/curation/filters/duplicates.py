"""Set filters that drop what repeats others, adds nothing to them, or lies far from all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, model_validator

from synth_assets.contracts.filter import Context, Filter
from synth_assets.core.text.normal_form import normal_form

if TYPE_CHECKING:
    import pandas as pd


class Duplicate(Filter):
    """1 when an earlier row has the same words, else 0."""

    name = "duplicate"
    of_pairs = True
    within = (0, 1)
    better = "lower"
    at_most: float | None = 0

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        from synth_assets.curation.likeness.duplicates import exact_duplicates

        same = exact_duplicates(list(rows["text"]), context.earlier)
        return {self.name: [0.0 if i is None else 1.0 for i in same]}


class NearDuplicate(Filter):
    """Highest Jaccard similarity to an earlier row that was kept, of word n-grams, n from the first of
    `grams` to the second. In a large set that of a kept row may be higher than its score (see
    `near_duplicates`).
    """

    name = "near_duplicate"
    of_pairs = True
    by_workers = True
    within = (0, 1)
    better = "lower"
    grams: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=100)]] = (1, 3)
    """Words of the shortest and the longest n-gram."""
    at_most: float | None = 0.8

    @model_validator(mode="after")
    def _ordered(self) -> NearDuplicate:
        if self.grams[0] > self.grams[1]:
            raise ValueError(f"grams takes the shortest n-gram, then the longest: not {list(self.grams)}")
        return self

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        from synth_assets.curation.likeness.duplicates import near_duplicates

        texts, engines = list(rows["text"]), context.engines
        return {self.name: near_duplicates(texts, self.at_most, context.earlier, self.grams, engines)[0]}


class SemanticDuplicate(Filter):
    """Highest cosine to an earlier row that was kept: paraphrases too (SemDeDup: Abbas et al. 2023).

    Of sampled instructions that a model wrote, pairs above .95 all asked for the same; of those from .90 to
    .95 a third did not (the opposite tone, a sentence for a paragraph).
    """

    name = "semantic_duplicate"
    of_pairs = True
    within = (-1, 1)
    better = "lower"
    encodes = True
    at_most: float | None = 0.95

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        from synth_assets.curation.likeness.duplicates import in_parts, semantic_duplicates

        if context.encode is None or rows.empty:
            return {self.name: [None] * len(rows)}
        vectors = in_parts(context.encode, context.earlier, list(rows["text"]))
        return {self.name: semantic_duplicates(vectors, self.at_most, len(context.earlier))[0]}


class Novelty(Filter):
    """Highest ROUGE-L F1 to a demonstration or to an earlier row that was kept (Self-Instruct, Wang 2023).

    A text without a word is unknown, and so is one in Latin letters without a word of a-z or 0-9.
    """

    name = "novelty"
    of_pairs = True
    within = (0, 1)
    better = "lower"
    raw: ClassVar[Mapping[str, str]] = {"seed_rouge_l": "double"}
    columns: ClassVar[Mapping[str, str]] = {"novelty": "double"}
    at_most: float | None = 0.7

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        from synth_assets.curation.likeness.novelty import Pool

        pool = Pool(context.demonstrations)
        return {"seed_rouge_l": [pool.nearest(text)[0] for text in rows["text"]]}

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        from synth_assets.curation.likeness.novelty import Pool

        limit = 1.0 if self.at_most is None else self.at_most
        pool, scores = Pool(context.earlier), []
        for text, to_seeds in zip(rows["text"], rows["seed_rouge_l"], strict=True):
            score, _ = pool.nearest(text)
            if score is not None:
                score = max(score, to_seeds)
                if score <= limit:
                    pool.add(text)
            scores.append(score)
        return {self.name: scores}


class Outlier(Filter):
    """Mean cosine to the `k` most similar rows of the round, whatever their labels (Angiulli and Pizzuti
    2002): the lowest go, by default 5 % of each label. Unknown for a row that is alone. Rows of earlier
    rounds do not count."""

    name = "outlier"
    of_pairs = True
    within = (-1, 1)
    better = "higher"
    encodes = True
    k: int = Field(20, ge=1)
    """Similar rows that are looked at."""
    share: float | None = Field(0.95, gt=0, le=1)

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        from synth_assets.curation.noise import neighbours

        if len(rows) < 2 or context.encode is None:
            return {self.name: [None] * len(rows)}
        vectors = context.encode(list(rows["text"]))
        copies = [normal_form(text) for text in rows["text"]]
        near = neighbours(vectors, [""] * len(rows), self.k, copies)[1]
        return {self.name: [None if v != v else v for v in near.tolist()]}
